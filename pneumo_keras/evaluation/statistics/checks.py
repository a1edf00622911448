"""What is refused before anything is averaged, with the film named."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pneumo_keras.errors import StudyError

COUNTS = ["tp", "fp", "fn", "tn"]
# Scores that exist wherever the target is marked (accuracy: everywhere).
_ON_TARGET = ("iou", "dice", "sensitivity", "precision")


def check_scores(scores: pd.DataFrame, network: str = "the scores") -> pd.DataFrame:
    """A table of scores, sorted by film, once it is sound.

    Args:
        scores: one row a film with name, patient, tp, fp, fn, tn; scores may stand beside them.
        network: whose, for the error.

    Returns:
        The same rows in the order of the names, numbered anew; patients as text.

    Raises:
        StudyError: naming the film, if it is listed twice, has no patient, counts that are no
            counts, or no score where there must be one; or if there is no film.

    Example:
        >>> table = pd.DataFrame({"name": ["b", "a"], "patient": 1, "tp": 1, "fp": 0, "fn": 0,
        ...                       "tn": 3})
        >>> check_scores(table)["name"].tolist()
        ['a', 'b']
    """
    absent = [column for column in ("name", "patient", *COUNTS) if column not in scores]
    if absent:
        raise StudyError(f"{network}: no column {absent[0]}; take a table of scores of notebook 05")
    if scores.empty:
        raise StudyError(f"{network}: there is no film; the part of the split is empty")
    scores = scores.sort_values("name", ignore_index=True)
    _refuse(scores, scores["name"].duplicated(), network, "is listed twice: leave one row out")
    unknown = scores["patient"].isna() | (scores["patient"].astype(str).str.strip() == "")
    _refuse(scores, unknown, network, "has no patient: name one, or repeat the film's name")
    counts = scores[COUNTS].apply(pd.to_numeric, errors="coerce")
    sound = np.isfinite(counts).all(axis=1) & (counts >= 0).all(axis=1) & (counts.sum(axis=1) > 0)
    _refuse(scores, ~sound, network, "has counts of pixels that are no counts: score it again")
    target = counts["tp"] + counts["fn"] > 0
    for metric in ("accuracy", *_ON_TARGET):
        if metric in scores:
            needed = target if metric in _ON_TARGET else target | True
            missing = needed & ~np.isfinite(scores[metric].astype(float))
            _refuse(scores, missing, network, f"has no {metric} (NaN): score it again")
    return scores.assign(patient=scores["patient"].astype(str))


def check_pair(
    first: pd.DataFrame, second: pd.DataFrame, names: tuple[str, str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two tables of the same films in the same order.

    Args:
        first: scores of one network.
        second: of the other.
        names: of the networks, for the error.

    Raises:
        StudyError: naming the film, if one table lacks it, or if patient or mask differ.

    Example:
        >>> table = pd.DataFrame({"name": ["a"], "patient": 1, "tp": 1, "fp": 0, "fn": 0, "tn": 3})
        >>> check_pair(table, table.assign(name="b"), ("SegNet", "DeepLabV3"))
        Traceback (most recent call last):
        ...
        pneumo_keras.errors.StudyError: film a is scored for SegNet but not for DeepLabV3: score ...
    """
    first, second = check_scores(first, names[0]), check_scores(second, names[1])
    for one, other, has, lacks in ((first, second, *names), (second, first, *names[::-1])):
        absent = one["name"][~one["name"].isin(other["name"])]
        if len(absent):
            raise StudyError(
                f"film {absent.iloc[0]} is scored for {has} but not for {lacks}: score both "
                "networks on the same films"
            )
    both = " and ".join(names)
    _refuse(first, first["patient"] != second["patient"], both, "has another patient in each")
    differ = (first["tp"] + first["fn"] != second["tp"] + second["fn"]) | (
        first[COUNTS].sum(axis=1) != second[COUNTS].sum(axis=1)
    )
    _refuse(first, differ, both, "has another mask or size in each: score both on one mask")
    return first, second


def check_metric(tables: list[pd.DataFrame], metric: str) -> None:
    """Sees that all tables have a metric, and it is missing on the same films.

    Raises:
        StudyError: otherwise.

    Example:
        >>> check_metric([pd.DataFrame({"name": ["a"], "dice": [0.5]})], "dice")
    """
    for table in tables:
        if metric not in table:
            raise StudyError(f"no column {metric} in the scores: there are {', '.join(table)}")
    missing = [table[metric].isna() for table in tables]
    for other in missing[1:]:
        _refuse(
            tables[0], other != missing[0], metric, "has a value for one network only: score again"
        )


def _refuse(scores: pd.DataFrame, wrong: pd.Series, what: str, reason: str) -> None:
    if wrong.any():
        raise StudyError(f"{what}: film {scores['name'][wrong.to_numpy()].iloc[0]} {reason}")
