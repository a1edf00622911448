"""The record of a film, what makes a source, and what the adapters of all sources share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pneumo_keras.dataset.patients import Listed, patient_from_name, read_index
from pneumo_keras.dataset.sources.tree import Tree, relative_path
from pneumo_keras.dataset.truths import MaskFiles, Truth

# Folders by which releases say which part of their own split a film belongs to.
PARTS = {
    "train": "train",
    "train set": "train",
    "val": "validation",
    "test": "test",
    "test set": "test",
}
NORMAL = "normal"


@dataclass(frozen=True)
class Film:
    """One film and the truth about it.

    Attributes:
        name: Unique among the films found; the name of its mask.
        film: The film; the annotation itself where the film is only embedded in it.
        annotation: The file that the truth is read from, the first where there are several; the
            film itself where it is known to show nothing of the target.
        patient: Films of one patient share it.
        group: `bacteria`, `virus`, `normal`, or what index.csv says, or `unknown`.
        problem: Why the film cannot be used; empty if all is well.
        truth: What is outlined on the film; None where there is a problem.
        licence: Of film and annotation, as the source states it; empty where it does not.
        part: `train`, `validation` or `test` by the source's own split; empty where it has none.
        source: The name of the adapter that found the film.
    """

    name: str
    film: Path
    annotation: Path
    patient: str
    group: str
    problem: str = ""
    truth: Truth | None = None
    licence: str = ""
    part: str = ""
    source: str = ""

    @property
    def embedded(self) -> bool:
        """Whether the film exists only inside its LabelMe annotation."""
        return self.film == self.annotation and self.film.suffix.lower() == ".json"


@dataclass(frozen=True)
class Source:
    """An adapter: how one layout of films and truths is recognised and read.

    Attributes:
        name: As `--source` takes it.
        layout: The files by which it is known, in a few words.
        recognises: Whether a tree has this layout.
        targets: The targets it offers in a tree; empty where any label may be asked for.
        find: The films of a tree for a target, which is among those offered; True adds normal
            films without annotation as empty ones. Names, patients and groups that it leaves
            empty are filled in by `complete`.
        covers: Sources whose layout is part of this one, so that recognising both is no conflict.
        normals: Whether `find` can add normal films.
        licence: Of the whole source; empty where films have their own or it is not known.
        page: Where a person reads about the source and its licence; empty where there is none.
    """

    name: str
    layout: str
    recognises: Callable[[Tree], bool]
    targets: Callable[[Tree], tuple[str, ...]]
    find: Callable[[Tree, str, bool], list[Film]]
    covers: tuple[str, ...] = ()
    normals: bool = False
    licence: str = ""
    page: str = ""


def complete(films: Sequence[Film], tree: Tree, source: Source) -> list[Film]:
    """Adds names, patients, groups and licences where the adapter left them empty.

    They come from index.csv in the data folder, then from the file name by the rules of
    `patients`; a film of nobody known is its own patient.
    """
    listed = read_index(tree.root / "index.csv")
    names = unique_names([relative_path(film.film, tree.root) for film in films])
    return [_complete(film, name, tree, listed, source) for film, name in zip(films, names)]


def unique_names(films: Sequence[Path]) -> list[str]:
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


def listed_for(film: Film, tree: Tree, listed: Mapping[str, Listed]) -> Listed:
    """What index.csv says of a film, by the path or the name of its film or its annotation."""
    if not listed:
        return Listed()
    paths = [relative_path(path, tree.root) for path in (film.annotation, film.film)]
    keys = [path.as_posix() for path in paths] + [path.name for path in paths]
    return next((listed[key] for key in keys if key in listed), Listed())


def masked(
    film: Path,
    masks: Mapping[str, Sequence[Path]],
    target: str,
    *,
    resize: bool = False,
    **known: str,
) -> Film:
    """The record of a film with mask files.

    Args:
        film: The film.
        masks: The mask files by label, which are united.
        target: One of the labels.
        resize: Whether the source has masks of another size than their films.
        **known: Fields of the record that the adapter knows, such as `patient`.
    """
    truth = MaskFiles({label: tuple(files) for label, files in masks.items()}, resize)
    record = Film("", film, masks[target][0], "", "", truth=truth)
    return replace(record, **known)


def refused(path: Path, problem: str) -> Film:
    """The record of a film, or of a mask without one, that cannot be used."""
    return Film("", path, path, "", "", problem)


def match_masks(
    films: Iterable[Path],
    masks: Iterable[Path],
    forms: Sequence[str] = ("{}",),
) -> tuple[dict[Path, Path], list[Path], list[Path]]:
    """Pairs films with masks by their stems.

    Args:
        films: The films.
        masks: Their masks.
        forms: How the stem of a mask is made from that of its film, the preferred way first.

    Returns:
        The mask of each film that has one; the films without; the masks that are nobody's.

    Example:
        >>> films, masks = [Path("a.jpg"), Path("b.jpg")], [Path("mask_a.png"), Path("c.png")]
        >>> pairs, alone, nobodys = match_masks(films, masks, ("{}", "mask_{}"))
        >>> pairs == {films[0]: masks[0]}, alone == films[1:], nobodys == masks[1:]
        (True, True, True)
    """
    left: dict[str, Path] = {}
    nobodys = []
    for mask in masks:
        if left.setdefault(mask.stem, mask) is not mask:
            nobodys.append(mask)  # a second of that stem
    pairs, alone = {}, []
    for film in films:
        stem = next(
            (form.format(film.stem) for form in forms if form.format(film.stem) in left), ""
        )
        if stem:
            pairs[film] = left.pop(stem)
        else:
            alone.append(film)
    return pairs, alone, sorted([*nobodys, *left.values()])


def part_of(path: Path, root: Path) -> str:
    """The part of the release's split that the folders above a film name, the nearest first.

    Example:
        >>> part_of(Path("d/chest_xray/test/NORMAL/a.jpeg"), Path("d"))
        'test'
    """
    folders = reversed(relative_path(path, root).parts[:-1])
    return next((PARTS[name.lower()] for name in folders if name.lower() in PARTS), "")


def _complete(
    film: Film, name: str, tree: Tree, listed: Mapping[str, Listed], source: Source
) -> Film:
    entry = listed_for(film, tree, listed)
    named_patient, named_group = patient_from_name(film.film.stem)
    return replace(
        film,
        name=film.name or name,
        patient=film.patient or entry.patient or named_patient or name,
        group=film.group or entry.group or named_group or "unknown",
        licence=film.licence or entry.licence or source.licence,
        source=source.name,
    )
