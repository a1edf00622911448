"""Films of the Kermany release with the lung masks of the V7 set, by the stem of the film."""

from __future__ import annotations

from pathlib import Path

from pneumo_keras.dataset.sources.record import (
    Film,
    Source,
    masked,
    match_masks,
    part_of,
    refused,
)
from pneumo_keras.dataset.sources.tree import Tree

_FILMS, _MASKS = "chest_xray", "lung_masks"


def _folder(tree: Tree) -> Path | None:
    return next(iter(tree.folders_with(_FILMS, _MASKS)), None)


def _find(tree: Tree, target: str, normals: bool) -> list[Film]:
    folder = _folder(tree)
    films = tree.below(folder / _FILMS)
    pairs, _, nobodys = match_masks(films, tree.below(folder / _MASKS))
    found = []
    for film, mask in pairs.items():
        part = part_of(film, folder)
        part = "train" if part == "validation" else part  # its 16 films are too few
        found.append(masked(film, {target: (mask,)}, target, part=part))
    return found + [
        refused(mask, f"{mask} is the mask of no film in {folder / _FILMS}: remove it")
        for mask in nobodys
    ]


SOURCE = Source(
    name="kermany_lungs",
    layout="chest_xray/{train,test}/{NORMAL,PNEUMONIA}/X.jpeg with lung_masks/X.png",
    recognises=lambda tree: _folder(tree) is not None,
    targets=lambda tree: ("lung",),
    find=_find,
    licence="CC BY 4.0",
)
