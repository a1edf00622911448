"""Figure 2, DeepLabV3, drawn from the built model."""

from __future__ import annotations

import itertools
import math

import keras
import numpy as np
from keras import layers
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pneumo_keras.report.drawing import Anchors, arrow, box, page, slab, write, write_lines
from pneumo_keras.report.style import INK, NOTE, PAGE_WIDTH, drawing
from pneumo_keras.report.topology import (
    Stage,
    backbone_stages,
    centre_only,
    chain,
    feature_shape,
    sources,
)

LABELS, PITCH = 0.56, 0.48  # widths of the table's first column and of each other one, inches
TALLEST = 1.5  # slab
BOX_WIDTH, BOX_HEIGHT, STEP = 1.42, 0.31, 0.43  # the last with its arrow
BOTTOM, GAP = 0.3, 0.09  # of the boxes, and between those of the pyramid
PLAIN, ATROUS, POOLED, OTHER = "#8FBFE0", "#F0A07A", "#A5D6C4", "#F2F2F2"
CENTRE_NOTE = "* rate ≥ side: all taps of the 3×3 but the centre one fall on padding"


def deeplabv3_figure(model: keras.Model) -> Figure:
    """Figure 2: DeepLabV3's atrous backbone, its pyramid (ASPP) and the layers up to the output.

    A star marks a rate that is not below the side of the features, where a 3x3 convolution is a
    1x1 convolution.

    Args:
        model: built by `pneumo_keras.models.deeplabv3.deeplab_v3`, any backbone, with or without
            decoder.

    Returns:
        The figure; a page wide with a ResNet, wider with backbones of more stages.

    Example:
        >>> from pneumo_keras.models.deeplabv3 import deeplab_v3
        >>> figure = deeplabv3_figure(deeplab_v3(32, width=0.1))
        >>> texts = {text.get_gid(): text.get_text() for text in figure.axes[0].texts}
        >>> texts["rate:conv5"]
        '2, 4, 8*'
    """
    inputs, backbone = sources(model), model.get_layer("backbone")
    low_level_output = backbone.get_config()["output_layers"][0][0]
    image = Stage("image", 0, (*model.input_shape[1:3], 1), 1, (), ())
    stages = [image, *backbone_stages(backbone)]
    joints = [layer for layer in model.layers if isinstance(layer, layers.Concatenate)]
    branches = [chain(inputs, backbone, last) for last in inputs[joints[0].name]]
    tail = chain(inputs, joints[0], model.layers[-1])
    steps = [
        part for part in tail if not isinstance(part, (layers.BatchNormalization, layers.ReLU))
    ]
    width = PAGE_WIDTH + PITCH * max(0, len(stages) - 6)
    top = max(3.45, BOTTOM + STEP * len(steps))
    with drawing(width, top + 0.4) as figure:
        axes = page(figure)
        slabs = _draw_backbone(axes, top, stages)
        x = LABELS + PITCH * len(stages) + 0.2
        bar = _draw_pyramid(axes, x, top, slabs[-1], branches, joints[0])
        boxes = _draw_output(axes, x + BOX_WIDTH + 0.5, top, bar, tail, steps)
        for joint in joints[1:]:  # DeepLabV3+
            number = [low_level_output in stage.layers for stage in stages].index(True)
            low_level = chain(inputs, backbone, inputs[joint.name][1])
            _draw_low_level(axes, top, slabs[number], low_level, boxes[joint.name])
        if any(text.get_text().endswith("*") for text in axes.texts):
            write(axes, 0.08, 0.06, CENTRE_NOTE, ha="left", va="bottom")
        text = f"{model.count_params():,} parameters"
        write(axes, width - 0.1, 0.06, text, ha="right", va="bottom", color=NOTE)
    return figure


def _heading(axes: Axes, x: float, top: float, text: str) -> None:
    write(axes, x, top + 0.08, text, ha="left", va="baseline", fontweight="bold")


def _draw_backbone(axes: Axes, top: float, stages: list[Stage]) -> list[Anchors]:
    """Draw the stages as slabs above a table of their properties; return the slabs."""
    _heading(axes, 0.08, top, "Atrous backbone")
    middle = top - 1.2
    table_top, row_height = middle - TALLEST / 2 - 0.2, 0.155
    slabs: list[Anchors] = []
    for number, stage in enumerate(stages):
        side, _, channels = stage.shape
        star = "*" if any(centre_only(rate, stage.shape) for rate in stage.rates) else ""
        properties = {
            "block": stage.name,
            "units": stage.units or "",
            "side": side,
            "channels": channels,
            "stride": stage.stride,
            "rate": ", ".join(map(str, stage.rates)) + star,
        }
        x = LABELS + PITCH * (number + 0.5)
        for row, (name, value) in enumerate(properties.items()):
            y, weight = table_top - row_height * row, "normal" if row else "bold"
            look = {"va": "baseline", "fontweight": weight, "gid": f"{name}:{stage.name}"}
            write(axes, x, y, str(value), **look)
            if stage is stages[0]:
                write(axes, 0.08, y, name, ha="left", va="baseline", color=NOTE)
        colour = "#DDDDDD" if stage is stages[0] else ATROUS if max(stage.rates) > 1 else PLAIN
        thickness = 0.03 + 0.0145 * math.log2(channels)
        height = TALLEST * math.log2(side) / math.log2(stages[0].shape[0])
        left = x - thickness / 2 - 0.03
        slabs.append(slab(axes, left, middle, thickness, height, colour, stage.name))
        if len(slabs) > 1:
            arrow(axes, slabs[-2].right, slabs[-1].left)
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
        dead = spatial and centre_only(rate, feature_shape(convolution))
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
    axes: Axes,
    x: float,
    top: float,
    bar: Anchors,
    tail: list[layers.Layer],
    steps: list[layers.Layer],
) -> dict[str, Anchors]:
    """Draw the layers behind the pyramid downwards; return their boxes by the layers' names."""
    _heading(axes, x, top, "Output")
    pitch = (top - BOTTOM - BOX_HEIGHT) / (len(steps) - 1)
    boxes: dict[str, Anchors] = {}
    for number, layer in enumerate(steps):
        place = (x, top - BOX_HEIGHT - number * pitch, BOX_WIDTH, BOX_HEIGHT)
        colour = PLAIN if isinstance(layer, layers.Conv2D) else OTHER
        boxes[layer.name] = box(axes, *place, _words(layer, tail), colour=colour, gid=layer.name)
    drawn = list(boxes.values())
    arrow(axes, (bar.right[0], drawn[0].left[1]), drawn[0].left)
    for before, after in itertools.pairwise(drawn):
        arrow(axes, before.bottom, after.top)
    return boxes


def _draw_low_level(
    axes: Axes, top: float, start: Anchors, path: list[layers.Layer], end: Anchors
) -> None:
    """Draw the low-level features' convolution above the backbone, and their way to the decoder."""
    left = max(0.08, start.top[0] - BOX_WIDTH / 2)
    look = {"colour": PLAIN, "gid": path[0].name}
    drawn = box(axes, left, top, BOX_WIDTH, BOX_HEIGHT, _words(path[0], path), **look)
    arrow(axes, start.top, (start.top[0], top))
    side, over = end.right[0] + 0.11, top + 0.25
    arrow(axes, (drawn.right[0], over), (side, over), (side, end.right[1]), end.right)


def _words(layer: layers.Layer, path: list[layers.Layer]) -> str:
    if isinstance(layer, layers.Dropout):
        return f"dropout {layer.rate:g}"
    if isinstance(layer, layers.Activation):
        return layer.activation.__name__
    if isinstance(layer, layers.Resizing):
        factor = feature_shape(layer)[0] / layer.input.shape[1]
        return f"{layer.interpolation} upsampling\n×{factor:.3g}: {_shape(layer)}"
    name = "concatenation"
    if isinstance(layer, layers.Conv2D):
        behind = path[path.index(layer) + 1]
        normalised = isinstance(behind, layers.BatchNormalization)
        name = f"{_kernel(layer)} {'conv., BN, ReLU' if normalised else 'convolution'}"
    return f"{name}\n{_shape(layer)}"


def _kernel(convolution: layers.Conv2D) -> str:
    return "×".join(map(str, convolution.kernel_size))


def _shape(layer: layers.Layer) -> str:
    return "×".join(map(str, feature_shape(layer)))
