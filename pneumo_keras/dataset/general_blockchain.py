"""General Blockchain's segmentations of COVID-19 chest X-rays: crops placed by structure.csv.

Each row of structure.csv is one outline: `Filename` is the image in images/, `Mask` the crop,
`Left` and `Top` its place and `Width` and `Height` its size in an image of `Resolution` (width x
height), all in pixels. metadata.csv names patient, finding and licence of each image.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from pneumo_keras.dataset.records import ImageRecord, read_rows, refused
from pneumo_keras.dataset.references import Crop, Crops
from pneumo_keras.dataset.tree import Tree
from pneumo_keras.errors import StudyError

_PLACE = ("Top", "Left", "Height", "Width")
_COLUMNS = ("Class", "Filename", "Mask", "Resolution", *_PLACE)
_UNIONS = {
    "pneumonia": ("ground glass opacities", "consolidation"),
    "lung": ("left lung", "right lung"),
}
Row = dict[str, str]


def recognises(tree: Tree) -> bool:
    """Tell whether a tree holds structure.csv beside images/ and masks/."""
    return bool(_folders(tree))


def targets(tree: Tree) -> tuple[str, ...]:
    """The unions of classes, then each class."""
    classes = {_label(row) for rows in _rows(tree).values() for row in rows}
    unions = [union for union, members in _UNIONS.items() if classes & {*members}]
    return (*unions, *sorted(classes))


def find(tree: Tree, target: str, normals: bool) -> list[ImageRecord]:
    """The images that structure.csv lists."""
    metadata = _metadata(_folders(tree)[0] / "metadata.csv")
    by_image = sorted(_rows(tree).items())
    return [_record(tree, name, rows, metadata.get(name, {})) for name, rows in by_image]


def _record(tree: Tree, name: str, rows: list[Row], known: Row) -> ImageRecord:
    folder = _folders(tree)[0]
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
    reference = Crops(tuple(crops), (height, width), _UNIONS)
    return ImageRecord("", image, table, patient, group, reference=reference, licence=licence)


def _folders(tree: Tree) -> list[Path]:
    return tree.folders_with("structure.csv", "images", "masks")


def _rows(tree: Tree) -> dict[str, list[Row]]:
    """Rows of structure.csv by the name of their image."""
    path = _folders(tree)[0] / "structure.csv"
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
    """Rows of metadata.csv by file name, columns in lower case; empty if there is no such file."""
    rows = [
        {str(key).strip().lower(): str(value or "").strip() for key, value in row.items()}
        for row in (read_rows(path) if path.is_file() else ())
    ]
    return {row.get("filename", ""): row for row in rows}
