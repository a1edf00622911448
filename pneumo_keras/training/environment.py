"""What a run ran on, for its JSON."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version

import keras

PACKAGES = ("pneumo_keras", "keras", "tensorflow", "numpy", "opencv-python-headless", "pillow")


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
        "versions": {package: version(package) for package in PACKAGES},
    }


def make_deterministic() -> None:
    """Has every operation give the same bits in every run on the same machine, if more slowly.

    It holds for the rest of the process. JAX and torch need nothing of the kind on CPU.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def _device() -> str:
    import tensorflow as tf

    names = [
        tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return ", ".join(names) if names else f"CPU, {_cores()} cores"


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
