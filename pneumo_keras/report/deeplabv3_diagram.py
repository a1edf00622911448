"""Figure 2, DeepLabV3, drawn from the built model."""

import itertools
import math
import re
from typing import NamedTuple

import keras
import numpy as np
from keras import layers
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pneumo_keras.report.drawing import Anchors, arrow, box, page, slab, write, write_lines
from pneumo_keras.report.style import INK, NOTE, PAGE_WIDTH, drawing

LABELS, PITCH = 0.56, 0.48  # widths of the table's first column and of each other one, inches
TALLEST = 1.5  # slab
BOX_WIDTH, BOX_HEIGHT, STEP = 1.42, 0.31, 0.43  # the last with its arrow
BOTTOM, GAP = 0.3, 0.09  # of the boxes, and between those of the pyramid
PLAIN, ATROUS, POOLED, OTHER = "#8FBFE0", "#F0A07A", "#A5D6C4", "#F2F2F2"
CENTRE_NOTE = "* rate ≥ side: all taps of the 3×3 but the centre one fall on padding"
# Names of the units of a backbone in `keras.applications`.
UNIT = re.compile(r"(?:(?P<stage>conv\d+)_)?block_?(?P<number>\d+)")


def deeplabv3_figure(model: keras.Model) -> Figure:
    """Figure 2: DeepLabV3's atrous backbone, its pyramid (ASPP) and the layers up to the output.

    A star marks a rate that is not below the side of the features, where a 3x3 convolution is a
    1x1 convolution. The figure is a page wide with a ResNet, wider with backbones of more stages.

    Example:
        >>> from pneumo_keras.models.deeplabv3 import deeplab_v3
        >>> figure = deeplabv3_figure(deeplab_v3(32, width=0.1))
        >>> texts = {text.get_gid(): text.get_text() for text in figure.axes[0].texts}
        >>> texts["rate:conv5"]
        '2, 4, 8*'
    """
    backbone = model.get_layer("backbone")
    source = {id(layer.output): layer for layer in model.layers if layer is not backbone}
    image = Stage("image", 0, model.input_shape[1], channels=1, stride=1, rates=[])
    stages = [image, *_backbone_stages(backbone)]
    joints = [layer for layer in model.layers if isinstance(layer, layers.Concatenate)]
    branches = [_chain(source, tensor) for tensor in joints[0].input]
    hidden = (layers.BatchNormalization, layers.ReLU)
    tail = _chain(source, model.output, joints[0])
    steps = [layer for layer in tail if not isinstance(layer, hidden)]
    width = PAGE_WIDTH + PITCH * max(0, len(stages) - 6)
    top = max(3.45, BOTTOM + STEP * len(steps))
    with drawing(width, top + 0.4) as figure:
        axes = page(figure)
        slabs = _draw_backbone(axes, top, stages)
        x = LABELS + PITCH * len(stages) + 0.2
        bar = _draw_pyramid(axes, x, top, slabs[-1], branches, joints[0])
        boxes = _draw_output(axes, x + BOX_WIDTH + 0.5, top, bar, steps)
        for joint in joints[1:]:  # DeepLabV3+
            start = next(part for part, stage in zip(slabs, stages) if stage.low_level)
            convolution = _chain(source, joint.input[1])[0]
            _draw_low_level(axes, top, start, convolution, boxes[joint.name])
        if any(text.get_text().endswith("*") for text in axes.texts):
            write(axes, 0.08, 0.06, CENTRE_NOTE, ha="left", va="bottom")
        text = f"{model.count_params():,} parameters"
        write(axes, width - 0.1, 0.06, text, ha="right", va="bottom", color=NOTE)
    return figure


# === What the model is built of ===


class Stage(NamedTuple):
    """Successive units of a backbone whose features have one shape; a stem has no units.

    There is one dilation rate, or one for each unit where they differ. `low_level`: whether
    DeepLabV3+'s decoder reads its features.
    """

    name: str
    units: int
    side: int
    channels: int
    stride: int
    rates: list[int]
    low_level: bool = False


def _backbone_stages(backbone: keras.Model) -> list[Stage]:
    """The stages of a backbone, beginning with its first convolutions, the "stem"."""
    units: dict[str, list[layers.Layer]] = {}
    unit = "stem"
    for layer in backbone.layers[1:]:  # layers without the name of a unit belong to the one before
        named = UNIT.match(layer.name)
        unit = named.group() if named else unit
        units.setdefault(unit, []).append(layer)
    stages = []
    for (is_stem, shape), run in itertools.groupby(
        units.items(), lambda unit: (unit[0] == "stem", feature_shape(unit[1][-1]))
    ):
        names, members = zip(*run, strict=True)
        rates = [
            max(int(np.max(getattr(layer, "dilation_rate", 1))) for layer in unit)
            for unit in members
        ]
        first, last = UNIT.match(names[0]), UNIT.match(names[-1])
        numbers = "" if is_stem else dict.fromkeys((first["number"], last["number"]))
        outputs = [layer.output for layer in itertools.chain(*members)]
        stages.append(
            Stage(
                name="stem" if is_stem else first["stage"] or "–".join(numbers),
                units=0 if is_stem else len(names),
                side=shape[0],
                channels=shape[2],
                stride=2 ** round(math.log2(backbone.input_shape[1] / shape[0])),
                rates=rates if len(set(rates)) > 1 else rates[:1],
                low_level=any(output is backbone.outputs[0] for output in outputs),
            )
        )
    return stages


def _chain(source: dict, tensor: keras.KerasTensor, end: layers.Layer | None = None) -> list:
    """The layers between `end` (the backbone if None) and a tensor, along the first inputs."""
    path: list[layers.Layer] = []
    while (layer := source.get(id(tensor))) is not end:
        path.append(layer)
        tensor = keras.tree.flatten(layer.input)[0]
    return path[::-1]


def feature_shape(layer: layers.Layer) -> tuple[int, int, int]:
    """Height, width and channels of the (first) output of a layer."""
    return tuple(keras.tree.flatten(layer.output)[0].shape[1:])


def _words(layer: layers.Layer) -> str:
    if isinstance(layer, layers.Dropout):
        return f"dropout {layer.rate:g}"
    if isinstance(layer, layers.Activation):
        return layer.activation.__name__
    if isinstance(layer, layers.Resizing):
        factor = feature_shape(layer)[0] / layer.input.shape[1]
        return f"{layer.interpolation} upsampling\n×{factor:.3g}: {_shape(layer)}"
    if isinstance(layer, layers.Concatenate):
        return f"concatenation\n{_shape(layer)}"
    kind = "convolution" if layer.name == "head" else "conv., BN, ReLU"
    return f"{_kernel(layer)} {kind}\n{_shape(layer)}"


def _kernel(convolution: layers.Conv2D) -> str:
    return "×".join(map(str, convolution.kernel_size))


def _shape(layer: layers.Layer) -> str:
    return "×".join(map(str, feature_shape(layer)))


# === Drawing ===


def _heading(axes: Axes, x: float, top: float, text: str) -> None:
    write(axes, x, top + 0.08, text, ha="left", va="baseline", fontweight="bold")


def _draw_backbone(axes: Axes, top: float, stages: list[Stage]) -> list[Anchors]:
    """Draw the stages as slabs above a table of their properties; return the slabs."""
    _heading(axes, 0.08, top, "Atrous backbone")
    middle, row_height = top - 1.2, 0.155
    table_top = middle - TALLEST / 2 - 0.2
    slabs: list[Anchors] = []
    for number, stage in enumerate(stages):
        rate = max(stage.rates, default=0)
        properties = {
            "block": stage.name,
            "units": stage.units or "",
            "side": stage.side,
            "channels": stage.channels,
            "stride": stage.stride,
            "rate": ", ".join(map(str, stage.rates)) + ("*" if rate >= stage.side else ""),
        }
        x = LABELS + PITCH * (number + 0.5)
        for row, (name, value) in enumerate(properties.items()):
            y, weight = table_top - row_height * row, "normal" if row else "bold"
            look = {"va": "baseline", "fontweight": weight, "gid": f"{name}:{stage.name}"}
            write(axes, x, y, str(value), **look)
            if not number:
                write(axes, 0.08, y, name, ha="left", va="baseline", color=NOTE)
        colour = "#DDDDDD" if not number else ATROUS if rate > 1 else PLAIN
        thickness = 0.03 + 0.0145 * math.log2(stage.channels)
        height = TALLEST * math.log2(stage.side) / math.log2(stages[0].side)
        left = x - thickness / 2 - 0.03
        slabs.append(slab(axes, left, middle, thickness, height, colour, stage.name))
    for before, after in itertools.pairwise(slabs):
        arrow(axes, before.right, after.left)
    right = LABELS + PITCH * len(stages)
    for y in (0.13, -0.045, 0.1 - row_height * len(properties)):
        arrow(axes, (0.08, table_top + y), (right, table_top + y), style="-")
    return slabs


def _draw_pyramid(
    axes: Axes,
    x: float,
    top: float,
    features: Anchors,
    branches: list[list[layers.Layer]],
    joint: layers.Concatenate,
) -> Anchors:
    """Draw the branches from the features, and the bar that joins them; return the bar."""
    _heading(axes, x, top, "Atrous spatial pyramid pooling")
    pitch = (top - BOTTOM + GAP) / len(branches)
    bar = box(axes, x + BOX_WIDTH + 0.14, BOTTOM, 0.17, top - BOTTOM, colour=OTHER, gid=joint.name)
    text = f"concatenation  {_shape(joint)}"
    write(axes, bar.top[0], (top + BOTTOM) / 2, text, rotation=90, va="center")
    for number, branch in enumerate(branches, start=1):
        convolution = next(layer for layer in branch if isinstance(layer, layers.Conv2D))
        pooled = isinstance(branch[0], layers.GlobalAveragePooling2D)
        rate, spatial = convolution.dilation_rate[0], convolution.kernel_size[0] > 1
        dead = spatial and rate >= feature_shape(convolution)[0]
        colour = POOLED if pooled else ATROUS if rate > 1 else PLAIN
        place = (x, top + GAP - number * pitch, BOX_WIDTH, pitch - GAP)
        drawn = box(axes, *place, colour=colour, gid=convolution.name)
        words = _kernel(convolution) + (f", rate {rate}" if spatial else "")
        words = "image pooling\n1×1: " if pooled else f"{words}\n"
        words += _shape(convolution) + ("\ncentre tap only*" if dead else "")
        middle, trunk = drawn.left[1], x - 0.12
        write_lines(axes, x + 0.47, middle, words, ha="left")
        _draw_taps(axes, x + 0.24, middle, convolution, pooled, dead)
        arrow(axes, features.right, (trunk, features.right[1]), (trunk, middle), drawn.left)
        arrow(axes, drawn.right, (bar.left[0], middle))
    return bar


def _draw_taps(
    axes: Axes, x: float, y: float, convolution: layers.Conv2D, pooled: bool, dead: bool
) -> None:
    """Draw the taps of a convolution, hollow where they always fall on padding."""
    rate, reach = convolution.dilation_rate[0], convolution.kernel_size[0] // 2
    taps = (0.05 + 0.07 * rate / (6 + rate)) * np.arange(-reach, reach + 1)
    look = {"linestyle": "", "color": INK, "markeredgewidth": 0.5}
    look |= {"marker": "s", "markersize": 16} if pooled else {"marker": "o", "markersize": 3}
    rows, columns = np.meshgrid(y + taps, x + taps)
    axes.plot(columns.ravel(), rows.ravel(), **look, markerfacecolor="white" if dead else INK)
    axes.plot(x, y, **look)


def _draw_output(
    axes: Axes, x: float, top: float, bar: Anchors, steps: list[layers.Layer]
) -> dict[str, Anchors]:
    """Draw the layers behind the pyramid downwards; return their boxes by the layers' names."""
    _heading(axes, x, top, "Output")
    pitch = (top - BOTTOM - BOX_HEIGHT) / (len(steps) - 1)
    boxes: dict[str, Anchors] = {}
    for number, layer in enumerate(steps):
        place = (x, top - BOX_HEIGHT - number * pitch, BOX_WIDTH, BOX_HEIGHT)
        colour = PLAIN if isinstance(layer, layers.Conv2D) else OTHER
        boxes[layer.name] = box(axes, *place, _words(layer), colour=colour, gid=layer.name)
    drawn = list(boxes.values())
    arrow(axes, (bar.right[0], drawn[0].left[1]), drawn[0].left)
    for before, after in itertools.pairwise(drawn):
        arrow(axes, before.bottom, after.top)
    return boxes


def _draw_low_level(
    axes: Axes, top: float, start: Anchors, convolution: layers.Conv2D, end: Anchors
) -> None:
    """Draw the low-level features' convolution above the backbone, and its arrow to the decoder."""
    left = max(0.08, start.top[0] - BOX_WIDTH / 2)
    look = {"colour": PLAIN, "gid": convolution.name}
    drawn = box(axes, left, top, BOX_WIDTH, BOX_HEIGHT, _words(convolution), **look)
    arrow(axes, start.top, (start.top[0], top))
    side, over = end.right[0] + 0.11, top + 0.25
    arrow(axes, (drawn.right[0], over), (side, over), (side, end.right[1]), end.right)
