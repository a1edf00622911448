"""The record of an image, and what all layouts share: names, patients, pairs of image and mask.

Patients matter because images of one patient must not fall on both sides of a split; groups because
results are reported by group. Both come from index.csv or from the file names of the Kermany set,
such as `person17_bacteria_54.jpeg` or `NORMAL2-IM-0017-0001.jpeg`. Its person numbers start again
for each kind of pneumonia; hence a patient is `bacteria:17`, not 17.
"""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from pneumo_keras.dataset.references import Reference
from pneumo_keras.dataset.tree import Tree, relative_path
from pneumo_keras.errors import StudyError

NORMAL = "normal"
_PARTS = {
    "train": "train",
    "val": "validation",
    "test": "test",
}  # folder names, perhaps with " set"
_PNEUMONIA = re.compile(r"person(?P<number>\d+)_(?P<kind>bacteria|virus)_\d+(_\d+)?", re.IGNORECASE)
_NORMAL = re.compile(r"(?P<second>NORMAL2-)?IM-(?P<number>\d{4})-\d{4}(-\d{4})?", re.IGNORECASE)
_FILE_COLUMNS = ("annotation", "image", "film", "file")


@dataclass(frozen=True)
class ImageRecord:
    """One image and its reference annotation."""

    name: str  # unique among the images found; the name of its mask
    image: Path  # the annotation itself if the image is only embedded in it
    annotation: Path  # first file of the reference; the image itself if the reference is empty
    patient: str  # shared by the images of one patient
    group: str  # bacteria, virus, normal, what index.csv says, or unknown
    problem: str = ""  # why the image cannot be used
    reference: Reference | None = None  # None if there is a problem
    licence: str = ""  # of image and annotation, if the data set states it
    part: str = ""  # train, validation or test, if the data set has a split of its own
    layout: str = ""  # key of `layouts.LAYOUTS`

    @property
    def embedded(self) -> bool:
        """Whether the image exists only inside its LabelMe annotation."""
        return self.image == self.annotation and self.image.suffix.lower() == ".json"


class Listed(NamedTuple):
    """What index.csv says of one image; empty where it says nothing."""

    patient: str = ""
    group: str = ""
    licence: str = ""


def refused(path: Path, problem: str) -> ImageRecord:
    """The record of an image, or of a mask without one, that cannot be used."""
    return ImageRecord("", path, path, "", "", problem)


def complete(
    records: Sequence[ImageRecord], tree: Tree, layout: str, licence: str
) -> list[ImageRecord]:
    """Fill in names, patients, groups and licences that the layout left empty.

    They come from index.csv in the data folder, then from the file name; an image of an unknown
    patient is its own patient.
    """
    listed = read_index(tree.root / "index.csv")
    names = unique_names([relative_path(record.image, tree.root) for record in records])
    completed = []
    for record, name in zip(records, names):
        entry = listed_for(record.image, record.annotation, tree, listed)
        patient, group = patient_from_name(record.image.stem)
        known = {
            "patient": record.patient or entry.patient or patient or name,
            "group": record.group or entry.group or group or "unknown",
            "licence": record.licence or entry.licence or licence,
        }
        completed.append(replace(record, name=name, layout=layout, **known))
    return completed


def unique_names(images: Sequence[Path]) -> list[str]:
    """The stem of each image, or as much of its path as tells it from the others.

    Example:
        >>> unique_names([Path("a/x.png"), Path("b/x.png"), Path("b/y.png")])
        ['a__x', 'b__x', 'y']
    """
    names = [path.stem for path in images]
    for longer in (
        lambda path: "__".join(path.with_suffix("").parts),
        lambda path: "__".join(path.parts).replace(".", "_"),
    ):
        count = Counter(name.casefold() for name in names)  # some file systems ignore case
        pairs = zip(names, images)
        names = [longer(path) if count[name.casefold()] > 1 else name for name, path in pairs]
    return names


def patient_from_name(stem: str) -> tuple[str, str]:
    """Patient and group in a file name of the Kermany set; both empty for other names.

    Example:
        >>> patient_from_name("person17_bacteria_54"), patient_from_name("NORMAL2-IM-0017-0001")
        (('bacteria:17', 'bacteria'), ('normal2:17', 'normal'))
    """
    if match := _PNEUMONIA.fullmatch(stem):
        kind = match["kind"].lower()
        return f"{kind}:{int(match['number'])}", kind
    if match := _NORMAL.fullmatch(stem):
        series = "normal2" if match["second"] else "im"
        return f"{series}:{int(match['number'])}", NORMAL
    return "", ""


def read_index(path: Path) -> dict[str, Listed]:
    """Patient, group and licence of each file that an index.csv lists; empty without such a file.

    Files are in the columns `annotation`, `image`, `film` or `file`, the patient in `patient_id` or
    `patient`, the group in `group`, `subtype`, `finding` or `class`, the licence in `licence` or
    `license`; other columns are ignored.

    Raises:
        StudyError: The file is not CSV, or lists a file twice with different entries.
    """
    listed: dict[str, Listed] = {}
    for row in read_rows(path) if path.is_file() else ():
        patient = _first(row, "patient_id", "patient")
        group = _first(row, "group", "subtype", "finding", "class")
        entry = Listed(patient, group, _first(row, "licence", "license"))
        for column in _FILE_COLUMNS:
            file = (row.get(column) or "").strip().replace("\\", "/")
            if file and listed.setdefault(file, entry) != entry:
                raise StudyError(f"{path} lists {file} twice, and differently: remove one row")
    return listed


def listed_for(image: Path, annotation: Path, tree: Tree, listed: Mapping[str, Listed]) -> Listed:
    """What index.csv says of an image, by the path or file name of annotation or image."""
    if not listed:
        return Listed()
    paths = [relative_path(path, tree.root) for path in (annotation, image)]
    keys = [path.as_posix() for path in paths] + [path.name for path in paths]
    return next((listed[key] for key in keys if key in listed), Listed())


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file with a header, UTF-8 with or without byte order mark."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            return list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise StudyError(f"{path} is not a valid CSV file ({error}): fix or remove it") from None


def refuse_two_annotations(records: Iterable[ImageRecord]) -> None:
    """Refuse two annotations of one image, which may hide behind links."""
    first: dict[str, ImageRecord] = {}
    for record in records:
        other = first.setdefault(os.path.realpath(record.image), record)
        if other is not record:
            paths = f"{other.annotation} and {record.annotation}"
            raise StudyError(f"{paths} both annotate {record.image}: remove one of them")


def match_masks(
    images: Iterable[Path], masks: Iterable[Path], forms: Sequence[str] = ("{}",)
) -> tuple[dict[Path, Path], list[Path]]:
    """Pair images with masks by their stems.

    `forms` are the stems of a mask, made from that of its image, the preferred one first. Returned
    are the mask of each image that has one, and the masks that belong to no image.

    Example:
        >>> images, masks = [Path("a.jpg"), Path("b.jpg")], [Path("mask_a.png"), Path("c.png")]
        >>> match_masks(images, masks, ("{}", "mask_{}")) == ({images[0]: masks[0]}, masks[1:])
        True
    """
    left: dict[str, Path] = {}
    unmatched = [mask for mask in masks if left.setdefault(mask.stem, mask) is not mask]
    pairs = {}
    for image in images:
        stems = [form.format(image.stem) for form in forms]
        if found := [stem for stem in stems if stem in left]:
            pairs[image] = left.pop(found[0])
    return pairs, sorted([*unmatched, *left.values()])


def part_of(path: Path, root: Path) -> str:
    """The part of the data set's own split that the folders above a path name, nearest first."""
    folders = [
        name.lower().removesuffix(" set") for name in relative_path(path, root).parts[-2::-1]
    ]
    return next((_PARTS[name] for name in folders if name in _PARTS), "")


def kermany_part(path: Path, root: Path) -> str:
    """The same in the Kermany release, whose 16 images of `val` are too few and count as train."""
    part = part_of(path, root)
    return "train" if part == "validation" else part


def _first(row: Mapping[str, str | None], *columns: str) -> str:
    return next((row[column].strip() for column in columns if row.get(column)), "")
