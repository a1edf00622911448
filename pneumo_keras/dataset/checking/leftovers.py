"""Files of the data folder that take no part: films without annotation, masks without film."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from pneumo_keras.dataset.checking.findings import Finding
from pneumo_keras.dataset.films import FILM_SUFFIXES
from pneumo_keras.dataset.sources import Film, files_below, relative_path


def find_leftovers(films: Sequence[Film], data: Path) -> list[Finding]:
    """Pictures in the data folder that are neither film nor annotation of any record.

    Beside annotated films, each is a film without annotation; beside masks, a mask without film.
    A folder in which nothing takes part is named once, with how many pictures it holds.

    Args:
        films: As `find_films` found them.
        data: The data folder.

    Example:
        >>> import tempfile
        >>> data = Path(tempfile.mkdtemp())
        >>> for name in ("a.png", "b.png"):
        ...     (data / name).touch()
        >>> film = Film("a", data / "a.png", data / "a.json", "1", "virus")
        >>> [finding.message for finding in find_leftovers([film], data)]
        ['b.png has no annotation and takes no part']
    """
    taken = {path.resolve() for film in films for path in _files_of(film)}
    with_films = {film.film.parent.resolve() for film in films if not film.problem}
    with_masks = {
        path.parent.resolve()
        for film in films
        for path in _files_of(film)
        if path != film.film and _is_picture(path)
    }
    findings, idle = [], defaultdict(int)
    for path in sorted(files_below(data)):
        if not _is_picture(path) or path.resolve() in taken:
            continue
        name = relative_path(path, data).as_posix()
        if path.parent.resolve() in with_films:
            message = f"{name} has no annotation and takes no part"
            findings.append(Finding("no annotation", (name,), message))
        elif path.parent.resolve() in with_masks:
            message = f"{name} is the mask of no film that is there"
            findings.append(Finding("no film", (name,), message))
        else:
            idle[relative_path(path.parent, data).as_posix()] += 1
    for folder, count in idle.items():
        pictures = f"{count} picture{'s' if count > 1 else ''}"
        message = f"{folder}: {pictures}, none of them annotated, take no part"
        findings.append(Finding("no annotation", (folder,), message))
    return findings


def _files_of(film: Film) -> tuple[Path, ...]:
    """The film, and what says where the target is on it."""
    truth = film.truth.files if film.truth else ()
    return (film.film, film.annotation, *truth)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in FILM_SUFFIXES
