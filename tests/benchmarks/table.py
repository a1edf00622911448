"""The table: each work's speed, its share of what the machine can do, and others beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.turns import Measured

COLUMNS = (
    "work",
    "films_per_second",
    "gflop_per_second",
    "share",
    "share_lowest",
    "share_highest",
    "share_target",
    "beside",
    "times_as_fast",
    "lowest",
    "highest",
    "target",
    "peak_memory_gb",
)


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        title: of the work.
        contender, work: what is measured.
        beside: what does the same in another way, or is to be kept up with, as a contender and
            its work; None where there is nothing.
        least: how many times as fast it should be at least.
        limit: the contender and work whose rate of operations is the machine's.
        share: of that rate, what should be reached at least.
    """

    title: str
    contender: str
    work: str
    beside: tuple[str, str] | None = None
    least: float | None = None
    limit: tuple[str, str] | None = None
    share: float | None = None


def table(rows: Sequence[Row], measured: dict[str, Measured]) -> pd.DataFrame:
    """One line a row: medians over the rounds, with the lowest and highest of each ratio.

    Args:
        rows: the lines.
        measured: by contender; those of one row took turns with one another.

    Returns:
        `COLUMNS`: the `share` is that of the limit, `peak_memory_gb` that of the contender's
        whole process. What does not apply is NaN; `beside` says why what was not measured.

    Example:
        >>> fast, slow = (Measured({"read": [seconds] * 3}, {"read": 8}) for seconds in (1, 2))
        >>> line = Row("reading", "fast", "read", ("slow", "read"), least=1.5)
        >>> print(table([line], {"fast": fast, "slow": slow}).loc[0, "times_as_fast"])
        2.0
    """
    return pd.DataFrame([_line(row, measured) for row in rows])


def _line(row: Row, measured: dict[str, Measured]) -> dict:
    one = measured[row.contender]
    line = dict.fromkeys(COLUMNS, np.nan) | {"work": row.title, "beside": ""}
    if one.absent:
        return line | {"beside": f"not measured: {one.absent}"}
    seconds, films = np.array(one.seconds[row.work]), one.films[row.work]
    operations = one.operations.get(row.work, 0)
    line["peak_memory_gb"] = one.peak_memory_gb
    if films:
        line["films_per_second"] = films / np.median(seconds)
    if operations:
        line["gflop_per_second"] = operations / np.median(seconds) / 1e9
    if row.limit and not measured[row.limit[0]].absent:
        limit, work = measured[row.limit[0]], row.limit[1]
        rate = limit.operations[work] / np.array(limit.seconds[work])
        line |= _spread(operations / seconds / rate, "share", "share_lowest", "share_highest")
        line["share_target"] = np.nan if row.share is None else row.share
    if row.beside:
        other, work = measured[row.beside[0]], row.beside[1]
        line["beside"] = row.beside[0] if work == row.work else ", ".join(row.beside)
        if other.absent:
            return line | {"beside": f"{line['beside']} (not measured: {other.absent})"}
        each = np.array(other.seconds[work]) / other.films[work]
        line |= _spread(each / (seconds / films), "times_as_fast", "lowest", "highest")
        line["target"] = np.nan if row.least is None else row.least
    return line


def _spread(values: np.ndarray, *keys: str) -> dict[str, float]:
    return dict(zip(keys, (np.median(values), values.min(), values.max()), strict=True))


def readable(lines: pd.DataFrame) -> pd.DataFrame:
    """The table for people: rounded, each ratio with its spread, each target with its verdict.

    Args:
        lines: as `table` made them.

    Example:
        >>> one = Measured({"read": [0.5, 1.0, 2.0]}, {"read": 8})
        >>> readable(table([Row("reading", "one", "read")], {"one": one})).iloc[0].tolist()
        ['reading', '8', '', '', '', '', '']
    """
    return pd.DataFrame([_readable_line(line) for line in lines.to_dict("records")])


def _readable_line(line: dict) -> dict[str, str]:
    targets = {
        f"share {line['share_target']:g}": line["share"] - line["share_target"],
        f"{line['target']:g} times": line["times_as_fast"] - line["target"],
    }
    return {
        "Work": line["work"],
        "Films a second": _number(line["films_per_second"]),
        "GFLOP/s": _number(line["gflop_per_second"]),
        "Share of the machine's rate": _spread_text(line, "share", "share_lowest", "share_highest"),
        "Beside": line["beside"],
        "Times as fast": _spread_text(line, "times_as_fast", "lowest", "highest"),
        "Target": "; ".join(
            f"{target}: {'met' if beyond >= 0 else 'missed'}"
            for target, beyond in targets.items()
            if not np.isnan(beyond)
        ),
    }


def _number(value: float) -> str:
    if np.isnan(value):
        return ""
    return f"{value:.2f}" if value < 10 and value % 1 else f"{value:.0f}"


def _spread_text(line: dict, *keys: str) -> str:
    middle, low, high = (line[key] for key in keys)
    return "" if np.isnan(middle) else f"{middle:.2f} [{low:.2f}, {high:.2f}]"
