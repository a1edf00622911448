"""What lies in a data folder: its files, listed once, and what kind each JSON file is of."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from pneumo_keras.dataset.films import FILM_SUFFIXES, is_film
from pneumo_keras.dataset.shapes import is_plain
from pneumo_keras.errors import StudyError

_MASK_COLUMNS = {"name", "mask", "stamp"}  # by these the index.csv of masks is known
_SKIPPED = ("__MACOSX",)  # copies of attributes that macOS puts into archives


class Tree:
    """The files below a data folder.

    Hidden files and folders and folders of masks written by `write_masks` are left out, and each
    real folder is listed once, however links run.

    Attributes:
        root: The data folder.
        files: All files, sorted.
        allow_outside: Whether a film may lie elsewhere, where its annotation says so.

    Raises:
        StudyError: There is no such folder, or a file in it has a name that is not UTF-8.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> (root / "images").mkdir()
        >>> (root / "images" / "a.png").touch()
        >>> tree = Tree(root)
        >>> [path.name for path in tree.films], tree.folders_with("images") == [root]
        (['a.png'], True)
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
    def films(self) -> list[Path]:
        """All files with the suffix of a film, and DICOM without one; masks are among them."""
        return [path for path in self.files if is_film(path)]

    @cached_property
    def films_by_name(self) -> dict[str, list[Path]]:
        """The same by file name."""
        by_name = defaultdict(list)
        for path in self.films:
            by_name[path.name].append(path)
        return by_name

    @cached_property
    def films_by_folder(self) -> dict[Path, list[Path]]:
        """The same by the folder they lie in."""
        by_folder = defaultdict(list)
        for path in self.films:
            by_folder[path.parent].append(path)
        return by_folder

    @cached_property
    def folders(self) -> list[Path]:
        """All folders that hold a file, directly or further down, the root among them."""
        found = {self.root}
        for path in self.files:
            for parent in path.parents:
                if parent in found:
                    break
                found.add(parent)
        return sorted(found)

    @cached_property
    def _there(self) -> set[Path]:
        return {*self.files, *self.folders}

    def folders_with(self, *names: str) -> list[Path]:
        """The folders that hold a file or folder of each of these names."""
        return [
            folder for folder in self.folders if all(folder / name in self._there for name in names)
        ]

    def holds(self, path: Path) -> bool:
        """Whether a file lies below the data folder, written without a detour."""
        return path in self._there and path.is_file()

    def below(self, folder: Path) -> list[Path]:
        """The films in a folder and its sub-folders."""
        return [
            path
            for parent, films in self.films_by_folder.items()
            if parent.is_relative_to(folder)
            for path in films
        ]

    @cached_property
    def json_kinds(self) -> dict[Path, str]:
        """Of each JSON file: `labelme`, `coco`, or empty for any other."""
        return {path: _kind(path) for path in self.files if path.suffix.lower() == ".json"}

    def json_files(self, kind: str) -> list[Path]:
        """The JSON files of a kind."""
        return [path for path, is_of in self.json_kinds.items() if is_of == kind]


def relative_path(path: Path, data: Path) -> Path:
    """A path as seen from the data folder; unchanged where there is no way, on another drive."""
    try:
        return Path(os.path.relpath(path, data))
    except ValueError:
        return path


def is_mask_folder(folder: Path) -> bool:
    """Whether `write_masks` wrote this folder."""
    try:
        with open(folder / "index.csv", encoding="utf-8") as file:
            return set(file.readline().rstrip().split(",")) >= _MASK_COLUMNS
    except (OSError, ValueError):
        return False


def files_below(folder: Path) -> Iterator[Path]:
    """The files below a folder, but for hidden ones and those of masks written by `write_masks`.

    Each real folder is visited once, however links run.
    """
    visited = set()
    for current, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(current)
        if real in visited or is_mask_folder(Path(current)):
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and name not in _SKIPPED
        )
        yield from (Path(current, name) for name in files if not name.startswith("."))


def _kind(path: Path) -> str:
    """The kind that a JSON file is of, or was before it was damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return "labelme"  # reading it again tells what is wrong
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return "labelme" if b'"shapes"' in content or _has_film_beside(path) else ""
    if not isinstance(document, dict):
        return "labelme" if _has_film_beside(path) else ""
    if "shapes" in document:
        return "labelme"
    return "coco" if {"images", "annotations", "categories"} <= document.keys() else ""


def _has_film_beside(path: Path) -> bool:
    return any(path.with_suffix(suffix).is_file() for suffix in FILM_SUFFIXES)
