"""Augmentation: film and mask moved together, the film's exposure changed.

Small, as between two exposures of one patient: a chest film is never upside down, and a mirrored
one would have its heart on the other side.
"""

from __future__ import annotations

import cv2
import numpy as np

ROTATION = 10.0  # degrees, either way
SCALING = 0.10  # share, either way
SHIFT = 0.06  # share of the side, either way
GAMMA = 0.25  # natural logarithm of the exponent, either way
CONTRAST = 0.15  # share, either way
BRIGHTNESS = 20.0  # grey levels, either way


def augment(
    film: np.ndarray, mask: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One random variation of a film and its mask.

    Args:
        film: (side, side) uint8, 0..255.
        mask: (side, side) uint8, 0 or 1.
        random: where the chance comes from.

    Returns:
        Film and mask of the same shapes and types. What enters from outside the film is its
        border continued, and never marked.

    Example:
        >>> film, mask = np.full((8, 8), 90, np.uint8), np.ones((8, 8), np.uint8)
        >>> moved_film, moved_mask = augment(film, mask, np.random.default_rng(0))
        >>> moved_film.shape, sorted(set(moved_mask.ravel().tolist())) <= [0, 1]
        ((8, 8), True)
    """
    side = film.shape[0]
    centre = (side - 1) / 2
    move = cv2.getRotationMatrix2D(
        (centre, centre),
        random.uniform(-ROTATION, ROTATION),
        random.uniform(1 - SCALING, 1 + SCALING),
    )
    move[:, 2] += random.uniform(-SHIFT, SHIFT, 2) * side
    moved = cv2.warpAffine(
        film, move, film.shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    mask = cv2.warpAffine(mask, move, mask.shape[::-1], flags=cv2.INTER_NEAREST)
    return cv2.LUT(moved, _exposure(random)), mask


def _exposure(random: np.random.Generator) -> np.ndarray:
    """A grey level for each grey level: gamma, then contrast about the middle, then brightness."""
    grey = np.linspace(0, 1, 256) ** np.exp(random.uniform(-GAMMA, GAMMA))
    grey = (grey - 0.5) * (1 + random.uniform(-CONTRAST, CONTRAST)) + 0.5
    grey = 255 * grey + random.uniform(-BRIGHTNESS, BRIGHTNESS)
    return np.clip(np.round(grey), 0, 255).astype(np.uint8)
