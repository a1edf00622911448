"""A film with what is marked on it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import ImageColor

MARK = "#009E73"  # blue-green on grey: seen by the colour-blind too
OPACITY = 0.45  # of the colours laid over a film


def tinted_film(film: np.ndarray, regions: Sequence[tuple[np.ndarray, str]]) -> np.ndarray:
    """A film with each region coloured in.

    Args:
        film: (height, width) uint8.
        regions: masks (height, width) bool with their colours, `#rrggbb`.

    Returns:
        (height, width, 3) uint8, RGB. Pixels of no region keep their grey.

    Example:
        >>> film, mask = np.array([[100, 100]], np.uint8), np.array([[True, False]])
        >>> tinted_film(film, [(mask, "#FF0000")]).tolist()
        [[[170, 55, 55], [100, 100, 100]]]
    """
    picture = np.repeat(film[..., None], 3, axis=2)
    for region, colour in regions:
        tint = np.array(ImageColor.getrgb(colour))
        mixed = (1 - OPACITY) * picture[region] + OPACITY * tint
        picture[region] = np.round(mixed).astype(np.uint8)
    return picture


def overlay(film: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Tints the marked pixels of a film and draws their outline.

    Args:
        film: (height, width) uint8.
        mask: (height, width) bool.

    Returns:
        (height, width, 3) uint8, RGB. Pixels that are not marked keep their grey.

    Example:
        >>> overlay(np.full((4, 4), 9, np.uint8), np.zeros((4, 4), bool))[0, 0].tolist()
        [9, 9, 9]
    """
    picture = tinted_film(film, [(mask, MARK)])
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    thickness = max(1, round(max(film.shape) / 400))
    return cv2.drawContours(picture, contours, -1, ImageColor.getrgb(MARK), thickness)
