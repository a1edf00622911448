"""COCO files: polygons and run lengths of named categories on listed images.

An image without any annotation counts as not annotated; one that shows other categories only is
an empty mask.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path, PureWindowsPath

from pneumo_keras.dataset.coco import CocoShapes
from pneumo_keras.dataset.labelme import label_key
from pneumo_keras.dataset.sources.record import Film, Source, refused
from pneumo_keras.dataset.sources.tree import Tree
from pneumo_keras.errors import StudyError


def _read(path: Path) -> tuple[list[str], list[tuple[str, CocoShapes]]]:
    """The categories of a file, and its images by file name with what is outlined on each."""
    try:
        document = json.loads(path.read_bytes().decode("utf-8-sig"))
        categories = {entry["id"]: str(entry["name"]) for entry in document["categories"]}
        shapes = defaultdict(list)
        for entry in document["annotations"]:
            label = categories[entry["category_id"]]
            shapes[entry["image_id"]].append((label, entry.get("segmentation")))
        images = []
        for entry in document["images"]:
            size = (int(entry["height"]), int(entry["width"]))
            of_image = tuple(shapes.get(entry["id"], ()))
            images.append((str(entry["file_name"]), CocoShapes(path, size, of_image)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise StudyError(
            f"{path} is no sound COCO file ({type(error).__name__}: {error}): export it again"
        ) from None
    return list(categories.values()), images


def _targets(tree: Tree) -> tuple[str, ...]:
    labels = {label for path in tree.json_files("coco") for label in _read(path)[0]}
    return tuple(sorted({label_key(label) for label in labels}))


def _find(tree: Tree, target: str, normals: bool) -> list[Film]:
    films: dict[str, Film] = {}
    problems = []
    for path in tree.json_files("coco"):
        for name, truth in _read(path)[1]:
            if not truth.shapes:
                continue
            film = _film(path, name, tree)
            if film is None:
                problems.append(
                    refused(path, f"{path} names film {name!r}, which is not there: add it")
                )
                continue
            record = Film("", film, path, "", "", truth=truth)
            earlier = films.setdefault(os.path.realpath(film), record)
            if earlier is not record:
                raise StudyError(
                    f"{earlier.annotation} and {path} both annotate {film}: remove one of them"
                )
    return [*films.values(), *problems]


def _film(path: Path, name: str, tree: Tree) -> Path | None:
    """The film where the name says, seen from the file; else the only one of that file name."""
    written = Path(PureWindowsPath(name).as_posix())
    named = Path(os.path.normpath(path.parent / written))
    if named in tree.films_by_name.get(named.name, []):
        return named
    elsewhere = tree.films_by_name.get(written.name, [])
    return elsewhere[0] if len(elsewhere) == 1 else None


SOURCE = Source(
    name="coco",
    layout="a COCO JSON file (images, annotations, categories) and its films",
    recognises=lambda tree: bool(tree.json_files("coco")),
    targets=_targets,
    find=_find,
)
