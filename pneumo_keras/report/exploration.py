"""Figures of notebooks 02 to 04: the images before training, and the learning curves.

`data` says what was measured on, and by which recipe.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pneumo_keras.report import style

TERMS = {"focal": "focal", "ssim": "SSIM", "jaccard": "Jaccard"}


def prevalence_figure(index: pd.DataFrame, data: str) -> Figure:
    """How much of an image, and of its lungs where outlined, is marked: histograms by group.

    `index` has `group`, `target_share` and perhaps `target_share_in_lung`, 0..1, of each image.
    """
    columns = {"target_share": "share of the image that is marked, %"}
    if "target_share_in_lung" in index and index["target_share_in_lung"].notna().any():
        columns["target_share_in_lung"] = "share of the lungs that is marked, %"
    sizes = index.groupby("group").size()
    colours = [style.GROUP_COLOURS[place % len(style.GROUP_COLOURS)] for place in range(len(sizes))]
    labels = [f"{group} (n = {size})" for group, size in sizes.items()]
    width, legend_columns = (style.PAGE_WIDTH, 4) if len(columns) > 1 else (style.COLUMN_WIDTH, 2)
    titles = []
    with style.drawing(width, 2.8, data) as figure:
        panels = figure.subplots(1, len(columns), squeeze=False)[0]
        for axes, (column, label) in zip(panels, columns.items(), strict=True):
            shares = 100 * index[column].dropna()
            groups = [shares[index["group"] == group] for group in sizes.index]
            bins = np.linspace(0, max(5.0, 5 * np.ceil(shares.max() / 5)), 21)
            look = {"color": colours, "edgecolor": "white", "linewidth": 0.4, "label": labels}
            axes.hist(groups, bins, stacked=True, **look)
            marked = shares[shares > 0]
            titles.append(f"{len(marked)} of {len(shares)} images with target")
            if len(marked):
                titles[-1] += f", median {marked.median():.1f} %"
                look = {"color": style.INK, "linestyle": "--", "linewidth": 1.0}
                look |= {"label": "median of images with target", "gid": f"median:{column}"}
                axes.axvline(marked.median(), **look)
            axes.set(xlabel=label, ylabel="images", xlim=(0, bins[-1]))
            axes.yaxis.get_major_locator().set_params(integer=True)
        style.letter(panels, titles)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, ncols=legend_columns, loc="outside upper left")
    return figure


def intensity_figure(
    images: Sequence[np.ndarray], masks: Sequence[np.ndarray], data: str
) -> Figure:
    """Grey levels inside and outside the target: two histograms, each of area 1.

    Images are (height, width) uint8 each, masks the same with 0 or 1.
    """
    counts = np.zeros((2, 256), np.int64)
    for image, mask in zip(images, masks, strict=True):
        for marked in (0, 1):
            counts[marked] += np.bincount(image[mask == marked], minlength=256)
    pixels = counts.sum(axis=1)
    # Two levels per bin, since images stretched to 8 bits leave some levels empty.
    densities = counts.reshape(2, -1, 2).sum(axis=2) / np.maximum(1, pixels)[:, None] / 2
    with style.drawing(style.COLUMN_WIDTH, 2.8, data) as figure:
        axes = figure.subplots()
        looks = (("unmarked", style.BASELINE), ("marked", style.FALSE_POSITIVE))
        for density, count, (name, colour) in zip(densities, pixels, looks, strict=True):
            look = {"facecolor": to_rgba(colour, 0.35), "edgecolor": colour, "linewidth": 1.0}
            label = f"{name} ({count:,} pixels)"
            axes.stairs(density, np.arange(0, 257, 2), fill=True, label=label, **look)
        axes.set(xlabel="grey level", ylabel="share of pixels per level", xlim=(0, 256))
        # Black borders and white text may be most of an image: their bars are cut at the top.
        axes.set_ylim(0, 1.1 * densities[:, 2:-2].max() or 1)
        axes.set_xticks(range(0, 257, 64))
        figure.legend(ncols=2, loc="outside upper left")
    return figure


def leak_figure(by_patient: int, at_random: int, tested: int, data: str) -> Figure:
    """How many of the `tested` images have a patient in training too, by kind of split."""
    with style.drawing(style.COLUMN_WIDTH, 1.6, data) as figure:
        axes = figure.subplots()
        names, counts = ["random split", "split by patient"], [at_random, by_patient]
        bars = axes.barh(names, counts, 0.55, color=[style.FALSE_POSITIVE, style.BASELINE])
        axes.bar_label(bars, [f"{count} of {tested}" for count in counts], padding=4)
        axes.set(xlabel="test images whose patient is also in training", xlim=(0, 1.2 * tested))
        axes.invert_yaxis()
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.tick_params(axis="y", length=0)
    return figure


def history_figure(history: pd.DataFrame, best_epoch: int, network: str, data: str) -> Figure:
    """Learning curves: the loss, its terms where it has any, and Dice and IoU.

    `history` has one row per epoch, each column also with the prefix `val_`; `best_epoch`, the one
    that is kept, counts from 1.
    """
    terms = {name: label for name, label in TERMS.items() if name in history}
    parts = {"loss": {"loss": "loss"}} | ({"terms of the loss": terms} if terms else {})
    parts |= {"Dice, IoU": {"dice": "Dice", "iou": "IoU"}}
    colours = (style.NETWORK_COLOURS[network], style.INK, style.BASELINE)
    epochs = np.arange(1, len(history) + 1)
    marker = {"marker": "o" if len(history) == 1 else "", "markersize": 4, "clip_on": False}
    with style.drawing(style.PAGE_WIDTH, 2.6, data) as figure:
        panels = figure.subplots(1, len(parts))
        for axes, (label, curves) in zip(panels, parts.items(), strict=True):
            for (name, words), colour in zip(curves.items(), colours):
                look = {"color": colour} | marker
                axes.plot(epochs, history[name], label=words, gid=name, **look)
                look |= {"linestyle": "--", "mfc": "white", "gid": f"val_{name}"}
                axes.plot(epochs, history[f"val_{name}"], **look)
            axes.axvline(best_epoch, color=style.INK, linestyle=":", linewidth=1.0, gid="best")
            axes.set(xlabel="epoch", ylabel=label, xlim=(1, max(2, len(history))))
            axes.xaxis.get_major_locator().set_params(integer=True)
            if len(curves) > 1:
                place = {"loc": "lower right", "bbox_to_anchor": (1, 1), "ncols": 3}
                axes.legend(handlelength=1, columnspacing=0.8, **place)
        panels[-1].set_ylim(0, 1)
        style.letter(panels, [network, *[""] * (len(panels) - 1)])
        lines = {"training": "-", "validation": "--", f"best epoch, {best_epoch}": ":"}
        handles = [Line2D([], [], color=style.INK, ls=line) for line in lines.values()]
        figure.legend(handles, lines, ncols=3, loc="outside upper left")
    return figure
