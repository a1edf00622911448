"""One shape of a LabelMe annotation: its record, its JSON form, and how it is drawn."""

import base64
import binascii
import io
import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw

_COUNTS = {  # fewest and most points of each type
    "polygon": (3, math.inf),
    "rectangle": (2, 2),
    "oriented_rectangle": (4, 4),
    "rotation": (4, 4),  # X-AnyLabeling's oriented rectangle
    "circle": (2, 2),
    "mask": (2, 2),
    "line": (2, 2),
    "linestrip": (2, math.inf),
    "point": (1, 1),
    "points": (0, math.inf),
}
_MAX_COORDINATE = 1e5  # pixels; no image is larger, and Pillow takes minutes for such a circle
_MAX_SKEW = 0.01  # pixels by which the sides of a rectangle may be oblique
_CANVAS = 1024  # side in pixels of the canvas on which an outline is checked
_MAX_LENGTH = 128  # of a checked outline, in multiples of that side


class Malformed(Exception):
    """Invalid annotation; the caller adds the file name."""


@dataclass(frozen=True, eq=False)
class Shape:
    """One shape of an annotation."""

    label: str  # as written in the file
    shape_type: str  # LabelMe's type, such as `polygon`
    points: np.ndarray  # float64 (N, 2): x, y in pixels of the displayed image, from its top left
    mask: np.ndarray | None = None  # of a `mask`: bool (height, width), both points included
    problem: str = ""  # why it cannot be drawn, which matters only if somebody asks for its label


def shape_from_json(number: int, raw: Any, rounds: bool = False) -> Shape:
    """Read one entry of `shapes`; `number`, from 1, is its position in the file.

    The places of a `mask` are truncated to whole pixels, or rounded, as LabelMe 7.1 does. Whatever
    else is wrong than the label is the `problem` of the shape.
    """
    label = raw.get("label") if isinstance(raw, dict) else None
    if not isinstance(label, str) or not label.strip() or not is_plain(label):
        raise Malformed(f"shape {number} has no label")
    mask = None
    shape_type = raw.get("shape_type") or "polygon"  # the first releases knew no other
    try:
        if not isinstance(shape_type, str) or shape_type not in _COUNTS:
            raise Malformed(f"is of the unknown type {shape_type!r}")
        points = _points(raw.get("points"))
        if shape_type == "rectangle" and len(points) == 4:
            shape_type, points = _four_corners(points)
        fewest, most = _COUNTS[shape_type]
        if not fewest <= len(points) <= most:
            expected = fewest if fewest == most else f"at least {fewest}"
            raise Malformed(f"is a {shape_type} of {len(points)} points instead of {expected}")
        if shape_type == "rotation":
            shape_type = "polygon"
        elif shape_type == "mask":
            mask, points = _mask(raw.get("mask"), points, rounds)
    except Malformed as error:
        return Shape(label, "", np.empty((0, 2)), problem=str(error))
    return Shape(label, shape_type, points, mask)


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
    """Fill the region of a shape with a value, outline included, as LabelMe does.

    The shape is clipped to the canvas, which is of mode L.

    Raises:
        Malformed: The shape encloses nothing.
    """
    draw = ImageDraw.Draw(canvas)
    shape_type = shape.shape_type
    points = [(x, y) for x, y in shape.points.tolist()]
    is_closed = shape_type == "linestrip" and len(points) >= 3
    if is_closed or shape_type in ("polygon", "oriented_rectangle"):
        draw.polygon(points, fill=value, outline=value)
    elif shape_type == "rectangle":
        draw.rectangle((*np.min(points, axis=0), *np.max(points, axis=0)), value, value)
    elif shape_type == "circle":
        (x, y), (rim_x, rim_y) = points
        radius = math.sqrt((x - rim_x) ** 2 + (y - rim_y) ** 2)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=value, outline=value)
    elif shape_type == "mask":
        left, top = map(int, points[0])  # truncated, as LabelMe 6 does
        canvas.paste(value, (left, top), Image.fromarray(shape.mask))
    else:
        of_two = " of two points" if shape_type == "linestrip" else ""
        raise Malformed(f"is a {shape_type}{of_two}, which encloses nothing")


def crosses_itself(points: np.ndarray) -> bool:
    """Tell whether an outline crosses itself so far that its area is in doubt.

    The area is counted in two ways that agree for a simple outline: by the pixels that an odd
    number of turns encloses, and by the shoelace formula, in which a loop in the other direction
    is negative. By Pick's theorem the pixel count is larger by half of the pixels on the outline;
    a difference of all of those means a crossing. The small loops of an unsteady hand stay below.

    `points` are float (N, 2), x and y of the vertices; the last joins the first.
    """
    scale = (_CANVAS - 1) / max(np.ptp(points, axis=0).max(), 1)
    vertices = np.round((points - points.min(axis=0)) * scale).astype(np.int32)
    following = np.roll(vertices, -1, axis=0)
    if np.abs(following - vertices).max(axis=1).sum() > _MAX_LENGTH * _CANVAS:
        return True  # a scribble, which would take minutes to fill
    filled, outline = np.zeros((2, _CANVAS, _CANVAS), np.uint8)
    cv2.fillPoly(filled, [vertices], 1)
    cv2.polylines(outline, [vertices], True, 1)
    shoelace = cv2.contourArea(vertices)
    return abs(cv2.countNonZero(filled) - shoelace) > cv2.countNonZero(outline) + 1


def bytes_from_base64(raw: Any, what: str) -> bytes:
    """Decode base64, line breaks allowed; `what` names it in an error message."""
    try:
        return base64.b64decode("".join(raw.split()), validate=True)
    except (AttributeError, binascii.Error, ValueError):
        raise Malformed(f"{what} is not valid base64") from None


def is_plain(text: str) -> bool:
    """Tell whether a text can be part of a file name and of a message."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def is_coordinate(value: Any) -> bool:
    """Tell whether a JSON value can be a coordinate in pixels."""
    return type(value) in (int, float) and abs(value) <= _MAX_COORDINATE  # False for NaN


def _points(raw: Any) -> np.ndarray:
    if not isinstance(raw, list):
        raise Malformed("has no list of points")
    for number, point in enumerate(raw, start=1):
        if not isinstance(point, list) or len(point) != 2 or not all(map(is_coordinate, point)):
            raise Malformed(f"has no coordinates in an image as its point {number}")
    return np.array(raw, dtype=np.float64).reshape(-1, 2)


def _four_corners(points: np.ndarray) -> tuple[str, np.ndarray]:
    """The type and points of X-AnyLabeling's rectangle, which has its corners in any order."""
    low, high = points.min(axis=0), points.max(axis=0)
    is_high = points > (low + high) / 2
    distance = np.abs(points - np.where(is_high, high, low)).max()
    if distance < _MAX_SKEW and len(np.unique(is_high, axis=0)) == 4:
        return "rectangle", np.stack([low, high])
    return "polygon", points


def _mask(raw: Any, points: np.ndarray, rounds: bool) -> tuple[np.ndarray, np.ndarray]:
    """The pixels of a mask, and the first and last of them in the image.

    The PNG has the size of their box, from which the rounding of fractions may differ by one.
    """
    content = bytes_from_base64(raw, "its mask")
    first, last = points.round() if rounds else np.trunc(points)
    width, height = map(int, last - first + 1)
    slack = int(rounds and (points % 1).any())
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            size = image.size  # if it is not that of the box, any, and so not decoded
            fits = max(abs(size[0] - width), abs(size[1] - height)) <= slack
            mask = np.asarray(image.convert("L")) > 0 if fits else None
    except Exception:  # noqa: BLE001 (damage makes Pillow raise almost anything)
        raise Malformed("has a mask that is not a valid PNG") from None
    if mask is None:
        raise Malformed(f"has a mask of {size[1]}×{size[0]} pixels in a box of {height}×{width}")
    return mask, np.stack([first, first + np.array(size) - 1])
