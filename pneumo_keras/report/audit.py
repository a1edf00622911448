"""The audit's figure: which shares of foreground printed rows imply, and which were measured."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from pneumo_keras.evaluation.audit import (
    DIGITS,
    LUNGS_PUBLISHED,
    TABLE_2,
    foreground_share,
)
from pneumo_keras.report.drawing import tinted
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

# Shares of a film measured on public annotations: mean, and the 5th and 95th percentiles (of the
# opacities only the 95th is known); see `evaluation.audit.identity`.
ANNOTATED = {
    "lungs, V7 (5,961 films)": (0.334, 0.238, 0.445),
    "opacities, General Blockchain (100 films)": (0.132, None, 0.321),
}
HEIGHT = 4.0  # inches
LEFT, BOTTOM, TOP = 2.55, 1.05, 0.15
LIGHTNESS = {"exact": 0.0, "rounded": 0.5, "truncated": 0.72}
THICKNESS = {"exact": 0.34, "rounded": 0.2, "truncated": 0.2}
OFFSET = {"exact": 0.2, "rounded": -0.09, "truncated": -0.31}


def audit_figure(
    shares: np.ndarray,
    pooled: float,
    target: str,
    data: str,
    rows: dict[str, tuple[str, str]] = TABLE_2,
) -> NotebookFigure:
    """Foreground shares that printed rows imply, above those that were measured.

    Args:
        shares: (films,) 0..1, share of each film of this run on which the target is marked; films
            without it are left out.
        pooled: share of the pixels of all films, those without the target included.
        target: what is marked.
        data: what was measured on.
        rows: accuracy and IoU as printed, by network.

    Example:
        >>> figure = audit_figure(np.array([0.1, 0.2]), 0.12, "pneumonia", "phantoms")
        >>> [bar.get_gid() for bar in figure.axes[0].patches][:2]
        ['DeepLabV3:exact', 'DeepLabV3:rounded']
    """
    there = np.asarray(shares, float)
    there = there[there > 0]
    places = len(rows) + len(LUNGS_PUBLISHED) + len(ANNOTATED) + 1
    labels = []
    with drawing(PAGE_WIDTH, HEIGHT, data) as figure:
        axes = figure.axes_at(LEFT, BOTTOM, PAGE_WIDTH - LEFT - 0.12, HEIGHT - BOTTOM - TOP)
        height = places
        for name, (accuracy, iou) in rows.items():
            height -= 1
            labels.append((height, f"{name}: {accuracy}, {iou}"))
            _implied(axes, height, name, (accuracy, iou), NETWORK_COLOURS.get(name, INK))
        for name, (accuracy, iou) in LUNGS_PUBLISHED.items():
            height -= 1
            labels.append((height, f"{name}: {accuracy}, {iou}"))
            low, high = foreground_share(accuracy, iou)
            axes.barh(height, high - low, 0.34, left=low, color=BASELINE, gid=f"published:{name}")
        for name, (mean, low, high) in ANNOTATED.items():
            height -= 1
            labels.append((height, name))
            axes.plot([mean if low is None else low, high], [height] * 2, color=INK, linewidth=1)
            axes.plot(mean, height, "D", markersize=4, color=INK, gid=f"annotated:{name}")
        height -= 1
        labels.append((height, f"this run: {target} ({len(there)} films)"))
        # Spread up and down only so that no dot hides another; always alike.
        upwards = np.random.default_rng(0).uniform(-0.24, 0.24, len(there))
        axes.plot(
            there,
            height + upwards,
            "o",
            markersize=2.6,
            markeredgewidth=0,
            color=tinted(INK, 0.3),
            alpha=0.5,
            gid="films",
        )
        axes.plot([pooled] * 2, [height - 0.36, height + 0.36], color=INK, gid="pooled")
        for boundary in (places - len(rows), len(ANNOTATED) + 1):
            axes.axhline(boundary - 0.5, color=FAINT, linewidth=0.7)
        axes.set_yticks(*zip(*labels, strict=True))
        axes.tick_params(axis="y", length=0)
        axes.set(
            xlim=(0, 1), ylim=(-0.55, places - 0.45), xlabel="share of pixels that are foreground"
        )
        axes.grid(axis="x", color=FAINT, linewidth=0.4)
        axes.set_axisbelow(True)
        _sections(axes, places, len(rows))
        _legend(figure)
    return figure


def _implied(axes: Axes, height: float, name: str, row: tuple[str, str], colour: str) -> None:
    for digits in DIGITS:
        share = foreground_share(*row, digits)
        if share is None:
            continue
        axes.barh(
            height + OFFSET[digits],
            share[1] - share[0],
            THICKNESS[digits],
            left=share[0],
            color=tinted(colour, LIGHTNESS[digits]),
            gid=f"{name}:{digits}",
        )


def _sections(axes: Axes, places: int, rows: int) -> None:
    headings = {
        places - rows: "printed: accuracy, IoU",
        len(ANNOTATED) + 1: "published lung segmentations",
        0: "measured",
    }
    for height, words in headings.items():
        axes.text(
            0.995,
            height - 0.42,
            words,
            ha="right",
            va="bottom",
            fontsize=SMALL,
            color="#666666",
        )


def _legend(figure: NotebookFigure) -> None:
    bars = [
        Patch(color=tinted(INK, LIGHTNESS[digits]), label=f"implied, digits {digits}")
        for digits in DIGITS
    ]
    dot = {"linestyle": "", "color": INK}
    figure.legend(
        handles=[
            *bars,
            Line2D(
                [],
                [],
                marker="D",
                markersize=4,
                label="mean, 5th (where known) and 95th percentile",
                **dot,
            ),
            Line2D([], [], marker="o", markersize=2.6, label="one film", **dot),
            Line2D([], [], color=INK, marker="|", linestyle="", markersize=8, label="all pixels"),
        ],
        ncols=3,
        loc="lower left",
        bbox_to_anchor=figure.at(LEFT - 1.9, 0.26),
    )
