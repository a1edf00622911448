"""Outlines that do not say what they enclose: beyond the film, or across themselves."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from pneumo_keras.dataset.labelme import BACKGROUND, Annotation, label_key
from pneumo_keras.dataset.shapes import Shape
from pneumo_keras.errors import StudyError

_CANVAS = 1024  # pixels a side on which an outline is looked at, whatever its size
_LONGEST = 128  # times the longer side of its box
_BEYOND = 0.01  # of the longer side of the film: what a hand or a rounding tool strays
_CLOSED = ("polygon", "linestrip")


def refuse_unsound(annotation: Annotation, labels: Iterable[str], height: int, width: int) -> None:
    """Refuses an annotation with a shape of which nobody can say what it encloses.

    Args:
        annotation: As read.
        labels: Whose shapes are looked at; those of the background always are.
        height: Of the displayed film in pixels.
        width: The same.

    Raises:
        StudyError: A shape reaches beyond the film by more than 2 pixels and 1 % of its longer
            side, or crosses itself.

    Example:
        >>> from pathlib import Path
        >>> bow = Shape("lung", "polygon", np.array([[0, 0], [9, 9], [9, 0], [0, 9.0]]))
        >>> refuse_unsound(Annotation(Path("a.json"), "", None, 9, 9, (bow,)), ["lung"], 9, 9)
        Traceback (most recent call last):
        ...
        pneumo_keras.errors.StudyError: a.json: shape 1 ('lung') crosses itself: draw it again
    """
    keys = {BACKGROUND, *map(label_key, labels)}
    slack = max(2.0, _BEYOND * max(height, width))
    for number, shape in enumerate(annotation.shapes, start=1):
        if label_key(shape.label) not in keys or not len(shape.points):
            continue
        name = f"{annotation.path}: shape {number} ({shape.label!r})"
        beyond = max(-shape.points.min(), *(shape.points.max(axis=0) - (width, height)))
        if beyond > slack:
            raise StudyError(
                f"{name} reaches {beyond:.0f} pixels beyond the film of {width}×{height}: "
                "draw it again on this film"
            )
        if shape.shape_type in _CLOSED and len(shape.points) > 3 and crosses_itself(shape):
            raise StudyError(f"{name} crosses itself: draw it again")


def crosses_itself(shape: Shape) -> bool:
    """Whether an outline crosses itself so far that its area is in doubt.

    The area inside is counted in two ways that agree for a simple outline: by the pixels an odd
    number of turns encloses, and by the shoelace formula, which counts a loop the other way round
    as less than nothing. By Pick's theorem the pixels, outline included, are more by half of those
    on the outline; a difference of all of those tells a crossing. Loops of a slip of the hand
    differ by less and are let pass, as LabelMe fills them.

    Args:
        shape: A polygon, or a line to be closed.

    Example:
        >>> square = np.array([[0, 0], [9, 0], [9, 9], [0, 9.0]])
        >>> crosses_itself(Shape("lung", "polygon", square))
        False
        >>> crosses_itself(Shape("lung", "polygon", square[[0, 2, 1, 3]]))
        True
    """
    extent = np.ptp(shape.points, axis=0).max()
    scale = (_CANVAS - 1) / max(extent, 1)
    vertices = np.round((shape.points - shape.points.min(axis=0)) * scale).astype(np.int32)
    following = np.roll(vertices, -1, axis=0)
    if np.abs(following - vertices).max(axis=1).sum() > _LONGEST * _CANVAS:
        return True  # a scribble, which would take minutes to fill
    filled, outline = np.zeros((2, _CANVAS, _CANVAS), np.uint8)
    cv2.fillPoly(filled, [vertices], 1)
    cv2.polylines(outline, [vertices], True, 1)
    x, y = vertices.astype(np.int64).T
    next_x, next_y = following.astype(np.int64).T
    shoelace = abs(int((x * next_y - next_x * y).sum())) / 2
    return abs(cv2.countNonZero(filled) - shoelace) > cv2.countNonZero(outline) + 1
