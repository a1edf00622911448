"""COCO files: polygons and run lengths of named categories on listed images.

An image without any annotation counts as not annotated; one that shows other categories only is
an empty mask.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path, PureWindowsPath
from typing import Any

from pneumo_keras.dataset.sources.record import Film, Source, refused
from pneumo_keras.dataset.sources.tree import Tree
from pneumo_keras.dataset.truths import CocoShapes
from pneumo_keras.errors import StudyError


def _read(path: Path) -> dict[str, Any]:
    """The file as it is, its lists made sure of."""
    try:
        document = json.loads(path.read_bytes().decode("utf-8-sig"))
        categories = {entry["id"]: str(entry["name"]) for entry in document["categories"]}
        shapes = defaultdict(list)
        for entry in document["annotations"]:
            label = categories[entry["category_id"]]
            shapes[entry["image_id"]].append((label, entry.get("segmentation")))
        images = [
            (entry["id"], str(entry["file_name"]), (int(entry["height"]), int(entry["width"])))
            for entry in document["images"]
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StudyError(
            f"{path} is no sound COCO file ({type(error).__name__}: {error}): export it again"
        ) from None
    return {"labels": sorted(set(categories.values())), "shapes": shapes, "images": images}


def _targets(tree: Tree) -> tuple[str, ...]:
    labels = {label for path in tree.json_files("coco") for label in _read(path)["labels"]}
    return tuple(sorted(label.strip().casefold() for label in labels))


def _find(tree: Tree, target: str, normals: bool) -> list[Film]:
    films, seen = [], {}
    for path in tree.json_files("coco"):
        content = _read(path)
        for number, name, size in content["images"]:
            shapes = tuple(content["shapes"].get(number, ()))
            if not shapes:
                continue
            film = _film(path, name, tree)
            if film is None:
                films.append(refused(path, f"{path} names film {name!r}, which is not there"))
                continue
            if seen.setdefault(os.path.realpath(film), path) is not path:
                raise StudyError(f"{seen[os.path.realpath(film)]} and {path} both annotate {film}")
            films.append(Film("", film, path, "", "", truth=CocoShapes(path, size, shapes)))
    return films


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
