"""General Blockchain's segmentations of COVID-19 chest X-rays: crops placed by structure.csv.

Each row of structure.csv is one outline: `Filename` is the film in images/, `Mask` the crop, `Left`
and `Top` its place and `Width` and `Height` its size on a film of `Resolution` (width x height), in
pixels. A crop shows its class wherever it is not black. metadata.csv names patient, finding and
licence of each film.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pneumo_keras.dataset.crops import Crop, Crops
from pneumo_keras.dataset.patients import read_rows
from pneumo_keras.dataset.sources.record import Film, Source, refused
from pneumo_keras.dataset.sources.tree import Tree
from pneumo_keras.errors import StudyError

_TABLE, _PREFIX = "structure.csv", "covid-19 "
_COLUMNS = ("Class", "Filename", "Mask", "Resolution", "Top", "Left", "Width", "Height")
_UNIONS = {
    "pneumonia": ("ground glass opacities", "consolidation"),
    "lung": ("left lung", "right lung"),
}


def _folder(tree: Tree) -> Path | None:
    return next(iter(tree.folders_with(_TABLE, "images", "masks")), None)


def _rows(tree: Tree) -> dict[str, list[dict[str, str]]]:
    """The rows of structure.csv by the name of their film."""
    path = _folder(tree) / _TABLE
    by_film: dict[str, list[dict[str, str]]] = {}
    for row in read_rows(path):
        missing = [column for column in _COLUMNS if not row.get(column)]
        if missing:
            raise StudyError(f"{path} has a row without {missing[0]}: fetch the data set again")
        by_film.setdefault(row["Filename"].strip(), []).append(row)
    return by_film


def _targets(tree: Tree) -> tuple[str, ...]:
    classes = {_label(row) for rows in _rows(tree).values() for row in rows}
    unions = [union for union, members in _UNIONS.items() if classes & set(members)]
    return (*unions, *sorted(classes))


def _label(row: Mapping[str, str]) -> str:
    return row["Class"].strip().casefold().removeprefix(_PREFIX)


def _find(tree: Tree, target: str, normals: bool) -> list[Film]:
    folder = _folder(tree)
    metadata = _metadata(folder / "metadata.csv")
    rows = sorted(_rows(tree).items())
    return [_film(tree, folder, name, of_film, metadata) for name, of_film in rows]


def _film(
    tree: Tree,
    folder: Path,
    name: str,
    rows: list[dict[str, str]],
    metadata: Mapping[str, Mapping[str, str]],
) -> Film:
    path = folder / "images" / name
    for listed in (path, *(folder / row["Mask"] for row in rows)):
        if not tree.holds(listed):
            reason = f"{folder / _TABLE} lists {listed}, which is not there: fetch it again"
            return refused(path, reason)
    try:
        width, height = (int(side) for side in rows[0]["Resolution"].split("x"))
        crops = tuple(_crop(folder, row) for row in rows)
    except ValueError:
        return refused(
            path, f"{folder / _TABLE} has no whole numbers of pixels for {name}: fetch it again"
        )
    known = metadata.get(name, {})
    return Film(
        "",
        path,
        folder / _TABLE,
        known.get("patientid", ""),
        known.get("finding", ""),
        truth=Crops(crops, (height, width), _UNIONS),
        licence=known.get("license", ""),
    )


def _crop(folder: Path, row: Mapping[str, str]) -> Crop:
    top, left, height, width = (int(row[key]) for key in ("Top", "Left", "Height", "Width"))
    return Crop(folder / row["Mask"], _label(row), top, left, height, width)


def _metadata(path: Path) -> dict[str, dict[str, str]]:
    """The rows of metadata.csv by file name, columns in lower case; nothing without the file."""
    if not path.is_file():
        return {}
    rows = [
        {str(key).strip().lower(): str(value or "").strip() for key, value in row.items()}
        for row in read_rows(path)
    ]
    return {row.get("filename", ""): row for row in rows}


SOURCE = Source(
    name="general_blockchain",
    layout="structure.csv with images/, masks/ of crops and metadata.csv",
    recognises=lambda tree: _folder(tree) is not None,
    targets=_targets,
    find=_find,
    covers=("folders", "coco"),  # the repository holds its annotations as COCO as well
    licence="CC BY 4.0 (annotations)",
    page="https://github.com/GeneralBlockchain/covid-19-chest-xray-segmentations-dataset",
)
