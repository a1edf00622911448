"""One film to its mask and its row in the index of masks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pneumo_keras.dataset.films import decode_film, read_film, write_png
from pneumo_keras.dataset.fingerprints import content_of, look_of
from pneumo_keras.dataset.labelme import (
    Annotation,
    label_key,
    paint,
    read_annotation,
    unknown_labels,
)
from pneumo_keras.dataset.maskfolder import EMBEDDED
from pneumo_keras.dataset.sources import Film, relative_path
from pneumo_keras.errors import StudyError

LUNG = "lung"
_RULES = 2  # raised whenever the same film is to give another mask or row than before


@dataclass(frozen=True)
class Job:
    """What all films of one run share.

    Attributes:
        labels: All declared labels, the target first.
        data: The data folder, which paths are seen from.
        folder: The folder of masks as it is.
        scratch: Where new masks go, laid out as in `folder`.
        unknown: Collects the labels that are not declared, once for each annotation.
    """

    labels: tuple[str, ...]
    data: Path
    folder: Path
    scratch: Path
    unknown: list[str] = field(default_factory=list)


def row_or_reason(film: Film, job: Job, old: dict[str, Any] | None) -> dict[str, Any] | str:
    """Paints a film unless its mask is up to date.

    Args:
        film: As found.
        job: What all films of the run share.
        old: The row of the film in the present index, if it has one.

    Returns:
        Its row in the index, or in a sentence why it gets none.
    """
    try:
        return _row(film, job, old)
    except StudyError as error:
        return str(error)


def _row(film: Film, job: Job, old: dict[str, Any] | None) -> dict[str, Any]:
    if film.problem:
        raise StudyError(film.problem)
    embedded = film.film == film.annotation
    mask = f"{film.name}.png"
    shown = job.folder / EMBEDDED / mask if embedded else film.film
    row = {
        "name": film.name,
        "film": relative_path(shown, job.data).as_posix(),
        "mask": mask,
        "annotation": relative_path(film.annotation, job.data).as_posix(),
        "patient": film.patient,
        "group": film.group,
    }
    stamp = _stamp(film, row, job)
    if old and old["stamp"] == stamp and (job.folder / mask).is_file() and shown.is_file():
        return {**old, **row}
    annotation = read_annotation(film.annotation)
    job.unknown.extend(unknown_labels(annotation, job.labels))
    pixels = _pixels(film, annotation)
    _refuse_other_size(film, annotation, pixels.shape)
    painted, shares = _paint(annotation, job.labels, pixels.shape)
    write_png(job.scratch / mask, painted)
    if embedded:
        write_png(job.scratch / EMBEDDED / mask, pixels)
    height, width = pixels.shape
    labels = list(dict.fromkeys(shape.label for shape in annotation.shapes))
    return {
        **row,
        "stamp": stamp,  # ahead of the columns named after labels, which may hold anything
        "height": height,
        "width": width,
        "content": content_of(pixels),
        "look": look_of(pixels),
        "shapes": len(annotation.shapes),
        "labels": json.dumps(labels, ensure_ascii=False),
        **shares,
    }


def _stamp(film: Film, row: dict[str, Any], job: Job) -> str:
    parts = [_RULES, job.labels, row["film"], row["annotation"]]
    for path in (film.film, film.annotation):
        try:
            state = path.stat()
        except OSError as error:
            raise StudyError(f"{path} cannot be read ({error.strerror}): check the path") from None
        parts += [state.st_size, state.st_mtime_ns]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _pixels(film: Film, annotation: Annotation) -> np.ndarray:
    if film.film == film.annotation:
        return decode_film(annotation.embedded or b"", f"the film embedded in {film.annotation}")
    return read_film(film.film)


def _refuse_other_size(film: Film, annotation: Annotation, size: tuple[int, int]) -> None:
    said = (annotation.height or size[0], annotation.width or size[1])
    if said != size:
        raise StudyError(
            f"{film.annotation} was drawn on a film of {said[1]}×{said[0]} pixels, but {film.film} "
            f"has {size[1]}×{size[0]}: put the film it was drawn on there, or annotate this one"
        )


def _paint(
    annotation: Annotation, labels: Sequence[str], size: tuple[int, int]
) -> tuple[np.ndarray, dict[str, float]]:
    """The mask of the first label, and the shares of all for the index."""
    target, *others = labels
    mask = paint(annotation, target, *size)
    shares = {"target_share": float(mask.mean()), "target_share_in_lung": np.nan}
    for label in others:
        try:
            region = paint(annotation, label, *size)
        except StudyError:
            shares[f"share_{label}"] = np.nan
            continue
        shares[f"share_{label}"] = float(region.mean())
        if label_key(label) == LUNG and region.any():
            shares["target_share_in_lung"] = float(mask[region].mean())
    return mask, {name: round(share, 6) for name, share in shares.items()}
