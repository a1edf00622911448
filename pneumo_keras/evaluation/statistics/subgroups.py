"""Scores by group, by lesion size and by source."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pneumo_keras.evaluation.statistics.checks import check_scores
from pneumo_keras.evaluation.statistics.intervals import mean_interval

SIZES = ("small", "medium", "large")


def subgroup_table(scores: dict[str, pd.DataFrame], metric: str = "dice") -> pd.DataFrame:
    """The mean of a score in each subgroup, with its interval.

    Subgroups were not drawn to be compared: their intervals are not corrected for how many there
    are.

    Args:
        scores: by network, one row a film: name, patient, counts, the metric, and `group` or
            `source` where known.
        metric: column to average.

    Returns:
        Columns `network`, `by` ("all", "group", "lesion size" or "source"), `subgroup`, `films`
        and `patients` (that have the metric), `value`, `low`, `high`, `reason`. Lesion sizes are
        thirds of the films with the target by the share of the film it covers.

    Raises:
        StudyError: for tables that are not sound.

    Example:
        >>> table = pd.DataFrame({"name": list("abc"), "patient": list("123"), "tp": [1, 2, 3],
        ...                       "fp": 0, "fn": 0, "tn": [9, 8, 7], "dice": 1.0,
        ...                       "group": ["virus", "virus", "bacteria"]})
        >>> subgroup_table({"SegNet": table})[["by", "subgroup", "films"]].values.tolist()[:3]
        [['all', 'all films', 3], ['group', 'bacteria', 1], ['group', 'virus', 2]]
    """
    rows = []
    for network, table in scores.items():
        table = check_scores(table, network)
        for by, subgroup, members in _subgroups(table):
            if not members.any():
                continue
            rows.append(
                {"network": network, "by": by, "subgroup": subgroup}
                | vars(mean_interval(table[members], metric))
            )
    columns = ["films", "patients", "value", "low", "high", "reason"]
    return pd.DataFrame(rows)[["network", "by", "subgroup", *columns]]


def size_thirds(scores: pd.DataFrame) -> pd.Series:
    """Which third of the films with the target a film is in, by the share the target covers.

    Args:
        scores: one row a film: tp, fp, fn, tn.

    Returns:
        Text such as `small (up to 3.2 % of the film)`, missing for films without the target. All
        are `small` where every share is the same.

    Example:
        >>> table = pd.DataFrame({"tp": [1, 2, 3, 0], "fp": 0, "fn": 0, "tn": [9, 8, 7, 10]})
        >>> size_thirds(table).tolist()[0]
        'small (up to 16.7 % of the film)'
    """
    share = (scores["tp"] + scores["fn"]) / scores[["tp", "fp", "fn", "tn"]].sum(axis=1)
    share = share.where(share > 0)
    first, second = share.quantile([1 / 3, 2 / 3])
    limits = (
        f"up to {first:.1%}".replace("%", " %"),
        f"{first:.1%} to {second:.1%}".replace("%", " %"),
        f"above {second:.1%}".replace("%", " %"),
    )
    names = [f"{size} ({limit} of the film)" for size, limit in zip(SIZES, limits, strict=True)]
    third = (share > first).astype(int) + (share > second)
    return pd.Series(np.array(names)[third], scores.index, dtype=object).where(share.notna())


def _subgroups(scores: pd.DataFrame):
    """Yields kind, name and films (bool) of each subgroup."""
    yield "all", "all films", scores["tp"].notna()
    for by in ("group", "source"):
        if by in scores:
            labels = scores[by].fillna("").replace("", "not stated")
            for label in sorted(labels.unique()):
                yield by, label, labels == label
    thirds = size_thirds(scores)
    for label in sorted(thirds.dropna().unique(), key=lambda text: SIZES.index(text.split()[0])):
        yield "lesion size", label, thirds == label
