"""Cut-outs of masks with their places, as the truth about a film."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pneumo_keras.dataset.labelme import label_key
from pneumo_keras.dataset.truths import Layers
from pneumo_keras.errors import StudyError


@dataclass(frozen=True)
class Crop:
    """A cut-out of a mask and its place, all in pixels; white where the label is."""

    path: Path
    label: str
    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Crops:
    """Cut-outs of masks, placed on the film.

    Attributes:
        crops: The cut-outs; those of one label are united.
        size: Height and width of the film they belong to.
        unions: Labels that stand for several of the crops' own, such as both lungs.
    """

    crops: tuple[Crop, ...]
    size: tuple[int, int]
    unions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(crop.path for crop in self.crops)

    def state(self) -> list[Any]:
        places = [[crop.label, crop.top, crop.left, crop.height, crop.width] for crop in self.crops]
        return [*places, list(self.size)]

    def layers(self, film: Path, labels: Sequence[str], size: tuple[int, int]) -> Layers:
        if size != self.size:
            raise StudyError(
                f"{film} has {size[1]}×{size[0]} pixels, but its crops are placed on "
                f"{self.size[1]}×{self.size[0]}: put the film of that size there"
            )
        return Layers(
            regions={label: self._region(label) for label in labels},
            labels=list(dict.fromkeys(crop.label for crop in self.crops)),
            shapes=len(self.crops),
        )

    def _region(self, label: str) -> np.ndarray:
        members = self.unions.get(label_key(label), (label_key(label),))
        region = np.zeros(self.size, bool)
        for crop in self.crops:
            if crop.label in members:
                place = np.s_[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
                region[place] |= _read_crop(crop, self.size)
        return region


def _read_crop(crop: Crop, size: tuple[int, int]) -> np.ndarray:
    """The cut-out: whatever is not black, however opaque."""
    try:
        with Image.open(crop.path, formats=("PNG",)) as image:
            inside = np.asarray(image.convert("RGB")).any(axis=-1)
    except Exception:  # noqa: BLE001 (damage makes Pillow raise almost anything)
        raise StudyError(f"{crop.path} is missing, damaged or no PNG: fetch it again") from None
    if inside.shape != (crop.height, crop.width):
        raise StudyError(
            f"{crop.path} has {inside.shape[1]}×{inside.shape[0]} pixels, not {crop.width}×"
            f"{crop.height} as listed: fetch the data set again"
        )
    bottom, right = crop.top + crop.height, crop.left + crop.width
    if min(crop.top, crop.left) < 0 or bottom > size[0] or right > size[1]:
        raise StudyError(
            f"{crop.path} reaches beyond its film of {size[1]}×{size[0]} pixels: "
            "fetch the data set again"
        )
    return inside
