"""Keeps TensorFlow's greetings out of notebooks and error messages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_import() -> Iterator[None]:
    """Silences what TensorFlow writes to the standard error stream while it is imported.

    It reports on processors and drivers before it has read `TF_CPP_MIN_LOG_LEVEL`, and from C++,
    past `sys.stderr`. An exception that the import raises still comes through.

    Example:
        >>> with quiet_import():
        ...     import keras
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
