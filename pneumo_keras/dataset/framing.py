"""A film in the square frame of a network, and what a network returns back in the film's frame.

Two ways into the square: stretched to it, which changes the proportions of a film that is none, or
letterboxed: scaled to fit, centred, the rest black (0) in film and mask. CLAHE, contrast-limited
adaptive histogram equalisation (Zuiderveld, Graphics Gems IV, 1994), acts on the scaled film
before any black is put around it, so that it sees the film alone.
"""

from __future__ import annotations

import cv2
import numpy as np

# OpenCV's usual tiles; the limit of 2 in use for chest films.
CLAHE_LIMIT, CLAHE_TILES = 2.0, (8, 8)


def resize_film(
    film: np.ndarray, size: int, clahe: bool = False, letterbox: bool = False
) -> np.ndarray:
    """A film as a network gets it.

    Args:
        film: (height, width) uint8.
        size: side, pixels.
        clahe: equalise its contrast locally.
        letterbox: keep its proportions, black around it.

    Returns:
        (size, size) uint8.

    Example:
        >>> resize_film(np.full((1, 2), 9, np.uint8), 4, letterbox=True).tolist()
        [[0, 0, 0, 0], [9, 9, 9, 9], [9, 9, 9, 9], [0, 0, 0, 0]]
    """
    rows, columns = _place(film.shape, size, letterbox)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    shrinks = height < film.shape[0] and width < film.shape[1]
    # By area where it shrinks, so that fine structure does not alias.
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    small = cv2.resize(film, (width, height), interpolation=method)
    if clahe:
        small = cv2.createCLAHE(CLAHE_LIMIT, CLAHE_TILES).apply(small)
    framed = np.zeros((size, size), np.uint8)
    framed[rows, columns] = small
    return framed


def resize_mask(mask: np.ndarray, size: int, letterbox: bool = False) -> np.ndarray:
    """A mask in the same frame, by nearest pixel: no value that was not there before.

    Args:
        mask: (height, width) bool or 0/1.
        size: side, pixels.
        letterbox: as for the film.

    Returns:
        (size, size) uint8, 0 or 1.

    Example:
        >>> resize_mask(np.eye(2, dtype=bool), 4).tolist()
        [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    """
    rows, columns = _place(mask.shape, size, letterbox)
    shape = (columns.stop - columns.start, rows.stop - rows.start)
    framed = np.zeros((size, size), np.uint8)
    framed[rows, columns] = cv2.resize(
        mask.astype(np.uint8), shape, interpolation=cv2.INTER_NEAREST_EXACT
    )
    values = set(np.unique(framed).tolist())
    if not values <= {0, 1}:
        raise ValueError(f"a mask holds 0 and 1 only; got {sorted(values)}")
    return framed


def at_size(probability: np.ndarray, shape: tuple[int, int], letterbox: bool = False) -> np.ndarray:
    """A map of probabilities back in a film's own frame and size, bilinear.

    Args:
        probability: (size, size) float32.
        shape: height and width of the film.
        letterbox: whether the film was letterboxed; what was predicted beside it is dropped.

    Returns:
        (height, width) float32.

    Example:
        >>> marked = np.array([[7, 7], [1, 1], [2, 2], [7, 7]], np.float32)
        >>> at_size(marked.repeat(2, axis=1), (2, 4), letterbox=True).tolist()
        [[1.0, 1.0, 1.0, 1.0], [2.0, 2.0, 2.0, 2.0]]
    """
    inner = probability[_place(shape, len(probability), letterbox)]
    return cv2.resize(inner, shape[::-1], interpolation=cv2.INTER_LINEAR)


def _place(shape: tuple[int, int], size: int, letterbox: bool) -> tuple[slice, slice]:
    """Rows and columns of the square that a film takes up."""
    if not letterbox:
        return slice(0, size), slice(0, size)
    slices = []
    for side in shape:
        length = max(1, round(side * size / max(shape)))
        before = (size - length) // 2
        slices.append(slice(before, before + length))
    return tuple(slices)
