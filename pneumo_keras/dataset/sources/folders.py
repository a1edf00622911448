"""Plain folders: films in images/, their masks in masks/, and perhaps masks of the lungs in lungs/.

A mask is found by the stem of its film: `X.png`, `mask_X.png` or `X_mask.png`. What masks/ shows is
what the user says with the target. Every film must have a mask and every mask a film.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pneumo_keras.dataset.patients import Listed, read_index
from pneumo_keras.dataset.sources.record import (
    NORMAL,
    Film,
    Source,
    listed_for,
    masked,
    match_masks,
    refused,
)
from pneumo_keras.dataset.sources.tree import Tree
from pneumo_keras.dataset.truths import Nothing

_FILMS, _MASKS, _LUNGS = "images", "masks", "lungs"
_FORMS = ("{}", "mask_{}", "{}_mask")


def _folder(tree: Tree) -> Path | None:
    folders = [
        folder
        for folder in tree.folders_with(_FILMS, _MASKS)
        if tree.below(folder / _FILMS) and tree.below(folder / _MASKS)
    ]
    return folders[0] if len(folders) == 1 else None


def _targets(tree: Tree) -> tuple[str, ...]:
    return ("pneumonia", "lung") if tree.below(_folder(tree) / _LUNGS) else ()


def _find(tree: Tree, target: str, normals: bool) -> list[Film]:
    folder = _folder(tree)
    films = tree.below(folder / _FILMS)
    lungs, _, nobodys_lungs = match_masks(films, tree.below(folder / _LUNGS), _FORMS)
    masks, _, nobodys = match_masks(films, tree.below(folder / _MASKS), _FORMS)
    listed = read_index(tree.root / "index.csv")
    where = folder / (_LUNGS if lungs and target == "lung" else _MASKS)
    of_target = "pneumonia" if lungs and target == "lung" else target
    found = []
    for film in films:
        layers = {of_target: masks.get(film)}
        if lungs:
            layers["lung"] = lungs.get(film)
        layers = {label: (path,) for label, path in layers.items() if path}
        if target in layers:
            found.append(masked(film, layers, target))
        elif normals and _is_normal(film, tree, listed):
            found.append(Film("", film, film, "", NORMAL, truth=Nothing()))
        else:
            found.append(_without_mask(film, where))
    return found + [
        refused(mask, f"{mask} is the mask of no film in {folder / _FILMS}: remove it")
        for mask in [*nobodys, *nobodys_lungs]
    ]


def _is_normal(film: Path, tree: Tree, listed: Mapping[str, Listed]) -> bool:
    return listed_for(Film("", film, film, "", ""), tree, listed).group.lower() == NORMAL


def _without_mask(film: Path, masks: Path) -> Film:
    names = ", ".join(form.format(film.stem) + ".png" for form in _FORMS)
    return refused(film, f"{film} has no mask in {masks} ({names}): add one, or leave the film out")


SOURCE = Source(
    name="folders",
    layout="images/ and masks/ (X.png, mask_X.png or X_mask.png), perhaps lungs/ and index.csv",
    recognises=lambda tree: _folder(tree) is not None,
    targets=_targets,
    find=_find,
    normals=True,
)
