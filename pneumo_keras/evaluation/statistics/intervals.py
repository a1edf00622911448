"""95 % intervals by a bootstrap of patients.

A patient's films are alike, so films are no independent observations: resampled are patients, each
with all of its films (cluster bootstrap). The estimator is the ratio of two sums over films,

    sum over patients of the numerator / sum over patients of the denominator,

for means over films (scores / films) and for pooled scores (pixels / pixels) alike. It was taken
over the mean of the patients' means because it is the very number that tables and figures print:
a mean over films, in which a patient with more films counts more. The interval is that of the 2.5
and 97.5 percentiles of 10,000 resamples, drawn with a fixed seed. From few patients (below about
20) such an interval is too narrow; read n beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.statistics.checks import COUNTS, check_metric, check_scores

RESAMPLES, SEED = 10_000, 20240126
ENDS = (2.5, 97.5)  # percentiles
CHUNK = 1_000  # resamples at a time: bounds the memory of many patients

# Pooled scores as numerator and denominator, in pixels of all films.
POOLED = {
    "accuracy": ("tp + tn", "tp + fp + fn + tn"),
    "iou": ("tp", "tp + fp + fn"),
    "dice": ("2 * tp", "2 * tp + fp + fn"),
    "sensitivity": ("tp", "tp + fn"),
    "specificity": ("tn", "tn + fp"),
    "precision": ("tp", "tp + fp"),
}


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval.

    Attributes:
        value: as measured; NaN where it is not defined.
        low: lower end; NaN where there is no interval.
        high: upper end.
        films: how many films it is from.
        patients: how many patients.
        reason: why there is no value or no interval, "" where there is one.
    """

    value: float
    low: float
    high: float
    films: int
    patients: int
    reason: str = ""

    def __str__(self) -> str:
        """`0.612 [0.551, 0.670]`, without an interval the value alone.

        Example:
            >>> str(Interval(0.5, 0.25, 0.75, 10, 5))
            '0.500 [0.250, 0.750]'
        """
        if np.isnan(self.value):
            return "–"
        if np.isnan(self.low):
            return f"{self.value:.3f}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@lru_cache(maxsize=4)
def patient_weights(patients: int) -> np.ndarray:
    """How often each patient is drawn in each resample; always the same draws for as many patients.

    Args:
        patients: how many there are.

    Returns:
        (RESAMPLES, patients) uint16; each row sums to `patients`. Not to be written to.

    Example:
        >>> weights = patient_weights(3)
        >>> weights.shape, set(weights.sum(axis=1).tolist())
        ((10000, 3), {3})
    """
    random = np.random.default_rng(SEED)
    equal = np.full(patients, 1 / patients)
    weights = np.empty((RESAMPLES, patients), np.uint16)
    for start in range(0, RESAMPLES, CHUNK):
        weights[start : start + CHUNK] = random.multinomial(patients, equal, size=CHUNK)
    weights.flags.writeable = False
    return weights


def patient_sums(values: pd.DataFrame, patient: pd.Series) -> np.ndarray:
    """Sums over the films of each patient.

    Args:
        values: (films, columns) numbers.
        patient: of each film.

    Returns:
        (patients, columns) float64.

    Example:
        >>> dice = pd.DataFrame({"dice": [0.5, 0.25, 1]})
        >>> patient_sums(dice, pd.Series(["a", "a", "b"])).tolist()
        [[0.75], [1.0]]
    """
    return values.astype(float).groupby(patient.to_numpy()).sum().to_numpy()


def resampled_ratios(sums: np.ndarray) -> np.ndarray:
    """Ratios of sums in each resample of the patients.

    The draws depend on the number of patients alone, so that what two calls return for the same
    patients is paired.

    Args:
        sums: (patients, 2 × ratios): the numerators, then their denominators.

    Returns:
        (RESAMPLES, ratios); NaN where a denominator is zero.

    Example:
        >>> resampled_ratios(np.array([[1.0, 2.0], [3.0, 6.0]]))[0].tolist()
        [0.5]
    """
    weights, half = patient_weights(len(sums)), sums.shape[1] // 2
    totals = np.concatenate(
        [weights[start : start + CHUNK] @ sums for start in range(0, RESAMPLES, CHUNK)]
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return totals[:, :half] / totals[:, half:]


def percentile_interval(resamples: np.ndarray) -> tuple[float, float]:
    """The 2.5 and 97.5 percentiles of those resamples in which a value is defined.

    Example:
        >>> percentile_interval(np.arange(0, 101.0))
        (2.5, 97.5)
    """
    low, high = np.nanpercentile(resamples, ENDS)
    return float(low), float(high)


def ratio_interval(numerator: pd.Series, denominator: pd.Series, patient: pd.Series) -> Interval:
    """Interval of the ratio of two sums over films.

    Args:
        numerator: of each film.
        denominator: of each film.
        patient: of each film.

    Returns:
        Value and interval; without an interval, and with the reason, for one patient only;
        without a value where the denominators sum to zero.

    Example:
        >>> one = ratio_interval(pd.Series([1, 2]), pd.Series([2, 2]), pd.Series(["a", "a"]))
        >>> one.value, one.low, one.reason
        (0.75, nan, 'one patient only')
    """
    values = pd.DataFrame({"numerator": numerator, "denominator": denominator})
    sums = patient_sums(values, patient)
    nan, films, patients = float("nan"), len(values), len(sums)
    whole = sums.sum(axis=0)
    if not films or whole[1] == 0:
        return Interval(nan, nan, nan, films, patients, "nothing to measure it on")
    value = float(whole[0] / whole[1])
    if patients == 1:
        return Interval(value, nan, nan, films, patients, "one patient only")
    return Interval(value, *percentile_interval(resampled_ratios(sums)), films, patients)


def mean_interval(scores: pd.DataFrame, metric: str) -> Interval:
    """Mean of a score over the films that have it, with its interval.

    Args:
        scores: one row a film: name, patient, counts and the metric; NaN on films without the
            target.
        metric: column to average.

    Raises:
        StudyError: for a table that is not sound (`check_scores`) or has no such column.

    Example:
        >>> table = pd.DataFrame({"name": ["a", "b"], "patient": ["1", "2"], "tp": [1, 0],
        ...                       "fp": 0, "fn": [1, 0], "tn": [2, 4], "iou": [0.5, np.nan]})
        >>> mean_interval(table, "iou")
        Interval(value=0.5, low=nan, high=nan, films=1, patients=1, reason='one patient only')
    """
    scores = check_scores(scores)
    check_metric([scores], metric)
    there = scores[scores[metric].notna()]
    if there.empty:
        nan = float("nan")
        return Interval(nan, nan, nan, 0, 0, "no film with the target")
    return ratio_interval(there[metric], there[metric] * 0 + 1, there["patient"])


def pooled_interval(scores: pd.DataFrame, metric: str) -> Interval:
    """A score of the pixels of all films together, with its interval.

    Args:
        scores: one row a film: name, patient, tp, fp, fn, tn.
        metric: a key of `POOLED`.

    Raises:
        StudyError: for a table that is not sound, or another metric.

    Example:
        >>> table = pd.DataFrame({"name": ["a", "b"], "patient": "1", "tp": [1, 0], "fp": [1, 1],
        ...                       "fn": [2, 0], "tn": [0, 3]})
        >>> pooled_interval(table, "accuracy").value, pooled_interval(table, "iou").value
        (0.5, 0.2)
    """
    scores = check_scores(scores)
    numerator, denominator = pooled_parts(scores, metric)
    return ratio_interval(numerator, denominator, scores["patient"])


def pooled_parts(scores: pd.DataFrame, metric: str) -> tuple[pd.Series, pd.Series]:
    """Numerator and denominator of a pooled score, of each film, in pixels.

    Example:
        >>> table = pd.DataFrame({"tp": [1], "fp": [1], "fn": [2], "tn": [4]})
        >>> [part.item() for part in pooled_parts(table, "iou")]
        [1, 4]
    """
    if metric not in POOLED:
        raise StudyError(f"no pooled score {metric!r}: there are {', '.join(POOLED)}")
    return tuple(scores[COUNTS].eval(part) for part in POOLED[metric])
