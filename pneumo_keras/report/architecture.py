"""Figures 1 and 2: the two networks, drawn from the built models (Figure 1 here)."""

from __future__ import annotations

import itertools
import math

import keras
from keras import layers
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from pneumo_keras.models.layers import MaxPoolingWithIndices2D, MaxUnpooling2D
from pneumo_keras.report.deeplabv3_diagram import deeplabv3_figure
from pneumo_keras.report.drawing import Anchors, arrow, page, slab, write
from pneumo_keras.report.style import INK, NOTE, PAGE_WIDTH, SMALL, drawing
from pneumo_keras.report.topology import feature_shape, sources

HEIGHT, MIDDLE, TALLEST = 3.2, 1.72, 1.35  # inches
THIN, DOUBLING = 0.035, 0.0095  # thickness of a layer, and of each doubling of its channels
INDICES = "#00664B"
__all__ = ["deeplabv3_figure", "segnet_figure"]
KINDS = {
    layers.Conv2D: "convolution",
    MaxPoolingWithIndices2D: "pooling",
    MaxUnpooling2D: "unpooling",
    layers.Dropout: "dropout",
    layers.Activation: "head",
}
COLOURS = {
    "convolution": "#8FBFE0",
    "pooling": "#009E73",
    "unpooling": "#E69F00",
    "dropout": "#9A9A9A",
    "head": "#CC79A7",
}


def segnet_figure(model: keras.Model) -> Figure:
    """Figure 1: the layers of SegNet, with arrows for the pooling indices.

    A slab's height is the logarithm of its feature map's side, its thickness that of its channels.

    Args:
        model: built by `pneumo_keras.models.segnet.segnet`.

    Returns:
        The figure, a page wide.

    Example:
        >>> from pneumo_keras.models.segnet import segnet
        >>> figure = segnet_figure(segnet(32, width=0.1))
        >>> [text.get_text() for text in figure.axes[0].texts if text.get_gid() == "size:1"]
        ['32×32\\n×6']
    """
    blocks = segnet_blocks(model)
    with drawing(PAGE_WIDTH, HEIGHT) as figure:
        axes = page(figure)
        slabs, spans = _draw_blocks(axes, blocks, model.input_shape[1])
        _draw_indices(axes, model, slabs)
        _draw_halves(axes, blocks, spans)
        _draw_legend(axes, blocks)
        text = f"{model.count_params():,} parameters"
        write(axes, PAGE_WIDTH - 0.1, 0.06, text, ha="right", va="bottom", color=NOTE)
    return figure


def segnet_blocks(model: keras.Model) -> list[list[layers.Layer]]:
    """The layers of a SegNet that are drawn, by block: five down, five up, the head.

    Example:
        >>> from pneumo_keras.models.segnet import segnet
        >>> [len(block) for block in segnet_blocks(segnet(32, width=0.1, dropout=0))]
        [3, 3, 4, 4, 4, 4, 4, 4, 3, 2, 2]
    """
    drawn = [layer for layer in model.layers if type(layer) in KINDS]
    *blocks, head, probability = (
        list(block)
        for _, block in itertools.groupby(drawn, key=lambda layer: layer.name.partition("_")[0])
    )
    return [*blocks, head + probability]


def _kind(layer: layers.Layer) -> str:
    return "head" if layer.name == "head" else KINDS[type(layer)]


def _draw_blocks(
    axes: Axes, blocks: list[list[layers.Layer]], size: int
) -> tuple[dict[str, Anchors], list[tuple[float, float]]]:
    """Draw image and layers; return each slab by its layer, and both edges of each block."""
    pitch = (PAGE_WIDTH - 0.1) / (len(blocks) + 1)
    label_y = MIDDLE - TALLEST / 2 - 0.1
    label = {"va": "top", "linespacing": 1.15}

    def draw(x: float, thickness: float, side: int, colour: str, name: str) -> Anchors:
        height = max(0.08, TALLEST * math.log2(side) / math.log2(size))
        return slab(axes, x, MIDDLE, thickness, height, colour, name)

    slabs, spans = {}, []
    before = draw(0.05 + pitch / 2 - THIN, THIN, size, "#DDDDDD", "image")
    write(axes, 0.05 + pitch / 2, label_y, "image", **label)
    for number, block in enumerate(blocks, start=1):
        thicknesses = [
            THIN + DOUBLING * math.log2(feature_shape(layer)[2])
            if isinstance(layer, layers.Conv2D)
            else THIN
            for layer in block
        ]
        centre = 0.05 + pitch * (number + 0.5)
        left = x = centre - sum(thicknesses) / 2 - 0.03
        arrow(axes, before.right, (left, MIDDLE))
        for layer, thickness in zip(block, thicknesses, strict=True):
            colour, side = COLOURS[_kind(layer)], feature_shape(layer)[0]
            before = slabs[layer.name] = draw(x, thickness, side, colour, layer.name)
            x += thickness
        spans.append((left, x))
        write(axes, centre, label_y, size_label(block), gid=f"size:{number}", **label)
    return slabs, spans


def size_label(block: list[layers.Layer]) -> str:
    """Side × side × channels of a block's convolutions; first and last channels where they differ.

    Example:
        >>> from pneumo_keras.models.segnet import segnet
        >>> print(size_label(segnet_blocks(segnet(32, width=0.5))[6]))
        4×4
        ×256→128
    """
    shapes = [feature_shape(layer) for layer in block if isinstance(layer, layers.Conv2D)]
    height, width, _ = shapes[0]
    channels = dict.fromkeys(str(shape[2]) for shape in (shapes[0], shapes[-1]))
    return f"{height}×{width}\n×{'→'.join(channels)}"


def _draw_indices(axes: Axes, model: keras.Model, slabs: dict[str, Anchors]) -> None:
    """Draw an arrow from each pooling to the unpooling that takes its indices."""
    inputs = sources(model)
    unpoolings = [layer.name for layer in model.layers if isinstance(layer, MaxUnpooling2D)]
    for level, unpooling in enumerate(unpoolings):
        pooling = inputs[unpooling][1].name
        start, end = slabs[pooling].top, slabs[unpooling].top
        highest = MIDDLE + TALLEST / 2 + 0.03 + 0.155 * level
        control = (8 * highest - start[1] - end[1]) / 6  # of a Bezier curve that reaches so high
        points = (start, (start[0], control), (end[0], control), end)
        gid = f"indices:{pooling}:{unpooling}"
        arrow(axes, *points, curved=True, colour=INDICES, gid=gid)


def _draw_halves(axes: Axes, blocks: list[list[layers.Layer]], spans: list) -> None:
    """Draw braces under encoder and decoder, with the number of their convolutions."""
    y = MIDDLE - TALLEST / 2 - 0.47
    kinds = [[_kind(layer) for layer in block] for block in blocks]
    for name, mark in (("Encoder", "pooling"), ("Decoder", "unpooling")):
        members = [number for number, block in enumerate(kinds) if mark in block]
        count = sum(kinds[number].count("convolution") for number in members)
        left, right = spans[members[0]][0], spans[members[-1]][1]
        brace = ((left, y + 0.05), (left, y), (right, y), (right, y + 0.05))
        arrow(axes, *brace, style="-")
        text = f"{name}: {count} convolutions"
        write(axes, (left + right) / 2, y - 0.05, text, va="top", fontweight="bold")


def _draw_legend(axes: Axes, blocks: list[list[layers.Layer]]) -> None:
    first = {_kind(layer): layer for block in reversed(blocks) for layer in reversed(block)}
    kernel = "{0}×{1} convolution".format
    words = {
        "convolution": f"{kernel(*first['convolution'].kernel_size)}, BatchNorm, ReLU",
        "pooling": "2×2 max pooling",
        "unpooling": "unpooling by indices",
        "dropout": f"dropout {first['dropout'].rate:g}" if "dropout" in first else "",
        "head": f"{kernel(*first['head'].kernel_size)}, sigmoid",
    }
    handles = [
        Patch(facecolor=COLOURS[kind], edgecolor=INK, linewidth=0.5, label=words[kind])
        for kind in COLOURS
        if kind in first
    ]
    handles.append(Line2D([], [], color=INDICES, linewidth=1, label="pooling indices"))
    axes.legend(handles=handles, ncols=3, loc="lower left", borderaxespad=0.3, fontsize=SMALL)
