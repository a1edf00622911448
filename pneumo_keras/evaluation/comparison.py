"""Two networks on the same images: the paired difference, its interval and its tests.

Difference and interval are of the printed number, the mean over images or the pooled score. The
two-sided tests take one difference per patient: Wilcoxon's signed-rank test the mean over the
patient's images; the permutation test the sum, whose signs it flips, in all ways if there are
fewer than `PERMUTATIONS`. Pooled scores have no value per patient, hence no test.
"""

import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import stats

from pneumo_keras.evaluation import intervals
from pneumo_keras.evaluation.checks import COUNTS, check_same_images, check_scores

# Compared where both tables have them. IoU is left out: it orders images as Dice does.
METRICS = (
    *("dice", "sensitivity", "precision", "specificity", "accuracy"),
    *("surface_dice", "boundary_iou", "hd95", "assd"),
)
LOWER_IS_BETTER = ("hd95", "assd", "brier")
PERMUTATIONS = 9_999
DECIMALS = 12  # of differences: smaller ones are rounding of sums
COLUMNS = (
    *("score", "average", "first", "second", "difference", "low", "high"),
    *("p_wilcoxon", "p_wilcoxon_holm", "p_permutation", "p_permutation_holm", "effect"),
    *("wins", "ties", "losses", "images", "patients", "reason"),
)


def compare(
    first: pd.DataFrame,
    second: pd.DataFrame,
    names: tuple[str, str],
    metrics: tuple[str, ...] | None = None,
) -> pd.DataFrame:
    """Compare two networks image by image, one row a score.

    Each has a table of scores, one row an image: name, patient, tp, fp, fn, tn and scores, in any
    order. `metrics` are the scores per image to compare and to correct for, else `METRICS`.

    Returns:
        `COLUMNS`: `average` is "per image" or "pooled", `difference` first − second; p values also
        after Holm over the scores per image; `effect`, the matched-pairs rank-biserial correlation
        (W+ − W−) / (W+ + W−) (Kerby, 2014) and `wins`, `ties`, `losses` of the first network are
        over patients; `reason` says why something is missing.

    Raises:
        StudyError: naming the image, if images, patients, masks or missing scores are not the same.
    """
    first, second = check_same_images(first, second, names)
    if metrics is None:
        metrics = tuple(metric for metric in METRICS if metric in first and metric in second)
    rows = [_row(first, second, metric, pooled=True) for metric in ("accuracy", "iou")]
    rows += [_row(first, second, metric, pooled=False) for metric in metrics]
    table = pd.DataFrame(rows, columns=COLUMNS)
    for test in ("p_wilcoxon", "p_permutation"):
        table[f"{test}_holm"] = holm(table[test])
    return table.astype(dict.fromkeys(("wins", "ties", "losses"), "Int64"))


def holm(p: pd.Series) -> np.ndarray:
    """Correct p values by Holm's method; NaN stays and does not count."""
    corrected = p.to_numpy(dtype=float, copy=True)
    rising = np.argsort(corrected)[: p.count()]  # NaN comes last
    factors = np.arange(len(rising), 0, -1)
    corrected[rising] = np.minimum(np.maximum.accumulate(corrected[rising] * factors), 1)
    return corrected


def subgroup_table(scores: dict[str, pd.DataFrame], metric: str = "dice") -> pd.DataFrame:
    """Average a score in each subgroup; intervals are not corrected for their number.

    Tables of scores, by network, may have the column `group`. Returned are `network`, `by` ("all",
    "group" or "lesion size": thirds by the share of the image that the target covers), `subgroup`,
    and the fields of `Interval`.
    """
    rows = []
    for network, table in scores.items():
        table = check_scores(table, network)
        for by, subgroup, members in _subgroups(table):
            row = {"network": network, "by": by, "subgroup": subgroup}
            rows.append(row | vars(intervals.mean_interval(table[members], metric)))
    columns = ["network", "by", "subgroup", "images", "patients", "value", "low", "high", "reason"]
    return pd.DataFrame(rows, columns=columns)


def _row(first: pd.DataFrame, second: pd.DataFrame, metric: str, pooled: bool) -> dict:
    """Compare one score; what is missing in the row becomes NaN in the table."""
    numerators, denominators, patient = intervals.score_parts([first, second], metric, pooled)
    parts = pd.concat([*numerators, *denominators], axis=1)
    patients, reason = patient.nunique(), "pooled: no value per patient to test" if pooled else ""
    row = {"score": metric, "average": "pooled" if pooled else "per image"}
    row |= {"images": len(patient), "patients": patients, "reason": reason}
    if not parts.iloc[:, 2:].sum().all():
        return row | {"reason": intervals.NO_TARGET}
    (one, other), resamples = intervals.resampled_ratios(parts, patient)
    row |= {"first": one, "second": other, "difference": one - other}
    if patients == 1:
        return row | {"reason": intervals.ONE_PATIENT}
    ends = intervals.percentile_interval(resamples[:, 0] - resamples[:, 1], patients)
    row |= dict(zip(("low", "high"), ends, strict=True))
    if pooled:
        return row
    sums = parts.astype(float).groupby(patient).sum().to_numpy()
    total = (sums[:, 0] - sums[:, 1]).round(DECIMALS)
    mean = (total / sums[:, 2]).round(DECIMALS)
    better = -mean if metric in LOWER_IS_BETTER else mean
    row |= {"wins": (better > 0).sum(), "ties": (better == 0).sum(), "losses": (better < 0).sum()}
    p, effect = _signed_rank(mean)
    return row | {"p_wilcoxon": p, "p_permutation": _sign_flip_test(total), "effect": effect}


def _signed_rank(differences: np.ndarray) -> tuple[float, float]:
    """Return p value and effect size of Wilcoxon's test; zeros are left out, as Wilcoxon did."""
    n = np.count_nonzero(differences)
    if n == 0:
        return 1.0, 0.0
    with warnings.catch_warnings():
        # About small samples with ties, whose p value is an approximation.
        warnings.simplefilter("ignore", UserWarning)
        p = stats.wilcoxon(differences).pvalue
        positive = stats.wilcoxon(differences, alternative="greater").statistic
    return float(p), float(4 * positive / (n * (n + 1)) - 1)


def _sign_flip_test(differences: np.ndarray) -> float:
    """Return the p value of the paired permutation test."""
    settings = {"permutation_type": "samples", "vectorized": True, "batch": 1_000}
    settings |= {"n_resamples": PERMUTATIONS, "rng": np.random.default_rng(intervals.SEED)}
    return float(stats.permutation_test((differences,), np.mean, **settings).pvalue)


def _subgroups(scores: pd.DataFrame) -> Iterator[tuple[str, str, pd.Series]]:
    """Yield kind, name and images (bool) of each subgroup that has images."""
    yield "all", "all images", scores["tp"].notna()
    if "group" in scores:
        labels = scores["group"].fillna("").replace("", "not stated")
        for label in sorted(labels.unique()):
            yield "group", label, labels == label
    share = (scores["tp"] + scores["fn"]) / scores[COUNTS].sum(axis=1)
    share = share.where(share > 0)
    first, second = share.quantile([1 / 3, 2 / 3])
    thirds = {
        f"small (up to {100 * first:.1f} % of the image)": share <= first,
        f"medium ({100 * first:.1f} % to {100 * second:.1f} % of the image)": (
            (share > first) & (share <= second)
        ),
        f"large (above {100 * second:.1f} % of the image)": share > second,
    }
    for size, members in thirds.items():
        if members.any():
            yield "lesion size", size, members
