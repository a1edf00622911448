"""COCO files: polygons and run lengths of categories in listed images, rasterised by pycocotools.

An image without any annotation counts as not annotated; one that shows other categories only has an
empty mask.
"""

import itertools
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from pneumo_keras.dataset.labelme import label_key
from pneumo_keras.dataset.records import (
    ImageRecord,
    LabelMasks,
    Reference,
    refuse_other_size,
    refuse_two_annotations,
    refused,
)
from pneumo_keras.dataset.shapes import Malformed, is_coordinate
from pneumo_keras.dataset.tree import Tree
from pneumo_keras.errors import StudyError

_MAX_NAMED = 5  # annotations in one message


@dataclass(frozen=True, eq=False)
class CocoShapes(Reference):
    """The annotations of one image of a COCO file."""

    path: Path
    size: tuple[int, int]  # height and width of the image as the file has it
    shapes: tuple[tuple[str, Any], ...]  # label and `segmentation` of each annotation

    def state(self) -> list[Any]:
        return [self.size, self.shapes]

    def label_masks(self, image: Path, labels: Sequence[str], size: tuple[int, int]) -> LabelMasks:
        refuse_other_size(self.path, self.size, image, size)
        masks = {label: np.zeros(size, bool) for label in labels}
        for label, (shape, segmentation) in itertools.product(labels, self.shapes):
            if label_key(shape) == label_key(label):
                try:
                    masks[label] |= rasterize_coco(segmentation, *size)
                except Malformed as error:
                    name = f"{self.path}: an annotation {shape!r} of {image.name}"
                    raise StudyError(f"{name} {error}: fix or remove it") from None
        occurring = list(dict.fromkeys(label for label, _ in self.shapes))
        return LabelMasks(masks, occurring, len(self.shapes))


def rasterize_coco(segmentation: Any, height: int, width: int) -> np.ndarray:
    """Rasterise the `segmentation` of one annotation to bool (height, width).

    It is a list of polygons, each a list of x and y in turn, in pixels; or one such polygon without
    the list around it, as some programs write it; or run lengths
    `{"size": [height, width], "counts": ...}`, compressed (text) or not (a list).

    Raises:
        Malformed: It is none of these, or has another size.

    Example:
        >>> rasterize_coco([[0, 0, 2, 0, 2, 1, 0, 1]], 2, 3).astype(int).tolist()
        [[1, 1, 0], [0, 0, 0]]
        >>> rasterize_coco({"size": [2, 2], "counts": [1, 3]}, 2, 2).astype(int).tolist()
        [[0, 1], [1, 1]]
    """
    if isinstance(segmentation, dict):
        runs = _run_lengths(segmentation, height, width)
        inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)  # column by column
        return inside.reshape(width, height).T
    if not isinstance(segmentation, list) or not segmentation:
        raise Malformed("has a box only, no outline")
    if not isinstance(segmentation[0], list):
        segmentation = [segmentation]
    for polygon in segmentation:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            raise Malformed("has a polygon without three pairs of coordinates")
        if not all(map(is_coordinate, polygon)):
            raise Malformed("has a point without coordinates in an image")
    runs = coco_mask.frPyObjects(segmentation, height, width)
    return coco_mask.decode(coco_mask.merge(runs)).astype(bool)


def _run_lengths(segmentation: dict[str, Any], height: int, width: int) -> list[int]:
    """Uncompressed run lengths that fill the image, outside and inside in turn."""
    if segmentation.get("size") != [height, width]:
        raise Malformed(f"has run lengths of another size than {height}×{width}")
    runs = segmentation.get("counts")
    if isinstance(runs, str):
        runs = _uncompressed(runs)
    if not isinstance(runs, list) or not all(type(run) is int and run >= 0 for run in runs):
        raise Malformed("has invalid run lengths")
    if sum(runs) != height * width:
        raise Malformed("has run lengths that do not fill the image exactly")
    return runs


def _uncompressed(text: str) -> list[int]:
    """Run lengths from their compressed form (`rleFrString` of pycocotools).

    Each is written in groups of five bits, least first, a sixth saying whether more follow; from
    the fourth on, the difference to the one before last.
    """
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 40:
            raise Malformed("has invalid run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (bits & 16) << (shift - 4)  # the sign
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift:
        raise Malformed("has invalid run lengths")
    return counts


def recognises(tree: Tree) -> bool:
    """Tell whether a tree holds a COCO file."""
    return bool(tree.coco_documents)


def targets(tree: Tree) -> tuple[str, ...]:
    """All categories, sorted."""
    categories = [label for path in tree.coco_documents for label in _parse(path, tree)[0]]
    return tuple(sorted({label_key(label) for label in categories}))


def find(tree: Tree, target: str, normals: bool) -> list[ImageRecord]:
    """The annotated images of all COCO files, then those that are missing."""
    found, missing = [], []
    for path in tree.coco_documents:
        images = _parse(path, tree)[1]
        names = Counter(name for name, _ in images)
        files = Counter(map(_as_path, names))
        is_exact = any(len(file.parts) > 1 and path.parent / file in tree.paths for file in files)
        namesakes = Counter(file.name for file in files)
        for name, reference in images:
            if not reference.shapes:
                continue
            try:
                if names[name] > 1:
                    raise Malformed(f" {names[name]} times: give each image one entry")
                by_name = not is_exact and namesakes[_as_path(name).name] == 1
                image = _image(path, name, by_name, tree)
                found.append(ImageRecord("", image, path, "", "", reference=reference))
            except Malformed as error:
                missing.append(refused(path, f"{path} names image {name!r}{error}"))
    refuse_two_annotations(found)
    return found + missing


def _parse(path: Path, tree: Tree) -> tuple[list[str], list[tuple[str, CocoShapes]]]:
    """The categories of a file, and its images by file name with what is outlined in each."""
    document = tree.coco_documents[path]
    try:
        categories = _by_id(path, document["categories"], "categories", "name")
        listed = _by_id(path, document["images"], "images", "file_name")
        entries = document["annotations"]
        _refuse_unresolved(path, entries, {"image_id": listed, "category_id": categories})
        named = [{**entry, "of": listed[_key(entry["image_id"])]["file_name"]} for entry in entries]
        _by_id(path, [entry for entry in named if entry.get("id") is not None], "annotations", "of")
        shapes = defaultdict(list)
        for entry in entries:
            label = str(categories[_key(entry["category_id"])]["name"])
            shapes[_key(entry["image_id"])].append((label, entry.get("segmentation")))
        images = []
        for key, entry in listed.items():
            size = (int(entry["height"]), int(entry["width"]))
            reference = CocoShapes(path, size, tuple(shapes.get(key, ())))
            images.append((str(entry["file_name"]), reference))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise StudyError(f"{path} is not a valid COCO file ({reason}): export it again") from None
    return [str(entry["name"]) for entry in categories.values()], images


def _key(number: Any) -> str:
    """An id in the form in which ids are compared: 1 and "1" are the same."""
    if isinstance(number, bool) or not isinstance(number, (int, float, str)):
        raise TypeError(f"{number!r} is no id")
    is_whole = isinstance(number, float) and number.is_integer()
    return str(int(number) if is_whole else number).strip()


def _by_id(path: Path, entries: list[Any], kind: str, name: str) -> dict[str, dict[str, Any]]:
    """Entries of a list by their id, which two must not share; `name` says which they are."""
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        other = found.setdefault(_key(entry["id"]), entry)
        if other is not entry:
            both = f"{other[name]} and {entry[name]}"
            what = f"two {kind} have the id {entry['id']!r} ({both})"
            raise StudyError(f"{path}: {what}: give each an id of its own, or export it again")
    return found


def _refuse_unresolved(path: Path, annotations: list[Any], listed: dict[str, Any]) -> None:
    """Refuse annotations of images and categories that are not `listed`."""
    lost = []
    for entry in annotations:
        unknown = [f for f, known in listed.items() if _key(entry[f]) not in known]
        if unknown:
            ids = " and ".join(f"{field} {entry[field]!r}" for field in unknown)
            lost.append(f"annotation {entry.get('id')!r} has {ids}")
    if lost:
        some = ", ".join(lost[:_MAX_NAMED]) + (", …" if len(lost) > _MAX_NAMED else "")
        what = f"{len(lost)} annotation(s) of an image or category that is not listed ({some})"
        raise StudyError(f"{path} has {what}: remove them, or export it again")


def _as_path(name: str) -> Path:
    return Path(PureWindowsPath(name).as_posix())


def _image(path: Path, name: str, by_name: bool, tree: Tree) -> Path:
    """The image where the file says, else the only one below the folders that the file names.

    With `by_name`, those folders do not matter.
    """
    written = _as_path(name)
    named = Path(os.path.normpath(path.parent / written))
    candidates = tree.images_by_name.get(written.name, [])
    fitting = [c for c in candidates if c.parts[-len(written.parts) :] == written.parts]
    if named in candidates:
        return named
    if len(fitting) == 1:
        return fitting[0]
    if len(candidates) > 1:
        which = f"{len(candidates)} files have this name ({candidates[0]} and {candidates[1]})"
        raise Malformed(f", but {which}: write its folder too")
    if candidates and by_name:
        return candidates[0]
    raise Malformed(", which is not there: add it")
