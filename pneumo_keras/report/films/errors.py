"""Where the networks go wrong: their worst, median and best films, and maps of their errors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from pneumo_keras.report.films.filmgrid import outline, outline_handle, show
from pneumo_keras.report.films.panels import Example, error_overlay
from pneumo_keras.report.style import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    PAGE_WIDTH,
    SMALL,
    TRUE_POSITIVE,
    TRUTH,
    NotebookFigure,
    drawing,
)

SIDE, GAP, BETWEEN, HEAD, FOOT = 0.08, 0.03, 0.16, 0.42, 0.5  # margins and gaps, inches
CAPTION = 0.34  # two lines under each film, inches
SHAPE = 1.5  # of a film at its longest, height by width; longer ones are shown smaller
NAME_LENGTH = 36  # characters that fit under two films


def choose_extremes(scores: pd.DataFrame, films: int = 2) -> dict[str, list[int]]:
    """The worst, the median and the best films of one network by its own Dice.

    Args:
        scores: one row a film; `dice` is NaN where the target is not marked, and such films do
            not stand for election.
        films: how many of each, as far as there are so many.

    Returns:
        Row numbers keyed `worst`, `median` and `best`, the lowest Dice first; equal ones in the
        order of the rows. Of two in the middle the better one is the median. All empty where no film has a Dice.

    Example:
        >>> choose_extremes(pd.DataFrame({"dice": [0.9, float("nan"), 0.1, 0.5]}), films=1)
        {'worst': [2], 'median': [3], 'best': [0]}
    """
    dice = scores["dice"].reset_index(drop=True).dropna().sort_values(kind="stable")
    rows = [int(row) for row in dice.index]
    middle = max(0, (len(rows) - films + 1) // 2)
    return {
        "worst": rows[:films],
        "median": rows[middle : middle + films],
        "best": rows[-films:],
    }


def error_figure(examples: dict[str, Sequence[Example]], network: str, data: str) -> Figure:
    """A network's worst, median and best films, each beside its errors in colour.

    Args:
        examples: by `worst`, `median` and `best`, as many films of each; see `choose_extremes`.
        network: as the paper writes it.
        data: what was segmented, and by which recipe.

    Returns:
        The figure, a page wide: a group of two columns a key, a row a film.

    Example:
        >>> square = np.eye(4, dtype=bool)
        >>> example = Example("a", "best", np.zeros((4, 4), np.uint8), square, square, 1.0)
        >>> figure = error_figure({"worst": [example], "best": [example]}, "SegNet", "phantoms")
        >>> len(figure.axes)
        4
    """
    columns = len(examples)
    group = (PAGE_WIDTH - 2 * SIDE - BETWEEN * (columns - 1)) / columns
    width = (group - GAP) / 2
    rows = [list(row) for row in zip(*examples.values(), strict=True)]
    heights = [width * max(_ratio(example.film) for example in row) for row in rows]
    height = HEAD + sum(heights) + CAPTION * len(rows) + FOOT
    with drawing(PAGE_WIDTH, height, data) as figure:
        lefts = [SIDE + number * (group + BETWEEN) for number in range(columns)]
        for left, key in zip(lefts, examples, strict=True):
            x, y = figure.at(left + group / 2, height - HEAD + 0.2)
            figure.text(x, y, key.capitalize(), ha="center", fontweight="bold")
        top = height - HEAD
        for number, (row, room) in enumerate(zip(rows, heights, strict=True)):
            for left, example in zip(lefts, row, strict=True):
                pair = [
                    figure.axes_at(x, top - room, width, room) for x in (left, left + width + GAP)
                ]
                _draw_pair(pair, example)
                below = top - width * _ratio(example.film)
                _draw_caption(figure, left + group / 2, below, example)
                if number == 0:
                    for axes, words in zip(pair, ("film", "errors"), strict=True):
                        axes.set_title(words, pad=3, fontsize=SMALL)
            top -= room + CAPTION
        if not rows:
            figure.text(
                *figure.at(PAGE_WIDTH / 2, height - HEAD),
                "the target is marked on no test film",
                ha="center",
            )
        _draw_legend(figure, network)
    return figure


def _ratio(film: np.ndarray) -> float:
    return float(np.clip(film.shape[0] / film.shape[1], 0.5, SHAPE))


def _draw_pair(pair: Sequence[Axes], example: Example) -> None:
    show(pair[0], example.film)
    show(pair[1], error_overlay(example.film, example.truth, example.predicted))
    outline(pair[1], example.truth, TRUTH, width=0.6)
    for axes in pair:  # films of one row hang from one line
        axes.set_anchor("N")


def _draw_caption(figure: NotebookFigure, middle: float, y: float, example: Example) -> None:
    name = example.name
    if len(name) > NAME_LENGTH:
        name = f"{name[: NAME_LENGTH // 2 - 1]}…{name[-NAME_LENGTH // 2 :]}"
    lines = f"Dice {example.dice:.2f}\n{name}"
    place = figure.at(middle, y - 0.04)
    figure.text(*place, lines, ha="center", va="top", fontsize=SMALL, linespacing=1.1)


def _draw_legend(figure: NotebookFigure, network: str) -> None:
    figure.legend(
        handles=[
            Patch(color=TRUE_POSITIVE, label="true positive"),
            Patch(color=FALSE_POSITIVE, label="false positive"),
            Patch(color=FALSE_NEGATIVE, label="false negative"),
            outline_handle(TRUTH, "outline of the truth"),
        ],
        ncols=4,
        loc="lower right",
        bbox_to_anchor=figure.at(PAGE_WIDTH - SIDE, 0.23),
    )
    figure.text(*figure.at(SIDE, 0.22), network, ha="left", va="bottom", fontweight="bold")
