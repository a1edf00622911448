"""DeepLabV3: an atrous backbone from keras.applications and atrous spatial pyramid pooling.

Chen, Papandreou, Schroff and Adam (2017); section 3.3 and Figure 2 of the paper.
"""

from __future__ import annotations

import keras
from keras import layers

from pneumo_keras.models.atrous import AtrousConv2D
from pneumo_keras.models.backbones import BACKBONES, BATCH_NORM_MOMENTUM, atrous_backbone
from pneumo_keras.models.layers import BatchNormalization, FilmScaling, film_input

PYRAMID_FILTERS = 256
# DeepLabV3+ only: few channels of the shallow features, so that they do not drown the deep ones.
LOW_LEVEL_FILTERS = 48


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
    """Builds DeepLabV3, or DeepLabV3+ with `decoder=True`, with a one-channel sigmoid output.

    39,126,145 parameters with ResNet50 at full width. At 256x256 and output stride 16 the
    features are 16x16, so only the centre tap of the rate-18 branch ever meets a feature:
    it is a 1x1 convolution there. Output stride 8 keeps every tap alive.

    Args:
        size: side of the films, pixels, a multiple of `output_stride`.
        backbone: `"resnet50"`, `"resnet101"`, `"mobilenet_v2"` or `"xception"`.
        output_stride: how much smaller the deep features are than the film, 8 or 16.
        atrous_rates: rates of the 3x3 branches of the pyramid, used as given (the original
            doubles (6, 12, 18) at output stride 8).
        decoder: adds DeepLabV3+'s decoder (48 channels at a quarter of the size, two 3x3
            convolutions). The paper's Table 1 says only "Decoder"; without it the logits are
            upsampled bilinearly, which is DeepLabV3.
        width: factor on the number of channels of every layer; 1 is DeepLabV3.
        weights: `"imagenet"`, the path of a `.weights.h5` of the backbone without top, or None.
        scaling: how films are scaled inside the model; by default as the backbone was trained.
        dropout: rate after the projection of the pyramid.
        l2: weight of the L2 penalty on convolution kernels.

    Returns:
        A model from films (batch, size, size, any channels), 0..255, to the probability of the
        target at each pixel, float32 (batch, size, size, 1), 0..1.

    Raises:
        ValueError: for a size, backbone or output stride that does not fit, or for pretrained
            weights at another width than 1.
        WeightsUnavailable: if ImageNet weights are asked for and cannot be downloaded.

    Example:
        >>> deeplab_v3(64).count_params()
        39126145
    """
    filters = max(1, round(width * PYRAMID_FILTERS))

    # === Backbone ===
    film = film_input(size, output_stride, "DeepLabV3")
    trunk = atrous_backbone(
        backbone, size, output_stride=output_stride, width=width, weights=weights, l2=l2
    )
    x = FilmScaling(scaling or BACKBONES[backbone].scaling, name="film_scaling")(film)
    low_level, x = trunk(x)

    # === Atrous spatial pyramid pooling ===
    branches = [_convolution(x, filters, 1, l2, "pyramid_1x1")]
    branches += [
        _convolution(x, filters, 3, l2, f"pyramid_rate{rate}", rate) for rate in atrous_rates
    ]
    branches.append(_image_pooling(x, filters, l2))
    x = layers.Concatenate(name="pyramid_concatenation")(branches)
    x = _convolution(x, filters, 1, l2, "pyramid_projection")
    if dropout:
        x = layers.Dropout(dropout, name="pyramid_dropout")(x)

    # === Decoder ===
    if decoder:
        shallow = max(1, round(width * LOW_LEVEL_FILTERS))
        low_level = _convolution(low_level, shallow, 1, l2, "decoder_low_level")
        x = layers.Resizing(*low_level.shape[1:3], name="decoder_resizing")(x)
        x = layers.Concatenate(name="decoder_concatenation")([x, low_level])
        x = _convolution(x, filters, 3, l2, "decoder_conv1")
        x = _convolution(x, filters, 3, l2, "decoder_conv2")
    # Not the usual deviation of 0.01: Adam's first steps, while nearly all pixels are background,
    # would turn every weight negative, and features after a ReLU then never reach above 0.5.
    x = layers.Conv2D(
        1,
        1,
        kernel_initializer="he_normal",
        kernel_regularizer=_l2(l2),
        name="head",
    )(x)
    # Bilinear, of the logits: half-pixel centred in Keras 3, so no shift has to be undone.
    x = layers.Resizing(size, size, name="upsampling")(x)
    # float32 also under mixed precision: a probability near 1 does not survive in 16 bits.
    probability = layers.Activation("sigmoid", dtype="float32", name="probability")(x)
    return keras.Model(film, probability, name="deeplab_v3_plus" if decoder else "deeplab_v3")


def _image_pooling(x, filters: int, l2: float):
    height, width = x.shape[1:3]
    x = layers.GlobalAveragePooling2D(keepdims=True, name="pyramid_pooling")(x)
    x = _convolution(x, filters, 1, l2, "pyramid_pooling_conv")
    return layers.UpSampling2D((height, width), name="pyramid_pooling_upsampling")(x)


def _convolution(x, filters: int, kernel: int, l2: float, name: str, rate: int = 1):
    convolution = AtrousConv2D if rate > 1 else layers.Conv2D
    x = convolution(
        filters,
        kernel,
        padding="same",
        dilation_rate=rate,
        use_bias=False,
        kernel_initializer="he_normal",
        kernel_regularizer=_l2(l2),
        name=name,
    )(x)
    x = BatchNormalization(momentum=BATCH_NORM_MOMENTUM, epsilon=1e-5, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _l2(l2: float):
    return keras.regularizers.L2(l2) if l2 else None
