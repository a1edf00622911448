"""Which source a data folder is of, and its films."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pneumo_keras.dataset.labelme import label_key
from pneumo_keras.dataset.patients import patient_from_name
from pneumo_keras.dataset.sources import (
    coco,
    covid_qu_ex,
    covid_radiography,
    folders,
    general_blockchain,
    kermany_lungs,
    labelme,
    montgomery_shenzhen,
    qata,
)
from pneumo_keras.dataset.sources.record import Film, Source, complete
from pneumo_keras.dataset.sources.tree import Tree
from pneumo_keras.errors import StudyError

AUTO = "auto"
SOURCES = {
    module.SOURCE.name: module.SOURCE
    for module in (
        labelme,
        kermany_lungs,
        general_blockchain,
        qata,
        covid_qu_ex,
        covid_radiography,
        montgomery_shenzhen,
        coco,
        folders,
    )
}


def find_films(
    data: str | Path,
    source: str = AUTO,
    target: str | None = None,
    normals: bool = False,
    allow_outside: bool = False,
) -> list[Film]:
    """Finds the films of a data folder and the truth about each.

    What is wrong with a single film is kept in its `problem`.

    Args:
        data: The folder.
        source: A key of `SOURCES`, or `auto` to recognise it by the files there.
        target: What is to be segmented; None for the first that the source offers.
        normals: Whether films of class normal without annotation count as empty ones.
        allow_outside: Whether a film may lie outside the folder, where its annotation says so.

    Returns:
        The films, in an order that depends on nothing but their paths.

    Raises:
        StudyError: There is no such folder, no source or several are recognised in it, the source
            does not offer the target or knows no normal films, or a file of the source is damaged.

    Example:
        >>> import tempfile
        >>> from pneumo_keras.dataset.labelme import write_annotation
        >>> data = Path(tempfile.mkdtemp())
        >>> _ = (data / "person17_virus_3.png").touch()
        >>> write_annotation(data / "a.json", "person17_virus_3.png", [], height=9, width=9)
        >>> films = find_films(data)
        >>> [(film.name, film.patient, film.group) for film in films]
        [('person17_virus_3', 'virus:17', 'virus')]
        >>> print(recognition_line(films))
        recognised as labelme: 1 film, licence not stated
    """
    tree = Tree(data, allow_outside)
    chosen = recognise(tree) if source == AUTO else _named(source, tree)
    target = _offered(chosen, tree, target)
    if normals and not chosen.normals:
        raise StudyError(
            f"{tree.root}: {chosen.name} has no normal films without annotation: "
            "leave --normals out"
        )
    if normals and target == "lung":
        raise StudyError("normal films show lungs, and are no empty masks of them: drop --normals")
    films = complete(chosen.find(tree, target, normals), tree, chosen)
    if not films:
        raise StudyError(f"{tree.root} holds no film for {chosen.name} with {target} outlined")
    return films


def recognition_line(films: Sequence[Film]) -> str:
    """What was recognised, in a line to print: source, how many films, licence."""
    source = SOURCES[films[0].source]
    usable = sum(not film.problem for film in films)
    count = f"{usable} film{'' if usable == 1 else 's'}"
    bad = len(films) - usable
    count += f" and {bad} that cannot be used" if bad else ""
    licences = Counter(film.licence or "not stated" for film in films if not film.problem)
    if set(licences) <= {"not stated"}:
        licence = f"licence not stated{f' (see {source.page})' if source.page else ''}"
    elif len(licences) == 1:
        licence = f"licence {next(iter(licences))}"
    else:
        parts = (f"{name} ({number})" for name, number in licences.most_common())
        licence = f"licences {', '.join(parts)}"
    return f"recognised as {source.name}: {count}, {licence}"


def recognise(tree: Tree) -> Source:
    """The one source whose layout a folder has.

    A source that another one covers gives way to it.

    Raises:
        StudyError: No layout is recognised, or several are.
    """
    found = [source for source in SOURCES.values() if source.recognises(tree)]
    covered = {name for source in found for name in source.covers}
    found = [source for source in found if source.name not in covered]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(source.name for source in found)
        raise StudyError(
            f"{tree.root} holds more than one source ({names}): choose one with --source NAME"
        )
    raise StudyError(_nothing_recognised(tree))


def _nothing_recognised(tree: Tree) -> str:
    kermany = kermany_films(tree)
    films = len(kermany) or len(tree.films)
    what = f"{films} film{'' if films == 1 else 's'}{' of the Kermany set' if kermany else ''}"
    return (
        f"{tree.root} holds {what}, but no annotation and none of the known layouts: annotate its "
        "films with: python -m pneumo_keras annotate DIR, or name the layout with --source NAME "
        f"({', '.join(SOURCES)}; see data/SOURCES.md)"
    )


def kermany_films(tree: Tree) -> list[Path]:
    """The films below a folder that are named as in the Kermany release.

    Raises:
        StudyError: There is no such folder.
    """
    return [path for path in tree.films if patient_from_name(path.stem)[0]]


def _named(source: str, tree: Tree) -> Source:
    if source not in SOURCES:
        raise StudyError(f"no source {source!r}: choose {AUTO} or one of {', '.join(SOURCES)}")
    chosen = SOURCES[source]
    if not chosen.recognises(tree):
        raise StudyError(f"{tree.root} is not laid out as {source}, which has {chosen.layout}")
    return chosen


def _offered(source: Source, tree: Tree, target: str | None) -> str:
    """The target as the source names it."""
    offered = source.targets(tree)
    if target is None:
        return offered[0] if offered else "pneumonia"
    target = label_key(target)
    if offered and target not in offered:
        raise StudyError(
            f"{tree.root}: {source.name} outlines {', '.join(offered)}, not {target}: "
            "choose with --target"
        )
    return target
