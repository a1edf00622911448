"""Which films train, which choose the best epoch, and which are tested on, once.

The split is a CSV with one row a film, read where it is present and written where it is not, so
that a study can be repeated, or run with somebody else's split. By default a patient's films
stay together (`split_by="patient"`); the paper's random split (`"image"`) does not keep them so.
With `"official"` the films are tested on that the source itself set aside. Films of the same content are one film to either, whatever they are called and whoever they are
said to be of: they stay together, and with them, by patient, the films of all of these patients.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd

from pneumo_keras.dataset.files import write_csv
from pneumo_keras.dataset.folds import draw_off
from pneumo_keras.dataset.units import split_units
from pneumo_keras.errors import StudyError

PARTS = ("train", "validation", "test")


def split_films(
    index: pd.DataFrame,
    split_by: str = "patient",
    test_share: float = 0.25,
    validation_share: float = 0.2,
    seed: int = 1,
) -> pd.Series:
    """Divides films into train, validation and test.

    Stratified by group and by whether anything is marked, with scikit-learn's
    `StratifiedGroupKFold`. It depends on the films and the seed, not on the order of the rows.

    Args:
        index: one row a film, with `name`, `patient`, `group` and `target_share`; and `content`,
            by which films that are the same one are known.
        split_by: `"patient"` keeps the films of a patient together, `"image"` does not;
            `"official"` reads `part`, the source's own split, from the index. Where that has no
            validation films, they are drawn from the training films by patient. Patients on both
            sides of it are warned of.
        test_share: share of all films to test on; nothing to an official split.
        validation_share: share of the other films that chooses the best epoch.
        seed: of the shuffle.

    Returns:
        `train`, `validation` or `test` for each film, indexed by its name, sorted by name.

    Raises:
        StudyError: if there are too few patients, or films without an official part.

    Example:
        >>> films = pd.DataFrame({"name": list("abcdefgh"), "patient": list("11223344"),
        ...                       "group": "virus", "target_share": 0.1, "content": list(range(8))})
        >>> split_films(films, validation_share=0.33).value_counts().sort_index().to_dict()
        {'test': 2, 'train': 4, 'validation': 2}
    """
    films = index.sort_values("name").reset_index(drop=True)
    films["unit"] = split_units(films, split_by)
    films["stratum"] = films["group"].astype(str) + (films["target_share"] > 0).astype(str)
    if split_by == "official":
        part = _official_parts(films)
    else:
        part = pd.Series("train", index=films.index)
        part[draw_off(films, test_share, seed, split_by)] = "test"
    if "validation" not in set(part):
        rest = films[part == "train"]
        part[draw_off(rest, validation_share, seed, split_by)] = "validation"
    split = pd.Series(part.to_numpy(), index=films["name"].to_numpy(), name="part")
    if split_by == "official":
        _warn_of_crossing(split, index)
    return split


def read_or_split(path: Path, index: pd.DataFrame, split_by: str, **settings) -> pd.Series:
    """The split in a CSV file, or a new one, written there.

    Args:
        path: the CSV, with the columns `name` and `part`.
        index: as for `split_films`.
        split_by: as for `split_films`; a file read must keep to it.
        **settings: passed on to `split_films`.

    Raises:
        StudyError: if the file leaves out a film, names an unknown part, has no training or test
            film, or parts the films of a patient or of one content though `split_by` is
            `"patient"`; or if a part has no film with the target.

    Example:
        >>> from tempfile import mkdtemp
        >>> films = pd.DataFrame({"name": list("abcdefgh"), "patient": list("12345678"),
        ...                       "group": "virus", "target_share": 0.1})
        >>> path = Path(mkdtemp()) / "split.csv"
        >>> first = read_or_split(path, films, "patient", seed=1)
        >>> first.equals(read_or_split(path, films, "patient", seed=2))  # read, not drawn again
        True
    """
    if not path.exists():
        split = draw_split(path, index, split_by, **settings)
        write_csv(path, split.rename_axis("name").reset_index())
        return split
    split = read_split(path)
    _check(path, split, index, split_by)
    _refuse_parts_without_target(path, split, index)
    if split_by == "official":
        _warn_of_crossing(split, index)
    return split[sorted(index["name"])]


def draw_split(where: Path, index: pd.DataFrame, split_by: str, **settings) -> pd.Series:
    """A new split with which a study can be run.

    Args:
        where: what an error message calls the split or its films.
        index: as for `split_films`.
        split_by: as for `split_films`.
        **settings: passed on to `split_films`.

    Raises:
        StudyError: if there are too few patients, or a part has no film with the target.
    """
    try:
        split = split_films(index, split_by, **settings)
    except StudyError as error:
        raise StudyError(f"{where}: {error}") from None
    _refuse_parts_without_target(where, split, index)
    return split


def read_split(path: Path) -> pd.Series:
    """Reads a split from its CSV.

    Returns:
        The part of each film, indexed by its name.

    Raises:
        StudyError: if there is no such file, or it lacks a column.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        return table.set_index("name")["part"]
    except FileNotFoundError:
        raise StudyError(f"{path}: no split yet; run notebook 02 first") from None
    except (KeyError, ValueError) as error:
        reason = str(error).strip()
        raise StudyError(f"{path}: not a CSV with the columns name, part ({reason})") from None


def crossing_patients(split: pd.Series, index: pd.DataFrame) -> pd.Series:
    """Patients with films both in the test part and outside it: what a split leaks.

    Returns:
        For each such patient, how many of its films are tested on.

    Example:
        >>> films = pd.DataFrame({"name": ["a", "b", "c"], "patient": ["1", "1", "2"]})
        >>> split = pd.Series({"a": "train", "b": "test", "c": "test"})
        >>> crossing_patients(split, films).to_dict()
        {'1': 1}
    """
    tested = index["name"].map(split) == "test"
    per_patient = tested.groupby(index["patient"].to_numpy())
    crossing = per_patient.any() & ~per_patient.all()
    return per_patient.sum()[crossing]


def _official_parts(films: pd.DataFrame) -> pd.Series:
    """The source's own parts, checked for being there."""
    parts = films["part"] if "part" in films else pd.Series("", index=films.index)
    without = films.loc[~parts.isin(PARTS), "name"]
    if len(without):
        raise StudyError(
            f"{len(without)} film(s), the first {without.iloc[0]}, have no part in an official "
            "split: set split_by=patient"
        )
    for part in ("train", "test"):
        if part not in set(parts):
            raise StudyError(f"the official split has no {part} film here: set split_by=patient")
    return parts.copy()


def _warn_of_crossing(split: pd.Series, index: pd.DataFrame) -> None:
    crossing = crossing_patients(split, index)
    if len(crossing):
        warnings.warn(
            f"the official split tests on {crossing.sum()} film(s) of {len(crossing)} patient(s) "
            f"that it trains on: {', '.join(map(str, crossing.index))}",
            stacklevel=3,
        )


def crossing_copies(split: pd.Series, index: pd.DataFrame) -> list[list[str]]:
    """Films of the same content both in the test part and outside it: tested on what was seen.

    Returns:
        The names of the films of each such content, those tested on last.

    Example:
        >>> films = pd.DataFrame({"name": ["a", "b", "c"], "content": ["x", "x", "y"]})
        >>> crossing_copies(pd.Series({"a": "test", "b": "train", "c": "test"}), films)
        [['b', 'a']]
    """
    tested = index["name"].map(split) == "test"
    copies = index.assign(tested=tested).sort_values(["tested", "name"]).groupby("content")
    crossing = [films for _, films in copies if films["tested"].nunique() > 1]
    return [films["name"].tolist() for films in crossing]


def _refuse_parts_without_target(path: Path, split: pd.Series, index: pd.DataFrame) -> None:
    marked = set(index["name"].map(split)[index["target_share"] > 0])
    for part in PARTS:
        if part not in marked:
            raise StudyError(
                f"{path}: the target is marked on no {part} film: annotate more films, or draw "
                "another split with another seed"
            )


def _check(path: Path, split: pd.Series, index: pd.DataFrame, split_by: str) -> None:
    if split.index.has_duplicates:
        raise StudyError(f"{path}: film {split.index[split.index.duplicated()][0]} stands twice")
    missing = sorted(set(index["name"]) - set(split.index))
    if missing:
        raise StudyError(
            f"{path}: no row for {len(missing)} film(s), the first {missing[0]}: "
            "add them, or delete the file to draw a new split"
        )
    unknown = sorted(set(split) - set(PARTS))
    if unknown:
        raise StudyError(f"{path}: part {unknown[0]!r} is none of {', '.join(PARTS)}")
    for part in PARTS:
        if part not in set(split[index["name"]]):
            raise StudyError(f"{path}: no {part} film")
    crossing = crossing_patients(split, index)
    if split_by == "patient" and len(crossing):
        raise StudyError(
            f"{path}: patient {crossing.index[0]} is both tested on and trained on: "
            "move its films to one part, or set split_by=image"
        )
    copies = crossing_copies(split, index) if "content" in index else []
    if split_by == "patient" and copies:
        raise StudyError(
            f"{path}: films {copies[0][0]} and {copies[0][-1]} are the same picture, and one is "
            "tested on, the other trained on: move them to one part, or set split_by=image"
        )
