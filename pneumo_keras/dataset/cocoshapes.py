"""One `segmentation` of a COCO file as a region, rasterised by pycocotools."""

from __future__ import annotations

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from pneumo_keras.dataset.shapes import FARTHEST, Malformed


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
