"""Two networks film by film: which of them does better, on which films."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pneumo_keras.errors import StudyError
from pneumo_keras.report.style import (
    BASELINE,
    GROUP_COLOURS,
    GROUP_MARKERS,
    INK,
    PAGE_WIDTH,
    SMALL,
    drawing,
)


def paired_scores(scores: dict[str, pd.DataFrame], metric: str = "dice") -> pd.DataFrame:
    """A score of two networks side by side, film by film.

    Args:
        scores: by network, one row a film with `name`, `group`, the counts tp, fp, fn, tn and
            the metric.
        metric: a column of both.

    Returns:
        `name`, `group`, `truth_share` (0..1), and a column for each network; films where the
        metric is missing (NaN, nothing to find) are left out.

    Raises:
        StudyError: if there are not two networks, or a film is missing from one or occurs twice.

    Example:
        >>> counts = {"tp": [1], "fp": [0], "fn": [1], "tn": [2]}
        >>> one = pd.DataFrame({"name": ["a"], "group": ["virus"], **counts, "dice": [0.5]})
        >>> paired_scores({"SegNet": one, "DeepLabV3": one}).to_dict("records")
        [{'name': 'a', 'group': 'virus', 'truth_share': 0.5, 'SegNet': 0.5, 'DeepLabV3': 0.5}]
    """
    if len(scores) != 2:
        raise StudyError(f"two networks are compared, not {len(scores)}: {', '.join(scores)}")
    (first, one), (second, other) = scores.items()
    for network, table in scores.items():
        twice = table["name"][table["name"].duplicated()]
        if len(twice):
            raise StudyError(f"scores of {network}: film {twice.iloc[0]} occurs twice")
    missing = sorted(set(one["name"]) ^ set(other["name"]))
    if missing:
        raise StudyError(
            f"scores of {first} and {second}: film {missing[0]} is missing from one of them"
        )
    pixels = one[["tp", "fp", "fn", "tn"]].sum(axis=1)
    pairs = one[["name", "group"]].assign(truth_share=(one["tp"] + one["fn"]) / pixels)
    pairs[first] = one[metric]
    pairs[second] = other.set_index("name")[metric].reindex(one["name"]).to_numpy()
    return pairs.dropna(subset=[first, second]).reset_index(drop=True)


def count_wins(pairs: pd.DataFrame, first: str, second: str) -> dict[str, int]:
    """On how many films each network is the better one; equal means the very same score.

    Example:
        >>> count_wins(pd.DataFrame({"A": [0.2, 0.5, 0.0], "B": [0.3, 0.4, 0.0]}), "A", "B")
        {'A': 1, 'B': 1, 'equal': 1}
    """
    difference = pairs[first] - pairs[second]
    return {
        first: int((difference > 0).sum()),
        second: int((difference < 0).sum()),
        "equal": int((difference == 0).sum()),
    }


def agreement_figure(scores: dict[str, pd.DataFrame], data: str) -> Figure:
    """The Dice of two networks film by film, and their difference over the size of the target.

    Args:
        scores: as for `paired_scores`, the network of the horizontal axis first.
        data: what was measured on, and by which recipe.

    Returns:
        The figure, a page wide.

    Example:
        >>> counts = {"tp": [1], "fp": [0], "fn": [1], "tn": [2]}
        >>> one = pd.DataFrame({"name": ["a"], "group": ["virus"], **counts, "dice": [0.5]})
        >>> figure = agreement_figure({"SegNet": one, "DeepLabV3": one}, "phantoms, 1 test film")
        >>> [axes.get_xlabel() for axes in figure.axes]
        ['Dice of SegNet', 'share of the film that is marked in the truth, %']
    """
    pairs = paired_scores(scores)
    first, second = scores
    shown = pairs.assign(group=_few_groups(pairs["group"]))
    with drawing(PAGE_WIDTH, 3.35, data) as figure:
        left = figure.axes_at(0.5, 0.88, 2.3, 2.3)
        right = figure.axes_at(3.5, 0.88, PAGE_WIDTH - 3.62, 2.3)
        for place, (group, films) in enumerate(shown.groupby("group")):
            look = {
                "linestyle": "",
                "marker": GROUP_MARKERS[place % len(GROUP_MARKERS)],
                "markersize": 3.2,
                "markeredgewidth": 0,
                "color": GROUP_COLOURS[place % len(GROUP_COLOURS)],
                "alpha": 0.75,
                "clip_on": False,
            }
            label = f"{group} (n = {len(films)})"
            left.plot(films[first], films[second], label=label, gid=f"films:{group}", **look)
            right.plot(100 * films["truth_share"], films[second] - films[first], **look)
        _draw_identity(left, pairs, first, second)
        _draw_zero(right, first, second)
        figure.legend(
            *left.get_legend_handles_labels(),
            ncols=len(GROUP_COLOURS),
            loc="lower left",
            bbox_to_anchor=figure.at(0.5, 0.25),
        )
    return figure


def _few_groups(groups: pd.Series) -> pd.Series:
    """The groups, the smallest put together where there are more than colours."""
    names = groups.value_counts().index
    few = names[: len(GROUP_COLOURS) - 1] if len(names) > len(GROUP_COLOURS) else names
    return groups.where(groups.isin(few), "other groups")


def _draw_identity(axes: Axes, pairs: pd.DataFrame, first: str, second: str) -> None:
    """The line of equal scores, and the films counted on either side of it."""
    wins = count_wins(pairs, first, second)
    axes.plot([0, 1], [0, 1], color=BASELINE, linewidth=0.8, zorder=0)
    axes.set(xlabel=f"Dice of {first}", ylabel=f"Dice of {second}", xlim=(0, 1), ylim=(0, 1))
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_yticks(np.linspace(0, 1, 6))
    corners = ((0.03, 0.97, "left", "top", second), (0.98, 0.03, "right", "bottom", first))
    for x, y, across, up, network in corners:
        text = f"{network} better\non {_films(wins[network])}"
        axes.text(x, y, text, ha=across, va=up, fontsize=SMALL, gid=f"wins:{network}")
    if wins["equal"]:
        axes.set_title(f"equal on {_films(wins['equal'])}", fontsize=SMALL, pad=3)


def _films(count: int) -> str:
    return f"{count} film{'' if count == 1 else 's'}"


def _draw_zero(axes: Axes, first: str, second: str) -> None:
    most = max([0.1, *(np.abs(line.get_ydata()).max() for line in axes.lines)])
    axes.axhline(0, color=BASELINE, linewidth=0.8, zorder=0)
    axes.set(
        xlabel="share of the film that is marked in the truth, %",
        ylabel=f"Dice of {second} − Dice of {first}",
        ylim=(-1.08 * most, 1.08 * most),
    )
    axes.set_xlim(left=0)
    for y, up, network in ((0.99, "top", second), (0.01, "bottom", first)):
        axes.text(
            0.99,
            y,
            f"{network} better",
            ha="right",
            va=up,
            fontsize=SMALL,
            color=INK,
            transform=axes.transAxes,
        )
