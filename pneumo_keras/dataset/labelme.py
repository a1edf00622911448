"""LabelMe annotations: read the files of releases 3 to 7, rasterise them, write them.

LabelMe itself is not needed; rectangles and rotated boxes of X-AnyLabeling are read as well. Labels
are compared without case and surrounding spaces.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pneumo_keras.dataset.shapes import (
    Malformed,
    Shape,
    bytes_from_base64,
    crosses_itself,
    draw_shape,
    is_coordinate,
    is_plain,
    shape_from_json,
    shape_to_json,
)
from pneumo_keras.errors import StudyError
from pneumo_keras.files import write_bytes

BACKGROUND = "_background_"
_MAX_POINTS = 50_000  # of the labels asked for; no hand draws more, and filling them takes minutes
_WAY_OUT = "fix it in the program it was drawn with, or by hand"
_VERSION = "6.3.1"  # the release whose file format `write_annotation` follows
_MAX_BEYOND = 0.01  # of the longer side of the image, by which an outline may leave it


@dataclass(frozen=True, eq=False)
class Annotation:
    """One LabelMe file."""

    path: Path  # the JSON file
    image: str  # `imagePath` as written: relative or absolute, perhaps with backslashes
    embedded: bytes | None  # the image file, if `imageData` holds it
    height: int | None  # of the displayed image in pixels, if the file says so
    width: int | None
    shapes: tuple[Shape, ...]  # in the order of the file


def label_key(label: str) -> str:
    """The form in which labels are compared, without case and surrounding spaces."""
    return label.strip().casefold()


def read_annotation(path: str | Path) -> Annotation:
    """Read a LabelMe JSON file of any release from 3 to 7, UTF-8 with or without byte order mark.

    Raises:
        StudyError: The file is missing or not a valid LabelMe annotation. An invalid shape counts
            only where its label is asked for, in `rasterize` and `refuse_unsound`.
    """
    path = Path(path)
    try:
        document = json.loads(path.read_bytes().decode("utf-8-sig"), object_pairs_hook=_unique_keys)
        return _annotation(path, document)
    except Malformed as error:
        raise StudyError(f"{path}: {error}; {_WAY_OUT}") from None
    except OSError as error:
        raise StudyError(f"{path} cannot be read ({error.strerror}): check the path") from None
    except UnicodeDecodeError:
        raise StudyError(f"{path} is not UTF-8 text: save it again as UTF-8") from None
    except (ValueError, RecursionError):
        raise StudyError(f"{path} is not valid JSON: re-export the annotation") from None


def refuse_unsound(annotation: Annotation, labels: Iterable[str], height: int, width: int) -> None:
    """Refuse shapes of these labels, or of the background, that do not say what they enclose.

    Raises:
        StudyError: A shape is invalid, crosses itself, or leaves the image of height × width pixels
            by more than 2 pixels and more than 1 % of the longer side.
    """
    tolerance = max(2.0, _MAX_BEYOND * max(height, width))
    for name, shape in _shapes_of(annotation, labels):
        points = shape.points
        if not len(points):
            continue
        beyond = max(-points.min(), *(points.max(axis=0) - (width, height)))
        if beyond > tolerance:
            reach = f"{beyond:.0f} pixels beyond the {width}×{height} image"
            raise StudyError(f"{name} reaches {reach}: draw it again")
        closed = shape.shape_type in ("polygon", "linestrip")
        if closed and len(points) > 3 and crosses_itself(points):
            raise StudyError(f"{name} crosses itself: draw it again")


def rasterize(annotation: Annotation, label: str, height: int, width: int) -> np.ndarray:
    """Rasterise the shapes of one label, which unite, as LabelMe 6.3.1 would, pixel by pixel.

    Vertices are truncated to whole pixels and the outline belongs to the region, so a 10×10 polygon
    covers 11×11 = 121 pixels. Regions are clipped to the image. A `linestrip`, the "polyline" of
    the paper, is closed and filled as a polygon (LabelMe would draw a stroke of 10 pixels). Shapes
    of other labels do not matter, except `_background_`, LabelMe's own word, which erases what the
    shapes before it in the file drew: so a hole is cut.

    Returns:
        bool (height, width), the size of the displayed image in pixels; True inside.

    Raises:
        StudyError: A shape of this label, or of the background, is invalid or encloses nothing
            (`line`, `point`, `points`, and `linestrip` of two points).

    Example:
        >>> square = Shape("lung", "rectangle", np.array([[2.0, 2.0], [12.0, 12.0]]))
        >>> annotation = Annotation(Path("a.json"), "a.png", None, 20, 20, (square,))
        >>> int(rasterize(annotation, "lung", 20, 20).sum())
        121
    """
    canvas = Image.new("L", (width, height))
    for name, shape in _shapes_of(annotation, [label]):
        try:
            draw_shape(canvas, shape, int(label_key(shape.label) != BACKGROUND))
        except Malformed as error:
            raise StudyError(f"{name} {error}: draw a polygon or delete it") from None
    return np.asarray(canvas) > 0


def write_annotation(
    path: str | Path,
    image_path: str,
    shapes: Sequence[Shape],
    height: int,
    width: int,
    overwrite: bool = False,
) -> None:
    """Write a JSON file that LabelMe 4 to 7 opens, creating its folder.

    Args:
        path: File to write.
        image_path: The image, relative to the folder of `path`.
        shapes: Shapes to write; none for an image without findings.
        height: Height of the displayed image in pixels.
        width: Width of it.
        overwrite: Whether an existing file may be replaced.

    Raises:
        StudyError: The file exists, or cannot be written, or the image's name is not UTF-8.
        ValueError: A shape is invalid, such as a polygon of two points.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.json"
        >>> write_annotation(path, "a.png", [], height=20, width=20)
        >>> read_annotation(path).image
        'a.png'
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise StudyError(f"{path} exists already: move it away or choose another folder")
    if not is_plain(str(image_path)):
        raise StudyError(f"{str(image_path)!a} has a name that is not UTF-8: rename it")
    document = {
        "version": _VERSION,
        "flags": {},
        "shapes": [shape_to_json(shape) for shape in shapes],
        "imagePath": str(image_path).replace("\\", "/"),
        "imageData": None,
        "imageHeight": int(height),
        "imageWidth": int(width),
    }
    try:
        for number, shape in enumerate(_annotation(path, document).shapes, start=1):
            if shape.problem:
                raise Malformed(f"shape {number} ({shape.label!r}) {shape.problem}")
    except Malformed as error:
        raise ValueError(f"{path} would not be a valid annotation: {error}") from None
    write_bytes(path, json.dumps(document, ensure_ascii=False, indent=2).encode())


def _shapes_of(annotation: Annotation, labels: Iterable[str]) -> list[tuple[str, Shape]]:
    """The shapes of these labels and of the background, all valid, with their names in messages."""
    keys = {BACKGROUND, *map(label_key, labels)}
    named = [
        (f"{annotation.path}: shape {number} ({shape.label!r})", shape)
        for number, shape in enumerate(annotation.shapes, start=1)
        if label_key(shape.label) in keys
    ]
    for name, shape in named:
        if shape.problem:
            raise StudyError(f"{name} {shape.problem}; {_WAY_OUT}")
    count = sum(len(shape.points) for _, shape in named)
    if count > _MAX_POINTS:
        what = f"it holds {count:,} points, more than {_MAX_POINTS:,}"
        raise StudyError(f"{annotation.path}: {what}; {_WAY_OUT}")
    return named


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    repeated = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
    if repeated:
        raise Malformed(f"the key {repeated[0]!r} occurs twice in one object")
    return dict(pairs)


def _annotation(path: Path, document: Any) -> Annotation:
    if not isinstance(document, dict) or not isinstance(document.get("shapes"), list):
        raise Malformed('it is not a LabelMe annotation (it has no list named "shapes")')
    image, embedded, shapes = (document.get(key) for key in ("imagePath", "imageData", "shapes"))
    if not isinstance(image, str) or not is_plain(image):
        raise Malformed('"imagePath" is missing or not a path')
    release = re.match(r"(\d{1,3})\.(\d{1,3})", str(document.get("version")))
    rounds = bool(release) and tuple(map(int, release.groups())) >= (7, 1)
    return Annotation(
        path,
        image,
        bytes_from_base64(embedded, '"imageData"') if embedded else None,
        _length(document, "imageHeight"),
        _length(document, "imageWidth"),
        tuple(shape_from_json(number, raw, rounds) for number, raw in enumerate(shapes, start=1)),
    )


def _length(document: dict[str, Any], key: str) -> int | None:
    length = document.get(key)
    if length is not None and not (is_coordinate(length) and length >= 1 and length % 1 == 0):
        raise Malformed(f'"{key}" is not a number of pixels')
    return None if length is None else int(length)
