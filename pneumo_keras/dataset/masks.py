"""Annotations and masks as given to masks of one form: one PNG a film, and an index of them all.

A folder of masks holds `<name>.png` (0 outside, 255 inside, at the size of the film) and
`index.csv` with one row a film:

* `name`, unique among the films
* `film`, `annotation`: paths seen from the data folder, the annotation being a mask as given or
  the film itself, by source; `mask`: file name in the folder of masks
* `patient`, `group`: see `patients`
* `part`: `train`, `validation` or `test` by the split of the source, empty where it has none;
  `licence`, empty where it is not stated
* `stamp` of film, annotation, target and labels: as long as it stays the same, so does the mask
* `height`, `width` of film and mask in pixels
* `spacing_row_mm`, `spacing_column_mm`: height and width of a pixel; empty where unknown
* `inverted`: 1 where the film is stored with low values bright (DICOM MONOCHROME1, TIFF
   WhiteIsZero) and was inverted, so that bone is bright; else 0
* `content`, `look`: what tells that films are the same one, see `fingerprints`
* `shapes`: how many outlines or masks are given; `labels`: a JSON list of their labels as written
* `target_share`: share of the film that is target, 0 to 1
* `target_share_in_lung`: share of the lung that is target; empty where no lung is outlined
* `share_<label>`: share of the film for every other declared label; empty where nobody outlined
  it, or its shapes are lines or points, which enclose nothing

A film that is only embedded in its annotation is written out to `films/<name>.png` as well.
Films left out stand in `refused.csv` with the reason.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from pneumo_keras.dataset.labelme import BACKGROUND, label_key
from pneumo_keras.dataset.maskfolder import (
    read_mask_index,
    refuse_other_folder,
    scratch_folder,
    store,
)
from pneumo_keras.dataset.maskrows import Job, row_or_reason
from pneumo_keras.dataset.sources import Film, is_mask_folder, relative_path
from pneumo_keras.errors import StudyError


@dataclass(frozen=True, eq=False)
class MaskReport:
    """What `write_masks` did.

    Attributes:
        index: One row a film, as in index.csv.
        refused: The columns `annotation` and `reason`, one row a film left out.
        painted: How many masks were painted now.
        kept: How many were left as they were.
        removed: How many masks of films that are gone were removed.
        notes: What the user should know, a sentence each.
    """

    index: pd.DataFrame
    refused: pd.DataFrame
    painted: int
    kept: int
    removed: int
    notes: tuple[str, ...]


def write_masks(
    films: Sequence[Film],
    folder: str | Path,
    target: str,
    labels: Sequence[str],
    *,
    data: str | Path,
    skip_bad: bool = False,
    progress: bool = True,
) -> MaskReport:
    """Writes the mask of every film, and the index of them; only what changed is painted again.

    Nothing in the folder changes until every film has been read and painted.

    Args:
        films: As `find_films` found them.
        folder: For the masks alone; made if need be.
        target: The label to paint.
        labels: All labels that may occur; the target need not be among them.
        data: The data folder, which the paths of the index are seen from.
        skip_bad: Leave out films that cannot be used, instead of stopping at them.
        progress: Show a progress bar.

    Raises:
        StudyError: A film or annotation cannot be used (unless `skip_bad`), or their sizes differ;
            a label is not declared; no film shows the target; the folder holds something else.

    Example:
        >>> import tempfile
        >>> from pneumo_keras.dataset.films import write_png
        >>> from pneumo_keras.dataset.labelme import Shape, write_annotation
        >>> from pneumo_keras.dataset.sources import find_films
        >>> data = Path(tempfile.mkdtemp())
        >>> write_png(data / "a.png", np.zeros((20, 20), np.uint8))
        >>> square = Shape("pneumonia", "rectangle", np.array([[0.0, 0.0], [9.0, 9.0]]))
        >>> write_annotation(data / "a.json", "a.png", [square], height=20, width=20)
        >>> report = write_masks(find_films(data), data / "masks", "pneumonia", [], data=data,
        ...                      progress=False)
        >>> report.index["target_share"].tolist()
        [0.25]
    """
    folder, data = Path(folder), Path(data)
    declared = declared_labels(target, labels)
    refuse_other_folder(folder, films)
    with scratch_folder(folder) as scratch:
        job = Job(declared, data, folder, scratch)
        rows, refused = paint_films(films, job, _rows_by_name(folder), progress)
        _refuse_bad_films(refused, stop=not (skip_bad and rows))
        for reason in label_problems(rows, job):
            raise StudyError(reason)
        painted, removed = store(folder, scratch, rows, refused)
    return MaskReport(
        index=read_mask_index(folder),
        refused=pd.DataFrame(refused, columns=["annotation", "reason"]),
        painted=painted,
        kept=len(rows) - painted,
        removed=removed,
        notes=tuple(notes_on(rows, declared)),
    )


def declared_labels(target: str, labels: Sequence[str]) -> tuple[str, ...]:
    """The target and the other labels, each once.

    Raises:
        StudyError: The target is empty or means something else.
    """
    by_key: dict[str, str] = {}
    for label in (target, *labels):
        by_key.setdefault(label_key(label), label.strip())
    if not label_key(target) or label_key(target) == BACKGROUND:
        raise StudyError(f"{target!r} cannot be the target: name the label of what to segment")
    return tuple(label for key, label in by_key.items() if key not in ("", BACKGROUND))


def paint_films(
    films: Sequence[Film], job: Job, old: Mapping[str, dict[str, Any]], progress: bool
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Paints films into the scratch folder of a job.

    Args:
        films: As `find_films` found them.
        job: What they share.
        old: The rows of the present index, by name.
        progress: Show a progress bar.

    Returns:
        The rows of the index, and for each film that cannot be used, its `annotation` and the
        `reason`.
    """
    with (
        ThreadPoolExecutor() as pool,  # closing the map drops what is still to do
        closing(pool.map(lambda film: row_or_reason(film, job, old.get(film.name)), films)) as done,
    ):
        outcomes = list(tqdm(done, "masks", len(films), unit="film", disable=not progress))
    rows = [outcome for outcome in outcomes if isinstance(outcome, dict)]
    refused = [
        {"annotation": relative_path(film.annotation, job.data).as_posix(), "reason": outcome}
        for film, outcome in zip(films, outcomes)
        if isinstance(outcome, str)
    ]
    return rows, refused


def _rows_by_name(folder: Path) -> dict[str, dict[str, Any]]:
    if not is_mask_folder(folder):
        return {}
    return {row["name"]: row for row in read_mask_index(folder).to_dict("records")}


def _refuse_bad_films(refused: Sequence[dict[str, str]], stop: bool) -> None:
    if refused and stop:
        more = f" (and {_count(len(refused) - 1, 'more film')})" if len(refused) > 1 else ""
        raise StudyError(refused[0]["reason"] + more)


def label_problems(rows: Sequence[dict[str, Any]], job: Job) -> Iterator[str]:
    """What is wrong with the labels of painted films as a whole, one line each.

    Args:
        rows: As `paint_films` returned them.
        job: As it was given.
    """
    if job.unknown:
        unknown = Counter(job.unknown)
        where = [
            row["annotation"] for row in rows if unknown.keys() & set(json.loads(row["labels"]))
        ]
        yield (
            f"labels that are not declared: {_listed(unknown)}"
            f"{', the first in ' + where[0] if where else ''}; declared are {', '.join(job.labels)}: add them to the labels, or mend the annotations"
        )
    if not any(row["target_share"] > 0 for row in rows):
        yield (
            f"no film shows the target {job.labels[0]!r}; "
            f"labels seen: {_listed(seen_labels(rows)) or 'none'}: "
            "name one of them, or annotate more"
        )


def notes_on(rows: Sequence[dict[str, Any]], declared: Sequence[str]) -> list[str]:
    """What the user should know of painted films, a sentence each.

    Args:
        rows: As `paint_films` returned them.
        declared: As `declared_labels` returned them.
    """
    spelling = {label_key(label): label for label in declared}
    seen = seen_labels(rows)
    notes = [
        f"{label!r} is read as {spelling[label_key(label)]!r} in {_count(count, 'file')}"
        for label, count in seen.items()
        if spelling.get(label_key(label), label) != label
    ]
    inverted = sum(row["inverted"] for row in rows)
    if inverted:
        notes.append(
            f"{_count(inverted, 'film')} stored with low values bright (DICOM MONOCHROME1 or TIFF "
            "WhiteIsZero), inverted so that bone is bright"
        )
    for label in declared[1:]:
        empty = sum(
            np.isnan(row[f"share_{label}"]) and label_key(label) in _keys(row) for row in rows
        )
        if empty:
            notes.append(
                f"{label!r} encloses nothing in {_count(empty, 'file')} (lines or points), "
                "where its share is left empty"
            )
    for row in rows:
        if not row["target_share"] and label_key(declared[0]) in _keys(row):
            notes.append(f"{row['film']}: nothing of its {declared[0]!r} is left on the film")
    return notes


def _keys(row: dict[str, Any]) -> set[str]:
    """The labels that occur on a film, as they are compared."""
    return set(map(label_key, json.loads(row["labels"])))


def seen_labels(rows: Sequence[dict[str, Any]]) -> Counter[str]:
    """In how many files each label occurs, as written."""
    return Counter(label for row in rows for label in json.loads(row["labels"]))


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(
        f"{label!r} ({_count(count, 'file')})" for label, count in sorted(counts.items())
    )


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
