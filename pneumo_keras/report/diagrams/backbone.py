"""The backbone in Figure 2: its stages as slabs, with their sizes, strides and rates in a table."""

from __future__ import annotations

import math

from matplotlib.axes import Axes

from pneumo_keras.report.diagrams.drawing import arrow, slab
from pneumo_keras.report.diagrams.topology import Stage, centre_only
from pneumo_keras.report.style import SMALL

HEIGHT, MIDDLE, TALLEST = 3.85, 2.25, 1.5  # inches
TOP = HEIGHT - 0.4  # of what stands under a heading
TABLE, PITCH = 0.56, 0.48  # left edge of the table's first column, and the width of each
PLAIN, ATROUS = "#8FBFE0", "#F0A07A"


def heading(axes: Axes, x: float, text: str) -> None:
    """What a part of the figure is, above it."""
    axes.text(x, TOP + 0.08, text, ha="left", va="baseline", fontsize=SMALL, fontweight="bold")


def draw_backbone(
    axes: Axes, size: int, stages: list[Stage]
) -> tuple[list[tuple[float, float]], tuple[float, float]]:
    """Draws the stages as slabs with a table under them.

    Args:
        axes: a page `HEIGHT` high.
        size: side of the film, pixels.
        stages: as `backbone_stages` read them.

    Returns:
        The middle of the top of each stage's slab, and where the features leave the last one.
    """
    tops = []
    columns = [("film", "", f"{size}×{size}", "", "", "")]
    for stage in stages:
        height, width, channels = stage.shape
        mark = "*" if any(centre_only(rate, stage.shape) for rate in stage.rates) else ""
        columns.append(
            (
                stage.name,
                str(stage.units) if stage.name != "stem" else "",
                f"{height}×{width}",
                str(channels),
                str(stage.stride),
                ", ".join(map(str, stage.rates)) + mark,
            )
        )
    sides = [size] + [stage.shape[0] for stage in stages]
    reach = None
    for number, side in enumerate(sides):
        height = TALLEST * math.log2(side) / math.log2(size)
        channels = stages[number - 1].shape[2] if number else 1
        thickness = 0.03 + 0.0145 * math.log2(channels)
        x = TABLE + PITCH * (number + 0.5) - thickness / 2 - 0.03
        dilated = number and max(stages[number - 1].rates) > 1
        colour = "#DDDDDD" if not number else ATROUS if dilated else PLAIN
        if reach:
            arrow(axes, (reach, MIDDLE), (x, MIDDLE), width=0.6)
        tops.append(slab(axes, x, MIDDLE, thickness, height, colour, columns[number][0]))
        reach = x + thickness + 0.05 * height
    heading(axes, 0.08, "Atrous backbone")
    _draw_table(axes, columns)
    return tops[1:], (reach, MIDDLE)


def _draw_table(axes: Axes, columns: list[tuple[str, ...]]) -> None:
    names = ("block", "units", "size", "channels", "stride", "rate")
    top = MIDDLE - TALLEST / 2 - 0.2
    for row, name in enumerate(names):
        y = top - 0.155 * row
        axes.text(0.08, y, name, ha="left", va="baseline", fontsize=SMALL, color="#666666")
        for number, column in enumerate(columns):
            axes.text(
                TABLE + PITCH * (number + 0.5),
                y,
                column[row],
                ha="center",
                va="baseline",
                fontsize=SMALL,
                fontweight="bold" if row == 0 else "normal",
                gid=f"{name}:{column[0]}",
            )
    for y in (top + 0.13, top - 0.045, top - 0.155 * len(names) + 0.1):
        right = TABLE + PITCH * len(columns)
        arrow(axes, (0.08, y), (right, y), style="-", width=0.5)
