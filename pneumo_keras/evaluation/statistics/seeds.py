"""Several runs of one network: how much a score owes to the seed, and how much to the patients.

Spread over seeds is the standard deviation of the runs' scores. The interval resamples both,
patients (the same in all runs) and runs, and averages the runs drawn. Of three seeds it can only
hint at how much a fourth would differ; the number of seeds stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.statistics.checks import check_metric, check_pair, check_scores
from pneumo_keras.evaluation.statistics.intervals import (
    RESAMPLES,
    SEED,
    Interval,
    mean_interval,
    patient_sums,
    percentile_interval,
    pooled_interval,
    pooled_parts,
    resampled_ratios,
)
from pneumo_keras.training.outcome import outcome

ONE_SEED = "one seed: spread over seeds not known"


@dataclass(frozen=True)
class RunMeans:
    """Scores of groups of runs, measured and resampled.

    Attributes:
        of_runs: the score of each run, one array a group.
        by_patient: (RESAMPLES, groups) mean over the runs, patients resampled.
        by_both: (RESAMPLES, groups) the same, runs resampled as well, in each group by itself.
        films: how many films they are from.
        patients: how many patients.
    """

    of_runs: list[np.ndarray]
    by_patient: np.ndarray
    by_both: np.ndarray
    films: int
    patients: int

    @property
    def means(self) -> np.ndarray:
        """(groups,) mean over the runs of each."""
        return np.array([values.mean() for values in self.of_runs])

    def interval(self, weights: np.ndarray) -> Interval:
        """A weighted sum of the groups' means, with the interval over seeds and patients.

        Args:
            weights: (groups,), such as 1 and −1 for a difference.
        """
        value = float(self.means @ weights)
        nan, runs = float("nan"), min(len(values) for values in self.of_runs)
        if self.patients < 2:
            return Interval(value, nan, nan, self.films, self.patients, "one patient only")
        ends = percentile_interval(self.by_both @ weights)
        return Interval(value, *ends, self.films, self.patients, ONE_SEED if runs == 1 else "")


def run_means(groups: dict[str, list[pd.DataFrame]], metric: str, pooled: bool = False) -> RunMeans:
    """Scores of several runs of several networks on the same films, measured and resampled.

    Args:
        groups: by what they are of, tables of scores, one a run.
        metric: a column of the tables, or a key of `POOLED`.
        pooled: whether over all pixels rather than over films.

    Raises:
        StudyError: if the tables are not of the same films, or none has the target.

    Example:
        >>> run = pd.DataFrame({"name": ["a", "b"], "patient": ["1", "2"], "tp": 1, "fp": 0,
        ...                     "fn": 1, "tn": 2, "iou": [0.25, 0.75]})
        >>> run_means({"SegNet": [run, run]}, "iou").of_runs[0].tolist()
        [0.5, 0.5]
    """
    tables = [table for runs in groups.values() for table in runs]
    if not all(groups.values()):
        raise StudyError("no run to take scores from: train first (notebooks 03 and 04)")
    names = [
        f"{key}, run {number}" for key, runs in groups.items() for number, _ in enumerate(runs, 1)
    ]
    first = check_scores(tables[0], names[0])
    tables = [
        check_pair(first, table, (names[0], name))[1]
        for table, name in zip(tables, names, strict=True)
    ]
    if pooled:
        parts = [pooled_parts(table, metric) for table in tables]
    else:
        check_metric(tables, metric)
        there = first[metric].notna()
        tables = [table[there] for table in tables]
        parts = [(table[metric], table[metric] * 0 + 1) for table in tables]
    columns = [numerator for numerator, _ in parts] + [denominator for _, denominator in parts]
    values = pd.concat(columns, axis=1).set_axis(range(len(columns)), axis=1)
    if values.empty:
        raise StudyError(f"{metric}: no film with the target, so nothing to compare runs by")
    sums = patient_sums(values, tables[0]["patient"])
    whole, half = sums.sum(axis=0), len(tables)
    ends = np.cumsum([len(runs) for runs in groups.values()])[:-1]
    random = np.random.default_rng(SEED + 1)  # apart from the draws of patients
    by_patient, by_both = [], []
    for ratios in np.split(resampled_ratios(sums), ends, axis=1):
        runs = ratios.shape[1]
        drawn = random.multinomial(runs, np.full(runs, 1 / runs), size=RESAMPLES) / runs
        by_patient.append(ratios.mean(axis=1))
        by_both.append((ratios * drawn).sum(axis=1))
    return RunMeans(
        np.split(whole[:half] / whole[half:], ends),
        np.stack(by_patient, axis=1),
        np.stack(by_both, axis=1),
        len(values),
        len(sums),
    )


def seed_table(
    runs: dict[str, list[pd.DataFrame]], metric: str = "dice", pooled: bool = False
) -> pd.DataFrame:
    """Mean and spread of each network over its seeds.

    Args:
        runs: by network, tables of scores, one a seed.
        metric: as for `run_means`.
        pooled: the same.

    Returns:
        Columns `network`, `score`, `average`, `seeds`, `mean`, `sd` over seeds (n − 1; NaN for
        one), `lowest`, `highest` run, `low_patients`, `high_patients` (interval with the seeds as
        they are), `low`, `high` (interval over seeds and patients), `films`, `patients`, `reason`.

    Example:
        >>> run = pd.DataFrame({"name": ["a", "b"], "patient": ["1", "2"], "tp": 1, "fp": 0,
        ...                     "fn": 1, "tn": 2, "iou": [0.25, 0.75]})
        >>> table = seed_table({"SegNet": [run, run.assign(iou=1.0)]}, "iou")
        >>> table.loc[0, ["mean", "lowest", "highest"]].tolist()
        [0.75, 0.5, 1.0]
    """
    rows = []
    for network, tables in runs.items():
        means = run_means({network: tables}, metric, pooled)
        values, both = means.of_runs[0], means.interval(np.ones(1))
        ends = (float("nan"),) * 2
        if means.patients > 1:
            ends = percentile_interval(means.by_patient[:, 0])
        rows.append(
            {
                "network": network,
                "score": metric,
                "average": "pooled" if pooled else "per film",
                "seeds": len(values),
                "mean": both.value,
                "sd": float(values.std(ddof=1)) if len(values) > 1 else float("nan"),
                "lowest": float(values.min()),
                "highest": float(values.max()),
                "low_patients": ends[0],
                "high_patients": ends[1],
                "low": both.low,
                "high": both.high,
                "films": both.films,
                "patients": both.patients,
                "reason": both.reason,
            }
        )
    return pd.DataFrame(rows)


def seed_difference(
    first: list[pd.DataFrame],
    second: list[pd.DataFrame],
    names: tuple[str, str],
    metric: str = "dice",
    pooled: bool = False,
) -> Interval:
    """First network − second, means over their seeds, with the interval over seeds and patients.

    Patients are the same for both; seeds are drawn for each by itself, since seed 1 of one network
    has nothing to do with seed 1 of the other.

    Args:
        first: tables of scores of one network, one a seed.
        second: of the other.
        names: of the networks.
        metric: as for `run_means`.
        pooled: the same.

    Example:
        >>> run = pd.DataFrame({"name": ["a", "b"], "patient": ["1", "2"], "tp": 1, "fp": 0,
        ...                     "fn": 1, "tn": 2, "iou": 0.25})
        >>> str(seed_difference([run.assign(iou=0.75)] * 2, [run] * 2, ("a", "b"), "iou"))
        '0.500 [0.500, 0.500]'
    """
    means = run_means(dict(zip(names, (first, second), strict=True)), metric, pooled)
    return means.interval(np.array([1.0, -1.0]))


def sweep_table(
    runs: dict[str, dict], scores: dict[str, pd.DataFrame], metric: str = "dice"
) -> pd.DataFrame:
    """Runs of one or both networks under other settings, those that came to nothing flagged.

    Args:
        runs: `run.json` by variant, as `Variant.words` calls it.
        scores: tables of scores by the same.
        metric: column to average over films.

    Returns:
        Columns `variant`, `learning_rate`, `weights` (those it had, not those it asked for),
        `epochs_run`, `best_epoch`, `best_validation_dice`, `outcome` ("trained", or that it
        diverged or collapsed), `score`, `value`, `low`, `high`, `pooled_iou`, `films`,
        `patients`.

    Example:
        >>> run = {"recipe": {"learning_rate": 0.01}, "weights": "random", "epochs_run": 2,
        ...        "best_epoch": 1, "best_validation_dice": 0.0, "diverged": False,
        ...        "collapsed": True}
        >>> table = pd.DataFrame({"name": ["a"], "patient": "1", "tp": 0, "fp": 0, "fn": 1,
        ...                       "tn": 3, "dice": 0.0})
        >>> sweep_table({"SegNet, rate 0.01": run}, {"SegNet, rate 0.01": table})["outcome"].item()
        'collapsed: constant prediction'
    """
    rows = []
    for variant, run in runs.items():
        if variant not in scores:
            raise StudyError(f"{variant} was trained but not scored: score it, or leave it out")
        table = check_scores(scores[variant], variant)
        interval = mean_interval(table, metric)
        rows.append(
            {
                "variant": variant,
                "learning_rate": run["recipe"]["learning_rate"],
                **{key: run[key] for key in ("weights", "epochs_run", "best_epoch")},
                "best_validation_dice": run["best_validation_dice"],
                "outcome": outcome(run),
                "score": metric,
                **{key: getattr(interval, key) for key in ("value", "low", "high")},
                "pooled_iou": pooled_interval(table, "iou").value,
                "films": interval.films,
                "patients": interval.patients,
            }
        )
    return pd.DataFrame(rows)
