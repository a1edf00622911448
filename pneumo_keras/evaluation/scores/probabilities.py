"""What the probabilities themselves are worth: calibration, precision and recall, thresholds.

The pixels of all films are counted in `CELLS` cells of probability, so that a thousand films take
seconds and no memory to speak of. The cells have equal width as logits: networks are sure of most
pixels, and cells of equal width as probabilities would tie all of those. Within a cell, pixels
count as tied at their own mean probability. Brier score, mean probability and share of target of
every cell are exact; average precision and calibration error are those of the probabilities so
rounded, by at most 0.00025, and by 0.1 % of themselves where they are small. The threshold sweep
is exact.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.metrics import average_precision_score, precision_recall_curve

from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.scores.checks import (
    check_mask,
    check_probability,
    check_same_shape,
    check_threshold,
)

CELLS = 2**15
REACH = 16.0  # greatest logit told apart: probabilities from 1e-7 to 1 - 1e-7
BINS = 15


def pixel_cells(probabilities: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> pd.DataFrame:
    """Counts the pixels of all films by probability.

    Args:
        probabilities: (films, height, width), 0..1, or one (height, width) a film.
        truth: the same, bool or 0 and 1.

    Returns:
        One row a cell that has pixels, by rising `probability`, their mean; `target` and `other`,
        how many of them are marked in truth and how many are not; `squares`, the sum of their
        (probability − truth)².

    Raises:
        StudyError: if a probability is NaN or outside 0..1, or sizes differ.

    Example:
        >>> cells = pixel_cells([[[0.25, 0.75]]], np.array([[[0, 1]]]))
        >>> cells.to_dict("list")
        {'probability': [0.25, 0.75], 'target': [0, 1], 'other': [1, 0], 'squares': [0.0625, 0.0625]}
    """
    counts = np.zeros((2, CELLS), np.int64)
    sums, squares = np.zeros(CELLS), np.zeros(CELLS)
    for probability, mask in _pairs(probabilities, truth):
        probability, mask = probability.ravel().astype(float), mask.ravel()
        place = (np.clip(logit(probability), -REACH, REACH) + REACH) / (2 * REACH)
        cell = np.minimum((place * CELLS).astype(np.int64), CELLS - 1)
        counts += np.bincount(cell + CELLS * mask, minlength=2 * CELLS).reshape(2, CELLS)
        sums += np.bincount(cell, probability, CELLS)
        squares += np.bincount(cell, (probability - mask) ** 2, CELLS)
    pixels = counts.sum(axis=0)
    held = pixels > 0
    return pd.DataFrame(
        {
            "probability": sums[held] / pixels[held],
            "target": counts[1, held],
            "other": counts[0, held],
            "squares": squares[held],
        }
    )


def probability_scores(cells: pd.DataFrame) -> dict[str, float]:
    """Scores of the probabilities over the pixels of all films together.

    Average precision is NaN where no pixel is marked in truth; one that knows nothing has the
    share of the target, given beside it.

    Args:
        cells: see `pixel_cells`.

    Returns:
        `pooled_brier` (0 at best), `pooled_calibration_error` (see `calibration_error`),
        `pooled_average_precision` (1 at best) and `pooled_target_share`.

    Example:
        >>> cells = pixel_cells([[[0.25, 0.75]]], np.array([[[0, 1]]]))
        >>> probability_scores(cells)  # doctest: +NORMALIZE_WHITESPACE
        {'pooled_brier': 0.0625, 'pooled_calibration_error': 0.25,
         'pooled_average_precision': 1.0, 'pooled_target_share': 0.5}
    """
    pixels = cells["target"].sum() + cells["other"].sum()
    share = float(cells["target"].sum() / pixels)
    average_precision = average_precision_score(**_weighted(cells)) if share else float("nan")
    return {
        "pooled_brier": float(cells["squares"].sum() / pixels),
        "pooled_calibration_error": calibration_error(reliability_curve(cells)),
        "pooled_average_precision": float(average_precision),
        "pooled_target_share": share,
    }


def reliability_curve(cells: pd.DataFrame, bins: int = BINS) -> pd.DataFrame:
    """How often pixels given a probability are marked in truth, in bins of equal mass.

    Pixels in order of probability are cut into `bins` as even as the cells allow; a cell that
    holds more pixels than a bin should leaves fewer bins.

    Args:
        cells: see `pixel_cells`.
        bins: how many.

    Returns:
        One row a bin: `predicted`, the mean probability, `observed`, the share marked in truth,
        and `pixels`.

    Example:
        >>> cells = pixel_cells([[[0.1, 0.2, 0.6, 0.8]]], np.array([[[0, 0, 0, 1]]]))
        >>> reliability_curve(cells, 2).round(2).to_dict("list")
        {'predicted': [0.15, 0.7], 'observed': [0.0, 0.5], 'pixels': [2, 2]}
    """
    pixels = cells["target"] + cells["other"]
    # The bin in which the middle pixel of the cell falls.
    number = ((pixels.cumsum() - pixels / 2) * bins / pixels.sum()).astype(int)
    sums = pd.DataFrame(
        {
            "predicted": cells["probability"] * pixels,
            "observed": cells["target"],
            "pixels": pixels,
        }
    )
    curve = sums.groupby(number.to_numpy()).sum()
    shares = curve[["predicted", "observed"]].div(curve["pixels"], axis=0)
    return shares.assign(pixels=curve["pixels"]).reset_index(drop=True)


def calibration_error(curve: pd.DataFrame) -> float:
    """Expected calibration error: the mean distance of observed from predicted over pixels.

    Args:
        curve: see `reliability_curve`.

    Example:
        >>> calibration_error(pd.DataFrame({"predicted": [0.1], "observed": [0.2], "pixels": [9]}))
        0.1
    """
    distance = (curve["observed"] - curve["predicted"]).abs()
    return float((distance * curve["pixels"]).sum() / curve["pixels"].sum())


def precision_recall(cells: pd.DataFrame) -> pd.DataFrame:
    """Precision and recall (sensitivity) of all pixels together, over the threshold.

    Args:
        cells: see `pixel_cells`.

    Returns:
        One row a threshold, rising: `threshold`, `precision`, `recall`.

    Raises:
        StudyError: if no pixel is marked in truth.

    Example:
        >>> cells = pixel_cells([[[0.1, 0.2, 0.6, 0.8]]], np.array([[[0, 1, 0, 1]]]))
        >>> precision_recall(cells)["recall"].tolist()
        [1.0, 1.0, 0.5, 0.5]
    """
    if not cells["target"].sum():
        raise StudyError("no film has the target: precision and recall need films that have it")
    precision, recall, thresholds = precision_recall_curve(**_weighted(cells))
    # The last point, precision 1 at recall 0, belongs to no threshold.
    return pd.DataFrame(
        {"threshold": thresholds, "precision": precision[:-1], "recall": recall[:-1]}
    )


def threshold_sweep(
    probabilities: Sequence[np.ndarray], truth: Sequence[np.ndarray], thresholds: Sequence[float]
) -> pd.DataFrame:
    """What the scores would be at other thresholds: to look at, not to choose by.

    Args:
        probabilities: (films, height, width), 0..1, or one (height, width) a film.
        truth: the same, bool or 0 and 1.
        thresholds: rising, above 0 and at most 1.

    Returns:
        One row a threshold: `threshold`; `film_dice`, the mean over films with the target (NaN if
        there are none); over all pixels together `pooled_dice`, `pooled_iou`, `sensitivity` and
        `precision` (NaN where nothing is predicted).

    Raises:
        StudyError: if a probability is NaN or outside 0..1, sizes differ, or thresholds do not
            rise.

    Example:
        >>> sweep = threshold_sweep([[[0.9, 0.3, 0.1]]], np.array([[[1, 1, 0]]]), [0.2, 0.5])
        >>> sweep["film_dice"].round(3).tolist()
        [1.0, 0.667]
    """
    limits = np.array([check_threshold(threshold) for threshold in thresholds])
    if len(limits) == 0 or (np.diff(limits) <= 0).any():
        raise StudyError("the thresholds of a sweep must rise, each once")
    counted = [(*_marked(*pair, limits), pair[1].sum()) for pair in _pairs(probabilities, truth)]
    fp, tp, marked = map(np.array, zip(*counted, strict=True))
    fn = marked[:, None] - tp
    target = (tp + fn)[:, 0] > 0
    with np.errstate(invalid="ignore"):
        dice = (2 * tp / (2 * tp + fp + fn))[target]
        tp, fp, fn = (counts.sum(axis=0) for counts in (tp, fp, fn))
        return pd.DataFrame(
            {
                "threshold": limits,
                "film_dice": dice.mean(axis=0) if target.any() else np.nan,
                "pooled_dice": 2 * tp / (2 * tp + fp + fn),
                "pooled_iou": tp / (tp + fp + fn),
                "sensitivity": tp / (tp + fn),
                "precision": tp / (tp + fp),
            }
        )


def _marked(probability: np.ndarray, mask: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Pixels at or above each limit, (2, limits): those not marked in truth, then those marked."""
    # Compared as `probability >= threshold` compares: at the precision of the probabilities.
    reached = np.searchsorted(limits.astype(probability.dtype), probability.ravel(), side="right")
    cells = len(limits) + 1
    counts = np.bincount(reached + cells * mask.ravel(), minlength=2 * cells).reshape(2, cells)
    return counts[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]


def _pairs(probabilities: Sequence[np.ndarray], truth: Sequence[np.ndarray]):
    """Probabilities and mask of one film after the other, checked."""
    if len(probabilities) != len(truth) or len(truth) == 0:
        raise StudyError(f"{len(probabilities)} predictions for {len(truth)} masks: one for each")
    for number, (probability, mask) in enumerate(zip(probabilities, truth, strict=True), 1):
        film = f"number {number}"
        probability, mask = check_probability(film, probability), check_mask(film, mask)
        check_same_shape(film, probability, mask)
        yield probability, mask


def _weighted(cells: pd.DataFrame) -> dict[str, np.ndarray]:
    """The cells as scikit-learn takes samples with weights."""
    present = np.repeat([1, 0], len(cells))
    return {
        "y_true": present,
        "y_score": np.tile(cells["probability"], 2),
        "sample_weight": np.concatenate([cells["target"], cells["other"]]),
    }
