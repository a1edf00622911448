"""One look at a data folder: its films as `run` would take them, and what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from pneumo_keras.dataset.checking.doubles import find_copies, find_similar
from pneumo_keras.dataset.checking.findings import Finding
from pneumo_keras.dataset.checking.formats import film_format
from pneumo_keras.dataset.checking.leaks import Sides, find_crossing_patients, given_split
from pneumo_keras.dataset.checking.leftovers import find_leftovers
from pneumo_keras.dataset.maskrows import Job
from pneumo_keras.dataset.masks import (
    declared_labels,
    label_problems,
    notes_on,
    paint_films,
    seen_labels,
)
from pneumo_keras.dataset.sources import AUTO, Film, find_films
from pneumo_keras.dataset.splits import draw_split
from pneumo_keras.errors import StudyError


@dataclass(frozen=True, eq=False)
class Examination:
    """What is in a data folder.

    Attributes:
        data: The folder.
        masks: Where the masks of the films were painted.
        films: As `find_films` found them.
        index: One row for each film that can be used, as in the index of masks, and its `format`.
        splits: The split that `run` would draw, and the one that the films come with, if any.
        labels: In how many files each label occurs, as written.
        findings: Refusals first.
    """

    data: Path
    masks: Path
    films: Sequence[Film] = ()
    index: pd.DataFrame = field(default_factory=pd.DataFrame)
    splits: Sequence[Sides] = ()
    labels: Counter[str] = field(default_factory=Counter)
    findings: Sequence[Finding] = ()

    @property
    def refusals(self) -> list[Finding]:
        """For what `run` would refuse the folder; none where it would accept it."""
        return [finding for finding in self.findings if finding.refused]


def examine(
    data: str | Path,
    masks: str | Path,
    target: str,
    labels: Sequence[str],
    split_by: str = "patient",
    *,
    source: str = AUTO,
    normals: bool = False,
    allow_outside: bool = False,
    skip_bad: bool = False,
    progress: bool = True,
    **settings,
) -> Examination:
    """Looks at everything in a data folder, with the functions with which `run` reads it.

    Args:
        data: The folder of films and annotations; nothing is written to it.
        masks: An empty folder that the masks are painted to.
        target: The label of what is to be segmented.
        labels: All labels that may occur.
        split_by: As for `split_films`.
        source: How the folder is laid out, by default as recognised.
        normals: Whether normal films without annotation count as empty masks.
        allow_outside: Whether films may lie outside the folder.
        skip_bad: Films that cannot be used are left out, as by `run --skip-bad`.
        progress: Show a progress bar.
        **settings: Passed on to `split_films`.

    Raises:
        StudyError: The target is no label.

    Example:
        >>> import tempfile
        >>> empty = tempfile.mkdtemp()
        >>> [found.refused for found in examine(empty, empty, "lung", []).findings]
        [True]
    """
    data, masks = Path(data), Path(masks)
    job = Job(declared_labels(target, labels), data, masks, masks)
    try:
        films = find_films(data, source, target, normals, allow_outside)
    except StudyError as error:
        return Examination(data, masks, findings=[Finding("folder", (), str(error), refused=True)])
    rows, refused = paint_films(films, job, {}, progress)
    findings = [
        Finding("film", (film["annotation"],), film["reason"], refused=not (skip_bad and rows))
        for film in refused
    ]
    index, splits = pd.DataFrame(rows), []
    if rows:
        findings += [
            Finding("labels", (), line, refused=True) for line in label_problems(rows, job)
        ]
        index["format"] = [film_format(data / film) for film in index["film"]]
        splits, problems = _splits(index, data, split_by, settings)
        findings += [] if any(finding.refused for finding in findings) else problems
        findings += _doubts(index, films, splits)
        findings += [Finding("note", (), note) for note in notes_on(rows, job.labels)]
    findings += find_leftovers(films, data)
    findings.sort(key=lambda finding: not finding.refused)
    return Examination(data, masks, films, index, splits, seen_labels(rows), findings)


def _splits(
    index: pd.DataFrame, data: Path, split_by: str, settings: dict
) -> tuple[list[Sides], list[Finding]]:
    """The splits to check, and why `run` would draw none."""
    splits, problems = [], []
    try:
        drawn = draw_split(data, index, split_by, **settings)
        splits.append(Sides("the split that run draws", drawn))
    except StudyError as error:
        problems.append(Finding("split", (), str(error), refused=True))
    given = given_split(index)
    return (splits if given is None else [*splits, given]), problems


def _doubts(index: pd.DataFrame, films: Sequence[Film], splits: Sequence[Sides]) -> list[Finding]:
    """What `run` accepts but the user should look at."""
    embedded = {film.name: film.film.name for film in films if film.embedded}
    files = [embedded.get(row.name, row.film) for row in index[["name", "film"]].itertuples()]
    shown = index.assign(film=files)
    crossing = [finding for sides in splits for finding in find_crossing_patients(shown, sides)]
    return [*find_copies(shown, splits), *find_similar(shown, splits), *crossing]
