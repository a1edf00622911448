"""The annotations of one image of a COCO file, rasterised by pycocotools."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from pneumo_keras.dataset.labelme import label_key
from pneumo_keras.dataset.shapes import FARTHEST, Malformed
from pneumo_keras.dataset.truths import Layers
from pneumo_keras.errors import StudyError


@dataclass(frozen=True, eq=False)
class CocoShapes:
    """The annotations of one image of a COCO file.

    Attributes:
        path: The COCO file.
        size: Height and width of the image as the file has it.
        shapes: Label and `segmentation`, a list of polygons or run lengths, of each annotation.
    """

    path: Path
    size: tuple[int, int]
    shapes: tuple[tuple[str, Any], ...]

    @property
    def files(self) -> tuple[Path, ...]:
        return ()  # one file for all films: its content counts, film by film

    def state(self) -> list[Any]:
        content = json.dumps([self.size, self.shapes])
        return [hashlib.sha256(content.encode()).hexdigest()]

    def layers(self, film: Path, labels: Sequence[str], size: tuple[int, int]) -> Layers:
        if size != self.size:
            raise StudyError(
                f"{self.path} has {film} as {self.size[1]}×{self.size[0]} pixels, but it has "
                f"{size[1]}×{size[0]}: put the film of that size there"
            )
        return Layers(
            regions={label: self._region(film, label) for label in labels},
            labels=list(dict.fromkeys(label for label, _ in self.shapes)),
            shapes=len(self.shapes),
        )

    def _region(self, film: Path, label: str) -> np.ndarray:
        region = np.zeros(self.size, bool)
        for shape, segmentation in self.shapes:
            if label_key(shape) == label_key(label):
                try:
                    region |= region_of(segmentation, *self.size)
                except Malformed as error:
                    raise StudyError(
                        f"{self.path}: an annotation {shape!r} of {film.name} {error}: "
                        "mend or remove it"
                    ) from None
        return region


def region_of(segmentation: Any, height: int, width: int) -> np.ndarray:
    """The region of one annotation.

    Args:
        segmentation: Polygons, each a list of x and y in turn, in pixels; or run lengths
            `{"size": [height, width], "counts": ...}`, compressed (text) or not (a list).
        height: Of the film in pixels.
        width: The same.

    Returns:
        bool (height, width).

    Raises:
        Malformed: It is none of these, or of another size.

    Example:
        >>> region_of([[0, 0, 2, 0, 2, 1, 0, 1]], 2, 3).astype(int).tolist()
        [[1, 1, 0], [0, 0, 0]]
        >>> region_of({"size": [2, 2], "counts": [1, 3]}, 2, 2).astype(int).tolist()
        [[0, 1], [1, 1]]
    """
    if isinstance(segmentation, dict):
        return _from_runs(segmentation, height, width)
    if not isinstance(segmentation, list) or not segmentation:
        raise Malformed("has a box only, no outline")
    for polygon in segmentation:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            raise Malformed("has a polygon of fewer than three points")
        if not all(type(place) in (int, float) and abs(place) <= FARTHEST for place in polygon):
            raise Malformed("has a point that is no place on a film")
    runs = coco_mask.frPyObjects(segmentation, height, width)
    return coco_mask.decode(coco_mask.merge(runs)).astype(bool)


def _from_runs(segmentation: dict[str, Any], height: int, width: int) -> np.ndarray:
    if segmentation.get("size") != [height, width]:
        raise Malformed(f"has run lengths of another size than {height}×{width}")
    counts = segmentation.get("counts")
    if isinstance(counts, str):
        counts = _run_lengths(counts)
    if not isinstance(counts, list) or not all(
        type(count) is int and 0 <= count <= height * width for count in counts
    ):
        raise Malformed("has unsound run lengths")
    # pycocotools leaves the rest of the mask to chance where the runs end early.
    if sum(counts) != height * width:
        raise Malformed("has run lengths that do not fill the film")
    runs = {"size": [height, width], "counts": counts}
    return coco_mask.decode(coco_mask.frPyObjects(runs, height, width)).astype(bool)


def _run_lengths(text: str) -> list[int]:
    """Run lengths from their compressed form.

    Each is written in groups of five bits, least first, a sixth saying whether more follow; from
    the fourth on, the difference to the one before last (`rleFrString` of pycocotools).
    """
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 40:
            raise Malformed("has unsound run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise Malformed("has unsound run lengths")
    return counts
