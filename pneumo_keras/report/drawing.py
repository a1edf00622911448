"""Boxes, slabs and arrows for the architecture figures and the flow charts.

All positions are inches from the lower left corner of the page.
"""

from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Polygon
from matplotlib.path import Path

from pneumo_keras.report.style import INK, SMALL, tinted

LINE = 0.7  # points
LINE_SPACING = 0.128  # inches
DEPTH_RIGHT, DEPTH_UP = 0.10, 0.07  # of a slab, as shares of its height
POINT = tuple[float, float]


class Anchors(NamedTuple):
    """Points of a drawn shape that arrows start and end at."""

    left: POINT
    right: POINT
    top: POINT
    bottom: POINT


def page(figure: Figure) -> Axes:
    """Empty axes over the whole figure, in inches.

    Example:
        >>> page(Figure(figsize=(3, 2))).get_xlim()
        (np.float64(0.0), np.float64(3.0))
    """
    width, height = figure.get_size_inches()
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    return axes


def write(axes: Axes, x: float, y: float, text: str, **settings) -> None:
    """Write small text, centred on a point unless the settings of `Axes.text` differ."""
    axes.text(x, y, text, **{"ha": "center", "va": "center_baseline", "fontsize": SMALL} | settings)


def write_lines(axes: Axes, x: float, middle: float, text: str, **settings) -> None:
    """Write lines of text about a middle, the first one bold where there are more."""
    lines = text.split("\n")
    for number, line in enumerate(lines):
        weight = "bold" if number == 0 and len(lines) > 1 else "normal"
        y = middle + LINE_SPACING * ((len(lines) - 1) / 2 - number)
        write(axes, x, y, line, fontweight=weight, **settings)


def box(
    axes: Axes,
    x: float,
    y: float,
    width: float,
    height: float,
    text: str = "",
    *,
    colour="#F2F2F2",
    edge=INK,
    gid: str | None = None,
) -> Anchors:
    """Draw a rounded box from its lower left corner, with `write_lines` in its middle.

    `colour` is that of the inside, `edge` that of the border, `gid` its name in the SVG.
    """
    style = "round,pad=0,rounding_size=0.05"
    look = {"facecolor": colour, "edgecolor": edge, "linewidth": LINE, "gid": gid}
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=style, **look))
    centre, middle = x + width / 2, y + height / 2
    write_lines(axes, centre, middle, text)
    return Anchors((x, middle), (x + width, middle), (centre, y + height), (centre, y))


def slab(
    axes: Axes, x: float, middle: float, thickness: float, height: float, colour: str, gid: str
) -> Anchors:
    """Draw a feature map in perspective: its side as the height, its channels as the thickness.

    The front begins at `x` and has its middle at `middle`; its top is lighter, its side darker
    than `colour`. `gid` is the name of the front in the SVG.
    """
    right, up = DEPTH_RIGHT * height, DEPTH_UP * height
    end, bottom, top = x + thickness, middle - height / 2, middle + height / 2
    front = [(x, bottom), (end, bottom), (end, top), (x, top)]
    above = [(x, top), (end, top), (end + right, top + up), (x + right, top + up)]
    side = [(end, bottom), (end, top), (end + right, top + up), (end + right, bottom + up)]
    for corners, lightness, name in ((above, 0.35, None), (side, -0.18, None), (front, 0.0, gid)):
        look = {"edgecolor": INK, "linewidth": 0.35, "joinstyle": "round", "gid": name}
        axes.add_patch(Polygon(corners, facecolor=tinted(colour, lightness), **look))
    centre = x + thickness / 2
    return Anchors(
        left=(x, middle),
        right=(end + right / 2, middle),
        top=(centre + right / 2, top + up / 2),
        bottom=(centre, bottom),
    )


def arrow(
    axes: Axes,
    *points: POINT,
    curved: bool = False,
    colour: str = INK,
    style: str = "-|>",
    gid: str | None = None,
) -> None:
    """Draw an arrow through points, straight or (`curved`) along the Bezier curve of four points.

    `style` is matplotlib's arrow style, `"-"` for a line, `gid` the name in the SVG.
    """
    step = Path.CURVE4 if curved else Path.LINETO
    route = Path(points, [Path.MOVETO] + [step] * (len(points) - 1))
    look = {"color": colour, "linewidth": LINE, "joinstyle": "miter", "shrinkA": 0, "shrinkB": 0}
    head = {"arrowstyle": style, "mutation_scale": 6.5}
    axes.add_patch(FancyArrowPatch(path=route, gid=gid, **head, **look))
