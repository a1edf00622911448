"""The precision that a network computes in: Keras's dtype policies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

# Weights, output and losses are float32 in all of them. Under float16 the loss is scaled (`fit`,
# LossScaleOptimizer), since small gradients would vanish; bfloat16 has float32's range.
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Builds and compiles networks that compute in a precision.

    Args:
        precision: one of `PRECISIONS`.

    Example:
        >>> with computing_in("mixed_bfloat16"):
        ...     keras.layers.Dense(1).compute_dtype
        'bfloat16'
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
