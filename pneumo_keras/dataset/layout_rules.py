"""Rules by which images and their masks are found in folders, paired by file name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType

from pneumo_keras.dataset.records import (
    NORMAL,
    ImageRecord,
    listed_for,
    match_masks,
    read_index,
    refused,
)
from pneumo_keras.dataset.references import EmptyReference, MaskFiles
from pneumo_keras.dataset.tree import Tree

ANY = ""  # the label of masks that show whatever the user segments


@dataclass(frozen=True)
class Layout:
    """Rules by which a data set is recognised, and its images paired with masks.

    `choose` picks from the folders that hold `beside`, for a target or, as None, for any.
    `complete` says where an image without mask is an error: "everywhere"; "folder", if another
    image of its folder has one; or "" for nowhere, in data sets that are outlined in part.
    """

    name: str  # as `--layout` takes it
    description: str  # the files by which it is known
    module: ModuleType | None = None  # reads it instead, by functions named as the methods here
    beside: tuple[str, ...] = ()  # folders that lie beside each other, that of the images first
    masks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # folders by label
    mask_names: tuple[str, ...] = ("{}",)  # stems made from the image's, the preferred one first
    choose: Callable[[Tree, list[Path], str | None], list[Path]] = lambda tree, found, target: found
    complete: str = ""
    resize: bool = False  # masks to their images
    patient: str = r"\b\B"  # pattern at the beginning of a stem; by default it matches none
    group: Callable[[Path, Path], str] = lambda folder, image: ""
    part: Callable[[Path, Path], str] = lambda image, root: ""  # of the data set's own split
    covers: tuple[str, ...] = ()  # layouts that are part of this one, and give way to it
    normals: bool = False  # whether normal images without mask can count as empty
    licence: str = ""  # of the whole data set, if it has one and it is known
    page: str = ""  # of the data set in the web, with its licence

    def recognises(self, tree: Tree) -> bool:
        """Tell whether a tree has this layout."""
        return self.module.recognises(tree) if self.module else bool(self._folders(tree))

    def targets(self, tree: Tree) -> tuple[str, ...]:
        """The targets offered in a tree; empty if any label may be asked for."""
        if self.module:
            return self.module.targets(tree)
        folders = self._folders(tree)
        held = [
            label
            for label, names in self.masks.items()
            if any(tree.images_below(folder / name) for folder in folders for name in names)
        ]
        return () if held == [ANY] else tuple(label or "pneumonia" for label in held or self.masks)

    def find(self, tree: Tree, target: str, normals: bool) -> list[ImageRecord]:
        """The images of a tree; True adds normal ones without mask as empty ones."""
        if self.module:
            return self.module.find(tree, target, normals)
        folders = self._folders(tree, target)
        return [r for folder in folders for r in self._records(folder, tree, target, normals)]

    def _folders(self, tree: Tree, target: str | None = None) -> list[Path]:
        return self.choose(tree, tree.folders_with(*self.beside), target)

    def _records(
        self, folder: Path, tree: Tree, target: str, normals: bool
    ) -> Iterator[ImageRecord]:
        images = tree.images_below(folder / self.beside[0])
        listed = read_index(tree.root / "index.csv")
        any_label = "pneumonia" if "lung" in self.targets(tree) else target
        masks, unmatched = {image: {} for image in images}, []
        for label, names in self.masks.items():
            for name in names:
                below = tree.images_below(folder / name)
                pairs, others = match_masks(images, below, self.mask_names)
                unmatched += others
                for image, mask in pairs.items():
                    masks[image].setdefault(label or any_label, []).append(mask)
        must = self.complete == "folder" and any(target in found for found in masks.values())
        for image, found in masks.items():
            patient = re.match(self.patient, image.stem)
            group, part = self.group(folder, image), self.part(image, tree.root)
            record = ImageRecord("", image, image, patient[1] if patient else "", group, part=part)
            listed_group = listed_for(image, image, tree, listed).group
            if target in found:
                paths = {label: tuple(files) for label, files in found.items()}
                reference = MaskFiles(paths, self.resize)
                yield replace(record, annotation=paths[target][0], reference=reference)
            elif normals and (group or listed_group).lower() == NORMAL:
                yield replace(record, group=NORMAL, reference=EmptyReference())
            elif must or self.complete == "everywhere":
                names = ", ".join(form.format(image.stem) for form in self.mask_names)
                problem = f"{image} has no mask in {folder} ({names}): add one, or leave it out"
                yield refused(image, problem)
        for mask in unmatched:
            yield refused(mask, f"{mask} is the mask of no image: remove it")
