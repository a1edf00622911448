"""SegNet: VGG16's thirteen convolutions, and a decoder guided by their pooling indices.

Badrinarayanan, Kendall and Cipolla (2017); section 3.2 and Figure 1 of the paper.
"""

from __future__ import annotations

import keras
from keras import layers

from pneumo_keras.models.backbones import BATCH_NORM_MOMENTUM, pretrained
from pneumo_keras.models.layers import (
    BatchNormalization,
    FilmScaling,
    MaxPoolingWithIndices2D,
    MaxUnpooling2D,
    film_input,
)

# Convolutions of the five blocks; the decoder mirrors them, and the last convolution of each
# decoder block already has the width of the block above it.
BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
# Bayesian SegNet puts dropout after the deepest blocks only; shallow features need every pixel.
DROPOUT_BLOCKS = (3, 4, 5)


def segnet(
    size: int = 256,
    *,
    width: float = 1.0,
    weights: str | None = None,
    scaling: str = "caffe",
    dropout: float = 0.5,
    l2: float = 0.0,
) -> keras.Model:
    """Builds SegNet with a one-channel sigmoid output.

    Thirteen convolutions with bias, each followed by BatchNorm and ReLU, in five blocks that end
    in a 2x2 pooling; twelve more in the decoder, whose unpoolings use the encoder's indices; and
    a 3x3 head. 29,459,457 parameters at full width.

    Args:
        size: side of the films, pixels, a multiple of 32.
        width: factor on the number of channels of every layer; 1 is SegNet.
        weights: `"imagenet"`, the path of a VGG16 `.weights.h5` without top, or None for random.
        scaling: how films are scaled inside the model, see `FilmScaling`.
        dropout: rate after the three deepest encoder and decoder blocks.
        l2: weight of the L2 penalty on convolution kernels.

    Returns:
        A model from films (batch, size, size, any channels), 0..255, to the probability of the
        target at each pixel, float32 (batch, size, size, 1), 0..1.

    Raises:
        ValueError: if `size` is not a multiple of 32, or weights are asked for at another width.
        WeightsUnavailable: if ImageNet weights are asked for and cannot be downloaded.

    Example:
        >>> segnet(32).count_params()
        29459457
    """
    if weights is not None and width != 1:
        raise ValueError(f"pretrained weights need width 1; got width {width}")
    blocks = [[max(1, round(width * filters)) for filters in block] for block in BLOCKS]

    # === Encoder ===
    film = film_input(size, 32, "SegNet")
    x = FilmScaling(scaling, name="film_scaling")(film)
    indices = []
    for number, block in enumerate(blocks, start=1):
        for position, filters in enumerate(block, start=1):
            x = _convolution(x, filters, l2, f"block{number}_conv{position}")
        x, block_indices = MaxPoolingWithIndices2D(name=f"block{number}_pool")(x)
        indices.append(block_indices)
        x = _dropout(x, number, dropout, f"block{number}_dropout")

    # === Decoder ===
    for number in range(len(blocks), 0, -1):
        x = MaxUnpooling2D(name=f"decoder{number}_unpool")(x, indices[number - 1])
        outward = blocks[max(number - 2, 0)][0]
        # The first decoder block is one convolution short: the head takes its place.
        filters_of_block = blocks[number - 1][:-1] + ([outward] if number > 1 else [])
        for position, filters in enumerate(filters_of_block, start=1):
            x = _convolution(x, filters, l2, f"decoder{number}_conv{position}")
        x = _dropout(x, number, dropout, f"decoder{number}_dropout")
    x = layers.Conv2D(1, 3, padding="same", kernel_regularizer=_l2(l2), name="head")(x)
    # float32 also under mixed precision: a probability near 1 does not survive in 16 bits.
    probability = layers.Activation("sigmoid", dtype="float32", name="probability")(x)

    model = keras.Model(film, probability, name="segnet")
    if weights is not None:
        _load_vgg16(model, weights)
    return model


def encoder_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of a SegNet that VGG16's weights go into: its thirteen convolutions.

    Example:
        >>> len(encoder_layers(segnet(32, width=0.1)))
        13
    """
    return [
        layer
        for layer in model.layers
        if layer.name.startswith("block") and isinstance(layer, layers.Conv2D)
    ]


def _convolution(x, filters: int, l2: float, name: str):
    x = layers.Conv2D(
        filters,
        3,
        padding="same",
        kernel_initializer="he_normal",
        kernel_regularizer=_l2(l2),
        name=name,
    )(x)
    x = BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _dropout(x, block: int, rate: float, name: str):
    return layers.Dropout(rate, name=name)(x) if rate and block in DROPOUT_BLOCKS else x


def _l2(l2: float):
    return keras.regularizers.L2(l2) if l2 else None


def _load_vgg16(model: keras.Model, weights: str) -> None:
    vgg16 = pretrained(keras.applications.VGG16, weights)
    sources = [layer for layer in vgg16.layers if isinstance(layer, layers.Conv2D)]
    for source, target in zip(sources, encoder_layers(model), strict=True):
        target.set_weights(source.get_weights())
