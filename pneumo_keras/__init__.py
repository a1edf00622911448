"""Segmentation of pneumonia in chest X-rays with SegNet and DeepLabV3, compared.

Importing the package is quick and imports neither Keras nor TensorFlow. As soon as Keras is
imported, before or after it, the layers, losses and metrics of this package are registered, so
that `keras.models.load_model` reads the models saved by it.
"""

import importlib
import importlib.util
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__version__ = "0.2.0"

PACKAGE = "pneumo_keras"
"""The name under which Keras registers the layers, losses and metrics of this package."""

REGISTERED = ("models.layers", "training.losses", "training.metrics")

# Take GPU memory as it is needed, unless the user has said otherwise: by default TensorFlow and
# JAX take nearly all of it at their first use. This must be set before they are imported.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _register() -> None:
    for name in REGISTERED:
        importlib.import_module(f"{PACKAGE}.{name}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence standard error, where TensorFlow logs from C++ before it reads its log level."""
    try:
        kept = os.dup(2)
    except OSError:  # closed
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class _KerasImport:
    """Import hook: import Keras without TensorFlow's start-up log, then register the classes."""

    looking = False

    def find_spec(self, name, path=None, target=None):
        if name != "keras" or self.looking:
            return None
        self.looking = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self.looking = False
        if spec is not None:
            self._extend(spec.loader)
        return spec

    def _extend(self, loader) -> None:
        execute = loader.exec_module

        def execute_and_register(module):
            sys.meta_path.remove(self)
            with _quiet():
                execute(module)
            logging.getLogger("tensorflow").setLevel(logging.ERROR)
            _register()

        loader.exec_module = execute_and_register


if "keras" in sys.modules:
    _register()
else:
    sys.meta_path.insert(0, _KerasImport())
