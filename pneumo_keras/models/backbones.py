"""Backbones of keras.applications, made atrous by cloning them with other strides and rates.

Nothing of a backbone is written again: the layers, their names and the order of their weights
stay those of `keras.applications`, so ImageNet weights load as they are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException

import keras
from keras import layers

from pneumo_keras.models.atrous import AtrousConv2D
from pneumo_keras.models.layers import BatchNormalization

BATCH_NORM_MOMENTUM = 0.9
# Rates of the three units of the last block, times its base rate (Chen et al., section 3.2).
MULTI_GRID = (1, 2, 4)
# The last BatchNorm of a ResNet's units. From random weights it begins at zero, so that every unit
# begins as the identity (Goyal et al., 2017, section 5.1) and a short training gets further.
RESIDUAL_END = r"conv\d_block\d+_3_bn"


@dataclass(frozen=True)
class Backbone:
    """What differs between backbones.

    Attributes:
        build: its constructor in `keras.applications`.
        scaling: the film scaling its ImageNet weights were trained with, see `FilmScaling`.
        low_level: name of the layer at a quarter of the size that DeepLabV3+'s decoder reads.
        last_units: pattern of the 3x3 convolutions that multi-grid applies to, unit captured.
    """

    build: Callable[..., keras.Model]
    scaling: str
    low_level: str
    last_units: str | None = None


BACKBONES = {
    "resnet50": Backbone(
        keras.applications.ResNet50, "caffe", "conv2_block3_out", r"conv5_block(\d)_2_conv"
    ),
    "resnet101": Backbone(
        keras.applications.ResNet101, "caffe", "conv2_block3_out", r"conv5_block(\d)_2_conv"
    ),
    "mobilenet_v2": Backbone(keras.applications.MobileNetV2, "tf", "block_2_add"),
    "xception": Backbone(keras.applications.Xception, "tf", "block3_sepconv2_bn"),
}


class WeightsUnavailable(ConnectionError):
    """ImageNet weights were asked for and could not be downloaded."""


def pretrained(build: Callable[..., keras.Model], weights: str | None, **kwargs) -> keras.Model:
    """Builds a `keras.applications` model without top, telling a failed download apart.

    Args:
        build: the constructor.
        weights: `"imagenet"`, the path of a `.weights.h5`, or None for random.
        **kwargs: passed to the constructor.

    Raises:
        WeightsUnavailable: if `weights` is `"imagenet"` and the download fails.
        ValueError: if `weights` is a path that is not there or holds another network.

    Example:
        >>> pretrained(keras.applications.VGG16, None).count_params()
        14714688
    """
    try:
        return build(include_top=False, weights=weights, **kwargs)
    except Exception as error:
        # keras.utils.get_file raises a bare Exception, whatever kept it from the network; what
        # breaks a download off later comes through as it is.
        broken_off = isinstance(error, (ConnectionError, TimeoutError, HTTPException))
        if weights == "imagenet" and (broken_off or "URL fetch failure" in str(error)):
            raise WeightsUnavailable(f"ImageNet weights cannot be downloaded: {error}") from error
        raise


def atrous_backbone(
    name: str,
    size: int,
    *,
    output_stride: int = 16,
    width: float = 1.0,
    weights: str | None = None,
    l2: float = 0.0,
) -> keras.Model:
    """A backbone whose features are no smaller than the film divided by the output stride.

    Every stride beyond `output_stride` becomes 1, and the convolutions behind it are dilated by
    what was saved, so that each still sees what it was trained to see (but for Xception's
    poolings, which cannot be dilated). ResNets also get the multi-grid (1, 2, 4) in their last
    block.

    Args:
        name: a key of `BACKBONES`.
        size: side of the films, pixels.
        output_stride: 8 or 16.
        width: factor on the number of channels of every layer.
        weights: `"imagenet"`, the path of a `.weights.h5` without top, or None.
        l2: weight of the L2 penalty on convolution kernels.

    Returns:
        A model named `backbone` from scaled films (batch, size, size, 3) to two feature maps:
        those at a quarter of the size, and the deepest, at 1/`output_stride`.

    Raises:
        ValueError: for an unknown name or output stride, or weights at another width than 1.

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
        _make_atrous(config, layer, _stride_before(layer, size), output_stride)
        _multi_grid(config, backbone.last_units)
        _shrink(config, width)
        _regularise(config, l2)
        if isinstance(layer, layers.BatchNormalization):
            config["momentum"] = BATCH_NORM_MOMENTUM
            if weights is None and re.fullmatch(RESIDUAL_END, layer.name):
                config["gamma_initializer"] = "zeros"
            return BatchNormalization.from_config(config)
        if type(layer) is layers.Conv2D and max(_pair(config["dilation_rate"])) > 1:
            return AtrousConv2D.from_config(config)
        return layer.__class__.from_config(config)

    atrous = keras.models.clone_model(original, clone_function=changed)
    if weights is not None:
        atrous.set_weights(original.get_weights())
    low_level = atrous.get_layer(backbone.low_level).output
    return keras.Model(atrous.inputs, [low_level, atrous.outputs[0]], name="backbone")


def _stride_before(layer: layers.Layer, size: int) -> int:
    """How much smaller than the film the input of a layer is, as a power of two."""
    features = layer.input[0] if isinstance(layer.input, list) else layer.input
    # Rounded, for backbones that lose a border pixel to unpadded convolutions on the way.
    return 2 ** round(math.log2(size / features.shape[1])) if len(features.shape) == 4 else 1


def _make_atrous(config: dict, layer: layers.Layer, stride: int, output_stride: int) -> None:
    if stride < output_stride:
        return
    rate = stride // output_stride
    if max(_pair(config.get("strides", 1))) > 1:
        config["strides"] = (1, 1)
    if max(_pair(config.get("kernel_size", 1))) > 1:
        config["dilation_rate"] = (rate, rate)
    if isinstance(layer, layers.ZeroPadding2D):
        # It pads for the 3x3 convolution behind it, whose reach is now its rate on each side.
        config["padding"] = ((rate, rate), (rate, rate))


def _multi_grid(config: dict, pattern: str | None) -> None:
    unit = re.fullmatch(pattern, config["name"]) if pattern else None
    if unit:
        grid = MULTI_GRID[int(unit.group(1)) - 1]
        config["dilation_rate"] = tuple(grid * rate for rate in _pair(config["dilation_rate"]))


def _shrink(config: dict, width: float) -> None:
    if config.get("filters"):
        config["filters"] = max(1, round(width * config["filters"]))


def _regularise(config: dict, l2: float) -> None:
    for key in ("kernel_regularizer", "depthwise_regularizer", "pointwise_regularizer"):
        if l2 and key in config:
            config[key] = keras.regularizers.serialize(keras.regularizers.L2(l2))


def _pair(value) -> tuple:
    return tuple(value) if isinstance(value, (list, tuple)) else (value, value)
