"""The truth about a film in each form that data sets give it, as regions of the film's own size.

Whatever the form, `layers` gives one region a label:

* `LabelMeFile`: outlines, filled by the rules of `labelme`
* `MaskFiles`: mask images, taken as they are
* `crops.Crops`: cut-outs of masks, placed on the film
* `coco.CocoShapes`: polygons and run lengths, rasterised by pycocotools
* `Nothing`: the film is known to show nothing of the target

Truth and film must be of one size. Only a source that documents masks of another size has them
brought to that of the film, by nearest pixel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from pneumo_keras.dataset.films import read_mask
from pneumo_keras.dataset.labelme import label_key, paint, read_annotation, unknown_labels
from pneumo_keras.dataset.outlines import refuse_unsound
from pneumo_keras.errors import StudyError


@dataclass(frozen=True, eq=False)
class Layers:
    """What is outlined on one film.

    Attributes:
        regions: bool (height, width) by label; labels that are not outlined here, or enclose
            nothing, are missing. The target never is.
        labels: The labels that occur, as written in the source.
        shapes: How many outlines, mask files or crops the film has.
        unknown: Labels that occur though they were not declared.
    """

    regions: Mapping[str, np.ndarray]
    labels: Sequence[str]
    shapes: int
    unknown: Sequence[str] = ()


class Truth(Protocol):
    """The truth about one film.

    Attributes:
        files: The files it is read from.
    """

    files: tuple[Path, ...]

    def state(self) -> list[Any]:
        """What changes when the truth changes though its files do not; fit for JSON."""

    def layers(self, film: Path, labels: Sequence[str], size: tuple[int, int]) -> Layers:
        """Paints the labels.

        Args:
            film: What an error message calls the film.
            labels: What to paint, the target first.
            size: Height and width of the film in pixels.

        Raises:
            StudyError: The truth cannot be read, is of another size than the film, or encloses no
                region for the target.
        """


@dataclass(frozen=True)
class LabelMeFile:
    """A LabelMe annotation.

    Attributes:
        path: The JSON file.
    """

    path: Path

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path,)

    def state(self) -> list[Any]:
        return []

    def layers(self, film: Path, labels: Sequence[str], size: tuple[int, int]) -> Layers:
        annotation = read_annotation(self.path)
        said = (annotation.height or size[0], annotation.width or size[1])
        if said != size:
            raise StudyError(
                f"{self.path} was drawn on a film of {said[1]}×{said[0]} pixels, but {film} has "
                f"{size[1]}×{size[0]}: put the film it was drawn on there, or annotate this one"
            )
        refuse_unsound(annotation, labels, *size)
        target, *others = labels
        regions = {target: paint(annotation, target, *size)}
        for label in others:
            try:
                regions[label] = paint(annotation, label, *size)
            except StudyError:
                continue  # lines or points, which are no matter unless they are the target
        return Layers(
            regions=regions,
            labels=list(dict.fromkeys(shape.label for shape in annotation.shapes)),
            shapes=len(annotation.shapes),
            unknown=unknown_labels(annotation, labels),
        )


@dataclass(frozen=True)
class MaskFiles:
    """Mask images.

    Attributes:
        masks: The files by label; several of one label are united.
        resize: Bring masks of another size to that of the film, by nearest pixel.

    Example:
        >>> import tempfile
        >>> from pneumo_keras.dataset.films import write_png
        >>> path = Path(tempfile.mkdtemp()) / "mask.png"
        >>> write_png(path, np.array([[True, False]]))
        >>> truth = MaskFiles({"lung": (path,)})
        >>> truth.layers(Path("film.png"), ["lung"], (1, 2)).regions["lung"].tolist()
        [[True, False]]
    """

    masks: Mapping[str, tuple[Path, ...]]
    resize: bool = False

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(path for paths in self.masks.values() for path in paths)

    def state(self) -> list[Any]:
        return [[label, *map(str, paths)] for label, paths in self.masks.items()]

    def layers(self, film: Path, labels: Sequence[str], size: tuple[int, int]) -> Layers:
        painted = {
            label_key(label): np.logical_or.reduce([self._read(path, film, size) for path in paths])
            for label, paths in self.masks.items()
        }
        return Layers(
            regions=_chosen(painted, labels),
            labels=[label for label, region in painted.items() if region.any()],
            shapes=len(self.files),
        )

    def _read(self, path: Path, film: Path, size: tuple[int, int]) -> np.ndarray:
        mask = read_mask(path)
        if mask.shape != size and self.resize:
            resized = cv2.resize(
                mask.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST_EXACT
            )
            return resized.astype(bool)
        if mask.shape != size:
            raise StudyError(
                f"{path} is a mask of {mask.shape[1]}×{mask.shape[0]} pixels, but {film} has "
                f"{size[1]}×{size[0]}: put film and mask of one size there, or leave both out"
            )
        return mask


@dataclass(frozen=True)
class Nothing:
    """The film shows nothing of the target, and that is known without an annotation."""

    files: tuple[Path, ...] = ()

    def state(self) -> list[Any]:
        return ["nothing"]

    def layers(self, film: Path, labels: Sequence[str], size: tuple[int, int]) -> Layers:
        return Layers({labels[0]: np.zeros(size, bool)}, [], 0)


def _chosen(painted: Mapping[str, np.ndarray], labels: Sequence[str]) -> dict[str, np.ndarray]:
    """The regions of the labels that there are, by the labels as declared."""
    return {label: painted[label_key(label)] for label in labels if label_key(label) in painted}
