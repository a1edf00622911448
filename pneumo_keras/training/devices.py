"""Which devices a training runs on: one, or all of this host's or of several hosts.

Data parallel, by Keras's and TensorFlow's own means: every device holds the whole network and
takes an equal part of each batch; gradients are averaged. BatchNorm takes its statistics over the
whole batch too (see `models.layers.BatchNormalization`), so that a step on several devices is the
step that one device would have taken, but for dropout, which draws other numbers.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import keras

from pneumo_keras.errors import StudyError

CHOICES = ("one", "all")


@dataclass(frozen=True)
class Devices:
    """Where a training runs.

    Attributes:
        count: devices that share each batch, on all hosts.
        strategy: TensorFlow's `tf.distribute.Strategy`, if there are several devices.
        distribution: on JAX its `keras.distribution.DataParallel`, if there are several devices.
        hosts: how many those devices belong to.
        chief: whether this process is the one that writes.
    """

    count: int = 1
    strategy: Any = None
    distribution: Any = None
    hosts: int = 1
    chief: bool = True

    @contextmanager
    def building(self) -> Iterator[None]:
        """In which a network must be built, compiled and restored, but not saved."""
        with ExitStack() as scopes:
            for shared in (self.strategy, self.distribution):
                if shared is not None:
                    scopes.enter_context(shared.scope())
            yield

    @contextmanager
    def fitting(self) -> Iterator[None]:
        """In which `fit` must be called."""
        with ExitStack() as scopes:
            if self.distribution is not None:
                scopes.enter_context(self.distribution.scope())
            if self.strategy is not None:
                # A shared data set does not tell how many batches it has.
                scopes.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", "Your input ran out of data")
            yield

    def check_films(self, batch_size: int, validation: int) -> None:
        """Refuses films that cannot be shared.

        Args:
            batch_size: films a training step; parts of unequal size would weigh differently.
            validation: films to validate on, two a device at least.

        Raises:
            StudyError: if either does not fit the number of devices.

        Example:
            >>> Devices(count=3).check_films(9, 6)
        """
        if batch_size % self.count:
            raise StudyError(
                f"batch_size={batch_size}: not a multiple of the {self.count} devices; choose one "
                "that is, or devices=one"
            )
        if self.count > 1 and validation < 2 * self.count:
            raise StudyError(
                f"{validation} validation films: too few for {self.count} devices; set devices=one"
            )

    def wait(self) -> None:
        """Until all hosts have come this far."""
        if self.hosts > 1:
            import tensorflow as tf

            @tf.function
            def arrived():
                ones = self.strategy.run(lambda: tf.ones(()))
                return self.strategy.reduce(tf.distribute.ReduceOp.SUM, ones, axis=None)

            arrived()


ONE_DEVICE = Devices()


@functools.cache
def choose_devices(devices: str) -> Devices:
    """The devices to train on. With several hosts it returns once all of them have called it.

    On TensorFlow, several hosts are those of the environment variable `TF_CONFIG`; the first does
    the writing. TensorFlow wants to hear of them before it has computed anything.

    Args:
        devices: `one`, or `all`: every GPU, or every (logical) CPU where there is no GPU.

    Raises:
        StudyError: if there are several hosts and TensorFlow has computed already.

    Example:
        >>> choose_devices("one").count
        1
    """
    backend = keras.backend.backend()
    if devices == "all" and backend == "tensorflow":
        return _hosts() if os.environ.get("TF_CONFIG") else _tensorflow_devices()
    if devices == "all" and backend == "jax":
        count = len(keras.distribution.list_devices())
        distribution = SharedWherePossible() if count > 1 else None
        return Devices(count, distribution=distribution)
    return ONE_DEVICE


class SharedWherePossible(keras.distribution.DataParallel):
    """Gives every device the whole of a batch that cannot be cut into equal parts.

    Only in evaluation are there such batches; JAX itself refuses them.
    """

    def get_data_layout(self, data_shape):
        if data_shape[0] % self.num_model_replicas:
            return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)
        return super().get_data_layout(data_shape)


def _tensorflow_devices() -> Devices:
    import tensorflow as tf

    found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(found) == 1:
        return ONE_DEVICE
    return Devices(len(found), tf.distribute.MirroredStrategy([device.name for device in found]))


def _hosts() -> Devices:
    import tensorflow as tf

    class Hosts(tf.distribute.MultiWorkerMirroredStrategy):
        """Takes what Keras hands it: pairs of films and masks, and scalars along an axis."""

        def reduce(self, reduce_op, value, axis):
            def one(part):
                scalar = self.experimental_local_results(part)[0].shape.rank == 0
                return reduce(reduce_op, part, None if scalar else axis)

            reduce = super().reduce
            return tf.nest.map_structure(one, value)

    try:
        strategy = Hosts()
    except RuntimeError as error:
        raise StudyError(f"TF_CONFIG: {error}; start training in a fresh process") from None
    host = strategy.cluster_resolver
    cluster = host.cluster_spec().as_dict()
    return Devices(
        strategy.num_replicas_in_sync,
        strategy,
        hosts=sum(len(cluster.get(kind, ())) for kind in ("chief", "worker")),
        chief=host.task_type == "chief" or ("chief" not in cluster and host.task_id == 0),
    )
