"""One film to its mask and its row in the index of masks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pneumo_keras.dataset.films import decode_film, film_spacing, is_inverted, read_film, write_png
from pneumo_keras.dataset.fingerprints import content_of, look_of
from pneumo_keras.dataset.labelme import label_key, read_annotation
from pneumo_keras.dataset.maskfolder import EMBEDDED
from pneumo_keras.dataset.sources import Film, relative_path
from pneumo_keras.dataset.truths import Layers
from pneumo_keras.errors import StudyError

LUNG = "lung"
_RULES = 2  # raised whenever the same annotation is to give another mask or row than before


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
    mask = f"{film.name}.png"
    shown = job.folder / EMBEDDED / mask if film.embedded else film.film
    row = {
        "name": film.name,
        "film": relative_path(shown, job.data).as_posix(),
        "mask": mask,
        "annotation": relative_path(film.annotation, job.data).as_posix(),
        "patient": film.patient,
        "group": film.group,
        "part": film.part,
        "licence": film.licence,
    }
    stamp = _stamp(film, row, job)
    if old and old["stamp"] == stamp and (job.folder / mask).is_file() and shown.is_file():
        return {**old, **row}
    pixels = _pixels(film)
    layers = film.truth.layers(film.film, job.labels, pixels.shape)
    job.unknown.extend(layers.unknown)
    write_png(job.scratch / mask, layers.regions[job.labels[0]])
    if film.embedded:
        write_png(job.scratch / EMBEDDED / mask, pixels)
    height, width = pixels.shape
    return {
        **row,
        "stamp": stamp,  # ahead of the columns named after labels, which may hold anything
        "height": height,
        "width": width,
        **_dicom_columns(film),
        "content": content_of(pixels),
        "look": look_of(pixels),
        "shapes": layers.shapes,
        "labels": json.dumps(list(layers.labels), ensure_ascii=False),
        **_shares(layers, job.labels),
    }


def _stamp(film: Film, row: dict[str, Any], job: Job) -> str:
    parts = [_RULES, job.labels, row["film"], row["annotation"]]
    parts += film.truth.state()
    for path in (film.film, *film.truth.files):
        try:
            state = path.stat()
        except OSError as error:
            raise StudyError(f"{path} cannot be read ({error.strerror}): check the path") from None
        parts += [state.st_size, state.st_mtime_ns]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _pixels(film: Film) -> np.ndarray:
    if film.embedded:
        annotation = read_annotation(film.annotation)
        return decode_film(annotation.embedded or b"", f"the film embedded in {film.annotation}")
    return read_film(film.film)


def _dicom_columns(film: Film) -> dict[str, float]:
    """Spacing, empty where it is not known, and whether the film is stored inverted."""
    spacing = None if film.embedded else film_spacing(film.film)
    row, column = spacing or (np.nan, np.nan)
    inverted = not film.embedded and is_inverted(film.film)
    return {"spacing_row_mm": row, "spacing_column_mm": column, "inverted": int(inverted)}


def _shares(layers: Layers, labels: Sequence[str]) -> dict[str, float]:
    """The shares of all labels for the index; empty for those that are not outlined here."""
    target, *others = labels
    mask = layers.regions[target]
    shares = {"target_share": _share(mask), "target_share_in_lung": np.nan}
    for label in others:
        region = layers.regions.get(label)
        shares[f"share_{label}"] = np.nan if region is None else _share(region)
        if label_key(label) == LUNG and region is not None and region.any():
            shares["target_share_in_lung"] = _share(mask & region) / _share(region)
    return {name: round(share, 6) for name, share in shares.items()}


def _share(region: np.ndarray) -> float:
    return np.count_nonzero(region) / region.size  # ten times as fast as the mean of a bool array
