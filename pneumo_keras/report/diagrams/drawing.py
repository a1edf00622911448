"""Boxes, slabs and arrows: what the architecture figures and the flow charts are made of.

All of it on a page whose unit is the inch, origin at the lower left.
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Polygon
from matplotlib.path import Path

from pneumo_keras.report.style import INK, SMALL, tinted

LINE = 0.7  # points
# How far a slab recedes to the upper right, as a share of its height.
DEPTH_RIGHT, DEPTH_UP = 0.10, 0.07


def page(figure: Figure) -> Axes:
    """Axes over the whole figure, in inches, with nothing drawn.

    Example:
        >>> page(Figure(figsize=(3, 2))).get_xlim()
        (np.float64(0.0), np.float64(3.0))
    """
    width, height = figure.get_size_inches()
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    return axes


def slab(
    axes: Axes, x: float, middle: float, thickness: float, height: float, colour: str, gid: str
) -> tuple[float, float]:
    """A feature map, seen at an angle: its side as the height, its channels as the thickness.

    Args:
        axes: a page.
        x: left edge of the front.
        middle: height on the page of the middle of the front.
        thickness: of the front.
        height: of the front.
        colour: of the front; top and side are a lighter and a darker tint.
        gid: name of the front in the SVG.

    Returns:
        The middle of its top face, where arrows begin and end.
    """
    right, up = DEPTH_RIGHT * height, DEPTH_UP * height
    left, bottom, end, top = x, middle - height / 2, x + thickness, middle + height / 2
    faces = (
        ([(left, top), (end, top), (end + right, top + up), (left + right, top + up)], 0.35, None),
        (
            [(end, bottom), (end, top), (end + right, top + up), (end + right, bottom + up)],
            -0.18,
            None,
        ),
        ([(left, bottom), (end, bottom), (end, top), (left, top)], 0.0, gid),
    )
    for corners, lightness, name in faces:
        axes.add_patch(
            Polygon(
                corners,
                closed=True,
                facecolor=tinted(colour, lightness),
                edgecolor=INK,
                linewidth=0.35,
                joinstyle="round",
                gid=name,
            )
        )
    return (left + end + right) / 2, top + up / 2


def box(
    axes: Axes,
    x: float,
    y: float,
    width: float,
    height: float,
    text: str = "",
    *,
    colour: str = "#F2F2F2",
    edge: str = INK,
    gid: str | None = None,
) -> None:
    """A rounded box with its text in the middle; the first line is bold where there are more.

    Args:
        axes: a page.
        x: left edge.
        y: bottom edge.
        width: inches.
        height: inches.
        text: its lines.
        colour: of the inside.
        edge: of the border.
        gid: name in the SVG.
    """
    axes.add_patch(
        FancyBboxPatch(
            (x, y),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.05",
            facecolor=colour,
            edgecolor=edge,
            linewidth=LINE,
            gid=gid,
        )
    )
    lines(axes, x + width / 2, y + height / 2, text)


def diamond(axes: Axes, x: float, y: float, width: float, height: float, text: str) -> None:
    """A decision of a flow chart, in the box it fills."""
    half, middle = width / 2, y + height / 2
    corners = [(x, middle), (x + half, y + height), (x + width, middle), (x + half, y)]
    axes.add_patch(Polygon(corners, closed=True, facecolor="white", edgecolor=INK, linewidth=LINE))
    axes.text(x + half, middle, text, ha="center", va="center", fontsize=SMALL, linespacing=1.15)


def lines(
    axes: Axes, x: float, middle: float, text: str, align: str = "center", spacing: float = 0.128
) -> None:
    """Lines of text about a middle, the first one bold where there are more."""
    parts = text.split("\n") if text else []
    for number, part in enumerate(parts):
        heading = number == 0 and len(parts) > 1
        axes.text(
            x,
            middle + spacing * ((len(parts) - 1) / 2 - number),
            part,
            ha=align,
            va="center_baseline",
            fontsize=SMALL,
            fontweight="bold" if heading else "normal",
        )


def corner_note(axes: Axes, right: float, text: str) -> None:
    """A small grey line at the bottom of a page, ending at its right."""
    axes.text(right, 0.06, text, ha="right", va="bottom", fontsize=SMALL, color="#666666")


def arrow(
    axes: Axes,
    *points: tuple[float, float],
    curved: bool = False,
    colour: str = INK,
    style: str = "-|>",
    gid: str | None = None,
    width: float = LINE,
) -> None:
    """An arrow through points, straight from one to the next or as one cubic curve.

    Args:
        axes: a page.
        *points: at least two; exactly four, the Bezier points, where `curved`.
        curved: draw the curve.
        colour: of line and head.
        style: of matplotlib's arrow, `"-"` for a mere line.
        gid: name in the SVG.
        width: of the line, points.
    """
    step = Path.CURVE4 if curved else Path.LINETO
    route = Path(points, [Path.MOVETO] + [step] * (len(points) - 1))
    axes.add_patch(
        FancyArrowPatch(
            path=route,
            arrowstyle=style,
            mutation_scale=6.5,
            linewidth=width,
            color=colour,
            shrinkA=0,
            shrinkB=0,
            joinstyle="miter",
            gid=gid,
        )
    )
