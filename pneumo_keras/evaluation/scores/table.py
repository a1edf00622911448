"""The table that every reported number comes from: one row a film, all its scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pneumo_keras.evaluation.scores.boundary import boundary_scores
from pneumo_keras.evaluation.scores.checks import (
    WHO,
    check_films,
    check_mask,
    check_probability,
    check_same_shape,
    check_spacing,
    check_threshold,
)
from pneumo_keras.evaluation.scores.lesions import LIMITS, lesion_scores
from pneumo_keras.evaluation.scores.overlap import COUNTS, film_counts, film_scores

COLUMNS = [
    *WHO,
    *COUNTS,
    "accuracy",
    "iou",
    "dice",
    "sensitivity",
    "specificity",
    "precision",
    "area_error",
    "truth_share",
    "predicted_share",
    "hd95",
    "assd",
    "surface_dice",
    "boundary_iou",
    "unit",
    "lesions",
    "lesions_predicted",
    *(f"lesions_found_{suffix}" for suffix in LIMITS),
    *(f"false_lesions_{suffix}" for suffix in LIMITS),
    "brier",
    "peak",
]


def score_films(
    probabilities: Sequence[np.ndarray],
    truth: Sequence[np.ndarray],
    threshold: float,
    films: pd.DataFrame,
    spacing: np.ndarray | None = None,
) -> pd.DataFrame:
    """All scores of each film, from probabilities.

    Args:
        probabilities: (films, height, width) float, 0..1, or one (height, width) a film.
        truth: the same shape or shapes, bool or 0 and 1.
        threshold: probability at and above which a pixel is marked, chosen on validation films.
        films: the same films in the same order, with `name`, `patient` and `group`.
        spacing: (films, 2) height and width of a pixel of these arrays, mm. Without it,
            distances are in pixels of these arrays.

    Returns:
        One row a film, with `COLUMNS`: who it is; the counts and what follows from them
        (`film_scores`); hd95, assd, surface_dice, boundary_iou (`boundary_scores`) and their
        unit, "px" or "mm"; lesions (`lesion_scores`); `brier`, the mean over pixels of
        (probability − truth)²; `peak`, the greatest probability.

    Raises:
        StudyError: naming the film, if one is listed twice or has no prediction or mask, if a
            probability is NaN or outside 0..1, or if prediction and mask differ in size.

    Example:
        >>> films = pd.DataFrame({"name": ["a"], "patient": ["1"], "group": ["virus"]})
        >>> truth = np.array([[[1, 1, 0, 0]]], bool)
        >>> table = score_films([[[0.9, 0.2, 0.6, 0.1]]], truth, 0.5, films)
        >>> table[["tp", "fp", "fn", "tn", "dice", "unit"]].to_dict("records")
        [{'tp': 1, 'fp': 1, 'fn': 1, 'tn': 1, 'dice': 0.5, 'unit': 'px'}]
        >>> round(float(table.loc[0, "brier"]), 3), float(table.loc[0, "peak"])
        (0.255, 0.9)
    """
    check_films(films, len(probabilities), len(truth))
    threshold = check_threshold(threshold)
    names = films["name"].tolist()
    pixels = check_spacing(spacing, names)
    rows = []
    for name, probability, mask, pixel in zip(names, probabilities, truth, pixels, strict=True):
        probability, mask = check_probability(name, probability), check_mask(name, mask)
        check_same_shape(name, probability, mask)
        error = np.subtract(probability, mask, dtype=float)
        of_probability = {"brier": float(np.mean(error**2)), "peak": float(probability.max())}
        rows.append(_mask_scores(mask, probability >= threshold, pixel) | of_probability)
    return _table(rows, films, "px" if spacing is None else "mm")


def score_masks(
    predicted: Sequence[np.ndarray],
    truth: Sequence[np.ndarray],
    films: pd.DataFrame,
    spacing: np.ndarray | None = None,
) -> pd.DataFrame:
    """All scores of each film that masks alone can give: of baselines, or of a second reader.

    Args:
        predicted: (films, height, width) bool or 0 and 1, or one (height, width) a film.
        truth: as for `score_films`.
        films: as for `score_films`.
        spacing: as for `score_films`.

    Returns:
        As `score_films`, with NaN as `brier` and `peak`.

    Raises:
        StudyError: as `score_films`.

    Example:
        >>> films = pd.DataFrame({"name": ["a"], "patient": ["1"], "group": ["virus"]})
        >>> truth = np.ones((1, 4, 4), bool)
        >>> score_masks(~truth, truth, films)[["dice", "hd95"]].round(3).to_dict("records")
        [{'dice': 0.0, 'hd95': 5.657}]
    """
    check_films(films, len(predicted), len(truth))
    names = films["name"].tolist()
    pixels = check_spacing(spacing, names)
    none = {"brier": float("nan"), "peak": float("nan")}
    rows = []
    for name, marked, mask, pixel in zip(names, predicted, truth, pixels, strict=True):
        marked, mask = check_mask(name, marked, "prediction"), check_mask(name, mask)
        check_same_shape(name, marked, mask)
        rows.append(_mask_scores(mask, marked, pixel) | none)
    return _table(rows, films, "px" if spacing is None else "mm")


def _mask_scores(
    mask: np.ndarray, marked: np.ndarray, pixel: tuple[float, float]
) -> dict[str, float]:
    return (
        film_counts(mask, marked)
        | boundary_scores(mask, marked, pixel)
        | lesion_scores(mask, marked)
    )


def _table(rows: list[dict[str, float]], films: pd.DataFrame, unit: str) -> pd.DataFrame:
    scores = film_scores(pd.DataFrame(rows)).assign(unit=unit)
    return pd.concat([films[WHO].reset_index(drop=True), scores], axis=1)[COLUMNS]
