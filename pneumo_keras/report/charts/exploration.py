"""Figures of notebooks 02 to 04: the films before training, and the training itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from pneumo_keras.report.style import (
    BASELINE,
    FALSE_POSITIVE,
    GROUP_COLOURS,
    INK,
    NETWORK_COLOURS,
    PAGE_WIDTH,
    SMALL,
    drawing,
)

MARKED, UNMARKED = FALSE_POSITIVE, BASELINE
TERMS = {"focal": "focal", "ssim": "SSIM", "jaccard": "Jaccard"}


def intensity_figure(films: Sequence[np.ndarray], masks: Sequence[np.ndarray], data: str) -> Figure:
    """How bright marked and unmarked pixels are: two histograms, each of area 1.

    Args:
        films: (H, W) uint8 each.
        masks: (H, W) each, 0 or 1.
        data: where the films are from.

    Example:
        >>> film, mask = np.array([[10, 200]], np.uint8), np.array([[0, 1]])
        >>> figure = intensity_figure([film], [mask], "phantoms")
        >>> len(figure.axes[0].patches)
        2
    """
    counts = np.zeros((2, 256), np.int64)
    for film, mask in zip(films, masks, strict=True):
        for marked in (0, 1):
            counts[marked] += np.bincount(film[mask == marked], minlength=256)
    with drawing(4.4, 2.7, data) as figure:
        axes = figure.axes_at(0.6, 0.7, 3.7, 1.9)
        highest = []
        for row, name, colour in ((0, "unmarked", UNMARKED), (1, "marked", MARKED)):
            # Two grey levels a bin: films stretched to 8 bits leave some levels empty.
            levels = counts[row].reshape(-1, 2).sum(axis=1)
            share = levels / max(1, levels.sum()) / 2
            highest.append(share[2:-2].max())
            axes.stairs(
                share,
                np.arange(0, 257, 2),
                fill=True,
                linewidth=1.0,
                edgecolor=colour,
                facecolor=to_rgba(colour, 0.35),
                label=f"{name} ({counts[row].sum():,} pixels)",
            )
        axes.set(xlabel="grey level", ylabel="share of pixels per level", xlim=(0, 256))
        # Black borders and white labels may be most of a film: their bars run out at the top.
        axes.set_ylim(0, 1.3 * max(highest) if max(highest) else 1)
        axes.set_xticks(range(0, 257, 64))
        axes.legend(loc="upper right")
    return figure


def prevalence_figure(index: pd.DataFrame, data: str) -> Figure:
    """How much of a film, and of its lungs where outlined, is marked, by group.

    Args:
        index: one row a film: `group`, `target_share` and perhaps `target_share_in_lung`, 0..1.
        data: where the films are from.

    Example:
        >>> index = pd.DataFrame({"group": ["virus", "normal"], "target_share": [0.1, 0.0]})
        >>> len(prevalence_figure(index, "phantoms").axes)
        1
    """
    columns = {"target_share": "share of the film that is marked, %"}
    if "target_share_in_lung" in index and index["target_share_in_lung"].notna().any():
        columns["target_share_in_lung"] = "share of the lungs that is marked, %"
    width = PAGE_WIDTH if len(columns) > 1 else 4.4
    with drawing(width, 2.7, data) as figure:
        room = (width - 0.1) / len(columns)
        for number, (column, label) in enumerate(columns.items()):
            axes = figure.axes_at(number * room + 0.55, 0.7, room - 0.65, 1.85)
            _shares(axes, index.dropna(subset=[column]), column)
            axes.set(xlabel=label, ylabel="films")
    return figure


def _shares(axes: Axes, index: pd.DataFrame, column: str) -> None:
    """Stacked histogram by group, with the median of the films with anything marked."""
    shares = 100 * index[column]
    groups = {name: shares[index["group"] == name] for name in sorted(index["group"].unique())}
    colours = [GROUP_COLOURS[number % len(GROUP_COLOURS)] for number in range(len(groups))]
    bins = np.linspace(0, max(5.0, 5 * np.ceil(shares.max() / 5)), 21)
    axes.hist(
        list(groups.values()),
        bins,
        stacked=True,
        color=colours,
        edgecolor="white",
        linewidth=0.4,
        label=[f"{name} (n = {len(values)})" for name, values in groups.items()],
    )
    marked = shares[shares > 0]
    if len(marked):
        axes.axvline(
            marked.median(),
            color=INK,
            linestyle="--",
            linewidth=1.0,
            gid=f"median:{column}",
            label=f"median {marked.median():.1f} % of the {len(marked)} marked",
        )
    axes.set_xlim(0, bins[-1])
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.legend(loc="upper right")


def leak_figure(by_patient: int, at_random: int, tested: int, data: str) -> Figure:
    """Test films whose patient was also trained on, with a split by patient and a random one.

    Args:
        by_patient: how many such films there are if patients stay together.
        at_random: and if each film is drawn by itself.
        tested: test films in all.
        data: where the films are from.

    Example:
        >>> figure = leak_figure(0, 30, 100, "phantoms")
        >>> [int(bar.get_width()) for bar in figure.axes[0].patches]
        [30, 0]
    """
    with drawing(4.4, 1.6, data) as figure:
        axes = figure.axes_at(0.95, 0.7, 3.3, 0.8)
        names, counts = ["random split", "split by patient"], [at_random, by_patient]
        axes.barh(names, counts, height=0.55, color=[FALSE_POSITIVE, BASELINE])
        for row, count in enumerate(counts):
            axes.annotate(
                f"{count} of {tested}",
                (count, row),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=SMALL,
                fontweight="bold",
            )
        axes.set(xlabel="test films whose patient was also trained on", xlim=(0, tested * 1.15))
        axes.invert_yaxis()
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.tick_params(axis="y", length=0)
    return figure


def history_figure(history: pd.DataFrame, best_epoch: int, network: str, data: str) -> Figure:
    """Loss, its terms where it has any, and Dice and IoU over the epochs.

    Args:
        history: as `training.fit.load_history` reads it, an epoch a row.
        best_epoch: counted from 1; the one that is kept.
        network: as the paper writes it.
        data: what was trained on, and by which recipe.

    Example:
        >>> columns = ["loss", "val_loss", "dice", "val_dice", "iou", "val_iou"]
        >>> history = pd.DataFrame({name: [0.5, 0.4] for name in columns})
        >>> len(history_figure(history, 2, "SegNet", "phantoms").axes)
        2
    """
    terms = [name for name in TERMS if name in history]
    parts = [("loss", {"loss": "loss"})]
    if terms:
        parts.append(("terms of the loss", {name: TERMS[name] for name in terms}))
    parts.append(("Dice, IoU", {"dice": "Dice", "iou": "IoU"}))
    colour = NETWORK_COLOURS[network]
    with drawing(PAGE_WIDTH, 2.75, data) as figure:
        room = (PAGE_WIDTH - 0.1) / len(parts)
        for number, (label, curves) in enumerate(parts):
            axes = figure.axes_at(number * room + 0.55, 0.85, room - 0.63, 1.8)
            _curves(axes, history, curves, colour)
            axes.axvline(best_epoch, color=INK, linestyle=":", linewidth=1.0, gid="best")
            axes.set(xlabel="epoch", ylabel=label, xlim=(1, max(2, len(history))))
            if label == "Dice, IoU":
                axes.set_ylim(0, 1)
            axes.xaxis.get_major_locator().set_params(integer=True)
        figure.text(
            *figure.at(PAGE_WIDTH - 0.08, 0.22),
            f"{network}: training in full lines, validation dashed; "
            f"dotted, the epoch that is kept ({best_epoch})",
            ha="right",
            va="bottom",
            fontsize=SMALL,
        )
    return figure


def _curves(axes: Axes, history: pd.DataFrame, curves: dict[str, str], colour: str) -> None:
    """Each measure on training films in full, on validation films dashed."""
    epochs = np.arange(1, len(history) + 1)
    shades = (colour, INK, BASELINE)
    for (name, words), shade in zip(curves.items(), shades, strict=False):
        axes.plot(epochs, history[name], color=shade, label=words, gid=name)
        axes.plot(epochs, history[f"val_{name}"], color=shade, linestyle="--", gid=f"val_{name}")
    if len(curves) > 1:
        axes.legend(loc="best")
