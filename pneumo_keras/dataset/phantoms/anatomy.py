"""The soft parts of the phantom chest: trunk, lungs, heart, diaphragm, vessels, bowel gas.

Every map is an attenuation, i.e. the line integral of the linear attenuation coefficient
along the ray that meets the pixel; soft tissue through the whole trunk comes to about 2.6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from pneumo_keras.dataset.phantoms.canvas import Canvas

LUNG_DEPTH = 2.0  # attenuation that the air of a whole lung takes away
FINEST = 0.006  # radius of the last vessels to branch, chest units; finer ones drown in the mottle


@dataclass(frozen=True)
class Patient:
    """What one patient's films share, in chest coordinates (see `canvas`)."""

    build: float
    taper: float
    fat: float
    heart: float
    spine: float
    vessels: float
    bone: float
    domes: tuple[float, float]
    arms: float
    chin: float
    thymus: float
    rib_gap: float
    rib_drop: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Patient:
        """One patient at random."""
        dome = rng.normal(1.2, 0.05)
        return cls(
            build=rng.normal(1.0, 0.07),
            taper=rng.uniform(1.8, 2.7),
            fat=rng.uniform(0.06, 0.2),
            heart=float(np.clip(rng.normal(0.9, 0.09), 0.72, 1.15)),
            spine=rng.uniform(0.115, 0.145),
            vessels=rng.uniform(0.75, 1.35),
            bone=rng.uniform(0.75, 1.25),
            domes=(dome, dome + rng.normal(0.05, 0.03)),
            arms=rng.uniform(-1.0, 1.0),
            chin=rng.uniform(-0.3, 0.3),
            thymus=max(0.0, rng.uniform(-0.6, 0.5)),
            rib_gap=rng.uniform(0.135, 0.16),
            rib_drop=rng.uniform(0.3, 0.62),
        )

    def half_width(self, y: np.ndarray) -> np.ndarray:
        """Half the width of the rib cage at height y; 0 above the apex."""
        down = np.clip(1 - np.clip(y, 0, 1.5) / 1.5, 0, 1)
        return (1 - down**2.4) ** (1 / self.taper)


def chord(ratio_squared: np.ndarray) -> np.ndarray:
    """Length of a ray through a unit ellipsoid at a squared relative distance from its axis."""
    return np.sqrt(np.maximum(1 - ratio_squared, 0))


def ellipsoid(
    canvas: Canvas, centre: tuple[float, float], axes: tuple[float, float], degrees: float = 0.0
) -> np.ndarray:
    """Chord map, 0..1, of an ellipsoid given in chest coordinates."""
    # Python's own floats: a numpy one would turn the whole map to float64.
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    x, y = canvas.x - centre[0], canvas.y - centre[1]
    along = x * (cosine / axes[0]) + y * (sine / axes[0])
    across = y * (cosine / axes[1]) - x * (sine / axes[1])
    return chord(along * along + across * across)


def trunk(canvas: Canvas, patient: Patient) -> np.ndarray:
    """Soft tissue of trunk, neck, shoulders and arms, as if there were no lungs."""
    levels = np.linspace(-1.2, 2.8, 400)
    chest = np.maximum(patient.half_width(levels), 0.8) + patient.fat + 0.05
    neck = 0.36 + 0.85 / (1 + np.exp(-(levels + 0.16) / 0.05))
    outline = np.minimum(chest, neck)
    outline = np.convolve(np.pad(outline, 12, mode="edge"), np.hanning(27)[1:-1] / 13, "valid")
    depth = np.interp(levels, [-1.2, -0.3, 0.5, 1.4, 2.8], [1.8, 1.9, 2.6, 3.0, 3.3])
    half = np.interp(canvas.y, levels, outline).astype(np.float32)
    body = np.interp(canvas.y, levels, depth).astype(np.float32) * chord((canvas.x / half) ** 2)
    for side in (-1, 1):
        hand = (1.9, -0.9) if patient.arms > 0.2 else (1.75, 1.4)
        elbow = (1.5, -0.25) if patient.arms > 0.2 else (1.45, 0.6)
        arm = np.array([(0.8, 0.02), (1.15, 0.02), elbow, hand]) * (side, 1)
        thick = 0.2 + 0.4 * patient.fat
        reach = np.minimum(canvas.distance_to([arm]) / thick, 2)
        body = np.maximum(body, 1.1 * chord(reach**2))
    if patient.chin > 0:  # a child's head reaches into the film
        head = ellipsoid(canvas, (0.05 * patient.arms, -0.95 + patient.chin), (0.55, 0.52))
        jaw = np.clip(1 - np.abs(head - 0.42) / 0.2, 0, 1)
        body = body + 0.9 * head + 0.25 * jaw
    return body


def mediastinum(canvas: Canvas, patient: Patient, turn: float) -> np.ndarray:
    """Heart and great vessels; `turn` shifts them sideways as a rotated patient's do."""
    size, shift = patient.heart, turn * 0.12
    left = ellipsoid(canvas, (0.2 + shift, 0.87), (0.56 * size, 0.4 * size), 40)
    right = ellipsoid(canvas, (-0.07 + shift, 0.86), (0.29 * size, 0.42 * size), 8)
    outflow = ellipsoid(canvas, (0.1 + shift, 0.56), (0.26 * size, 0.34 * size), 15)
    arch = ellipsoid(canvas, (0.13 + shift, 0.32), (0.13, 0.12))
    thymus = ellipsoid(canvas, (0.02 + shift, 0.34), (0.38, 0.4))
    neck = 0.16 * np.exp(-(((canvas.y + 0.05) / 0.22) ** 2))
    column = chord(((canvas.x - 0.4 * shift) / (0.225 + neck + 0.4 * (patient.spine - 0.12))) ** 2)
    parts = [1.4 * left, 1.25 * right, 1.1 * outflow, 0.7 * arch, 1.45 * column]
    parts.append(1.4 * patient.thymus * thymus)
    union = np.cbrt(sum(part * part * part for part in parts))
    return cv2.GaussianBlur(union, (0, 0), 0.009 * canvas.unit)


def airways(canvas: Canvas, turn: float) -> np.ndarray:
    """Air of the trachea and the main bronchi, 0..1."""
    shift = turn * 0.06
    fork = (0.0 + shift, 0.43)
    lines = [
        (np.array([(0.01 + shift, -0.5), (0.0 + shift, 0.1), fork]), 0.042, 1.0),
        (np.array([fork, (-0.08 + shift, 0.52), (-0.15 + shift, 0.62)]), 0.032, 0.7),
        (np.array([fork, (0.1 + shift, 0.5), (0.2 + shift, 0.58)]), 0.028, 0.6),
    ]
    return canvas.strokes(lines, 0.014 * canvas.unit)


def lung_air(canvas: Canvas, patient: Patient, breath: float) -> tuple[np.ndarray, np.ndarray]:
    """The thoracic cavity above the diaphragm, before heart and vessels are put in.

    Args:
        canvas: the film's frame.
        patient: whose chest.
        breath: how far the domes stand lower (inspiration) than at rest, chest units.

    Returns:
        The cavity's depth, 0..1, and the height over the dome, chest units (positive in air).
    """
    half = np.maximum(patient.half_width(canvas.y), 1e-3)
    depth = chord((canvas.x / half) ** 2) * np.clip((canvas.y + 0.02) / 0.45, 0, 1) ** 0.4
    share = 1 / (1 + np.exp(-canvas.x / 0.04))
    dome = patient.domes[0] * (1 - share) + patient.domes[1] * share + breath
    off = np.abs(canvas.x) - 0.42
    dome = dome + np.where(off > 0, 0.34 * (np.abs(off) / 0.55) ** 2.4, 0.06 * (off / 0.42) ** 2)
    above = dome - canvas.y
    behind = np.clip(1 - np.sqrt(np.clip(-above, 0, None) / 0.35), 0, 1)
    front = np.clip(above / 0.025, 0, 1)
    return depth * behind * (0.3 + 0.7 * front), above


def vessel_tree(rng: np.random.Generator, side: int) -> list[tuple[np.ndarray, float, float]]:
    """Lung vessels of one side: (points, radius, strength) of every branch."""
    lines = []

    def grow(start: np.ndarray, angle: float, radius: float, length: float) -> None:
        angles = angle + np.cumsum(rng.normal(0, 0.14) + rng.normal(0, 0.1, 4))
        steps = np.column_stack([side * np.cos(angles), np.sin(angles)]) * (length / 4)
        points = np.vstack([start, start + np.cumsum(steps, axis=0)])
        angle = angles[-1]
        lines.append((points, radius, min(1.0, radius / 0.02)))
        if radius > FINEST:
            for turn in (rng.uniform(0.1, 0.5), -rng.uniform(0.1, 0.5)):
                grow(points[-1], angle + turn, radius * rng.uniform(0.55, 0.8), length * 0.84)
            grow(points[2], angle + rng.choice([-1, 1]) * 0.8, radius * 0.45, length * 0.7)

    for angle in np.linspace(-1.5, 1.45, 9) + rng.normal(0, 0.12, 9):
        hilum = np.array([side * rng.uniform(0.13, 0.24), 0.57 + 0.12 * np.sin(angle)])
        grow(hilum, angle, rng.uniform(0.011, 0.019), rng.uniform(0.15, 0.22))
    return sorted(lines, key=lambda line: line[1])


def vessels(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> np.ndarray:
    """Attenuation of the lung vessels and hila, and the fine mottle of the lung's texture."""
    lines = vessel_tree(rng, -1) + vessel_tree(rng, 1)
    tree = canvas.strokes(lines, max(0.7, 0.0035 * canvas.unit))
    hila = sum(
        ellipsoid(canvas, (side * 0.24, 0.58), (0.13, 0.2), side * -20) ** 2 for side in (-1, 1)
    )
    mottle = 0.5 * canvas.noise(rng, 0.06) + 0.6 * canvas.noise(rng, 0.024)
    return patient.vessels * (0.36 * tree + 0.2 * hila + 0.045 * mottle)


def bowel_gas(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """Air in stomach and bowel below the left dome, 0..1."""
    bubbles: list[tuple[tuple[float, float], tuple[float, float]]] = []
    if rng.random() < 0.6:
        place = (rng.uniform(0.3, 0.6), rng.uniform(1.38, 1.5))
        bubbles.append((place, (rng.uniform(0.12, 0.28), rng.uniform(0.06, 0.13))))
    for _ in range(rng.integers(0, 6)):
        place = (rng.uniform(-0.5, 0.8), rng.uniform(1.6, 2.0))
        bubbles.append((place, (rng.uniform(0.06, 0.16), rng.uniform(0.05, 0.1))))
    gas = np.zeros(canvas.shape, np.float32)
    for place, axes in bubbles:
        gas = np.maximum(gas, ellipsoid(canvas, place, axes, rng.uniform(-25, 25)))
    return cv2.GaussianBlur(gas, (0, 0), 0.012 * canvas.unit)
