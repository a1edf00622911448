"""Resize images and masks to the square input of a network, and predictions back again.

The square is filled by stretching, which changes the aspect ratio, or with `letterbox` by scaling
to fit, centred, with 0 around image and mask. CLAHE, contrast-limited adaptive histogram
equalisation (Zuiderveld, Graphics Gems IV, 1994), is applied before the letterbox adds its borders.
"""

import cv2
import numpy as np

CLAHE_LIMIT, CLAHE_TILES = 2.0, (8, 8)  # a clip limit common for chest X-rays; OpenCV's tiles


def resize_image(
    image: np.ndarray, size: int, clahe: bool = False, letterbox: bool = False
) -> np.ndarray:
    """Resize an image, (height, width) uint8, to (size, size).

    Pixels are averaged where the image shrinks, against aliasing, else interpolated bilinearly.

    Example:
        >>> resize_image(np.full((1, 2), 9, np.uint8), 4, letterbox=True).tolist()
        [[0, 0, 0, 0], [9, 9, 9, 9], [9, 9, 9, 9], [0, 0, 0, 0]]
    """
    rows, columns = _place(image.shape, size, letterbox)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    shrinks = height < image.shape[0] and width < image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(image, (width, height), interpolation=method)
    if clahe:
        resized = cv2.createCLAHE(CLAHE_LIMIT, CLAHE_TILES).apply(resized)
    square = np.zeros((size, size), np.uint8)
    square[rows, columns] = resized
    return square


def resize_mask(mask: np.ndarray, size: int, letterbox: bool = False) -> np.ndarray:
    """Resize a mask, (height, width) bool or 0/1, to (size, size) uint8 by nearest pixel.

    Example:
        >>> resize_mask(np.eye(2, dtype=bool), 4).tolist()
        [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    """
    rows, columns = _place(mask.shape, size, letterbox)
    shape = (columns.stop - columns.start, rows.stop - rows.start)
    nearest = cv2.INTER_NEAREST_EXACT
    square = np.zeros((size, size), np.uint8)
    square[rows, columns] = cv2.resize(mask.astype(np.uint8), shape, interpolation=nearest)
    if square.max() > 1:
        raise ValueError(f"a mask holds 0 and 1 only; got {np.unique(square).tolist()}")
    return square


def resize_back(
    probability: np.ndarray, shape: tuple[int, int], letterbox: bool = False
) -> np.ndarray:
    """Resize a probability map, (size, size) float32, to the shape of the original image.

    The interpolation is bilinear; the borders of a letterbox are cut off.

    Example:
        >>> marked = np.array([[7, 7], [1, 1], [2, 2], [7, 7]], np.float32)
        >>> resize_back(marked.repeat(2, axis=1), (2, 4), letterbox=True).tolist()
        [[1.0, 1.0, 1.0, 1.0], [2.0, 2.0, 2.0, 2.0]]
    """
    inner = probability[_place(shape, len(probability), letterbox)]
    return cv2.resize(inner, shape[::-1], interpolation=cv2.INTER_LINEAR)


def _place(shape: tuple[int, int], size: int, letterbox: bool) -> tuple[slice, ...]:
    """Rows and columns of the square that an image fills."""
    if not letterbox:
        return slice(0, size), slice(0, size)
    lengths = [max(1, round(side * size / max(shape))) for side in shape]
    return tuple(slice((size - n) // 2, (size - n) // 2 + n) for n in lengths)
