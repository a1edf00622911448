"""SegNet: VGG16's thirteen convolutions, and a decoder that unpools by the encoder's indices.

Badrinarayanan, Kendall and Cipolla (2017); section 3.2 and Figure 1 of the paper.
"""

import keras
from keras import layers

from pneumo_keras.models.backbones import pretrained
from pneumo_keras.models.layers import (
    InputScaling,
    MaxPoolingWithIndices2D,
    MaxUnpooling2D,
    convolution_block,
    image_input,
    l2_regularizer,
)
from pneumo_keras.models.saving import standard_settings

# Filters of the convolutions of the five blocks. The decoder mirrors them; the last convolution of
# each of its blocks already has the filters of the block above.
BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
DROPOUT_BLOCKS = (3, 4, 5)  # the deepest, as in Bayesian SegNet


@standard_settings()
def segnet(
    size: int = 256,
    *,
    width: float = 1.0,
    weights: str | None = None,
    scaling: str = "caffe",
    dropout: float = 0.5,
    l2: float = 0.0,
) -> keras.Model:
    """Build SegNet with a one-channel sigmoid output.

    Thirteen convolutions with bias, each followed by batch normalisation and ReLU, in five blocks
    that end in a 2x2 pooling; twelve more in the decoder, which unpools by the encoder's indices;
    and a 3x3 head. 29,459,457 parameters at full width.

    Args:
        size: side of the images, pixels, a multiple of 32.
        width: factor on the number of channels of every layer; 1 is SegNet.
        weights: `"imagenet"`, the path of a VGG16 `.weights.h5` without top, or None for random.
        scaling: how images are scaled inside the model, see `InputScaling`.
        dropout: rate after the three deepest encoder and decoder blocks.
        l2: weight of the L2 penalty on convolution kernels.

    Returns:
        A model from images (batch, size, size, any channels), 0..255, to the probability of the
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
    image = image_input(size, 32, "SegNet")
    x = InputScaling(scaling, name="input_scaling")(image)
    indices = []
    for number, block in enumerate(blocks, start=1):
        for position, filters in enumerate(block, start=1):
            x = convolution_block(x, filters, 3, f"block{number}_conv{position}", l2=l2)
        x, block_indices = MaxPoolingWithIndices2D(name=f"block{number}_pool")(x)
        indices.append(block_indices)
        if dropout and number in DROPOUT_BLOCKS:
            x = layers.Dropout(dropout, name=f"block{number}_dropout")(x)

    # === Decoder ===
    for number in range(len(blocks), 0, -1):
        x = MaxUnpooling2D(name=f"decoder{number}_unpool")(x, indices[number - 1])
        # In the last block the head takes the place of the last convolution.
        filters_above = [blocks[number - 2][0]] if number > 1 else []
        for position, filters in enumerate(blocks[number - 1][:-1] + filters_above, start=1):
            x = convolution_block(x, filters, 3, f"decoder{number}_conv{position}", l2=l2)
        if dropout and number in DROPOUT_BLOCKS:
            x = layers.Dropout(dropout, name=f"decoder{number}_dropout")(x)
    x = layers.Conv2D(1, 3, padding="same", kernel_regularizer=l2_regularizer(l2), name="head")(x)
    # float32 also under mixed precision: 16 bits cannot hold a probability near 1.
    probability = layers.Activation("sigmoid", dtype="float32", name="probability")(x)

    model = keras.Model(image, probability, name="segnet")
    if weights is not None:
        vgg16 = pretrained(keras.applications.VGG16, weights)
        sources = [layer for layer in vgg16.layers if isinstance(layer, layers.Conv2D)]
        for source, target in zip(sources, encoder_layers(model), strict=True):
            target.set_weights(source.get_weights())
    return model


def encoder_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of a SegNet that take VGG16's weights: its thirteen encoder convolutions.

    Example:
        >>> len(encoder_layers(segnet(32, width=0.1)))
        13
    """
    convolutions = [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]
    return [layer for layer in convolutions if layer.name.startswith("block")]
