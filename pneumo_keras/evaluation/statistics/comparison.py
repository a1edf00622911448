"""Two networks on the same films: by how much they differ, and how sure that is.

Difference and interval are of the number that is printed, the mean over films or the pooled score,
with patients resampled and both networks' films of a patient kept together. The tests take one
difference a patient: Wilcoxon's signed-rank test the patient's mean difference, the permutation
test the patient's sum of differences, whose signs it flips, so that its statistic is the printed
difference itself. Both are two-sided. Pooled scores have no value per patient, hence no test.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from pneumo_keras.evaluation.statistics.checks import check_metric, check_pair
from pneumo_keras.evaluation.statistics.intervals import (
    SEED,
    patient_sums,
    percentile_interval,
    pooled_parts,
    resampled_ratios,
)

# Compared where both tables have them. IoU is left out: film by film it orders as Dice does.
METRICS = (
    "dice",
    "sensitivity",
    "precision",
    "specificity",
    "accuracy",
    "surface_dice",
    "boundary_iou",
    "hd95",
    "assd",
)
POOLED_METRICS = ("accuracy", "iou")
LOWER_IS_BETTER = ("hd95", "assd", "brier")
PERMUTATIONS = 9_999
# Differences below this are rounding of sums, not differences.
DECIMALS = 12


def compare(
    first: pd.DataFrame,
    second: pd.DataFrame,
    names: tuple[str, str],
    metrics: tuple[str, ...] | None = None,
) -> pd.DataFrame:
    """The paired comparison of two networks, one row a score.

    Args:
        first: scores of one network, one row a film: name, patient, tp, fp, fn, tn and scores.
        second: of the other; the same films in any order.
        names: of the networks, for errors.
        metrics: scores per film to compare and to correct for; by default those of `METRICS` that
            both tables have.

    Returns:
        Columns: `score`; `average`, "per film" or "pooled"; `first`, `second`; `difference`
        (first − second), `low`, `high`; `p_wilcoxon`, `p_permutation` and both after Holm over
        the scores per film (`p_wilcoxon_holm`, `p_permutation_holm`); `effect`, the matched-pairs
        rank-biserial correlation over patients, −1..1, positive where the first is greater;
        `wins`, `ties`, `losses`, patients on whom the first network is better, alike, worse;
        `films`, `patients`; `reason` why something is missing, else "".

    Raises:
        StudyError: naming the film, if the tables are not of the same films, patients and masks,
            a film is listed twice, or a score is missing for one network only.

    Example:
        >>> table = pd.DataFrame({"name": list("abc"), "patient": list("123"), "tp": [4, 6, 8],
        ...                       "fp": 0, "fn": [6, 4, 2], "tn": 90, "dice": [0.5, 0.75, 0.8]})
        >>> better = table.assign(dice=[0.75, 0.75, 0.9])
        >>> row = compare(better, table, ("SegNet", "DeepLabV3")).iloc[-1]
        >>> print(row["score"], row["difference"].round(3), row["wins"], row["ties"], row["losses"])
        dice 0.117 2 1 0
    """
    first, second = check_pair(first, second, names)
    if metrics is None:
        metrics = tuple(metric for metric in METRICS if metric in first and metric in second)
    rows = [_pooled_row(first, second, metric) for metric in POOLED_METRICS]
    rows += [_film_row(first, second, metric) for metric in metrics]
    table = pd.DataFrame(rows)
    for test in ("p_wilcoxon", "p_permutation"):
        table.insert(table.columns.get_loc(test) + 1, f"{test}_holm", holm(table[test]))
    return table.astype({column: "Int64" for column in ("wins", "ties", "losses")})


def holm(p: pd.Series) -> np.ndarray:
    """P values after Holm's correction for how many there are; NaN stays and does not count.

    Example:
        >>> holm(pd.Series([0.01, np.nan, 0.04])).tolist()
        [0.02, nan, 0.04]
    """
    corrected = p.to_numpy(dtype=float, copy=True)
    there = ~np.isnan(corrected)
    if there.any():
        corrected[there] = multipletests(corrected[there], method="holm")[1]
    return corrected


def signed_rank(differences: np.ndarray) -> tuple[float, float]:
    """Wilcoxon's signed-rank test and its effect size.

    Args:
        differences: (patients,); zeros are left out, as Wilcoxon did.

    Returns:
        The two-sided p value, and the matched-pairs rank-biserial correlation (W+ − W−) /
        (W+ + W−), W+ the sum of the ranks of positive differences (Kerby, 2014). 1 and 0 where all
        are zero.

    Example:
        >>> p, effect = signed_rank(np.array([1.0, 2.0, 3.0, -4.0]))  # W+ = 6, W− = 4
        >>> round(effect, 6)
        0.2
    """
    n = np.count_nonzero(differences)
    if n == 0:
        return 1.0, 0.0
    with warnings.catch_warnings():
        # Of small samples with ties, whose p value is an approximation.
        warnings.simplefilter("ignore", UserWarning)
        p = stats.wilcoxon(differences).pvalue
        positive = stats.wilcoxon(differences, alternative="greater").statistic
    return float(p), float(4 * positive / (n * (n + 1)) - 1)


def sign_flip_test(differences: np.ndarray) -> float:
    """The two-sided p value of the paired permutation test.

    Exact where fewer than `PERMUTATIONS` ways to flip the signs exist, else from as many drawn
    with a fixed seed.

    Args:
        differences: (patients,), the sum over the films of each.

    Example:
        >>> sign_flip_test(np.array([1.0, 1.0, 1.0]))  # 2 of 8 ways are as far from zero
        0.25
    """
    result = stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=PERMUTATIONS,
        batch=1_000,
        rng=np.random.default_rng(SEED),
    )
    return float(result.pvalue)


def _film_row(first: pd.DataFrame, second: pd.DataFrame, metric: str) -> dict:
    check_metric([first, second], metric)
    there = first[metric].notna()
    values = pd.DataFrame({"first": first[metric], "second": second[metric], "films": 1})[there]
    patient = first["patient"][there]
    row = _row(metric, "per film", values[["first", "second", "films", "films"]], patient)
    if row["patients"] < 2:
        return row
    sums = patient_sums(values, patient)
    total = (sums[:, 0] - sums[:, 1]).round(DECIMALS)
    mean = (total / sums[:, 2]).round(DECIMALS)
    row["p_wilcoxon"], row["effect"] = signed_rank(mean)
    row["p_permutation"] = sign_flip_test(total)
    better = -mean if metric in LOWER_IS_BETTER else mean
    row |= {
        "wins": int((better > 0).sum()),
        "ties": int((better == 0).sum()),
        "losses": int((better < 0).sum()),
    }
    return row


def _pooled_row(first: pd.DataFrame, second: pd.DataFrame, metric: str) -> dict:
    parts = [pooled_parts(scores, metric) for scores in (first, second)]
    values = pd.concat([numerator for numerator, _ in parts] + [part for _, part in parts], axis=1)
    row = _row(metric, "pooled", values, first["patient"])
    return row | {"reason": row["reason"] or "pooled: no value per patient to test"}


def _row(metric: str, average: str, values: pd.DataFrame, patient: pd.Series) -> dict:
    """Difference of two ratios of sums: the columns are both numerators, both denominators."""
    nan = float("nan")
    sums = patient_sums(values.set_axis(range(4), axis=1), patient)
    row = dict.fromkeys(("first", "second", "difference", "low", "high"), nan)
    row = {"score": metric, "average": average} | row
    row |= dict.fromkeys(("p_wilcoxon", "p_permutation", "effect"), nan)
    row |= dict.fromkeys(("wins", "ties", "losses"), None)
    row |= {"films": len(values), "patients": len(sums), "reason": ""}
    whole = sums.sum(axis=0)
    if (whole[2:] == 0).any():
        return row | {"reason": "no film with the target"}
    row["first"], row["second"] = (float(value) for value in whole[:2] / whole[2:])
    row["difference"] = row["first"] - row["second"]
    if len(sums) == 1:
        return row | {"reason": "one patient only"}
    ratios = resampled_ratios(sums)
    row["low"], row["high"] = percentile_interval(ratios[:, 0] - ratios[:, 1])
    return row
