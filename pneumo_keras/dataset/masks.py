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
from collections.abc import Sequence
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
    declared = _declared(target, labels)
    refuse_other_folder(folder, films)
    with scratch_folder(folder) as scratch:
        job = Job(declared, data, folder, scratch)
        outcomes = _outcomes(films, job, _rows_by_name(folder), progress)
        rows = [outcome for outcome in outcomes if isinstance(outcome, dict)]
        refused = [
            {"annotation": relative_path(film.annotation, data).as_posix(), "reason": outcome}
            for film, outcome in zip(films, outcomes)
            if isinstance(outcome, str)
        ]
        _refuse_bad_films(refused, stop=not (skip_bad and rows))
        _refuse_unknown_labels(job.unknown, declared)
        _refuse_no_target(rows, target)
        painted, removed = store(folder, scratch, rows, refused)
    return MaskReport(
        index=read_mask_index(folder),
        refused=pd.DataFrame(refused, columns=["annotation", "reason"]),
        painted=painted,
        kept=len(rows) - painted,
        removed=removed,
        notes=tuple(_notes(rows, declared)),
    )


def _declared(target: str, labels: Sequence[str]) -> tuple[str, ...]:
    """The target and the other labels, each once."""
    by_key: dict[str, str] = {}
    for label in (target, *labels):
        by_key.setdefault(label_key(label), label.strip())
    if not label_key(target) or label_key(target) == BACKGROUND:
        raise StudyError(f"{target!r} cannot be the target: name the label of what to segment")
    return tuple(label for key, label in by_key.items() if key not in ("", BACKGROUND))


def _outcomes(
    films: Sequence[Film], job: Job, old: dict[str, dict[str, Any]], progress: bool
) -> list[dict[str, Any] | str]:
    """The row of each film, or why it has none. Closing the map drops what is still to do."""
    with (
        ThreadPoolExecutor() as pool,
        closing(pool.map(lambda film: row_or_reason(film, job, old.get(film.name)), films)) as done,
    ):
        return list(tqdm(done, "masks", len(films), unit="film", disable=not progress))


def _rows_by_name(folder: Path) -> dict[str, dict[str, Any]]:
    if not is_mask_folder(folder):
        return {}
    return {row["name"]: row for row in read_mask_index(folder).to_dict("records")}


def _refuse_bad_films(refused: Sequence[dict[str, str]], stop: bool) -> None:
    if refused and stop:
        more = f" (and {_count(len(refused) - 1, 'more film')})" if len(refused) > 1 else ""
        raise StudyError(refused[0]["reason"] + more)


def _refuse_unknown_labels(unknown: Sequence[str], declared: Sequence[str]) -> None:
    if unknown:
        raise StudyError(
            f"labels that are not declared: {_listed(Counter(unknown))}; "
            f"declared are {', '.join(declared)}: add them to the labels, or mend the annotations"
        )


def _refuse_no_target(rows: Sequence[dict[str, Any]], target: str) -> None:
    if not any(row["target_share"] > 0 for row in rows):
        raise StudyError(
            f"no film shows the target {target!r}; "
            f"labels seen: {_listed(_seen(rows)) or 'none'}: name one of them, or annotate more"
        )


def _notes(rows: Sequence[dict[str, Any]], declared: Sequence[str]) -> list[str]:
    spelling = {label_key(label): label for label in declared}
    seen = _seen(rows)
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


def _seen(rows: Sequence[dict[str, Any]]) -> Counter[str]:
    """In how many files each label occurs, as written."""
    return Counter(label for row in rows for label in json.loads(row["labels"]))


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(
        f"{label!r} ({_count(count, 'file')})" for label, count in sorted(counts.items())
    )


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
