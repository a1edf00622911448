"""Figures 1 and 2: the two networks, drawn from the built models (Figure 1 here)."""

import itertools
import math

import keras
from keras import layers
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from pneumo_keras.models.layers import MaxPoolingWithIndices2D, MaxUnpooling2D
from pneumo_keras.report.deeplabv3_diagram import deeplabv3_figure, feature_shape
from pneumo_keras.report.drawing import Anchors, arrow, page, slab, write
from pneumo_keras.report.style import INK, NOTE, PAGE_WIDTH, SMALL, drawing

__all__ = ["deeplabv3_figure", "segnet_figure"]

HEIGHT, MIDDLE, TALLEST = 3.2, 1.72, 1.35  # inches
THIN, DOUBLING = 0.035, 0.0095  # thickness of a layer, and of each doubling of its channels
INDICES = "#00664B"
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
    """Figure 1: the layers of a SegNet, with arrows for the pooling indices.

    A slab's height is the logarithm of its feature map's side, its thickness that of its channels.

    Example:
        >>> from pneumo_keras.models.segnet import segnet
        >>> figure = segnet_figure(segnet(32, width=0.1))
        >>> [text.get_text() for text in figure.axes[0].texts if text.get_gid() == "size:1"]
        ['32×32\\n×6']
    """
    drawn = [layer for layer in model.layers if type(layer) in KINDS]
    with drawing(PAGE_WIDTH, HEIGHT) as figure:
        axes = page(figure)
        slabs = _draw_blocks(axes, drawn, model.input_shape[1])
        _draw_indices(axes, drawn, slabs)
        _draw_braces(axes, drawn, slabs)
        _draw_legend(axes, drawn)
        text = f"{model.count_params():,} parameters"
        write(axes, PAGE_WIDTH - 0.1, 0.06, text, ha="right", va="bottom", color=NOTE)
    return figure


def _kind(layer: layers.Layer) -> str:
    return "head" if layer.name == "head" else KINDS[type(layer)]


def _draw_blocks(axes: Axes, drawn: list[layers.Layer], size: int) -> dict[str, Anchors]:
    """Draw the image and, block by block, the layers and their size; return the layers' slabs."""
    groups = itertools.groupby(drawn, key=lambda layer: layer.name.partition("_")[0])
    *blocks, head, probability = (list(block) for _, block in groups)
    blocks.append(head + probability)
    pitch = (PAGE_WIDTH - 0.1) / (len(blocks) + 1)
    label_y = MIDDLE - TALLEST / 2 - 0.1
    label = {"va": "top", "linespacing": 1.15}

    def draw(x: float, thickness: float, side: int, colour: str, name: str) -> Anchors:
        height = max(0.08, TALLEST * math.log2(side) / math.log2(size))
        return slab(axes, x, MIDDLE, thickness, height, colour, name)

    slabs = {}
    before = draw(0.05 + pitch / 2 - THIN, THIN, size, "#DDDDDD", "image")
    write(axes, 0.05 + pitch / 2, label_y, "image", **label)
    for number, block in enumerate(blocks, start=1):
        shapes = [feature_shape(layer) for layer in block if isinstance(layer, layers.Conv2D)]
        thickness = {
            layer: THIN + DOUBLING * math.log2(feature_shape(layer)[2])
            if isinstance(layer, layers.Conv2D)
            else THIN
            for layer in block
        }
        centre = 0.05 + pitch * (number + 0.5)
        x = centre - sum(thickness.values()) / 2 - 0.03
        arrow(axes, before.right, (x, MIDDLE))
        for layer in block:
            colour, side = COLOURS[_kind(layer)], feature_shape(layer)[0]
            before = slabs[layer.name] = draw(x, thickness[layer], side, colour, layer.name)
            x += thickness[layer]
        height, width, _ = shapes[0]
        channels = dict.fromkeys(str(shape[2]) for shape in (shapes[0], shapes[-1]))
        text = f"{height}×{width}\n×{'→'.join(channels)}"
        write(axes, centre, label_y, text, gid=f"size:{number}", **label)
    return slabs


def _draw_indices(axes: Axes, drawn: list[layers.Layer], slabs: dict[str, Anchors]) -> None:
    """Draw an arrow from each pooling to the unpooling that takes its indices."""
    poolings = [layer for layer in drawn if isinstance(layer, MaxPoolingWithIndices2D)]
    source = {id(layer.output[1]): layer.name for layer in poolings}
    unpoolings = [layer for layer in drawn if isinstance(layer, MaxUnpooling2D)]
    for level, unpooling in enumerate(unpoolings):
        pooling = source[id(unpooling.input[1])]
        start, end = slabs[pooling].top, slabs[unpooling.name].top
        highest = MIDDLE + TALLEST / 2 + 0.03 + 0.155 * level
        control = (8 * highest - start[1] - end[1]) / 6  # of a Bezier curve that reaches so high
        points = (start, (start[0], control), (end[0], control), end)
        gid = f"indices:{pooling}:{unpooling.name}"
        arrow(axes, *points, curved=True, colour=INDICES, gid=gid)


def _draw_braces(axes: Axes, drawn: list[layers.Layer], slabs: dict[str, Anchors]) -> None:
    """Draw braces under encoder and decoder, with the number of their convolutions."""
    y = MIDDLE - TALLEST / 2 - 0.47
    for name, prefix in (("Encoder", "block"), ("Decoder", "decoder")):
        half = [layer for layer in drawn if layer.name.startswith(prefix)]
        count = sum(isinstance(layer, layers.Conv2D) for layer in half)
        left, right = slabs[half[0].name].left[0], slabs[half[-1].name].right[0]
        arrow(axes, (left, y + 0.05), (left, y), (right, y), (right, y + 0.05), style="-")
        text = f"{name}: {count} convolutions"
        write(axes, (left + right) / 2, y - 0.05, text, va="top", fontweight="bold")


def _draw_legend(axes: Axes, drawn: list[layers.Layer]) -> None:
    first = {_kind(layer): layer for layer in reversed(drawn)}
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
