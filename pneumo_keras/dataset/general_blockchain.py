"""General Blockchain's segmentations of COVID-19 chest X-rays: crops placed by structure.csv.

Each row of structure.csv is one outline: `Filename` is the image in images/, `Mask` the crop,
`Left` and `Top` its place and `Width` and `Height` its size in an image of `Resolution` (width x
height), all in pixels. metadata.csv names patient, finding and licence of each image.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from pneumo_keras.dataset.labelme import label_key
from pneumo_keras.dataset.patients import column_key, read_rows
from pneumo_keras.dataset.records import (
    ImageRecord,
    LabelMasks,
    Reference,
    refuse_other_size,
    refused,
)
from pneumo_keras.dataset.tree import Tree
from pneumo_keras.errors import StudyError

_PLACE = ("Top", "Left", "Height", "Width")
_COLUMNS = ("Class", "Filename", "Mask", "Resolution", *_PLACE)
_UNIONS = {
    "pneumonia": ("ground glass opacities", "consolidation"),
    "lung": ("left lung", "right lung"),
}
Row = dict[str, str]


class Crop(NamedTuple):
    """A cut-out of a mask, inside wherever it is not black, and its place in pixels."""

    path: Path
    label: str
    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Crops(Reference):
    """Cut-outs of masks, placed in the image; those of one label unite."""

    crops: tuple[Crop, ...]
    size: tuple[int, int]  # height and width of the image that they belong to

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(crop.path for crop in self.crops)

    def state(self) -> list[Any]:
        return [*([*crop[1:]] for crop in self.crops), [*self.size]]

    def label_masks(self, image: Path, labels: Sequence[str], size: tuple[int, int]) -> LabelMasks:
        refuse_other_size(self.crops[0].path, self.size, image, size)
        masks = {label: np.zeros(size, bool) for label in labels}
        for label, mask in masks.items():
            members = _UNIONS.get(label_key(label), (label_key(label),))
            for crop in self.crops:
                if crop.label in members:
                    rows = slice(crop.top, crop.top + crop.height)
                    columns = slice(crop.left, crop.left + crop.width)
                    mask[rows, columns] |= self._read(crop)
        occurring = list(dict.fromkeys(crop.label for crop in self.crops))
        return LabelMasks(masks, occurring, len(self.crops))

    def _read(self, crop: Crop) -> np.ndarray:
        path, _, top, left, height, width = crop
        try:
            with Image.open(path, formats=("PNG",)) as image:
                inside = np.asarray(image.convert("RGB")).any(axis=-1)
        except Exception:  # noqa: BLE001 (damage makes Pillow raise almost anything)
            raise StudyError(f"{path} is missing, damaged or not PNG: download it again") from None
        if inside.shape != (height, width):
            raise StudyError(f"{path} is not {width}×{height} pixels as listed: download it again")
        if min(top, left) < 0 or top + height > self.size[0] or left + width > self.size[1]:
            raise StudyError(f"{path} reaches beyond its image: download the data set again")
        return inside


def recognises(tree: Tree) -> bool:
    """Tell whether a tree holds structure.csv beside images/ and masks/."""
    return bool(_folders(tree))


def targets(tree: Tree) -> tuple[str, ...]:
    """The unions of classes, then each class."""
    classes = {_label(row) for rows in _rows(_folders(tree)[0]).values() for row in rows}
    unions = [union for union, members in _UNIONS.items() if classes & {*members}]
    return (*unions, *sorted(classes))


def find(tree: Tree, target: str, normals: bool) -> list[ImageRecord]:
    """The images that structure.csv lists."""
    folder = _folders(tree)[0]
    metadata = _metadata(folder / "metadata.csv")
    by_image = sorted(_rows(folder).items())
    return [_record(tree, folder, name, rows, metadata.get(name, {})) for name, rows in by_image]


def _record(tree: Tree, folder: Path, name: str, rows: list[Row], known: Row) -> ImageRecord:
    table, image = folder / "structure.csv", folder / "images" / name
    for path in (image, *(folder / row["Mask"] for row in rows)):
        if path not in tree.paths:
            return refused(image, f"{table} lists {path}, which is not there: download it again")
    try:
        width, height = map(int, rows[0]["Resolution"].split("x"))
        places = [[int(row[key]) for key in _PLACE] for row in rows]
    except ValueError:
        return refused(image, f"{table}: no whole numbers of pixels for {name}: download it again")
    crops = [Crop(folder / row["Mask"], _label(row), *at) for row, at in zip(rows, places)]
    patient, group, licence = (known.get(key, "") for key in ("patientid", "finding", "license"))
    reference = Crops(tuple(crops), (height, width))
    return ImageRecord("", image, table, patient, group, reference=reference, licence=licence)


def _folders(tree: Tree) -> list[Path]:
    return tree.folders_with("structure.csv", "images", "masks")


def _rows(folder: Path) -> dict[str, list[Row]]:
    """Rows of structure.csv by the name of their image."""
    path = folder / "structure.csv"
    by_image = defaultdict(list)
    for row in read_rows(path):
        missing = [column for column in _COLUMNS if not row.get(column)]
        if missing:
            raise StudyError(f"{path} has a row without {missing[0]}: download the data set again")
        by_image[row["Filename"].strip()].append(row)
    return by_image


def _label(row: Row) -> str:
    return row["Class"].strip().casefold().removeprefix("covid-19 ")


def _metadata(path: Path) -> dict[str, Row]:
    """Rows of metadata.csv by file name, columns by `column_key`; empty without a file."""
    rows = [
        {column_key(key): value.strip() for key, value in row.items()}
        for row in (read_rows(path) if path.is_file() else ())
    ]
    return {row.get("filename", ""): row for row in rows}
