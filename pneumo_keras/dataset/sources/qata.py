"""QaTa-COV19: COVID-19 pneumonia outlined on films, X.png with mask_X.png.

Version 2 comes divided into `Train Set` and `Test Set`, version 1 undivided. Where both lie there,
as in the release, version 2 is taken, which holds the films of version 1.
"""

from __future__ import annotations

import re
from pathlib import Path

from pneumo_keras.dataset.sources.record import Film, Source, masked, match_masks, part_of, refused
from pneumo_keras.dataset.sources.tree import Tree

_FILMS, _MASKS = "Images", "Ground-truths"
_PATIENT = re.compile(r"(sub-S\d+)_")  # of the films from BIMCV; the others name no patient


def _folders(tree: Tree) -> list[Path]:
    """The folders of films and masks: those of version 2 if there are any."""
    folders = tree.folders_with(_FILMS, _MASKS)
    return [folder for folder in folders if part_of(folder / _FILMS, tree.root)] or folders


def _find(tree: Tree, target: str, normals: bool) -> list[Film]:
    found = []
    for folder in _folders(tree):
        films, masks = tree.below(folder / _FILMS), tree.below(folder / _MASKS)
        pairs, alone, nobodys = match_masks(films, masks, ("mask_{}",))
        for film, mask in pairs.items():
            patient = _PATIENT.match(film.stem)
            known = {
                "patient": patient[1] if patient else "",
                "group": "COVID-19",
                "part": part_of(film, tree.root),
            }
            found.append(masked(film, {target: (mask,)}, target, resize=True, **known))
        found += [refused(film, f"{film} has no mask mask_{film.stem}.png") for film in alone]
        found += [refused(mask, f"{mask} is the mask of no film: remove it") for mask in nobodys]
    return found


SOURCE = Source(
    name="qata",
    layout="QaTa-COV19-v2/{Train Set,Test Set}/{Images,Ground-truths}/, or v1 without the sets",
    recognises=lambda tree: bool(_folders(tree)),
    targets=lambda tree: ("pneumonia",),
    find=_find,
    page="https://www.kaggle.com/datasets/aysendegerli/qatacov19-dataset",
)
