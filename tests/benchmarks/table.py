"""The table: speed of each work, its share of what the machine can do, and others beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.turns import Measured

COLUMNS = [
    *("work", "images_per_second", "gflop_per_second"),
    *("share", "share_lowest", "share_highest", "share_target"),
    *("beside", "times_as_fast", "lowest", "highest", "target", "peak_memory_gb"),
]


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        title: of the work.
        contender, work: what is measured.
        beside: contender and work that do the same in another way, None where there is none.
        least: how many times as fast as that it should be at least.
        limit: contender and work whose rate of operations is the machine's.
        share: of that rate, what should be reached at least.
    """

    title: str
    contender: str
    work: str
    beside: tuple[str, str] | None = None
    least: float = np.nan
    limit: tuple[str, str] | None = None
    share: float = np.nan


def table(rows: Sequence[Row], measured: dict[str, Measured]) -> pd.DataFrame:
    """Medians over the rounds, with the lowest and highest of each ratio.

    `share` is that of the limit, `peak_memory_gb` that of the contender's process. What does not
    apply is NaN; `beside` says why what was not measured. All of a row took turns together.

    Example:
        >>> fast, slow = (Measured({"read": [seconds] * 3}, {"read": 8}) for seconds in (1, 2))
        >>> row = Row("reading", "fast", "read", ("slow", "read"), least=1.5)
        >>> float(table([row], {"fast": fast, "slow": slow}).loc[0, "times_as_fast"])
        2.0
    """
    return pd.DataFrame([_numbers(row, measured) for row in rows]).reindex(columns=COLUMNS)


def _numbers(row: Row, measured: dict[str, Measured]) -> dict:
    one, line = measured[row.contender], {"work": row.title, "beside": ""}
    if one.absent:
        return line | {"beside": f"not measured: {one.absent}"}
    seconds, images = np.array(one.seconds[row.work]), one.images[row.work]
    operations = one.operations.get(row.work, 0)
    line["peak_memory_gb"] = one.peak_memory_gb
    line["images_per_second"] = images / np.median(seconds) if images else np.nan
    line["gflop_per_second"] = operations / np.median(seconds) / 1e9 if operations else np.nan
    if row.limit:
        limit, work = measured[row.limit[0]], row.limit[1]
        shares = operations / seconds / limit.operations[work] * np.array(limit.seconds[work])
        line |= _spread(shares, "share", "share_lowest", "share_highest")
        line["share_target"] = row.share
    if row.beside:
        other, work = measured[row.beside[0]], row.beside[1]
        line["beside"] = row.beside[0] if work == row.work else ", ".join(row.beside)
        if other.absent:
            return line | {"beside": f"{line['beside']} (not measured: {other.absent})"}
        each = np.array(other.seconds[work]) / other.images[work]
        line |= _spread(each / (seconds / images), "times_as_fast", "lowest", "highest")
        line["target"] = row.least
    return line


def _spread(values: np.ndarray, *keys: str) -> dict[str, float]:
    return dict(zip(keys, (np.median(values), values.min(), values.max()), strict=True))


def readable(lines: pd.DataFrame) -> pd.DataFrame:
    """The table for people: rounded, each ratio with its spread, each target with its verdict.

    Example:
        >>> one = Measured({"read": [0.5, 1.0, 2.0]}, {"read": 8})
        >>> readable(table([Row("reading", "one", "read")], {"one": one})).iloc[0].tolist()
        ['reading', '8', '', '', '', '', '']
    """
    return pd.DataFrame([_texts(line) for line in lines.to_dict("records")])


def _texts(line: dict) -> dict[str, str]:
    def number(key: str) -> str:
        value = line[key]
        return "" if np.isnan(value) else f"{value:.{2 if value < 10 and value % 1 else 0}f}"

    def spread(*keys: str) -> str:
        middle, low, high = (line[key] for key in keys)
        return "" if np.isnan(middle) else f"{middle:.2f} [{low:.2f}, {high:.2f}]"

    def verdict(name: str, value: float, target: float) -> list[str]:
        met = "met" if value >= target else "missed"
        return [] if np.isnan(value - target) else [f"{name}: {met}"]

    share, least = line["share_target"], line["target"]
    verdicts = verdict(f"share {share:g}", line["share"], share)
    verdicts += verdict(f"{least:g} times", line["times_as_fast"], least)
    return {
        "Work": line["work"],
        "Images per second": number("images_per_second"),
        "GFLOP/s": number("gflop_per_second"),
        "Share of the machine's rate": spread("share", "share_lowest", "share_highest"),
        "Beside": line["beside"],
        "Times as fast": spread("times_as_fast", "lowest", "highest"),
        "Target": "; ".join(verdicts),
    }
