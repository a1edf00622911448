"""Augmentation: random rotation, scale and shift of image and mask, and exposure of the image.

The ranges are those between two exposures of one patient: chest X-rays are never upside down, and a
mirrored one would have the heart on the other side.
"""

import cv2
import numpy as np

# Largest change in either direction.
ROTATION = 10.0  # degrees
SCALE = 0.10  # fraction
SHIFT = 0.06  # fraction of the side
GAMMA = 0.25  # natural logarithm of the exponent
CONTRAST = 0.15  # fraction
BRIGHTNESS = 20.0  # grey levels


def augment(
    image: np.ndarray, mask: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one random variation of an image and its mask.

    Args:
        image: (side, side) uint8; pixels that enter from outside repeat its border.
        mask: (side, side) uint8, 0 or 1; pixels that enter from outside are 0.
        rng: source of all random numbers.

    Example:
        >>> image, mask = np.full((8, 8), 90, np.uint8), np.ones((8, 8), np.uint8)
        >>> image, mask = augment(image, mask, np.random.default_rng(0))
        >>> image.shape, set(mask.ravel().tolist()) <= {0, 1}
        ((8, 8), True)
    """
    side = image.shape[0]
    centre = (side - 1) / 2
    matrix = cv2.getRotationMatrix2D(
        (centre, centre), rng.uniform(-ROTATION, ROTATION), rng.uniform(1 - SCALE, 1 + SCALE)
    )
    matrix[:, 2] += rng.uniform(-SHIFT, SHIFT, 2) * side
    size = (side, side)
    image = cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REPLICATE)  # bilinear
    mask = cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_NEAREST)
    # The new grey level of each: gamma, then contrast about the middle, then brightness.
    grey = np.linspace(0, 1, 256) ** np.exp(rng.uniform(-GAMMA, GAMMA))
    grey = (grey - 0.5) * (1 + rng.uniform(-CONTRAST, CONTRAST)) + 0.5
    grey = 255 * grey + rng.uniform(-BRIGHTNESS, BRIGHTNESS)
    return cv2.LUT(image, np.clip(np.round(grey), 0, 255).astype(np.uint8)), mask
