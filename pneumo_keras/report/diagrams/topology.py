"""What a built model consists of, read off its layers for the architecture figures."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import keras
from keras import layers

from pneumo_keras.models.layers import MaxPoolingWithIndices2D, MaxUnpooling2D

_UNIT = re.compile(r"(?:(?P<stage>conv\d+)_)?block_?(?P<number>\d+)")


def feature_shape(layer: layers.Layer) -> tuple[int, int, int]:
    """Height, width and channels of what a layer puts out, of the first output where more.

    Example:
        >>> feature_shape(keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(4, 3)]).layers[0])
        (6, 6, 4)
    """
    output = layer.output[0] if isinstance(layer.output, (list, tuple)) else layer.output
    return tuple(output.shape[1:])


def source(tensor: keras.KerasTensor) -> layers.Layer:
    """The layer that a symbolic tensor comes out of."""
    return tensor._keras_history.operation


def consumer(layer: layers.Layer) -> layers.Layer:
    """The layer that takes what this one puts out, the first where there are more."""
    return layer._outbound_nodes[0].operation


def segnet_blocks(model: keras.Model) -> list[list[layers.Layer]]:
    """The layers of a SegNet that are drawn, by block: five down, five up, the head.

    Example:
        >>> from pneumo_keras.models.segnet import segnet
        >>> [len(block) for block in segnet_blocks(segnet(32, width=0.1, dropout=0))]
        [3, 3, 4, 4, 4, 4, 4, 4, 3, 2, 2]
    """
    drawn = (
        layers.Conv2D,
        layers.Dropout,
        layers.Activation,
        MaxPoolingWithIndices2D,
        MaxUnpooling2D,
    )
    blocks: list[list[layers.Layer]] = [[]]
    head = [layer for layer in model.layers if isinstance(layer, layers.Conv2D)][-1]
    for layer in model.layers:
        if not isinstance(layer, drawn):
            continue
        pooled = any(isinstance(before, MaxPoolingWithIndices2D) for before in blocks[-1])
        down_again = pooled and isinstance(layer, layers.Conv2D)
        if isinstance(layer, MaxUnpooling2D) or layer is head or down_again:
            blocks.append([])
        blocks[-1].append(layer)
    return blocks


@dataclass(frozen=True)
class Stage:
    """A run of units of a backbone with one shape of features.

    Attributes:
        name: as in the backbone, `conv5`, or `4–12` for numbered blocks.
        units: how many there are.
        shape: height, width, channels.
        stride: how much smaller than the film.
        rates: dilation rate of the convolutions; one of each unit where they differ.
        layers: names of all layers in it.
    """

    name: str
    units: int
    shape: tuple[int, int, int]
    stride: int
    rates: tuple[int, ...]
    layers: tuple[str, ...]


def backbone_stages(backbone: keras.Model) -> list[Stage]:
    """The stages of an atrous backbone, the first convolutions ("stem") among them.

    Units are told by the names of `keras.applications`; layers without one belong to the unit
    before them.
    """
    size = backbone.input_shape[1]
    units: dict[str, list[layers.Layer]] = {}
    unit = "stem"
    for layer in backbone.layers:
        named = _UNIT.match(layer.name)
        unit = named.group() if named else unit
        units.setdefault(unit, []).append(layer)
    runs: list[list[str]] = []
    for unit, members in units.items():
        if not any(hasattr(member, "kernel_size") for member in members):
            continue
        shape = feature_shape(members[-1])
        if runs and shape == feature_shape(units[runs[-1][0]][-1]) and "stem" not in runs[-1]:
            runs[-1].append(unit)
        else:
            runs.append([unit])
    stages = []
    for run in runs:
        shape = feature_shape(units[run[-1]][-1])
        rates = tuple(_rate(units[unit]) for unit in run)
        stages.append(
            Stage(
                _stage_name(run),
                len(run),
                shape,
                2 ** round(math.log2(size / shape[0])),
                rates if len(set(rates)) > 1 else rates[:1],
                tuple(layer.name for unit in run for layer in units[unit]),
            )
        )
    return stages


def _rate(unit: list[layers.Layer]) -> int:
    spatial = [layer for layer in unit if max(getattr(layer, "kernel_size", (1,))) > 1]
    return max((max(layer.dilation_rate) for layer in spatial), default=1)


def _stage_name(run: list[str]) -> str:
    first, last = _UNIT.match(run[0]), _UNIT.match(run[-1])
    if first is None:
        return run[0]
    if first["stage"]:
        return first["stage"]
    return "–".join(dict.fromkeys((first["number"], last["number"])))


@dataclass(frozen=True)
class Branch:
    """A branch of the atrous spatial pyramid.

    Attributes:
        convolution: its layer.
        pooled: whether it sees the mean of the whole image.
        only_centre: whether its rate is so large that no tap but the centre one meets a feature.
    """

    convolution: layers.Conv2D
    pooled: bool
    only_centre: bool


def pyramid(model: keras.Model) -> tuple[list[Branch], layers.Concatenate]:
    """The branches of the atrous spatial pyramid from the top, and where they join."""
    joint = next(
        layer
        for layer in model.layers
        if isinstance(layer, layers.Concatenate) and len(layer.input) > 2
    )
    branches = []
    for tensor in joint.input:
        chain = [source(tensor)]
        while not isinstance(chain[-1], keras.Model):
            chain.append(source(chain[-1].input))
        convolution = next(layer for layer in chain if isinstance(layer, layers.Conv2D))
        pooled = any(isinstance(layer, layers.GlobalAveragePooling2D) for layer in chain)
        outside = centre_only(convolution.dilation_rate[0], feature_shape(convolution))
        spatial = convolution.kernel_size[0] > 1
        branches.append(Branch(convolution, pooled, spatial and outside))
    return branches, joint


def centre_only(rate: int, shape: tuple[int, int, int]) -> bool:
    """Whether of a dilated 3x3 only the centre tap can meet a feature, wherever it stands.

    Example:
        >>> centre_only(18, (16, 16, 256)), centre_only(15, (16, 16, 256))
        (True, False)
    """
    return rate >= max(shape[:2])


def after_pyramid(model: keras.Model, joint: layers.Layer) -> list[layers.Layer]:
    """The layers from behind the pyramid to the output, in order."""
    chain = [source(model.outputs[0])]
    while True:
        tensor = chain[-1].input
        before = source(tensor[0] if isinstance(tensor, list) else tensor)
        if before is joint:
            return chain[::-1]
        chain.append(before)
