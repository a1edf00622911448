"""One shape of a LabelMe annotation: its record, its JSON form, how it is drawn."""

from __future__ import annotations

import base64
import binascii
import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

# Fewest and most points of each kind of shape.
POINTS = {
    "polygon": (3, math.inf),
    "rectangle": (2, 2),
    "oriented_rectangle": (4, 4),
    "circle": (2, 2),
    "mask": (2, 2),
    "linestrip": (2, math.inf),
    "line": (2, 2),
    "point": (1, 1),
    "points": (0, math.inf),
}
FARTHEST = 1e5  # pixels; no film is larger, and Pillow takes minutes for a circle that is


class Malformed(Exception):
    """What is wrong inside a file, before the name of the file is put to it."""


@dataclass(frozen=True, eq=False)
class Shape:
    """One shape of an annotation.

    Attributes:
        label: As written in the file.
        shape_type: One of LabelMe's kinds, such as `polygon`.
        points: float64 (N, 2), x and y in pixels of the displayed film, origin at top left.
        mask: For the kind `mask`, bool (height, width) of the box between the two points, both
            included; else None.
    """

    label: str
    shape_type: str
    points: np.ndarray
    mask: np.ndarray | None = None


def shape_from_json(number: int, raw: Any) -> Shape:
    """Checks one entry of `shapes`; `number`, from 1, is its place in the file."""
    label = raw.get("label") if isinstance(raw, dict) else None
    if not isinstance(label, str) or not label.strip() or not is_plain(label):
        raise Malformed(f"shape {number} has no label")
    try:
        kind = raw.get("shape_type") or "polygon"  # the first releases knew no other
        if not isinstance(kind, str) or kind not in POINTS:
            raise Malformed(f"is of the unknown kind {kind!r}")
        points = _points(raw.get("points"))
        fewest, most = POINTS[kind]
        if not fewest <= len(points) <= most:
            wanted = f"{fewest}" if fewest == most else f"at least {fewest}"
            raise Malformed(f"is a {kind} of {len(points)} points instead of {wanted}")
        mask = _mask(raw.get("mask"), points) if kind == "mask" else None
    except Malformed as error:
        raise Malformed(f"shape {number} ({label!r}) {error}") from None
    return Shape(label, kind, points, mask)


def _points(raw: Any) -> np.ndarray:
    if not isinstance(raw, list):
        raise Malformed("has no list of points")
    for number, point in enumerate(raw, start=1):
        if not isinstance(point, list) or len(point) != 2 or not all(map(_placed, point)):
            raise Malformed(f"has no place on a film as its point {number}")
    return np.array(raw, dtype=np.float64).reshape(-1, 2)


def _placed(place: Any) -> bool:
    return type(place) in (int, float) and abs(place) <= FARTHEST  # False for NaN


def _mask(raw: Any, points: np.ndarray) -> np.ndarray:
    content = bytes_from_base64(raw, "its mask")
    (left, top), (right, bottom) = ((round(x), round(y)) for x, y in points.tolist())
    box = (right - left + 1, bottom - top + 1)
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            size = image.size
            mask = np.asarray(image.convert("L")) > 0 if size == box else None
    except Exception:  # noqa: BLE001 (damage makes Pillow raise almost anything)
        raise Malformed("has a mask that is no sound PNG") from None
    if mask is None:  # not decoded: it may be of any size
        raise Malformed(f"has a mask of {size[1]}×{size[0]} pixels in a box of {box[1]}×{box[0]}")
    return mask


def shape_to_json(shape: Shape) -> dict[str, Any]:
    """The entry of `shapes` that `shape_from_json` reads back."""
    mask = None
    if shape.mask is not None:
        buffer = io.BytesIO()
        Image.fromarray(shape.mask.astype(np.uint8) * 255).save(buffer, "PNG")
        mask = base64.b64encode(buffer.getvalue()).decode()
    return {
        "label": shape.label,
        "points": np.asarray(shape.points, dtype=float).tolist(),
        "group_id": None,
        "description": "",
        "shape_type": shape.shape_type,
        "flags": {},
        "mask": mask,
    }


def draw_shape(canvas: Image.Image, shape: Shape, value: int) -> None:
    """Fills the region of a shape, outline included, as LabelMe does.

    Args:
        canvas: Image of mode L, drawn into.
        shape: Clipped where it leaves the canvas.
        value: Grey value of the region.

    Raises:
        Malformed: The shape encloses nothing.
    """
    draw = ImageDraw.Draw(canvas)
    points = [(x, y) for x, y in shape.points.tolist()]
    kind = shape.shape_type
    if kind in ("polygon", "oriented_rectangle") or (kind == "linestrip" and len(points) >= 3):
        draw.polygon(points, fill=value, outline=value)
    elif kind == "rectangle":
        (left, right), (top, bottom) = (sorted(axis) for axis in zip(*points))
        draw.rectangle((left, top, right, bottom), fill=value, outline=value)
    elif kind == "circle":
        (x, y), (rim_x, rim_y) = points
        radius = math.sqrt((x - rim_x) ** 2 + (y - rim_y) ** 2)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=value, outline=value)
    elif kind == "mask":
        left, top = (round(place) for place in points[0])
        stencil = Image.fromarray(shape.mask.astype(np.uint8) * 255)
        canvas.paste(value, (left, top, left + stencil.width, top + stencil.height), stencil)
    elif kind == "linestrip":
        raise Malformed("is a linestrip of two points, which encloses nothing")
    else:
        raise Malformed(f"is a {kind}, which encloses nothing")


def bytes_from_base64(raw: Any, what: str) -> bytes:
    """Decodes base64, line breaks allowed; `what` is what an error message calls it."""
    try:
        return base64.b64decode("".join(raw.split()), validate=True)
    except (AttributeError, binascii.Error, ValueError):
        raise Malformed(f"{what} is no sound base64") from None


def is_plain(text: str) -> bool:
    """Whether a text can be part of a file name and of a message."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)
