"""The figure of the paired comparison: each score's difference with its interval."""

from __future__ import annotations

import pandas as pd

from pneumo_keras.evaluation.statistics.comparison import LOWER_IS_BETTER
from pneumo_keras.report.certainty import NAMES
from pneumo_keras.report.style import (
    FAINT,
    INK,
    NETWORK_COLOURS,
    PAGE_WIDTH,
    SMALL,
    NotebookFigure,
    drawing,
)

ROW, LEFT, BOTTOM, TOP, GAP = 0.24, 1.55, 0.62, 0.3, 0.5  # inches
COUNTS = 1.05  # width of the column of wins, ties and losses


def differences_figure(
    comparison: pd.DataFrame, names: tuple[str, str], data: str
) -> NotebookFigure:
    """Differences between two networks as a forest: value and 95 % interval of each score.

    Scores from 0 to 1 share one axis; distances, where there are any, have their own below.
    Filled is a difference whose interval leaves zero out, in the colour of the network it favours.

    Args:
        comparison: as `evaluation.statistics.compare` returns it.
        names: of the first and the second network; the difference is first − second.
        data: what was measured on.

    Example:
        >>> row = {"score": "dice", "average": "per film", "difference": 0.1, "low": 0.05,
        ...        "high": 0.15, "wins": 7, "ties": 1, "losses": 2}
        >>> figure = differences_figure(pd.DataFrame([row]), ("DeepLabV3", "SegNet"), "phantoms")
        >>> figure.axes[0].get_yticklabels()[0].get_text()
        'Dice, per film'
    """
    rows = comparison[comparison["difference"].notna()]
    distances = rows["score"].isin(("hd95", "assd"))
    panels = [part for part in (rows[~distances], rows[distances]) if len(part)]
    heights = [ROW * (len(part) + 0.6) for part in panels]
    whole = BOTTOM + sum(heights) + GAP * (len(panels) - 1) + TOP
    with drawing(PAGE_WIDTH, whole, data) as figure:
        bottom = whole - TOP
        for part, height in zip(panels, heights, strict=True):
            bottom -= height
            axes = figure.axes_at(LEFT, bottom, PAGE_WIDTH - LEFT - COUNTS - 0.1, height)
            _panel(axes, part, names)
            bottom -= GAP
        figure.text(
            *figure.at(PAGE_WIDTH - 0.1, whole - 0.22),
            "patients: wins/ties/losses",
            ha="right",
            fontsize=SMALL,
        )
        figure.text(*figure.at(LEFT, whole - 0.22), f"{names[0]} − {names[1]}", fontweight="bold")
    return figure


def _panel(axes, rows: pd.DataFrame, names: tuple[str, str]) -> None:
    places = range(len(rows) - 1, -1, -1)
    axes.axvline(0, color=FAINT, linewidth=1)
    for place, row in zip(places, rows.to_dict("records"), strict=True):
        positive = row["difference"] > 0
        favoured = names[0] if positive != (row["score"] in LOWER_IS_BETTER) else names[1]
        colour = NETWORK_COLOURS.get(favoured, INK)
        apart = row["low"] > 0 or row["high"] < 0
        axes.plot([row["low"], row["high"]], [place] * 2, color=colour)
        axes.plot(
            row["difference"],
            place,
            "s",
            markersize=5,
            color=colour,
            markerfacecolor=colour if apart else "white",
            gid=f"difference:{row['score']}, {row['average']}",
        )
        if not pd.isna(row["wins"]):
            axes.annotate(
                f"{row['wins']}/{row['ties']}/{row['losses']}",
                (1, place),
                (COUNTS * 72, 0),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=SMALL,
                annotation_clip=False,
            )
    labels = [
        f"{NAMES.get(score, score)}, {average}"
        for score, average in zip(rows["score"], rows["average"], strict=True)
    ]
    axes.set_yticks(list(places), labels)
    axes.tick_params(axis="y", length=0)
    ends = rows[["low", "high", "difference"]].abs().max().max()
    axes.set(xlim=(-1.1 * ends or -1, 1.1 * ends or 1), ylim=(-0.8, len(rows) - 0.2))
    unit = "distance: below zero favours" if rows["score"].iloc[0] in LOWER_IS_BETTER else None
    axes.set_xlabel(f"{unit} {names[0]}" if unit else f"difference: above zero favours {names[0]}")
