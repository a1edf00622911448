"""Reference annotations in each form that data sets give them, as masks of the image's size.

Reference and image must have one size. Only the masks of layouts whose masks are documented to have
another size are resized, by nearest pixel. The form of COCO files is in `coco`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from pneumo_keras.dataset.images import read_mask
from pneumo_keras.dataset.labelme import (
    Annotation,
    label_key,
    rasterize,
    read_annotation,
    refuse_unsound,
    unknown_labels,
)
from pneumo_keras.errors import StudyError


@dataclass(frozen=True, eq=False)
class LabelMasks:
    """What is outlined in one image.

    Labels that are not outlined, or whose shapes enclose nothing, have no mask; the target always
    has one.
    """

    masks: Mapping[str, np.ndarray]  # bool (height, width) by label
    labels: Sequence[str]  # the labels that occur, as written in the reference
    shapes: int  # number of outlines, mask files or crops
    unknown: Sequence[str] = ()  # labels that occur though they were not declared


class Reference:
    """The reference annotation of one image."""

    files: tuple[Path, ...] = ()  # what it is read from

    def state(self) -> list[Any]:
        """What changes when the reference changes though its files do not; fit for JSON."""
        return []

    def label_masks(self, image: Path, labels: Sequence[str], size: tuple[int, int]) -> LabelMasks:
        """Make a mask for each label.

        Args:
            image: The image, for error messages.
            labels: The labels, the target first.
            size: Height and width of the image in pixels.

        Raises:
            StudyError: The reference cannot be read, has another size than the image, or encloses
                no region for the target.
        """
        raise NotImplementedError


def refuse_other_size(path: Path, given: Sequence[int], image: Path, size: Sequence[int]) -> None:
    """Refuse a reference of another height and width than those of the image."""
    if tuple(given) != tuple(size):
        theirs, ours = f"{given[1]}×{given[0]}", f"{size[1]}×{size[0]}"
        reason = f"is for an image of {theirs} pixels, but {image} has {ours}"
        raise StudyError(f"{path} {reason}: put image and annotation of one size there")


def modification_time(path: Path) -> int:
    """Modification time of a file in ns; 0 if there is no such file."""
    return path.stat().st_mtime_ns if path.is_file() else 0


@dataclass(frozen=True)
class LabelMeFile(Reference):
    """Outlines in a LabelMe file, which is parsed again only if it was modified."""

    path: Path
    annotation: Annotation | None = field(default=None, repr=False, compare=False)  # as parsed
    modified: int = field(default=0, repr=False, compare=False)  # its modification time then

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path,)

    def label_masks(self, image: Path, labels: Sequence[str], size: tuple[int, int]) -> LabelMasks:
        is_parsed = self.annotation and self.modified == modification_time(self.path)
        annotation = self.annotation if is_parsed else read_annotation(self.path)
        given = (annotation.height or size[0], annotation.width or size[1])
        refuse_other_size(self.path, given, image, size)
        refuse_unsound(annotation, labels, *size)
        masks = {labels[0]: rasterize(annotation, labels[0], *size)}
        for label in labels[1:]:
            try:
                masks[label] = rasterize(annotation, label, *size)
            except StudyError:
                continue  # lines or points, which matter only for the target
        occurring = list(dict.fromkeys(shape.label for shape in annotation.shapes))
        unknown = unknown_labels(annotation, labels)
        return LabelMasks(masks, occurring, len(annotation.shapes), unknown)


@dataclass(frozen=True)
class MaskFiles(Reference):
    """Mask images.

    Example:
        >>> import tempfile
        >>> from pneumo_keras.dataset.images import write_png
        >>> path = Path(tempfile.mkdtemp()) / "mask.png"
        >>> write_png(path, np.array([[True, False]]))
        >>> reference = MaskFiles({"lung": (path,)})
        >>> reference.label_masks(Path("a.png"), ["lung"], (1, 2)).masks["lung"].tolist()
        [[True, False]]
    """

    paths: Mapping[str, tuple[Path, ...]]  # by label; several of one label unite
    resize: bool = False  # masks of another size to that of the image, by nearest pixel

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(path for paths in self.paths.values() for path in paths)

    def state(self) -> list[Any]:
        return [[label, *map(str, paths)] for label, paths in self.paths.items()]

    def label_masks(self, image: Path, labels: Sequence[str], size: tuple[int, int]) -> LabelMasks:
        found = {
            label_key(label): np.any([self._read(path, image, size) for path in paths], axis=0)
            for label, paths in self.paths.items()
        }
        masks = {label: found[label_key(label)] for label in labels if label_key(label) in found}
        occurring = [label for label, mask in found.items() if mask.any()]
        return LabelMasks(masks, occurring, len(self.files))

    def _read(self, path: Path, image: Path, size: tuple[int, int]) -> np.ndarray:
        mask = read_mask(path)
        if mask.shape == size:
            return mask
        if not self.resize:
            refuse_other_size(path, mask.shape, image, size)
        nearest = cv2.INTER_NEAREST_EXACT
        return cv2.resize(mask.astype(np.uint8), size[::-1], interpolation=nearest).astype(bool)


class Crop(NamedTuple):
    """A cut-out of a mask, inside wherever it is not black, and its place in pixels."""

    path: Path
    label: str
    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Crops(Reference):
    """Cut-outs of masks, placed in the image; those of one label unite."""

    crops: tuple[Crop, ...]
    size: tuple[int, int]  # height and width of the image that they belong to
    unions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # lung: left and right lung

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(crop.path for crop in self.crops)

    def state(self) -> list[Any]:
        return [*([*crop[1:]] for crop in self.crops), [*self.size]]

    def label_masks(self, image: Path, labels: Sequence[str], size: tuple[int, int]) -> LabelMasks:
        refuse_other_size(self.crops[0].path, self.size, image, size)
        masks = {label: np.zeros(size, bool) for label in labels}
        for label in labels:
            members = self.unions.get(label_key(label), (label_key(label),))
            for crop in self.crops:
                if crop.label in members:
                    rows = slice(crop.top, crop.top + crop.height)
                    columns = slice(crop.left, crop.left + crop.width)
                    masks[label][rows, columns] |= self._read(crop)
        occurring = list(dict.fromkeys(crop.label for crop in self.crops))
        return LabelMasks(masks, occurring, len(self.crops))

    def _read(self, crop: Crop) -> np.ndarray:
        path, _, top, left, height, width = crop
        try:
            with Image.open(path, formats=("PNG",)) as image:
                inside = np.asarray(image.convert("RGB")).any(axis=-1)
        except Exception:  # noqa: BLE001 (damage makes Pillow raise almost anything)
            raise StudyError(f"{path} is missing, damaged or not PNG: download it again") from None
        if inside.shape != (height, width):
            raise StudyError(f"{path} is not {width}×{height} pixels as listed: download it again")
        if min(top, left) < 0 or top + height > self.size[0] or left + width > self.size[1]:
            raise StudyError(f"{path} reaches beyond its image: download the data set again")
        return inside


@dataclass(frozen=True)
class EmptyReference(Reference):
    """The image shows nothing of the target, which is known without an annotation."""

    def state(self) -> list[Any]:
        return ["nothing"]

    def label_masks(self, image: Path, labels: Sequence[str], size: tuple[int, int]) -> LabelMasks:
        return LabelMasks({labels[0]: np.zeros(size, bool)}, [], 0)
