"""COVID-QU-Ex: lungs of all films and COVID-19 infection of some, mask and film of one name.

For the target pneumonia its infection data are read, for lung the larger lung data, or where these
are missing the lung masks of the infection data. A film takes part if it has the mask of the
target; normal films without one count as empty on request. Films of other pneumonia without an
infection mask never do, for they show opacities that nobody outlined.
"""

from __future__ import annotations

from pathlib import Path

from pneumo_keras.dataset.sources.record import (
    NORMAL,
    Film,
    Source,
    masked,
    match_masks,
    part_of,
    refused,
)
from pneumo_keras.dataset.sources.tree import Tree
from pneumo_keras.dataset.truths import Nothing

_FOLDERS = {"pneumonia": "infection masks", "lung": "lung masks"}


def _classes(tree: Tree) -> list[Path]:
    """The folders of one part and class each, such as `Train/COVID-19`."""
    folders = tree.folders_with("images", _FOLDERS["lung"])
    return [folder for folder in folders if part_of(folder, tree.root)]


def _holds(folder: Path, tree: Tree, label: str) -> bool:
    return bool(tree.films_by_folder.get(folder / _FOLDERS[label]))


def _targets(tree: Tree) -> tuple[str, ...]:
    return tuple(label for label in _FOLDERS if any(_holds(f, tree, label) for f in _classes(tree)))


def _data(tree: Tree, target: str) -> list[Path]:
    """The folders of the infection data or of the lung data, whichever serve the target."""
    classes = _classes(tree)
    infected = {folder.parents[1] for folder in classes if _holds(folder, tree, "pneumonia")}
    infection = [folder for folder in classes if folder.parents[1] in infected]
    lungs = [folder for folder in classes if folder.parents[1] not in infected]
    return lungs if target == "lung" and lungs else infection or lungs


def _find(tree: Tree, target: str, normals: bool) -> list[Film]:
    return [
        film for folder in _data(tree, target) for film in _class(folder, tree, target, normals)
    ]


def _class(folder: Path, tree: Tree, target: str, normals: bool) -> list[Film]:
    films = tree.films_by_folder.get(folder / "images", [])
    known = {"part": part_of(folder, tree.root), "group": folder.name.lower()}
    masks = {}
    for label, name in _FOLDERS.items():
        pairs, _, nobodys = match_masks(films, tree.films_by_folder.get(folder / name, []))
        masks[label] = pairs
        if label == target:
            strays = nobodys
    found = []
    for film in films:
        of_film = {label: (pairs[film],) for label, pairs in masks.items() if film in pairs}
        if target in of_film:
            found.append(masked(film, of_film, target, **known))
        elif masks[target]:
            found.append(refused(film, f"{film} has no mask in {folder / _FOLDERS[target]}"))
        elif normals and known["group"] == NORMAL:
            found.append(Film("", film, film, "", truth=Nothing(), **known))
    return found + [refused(mask, f"{mask} is the mask of no film: remove it") for mask in strays]


SOURCE = Source(
    name="covid_qu_ex",
    layout="{Train,Val,Test}/{COVID-19,Non-COVID,Normal}/{images,lung masks,infection masks}/",
    recognises=lambda tree: bool(_classes(tree)),
    targets=_targets,
    find=_find,
    normals=True,
    page="https://www.kaggle.com/datasets/anasmohammedtahir/covidqu",
)
