"""The films of a data folder: which there are, where, of which patient and which group."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath

from pneumo_keras.dataset.films import FILM_SUFFIXES
from pneumo_keras.dataset.labelme import Annotation, read_annotation
from pneumo_keras.dataset.patients import patient_from_name, read_index
from pneumo_keras.dataset.shapes import is_plain
from pneumo_keras.errors import StudyError

_MASK_COLUMNS = {"name", "mask", "stamp"}  # by these the index.csv of masks is known


@dataclass(frozen=True)
class Film:
    """One annotated film.

    Attributes:
        name: Unique among the films found; the name of its mask.
        film: The film; the annotation itself where the film is only embedded in it.
        annotation: The LabelMe file.
        patient: Films of one patient share it.
        group: `bacteria`, `virus`, `normal`, or what index.csv says, or `unknown`.
        problem: Why the annotation cannot be read or the film not be found; empty if all is well.
    """

    name: str
    film: Path
    annotation: Path
    patient: str
    group: str
    problem: str = ""


def find_films(data: str | Path) -> list[Film]:
    """Finds every LabelMe annotation below a folder, and the film of each.

    JSON files of other kinds, hidden files and folders, and folders of masks written by
    `write_masks` are left alone. What is wrong with a single film is kept in its `problem`.

    Args:
        data: The folder of films and annotations, in any arrangement.

    Returns:
        The films, sorted by the path of their annotations.

    Raises:
        StudyError: There is no such folder, no annotation in it, or two for one film.

    Example:
        >>> import tempfile
        >>> from pneumo_keras.dataset.labelme import write_annotation
        >>> data = Path(tempfile.mkdtemp())
        >>> _ = (data / "person17_virus_3.png").touch()
        >>> write_annotation(data / "a.json", "person17_virus_3.png", [], height=9, width=9)
        >>> [(film.name, film.patient, film.group) for film in find_films(data)]
        [('person17_virus_3', 'virus:17', 'virus')]
    """
    data = Path(data)
    if not data.is_dir():
        raise StudyError(f"{data} is not a folder: check the path")
    files = sorted(files_below(data))
    _refuse_unprintable(files)
    by_name = _films_by_name(files)
    listed = read_index(data / "index.csv")
    films = []
    for path in files:
        if path.suffix.lower() == ".json" and _is_labelme(path):
            found, problem = _film_or_problem(path, data, by_name)
            films.append(Film("", found, path, "", "", problem))
    if not films:
        raise StudyError(
            f"{data} holds no LabelMe annotation: "
            "annotate its films with: python -m pneumo_keras annotate DIR"
        )
    _refuse_two_annotations(films)
    names = _unique_names([relative_path(film.film, data) for film in films])
    return [_complete(film, name, data, listed) for film, name in zip(films, names)]


def film_of(
    annotation: Annotation, data: str | Path, by_name: Mapping[str, list[Path]] | None = None
) -> Path:
    """Finds the film that an annotation belongs to.

    It is looked for where `imagePath` says, seen from the annotation; then beside the annotation
    by its file name, by its stem, by the stem of the annotation; then anywhere in the data folder
    by its file name, provided there is just one of that name.

    Args:
        annotation: As read.
        data: The data folder, which the film must lie in.
        by_name: The films below `data` by file name, where the caller knows them already.

    Returns:
        The film; the annotation itself where the film is only embedded in it.

    Raises:
        StudyError: The film is not there, or lies outside the data folder.
    """
    data = Path(data)
    folder = annotation.path.parent
    written = Path(PureWindowsPath(annotation.film).as_posix())
    named = Path(os.path.normpath(folder / written))
    if os.path.isfile(named) and _inside(named, data):
        return named
    if os.path.isfile(folder / written.name):
        return folder / written.name
    for stem in (written.stem, annotation.path.stem):
        beside = _films_beside(folder, stem)
        if len(beside) == 1:
            return beside[0]
    if by_name is None:
        by_name = _films_by_name(files_below(data))
    elsewhere = by_name.get(written.name, [])
    if len(elsewhere) == 1:
        return elsewhere[0]
    if annotation.embedded:
        return annotation.path
    if os.path.isfile(named):
        reason = f"which lies outside {data}"
    elif elsewhere:
        reason = f"which is not there, while {len(elsewhere)} files of that name lie elsewhere"
    else:
        reason = "which is not there"
    raise StudyError(
        f"{annotation.path} names film {annotation.film!r}, {reason}: "
        "copy the film beside the annotation"
    )


def relative_path(path: Path, data: Path) -> Path:
    """A path as seen from the data folder; unchanged where there is no way, on another drive."""
    try:
        return Path(os.path.relpath(path, data))
    except ValueError:
        return path


def files_below(folder: Path) -> Iterator[Path]:
    """The files below a folder, each real folder visited once, however links run."""
    visited = set()
    for current, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(current)
        if real in visited or is_mask_folder(Path(current)):
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(current, name) for name in files if not name.startswith("."))


def is_mask_folder(folder: Path) -> bool:
    """Whether `write_masks` wrote this folder."""
    try:
        with open(folder / "index.csv", encoding="utf-8") as file:
            return set(file.readline().rstrip().split(",")) >= _MASK_COLUMNS
    except (OSError, ValueError):
        return False


def _films_beside(folder: Path, stem: str) -> list[Path]:
    for change_case in (str.lower, str.upper):
        paths = [folder / (stem + change_case(suffix)) for suffix in FILM_SUFFIXES]
        found = [path for path in paths if os.path.isfile(path)]
        if found:
            return found
    return []


def _films_by_name(files: Iterator[Path] | list[Path]) -> dict[str, list[Path]]:
    by_name = defaultdict(list)
    for path in files:
        if path.suffix.lower() in FILM_SUFFIXES:
            by_name[path.name].append(path)
    return by_name


def _is_labelme(path: Path) -> bool:
    """Whether a JSON file is, or was before it was damaged, a LabelMe annotation."""
    try:
        content = path.read_bytes()
    except OSError:
        return True  # reading it again tells what is wrong
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        beside = (path.with_suffix(suffix) for suffix in FILM_SUFFIXES)
        return b'"shapes"' in content or any(film.is_file() for film in beside)
    return isinstance(document, dict) and "shapes" in document


def _film_or_problem(path: Path, data: Path, by_name: dict[str, list[Path]]) -> tuple[Path, str]:
    try:
        return film_of(read_annotation(path), data, by_name), ""
    except StudyError as error:
        return path, str(error)


def _inside(path: Path, data: Path) -> bool:
    """Whether a file lies in the data folder, as written or once links are followed."""
    as_written = Path(os.path.abspath(path)).is_relative_to(os.path.abspath(data))
    return as_written or path.resolve().is_relative_to(data.resolve())


def _refuse_unprintable(files: list[Path]) -> None:
    for path in files:
        if not is_plain(str(path)):
            raise StudyError(f"{str(path)!a} has a name that is not UTF-8: rename it")


def _refuse_two_annotations(films: list[Film]) -> None:
    first: dict[str, Path] = {}
    for film in films:
        earlier = first.setdefault(os.path.realpath(film.film), film.annotation)
        if earlier is not film.annotation:
            raise StudyError(
                f"{earlier} and {film.annotation} both annotate {film.film}: remove one of them"
            )


def _unique_names(films: list[Path]) -> list[str]:
    """The stem of each film, or as much of its path as tells it from the others."""
    forms = [
        [film.stem, "__".join(film.with_suffix("").parts), "__".join(film.parts).replace(".", "_")]
        for film in films
    ]
    names = [form[0] for form in forms]
    for step in (1, 2):
        count = Counter(name.casefold() for name in names)  # some file systems ignore case
        names = [
            form[step] if count[name.casefold()] > 1 else name for name, form in zip(names, forms)
        ]
    return names


def _complete(film: Film, name: str, data: Path, listed: Mapping[str, tuple[str, str]]) -> Film:
    """Adds name, patient and group; a film of nobody known is its own patient."""
    paths = [relative_path(path, data) for path in (film.annotation, film.film)]
    keys = [path.as_posix() for path in paths] + [path.name for path in paths]
    patient, group = next((listed[key] for key in keys if key in listed), ("", ""))
    named_patient, named_group = patient_from_name(film.film.stem)
    return replace(
        film,
        name=name,
        patient=patient or named_patient or name,
        group=group or named_group or "unknown",
    )
