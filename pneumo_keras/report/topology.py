"""The structure of a built model, read off it for the architecture figures."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

# Names of the units of a backbone in `keras.applications`.
UNIT = re.compile(r"(?:(?P<stage>conv\d+)_)?block_?(?P<number>\d+)")


def feature_shape(layer: layers.Layer) -> tuple[int, int, int]:
    """Height, width and channels of the (first) output of a layer.

    Example:
        >>> feature_shape(keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(4, 3)]).layers[0])
        (6, 6, 4)
    """
    return tuple(keras.tree.flatten(layer.output)[0].shape[1:])


def sources(model: keras.Model) -> dict[str, list[layers.Layer]]:
    """The layers whose outputs each layer takes, by the name of the layer.

    They are read from the model's config, as it is written to a `.keras` file.

    Example:
        >>> image = keras.Input((8, 8, 1), name="image")
        >>> model = keras.Model(image, layers.ReLU(name="relu")(image))
        >>> [layer.name for layer in sources(model)["relu"]]
        ['image']
    """
    return {
        layer["name"]: [model.get_layer(name) for name in _source_names(layer["inbound_nodes"])]
        for layer in model.get_config()["layers"]
    }


def _source_names(node) -> Iterator[str]:
    if isinstance(node, dict) and "keras_history" in node:
        yield node["keras_history"][0]
    elif isinstance(node, (dict, list, tuple)):
        for part in node.values() if isinstance(node, dict) else node:
            yield from _source_names(part)


def chain(inputs: dict, first: layers.Layer, last: layers.Layer) -> list[layers.Layer]:
    """The layers from `first`, not included, to `last`, along the first inputs.

    Args:
        inputs: as `sources` returned them.
        first: a layer that `last` depends on.
        last: the last layer.
    """
    layers_back = [last]
    while (before := inputs[layers_back[-1].name][0]) is not first:
        layers_back.append(before)
    return layers_back[::-1]


def centre_only(rate: int, shape: tuple[int, int, int]) -> bool:
    """Whether all taps of a dilated 3x3 but the centre one always fall on padding.

    Example:
        >>> centre_only(18, (16, 16, 256)), centre_only(15, (16, 16, 256))
        (True, False)
    """
    return rate >= max(shape[:2])


@dataclass(frozen=True)
class Stage:
    """Successive units of a backbone with one shape of features.

    Attributes:
        name: as in the backbone, `conv5`, or `4–12` for numbered blocks.
        units: how many there are, 0 for the stem.
        shape: height, width, channels.
        stride: side of the image divided by that of the features.
        rates: dilation rate of the convolutions; one for each unit where they differ.
        layers: names of all its layers.
    """

    name: str
    units: int
    shape: tuple[int, int, int]
    stride: int
    rates: tuple[int, ...]
    layers: tuple[str, ...]


def backbone_stages(backbone: keras.Model) -> list[Stage]:
    """The stages of an atrous backbone, beginning with its first convolutions, the "stem".

    Layers without the name of a unit belong to the unit before them.
    """
    units: dict[str, list[layers.Layer]] = {}
    unit = "stem"
    for layer in backbone.layers:
        named = UNIT.match(layer.name)
        unit = named.group() if named else unit
        units.setdefault(unit, []).append(layer)
    convolutions = {
        unit: [layer for layer in members if hasattr(layer, "kernel_size")]
        for unit, members in units.items()
    }
    shapes = {unit: feature_shape(members[-1]) for unit, members in units.items()}
    runs = itertools.groupby(
        (unit for unit in units if convolutions[unit]),
        key=lambda unit: (unit == "stem", shapes[unit]),
    )
    stages = []
    for (is_stem, shape), run in runs:
        names = list(run)
        rates = [
            int(max(np.max(layer.dilation_rate) for layer in convolutions[unit])) for unit in names
        ]
        stages.append(
            Stage(
                name="stem" if is_stem else _stage_name(names[0], names[-1]),
                units=0 if is_stem else len(names),
                shape=shape,
                stride=2 ** round(math.log2(backbone.input_shape[1] / shape[0])),
                rates=tuple(rates if len(set(rates)) > 1 else rates[:1]),
                layers=tuple(layer.name for unit in names for layer in units[unit]),
            )
        )
    return stages


def _stage_name(first: str, last: str) -> str:
    begin, end = UNIT.match(first), UNIT.match(last)
    return begin["stage"] or "–".join(dict.fromkeys((begin["number"], end["number"])))
