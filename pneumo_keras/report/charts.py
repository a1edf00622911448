"""Figures of scores: Figures 7 and 8, the comparison of the networks, and the audit.

`data` says what was measured on, and by which recipe.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from pneumo_keras.evaluation.audit import LUNGS_PUBLISHED, TABLE_2, foreground_share
from pneumo_keras.evaluation.checks import check_same_images
from pneumo_keras.evaluation.comparison import LOWER_IS_BETTER
from pneumo_keras.evaluation.metrics import image_scores, pooled_scores
from pneumo_keras.report import style
from pneumo_keras.report.results import score_name

Tables = dict[str, pd.DataFrame]
DOT = {"linestyle": "", "marker": "o", "markersize": 2.6, "markeredgewidth": 0}
DIAMOND = {"linestyle": "", "marker": "D", "markersize": 5, "color": style.INK}
SQUARE = {"linestyle": "", "marker": "s", "markersize": 5}
# Shares of an image measured on public annotations: mean, 5th and 95th percentile (of the
# opacities only the 95th is known); see `evaluation.audit`.
ANNOTATED = {
    "lungs, V7 (n = 5,961)": (0.334, 0.238, 0.445),
    "opacities, General Blockchain (n = 100)": (0.132, None, 0.321),
}
# By what the printed digits stand for: lightness, place in the row and thickness of its bar.
BARS = {"exact": (0.0, -0.2, 0.34), "rounded": (0.5, 0.09, 0.2), "truncated": (0.72, 0.31, 0.2)}


def accuracy_figure(scores: Tables, data: str) -> Figure:
    """Figure 7: accuracy (equation 2) of all pixels together as bars, of each image as dots.

    Diamonds are the values that the paper prints in its Table 2.

    Args:
        scores: by network or baseline, one row per image with tp, fp, fn, tn in pixels.
    """
    return _score_figure(scores, data, "accuracy", "one image")


def iou_figure(scores: Tables, data: str) -> Figure:
    """Figure 8: IoU (equation 1), otherwise as Figure 7.

    Images with an empty reference have no dot; their false positives count in the bars.
    """
    return _score_figure(scores, data, "iou", "one image with target")


def _score_figure(scores: Tables, data: str, metric: str, dot: str) -> Figure:
    column = ("accuracy", "iou").index(metric)
    with style.drawing(style.PAGE_WIDTH, 3.2, data) as figure:
        axes = figure.subplots()
        ticks = []
        for place, (name, table) in enumerate(scores.items()):
            colour = style.NETWORK_COLOURS.get(name, style.BASELINE)
            pooled = pooled_scores(table)[metric]
            values = image_scores(table)[metric].dropna().to_numpy()
            bar = axes.bar(place, pooled, 0.4, color=colour, gid=f"pooled:{name}")
            axes.bar_label(bar, [f"{pooled:.3f}"], padding=2, fontweight="bold")
            # Random positions, the same in every run, so that dots do not hide each other.
            across = place + 0.38 + np.random.default_rng(0).uniform(-0.1, 0.1, len(values))
            look = DOT | {"color": style.tinted(colour, 0.2), "alpha": 0.55, "clip_on": False}
            axes.plot(across, values, gid=f"images:{name}", **look)
            if name in TABLE_2:
                value, gid = float(TABLE_2[name][column]), f"published:{name}"
                axes.plot(place - 0.3, value, mfc="none", gid=gid, **DIAMOND)
            ticks.append(f"{name}\nn = {len(values)}")
        axes.set_xticks(range(len(ticks)), ticks)
        axes.set(ylabel=score_name(metric), xlim=(-0.5, len(ticks) - 0.3), ylim=(0, 1.1))
        axes.set_yticks(np.linspace(0, 1, 6))
        axes.tick_params(axis="x", length=0)
        handles = [
            Patch(color=style.INK, label="all pixels of all images"),
            Line2D([], [], color=style.INK, label=dot, **DOT),
            Line2D([], [], mfc="none", label="paper (other data, n not stated)", **DIAMOND),
            Patch(color=style.BASELINE, label="without a network"),
        ]
        figure.legend(handles=handles, ncols=4, loc="outside upper left")
    return figure


def differences_figure(
    comparison: pd.DataFrame, names: tuple[str, str], data: str, unit: str = ""
) -> Figure:
    """The paired comparison as a forest plot: difference and 95 % interval of each score.

    Distances, which are better if lower, have an axis of their own. A difference has the colour of
    the network that it favours, and is filled where its interval excludes zero.
    `comparison` is as `evaluation.comparison.compare` returns it, the unit of distances px or mm.
    """
    rows = comparison[comparison["difference"].notna()]
    lower = rows["score"].isin(LOWER_IS_BETTER)
    parts = [part for part in (rows[~lower], rows[lower]) if len(part)]
    sizes = [len(part) + 0.6 for part in parts]
    height = 0.6 * (1 + len(parts)) + 0.24 * sum(sizes)
    with style.drawing(style.PAGE_WIDTH, height, data) as figure:
        panels = figure.subplots(len(parts), 1, squeeze=False, height_ratios=sizes)[:, 0]
        for axes, part in zip(panels, parts, strict=True):
            lower_is_better = part["score"].iloc[0] in LOWER_IS_BETTER
            labels, counts = [], []
            axes.axvline(0, color=style.FAINT, linewidth=1)
            for place, row in enumerate(part.to_dict("records")):
                colour = style.NETWORK_COLOURS[names[(row["difference"] > 0) == lower_is_better]]
                fill = colour if row["low"] > 0 or row["high"] < 0 else "white"
                gid = f"difference:{row['score']}, {row['average']}"
                axes.plot([row["low"], row["high"]], [place] * 2, color=colour)
                axes.plot(row["difference"], place, color=colour, mfc=fill, gid=gid, **SQUARE)
                labels.append(f"{score_name(row['score'], unit)}, {row['average']}")
                won = "{wins}/{ties}/{losses}".format(**row)
                counts.append("" if pd.isna(row["wins"]) else won)
            right = axes.secondary_yaxis("right")
            right.spines["right"].set_visible(False)
            for each, words in ((axes, labels), (right, counts)):
                each.set_yticks(range(len(part)), words)
                each.tick_params(axis="y", length=0)
            axes.set_title("patients: wins/ties/losses", loc="right", fontsize=style.SMALL)
            most = 1.1 * part[["low", "high", "difference"]].abs().max().max() or 1
            axes.set(xlim=(-most, most), ylim=(len(part) - 0.2, -0.8))
            better = "below" if lower_is_better else "above"
            axes.set_xlabel(f"difference ({better} zero favours {names[0]})")
        style.letter(panels, [f"{names[0]} − {names[1]}"] * len(parts))
        handles = [
            *(Patch(color=style.NETWORK_COLOURS[name], label=f"favours {name}") for name in names),
            Line2D([], [], color=style.INK, label="95 % interval excludes zero", **SQUARE),
            Line2D([], [], color=style.INK, mfc="white", label="includes zero", **SQUARE),
        ]
        figure.legend(handles=handles, ncols=4, loc="outside upper left")
    return figure


def agreement_figure(scores: Tables, data: str) -> Figure:
    """The Dice of two networks image by image, and their difference over the size of the target.

    `scores` are by network, as `score_images` returns them; images without a Dice (empty reference)
    are left out.

    Raises:
        StudyError: naming the image, if the tables are not of the same images.
    """
    first, second = scores
    one, other = check_same_images(*scores.values(), (first, second))
    pairs = one.assign(other=other["dice"], difference=other["dice"] - one["dice"])
    pairs = pairs.dropna(subset=["dice", "other"])
    sizes = pairs["group"].value_counts()
    if len(sizes) > len(style.GROUP_COLOURS):
        largest = sizes.index[: len(style.GROUP_COLOURS) - 1]
        pairs["group"] = pairs["group"].where(pairs["group"].isin(largest), "other groups")
    with style.drawing(style.PAGE_WIDTH, 3.6, data) as figure:
        left, right = figure.subplots(1, 2, subplot_kw={"box_aspect": 1})
        for place, (group, images) in enumerate(pairs.groupby("group")):
            look = DOT | {"color": style.GROUP_COLOURS[place], "marker": style.GROUP_MARKERS[place]}
            look |= {"markersize": 3.2, "alpha": 0.75, "gid": f"images:{group}", "clip_on": False}
            left.plot(images["dice"], images["other"], label=f"{group} (n = {len(images)})", **look)
            right.plot(100 * images["reference_share"], images["difference"], **look)
        left.plot([0, 1], [0, 1], color=style.BASELINE, linewidth=0.8, zorder=0)
        style.unit_ticks(left)
        left.set(xlabel=f"Dice of {first}", ylabel=f"Dice of {second}")
        most = 1.08 * max(0.1, pairs["difference"].abs().max())
        right.axhline(0, color=style.BASELINE, linewidth=0.8, zorder=0)
        right.set(xlabel="share of the image in the reference, %", ylim=(-most, most))
        right.set_ylabel(f"Dice of {second} − Dice of {first}")
        right.set_xlim(left=0)
        lower, higher = (pairs["difference"] < 0).sum(), (pairs["difference"] > 0).sum()
        equal = len(pairs) - lower - higher
        title = f"higher on: {first} {lower}, {second} {higher}, equal {equal}"
        style.letter((left, right), [title, f"n = {len(pairs)} images with target"])
        figure.legend(ncols=5, loc="outside upper left")
    return figure


def audit_figure(shares: np.ndarray, pooled: float, target: str, data: str) -> Figure:
    """Foreground shares that printed accuracies and IoUs imply, above those that were measured.

    Args:
        shares: (images,) 0..1, share of each image of this run that the target covers; images
            without it are left out.
        pooled: share of the pixels of all images, those without the target included.
        target: label of what is segmented.
    """
    shares = shares[shares > 0]
    tables = {"Table 2 of the paper: accuracy, IoU": TABLE_2}
    tables |= {"published lung segmentations: accuracy, IoU": LUNGS_PUBLISHED}
    labels = [
        [f"{name}: {', '.join(row)}" for name, row in rows.items()] for rows in tables.values()
    ]
    labels.append([*ANNOTATED, f"this run: {target} (n = {len(shares)})"])
    sizes = [len(rows) + 0.2 for rows in labels]
    with style.drawing(style.PAGE_WIDTH, 4.3, data) as figure:
        panels = figure.subplots(3, 1, sharex=True, height_ratios=sizes)
        for axes, rows in zip(panels[:2], tables.values(), strict=True):
            for place, (name, row) in enumerate(rows.items()):
                colour = style.NETWORK_COLOURS.get(name, style.BASELINE)
                for digits, (lightness, offset, height) in BARS.items():
                    low, high = foreground_share(*row, digits)
                    look = {"color": style.tinted(colour, lightness), "gid": f"{name}:{digits}"}
                    axes.barh(place + offset, high - low, height, left=low, **look)
        measured = panels[2]
        for place, (name, (mean, low, high)) in enumerate(ANNOTATED.items()):
            measured.plot([low or mean, high], [place] * 2, color=style.INK, linewidth=1)
            measured.plot(mean, place, gid=f"annotated:{name}", **DIAMOND)
        place = len(ANNOTATED)
        heights = place + np.random.default_rng(0).uniform(-0.24, 0.24, len(shares))
        measured.plot(shares, heights, color=style.INK, alpha=0.4, gid="images", **DOT)
        measured.plot([pooled] * 2, [place - 0.4, place + 0.4], color=style.INK, gid="pooled")
        measured.set_xlabel("share of pixels that are foreground")
        for axes, rows in zip(panels, labels, strict=True):
            axes.set_yticks(range(len(rows)), rows)
            axes.set(xlim=(0, 1), ylim=(len(rows) - 0.4, -0.6), axisbelow=True)
            axes.tick_params(axis="y", length=0)
            axes.grid(axis="x", color=style.FAINT, linewidth=0.4)
        style.letter(panels, [*tables, "measured"])
        handles = [
            *(Patch(color=style.tinted(style.INK, bar[0])) for bar in BARS.values()),
            Line2D([], [], **DIAMOND),
            Line2D([], [], color=style.INK, **DOT),
            Line2D([], [], color=style.INK, marker="|", linestyle="", markersize=8),
        ]
        names = [f"implied, digits {digits}" for digits in BARS]
        names += ["mean, 5th (where known) to 95th percentile", "one image", "all pixels"]
        figure.legend(handles, names, ncols=3, loc="outside upper left")
    return figure
