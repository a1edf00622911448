"""Rules by which images and their masks are found in folders, paired by file name."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType

from pneumo_keras.dataset.patients import NORMAL
from pneumo_keras.dataset.records import EmptyReference, ImageRecord, MaskFiles, refused
from pneumo_keras.dataset.tree import Tree, relative_path, without_copies

ANY = ""  # the label of masks that show whatever the user segments
_PARTS = {"train": "train", "val": "validation", "test": "test"}  # by folder, maybe with " set"


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
        images_folder = folder / self.beside[0]
        images = tree.images_below(images_folder)
        any_label = "pneumonia" if "lung" in self.targets(tree) else target
        masks, unmatched = {image: {} for image in images}, []
        for label, names in self.masks.items():
            for name in names:
                below = tree.images_below(folder / name)
                here = (images_folder, folder / name)
                pairs, others = _match_masks(images, below, self.mask_names, here)
                unmatched += others
                for image, mask in pairs.items():
                    masks[image].setdefault(label or any_label, []).append(mask)
        must = self.complete == "everywhere" or (
            self.complete == "folder" and any(target in found for found in masks.values())
        )
        entries = tree.listed([(image,) for image in images])
        for (image, found), listed in zip(masks.items(), entries):
            patient = re.match(self.patient, image.stem)
            group, part = self.group(folder, image), self.part(image, tree.root)
            record = ImageRecord("", image, image, patient[1] if patient else "", group, part=part)
            if target in found:
                paths = {label: tuple(files) for label, files in found.items()}
                reference = MaskFiles(paths, self.resize)
                yield replace(record, annotation=paths[target][0], reference=reference)
            elif normals and (group or listed.group).lower() == NORMAL:
                yield replace(record, group=NORMAL, reference=EmptyReference())
            elif must:
                names = ", ".join(form.format(image.stem) for form in self.mask_names)
                problem = f"{image} has no mask in {folder} ({names}): add one, or leave it out"
                yield refused(image, problem)
        for mask in unmatched:
            yield refused(mask, f"{mask} is the mask of no image: remove it")


def _match_masks(
    images: Iterable[Path],
    masks: Iterable[Path],
    forms: Sequence[str],
    folders: tuple[Path, Path],
) -> tuple[dict[Path, Path], list[Path]]:
    """The mask of each image that has one, by their stems, and the masks that fit no image.

    `folders` are those of the images and of the masks. Where both have the same sub-folders, image
    and mask must lie in one of the same name, or the mask may be that of another patient; and a
    mask outside them fits no image if several different ones bear its name.
    """

    def place(path: Path, folder: Path) -> str:
        return path.parent.relative_to(folder).as_posix().casefold()

    left: dict[tuple[str, str], Path] = {}
    unmatched = [m for m in masks if left.setdefault((place(m, folders[1]), m.stem), m) is not m]
    by_stem, pairs = defaultdict(list), {}
    for image in images:
        by_stem[image.stem].append(image)
        keys = [(place(image, folders[0]), form.format(image.stem)) for form in forms]
        if found := [key for key in keys if key in left]:
            pairs[image] = left.pop(found[0])
    in_sub_folders = any(image.parent != folders[0] for image in pairs)
    for stem, alike in by_stem.items():
        image = next((image for image in alike if image not in pairs), None)
        stems = [form.format(stem) for form in forms]
        keys = [(folder, name) for name in stems for folder, other in left if other == name]
        if image and in_sub_folders:
            flat = image.parent == folders[0]
            keys = [(folder, name) for folder, name in keys if flat or folder == "."]
        alone = len({other.parent for other in alike}) == 1 or len(without_copies(alike)) == 1
        if image and keys and alone:
            pairs[image] = left.pop(keys[0])
    return pairs, sorted([*unmatched, *left.values()])


def part_of(path: Path, root: Path) -> str:
    """The part of the data set's own split that the folders above a path name, nearest first."""
    for folder in relative_path(path, root).parts[-2::-1]:
        if part := _PARTS.get(folder.lower().removesuffix(" set")):
            return part
    return ""


def kermany_part(path: Path, root: Path) -> str:
    """The same in the Kermany release, where the 16 images of `val` are few and count as train."""
    part = part_of(path, root)
    return "train" if part == "validation" else part
