"""Pneumonia in the phantom lungs: where it lies, how far it reaches and how dense it is."""

from __future__ import annotations

import math

import cv2
import numpy as np
from scipy import ndimage

from pneumo_keras.dataset.phantoms.canvas import Canvas

MOST = 0.42  # the largest share of a film measured on real ones


def draw_share(rng: np.random.Generator) -> float:
    """The share of the film that is opacity, as measured on films with pneumonia.

    A gamma distribution with mean 0.13, median 0.11 and 95th percentile 0.32, at most 0.42.
    """
    return float(np.clip(rng.gamma(2.0, 0.067), 0.012, MOST))


def lobar(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """Where bacterial pneumonia lies: highest in one lobe, sometimes in a second."""
    side = int(rng.choice([-1, 1], p=[0.58, 0.42]))
    field = np.full(canvas.shape, -np.inf, np.float32)
    for number in range(1 + (rng.random() < 0.3)):
        side = side if number == 0 or rng.random() < 0.4 else -side
        x = side * rng.uniform(0.3, 0.75)
        y = float(rng.choice([0.3, 0.65, 0.95], p=[0.28, 0.27, 0.45])) + rng.normal(0, 0.08)
        angle, stretch = rng.uniform(0, math.pi), rng.uniform(0.65, 1.0)
        sine, cosine = math.sin(angle), math.cos(angle)
        u = (canvas.x - x) * cosine + (canvas.y - y) * sine
        v = (canvas.y - y) * cosine - (canvas.x - x) * sine
        place = -np.sqrt(u**2 + (v / stretch) ** 2 + 0.02)
        if rng.random() < 0.4:  # a fissure stops it, above or below
            fissure = 0.62 + rng.normal(0, 0.06) + 0.25 * (np.abs(canvas.x) - 0.5)
            beyond = (canvas.y - fissure) * (1 if y < 0.62 else -1)
            place = place - 6 * np.clip(beyond, 0, None)
        place = place - 0.9 * (canvas.x * side < 0).astype(np.float32) - 0.12 * number
        field = np.maximum(field, place)
    return field + 0.1 * canvas.noise(rng, 0.2) + 0.05 * canvas.noise(rng, 0.09)


def diffuse(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """Where viral pneumonia lies: patches in both lungs, mostly around the hila."""
    x, y = np.abs(canvas.x), canvas.y
    hila = -np.hypot((x - 0.3) / 0.9, (y - rng.uniform(0.6, 0.85)) / 1.1)
    rim = x * rng.uniform(-0.2, 0.35) + y * rng.uniform(-0.1, 0.2)
    patches = canvas.noise(rng, rng.uniform(0.16, 0.3)) + 0.4 * canvas.noise(rng, 0.1)
    return hila + rim + rng.uniform(0.15, 0.32) * patches + rng.normal(0, 0.08) * canvas.x


def outline(field: np.ndarray, lungs: np.ndarray, share: float) -> np.ndarray:
    """The part of the lungs where `field` is highest, about `share` of the film, without holes.

    Args:
        field: float (H, W), the higher the likelier.
        lungs: bool (H, W).
        share: wanted area as a fraction of the film; at most 0.92 of the lungs are taken.

    Returns:
        bool (H, W), inside `lungs`; no speck and no hole.
    """
    area = min(share * lungs.size, 0.92 * lungs.sum())
    smooth = cv2.GaussianBlur(field.astype(np.float32), (0, 0), 3)
    level = np.quantile(smooth[lungs], 1 - area / lungs.sum())
    opacity = ndimage.binary_fill_holes((smooth > level) & lungs) & lungs
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opacity.astype(np.uint8))
    sizes = stats[:, cv2.CC_STAT_AREA].copy()
    sizes[0] = 0
    keep = sizes >= max(60, 0.06 * sizes.max()) if count > 1 else np.zeros(1, bool)
    return keep[labels]


def fill(
    opacity: np.ndarray,
    lungs: np.ndarray,
    canvas: Canvas,
    density: float,
    softness: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """How much of the lung's air the opacity displaces at every pixel.

    Half of its full height lies on the outline; towards pleura, heart and diaphragm it does
    not fall off, for there the lung ends, not the pneumonia.

    Args:
        opacity: bool (H, W), the outline's inside.
        lungs: bool (H, W).
        canvas: the film's frame.
        density: mean displaced fraction well inside, 0..1.
        softness: width of the edge in chest units.
        rng: source of the texture (mottling as from air bronchograms).

    Returns:
        float32 (H, W), 0 (air) to about 1 (solid).
    """
    healthy = lungs & ~opacity
    inside = cv2.distanceTransform((~healthy).astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~opacity).astype(np.uint8), cv2.DIST_L2, 5)
    edge = softness * canvas.unit * np.exp(0.35 * canvas.noise(rng, 0.25))
    height = 1 / (1 + np.exp(np.clip((outside - np.where(opacity, inside, 0)) / edge, -30, 30)))
    coarse = 0.13 * canvas.noise(rng, 0.18) + 0.09 * canvas.noise(rng, 0.07)
    fine = 0.07 * canvas.noise(rng, 0.03)
    return (density * height * np.clip(1 + coarse + fine, 0.25, 1.6)).astype(np.float32)
