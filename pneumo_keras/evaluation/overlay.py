"""A film with what is marked on it."""

from __future__ import annotations

import cv2
import numpy as np

# Blue-green on grey: seen by the colour-blind too. RGB.
MARK = (0, 158, 115)
OPACITY = 0.35


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
    grey = np.repeat(film[..., None], 3, axis=2)
    tinted = ((1 - OPACITY) * grey + OPACITY * np.array(MARK)).astype(np.uint8)
    picture = np.where(mask[..., None], tinted, grey)
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    thickness = max(1, round(max(film.shape) / 400))
    return cv2.drawContours(np.ascontiguousarray(picture), contours, -1, MARK, thickness)
