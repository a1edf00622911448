"""What both networks are built with: the convolution block, and Keras's settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
from keras import layers

from pneumo_keras.models.layers import AtrousConv2D, BatchNormalization

BATCH_NORM_MOMENTUM = 0.9  # Keras's 0.99 needs hundreds of steps an epoch


@contextmanager
def standard_settings() -> Iterator[None]:
    """Build and load networks as float32 and channels last, whatever Keras's global settings.

    Those of the user (`keras.json`, `keras.config`) are restored at the end. A global dtype
    policy `mixed_bfloat16` or `mixed_float16` is kept, any other becomes `float32`.

    Example:
        >>> with standard_settings():
        ...     keras.config.floatx(), keras.config.image_data_format()
        ('float32', 'channels_last')
    """
    config = keras.config
    floatx, data_format = config.floatx(), config.image_data_format()
    policy = config.dtype_policy()
    config.set_floatx("float32")
    config.set_image_data_format("channels_last")
    config.set_dtype_policy(policy if policy.name.startswith("mixed_") else "float32")
    try:
        yield
    finally:
        config.set_floatx(floatx)
        config.set_image_data_format(data_format)
        config.set_dtype_policy(policy)


def l2_regularizer(l2: float) -> keras.regularizers.L2 | None:
    """L2 penalty on a kernel; None for a weight of zero."""
    return keras.regularizers.L2(l2) if l2 else None


def convolution_block(
    x: keras.KerasTensor,
    filters: int,
    kernel_size: int,
    name: str,
    *,
    rate: int = 1,
    use_bias: bool = True,
    epsilon: float = 1e-3,
    l2: float = 0.0,
) -> keras.KerasTensor:
    """Convolution (`same` padding, He initialisation), batch normalisation and ReLU.

    Args:
        x: features (batch, height, width, channels).
        filters: number of output channels.
        kernel_size: side of the kernel.
        name: of the convolution; the other two layers add `_bn` and `_relu`.
        rate: atrous rate.
        use_bias: whether the convolution has a bias.
        epsilon: of the batch normalisation.
        l2: weight of the L2 penalty on the kernel.

    Example:
        >>> convolution_block(keras.Input((8, 8, 3)), 4, 3, "conv").shape
        (None, 8, 8, 4)
    """
    convolution = AtrousConv2D if rate > 1 else layers.Conv2D
    x = convolution(
        filters,
        kernel_size,
        padding="same",
        dilation_rate=rate,
        use_bias=use_bias,
        kernel_initializer="he_normal",
        kernel_regularizer=l2_regularizer(l2),
        name=name,
    )(x)
    x = BatchNormalization(momentum=BATCH_NORM_MOMENTUM, epsilon=epsilon, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
