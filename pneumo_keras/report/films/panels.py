"""Figures of films: segmentations (Figures 5 and 6), annotations and augmented variants."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from pneumo_keras.evaluation.overlay import tinted_film
from pneumo_keras.report.films.filmgrid import (
    LABEL,
    SIDE,
    FilmGrid,
    label,
    outline,
    outline_handle,
    show,
)
from pneumo_keras.report.style import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    OUTLINES,
    PAGE_WIDTH,
    TRUE_POSITIVE,
    TRUTH,
    drawing,
)


@dataclass(frozen=True, eq=False)
class TestedFilm:
    """A test film with its truth and what the networks made of it.

    Attributes:
        name: of the film.
        patient: whose it is; "" if not known.
        group: such as bacteria, virus, normal; or a source.
        film: (height, width) uint8.
        truth: (height, width) bool.
        predicted: by network, (height, width) bool each.
        dice: by network, 0..1; NaN where nothing is marked in the truth.
    """

    name: str
    patient: str
    group: str
    film: np.ndarray
    truth: np.ndarray
    predicted: dict[str, np.ndarray]
    dice: dict[str, float]


@dataclass(frozen=True, eq=False)
class Example:
    """A film with its truth and what a network made of it.

    Attributes:
        name: of the film.
        note: why it is shown: best, typical, worst.
        film: (H, W) uint8, grey.
        truth: (H, W) bool.
        predicted: (H, W) bool.
        dice: of the prediction, 0..1; None where nothing is marked in the truth.
    """

    name: str
    note: str
    film: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    dice: float | None


def error_overlay(film: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """A film with true positives, false positives and false negatives coloured in.

    Args:
        film: (H, W) uint8.
        truth: (H, W) bool.
        predicted: (H, W) bool.

    Returns:
        (H, W, 3) uint8, RGB.

    Example:
        >>> black, all_of_it = np.zeros((1, 1), np.uint8), np.ones((1, 1), bool)
        >>> error_overlay(black, ~all_of_it, ~all_of_it).ravel().tolist()
        [0, 0, 0]
    """
    return tinted_film(
        film,
        (
            (truth & predicted, TRUE_POSITIVE),
            (~truth & predicted, FALSE_POSITIVE),
            (truth & ~predicted, FALSE_NEGATIVE),
        ),
    )


def segmentation_figure(examples: Sequence[Example], network: str, data: str) -> Figure:
    """Figures 5 and 6: film, truth, prediction and overlay, one row an example.

    Args:
        examples: chosen by score, each saying so in its note.
        network: as the paper writes it.
        data: what was segmented, and by which recipe.

    Returns:
        The figure, a page wide.

    Example:
        >>> square = np.eye(4, dtype=bool)
        >>> example = Example("a", "best", np.zeros((4, 4), np.uint8), square, square, 1.0)
        >>> len(segmentation_figure([example], "SegNet", "phantoms, 1 test film").axes)
        4
    """
    grid = FilmGrid([example.film for example in examples], 4, LABEL)
    with drawing(PAGE_WIDTH, grid.height, data) as figure:
        rows = grid.panels(figure, ("(a) film", "(b) truth", "(c) prediction", "(d) overlay"))
        for example, row in zip(examples, rows, strict=True):
            show(row[0], example.film)
            show(row[1], 255 * example.truth.astype(np.uint8))
            show(row[2], 255 * example.predicted.astype(np.uint8))
            show(row[3], error_overlay(example.film, example.truth, example.predicted))
            outline(row[3], example.truth, TRUTH)
            dice = f"Dice {example.dice:.2f}" if example.dice is not None else "nothing to find"
            label(row[0], dice, example.name, example.note[:1].upper() + example.note[1:])
        grid.legend(
            figure,
            [
                Patch(color=TRUE_POSITIVE, label="true positive"),
                Patch(color=FALSE_POSITIVE, label="false positive"),
                Patch(color=FALSE_NEGATIVE, label="false negative"),
                outline_handle(TRUTH, "outline of the truth"),
            ],
        )
        figure.text(*figure.at(SIDE, 0.22), network, ha="left", va="bottom", fontweight="bold")
    return figure


def annotation_figure(
    films: Sequence[tuple[str, np.ndarray, dict[str, np.ndarray]]], target: str, data: str
) -> Figure:
    """Film, outlines of all labels, mask of the target and its overlay, one row a film.

    Args:
        films: name, film (H, W) uint8, and masks (H, W) bool by label; without a label's mask
            nothing of it is marked.
        target: label of what is segmented.
        data: where the films are from.

    Example:
        >>> film, mask = np.zeros((4, 4), np.uint8), {"pneumonia": np.eye(4, dtype=bool)}
        >>> len(annotation_figure([("a", film, mask)], "pneumonia", "phantoms").axes)
        4
    """
    names = list(dict.fromkeys([target, *(name for _, _, masks in films for name in masks)]))
    colours = dict(zip(names, itertools.cycle(OUTLINES), strict=False))
    heads = ("(a) film", "(b) annotation", f"(c) mask: {target}", "(d) overlay")
    grid = FilmGrid([film for _, film, _ in films], 4, LABEL)
    with drawing(PAGE_WIDTH, grid.height, data) as figure:
        for (name, film, masks), row in zip(films, grid.panels(figure, heads), strict=True):
            mask = masks.get(target, np.zeros(film.shape, bool))
            show(row[0], film)
            show(row[1], film)
            for drawn in reversed(names):  # the target last, where borders are shared
                if drawn in masks:
                    outline(row[1], masks[drawn], colours[drawn])
            show(row[2], 255 * mask.astype(np.uint8))
            show(row[3], tinted_film(film, ((mask, colours[target]),)))
            label(row[0], f"{100 * mask.mean():.1f} % marked", name)
        grid.legend(figure, [outline_handle(colours[name], name) for name in names])
    return figure


def augmentation_figure(
    pairs: Sequence[Sequence[tuple[np.ndarray, np.ndarray]]], data: str
) -> Figure:
    """Originals and variants of them, each with the outline of its mask.

    Args:
        pairs: one row a film: the original and its variants, each film (H, W) uint8 and mask
            (H, W), 0 or 1; as many in each row.
        data: where the films are from.

    Example:
        >>> film, mask = np.zeros((4, 4), np.uint8), np.eye(4)
        >>> len(augmentation_figure([[(film, mask)] * 3] * 2, "phantoms").axes)
        6
    """
    columns = len(pairs[0])
    heads = ("original", *(f"variant {number}" for number in range(1, columns)))
    grid = FilmGrid([row[0][0] for row in pairs], columns)
    with drawing(PAGE_WIDTH, grid.height, data) as figure:
        for row, panels in zip(pairs, grid.panels(figure, heads), strict=True):
            for (film, mask), axes in zip(row, panels, strict=True):
                show(axes, film)
                outline(axes, mask > 0, TRUTH)
        grid.legend(figure, [outline_handle(TRUTH, "outline of the mask")])
    return figure
