"""Which devices a training runs on: one, or all of this host's or of several hosts.

Data parallel, by Keras's and TensorFlow's own means: every device holds the whole network and
takes an equal part of each batch; gradients are averaged. BatchNorm takes its statistics over the
whole batch too (see `models.layers.BatchNormalization`), so that a step on several devices is the
step that one device would have taken, but for dropout, which draws other numbers.
"""

from __future__ import annotations

import contextlib
import functools
import os
from contextlib import AbstractContextManager
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
        chief: whether this process is the one that writes.
    """

    count: int = 1
    strategy: Any = None
    distribution: Any = None
    chief: bool = True

    def scope(self) -> AbstractContextManager:
        """In which a network must be built, compiled and trained."""
        if self.strategy is not None:
            return self.strategy.scope()
        if self.distribution is not None:
            return self.distribution.scope()
        return contextlib.nullcontext()

    def check_batch(self, batch_size: int) -> None:
        """Refuses a batch that cannot be shared equally: its parts would weigh differently.

        Raises:
            StudyError: if the devices do not divide it.

        Example:
            >>> Devices(count=3).check_batch(8)
            Traceback (most recent call last):
            ...
            pneumo_keras.errors.StudyError: batch_size=8: not a multiple of the 3 devices; \
change it with --set, or leave --devices out
        """
        if batch_size % self.count:
            raise StudyError(
                f"batch_size={batch_size}: not a multiple of the {self.count} devices; change it "
                "with --set, or leave --devices out"
            )

    def wait(self) -> None:
        """Until all hosts have come this far."""
        if self.strategy is not None:
            import tensorflow as tf

            strategy = self.strategy
            arrived = strategy.run(lambda: tf.ones(()))
            strategy.reduce(tf.distribute.ReduceOp.SUM, arrived, axis=None)


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
        distribution = keras.distribution.DataParallel() if count > 1 else None
        return Devices(count, distribution=distribution)
    return ONE_DEVICE


def _tensorflow_devices() -> Devices:
    import tensorflow as tf

    found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(found) == 1:
        return ONE_DEVICE
    return Devices(len(found), tf.distribute.MirroredStrategy([device.name for device in found]))


def _hosts() -> Devices:
    import tensorflow as tf

    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise StudyError(f"TF_CONFIG: {error}; start training in a fresh process") from None
    host = strategy.cluster_resolver
    chiefs = "chief" in host.cluster_spec().jobs
    chief = host.task_type == "chief" if chiefs else host.task_id == 0
    return Devices(strategy.num_replicas_in_sync, strategy, chief=chief)
