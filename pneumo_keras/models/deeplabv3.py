"""DeepLabV3: an atrous backbone from `keras.applications` and atrous spatial pyramid pooling.

Chen, Papandreou, Schroff and Adam (2017); section 3.3 and Figure 2 of the paper.
"""

import functools

import keras
from keras import layers

from pneumo_keras.models.backbones import BACKBONES, atrous_backbone
from pneumo_keras.models.layers import (
    InputScaling,
    convolution_block,
    image_input,
    l2_regularizer,
)
from pneumo_keras.models.saving import standard_settings

ASPP_FILTERS = 256
LOW_LEVEL_FILTERS = 48  # DeepLabV3+ only: few, so that they do not outweigh the deep features


@standard_settings()
def deeplab_v3(
    size: int = 256,
    *,
    backbone: str = "resnet50",
    output_stride: int = 16,
    atrous_rates: tuple[int, ...] = (6, 12, 18),
    decoder: bool = False,
    width: float = 1.0,
    weights: str | None = None,
    scaling: str | None = None,
    dropout: float = 0.5,
    l2: float = 0.0,
) -> keras.Model:
    """Build DeepLabV3, or DeepLabV3+ with `decoder=True`, with a one-channel sigmoid output.

    39,126,145 parameters with ResNet50 at full width. At 256x256 and output stride 16 the
    features are 16x16, where the rate-18 branch is a 1x1 convolution: every tap but the centre
    one falls on padding. At output stride 8 all taps are alive.

    Args:
        size: side of the images, pixels, a multiple of `output_stride`.
        backbone: `"resnet50"`, `"resnet101"`, `"mobilenet_v2"` or `"xception"`.
        output_stride: side of the images divided by that of the deep features, 8 or 16.
        atrous_rates: rates of the 3x3 branches of the pyramid, used as given (the original
            doubles (6, 12, 18) at output stride 8).
        decoder: add DeepLabV3+'s decoder (48 channels at a quarter of the size, two 3x3
            convolutions). The paper's Table 1 says only "Decoder"; without it the logits are
            upsampled bilinearly, which is DeepLabV3.
        width: factor on the number of channels of every layer; 1 is DeepLabV3.
        weights: `"imagenet"`, the path of a `.weights.h5` of the backbone without top, or None.
        scaling: how images are scaled inside the model; by default as the backbone was trained.
        dropout: rate after the projection of the pyramid.
        l2: weight of the L2 penalty on convolution kernels.

    Returns:
        A model from images (batch, size, size, any channels), 0..255, to the probability of the
        target at each pixel, float32 (batch, size, size, 1), 0..1.

    Raises:
        ValueError: for a size, backbone or output stride that does not fit, or for pretrained
            weights at another width than 1.
        WeightsUnavailable: if ImageNet weights are asked for and cannot be downloaded.

    Example:
        >>> deeplab_v3(64).count_params()
        39126145
    """
    filters = max(1, round(width * ASPP_FILTERS))
    block = functools.partial(convolution_block, use_bias=False, epsilon=1e-5, l2=l2)

    # === Backbone ===
    image = image_input(size, output_stride, "DeepLabV3")
    trunk = atrous_backbone(
        backbone, size, output_stride=output_stride, width=width, weights=weights, l2=l2
    )
    x = InputScaling(scaling or BACKBONES[backbone].scaling, name="input_scaling")(image)
    low_level, features = trunk(x)

    # === Atrous spatial pyramid pooling ===
    branches = [block(features, filters, 1, "pyramid_1x1")]
    branches += [
        block(features, filters, 3, f"pyramid_rate{rate}", rate=rate) for rate in atrous_rates
    ]
    x = layers.GlobalAveragePooling2D(keepdims=True, name="pyramid_pooling")(features)
    x = block(x, filters, 1, "pyramid_pooling_conv")
    upsampling = layers.UpSampling2D(features.shape[1:3], name="pyramid_pooling_upsampling")
    x = layers.Concatenate(name="pyramid_concatenation")([*branches, upsampling(x)])
    x = block(x, filters, 1, "pyramid_projection")
    if dropout:
        x = layers.Dropout(dropout, name="pyramid_dropout")(x)

    # === Decoder ===
    if decoder:
        shallow = max(1, round(width * LOW_LEVEL_FILTERS))
        low_level = block(low_level, shallow, 1, "decoder_low_level")
        # Keras calls Resizing with training=True by default, and every layer behind it with it.
        resizing = layers.Resizing(*low_level.shape[1:3], name="decoder_resizing")
        x = resizing(x, training=False)
        x = layers.Concatenate(name="decoder_concatenation")([x, low_level])
        x = block(x, filters, 3, "decoder_conv1")
        x = block(x, filters, 3, "decoder_conv2")
    # He, not the original's deviation of 0.01: while nearly all pixels are background, Adam's first
    # steps would make every such small weight negative, and no probability could exceed 0.5.
    x = layers.Conv2D(
        1, 1, kernel_initializer="he_normal", kernel_regularizer=l2_regularizer(l2), name="head"
    )(x)
    # Bilinear and half-pixel centred, so no shift has to be undone.
    x = layers.Resizing(size, size, name="upsampling")(x, training=False)
    # float32 also under mixed precision: 16 bits cannot hold a probability near 1.
    probability = layers.Activation("sigmoid", dtype="float32", name="probability")(x)
    return keras.Model(image, probability, name="deeplab_v3_plus" if decoder else "deeplab_v3")
