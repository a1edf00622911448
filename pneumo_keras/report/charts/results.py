"""Figures 7 and 8: accuracy and IoU of both networks, beside what needs no network at all."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from pneumo_keras.evaluation.scores import film_scores, pooled_scores
from pneumo_keras.report.style import BASELINE, INK, NETWORK_COLOURS, drawing, tinted

ORDER = ("SegNet", "DeepLabV3", "mean training mask", "nothing", "everything")
PAPER_LABEL = "paper (its own data, n not stated)"
WIDTH, HEIGHT = 5.6, 3.3  # inches
BAR, STRIP, SPREAD = 0.4, 0.38, 0.1  # width of a bar, distance and half width of its dots


def accuracy_figure(
    scores: dict[str, pd.DataFrame], published: dict[str, float], data: str
) -> Figure:
    """Figure 7: accuracy (equation 2) of all pixels together as bars, of each film as dots.

    Args:
        scores: by `SegNet`, `DeepLabV3`, `mean training mask`, `nothing`, `everything`; one row a
            film, pixels in the columns tp, fp, fn, tn.
        published: the paper's own value by network.
        data: what was measured on, and by which recipe.

    Example:
        >>> table = pd.DataFrame({"tp": [1], "fp": [1], "fn": [0], "tn": [2]})
        >>> figure = accuracy_figure({"SegNet": table}, {"SegNet": 0.81}, "phantoms")
        >>> float(figure.axes[0].patches[0].get_height())
        0.75
    """
    return _figure(scores, published, data, "accuracy", "Accuracy", "one film")


def iou_figure(scores: dict[str, pd.DataFrame], published: dict[str, float], data: str) -> Figure:
    """Figure 8: IoU (equation 1) of all pixels together as bars, of each film as dots.

    Films on which nothing is marked have no dot; their false positives are in the bars.

    Args:
        scores: as for `accuracy_figure`.
        published: the paper's own value by network.
        data: what was measured on, and by which recipe.

    Example:
        >>> table = pd.DataFrame({"tp": [1], "fp": [1], "fn": [0], "tn": [2]})
        >>> figure = iou_figure({"SegNet": table}, {"SegNet": 0.70}, "phantoms")
        >>> float(figure.axes[0].patches[0].get_height())
        0.5
    """
    return _figure(scores, published, data, "iou", "IoU", "one film with something to find")


def _figure(
    scores: dict[str, pd.DataFrame],
    published: dict[str, float],
    data: str,
    metric: str,
    name_of_metric: str,
    dot: str,
) -> Figure:
    names = [name for name in ORDER if name in scores]
    with drawing(WIDTH, HEIGHT, data) as figure:
        axes = figure.axes_at(0.48, 1.0, WIDTH - 0.54, 2.2)
        ticks = []
        for place, name in enumerate(names):
            colour = NETWORK_COLOURS.get(name, BASELINE)
            value = pooled_scores(scores[name])[metric]
            films = film_scores(scores[name])[metric].dropna().to_numpy()
            axes.bar(place, value, BAR, color=colour, gid=f"pooled:{name}")
            axes.annotate(
                f"{value:.3f}",
                (place, np.nan_to_num(value)),
                (0, 3),
                ha="center",
                va="bottom",
                textcoords="offset points",
                fontweight="bold",
            )
            # Spread sideways only so that no dot hides another; always alike.
            sideways = np.random.default_rng(0).uniform(-SPREAD, SPREAD, len(films))
            axes.plot(
                place + STRIP + sideways,
                films,
                "o",
                markersize=2.6,
                markeredgewidth=0,
                color=tinted(colour, 0.2),
                alpha=0.55,
                clip_on=False,
                gid=f"films:{name}",
            )
            if name in published:
                axes.plot(
                    place - BAR / 2 - 0.1,
                    published[name],
                    "D",
                    markersize=5,
                    color=INK,
                    markerfacecolor="none",
                    markeredgewidth=1.1,
                    gid=f"published:{name}",
                )
            ticks.append(f"{name}\nn = {len(films)}")
        axes.set_xticks(range(len(names)), ticks)
        axes.set(ylabel=name_of_metric, xlim=(-0.5, len(names) - 0.3), ylim=(0, 1.08))
        axes.set_yticks(np.linspace(0, 1, 6))
        axes.tick_params(axis="x", length=0)
        figure.legend(
            handles=[
                Patch(color=INK, label="all pixels of all films"),
                Line2D([], [], marker="o", linestyle="", markersize=2.6, color=INK, label=dot),
                Line2D(
                    [],
                    [],
                    marker="D",
                    linestyle="",
                    markersize=5,
                    color=INK,
                    markerfacecolor="none",
                    label=PAPER_LABEL,
                ),
                Patch(color=BASELINE, label="without a network"),
            ],
            ncols=2,
            loc="lower left",
            bbox_to_anchor=figure.at(0.48, 0.25),
            columnspacing=2.0,
        )
    return figure
