"""LabelMe annotations: reading the files of releases 3 to 7, painting them, writing them.

LabelMe itself is not needed. `paint` follows the rasteriser of LabelMe 6.3.1 pixel by pixel:
vertices are truncated to whole pixels and the outline belongs to the region, so a 10 by 10 polygon
covers 11 by 11 = 121 pixels, about half its perimeter more than its geometric area. Parts outside
the film are clipped.

What becomes of each kind of shape:

* `polygon`, `rectangle`, `oriented_rectangle`, `circle` and `mask` are filled.
* `linestrip`, the "polyline" of the paper, is closed and filled as a polygon (LabelMe would draw
  a stroke of 10 pixels).
* `line`, `point`, `points` and a linestrip of two points enclose nothing: painting their label is
  refused. Shapes of other labels are not looked at.

Several labels, overlaps, holes: each label is a layer of its own, and shapes of other labels
change nothing in it. Shapes of one label unite. A shape labelled `_background_`, LabelMe's own
word, clears what the shapes before it in the file painted; that is how a hole is drawn. Labels
are compared without case and surrounding spaces.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pneumo_keras.dataset.files import write_whole
from pneumo_keras.dataset.shapes import (
    FARTHEST,
    Malformed,
    Shape,
    bytes_from_base64,
    draw_shape,
    is_plain,
    shape_from_json,
    shape_to_json,
)
from pneumo_keras.errors import StudyError

__all__ = [
    "BACKGROUND",
    "Annotation",
    "Shape",
    "label_key",
    "paint",
    "read_annotation",
    "unknown_labels",
    "write_annotation",
]

BACKGROUND = "_background_"
MOST_POINTS = 50_000  # in a file; more are no outlines drawn by hand, and take minutes to fill
WRITTEN_AS = "6.3.1"  # the release whose file format `write_annotation` follows


@dataclass(frozen=True, eq=False)
class Annotation:
    """One LabelMe file.

    Attributes:
        path: The JSON file.
        film: `imagePath` as written: relative or absolute, perhaps with backslashes.
        embedded: The film file itself, where `imageData` holds it.
        height: Of the displayed film in pixels; None where the file does not say.
        width: The same.
        shapes: In the order of the file.
    """

    path: Path
    film: str
    embedded: bytes | None
    height: int | None
    width: int | None
    shapes: tuple[Shape, ...]


def label_key(label: str) -> str:
    """What two labels have in common when they are the same label.

    Example:
        >>> label_key(" Pneumonia ") == label_key("pneumonia")
        True
    """
    return label.strip().casefold()


def unknown_labels(annotation: Annotation, declared: Iterable[str]) -> list[str]:
    """The labels of an annotation that are not declared, each once, in the order of the file.

    Example:
        >>> shapes = tuple(Shape(label, "point", np.zeros((1, 2))) for label in ("Lung", "lnug"))
        >>> unknown_labels(Annotation(Path("a.json"), "a.png", None, 9, 9, shapes), ["lung"])
        ['lnug']
    """
    known = {BACKGROUND, *map(label_key, declared)}
    labels = dict.fromkeys(shape.label for shape in annotation.shapes)
    return [label for label in labels if label_key(label) not in known]


def read_annotation(path: str | Path) -> Annotation:
    """Reads a LabelMe JSON file of any release from 3 to 7.

    Args:
        path: The file, UTF-8 with or without byte order mark.

    Raises:
        StudyError: The file is missing, no JSON, or no sound LabelMe annotation; the message
            names the file, and the number (from 1) and label of the shape at fault.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
        document = json.loads(text, object_pairs_hook=_unique_keys)
    except Malformed as error:
        raise StudyError(f"{path}: {error}; mend it by hand") from None
    except OSError as error:
        raise StudyError(f"{path} cannot be read ({error.strerror}): check the path") from None
    except UnicodeDecodeError:
        raise StudyError(f"{path} is not UTF-8 text: save it again with labelme") from None
    except (ValueError, RecursionError):
        raise StudyError(f"{path} is no sound JSON: annotate the film again") from None
    try:
        return _annotation(path, document)
    except Malformed as error:
        raise StudyError(f"{path}: {error}; mend it with labelme") from None


def paint(annotation: Annotation, label: str, height: int, width: int) -> np.ndarray:
    """Paints the region of one label, as LabelMe would (see the top of this module).

    Args:
        annotation: As read.
        label: Whose region; case and surrounding spaces do not matter.
        height: Of the displayed film in pixels.
        width: The same.

    Returns:
        bool array (height, width), True inside.

    Raises:
        StudyError: A shape of this label, or of the background, encloses nothing.

    Example:
        >>> square = Shape("lung", "rectangle", np.array([[2.0, 2.0], [12.0, 12.0]]))
        >>> annotation = Annotation(Path("a.json"), "a.png", None, 20, 20, (square,))
        >>> int(paint(annotation, "lung", 20, 20).sum())
        121
    """
    canvas = Image.new("L", (width, height))
    for number, shape in enumerate(annotation.shapes, start=1):
        key = label_key(shape.label)
        if key not in (label_key(label), BACKGROUND):
            continue
        try:
            draw_shape(canvas, shape, 1 if key == label_key(label) else 0)
        except Malformed as error:
            raise StudyError(
                f"{annotation.path}: shape {number} ({shape.label!r}) {error}: "
                "draw it again as a polygon or delete it"
            ) from None
    return np.asarray(canvas) > 0


def write_annotation(
    path: str | Path,
    film_path: str,
    shapes: Sequence[Shape],
    height: int,
    width: int,
    overwrite: bool = False,
) -> None:
    """Writes a JSON file that LabelMe 4 to 7 opens, whole or not at all.

    Args:
        path: The file; its folder is made if need be.
        film_path: The film, seen from the folder of `path`.
        shapes: What to write; none is a film without findings.
        height: Of the displayed film in pixels, EXIF orientation applied.
        width: The same.
        overwrite: Whether an existing file may be replaced.

    Raises:
        StudyError: The file exists, or the folder cannot be written to.
        ValueError: A shape is not sound, such as a polygon of two points.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.json"
        >>> square = Shape("lung", "rectangle", np.array([[2.0, 2.0], [12.0, 12.0]]))
        >>> write_annotation(path, "a.png", [square], height=20, width=20)
        >>> read_annotation(path).shapes[0].label
        'lung'
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise StudyError(f"{path} exists already: move it away or choose another folder")
    document = {
        "version": WRITTEN_AS,
        "flags": {},
        "shapes": [shape_to_json(shape) for shape in shapes],
        "imagePath": str(film_path).replace("\\", "/"),
        "imageData": None,
        "imageHeight": int(height),
        "imageWidth": int(width),
    }
    try:
        _annotation(path, document)
    except Malformed as error:
        raise ValueError(f"{path} would not be a sound annotation: {error}") from None
    write_whole(path, json.dumps(document, ensure_ascii=False, indent=2).encode())


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; of two values for one key, nobody knows which was meant."""
    content = dict(pairs)
    if len(content) < len(pairs):
        key = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise Malformed(f"the key {key!r} stands twice in one object")
    return content


def _annotation(path: Path, document: Any) -> Annotation:
    if not isinstance(document, dict) or not isinstance(document.get("shapes"), list):
        raise Malformed('it is no LabelMe annotation (it has no list named "shapes")')
    film = document.get("imagePath")
    if not isinstance(film, str) or not is_plain(film):
        raise Malformed('"imagePath" is missing or no path')
    _refuse_too_many_points(document["shapes"])
    embedded = document.get("imageData")
    return Annotation(
        path=path,
        film=film,
        embedded=bytes_from_base64(embedded, '"imageData"') if embedded else None,
        height=_length(document, "imageHeight"),
        width=_length(document, "imageWidth"),
        shapes=tuple(
            shape_from_json(number, raw) for number, raw in enumerate(document["shapes"], start=1)
        ),
    )


def _refuse_too_many_points(shapes: list[Any]) -> None:
    drawn = [shape.get("points") for shape in shapes if isinstance(shape, dict)]
    count = sum(len(points) for points in drawn if isinstance(points, list))
    if count > MOST_POINTS:
        raise Malformed(f"it holds {count:,} points, more than {MOST_POINTS:,}")


def _length(document: dict[str, Any], key: str) -> int | None:
    length = document.get(key)
    if length is None:
        return None
    if type(length) not in (int, float) or not 1 <= length <= FARTHEST or length != int(length):
        raise Malformed(f'"{key}" is no number of pixels')
    return int(length)
