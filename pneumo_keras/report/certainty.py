"""Tables with intervals: Table 2, the paired comparison, seeds, designs and subgroups.

Each table exists twice: with numbers in columns of their own, for the CSV, and to be read, as
`value [low, high]`. `write_table(readable(table), ..., numbers=table)` writes both.
"""

from __future__ import annotations

import math

import pandas as pd

from pneumo_keras.evaluation.statistics import Interval, mean_interval, pooled_interval
from pneumo_keras.report.tables import PAPER, PUBLISHED

# Columns of Table 2: heading, score, pooled or not.
SCORES = (
    ("Test accuracy", "accuracy", True),
    ("Test IoU", "iou", True),
    ("IoU per film", "iou", False),
    ("Dice per film", "dice", False),
)
NAMES = {
    "accuracy": "Accuracy",
    "iou": "IoU",
    "dice": "Dice",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "precision": "Precision",
    "surface_dice": "Surface Dice",
    "boundary_iou": "Boundary IoU",
    "hd95": "HD95",
    "assd": "ASSD",
    "brier": "Brier score",
}


def certainty_table(scores: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Table 2 with 95 % intervals, and the paper's own rows, which have none.

    Args:
        scores: by what predicted, in the order of the rows: one row a film with name, patient,
            tp, fp, fn, tn, iou and dice.

    Returns:
        `Architecture`; of each of `SCORES` the value, `<heading>, low` and `<heading>, high`;
        `Films`, `Patients`, and how many of both have the target. Intervals are of a bootstrap of
        patients (`evaluation.statistics.intervals`).

    Example:
        >>> one = pd.DataFrame({"name": ["a"], "patient": ["1"], "tp": [1], "fp": [1], "fn": [2],
        ...                     "tn": [4], "iou": [0.25], "dice": [0.4]})
        >>> certainty_table({"SegNet": one}).loc[0, ["Test accuracy", "Test IoU"]].tolist()
        [0.625, 0.25]
    """
    rows = []
    for name, table in scores.items():
        row = {"Architecture": name}
        for heading, metric, pooled in SCORES:
            interval = (pooled_interval if pooled else mean_interval)(table, metric)
            row |= _columns(heading, interval)
            row |= dict(zip(_counts(pooled), (interval.films, interval.patients), strict=True))
        rows.append(row)
    rows += [
        {
            "Architecture": f"{name}, {PAPER}",
            "Test accuracy": value["accuracy"],
            "Test IoU": value["iou"],
        }
        for name, value in PUBLISHED.items()
    ]
    table = pd.DataFrame(rows)
    whole = [column for pooled in (True, False) for column in _counts(pooled)]
    rest = [column for column in table if column not in whole]
    return table[rest + whole].astype({column: "Int64" for column in whole}).round(6)


def _columns(heading: str, interval: Interval) -> dict[str, float]:
    return {
        heading: interval.value,
        f"{heading}, low": interval.low,
        f"{heading}, high": interval.high,
    }


def _counts(pooled: bool) -> tuple[str, str]:
    return ("Films", "Patients") if pooled else ("Films with target", "Patients with target")


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """A table to be read: a value and its ends in one column, as text.

    Args:
        table: where column `x` has its ends beside it in `x, low` and `x, high`, or `value`,
            `mean` or `difference` has them in `low` and `high`.

    Returns:
        The other columns as they are; empty ones are left out.

    Example:
        >>> numbers = pd.DataFrame({"value": [0.5], "low": [0.25], "high": [0.75], "films": [4]})
        >>> readable(numbers)["value"].item()
        '0.500 [0.250, 0.750]'
    """
    table = table.copy()
    ends = {
        column: (f"{column}, low", f"{column}, high")
        for column in table
        if f"{column}, low" in table
    }
    ends |= {
        column: ("low", "high")
        for column in ("value", "mean", "difference")
        if column in table and "low" in table
    }
    for column, (low, high) in ends.items():
        table[column] = [
            str(Interval(*map(float, numbers), 0, 0))
            for numbers in table[[column, low, high]].itertuples(index=False)
        ]
    spent = {end for pair in ends.values() for end in pair}
    empty = [column for column in table if table[column].isin(["", None]).all()]
    return table.drop(columns=[*spent, *empty])


def comparison_table(comparison: pd.DataFrame, names: tuple[str, str]) -> pd.DataFrame:
    """The paired comparison to be read.

    Args:
        comparison: as `evaluation.statistics.compare` returns it.
        names: of the first and the second network.

    Returns:
        One row a score, text: both values, the difference with its interval, p values (Wilcoxon,
        permutation; after Holm in parentheses), effect size, wins/ties/losses of the first over
        patients, films and patients.

    Example:
        >>> row = {"score": "dice", "average": "per film", "first": 0.8, "second": 0.7,
        ...        "difference": 0.1, "low": 0.05, "high": 0.15, "p_wilcoxon": 0.012,
        ...        "p_wilcoxon_holm": 0.024, "p_permutation": 0.0002, "p_permutation_holm": 0.0004,
        ...        "effect": 0.5, "wins": 7, "ties": 1, "losses": 2, "films": 12, "patients": 10}
        >>> comparison_table(pd.DataFrame([row]), ("A", "B")).iloc[0, 3:6].tolist()
        ['+0.100 [+0.050, +0.150]', '0.012 (0.024)', '<0.001 (<0.001)']
    """
    rows = []
    for row in comparison.to_dict("records"):
        tested = not math.isnan(row["p_wilcoxon"])
        rows.append(
            {
                "Score": f"{NAMES.get(row['score'], row['score'])}, {row['average']}",
                names[0]: _number(row["first"]),
                names[1]: _number(row["second"]),
                "Difference": _signed(row),
                "p, Wilcoxon (Holm)": _p(row, "p_wilcoxon"),
                "p, permutation (Holm)": _p(row, "p_permutation"),
                "Rank-biserial": f"{row['effect']:+.2f}" if tested else "–",
                "Wins/ties/losses": (
                    f"{row['wins']}/{row['ties']}/{row['losses']}" if tested else "–"
                ),
                "Films": row["films"],
                "Patients": row["patients"],
            }
        )
    return pd.DataFrame(rows)


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _signed(row: dict) -> str:
    if math.isnan(row["difference"]):
        return "–"
    if math.isnan(row["low"]):
        return f"{row['difference']:+.3f}"
    return f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"


def _p(row: dict, test: str) -> str:
    if math.isnan(row[test]):
        return "–"
    plain, corrected = (
        "<0.001" if p < 0.001 else f"{p:.3f}" for p in (row[test], row[f"{test}_holm"])
    )
    return f"{plain} ({corrected})"
