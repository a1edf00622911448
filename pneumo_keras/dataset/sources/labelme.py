"""LabelMe annotations in any arrangement, beside their films or in folders of their own.

The Kermany release annotated by its user is such a folder, whichever way it was unpacked: nested
twice, or in the Mendeley form without `val`. Only annotated films take part, and on request the
normal ones as empty masks.
"""

from __future__ import annotations

import filecmp
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PureWindowsPath

from pneumo_keras.dataset.films import FILM_SUFFIXES
from pneumo_keras.dataset.labelme import Annotation, read_annotation
from pneumo_keras.dataset.patients import patient_from_name, read_index
from pneumo_keras.dataset.sources.record import NORMAL, Film, Source, listed_for, part_of
from pneumo_keras.dataset.sources.tree import Tree
from pneumo_keras.dataset.truths import LabelMeFile, Nothing
from pneumo_keras.errors import StudyError

_KERMANY_CLASSES = {"normal", "pneumonia"}
_NO_FILMS = ("mask", "lung", "ground-truth", "label")  # folders named so hold no films


def film_of(
    annotation: Annotation,
    data: str | Path,
    tree: Tree | None = None,
    allow_outside: bool = False,
) -> Path:
    """Finds the film that an annotation belongs to.

    It is looked for where `imagePath` says, seen from the annotation; then beside the annotation
    by its file name, by its stem, by the stem of the annotation; then anywhere in the data folder
    by its file name, provided that all files of that name are copies of one.

    Args:
        annotation: As read.
        data: The data folder, which the film must lie in.
        tree: What lies below `data`, where the caller knows it already.
        allow_outside: Whether it may lie elsewhere, where `imagePath` says so.

    Returns:
        The film; the annotation itself where the film is only embedded in it.

    Raises:
        StudyError: The film is not there, or lies outside the data folder.
    """
    data = Path(data)
    folder = annotation.path.parent
    written = Path(PureWindowsPath(annotation.film).as_posix())
    named = Path(os.path.normpath(folder / written))
    if os.path.isfile(named) and (allow_outside or _inside(named, data)):
        return named
    if os.path.isfile(folder / written.name):
        return folder / written.name
    for stem in (written.stem, annotation.path.stem):
        beside = _films_beside(folder, stem)
        if len(beside) == 1:
            return beside[0]
    elsewhere = _without_copies((tree or Tree(data)).films_by_name.get(written.name, []))
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
    allow = ", or add --allow-outside" if os.path.isfile(named) else ""
    raise StudyError(
        f"{annotation.path} names film {annotation.film!r}, {reason}: "
        f"copy the film beside the annotation{allow}"
    )


def _find(tree: Tree, target: str, normals: bool) -> list[Film]:
    films = [_film(path, tree) for path in tree.json_files("labelme")]
    _refuse_two_annotations(films)
    return films + (_normal_films(films, tree) if normals else [])


def _film(path: Path, tree: Tree) -> Film:
    try:
        film = film_of(read_annotation(path), tree.root, tree, tree.allow_outside)
    except StudyError as error:
        return Film("", path, path, "", "", str(error))
    truth = LabelMeFile(path)
    return Film("", film, path, "", "", truth=truth, part=_official_part(film, tree.root))


def _normal_films(annotated: Iterable[Film], tree: Tree) -> list[Film]:
    """The films of class normal that have no annotation, nor are copies of one that has."""
    listed = read_index(tree.root / "index.csv")
    taken = {film.film.name for film in annotated}
    by_name: Mapping[str, list[Path]] = tree.films_by_name
    films = []
    for name in sorted(by_name.keys() - taken):
        for path in _without_copies(by_name[name]):
            film = Film("", path, path, "", NORMAL, truth=Nothing())
            if _is_normal(path, listed_for(film, tree, listed).group, tree.root):
                films.append(replace(film, part=_official_part(path, tree.root)))
    return films


def _is_normal(path: Path, listed_group: str, root: Path) -> bool:
    folders = [name.lower() for name in path.relative_to(root).parts[:-1]]
    if any(word in folder for folder in folders for word in _NO_FILMS):
        return False
    group = listed_group or patient_from_name(path.stem)[1] or (folders[-1] if folders else "")
    return group.lower() == NORMAL


def _official_part(film: Path, root: Path) -> str:
    """By the folders of the Kermany release.

    The 16 films of its `val` are too few to choose an epoch by, and so count as training films.
    """
    if film.parent.name.lower() not in _KERMANY_CLASSES:
        return ""
    part = part_of(film, root)
    return "train" if part == "validation" else part


def _without_copies(paths: Iterable[Path]) -> list[Path]:
    """Files of one name without the copies of the one that lies highest, as in a nested release."""
    kept: list[Path] = []
    for path in sorted(paths, key=lambda path: (len(path.parts), path)):
        if not any(filecmp.cmp(path, other, shallow=False) for other in kept):
            kept.append(path)
    return kept


def _films_beside(folder: Path, stem: str) -> list[Path]:
    for change_case in (str.lower, str.upper):
        paths = [folder / (stem + change_case(suffix)) for suffix in FILM_SUFFIXES]
        found = [path for path in paths if os.path.isfile(path)]
        if found:
            return found
    return []


def _inside(path: Path, data: Path) -> bool:
    """Whether a file lies in the data folder, as written or once links are followed."""
    as_written = Path(os.path.abspath(path)).is_relative_to(os.path.abspath(data))
    return as_written or path.resolve().is_relative_to(data.resolve())


def _refuse_two_annotations(films: Iterable[Film]) -> None:
    first: dict[str, Path] = {}
    for film in films:
        earlier = first.setdefault(os.path.realpath(film.film), film.annotation)
        if earlier is not film.annotation:
            raise StudyError(
                f"{earlier} and {film.annotation} both annotate {film.film}: remove one of them"
            )


SOURCE = Source(
    name="labelme",
    layout="LabelMe JSON files, beside the films or elsewhere",
    recognises=lambda tree: bool(tree.json_files("labelme")),
    targets=lambda tree: (),
    find=_find,
    covers=("folders",),
    normals=True,
)
