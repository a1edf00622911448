"""Figure 1, SegNet, drawn from the built model; Figure 2 is in `pyramid`.

Nothing about the network is typed here: layers, sizes, channels and rates are read off it.
"""

from __future__ import annotations

import itertools
import math

import keras
import numpy as np
from keras import layers
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerPatch
from matplotlib.patches import FancyArrowPatch, Patch

from pneumo_keras.models.layers import MaxPoolingWithIndices2D, MaxUnpooling2D
from pneumo_keras.report.diagrams.drawing import DEPTH_RIGHT, arrow, corner_note, page, slab
from pneumo_keras.report.diagrams.topology import consumer, feature_shape, segnet_blocks, source
from pneumo_keras.report.style import INK, PAGE_WIDTH, SMALL, drawing

HEIGHT, MIDDLE, TALLEST = 3.2, 1.72, 1.35  # inches
THIN = 0.045  # thickness of layers that change no channels, inches
GAP, LABEL = 0.13, 0.55  # least distance between blocks, and between the middles of their labels
MARGIN = 0.1

COLOURS = {
    "convolution": "#8FBFE0",
    "pooling": "#009E73",
    "unpooling": "#E69F00",
    "dropout": "#9A9A9A",
    "head": "#CC79A7",
}
INDICES = "#00664B"


def segnet_figure(model: keras.Model) -> Figure:
    """Figure 1: SegNet as an hourglass of its layers, with the way of the pooling indices.

    A slab is as high as the logarithm of its feature map's side and as thick as the logarithm of
    its channels.

    Args:
        model: as `pneumo_keras.models.segnet.segnet` built it.

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
        tops, spans = _draw_blocks(axes, blocks, model.input_shape[1])
        _draw_indices(axes, blocks, tops)
        _draw_halves(axes, blocks, spans)
        _draw_legend(axes, blocks)
        corner_note(axes, PAGE_WIDTH - MARGIN, f"{model.count_params():,} parameters")
    return figure


def _kind(layer: layers.Layer) -> str:
    if isinstance(layer, MaxPoolingWithIndices2D):
        return "pooling"
    if isinstance(layer, MaxUnpooling2D):
        return "unpooling"
    if isinstance(layer, layers.Dropout):
        return "dropout"
    if isinstance(layer, layers.Activation):
        return "head"
    normalised = isinstance(consumer(layer), layers.BatchNormalization)
    return "convolution" if normalised else "head"


def _thickness(layer: layers.Layer, unit: float) -> float:
    if isinstance(layer, layers.Conv2D):
        return THIN + unit * math.log2(feature_shape(layer)[2])
    return THIN


def _placed(blocks: list[list[layers.Layer]]) -> tuple[float, list[float]]:
    """Thickness of a doubling of channels, and left edges of film and blocks, that fill a page."""
    room = PAGE_WIDTH - 2 * MARGIN - 0.12
    for unit in np.arange(0.06, 0, -0.0005):
        widths = [THIN] + [sum(_thickness(layer, unit) for layer in block) for block in blocks]
        edges = [MARGIN + 0.12]
        for before, after in itertools.pairwise(widths):
            gap = max(GAP, LABEL - (before + after) / 2)
            edges.append(edges[-1] + before + gap)
        if edges[-1] + widths[-1] < room:
            break
    return float(unit), edges


def _draw_blocks(
    axes: Axes, blocks: list[list[layers.Layer]], size: int
) -> tuple[dict[str, tuple[float, float]], list[tuple[float, float]]]:
    """Film and layers; the top of each layer by name, and the left and right edge of each block."""
    unit, edges = _placed(blocks)

    def height(side: int) -> float:
        return max(0.08, TALLEST * math.log2(side) / math.log2(size))

    slab(axes, edges[0], MIDDLE, THIN, height(size), "#DDDDDD", "film")
    label_y = MIDDLE - TALLEST / 2 - 0.1
    axes.text(
        edges[0] + THIN / 2,
        label_y,
        "film\n",
        ha="center",
        va="top",
        fontsize=SMALL,
        linespacing=1.15,
    )
    tops, spans, reach = {}, [], edges[0] + THIN
    for number, (block, x) in enumerate(zip(blocks, edges[1:], strict=True), start=1):
        left = x
        arrow(axes, (reach, MIDDLE), (x, MIDDLE), width=0.6)
        for layer in block:
            thickness = _thickness(layer, unit)
            colour = COLOURS[_kind(layer)]
            side = feature_shape(layer)[0]
            tops[layer.name] = slab(axes, x, MIDDLE, thickness, height(side), colour, layer.name)
            x += thickness
        last_height = height(feature_shape(block[-1])[0])
        reach = x + DEPTH_RIGHT * last_height * 0.5
        spans.append((left, x))
        axes.text(
            (left + x) / 2,
            label_y,
            size_label(block),
            ha="center",
            va="top",
            fontsize=SMALL,
            linespacing=1.15,
            gid=f"size:{number}",
        )
    return tops, spans


def size_label(block: list[layers.Layer]) -> str:
    """Side × side × channels of a block's convolutions; first and last channels where they differ.

    Example:
        >>> from pneumo_keras.models.segnet import segnet
        >>> print(size_label(segnet_blocks(segnet(32, width=0.5))[6]))
        4×4
        ×256→128
    """
    shapes = [feature_shape(layer) for layer in block if isinstance(layer, layers.Conv2D)]
    height, width, first = shapes[0]
    last = shapes[-1][2]
    return f"{height}×{width}\n×{first}" + (f"→{last}" if last != first else "")


def _draw_indices(axes: Axes, blocks: list[list[layers.Layer]], tops: dict) -> None:
    """From each pooling to the unpooling that really takes its indices, nested like an onion."""
    unpoolings = [layer for block in blocks for layer in block if _kind(layer) == "unpooling"]
    for level, unpooling in enumerate(unpoolings):
        pooling = source(unpooling.input[1])
        (start_x, start_y), (end_x, end_y) = tops[pooling.name], tops[unpooling.name]
        apex = MIDDLE + TALLEST / 2 + 0.03 + 0.155 * level
        control = (8 * apex - start_y - end_y) / 6
        arrow(
            axes,
            (start_x, start_y),
            (start_x, control),
            (end_x, control),
            (end_x, end_y),
            curved=True,
            colour=INDICES,
            gid=f"indices:{pooling.name}:{unpooling.name}",
        )


def _draw_halves(axes: Axes, blocks: list[list[layers.Layer]], spans: list) -> None:
    """Braces under encoder and decoder, with the number of their convolutions."""
    kinds = [[_kind(layer) for layer in block] for block in blocks]
    down = [number for number, block in enumerate(kinds) if "pooling" in block]
    up = [number for number, block in enumerate(kinds) if "unpooling" in block]
    y = MIDDLE - TALLEST / 2 - 0.47
    for name, members in (("Encoder", down), ("Decoder", up)):
        count = sum(kinds[number].count("convolution") for number in members)
        left, right = spans[members[0]][0], spans[members[-1]][1]
        arrow(
            axes, (left, y + 0.05), (left, y), (right, y), (right, y + 0.05), style="-", width=0.6
        )
        axes.text(
            (left + right) / 2,
            y - 0.05,
            f"{name}: {count} convolutions",
            ha="center",
            va="top",
            fontsize=SMALL,
            fontweight="bold",
        )


class _ArrowHandler(HandlerPatch):
    """Draws an arrow in the legend as an arrow."""

    def create_artists(self, legend, handle, xdescent, ydescent, width, height, size, transform):
        line = FancyArrowPatch(
            (-xdescent, height / 2),
            (width - xdescent, height / 2),
            arrowstyle="-|>",
            mutation_scale=6.5,
            color=INDICES,
            linewidth=0.7,
            shrinkA=0,
            shrinkB=0,
        )
        line.set_transform(transform)
        return [line]


def _draw_legend(axes: Axes, blocks: list[list[layers.Layer]]) -> None:
    first = {}
    for layer in (layer for block in blocks for layer in block):
        first.setdefault(_kind(layer), layer)
    side = "{0}×{1}".format
    words = {
        "convolution": f"{side(*first['convolution'].kernel_size)} convolution, BatchNorm, ReLU",
        "pooling": "2×2 max pooling",
        "unpooling": "unpooling by indices",
        "dropout": f"dropout {first['dropout'].rate:g}" if "dropout" in first else "",
        "head": f"{side(*first['head'].kernel_size)} convolution, sigmoid",
    }
    handles = [
        Patch(facecolor=COLOURS[kind], edgecolor=INK, linewidth=0.5, label=words[kind])
        for kind in COLOURS
        if kind in first
    ]
    handles.append(FancyArrowPatch((0, 0), (1, 0), label="pooling indices"))
    axes.legend(
        handles=handles,
        handler_map={FancyArrowPatch: _ArrowHandler()},
        ncols=3,
        loc="lower left",
        bbox_to_anchor=(0.0, 0.0),
        borderaxespad=0.3,
        columnspacing=1.6,
        handlelength=1.4,
        handleheight=0.9,
        fontsize=SMALL,
    )
