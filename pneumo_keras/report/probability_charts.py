"""Figures of the probabilities: calibration, precision and recall, and the threshold.

`data` says what was measured on, and by which recipe.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pneumo_keras.evaluation import calibration
from pneumo_keras.report import style

Tables = dict[str, pd.DataFrame]
MEASURES = {
    "image_dice": ("Dice per image", "-"),
    "pooled_iou": ("IoU, pooled", "--"),
    "sensitivity": ("sensitivity, pooled", "-."),
    "precision": ("precision, pooled", ":"),
}


def reliability_figure(histograms: Tables, data: str) -> Figure:
    """Calibration: how often pixels of a predicted probability belong to the target.

    In bins of equal numbers of pixels; beside it, how many pixels have which probability.
    `histograms` are by network, as `pixel_histogram` returns them.
    """
    edges = np.linspace(0, 1, 21)
    with style.drawing(style.PAGE_WIDTH, 3.8, data) as figure:
        left, right = figure.subplots(1, 2, subplot_kw={"box_aspect": 1})
        left.plot([0, 1], [0, 1], color=style.FAINT, label="perfect calibration")
        for network, histogram in histograms.items():
            colour = style.NETWORK_COLOURS[network]
            curve = calibration.reliability_curve(histogram)
            label = f"{network}, calibration error {calibration.calibration_error(curve):.3f}"
            look = {"marker": style.NETWORK_MARKERS[network], "markersize": 3.6, "color": colour}
            look |= {"label": label, "gid": f"reliability:{network}", "clip_on": False}
            left.plot(curve["predicted"], curve["observed"], **look)
            pixels = histogram["target"] + histogram["other"]
            counts, _ = np.histogram(histogram["probability"], edges, weights=pixels)
            right.stairs(100 * counts / counts.sum(), edges, color=colour, linewidth=1.2)
        style.unit_ticks(left)
        left.set(xlabel="predicted probability", ylabel="observed share of target pixels")
        right.set(xlabel="predicted probability", ylabel="share of pixels, %", yscale="log")
        right.set(xlim=(0, 1), xticks=left.get_xticks())
        right.yaxis.set_major_formatter("{x:g}")
        right.minorticks_off()
        titles = ["bins of equal numbers of pixels", f"n = {pixels.sum():,} pixels"]
        style.letter((left, right), titles)
        figure.legend(ncols=3, loc="outside upper left")
    return figure


def precision_recall_figure(histograms: Tables, thresholds: dict[str, float], data: str) -> Figure:
    """Precision and sensitivity of all pixels together, with the chosen thresholds.

    Faint curves join points of equal pooled Dice. The dashed line is the share of target pixels,
    the precision of a prediction that ignores the image.
    `histograms` (`pixel_histogram`) and `thresholds` are by network.

    Raises:
        StudyError: if no image has the target.
    """
    with style.drawing(style.COLUMN_WIDTH, 5.0, data) as figure:
        axes = figure.subplots(subplot_kw={"box_aspect": 1})
        for dice in (0.2, 0.4, 0.6, 0.8):
            recall = np.linspace(dice / (2 - dice), 1, 200)
            precision = dice * recall / (2 * recall - dice)  # where Dice is constant
            axes.plot(recall, precision, color=style.FAINT, linewidth=0.7)
            look = {"va": "center", "fontsize": style.SMALL, "color": style.NOTE}
            axes.text(1.01, precision[-1], f"Dice {dice:g}", **look)
        for network, histogram in histograms.items():
            curve = calibration.precision_recall(histogram)
            scores = calibration.probability_scores(histogram)
            look = {"color": style.NETWORK_COLOURS[network], "gid": f"curve:{network}"}
            label = f"{network}, average precision {scores['pooled_average_precision']:.3f}"
            axes.plot(curve["recall"], curve["precision"], label=label, **look)
            chosen = curve[curve["threshold"] >= thresholds[network]].head(1)
            look |= {"marker": style.NETWORK_MARKERS[network], "gid": f"chosen:{network}"}
            look |= {"markersize": 5.5, "mec": "white", "clip_on": False, "linestyle": ""}
            label = f"{network} at its threshold, {thresholds[network]:g}"
            axes.plot(chosen["recall"], chosen["precision"], zorder=3, label=label, **look)
        share = scores["pooled_target_share"]
        look = {"color": style.BASELINE, "linestyle": "--", "linewidth": 1.0}
        axes.axhline(share, label=f"share of target pixels, {share:.3f}", **look)
        style.unit_ticks(axes)
        axes.set(xlabel="sensitivity (recall)", ylabel="precision")
        figure.legend(loc="outside upper left")
    return figure


def threshold_figure(sweeps: Tables, thresholds: dict[str, float], data: str) -> Figure:
    """The scores on the test images at each threshold, with the one chosen on validation images.

    `sweeps` (`threshold_sweep`) and `thresholds` are by network.
    """
    with style.drawing(style.PAGE_WIDTH, 2.9, data) as figure:
        panels = figure.subplots(1, len(sweeps), sharey=True, squeeze=False)[0]
        chosen = {"color": style.BASELINE, "linewidth": 1.0}
        for axes, (network, sweep) in zip(panels, sweeps.items(), strict=True):
            for measure, (_, line) in MEASURES.items():
                first = measure == "image_dice"
                look = {"color": style.NETWORK_COLOURS[network] if first else style.INK}
                look |= {"linewidth": 1.8 if first else 1.2, "gid": f"{measure}:{network}"}
                axes.plot(sweep["threshold"], sweep[measure], linestyle=line, **look)
            axes.axvline(thresholds[network], gid=f"chosen:{network}", **chosen)
            style.unit_ticks(axes)
            axes.set_xlabel("threshold")
        panels[0].set_ylabel("score")
        style.letter(panels, [f"{name}, threshold {thresholds[name]:g}" for name in sweeps])
        handles = [
            *(Line2D([], [], color=style.INK, ls=line, label=n) for n, line in MEASURES.values()),
            Line2D([], [], label="threshold chosen on validation images", **chosen),
        ]
        figure.legend(handles=handles, ncols=5, loc="outside upper left")
    return figure
