"""What is refused before anything is scored, with the film named."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pneumo_keras.errors import StudyError

WHO = ["name", "patient", "group"]


def check_films(films: pd.DataFrame, predictions: int, masks: int) -> None:
    """Sees that there is one prediction and one mask a film, and each film once.

    Args:
        films: one row a film, with name, patient and group.
        predictions: how many.
        masks: how many.

    Raises:
        StudyError: otherwise.

    Example:
        >>> check_films(pd.DataFrame({"name": ["a"], "patient": "1", "group": "virus"}), 1, 1)
    """
    absent = [column for column in WHO if column not in films]
    if absent:
        raise StudyError(f"the list of films has no column {absent[0]}: take the index of arrays")
    unnamed = films[WHO].isna().any(axis=1).to_numpy()
    if unnamed.any():
        row = int(np.argmax(unnamed))
        raise StudyError(
            f"film {films['name'].iloc[row]} (row {row}): name, patient or group empty"
        )
    twice = films["name"][films["name"].duplicated()]
    if len(twice):
        raise StudyError(f"film {twice.iloc[0]} is listed twice: leave one of the two out")
    if not len(films):
        raise StudyError("there is no film to score: the part of the split is empty")
    for count, what in ((predictions, "prediction"), (masks, "mask")):
        if count < len(films):
            raise StudyError(
                f"film {films['name'].iloc[count]} has no {what}: {len(films)} films, {count} given"
            )
        if count > len(films):
            raise StudyError(f"{count} {what}s for {len(films)} films: one is needed for each")


def check_mask(film: str, mask: np.ndarray, what: str = "mask") -> np.ndarray:
    """The mask of one film as bool.

    Raises:
        StudyError: if it is not of two dimensions or holds anything but 0 and 1.

    Example:
        >>> check_mask("a", np.array([[0, 1]], np.uint8)).tolist()
        [[False, True]]
    """
    mask = np.asarray(mask)
    if mask.ndim != 2 or mask.size == 0:
        raise StudyError(f"film {film}: a {what} has height and width, not shape {mask.shape}")
    if mask.dtype != bool and not ((mask == 0) | (mask == 1)).all():
        raise StudyError(f"film {film}: the {what} holds other values than 0 and 1")
    return mask.astype(bool, copy=False)


def check_probability(film: str, probability: np.ndarray) -> np.ndarray:
    """The probabilities of one film.

    Raises:
        StudyError: if they are not of two dimensions, or any is not in 0..1.

    Example:
        >>> check_probability("a", np.array([[0.5, 2]]))
        Traceback (most recent call last):
        ...
        pneumo_keras.errors.StudyError: film a: probabilities from 0.5 to 2, not within 0..1
    """
    probability = np.asarray(probability)
    if probability.ndim != 2 or probability.size == 0:
        raise StudyError(f"film {film}: height and width are needed, not {probability.shape}")
    low, high = float(probability.min()), float(probability.max())
    if np.isnan(low):
        raise StudyError(f"film {film}: a probability is not a number (NaN); train the model anew")
    if low < 0 or high > 1:
        raise StudyError(f"film {film}: probabilities from {low:g} to {high:g}, not within 0..1")
    return probability


def check_same_shape(film: str, prediction: np.ndarray, mask: np.ndarray) -> None:
    """Sees that the prediction of one film has the size of its mask.

    Raises:
        StudyError: otherwise.

    Example:
        >>> check_same_shape("a", np.zeros((2, 2)), np.zeros((2, 2)))
    """
    if prediction.shape != mask.shape:
        raise StudyError(
            f"film {film}: prediction {_size(prediction)} and mask {_size(mask)} differ; "
            "bring both to one size"
        )


def check_threshold(threshold: float) -> float:
    """A probability to mark at and above which.

    Raises:
        StudyError: if it is not above 0 and at most 1.

    Example:
        >>> check_threshold(0.5)
        0.5
    """
    if not 0 < threshold <= 1:
        raise StudyError(f"threshold {threshold:g}: it must be above 0 and at most 1")
    return float(threshold)


def check_spacing(spacing: np.ndarray | None, films: Sequence[str]) -> list[tuple[float, float]]:
    """Height and width of a pixel for each film, 1 and 1 without `spacing`.

    Raises:
        StudyError: if the spacing of any film is unknown or not positive.

    Example:
        >>> check_spacing(None, ["a"])
        [(1.0, 1.0)]
    """
    if spacing is None:
        return [(1.0, 1.0)] * len(films)
    spacing = np.asarray(spacing, float)
    if spacing.shape != (len(films), 2):
        raise StudyError(f"spacing of shape {spacing.shape}: ({len(films)}, 2) is needed")
    wrong = ~(np.isfinite(spacing) & (spacing > 0)).all(axis=1)
    if wrong.any():
        raise StudyError(
            f"film {films[int(np.argmax(wrong))]}: spacing is not known; "
            "leave spacing out to measure in pixels"
        )
    return [(float(height), float(width)) for height, width in spacing]


def _size(array: np.ndarray) -> str:
    return "×".join(map(str, array.shape))
