"""The devices that a training runs on, and what a run records of its environment.

One device by default. `devices=all` shares each batch between all GPUs of this host, or of all
hosts of `TF_CONFIG` (TensorFlow: `MirroredStrategy`, `MultiWorkerMirroredStrategy`; JAX:
`keras.distribution.DataParallel`).
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import keras

from pneumo_keras import PACKAGE, __version__
from pneumo_keras.errors import StudyError

PACKAGES = ("keras", "numpy", "opencv-python-headless", "pillow")


@dataclass(frozen=True)
class Devices:
    """Where a training runs.

    Attributes:
        count: number of devices, over all hosts.
        strategy: TensorFlow's, None for one device or another backend.
        distribution: Keras's, on JAX with several devices.
        hosts: number of hosts.
        chief: whether this host writes the results.
    """

    count: int = 1
    strategy: Any = None
    distribution: Any = None
    hosts: int = 1
    chief: bool = True

    @contextmanager
    def scope(self) -> Iterator[None]:
        """The context in which a network must be built and trained."""
        with ExitStack() as scopes:
            for shared in (self.strategy, self.distribution):
                if shared is not None:
                    scopes.enter_context(shared.scope())
            if self.strategy is not None:
                # The length of distributed batches is not known before they end.
                scopes.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", "Your input ran out of data")
            yield

    def check_images(self, batch_size: int, validation: int) -> None:
        """Refuse images that cannot be shared.

        Args:
            batch_size: images per step.
            validation: number of validation images.

        Raises:
            StudyError: if a batch cannot be divided into equal parts, or there are fewer than
                two validation images per device.

        Example:
            >>> Devices(3).check_images(8, 30)
            Traceback (most recent call last):
            ...
            pneumo_keras.errors.StudyError: batch_size=8: not a multiple of the 3 devices; choose \
one that is, or devices=one
        """
        if batch_size % self.count:
            raise StudyError(
                f"batch_size={batch_size}: not a multiple of the {self.count} devices; choose one "
                "that is, or devices=one"
            )
        if self.count > 1 and validation < 2 * self.count:
            raise StudyError(
                f"{validation} validation images: too few for {self.count} devices; set devices=one"
            )

    def wait(self) -> None:
        """Wait until all hosts have called this."""
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
    """Find the devices to train on; with several hosts, wait until all of them have called this.

    Args:
        devices: `one` or `all`. On torch always one.

    Raises:
        StudyError: if the hosts of `TF_CONFIG` cannot be connected.

    Example:
        >>> choose_devices("one").count
        1
    """
    backend = keras.backend.backend()
    if devices == "all" and backend == "tensorflow":
        return _hosts() if os.environ.get("TF_CONFIG") else _tensorflow_devices()
    if devices == "all" and backend == "jax":
        count = len(keras.distribution.list_devices())
        return Devices(count, distribution=UnevenDataParallel() if count > 1 else None)
    return ONE_DEVICE


class UnevenDataParallel(keras.distribution.DataParallel):
    """Data parallelism that gives every device the whole of a batch which cannot be divided.

    Keras raises an error there. It has no public setting for it, hence the override.
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
        """Reduces pairs of tensors and scalars too, which Keras hands over."""

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


def prepare_backend(seed: int, deterministic: bool) -> None:
    """Forget earlier networks and seed all random generators.

    Args:
        seed: of Python, NumPy and the backend.
        deterministic: use operations that give the same bits in every run, on TensorFlow.
    """
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    if deterministic and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def environment() -> dict:
    """Versions, backend and device, for `run.json`.

    Example:
        >>> sorted(environment())
        ['backend', 'device', 'python', 'system', 'versions']
    """
    versions = {PACKAGE: __version__}
    for package in (*PACKAGES, keras.backend.backend()):
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "backend": keras.backend.backend(),
        "device": ", ".join(_gpus()) or f"CPU, {_cores()} cores",
        "versions": versions,
    }


def environment_lines() -> str:
    """Versions and device as text, with a warning where a GPU is in the machine but not in use."""
    found = environment()
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    lines = [f"Python {found['python']}, {versions}", f"Device: {found['device']}"]
    if os.path.exists("/proc/driver/nvidia/version") and not _gpus():
        lines.append(
            f"WARNING: this machine has an NVIDIA GPU, but {found['backend']} does not see it. "
            "Training will be slow: see 'On a GPU' in the README."
        )
    return "\n".join(lines)


def _gpus() -> list[str]:
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        details = tf.config.experimental.get_device_details
        gpus = tf.config.list_physical_devices("GPU")
        return [details(gpu).get("device_name", "GPU") for gpu in gpus]
    if backend == "jax":
        import jax

        return [device.device_kind for device in jax.devices() if device.platform != "cpu"]
    import torch

    return [torch.cuda.get_device_name(gpu) for gpu in range(torch.cuda.device_count())]


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def peak_memory_gb() -> float | None:
    """Peak main memory of this process in GB; None where the system does not tell."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e9, 2)
