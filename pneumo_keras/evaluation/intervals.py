"""95 % intervals by a bootstrap of patients, each with all of its images.

The estimator is a ratio of two sums over images, for means (scores / images) and for pooled scores
(pixels / pixels) alike. With few patients (below about 20) the interval is too narrow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.checks import COUNTS, check_scores, refuse
from pneumo_keras.evaluation.metrics import overlap_ratios

RESAMPLES, SEED = 10_000, 20240126
CHUNK = 1_000  # resamples at a time: bounds the memory of many patients
NO_TARGET, ONE_PATIENT = "no image with the target", "one patient only"


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval (NaN if missing, with the reason), images and patients."""

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
    """Average a column of a table of scores over the images that have it."""
    return _interval(scores, metric, pooled=False, undefined=NO_TARGET)


def pooled_interval(scores: pd.DataFrame, metric: str) -> Interval:
    """Compute a score of `overlap_ratios` over the pixels of all images together."""
    return _interval(scores, metric, pooled=True, undefined="nothing to measure it on")


def _interval(scores: pd.DataFrame, metric: str, pooled: bool, undefined: str) -> Interval:
    (part,), (whole,), patient = score_parts([check_scores(scores)], metric, pooled)
    nan, images, patients = float("nan"), len(patient), patient.nunique()
    if not whole.sum():
        return Interval(nan, nan, nan, images, patients, undefined)
    (value,), resamples = resampled_ratios(pd.DataFrame({"part": part, "whole": whole}), patient)
    ends = percentile_interval(resamples, patients)
    return Interval(float(value), *ends, images, patients, ONE_PATIENT if patients == 1 else "")


def score_parts(
    tables: Sequence[pd.DataFrame], metric: str, pooled: bool
) -> tuple[list[pd.Series], list[pd.Series], pd.Series]:
    """Return numerators and denominators of a score, one each per table, and the patients.

    Tables are of the same images, from `check_scores`; the metric is a column to average over the
    images that have it, or a key of `overlap_ratios` if `pooled`.
    """
    if pooled:
        ratios = [overlap_ratios(*(table[name] for name in COUNTS)) for table in tables]
        if metric not in ratios[0]:
            raise StudyError(f"no pooled score {metric!r}: there are {', '.join(ratios[0])}")
        numerators, denominators = zip(*(ratio[metric] for ratio in ratios), strict=True)
        return list(numerators), list(denominators), tables[0]["patient"]
    for table in tables:
        if metric not in table:
            raise StudyError(f"no column {metric} in the scores: there are {', '.join(table)}")
        differ = table[metric].isna() != tables[0][metric].isna()
        refuse(tables[0], differ, metric, "has a value for one network only: score again")
    scores = [table[metric].dropna() for table in tables]
    return scores, [score * 0 + 1 for score in scores], tables[0]["patient"][scores[0].index]


def resampled_ratios(parts: pd.DataFrame, patient: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Compute ratios of sums over images, as measured and in each resample of the patients.

    From numerators and denominators, (images, 2 × ratios), to (ratios,) and (RESAMPLES, ratios);
    NaN for 0 / 0. Resamples of the same number of patients are the same: two calls are paired.
    """
    sums = parts.astype(float).groupby(patient.to_numpy()).sum().to_numpy()
    weights = _patient_weights(len(sums))
    # Not all at once: the weights are converted to float64.
    chunks = [weights[start : start + CHUNK] @ sums for start in range(0, RESAMPLES, CHUNK)]
    with np.errstate(invalid="ignore", divide="ignore"):
        measured = np.divide(*np.split(sums.sum(axis=0), 2))
        return measured, np.divide(*np.split(np.concatenate(chunks), 2, axis=1))


@lru_cache(maxsize=4)
def _patient_weights(patients: int) -> np.ndarray:
    """Draw how often each patient is in each resample: (RESAMPLES, patients) uint16."""
    random = np.random.default_rng(SEED)
    equal = np.full(patients, 1 / patients)
    chunks = range(0, RESAMPLES, CHUNK)
    draws = [random.multinomial(patients, equal, CHUNK).astype(np.uint16) for _ in chunks]
    return np.concatenate(draws)


def percentile_interval(resamples: np.ndarray, patients: int) -> tuple[float, float]:
    """Return the percentiles of the resamples in which a value is defined; NaN for one patient."""
    if patients < 2 or np.isnan(resamples).all():
        return float("nan"), float("nan")
    low, high = np.nanpercentile(resamples, (2.5, 97.5))
    return float(low), float(high)
