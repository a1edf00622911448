"""Backbones of `keras.applications`, made atrous by cloning them with other strides and rates.

Layers, their names and the order of weights stay those of `keras.applications`, so ImageNet
weights load unchanged.
"""

import math
import re
from collections.abc import Callable
from http.client import HTTPException
from typing import NamedTuple
from urllib.error import URLError

import keras
import numpy as np
from keras import layers

from pneumo_keras.models.layers import (
    BATCH_NORM_MOMENTUM,
    AtrousConv2D,
    BatchNormalization,
    l2_regularizer,
)
from pneumo_keras.models.saving import standard_settings

# Rates of the three units of the last block, times its base rate (Chen et al., section 3.2).
MULTI_GRID = (1, 2, 4)
# The last batch normalisation of a ResNet's units. With random weights its scale starts at zero, so
# that every unit starts as the identity (Goyal et al., 2017, section 5.1) and trains faster.
RESIDUAL_END = r"conv\d_block\d+_3_bn"
DOWNLOAD_ERRORS = (URLError, HTTPException, ConnectionError, TimeoutError)


class Backbone(NamedTuple):
    """What differs between backbones.

    Attributes:
        build: its constructor in `keras.applications`.
        scaling: the scaling its ImageNet weights were trained with, see `InputScaling`.
        low_level: name of the layer at a quarter of the size that DeepLabV3+'s decoder reads.
        last_units: pattern of the 3x3 convolutions that multi-grid applies to, unit captured.
    """

    build: Callable[..., keras.Model]
    scaling: str
    low_level: str
    last_units: str = ""


_RESNET = ("caffe", "conv2_block3_out", r"conv5_block(\d)_2_conv")
BACKBONES = {
    "resnet50": Backbone(keras.applications.ResNet50, *_RESNET),
    "resnet101": Backbone(keras.applications.ResNet101, *_RESNET),
    "mobilenet_v2": Backbone(keras.applications.MobileNetV2, "tf", "block_2_add"),
    "xception": Backbone(keras.applications.Xception, "tf", "block3_sepconv2_bn"),
}


class WeightsUnavailable(ConnectionError):
    """ImageNet weights were asked for and could not be downloaded."""


@standard_settings()
def pretrained(build: Callable[..., keras.Model], weights: str | None, **kwargs) -> keras.Model:
    """Build a `keras.applications` model without top; a failed download has its own error.

    `weights` is `"imagenet"`, the path of a `.weights.h5`, or None for random ones.

    Raises:
        WeightsUnavailable: if `weights` is `"imagenet"` and the download fails.
        ValueError: if `weights` is a path that does not exist or holds another network.

    Example:
        >>> pretrained(keras.applications.VGG16, None).count_params()
        14714688
    """
    try:
        return build(include_top=False, weights=weights, **kwargs)
    except Exception as error:
        # keras.utils.get_file raises a bare Exception while it handles the error of the download.
        failed = any(isinstance(cause, DOWNLOAD_ERRORS) for cause in (error, error.__context__))
        if weights == "imagenet" and failed:
            raise WeightsUnavailable(f"ImageNet weights cannot be downloaded: {error}") from error
        raise


@standard_settings()
def atrous_backbone(
    name: str,
    size: int,
    *,
    output_stride: int = 16,
    width: float = 1.0,
    weights: str | None = None,
    l2: float = 0.0,
) -> keras.Model:
    """Build a backbone whose features are no smaller than the image divided by the output stride.

    Every stride beyond `output_stride` becomes 1, and the convolutions behind it are dilated
    accordingly, so that each keeps its field of view (except for Xception's poolings, which
    cannot be dilated). ResNets also get the multi-grid (1, 2, 4) in their last block.

    The arguments, and the errors they raise, are those of `deeplab_v3`.

    Returns:
        A model named `backbone` from scaled images (batch, size, size, 3) to two feature maps:
        those at a quarter of the size, and the deepest, at 1/`output_stride`.

    Example:
        >>> [tuple(map_.shape[1:]) for map_ in atrous_backbone("resnet50", 64).outputs]
        [(16, 16, 256), (4, 4, 2048)]
    """
    if name not in BACKBONES:
        raise ValueError(f"backbone must be one of {', '.join(BACKBONES)}; got {name!r}")
    if output_stride not in (8, 16):
        raise ValueError(f"output_stride must be 8 or 16; got {output_stride}")
    if weights is not None and width != 1:
        raise ValueError(f"pretrained weights need width 1; got width {width}")
    backbone = BACKBONES[name]
    original = pretrained(backbone.build, weights, input_shape=(size, size, 3))

    def changed(layer: layers.Layer) -> layers.Layer:
        config = layer.get_config()
        # Rounded: some backbones lose a border pixel to unpadded convolutions.
        stride = 2 ** round(math.log2(size / keras.tree.flatten(layer.input)[0].shape[1]))
        if stride >= output_stride:
            unit = re.fullmatch(backbone.last_units, layer.name)
            grid = MULTI_GRID[int(unit[1]) - 1] if unit else 1
            _make_atrous(config, layer, grid * stride // output_stride)
        if config.get("filters"):
            config["filters"] = max(1, round(width * config["filters"]))
        for kernel in ("kernel", "depthwise", "pointwise"):
            if l2 and f"{kernel}_regularizer" in config:
                config[f"{kernel}_regularizer"] = l2_regularizer(l2)
        if isinstance(layer, layers.BatchNormalization):
            config["momentum"] = BATCH_NORM_MOMENTUM
            if weights is None and re.fullmatch(RESIDUAL_END, layer.name):
                config["gamma_initializer"] = "zeros"
            return BatchNormalization.from_config(config)
        if type(layer) is layers.Conv2D and np.max(config["dilation_rate"]) > 1:
            return AtrousConv2D.from_config(config)
        return layer.__class__.from_config(config)

    atrous = keras.models.clone_model(original, clone_function=changed)
    if weights is not None:
        atrous.set_weights(original.get_weights())
    low_level = atrous.get_layer(backbone.low_level).output
    return keras.Model(atrous.inputs, [low_level, atrous.outputs[0]], name="backbone")


def _make_atrous(config: dict, layer: layers.Layer, rate: int) -> None:
    if np.max(config.get("strides", 1)) > 1:
        config["strides"] = (1, 1)
    if np.max(config.get("kernel_size", 1)) > 1:
        config["dilation_rate"] = (rate, rate)
    if isinstance(layer, layers.ZeroPadding2D):
        # It pads for the 3x3 convolution behind it, which now reaches `rate` pixels on each side.
        config["padding"] = ((rate, rate), (rate, rate))
