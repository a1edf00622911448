"""Calibration of the probabilities, precision and recall, and scores over the threshold.

Pixels of all images are counted in a histogram, those of a bin tied at their mean probability.
Its bins have equal width as logits, since networks are sure of most pixels. Brier score and share
of target are exact; average precision and calibration error are those of probabilities rounded by
at most 0.00025.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.metrics import average_precision_score, precision_recall_curve

from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.checks import check_threshold, checked_pair
from pneumo_keras.evaluation.metrics import overlap_ratios

HISTOGRAM_BINS = 2**15
MAX_LOGIT = 16.0  # probabilities from 1e-7 to 1 - 1e-7 are told apart
RELIABILITY_BINS = 15


def pixel_histogram(
    probabilities: Sequence[np.ndarray], reference: Sequence[np.ndarray]
) -> pd.DataFrame:
    """Count the pixels of all images by probability.

    Probabilities are (images, height, width), 0..1, or one (height, width) per image; masks are of
    the same shapes, bool or 0 and 1. Other input is a StudyError.

    Returns:
        One row a bin that holds pixels, by rising `probability`, their mean: `target` and
        `other`, their number inside and outside the mask; `squares`, their sum of squared errors.

    Example:
        >>> pixel_histogram([[[0.25, 0.75]]], np.array([[[0, 1]]]))["target"].tolist()
        [0, 1]
    """
    counts, (sums, squares) = np.zeros((2, HISTOGRAM_BINS), int), np.zeros((2, HISTOGRAM_BINS))
    for probability, mask in _pairs(probabilities, reference):
        probability, mask = probability.ravel().astype(float), mask.ravel()
        place = (np.clip(logit(probability), -MAX_LOGIT, MAX_LOGIT) + MAX_LOGIT) / (2 * MAX_LOGIT)
        bins = np.minimum((place * HISTOGRAM_BINS).astype(np.int64), HISTOGRAM_BINS - 1)
        counts += _counts_inside_and_outside(bins, mask, HISTOGRAM_BINS)
        sums += np.bincount(bins, probability, HISTOGRAM_BINS)
        squares += np.bincount(bins, (probability - mask) ** 2, HISTOGRAM_BINS)
    table = pd.DataFrame({"target": counts[0], "other": counts[1], "squares": squares, "sum": sums})
    table = table[counts.any(axis=0)].reset_index(drop=True)
    table.insert(0, "probability", table.pop("sum") / (table["target"] + table["other"]))
    return table


def probability_scores(histogram: pd.DataFrame) -> dict[str, float]:
    """Score the probabilities over the pixels of all images together; NaN where undefined."""
    pixels = histogram["target"].sum() + histogram["other"].sum()
    share = float(histogram["target"].sum() / pixels)
    precision = average_precision_score(**_weighted(histogram)) if share else float("nan")
    return {
        "pooled_brier": float(histogram["squares"].sum() / pixels),
        "pooled_calibration_error": calibration_error(reliability_curve(histogram)),
        "pooled_average_precision": float(precision),
        "pooled_target_share": share,
    }


def reliability_curve(histogram: pd.DataFrame) -> pd.DataFrame:
    """Compare predicted with observed share of target, in bins of equal numbers of pixels.

    Returns:
        One row a bin, fewer than `RELIABILITY_BINS` where the histogram is coarser: `predicted`,
        the mean probability, `observed`, the share of target, and `pixels`.
    """
    pixels = histogram["target"] + histogram["other"]
    middle = pixels.cumsum() - pixels / 2  # a bin of the histogram goes where its middle pixel is
    bins = (middle * RELIABILITY_BINS / pixels.sum()).astype(int).to_numpy()
    sums = {"predicted": histogram["probability"] * pixels, "observed": histogram["target"]}
    curve = pd.DataFrame({**sums, "pixels": pixels}).groupby(bins).sum().reset_index(drop=True)
    curve[["predicted", "observed"]] = curve[list(sums)].div(curve["pixels"], axis=0)
    return curve


def calibration_error(curve: pd.DataFrame) -> float:
    """Compute the expected calibration error: |observed − predicted| averaged over pixels."""
    distance = (curve["observed"] - curve["predicted"]).abs()
    return float((distance * curve["pixels"]).sum() / curve["pixels"].sum())


def precision_recall(histogram: pd.DataFrame) -> pd.DataFrame:
    """Compute precision and recall (sensitivity) of all pixels at each `threshold`, rising."""
    if not histogram["target"].any():
        raise StudyError("no image has the target: precision and recall need images that have it")
    precision, recall, threshold = precision_recall_curve(**_weighted(histogram))
    # The last point, precision 1 at recall 0, belongs to no threshold.
    curve = {"threshold": threshold, "precision": precision[:-1], "recall": recall[:-1]}
    return pd.DataFrame(curve)


def threshold_sweep(
    probabilities: Sequence[np.ndarray],
    reference: Sequence[np.ndarray],
    thresholds: Sequence[float],
) -> pd.DataFrame:
    """Compute the scores at other thresholds: to look at, not to choose by.

    Probabilities and masks are as for `pixel_histogram`, thresholds rise, above 0 and at most 1;
    other input is a StudyError.

    Returns:
        One row a `threshold`: `image_dice`, the mean over images with the target; over all pixels
        together `pooled_dice`, `pooled_iou`, `sensitivity` and `precision`; NaN for 0 / 0.
    """
    limits = np.array([check_threshold(threshold) for threshold in thresholds])
    if len(limits) == 0 or (np.diff(limits) <= 0).any():
        raise StudyError("the thresholds of a sweep must rise, each once")
    pairs = _pairs(probabilities, reference)
    counts = np.stack([_counts_at(*pair, limits) for pair in pairs], axis=1)
    with np.errstate(invalid="ignore"):
        dice = np.divide(*overlap_ratios(*counts)["dice"])[(counts[0] + counts[2] > 0)[:, 0]]
        pooled = overlap_ratios(*counts.sum(axis=1))
        sweep = {"threshold": limits, "image_dice": dice.mean(axis=0) if len(dice) else np.nan}
        for name in ("pooled_dice", "pooled_iou", "sensitivity", "precision"):
            sweep[name] = np.divide(*pooled[name.removeprefix("pooled_")])
    return pd.DataFrame(sweep)


def _counts_at(probability: np.ndarray, mask: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Count tp, fp, fn and tn at each limit, (4, limits)."""
    # Compared as `probability >= threshold` compares: at the precision of the probabilities.
    reached = np.searchsorted(limits.astype(probability.dtype), probability.ravel(), side="right")
    counts = _counts_inside_and_outside(reached, mask.ravel(), len(limits) + 1)
    below = counts.cumsum(axis=1)[:, :-1]
    return np.concatenate([counts.sum(axis=1, keepdims=True) - below, below])


def _counts_inside_and_outside(bins: np.ndarray, mask: np.ndarray, number: int) -> np.ndarray:
    """Count the pixels of each bin inside the mask and outside it, (2, number)."""
    return np.bincount(bins + number * ~mask, minlength=2 * number).reshape(2, number)


def _pairs(probabilities, reference) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield probabilities and mask of one image after the other, checked."""
    if len(probabilities) != len(reference) or len(reference) == 0:
        raise StudyError(f"{len(probabilities)} predictions for {len(reference)} masks")
    for number, pair in enumerate(zip(probabilities, reference, strict=True), 1):
        yield checked_pair(f"number {number}", *pair)


def _weighted(histogram: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return the histogram as weighted samples for scikit-learn."""
    return {
        "y_true": np.repeat([1, 0], len(histogram)),
        "y_score": np.tile(histogram["probability"], 2),
        "sample_weight": np.concatenate([histogram["target"], histogram["other"]]),
    }
