"""What a data folder holds, as tables and as lines of text."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from pneumo_keras.dataset.checking import Examination, Finding
from pneumo_keras.report.overview import film_table, share_table, split_table

MOST = 10  # lines of one kind of remark; refusals are never cut short
SHARES = (0, 1, 5, 10, 20, 30, 50, 100)  # percent of the film


def tables(examination: Examination) -> dict[str, pd.DataFrame]:
    """The tables of the report, by their titles.

    Films and patients by group, sizes, formats, share of the film that is annotated, labels, and
    the splits; only the first where no film can be used.
    """
    index = examination.index
    shown = {"Films and patients": film_table(list(examination.films))}
    if index.empty:
        return shown
    sizes = index["width"].astype(str) + "×" + index["height"].astype(str)
    labels = Counter(dict(sorted(examination.labels.items())))
    return {
        **shown,
        "Annotated area, share of the film": share_table(index),
        "Annotated area, films": area_table(index),
        "Sizes, width × height in pixels": _counted(sizes),
        "Formats": _counted(index["format"]),
        "Labels": pd.DataFrame({"files": labels.values()}, index=list(labels)),
        **{_capital(sides.called): split_table(index, sides.parts) for sides in examination.splits},
    }


def area_table(index: pd.DataFrame) -> pd.DataFrame:
    """How many films have how much of them annotated; those without anything stand first.

    Args:
        index: one row a film, with `target_share`.

    Example:
        >>> shares = [0.0, 0.0, 0.004, 0.01, 0.6]
        >>> table = area_table(pd.DataFrame({"target_share": shares}))
        >>> table["films"].to_dict()
        {'nothing': 2, 'to 1 %': 2, 'to 5 %': 0, 'to 10 %': 0, 'to 20 %': 0, 'to 30 %': 0, \
'to 50 %': 0, 'to 100 %': 1}
    """
    names = ["nothing", *(f"to {most} %" for most in SHARES[1:])]
    bounds = [-1, *SHARES]
    films = pd.cut(100 * index["target_share"], bounds, labels=names).value_counts(sort=False)
    return films.rename("films").rename_axis(None).to_frame()


def report_text(examination: Examination) -> str:
    """The report as it stands on a terminal.

    Args:
        examination: of `examine`.
    """
    parts = (
        []
        if not examination.films
        else [
            f"{title}\n{table.rename_axis(None).to_string()}"
            for title, table in tables(examination).items()
        ]
    )
    parts += ["\n".join(lines) for lines in (_refused(examination), _remarks(examination)) if lines]
    return "\n\n".join(parts)


def verdict(examination: Examination) -> str:
    """In one line, what `run` would say."""
    refusals = len(examination.refusals)
    if not refusals:
        films = len(examination.index)
        return f"{examination.data}: run would accept it, with {films} films"
    reasons = "for one reason" if refusals == 1 else f"for {refusals} reasons"
    return f"{examination.data}: run would refuse it, {reasons}"


def _refused(examination: Examination) -> list[str]:
    return [f"REFUSED  {finding.message}" for finding in examination.refusals]


def _remarks(examination: Examination) -> list[str]:
    """The other findings, those of a kind together and no more than `MOST` of them."""
    by_kind: dict[str, list[Finding]] = {}
    for finding in examination.findings:
        if not finding.refused:
            by_kind.setdefault(finding.kind, []).append(finding)
    lines = []
    for kind, findings in by_kind.items():
        lines += [f"{kind}: {finding.message}" for finding in findings[:MOST]]
        if len(findings) > MOST:
            lines.append(f"{kind}: and {len(findings) - MOST} more, listed in findings.csv")
    return lines


def _counted(values: pd.Series) -> pd.DataFrame:
    """How many films there are of each value, the most common first, the rest in one row."""
    counts = values.value_counts()
    if len(counts) > MOST:
        rest = counts.iloc[MOST - 1 :]
        counts = counts.iloc[: MOST - 1]
        counts.loc[f"{len(rest)} others"] = rest.sum()
    return counts.rename("films").to_frame()


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
