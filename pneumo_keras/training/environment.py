"""What a run ran on, for its JSON."""

from __future__ import annotations

import contextlib
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

import keras

PACKAGES = ("pneumo_keras", "keras", "numpy", "opencv-python-headless", "pillow")


def environment() -> dict:
    """Versions, backend and device.

    Example:
        >>> sorted(environment())
        ['backend', 'device', 'python', 'system', 'versions']
    """
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "backend": keras.backend.backend(),
        "device": _device(),
        "versions": _versions(*PACKAGES, keras.backend.backend()),
    }


def _versions(*packages: str) -> dict[str, str]:
    """Versions by package, without those that were not installed as packages."""
    versions = {}
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


def make_deterministic() -> None:
    """Has every operation give the same bits in every run on the same machine, if more slowly.

    It holds for the rest of the process. JAX and torch need nothing of the kind on CPU.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def _device() -> str:
    names = _gpus()
    return ", ".join(names) if names else f"CPU, {_cores()} cores"


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
    import os

    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def peak_memory_gb() -> float | None:
    """The most main memory this process has held, in GB; None where the system does not tell."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    return round(peak * unit / 1e9, 2)
