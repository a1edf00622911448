"""The frame of a synthetic film, and strokes and noise drawn in chest coordinates.

Chest coordinates: x is 0 on the midline and +-1 at the widest of the rib cage (negative is
the patient's right, on the left of the film); y is 0 at the lung apex and about 1.45 at the
costophrenic angle. All anatomy is described in them, so that one patient can be filmed
several times, in another size and pose.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

SUBPIXEL_BITS = 4


@dataclass(frozen=True)
class Canvas:
    """One film's frame: its size, and where the chest lies in it.

    Attributes:
        x, y: float32 (H, W), the chest coordinates of every pixel.
        matrix: float64 (2, 3), chest coordinates to pixels.
    """

    x: np.ndarray
    y: np.ndarray
    matrix: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.x.shape

    @cached_property
    def unit(self) -> float:
        """Pixels to one unit of the chest, the mean of both axes."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix[:, :2]))))

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """Chest points (N, 2) to pixel points (N, 2)."""
        return points @ self.matrix[:, :2].T + self.matrix[:, 2]

    def distance_to(self, lines: list[np.ndarray]) -> np.ndarray:
        """Distance of every pixel to the nearest of some polylines, in chest units."""
        ground = np.full(self.shape, 255, np.uint8)
        for line in lines:
            pixels = np.round(self.to_pixels(line)).astype(np.int32)
            cv2.polylines(ground, [pixels], False, 0, 1)
        return cv2.distanceTransform(ground, cv2.DIST_L2, 5) / self.unit

    def strokes(self, lines: list[tuple[np.ndarray, float, float]], blur: float) -> np.ndarray:
        """Lines of (points, radius in chest units, strength 0..1), blurred; float32 (H, W)."""
        ground = np.zeros(self.shape, np.uint8)
        for points, radius, strength in lines:
            pixels = np.round(self.to_pixels(points) * 2**SUBPIXEL_BITS).astype(np.int32)
            width = max(1, round(2 * radius * self.unit))
            level = int(255 * min(1.0, strength))
            cv2.polylines(ground, [pixels], False, level, width, cv2.LINE_AA, SUBPIXEL_BITS)
        return cv2.GaussianBlur(ground.astype(np.float32) / 255, (0, 0), blur)

    def noise(self, rng: np.random.Generator, scale: float) -> np.ndarray:
        """Smooth noise fixed to the chest, spread about 1; `scale` is its grain in chest units."""
        left, right, top, bottom = -2.6, 2.6, -1.2, 2.8
        columns, rows = int((right - left) / scale) + 3, int((bottom - top) / scale) + 3
        grid = rng.standard_normal((rows, columns)).astype(np.float32)
        to_grid = cv2.invertAffineTransform(self.matrix)
        to_grid[:, 2] -= (left, top)
        return cv2.warpAffine(
            grid,
            to_grid / scale,
            self.shape[::-1],
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT,
        )


def film_noise(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> np.ndarray:
    """Smooth noise fixed to the film, spread about 1, with a grain of `scale` pixels."""
    rows, columns = (int(side / scale) + 3 for side in shape)
    grid = rng.standard_normal((rows, columns)).astype(np.float32)
    return cv2.resize(grid, shape[::-1], interpolation=cv2.INTER_CUBIC)


def place_chest(rng: np.random.Generator, build: float, closeness: float) -> Canvas:
    """A frame of random size with the chest in it as on the Kermany films.

    There the films are 1.4 times as wide as high and the lungs span 0.77 of the width
    and 0.80 of the height.

    Args:
        rng: source of size and pose.
        build: how tall the patient's chest is for its width, about 1.
        closeness: how much larger than usual the chest is in the frame, about 1.
    """
    width = int(rng.integers(480, 641))
    height = int(np.clip(width / np.clip(rng.normal(1.38, 0.17), 0.95, 1.6), 400, 620))
    across = width * closeness * np.clip(rng.normal(0.392, 0.026), 0.33, 0.44)
    down = min(height * closeness * rng.uniform(0.52, 0.62), across * build * 1.2)
    down = max(down, across * build * 0.85)
    angle = np.deg2rad(np.clip(rng.normal(0, 2.2), -6, 6))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.diag([across, down])
    middle = np.array([width * rng.normal(0.5, 0.025), height * rng.normal(0.52, 0.025)])
    matrix = np.column_stack([linear, middle - linear @ np.array([0.0, 0.74])])
    inverse = np.linalg.inv(linear)
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    offset = np.stack([columns - matrix[0, 2], rows - matrix[1, 2]])
    x, y = np.einsum("ij,jhw->ihw", inverse, offset).astype(np.float32)
    return Canvas(x, y, matrix)
