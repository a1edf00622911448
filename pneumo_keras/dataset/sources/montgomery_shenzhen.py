"""Lungs outlined on the tuberculosis films of Montgomery County and of Shenzhen.

Two forms are known: both sets in `CXR_png/` and `masks/`, where masks of Shenzhen end in `_mask`;
and Montgomery's own release, with the two lungs in `ManualMask/leftMask` and `ManualMask/rightMask`.
Films that nobody outlined take no part. File names end in 1 where tuberculosis was found, else in 0.
"""

from __future__ import annotations

from pathlib import Path

from pneumo_keras.dataset.sources.record import Film, Source, masked, match_masks, refused
from pneumo_keras.dataset.sources.tree import Tree

_FILMS = "CXR_png"
_MASKS = ("masks", "ManualMask/leftMask", "ManualMask/rightMask")
_GROUPS = {"0": "normal", "1": "tuberculosis"}


def _folders(tree: Tree) -> list[Path]:
    return [
        folder
        for folder in tree.folders_with(_FILMS)
        if any(tree.films_by_folder.get(folder / masks) for masks in _MASKS)
    ]


def _find(tree: Tree, target: str, normals: bool) -> list[Film]:
    return [film for folder in _folders(tree) for film in _set(folder, tree, target)]


def _set(folder: Path, tree: Tree, target: str) -> list[Film]:
    films = tree.films_by_folder[folder / _FILMS]
    masks: dict[Path, list[Path]] = {}
    found = []
    for name in _MASKS:
        pairs, _, nobodys = match_masks(
            films, tree.films_by_folder.get(folder / name, []), ("{}", "{}_mask")
        )
        for film, mask in pairs.items():
            masks.setdefault(film, []).append(mask)
        found += [refused(mask, f"{mask} is the mask of no film: remove it") for mask in nobodys]
    for film, files in masks.items():
        group = _GROUPS.get(film.stem[-1:], "")
        found.append(masked(film, {target: files}, target, group=group))
    return found


SOURCE = Source(
    name="montgomery_shenzhen",
    layout="CXR_png/ with masks/ (X.png or X_mask.png), or with ManualMask/{leftMask,rightMask}/",
    recognises=lambda tree: bool(_folders(tree)),
    targets=lambda tree: ("lung",),
    find=_find,
    page="https://lhncbc.nlm.nih.gov/LHC-downloads/downloads.html#tuberculosis-image-data-sets",
)
