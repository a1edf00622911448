"""95 % intervals by a bootstrap of patients.

A patient's images are alike and no independent observations, so patients are resampled, each with
all of its images. The estimator is a ratio of two sums over images, for means (scores / images)
and for pooled scores (pixels / pixels) alike: the number that tables print. With few patients
(below about 20) the interval is too narrow; read n beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.checks import check_metric, check_scores
from pneumo_keras.evaluation.overlap import COUNTS, overlap_ratios

RESAMPLES, SEED = 10_000, 20240126
CHUNK = 1_000  # resamples at a time: bounds the memory of many patients
NO_TARGET, ONE_PATIENT = "no image with the target", "one patient only"


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval (NaN if missing, with the reason), images and patients.

    Example:
        >>> str(Interval(0.5, 0.25, 0.75, images=10, patients=5))
        '0.500 [0.250, 0.750]'
    """

    value: float
    low: float
    high: float
    images: int
    patients: int
    reason: str = ""

    def __str__(self) -> str:
        ends = "" if np.isnan(self.low) else f" [{self.low:.3f}, {self.high:.3f}]"
        return "–" if np.isnan(self.value) else f"{self.value:.3f}{ends}"


def mean_interval(scores: pd.DataFrame, metric: str) -> Interval:
    """Average a column of a table of scores over the images that have it.

    Example:
        >>> table = pd.DataFrame({"name": ["a", "b"], "patient": 1, "tp": [1, 0], "fp": 0,
        ...                       "fn": [1, 0], "tn": [2, 4], "iou": [0.5, np.nan]})
        >>> mean_interval(table, "iou").value
        0.5
    """
    return _interval(scores, metric, pooled=False, undefined=NO_TARGET)


def pooled_interval(scores: pd.DataFrame, metric: str) -> Interval:
    """Compute a score of `overlap_ratios` over the pixels of all images together."""
    return _interval(scores, metric, pooled=True, undefined="nothing to measure it on")


def score_parts(
    tables: Sequence[pd.DataFrame], metric: str, pooled: bool
) -> tuple[list[pd.Series], list[pd.Series], pd.Series]:
    """Return numerators and denominators of a score, one each per valid table, and the patients.

    The metric is a column to average over images, or a key of `overlap_ratios` if `pooled`.
    """
    if pooled:
        ratios = [overlap_ratios(*(table[name] for name in COUNTS)) for table in tables]
        if metric not in ratios[0]:
            raise StudyError(f"no pooled score {metric!r}: there are {', '.join(ratios[0])}")
        parts = [ratio[metric] for ratio in ratios]
    else:
        check_metric(tables, metric)
        scores = [table[metric].dropna() for table in tables]
        parts = [(score, score * 0 + 1) for score in scores]
    numerators, denominators = map(list, zip(*parts, strict=True))
    return numerators, denominators, tables[0]["patient"][numerators[0].index]


def resampled_ratios(values: pd.DataFrame, patient: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Compute ratios of sums over images, as measured and in each resample of the patients.

    From numerators and denominators, (images, 2 × ratios), to (ratios,) and (RESAMPLES, ratios);
    NaN for 0 / 0. Resamples of the same number of patients are the same: two calls are paired.
    """
    sums = values.astype(float).groupby(patient.to_numpy()).sum().to_numpy()
    weights = _patient_weights(len(sums))
    # Not all at once: the weights are converted to float64.
    chunks = [weights[start : start + CHUNK] @ sums for start in range(0, RESAMPLES, CHUNK)]
    with np.errstate(invalid="ignore", divide="ignore"):
        measured = np.divide(*np.split(sums.sum(axis=0), 2))
        return measured, np.divide(*np.split(np.concatenate(chunks), 2, axis=1))


def percentile_interval(resamples: np.ndarray, patients: int) -> tuple[float, float]:
    """Return the percentiles of the resamples in which a value is defined; NaN for one patient."""
    if patients < 2 or np.isnan(resamples).all():
        return float("nan"), float("nan")
    low, high = np.nanpercentile(resamples, (2.5, 97.5))
    return float(low), float(high)


@lru_cache(maxsize=4)
def _patient_weights(patients: int) -> np.ndarray:
    """Draw how often each patient is in each resample: (RESAMPLES, patients) uint16."""
    random = np.random.default_rng(SEED)
    equal = np.full(patients, 1 / patients)
    weights = np.empty((RESAMPLES, patients), np.uint16)
    for start in range(0, RESAMPLES, CHUNK):
        weights[start : start + CHUNK] = random.multinomial(patients, equal, size=CHUNK)
    weights.flags.writeable = False
    return weights


def _interval(scores: pd.DataFrame, metric: str, pooled: bool, undefined: str) -> Interval:
    (part,), (whole,), patient = score_parts([check_scores(scores)], metric, pooled)
    nan, images, patients = float("nan"), len(patient), patient.nunique()
    if not whole.sum():
        return Interval(nan, nan, nan, images, patients, undefined)
    (value,), resamples = resampled_ratios(pd.DataFrame({"part": part, "whole": whole}), patient)
    ends = percentile_interval(resamples, patients)
    return Interval(float(value), *ends, images, patients, ONE_PATIENT if patients == 1 else "")
