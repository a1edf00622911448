"""Counts of pixels, and the scores of overlap that follow from them."""

from __future__ import annotations

import numpy as np
import pandas as pd

COUNTS = ["tp", "fp", "fn", "tn"]


def count_pixels(truth: np.ndarray, predicted: np.ndarray) -> pd.DataFrame:
    """True and false positives and negatives of each film.

    TP, FP, FN and TN in their usual sense; below its equation 2 the paper has the words for FP
    and FN the wrong way round.

    Args:
        truth: (films, height, width) bool, or 0 and 1.
        predicted: the same shape.

    Returns:
        One row a film with the columns tp, fp, fn, tn.

    Raises:
        ValueError: if the shapes differ, or there is no film.

    Example:
        >>> truth = np.array([[[1, 1, 0, 0]]])
        >>> count_pixels(truth, np.array([[[1, 0, 1, 0]]])).to_dict("records")
        [{'tp': 1, 'fp': 1, 'fn': 1, 'tn': 1}]
    """
    if truth.shape != predicted.shape or len(truth) == 0:
        raise ValueError(
            f"truth and prediction need one shape, not {truth.shape} and {predicted.shape}"
        )
    pairs = zip(truth.astype(bool), predicted.astype(bool), strict=True)
    return pd.DataFrame([film_counts(*pair) for pair in pairs])


def film_counts(truth: np.ndarray, predicted: np.ndarray) -> dict[str, int]:
    """tp, fp, fn and tn of one film.

    Args:
        truth: (height, width) bool.
        predicted: the same.

    Example:
        >>> film_counts(np.array([[True, False]]), np.array([[True, True]]))
        {'tp': 1, 'fp': 1, 'fn': 0, 'tn': 0}
    """
    tp = int(np.count_nonzero(truth & predicted))
    fp = int(np.count_nonzero(predicted)) - tp
    fn = int(np.count_nonzero(truth)) - tp
    return {"tp": tp, "fp": fp, "fn": fn, "tn": truth.size - tp - fp - fn}


def film_scores(counts: pd.DataFrame) -> pd.DataFrame:
    """The counts with the scores of each film beside them.

    - `accuracy` = (TP + TN) / all
    - `iou` = TP / (TP + FP + FN) and `dice` = 2 TP / (2 TP + FP + FN)
    - `sensitivity` = TP / (TP + FN) and `specificity` = TN / (TN + FP)
    - `precision` = TP / (TP + FP), 0 where nothing is predicted
    - `truth_share` = (TP + FN) / all, `predicted_share` = (TP + FP) / all, and `area_error`,
      their signed difference: positive where too much is marked

    IoU, Dice, sensitivity and precision are missing (NaN) for films without the target,
    specificity for films with nothing else.

    Args:
        counts: tp, fp, fn, tn, one row a film; other columns are kept.

    Example:
        >>> counts = pd.DataFrame({"tp": [1, 0], "fp": [1, 1], "fn": [2, 0], "tn": [0, 3]})
        >>> film_scores(counts)["iou"].tolist()
        [0.25, nan]
        >>> film_scores(counts)["area_error"].tolist()
        [-0.25, 0.25]
    """
    tp, fp, fn, tn = (counts[name].astype(float) for name in COUNTS)
    pixels, target = tp + fp + fn + tn, tp + fn > 0
    return counts.assign(
        accuracy=(tp + tn) / pixels,
        iou=(tp / (tp + fp + fn)).where(target),
        dice=(2 * tp / (2 * tp + fp + fn)).where(target),
        sensitivity=tp / (tp + fn),
        specificity=tn / (tn + fp),
        # Missing here, a network that marks nothing would drop its worst films from the mean.
        precision=(tp / (tp + fp)).fillna(0.0).where(target),
        area_error=(fp - fn) / pixels,
        truth_share=(tp + fn) / pixels,
        predicted_share=(tp + fp) / pixels,
    )


def pooled_scores(counts: pd.DataFrame) -> dict[str, float]:
    """Scores over the pixels of all films together, those without the target included.

    Accuracy and IoU are equations 2 and 1 of the paper. What would divide by zero is NaN:
    IoU where nothing is marked and nothing predicted on any film, precision where nothing is
    predicted on any, and so on.

    Returns:
        `accuracy`, `iou`, `dice`, `sensitivity`, `specificity` and `precision`.

    Example:
        >>> counts = pd.DataFrame({"tp": [1, 0], "fp": [1, 1], "fn": [2, 0], "tn": [0, 3]})
        >>> scores = pooled_scores(counts)
        >>> scores["accuracy"], scores["iou"], scores["specificity"]
        (0.5, 0.2, 0.6)
    """
    tp, fp, fn, tn = (int(counts[name].sum()) for name in COUNTS)
    return {
        "accuracy": _ratio(tp + tn, tp + fp + fn + tn),
        "iou": _ratio(tp, tp + fp + fn),
        "dice": _ratio(2 * tp, 2 * tp + fp + fn),
        "sensitivity": _ratio(tp, tp + fn),
        "specificity": _ratio(tn, tn + fp),
        "precision": _ratio(tp, tp + fp),
    }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
