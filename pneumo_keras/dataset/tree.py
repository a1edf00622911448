"""The files of a data folder, listed once, and what its index.csv says of them."""

import filecmp
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pneumo_keras.dataset.images import is_image_file
from pneumo_keras.dataset.patients import Listed, Listing
from pneumo_keras.dataset.shapes import is_plain
from pneumo_keras.errors import StudyError

_MASK_COLUMNS = {"name", "mask", "stamp"}  # by these the index.csv of masks is recognised
_SKIPPED = ("__MACOSX",)  # copies of attributes that macOS puts into archives
_COCO_KEYS = {"images", "annotations", "categories"}


class Tree:
    """The files below a data folder.

    Args:
        root: The data folder.
        allow_outside: Whether an image may lie elsewhere, if its annotation says so.

    Raises:
        StudyError: There is no such folder, one in it cannot be read, or a file in it has a name
            that is not UTF-8.
    """

    def __init__(self, root: str | Path, allow_outside: bool = False):
        self.root = Path(root)
        self.allow_outside = allow_outside
        if not self.root.is_dir():
            raise StudyError(f"{self.root} is not a folder: check the path")
        self.files = sorted(files_below(self.root))
        for path in self.files:
            if not is_plain(str(path)):
                raise StudyError(f"{str(path)!a} has a name that is not UTF-8: rename it")

    @cached_property
    def images(self) -> list[Path]:
        """All image files, masks among them."""
        return [path for path in self.files if is_image_file(path)]

    @cached_property
    def images_by_name(self) -> dict[str, list[Path]]:
        """Image files by file name."""
        by_name = defaultdict(list)
        for path in self.images:
            by_name[path.name].append(path)
        return by_name

    @cached_property
    def images_by_folder(self) -> dict[Path, list[Path]]:
        """Image files by the folder in which they lie."""
        by_folder = defaultdict(list)
        for path in self.images:
            by_folder[path.parent].append(path)
        return by_folder

    def images_below(self, folder: Path) -> list[Path]:
        """Image files in a folder and its sub-folders."""
        within = (f for f in self.images_by_folder if f.is_relative_to(folder))
        return [path for f in within for path in self.images_by_folder[f]]

    @cached_property
    def paths(self) -> set[Path]:
        """All files, and the folders that hold a file, directly or further down."""
        parents = {path.parent for path in self.files}
        folders = {self.root}.union(parents, *(folder.parents for folder in parents))
        return folders.difference(self.root.parents).union(self.files)

    def folders_with(self, *names: str) -> list[Path]:
        """Folders that hold a file or folder of each of these names, sorted."""
        folders = {path.parent for path in self.paths} & self.paths
        return sorted(f for f in folders if all(f / name in self.paths for name in names))

    @cached_property
    def json_files(self) -> list[Path]:
        """All JSON files, of whatever kind."""
        return [path for path in self.files if path.suffix.lower() == ".json"]

    @cached_property
    def coco_documents(self) -> dict[Path, dict[str, Any]]:
        """The parsed COCO files; of other JSON files, few are parsed."""
        documents = {}
        for path in self.json_files:
            try:
                content = path.read_bytes()
                named = all(f'"{key}"'.encode() in content for key in _COCO_KEYS)
                document = json.loads(content.decode("utf-8-sig")) if named else None
            except (OSError, ValueError, RecursionError):
                continue
            is_coco = isinstance(document, dict) and _COCO_KEYS <= document.keys()
            if is_coco and "shapes" not in document:
                documents[path] = document
        return documents

    def listed(self, images: Sequence[Sequence[Path]]) -> list[Listed]:
        """What index.csv says of each image, which it may list by any of the paths given."""
        return [entry or Listed() for entry in self.match_index(images)[0]]

    def match_index(
        self, images: Sequence[Sequence[Path]]
    ) -> tuple[list[Listed | None], list[str]]:
        """The same with None for images that are not listed; and the rows that fit no image."""
        if not self.index:
            return [None] * len(images), []
        return self.index.match([[relative_path(p, self.root) for p in paths] for paths in images])

    @cached_property
    def index(self) -> Listing | None:
        """The rows of index.csv; None if there is no such file."""
        path = self.root / "index.csv"
        files = [relative_path(file, self.root) for file in self.files]
        return Listing(path, files) if path.is_file() else None


def relative_path(path: Path, data: Path) -> Path:
    """A path relative to the data folder, or unchanged if it lies on another drive."""
    try:
        return Path(os.path.relpath(path, data))
    except ValueError:
        return path


def is_mask_folder(folder: Path) -> bool:
    """Tell whether `write_masks` wrote this folder."""
    try:
        with open(folder / "index.csv", encoding="utf-8") as file:
            return set(file.readline().rstrip().split(",")) >= _MASK_COLUMNS
    except (OSError, ValueError):
        return False


def files_below(folder: Path) -> Iterator[Path]:
    """Files below a folder, without hidden ones and those in folders written by `write_masks`.

    Each real folder is visited once, wherever links lead.

    Raises:
        StudyError: A folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        way_out = "allow reading it, or move it elsewhere"
        raise StudyError(f"{error.filename} cannot be read ({error.strerror}): {way_out}")

    visited = set()
    for current, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        real = os.path.realpath(current)
        if real in visited or is_mask_folder(Path(current)):
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in _SKIPPED)
        for path in (Path(current, name) for name in files if not name.startswith(".")):
            if not path.suffix and path.is_symlink() and not path.exists():  # a disk taken out
                raise StudyError(f"{path} is a link to {os.readlink(path)}, not there: remove it")
            yield path


def without_copies(paths: Iterable[Path]) -> list[Path]:
    """Files of one name without copies of the one that lies highest, as in a nested release."""
    kept: list[Path] = []
    for path in sorted(paths, key=lambda path: (len(path.parts), path)):
        if not any(filecmp.cmp(path, other, shallow=False) for other in kept):
            kept.append(path)
    return kept
