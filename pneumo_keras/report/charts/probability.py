"""Figures of the probabilities: calibration, precision and recall, and the threshold."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pneumo_keras.evaluation.scores.probabilities import (
    calibration_error,
    precision_recall,
    probability_scores,
    reliability_curve,
)
from pneumo_keras.report.style import (
    BASELINE,
    FAINT,
    INK,
    NETWORK_COLOURS,
    PAGE_WIDTH,
    SMALL,
    NotebookFigure,
    drawing,
)

SQUARE = 2.6  # side of the axes of a curve, inches
LEFT = 0.7  # room for the labels of an axis, inches
NOTE = "#666666"
MARKERS = ("o", "s")  # so that the networks can be told apart without colour
MEASURES = {
    "film_dice": ("Dice per film", "-"),
    "pooled_iou": ("IoU, pooled", "--"),
    "sensitivity": ("sensitivity, pooled", "-."),
    "precision": ("precision, pooled", ":"),
}


def reliability_figure(cells: dict[str, pd.DataFrame], data: str) -> Figure:
    """How often pixels given a probability are marked in truth, in bins of equal mass.

    Below, how many pixels are given it: a share of all pixels a twentieth, on a logarithmic axis.

    Args:
        cells: by network, as `pixel_cells` counts them on the test films.
        data: what was measured on, and by which recipe.

    Example:
        >>> from pneumo_keras.evaluation.scores.probabilities import pixel_cells
        >>> cells = pixel_cells([[[0.1, 0.9]]], np.array([[[0, 1]]]))
        >>> len(reliability_figure({"SegNet": cells}, "phantoms").axes)
        2
    """
    with drawing(SQUARE + 1.15, SQUARE + 2.3, data) as figure:
        axes = figure.axes_at(LEFT, 2.18, SQUARE, SQUARE)
        below = figure.axes_at(LEFT, 1.3, SQUARE, 0.7)
        for (network, counted), marker in zip(cells.items(), MARKERS, strict=False):
            colour = NETWORK_COLOURS[network]
            curve = reliability_curve(counted)
            axes.plot(
                curve["predicted"],
                curve["observed"],
                marker=marker,
                markersize=3.6,
                color=colour,
                label=f"{network}, calibration error {calibration_error(curve):.3f}",
                clip_on=False,
                gid=f"reliability:{network}",
            )
            pixels = counted["target"] + counted["other"]
            edges = np.linspace(0, 1, 21)
            held, _ = np.histogram(counted["probability"], edges, weights=pixels)
            below.stairs(held / held.sum(), edges, color=colour, linewidth=1.2)
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1.0, zorder=0, label="calibrated")
        _unit_square(axes)
        axes.set(ylabel="share marked in truth")
        axes.tick_params(labelbottom=False)
        _legend_below(figure, axes)
        below.set(xlim=(0, 1), yscale="log", xlabel="probability", ylabel="share of pixels")
        below.set_xticks(np.linspace(0, 1, 6))
        below.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
        below.minorticks_off()
        for each in (axes, below):
            each.yaxis.set_label_coords(-0.2, 0.5)
    return figure


def precision_recall_figure(
    cells: dict[str, pd.DataFrame], thresholds: dict[str, float], data: str
) -> Figure:
    """Precision and sensitivity of all pixels over the threshold, the chosen one marked.

    Faint curves join points of one pooled Dice; the dashed line, the share of the target, is what
    marks made without a look at the film would give.

    Args:
        cells: by network, as `pixel_cells` counts them on the test films.
        thresholds: by network, as chosen on the validation films.
        data: what was measured on, and by which recipe.

    Raises:
        StudyError: if no film has the target.

    Example:
        >>> from pneumo_keras.evaluation.scores.probabilities import pixel_cells
        >>> cells = pixel_cells([[[0.1, 0.9]]], np.array([[[0, 1]]]))
        >>> figure = precision_recall_figure({"SegNet": cells}, {"SegNet": 0.5}, "phantoms")
        >>> figure.axes[0].get_xlabel()
        'sensitivity (recall)'
    """
    with drawing(SQUARE + 1.15, SQUARE + 1.68, data) as figure:
        axes = figure.axes_at(LEFT, 1.58, SQUARE, SQUARE)
        _equal_dice(axes)
        for (network, counted), marker in zip(cells.items(), MARKERS, strict=False):
            curve, scores = precision_recall(counted), probability_scores(counted)
            colour = NETWORK_COLOURS[network]
            axes.plot(
                curve["recall"],
                curve["precision"],
                color=colour,
                label=f"{network}, average precision {scores['pooled_average_precision']:.3f}",
                gid=f"curve:{network}",
            )
            chosen = curve[curve["threshold"] >= thresholds[network]].head(1)
            axes.plot(
                chosen["recall"],
                chosen["precision"],
                marker,
                markersize=5.5,
                color=colour,
                markeredgecolor="white",
                markeredgewidth=0.8,
                clip_on=False,
                zorder=3,
                label=f"{network} at its threshold, {thresholds[network]:g}",
                gid=f"chosen:{network}",
            )
        share = scores["pooled_target_share"]
        axes.axhline(
            share,
            color=BASELINE,
            linestyle="--",
            linewidth=1.0,
            label=f"without a look at the film, {share:.3f}",
        )
        _unit_square(axes)
        axes.set(xlabel="sensitivity (recall)", ylabel="precision")
        _legend_below(figure, axes)
    return figure


def threshold_figure(
    sweeps: dict[str, pd.DataFrame], thresholds: dict[str, float], data: str
) -> Figure:
    """The scores on the test films over the threshold, the one chosen on validation marked.

    Args:
        sweeps: by network, as `threshold_sweep` returns them.
        thresholds: by network, as chosen on the validation films.
        data: what was measured on, and by which recipe.

    Example:
        >>> columns = ["film_dice", "pooled_iou", "sensitivity", "precision"]
        >>> sweep = pd.DataFrame({"threshold": [0.2, 0.8]} | {name: 0.5 for name in columns})
        >>> figure = threshold_figure({"SegNet": sweep}, {"SegNet": 0.4}, "phantoms")
        >>> len(figure.axes[0].lines)
        5
    """
    with drawing(PAGE_WIDTH, 2.95, data) as figure:
        room = (PAGE_WIDTH - 0.1) / len(sweeps)
        for number, (network, sweep) in enumerate(sweeps.items()):
            axes = figure.axes_at(number * room + 0.5, 0.9, room - 0.6, 1.8)
            for measure, (label, style) in MEASURES.items():
                first = measure == "film_dice"
                axes.plot(
                    sweep["threshold"],
                    sweep[measure],
                    linestyle=style,
                    linewidth=1.8 if first else 1.2,
                    color=NETWORK_COLOURS[network] if first else INK,
                    label=label,
                    gid=f"{measure}:{network}",
                )
            axes.axvline(
                thresholds[network], color=BASELINE, linewidth=1.0, gid=f"chosen:{network}"
            )
            _unit_square(axes)
            axes.set(xlabel="threshold", ylabel="score" if number == 0 else "")
            axes.set_title(f"{network}, threshold {thresholds[network]:g}", loc="left")
        styles = [Line2D([], [], color=INK, linestyle=style) for _, style in MEASURES.values()]
        chosen = Line2D([], [], color=BASELINE, linewidth=1.0)
        figure.legend(
            [*styles, chosen],
            [*(label for label, _ in MEASURES.values()), "chosen on the validation films"],
            ncols=5,
            loc="lower left",
            bbox_to_anchor=figure.at(0.5, 0.26),
            handlelength=2.4,
        )
    return figure


def _legend_below(figure: NotebookFigure, axes: Axes) -> None:
    handles = axes.get_legend_handles_labels()
    figure.legend(*handles, loc="lower left", bbox_to_anchor=figure.at(LEFT, 0.26))


def _unit_square(axes: Axes) -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_yticks(np.linspace(0, 1, 6))


def _equal_dice(axes: Axes) -> None:
    """Where precision and recall give one Dice: P = D R / (2 R - D)."""
    for dice in (0.2, 0.4, 0.6, 0.8):
        recall = np.linspace(dice / (2 - dice), 1, 200)
        precision = dice * recall / (2 * recall - dice)
        axes.plot(recall, precision, color=FAINT, linewidth=0.7, zorder=0)
        axes.text(
            1.01,
            precision[-1],
            f"Dice {dice:g}",
            fontsize=SMALL,
            color=NOTE,
            va="center",
            clip_on=False,
        )
