"""COVID-19 Radiography Database: lung masks of 256x256 pixels for films of 299x299."""

from __future__ import annotations

from pathlib import Path

from pneumo_keras.dataset.sources.record import Film, Source, masked, match_masks, refused
from pneumo_keras.dataset.sources.tree import Tree

_CLASSES = ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia")


def _folders(tree: Tree) -> list[Path]:
    folders = tree.folders_with("images", "masks")
    return [folder for folder in folders if folder.name in _CLASSES]


def _find(tree: Tree, target: str, normals: bool) -> list[Film]:
    found = []
    for folder in _folders(tree):
        films, masks = tree.below(folder / "images"), tree.below(folder / "masks")
        pairs, alone, nobodys = match_masks(films, masks)
        group = folder.name.lower()
        found += [
            masked(film, {target: (mask,)}, target, resize=True, group=group)
            for film, mask in pairs.items()
        ]
        found += [refused(film, f"{film} has no mask in {folder / 'masks'}") for film in alone]
        found += [refused(mask, f"{mask} is the mask of no film: remove it") for mask in nobodys]
    return found


SOURCE = Source(
    name="covid_radiography",
    layout="{COVID,Lung_Opacity,Normal,Viral Pneumonia}/{images,masks}/",
    recognises=lambda tree: bool(_folders(tree)),
    targets=lambda tree: ("lung",),
    find=_find,
    covers=("folders",),
    page="https://www.kaggle.com/datasets/tawsifurrahman/covid19-radiography-database",
)
