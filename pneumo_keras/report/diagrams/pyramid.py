"""Figure 2, DeepLabV3, drawn from the built model: backbone, pyramid and what follows it."""

from __future__ import annotations

import keras
from keras import layers
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from pneumo_keras.report.diagrams.backbone import (
    ATROUS,
    HEIGHT,
    PITCH,
    PLAIN,
    TABLE,
    TOP,
    draw_backbone,
    heading,
)
from pneumo_keras.report.diagrams.drawing import arrow, box, corner_note, lines, page
from pneumo_keras.report.diagrams.topology import (
    Branch,
    Stage,
    after_pyramid,
    backbone_stages,
    consumer,
    feature_shape,
    pyramid,
    source,
)
from pneumo_keras.report.style import INK, PAGE_WIDTH, SMALL, drawing

BOTTOM = 0.3  # of pyramid and tail, inches
BRANCH_WIDTH, TAIL_WIDTH = 1.42, 1.42
POOLED, OTHER = "#A5D6C4", "#F2F2F2"
CENTRE_NOTE = "* rate ≥ size: only the centre tap of the 3×3 ever meets a feature"


def deeplabv3_figure(model: keras.Model) -> Figure:
    """Figure 2: DeepLabV3's atrous backbone, its pyramid (ASPP) and the way to the output.

    Said where it is so: a 3x3 whose rate is not below the side of the features is a 1x1.

    Args:
        model: as `pneumo_keras.models.deeplabv3.deeplab_v3` built it, any backbone, with or
            without decoder.

    Returns:
        The figure, a page wide with a ResNet.

    Example:
        >>> from pneumo_keras.models.deeplabv3 import deeplab_v3
        >>> figure = deeplabv3_figure(deeplab_v3(32, width=0.1))
        >>> texts = {text.get_gid(): text.get_text() for text in figure.axes[0].texts}
        >>> texts["rate:conv5"]
        '2, 4, 8*'
    """
    backbone = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    stages = backbone_stages(backbone)
    branches, joint = pyramid(model)
    after = after_pyramid(model, joint)
    extra = PITCH * max(0, len(stages) - 5)
    with drawing(PAGE_WIDTH + extra, HEIGHT) as figure:
        axes = page(figure)
        tops, out = draw_backbone(axes, model.input_shape[1], stages)
        x = TABLE + PITCH * (len(stages) + 1) + 0.2
        bar = _draw_pyramid(axes, x, out, branches, joint)
        joints = _draw_tail(axes, x + BRANCH_WIDTH + 0.5, bar, after)
        low_level = backbone.outputs[0]
        for joint in joints:
            _draw_low_level(axes, stages, tops, source(low_level).name, *joint)
        starred = [text for text in axes.texts if text.get_text().endswith("*")]
        if starred:
            axes.text(0.08, 0.06, CENTRE_NOTE, ha="left", va="bottom", fontsize=SMALL)
        corner_note(axes, PAGE_WIDTH + extra - 0.1, f"{model.count_params():,} parameters")
    return figure


def _draw_pyramid(
    axes: Axes,
    x: float,
    start: tuple[float, float],
    branches: list[Branch],
    joint: layers.Concatenate,
) -> float:
    """The branches and the bar that joins them; its right edge."""
    gap, bottom, top = 0.09, BOTTOM, TOP
    height = (top - bottom + gap) / len(branches) - gap
    heading(axes, x, "Atrous spatial pyramid pooling")
    bar, trunk = x + BRANCH_WIDTH + 0.14, x - 0.12
    middles = [top - height / 2 - number * (height + gap) for number in range(len(branches))]
    arrow(axes, start, (trunk, start[1]), style="-", width=0.6)
    arrow(axes, (trunk, middles[0]), (trunk, middles[-1]), style="-", width=0.6)
    for middle, branch in zip(middles, branches, strict=True):
        rate = branch.convolution.dilation_rate[0]
        colour = POOLED if branch.pooled else ATROUS if rate > 1 else PLAIN
        box(
            axes,
            x,
            middle - height / 2,
            BRANCH_WIDTH,
            height,
            colour=colour,
            gid=branch.convolution.name,
        )
        _draw_taps(axes, x + 0.24, middle, branch)
        lines(axes, x + 0.47, middle, _words(branch), align="left")
        arrow(axes, (trunk, middle), (x, middle), width=0.6)
        arrow(axes, (x + BRANCH_WIDTH, middle), (bar, middle), width=0.6)
    box(axes, bar, bottom, 0.17, top - bottom, colour=OTHER, gid=joint.name)
    axes.text(
        bar + 0.085,
        (top + bottom) / 2,
        f"concatenation  {_shape(joint)}",
        rotation=90,
        ha="center",
        va="center",
        fontsize=SMALL,
    )
    return bar + 0.17


def _words(branch: Branch) -> str:
    kernel = "{}×{}".format(*branch.convolution.kernel_size)
    shape = _shape(branch.convolution)
    if branch.pooled:
        return f"image pooling\n{kernel}: {shape}"
    if kernel == "1×1":
        return f"{kernel}\n{shape}"
    text = f"{kernel}, rate {branch.convolution.dilation_rate[0]}\n{shape}"
    return text + "\ncentre tap only*" if branch.only_centre else text


def _draw_taps(axes: Axes, x: float, y: float, branch: Branch) -> None:
    """The taps of the convolution: full where they can meet a feature, hollow where not."""
    if branch.pooled:
        axes.add_patch(Rectangle((x - 0.11, y - 0.11), 0.22, 0.22, facecolor=INK, linewidth=0))
        return
    reach = branch.convolution.kernel_size[0] // 2
    step = 0.05 + 0.07 * branch.convolution.dilation_rate[0] / (
        6 + branch.convolution.dilation_rate[0]
    )
    for row in range(-reach, reach + 1):
        for column in range(-reach, reach + 1):
            dead = branch.only_centre and (row or column)
            axes.add_patch(
                Circle(
                    (x + column * step, y + row * step),
                    0.021,
                    linewidth=0.5,
                    edgecolor=INK,
                    facecolor="white" if dead else INK,
                )
            )


def _shape(layer: layers.Layer) -> str:
    return "×".join(map(str, feature_shape(layer)))


def _draw_tail(
    axes: Axes, x: float, start: float, after: list[layers.Layer]
) -> list[tuple[float, float, layers.Layer]]:
    """The layers behind the pyramid, downwards; where low-level features join, and from what."""
    merged = (layers.BatchNormalization, layers.ReLU)
    steps = [layer for layer in after if not isinstance(layer, merged)]
    words = [_tail_words(layer) for layer in steps]
    heights = [0.31 if "\n" in text else 0.2 for text in words]
    gap = (TOP - BOTTOM - sum(heights)) / (len(steps) - 1)
    heading(axes, x, "Output")
    joints, y = [], TOP + gap
    for layer, text, height in zip(steps, words, heights, strict=True):
        y -= gap + height
        dilated = isinstance(layer, layers.Conv2D) and layer.dilation_rate[0] > 1
        colour = ATROUS if dilated else PLAIN if isinstance(layer, layers.Conv2D) else OTHER
        box(axes, x, y, TAIL_WIDTH, height, text, colour=colour, gid=layer.name)
        middle = y + height / 2
        above = (x + TAIL_WIDTH / 2, y + height)
        if layer is steps[0]:
            arrow(axes, (start, middle), (x, middle))
        else:
            arrow(axes, (above[0], above[1] + gap), above)
        if isinstance(layer, layers.Concatenate):
            chain = [source(layer.input[1])]
            while not isinstance(chain[-1], layers.Conv2D):
                chain.append(source(chain[-1].input))
            joints.append((x + TAIL_WIDTH, middle, chain[-1]))
    return joints


def _tail_words(layer: layers.Layer) -> str:
    if isinstance(layer, layers.Conv2D):
        name = "{}×{} convolution".format(*layer.kernel_size)
        if isinstance(consumer(layer), layers.BatchNormalization):
            name = name.replace("convolution", "conv., BN, ReLU")
    elif isinstance(layer, layers.Dropout):
        name = f"dropout {layer.rate:g}"
    elif isinstance(layer, layers.Resizing):
        factor = feature_shape(layer)[0] / layer.input.shape[1]
        return f"{layer.interpolation} upsampling\n×{factor:g}: {_shape(layer)}"
    elif isinstance(layer, layers.Activation):
        name = layer.activation.__name__
    else:
        name = "concatenation"
    same = feature_shape(layer) == tuple(getattr(layer.input, "shape", ()))[1:]
    return name if same else f"{name}\n{_shape(layer)}"


def _draw_low_level(
    axes: Axes,
    stages: list[Stage],
    tops: list[tuple[float, float]],
    name: str,
    x: float,
    y: float,
    convolution: layers.Conv2D,
) -> None:
    """DeepLabV3+: shallow features, over the top, into the decoder."""
    number = next(number for number, stage in enumerate(stages) if name in stage.layers)
    top_x, top_y = tops[number]
    bottom, height, width = HEIGHT - 0.4, 0.34, 1.42
    left = max(0.08, top_x - width / 2)
    words = _tail_words(convolution)
    box(axes, left, bottom, width, height, words, colour=PLAIN, gid=convolution.name)
    arrow(axes, (top_x, top_y), (top_x, bottom))
    side, over = x + 0.11, bottom + height - 0.08
    arrow(axes, (left + width, over), (side, over), (side, y), (x, y))
