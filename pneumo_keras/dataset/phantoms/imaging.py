"""Geometry and exposure of a synthetic radiograph: from chest coordinates to grey values.

In chest coordinates, x is 0 on the midline and ±1 at the widest part of the rib cage (negative on
the patient's right, the left of the image); y is 0 at the lung apex and about 1.45 at the
costophrenic angle. All anatomy is described in them, so that one patient can be imaged several
times, at different sizes and positions.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.random import Generator

TOE, SHOULDER = 0.05, 0.09  # curvature at both ends of the characteristic curve


def blur(array: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur with a standard deviation of `sigma` pixels."""
    return cv2.GaussianBlur(array, (0, 0), sigma)


def image_noise(rng: Generator, shape: tuple[int, int], scale: float) -> np.ndarray:
    """Smooth noise with a grain of `scale` pixels and a spread of about 1; float32 (H, W)."""
    rows, columns = (int(side / scale) + 3 for side in shape)
    grid = rng.standard_normal((rows, columns)).astype(np.float32)
    return cv2.resize(grid, shape[::-1], interpolation=cv2.INTER_CUBIC)


@dataclass(frozen=True)
class Canvas:
    """The frame of one image, and the pose of the chest in it."""

    x: np.ndarray  # chest coordinates of every pixel, float32 (H, W)
    y: np.ndarray
    matrix: np.ndarray  # affine map from chest coordinates to pixels, float64 (2, 3)
    turn: float  # rotation of the patient about the long axis, -0.8..0.8
    breath: float  # descent of the diaphragm, chest units

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.x.shape

    @cached_property
    def unit(self) -> float:
        """Pixels per chest unit, the geometric mean of both axes."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix[:, :2]))))

    def to_pixels(self, points: np.ndarray, bits: int = 0) -> np.ndarray:
        """Chest points (N, 2) as int32 pixel points, in units of 2^-bits pixels."""
        pixels = points @ self.matrix[:, :2].T + self.matrix[:, 2]
        return np.round(pixels * 2**bits).astype(np.int32)

    def distance_to(self, lines: list[np.ndarray]) -> np.ndarray:
        """Distance of every pixel to the nearest of some polylines, in chest units."""
        ground = np.full(self.shape, 255, np.uint8)
        cv2.polylines(ground, [self.to_pixels(line) for line in lines], False, 0, 1)
        return cv2.distanceTransform(ground, cv2.DIST_L2, 5) / self.unit

    def strokes(self, lines: list[tuple[np.ndarray, float, float]], sigma: float) -> np.ndarray:
        """Lines of (points, radius in chest units, strength 0..1), blurred; float32 (H, W)."""
        ground = np.zeros(self.shape, np.uint8)
        for points, radius, strength in lines:
            width, level = max(1, round(2 * radius * self.unit)), int(255 * min(1.0, strength))
            pixels = self.to_pixels(points, bits=4)
            cv2.polylines(ground, [pixels], False, level, width, cv2.LINE_AA, shift=4)
        return blur(ground.astype(np.float32) / 255, sigma)

    def noise(self, rng: Generator, scale: float) -> np.ndarray:
        """Smooth noise fixed to the chest, with a grain of `scale` chest units; float32 (H, W)."""
        left, right, top, bottom = -2.6, 2.6, -1.2, 2.8
        columns, rows = int((right - left) / scale) + 3, int((bottom - top) / scale) + 3
        grid = rng.standard_normal((rows, columns)).astype(np.float32)
        to_grid = cv2.invertAffineTransform(self.matrix)
        to_grid[:, 2] -= (left, top)
        to_grid, flags = to_grid / scale, cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(grid, to_grid, self.shape[::-1], None, flags, cv2.BORDER_REFLECT)


def place_chest(rng: Generator, build: float, closeness: float) -> Canvas:
    """Draw the size of an image and the pose of the chest.

    As in the Kermany set, images are 1.4 times as wide as high, and the lungs span 0.77 of the
    width and 0.80 of the height. `build`, height over width of the chest, and `closeness`, its
    size in the image, are about 1.
    """
    width = int(rng.integers(480, 641))
    height = int(np.clip(width / np.clip(rng.normal(1.38, 0.17), 0.95, 1.6), 400, 620))
    across = width * closeness * np.clip(rng.normal(0.392, 0.026), 0.33, 0.44)
    down = height * closeness * rng.uniform(0.52, 0.62)
    down = np.clip(down, across * build * 0.85, across * build * 1.2)
    angle = np.deg2rad(np.clip(rng.normal(0, 2.2), -6, 6))
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = rotation @ np.diag([across, down])
    middle = np.array([width * rng.normal(0.5, 0.025), height * rng.normal(0.52, 0.025)])
    matrix = np.column_stack([linear, middle - linear @ np.array([0.0, 0.74])])
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    offset = np.stack([columns - matrix[0, 2], rows - matrix[1, 2]])
    x, y = np.einsum("ij,jhw->ihw", np.linalg.inv(linear), offset).astype(np.float32)
    return Canvas(x, y, matrix, np.clip(rng.normal(0, 0.3), -0.8, 0.8).item(), rng.normal(0, 0.03))


def expose(attenuation: np.ndarray, lungs: np.ndarray, veil: float, rng: Generator) -> np.ndarray:
    """Simulate the exposure of a radiograph.

    The beam behind the patient is exp(-attenuation) plus scatter. Its logarithm passes a sigmoid
    characteristic curve: bone is white, air black. The exposure is set for the lungs, as automatic
    exposure control does; `veil`, the mean attenuation that pneumonia adds over them, is
    compensated only in part. Returns uint8 (H, W).
    """
    height, width = attenuation.shape
    tilt = rng.normal(0, 0.12, 2)
    slope = np.add.outer(np.linspace(-1, 1, height) * tilt[0], np.linspace(-1, 1, width) * tilt[1])
    beam = np.exp(-(attenuation + slope)).astype(np.float32)
    small = cv2.resize(beam, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    scatter = cv2.resize(np.minimum(blur(small, 0.035 * width), 0.3), (width, height))
    beam = blur(beam + rng.uniform(0.15, 0.5) * scatter, rng.uniform(0.3, 0.8))
    dose = rng.uniform(0.006, 0.024)
    grain = rng.standard_normal((height, width)).astype(np.float32)
    grain = grain + 1.4 * blur(grain, 0.9)
    signal = -np.log(beam)
    signal += dose * grain * np.exp(0.3 * (signal - 1.5)) + 0.01 * image_noise(rng, beam.shape, 9)
    dark, bright = np.quantile(signal[lungs], 0.12) - 0.6 * veil, np.quantile(signal, 0.93)
    low, high = rng.uniform(0.13, 0.36), rng.uniform(0.76, 0.9)
    value = low + (high - low) * (signal - dark) / (bright - dark)
    if rng.random() < 0.8:  # sharpened, as at most workstations
        smooth = blur(value, rng.uniform(2, 8))
        value = value + rng.uniform(0.3, 1.1) * (value - smooth)
    value = value.astype(np.float32)
    lifted = TOE * np.log1p(np.exp(np.minimum((value - 0.02) / TOE, 80)))
    capped = 1 - SHOULDER * np.log1p(np.exp(np.minimum((0.985 - lifted) / SHOULDER, 80)))
    image = np.clip(capped, 0, 1).astype(np.float32) ** rng.uniform(0.9, 1.15)
    for add, share in ((_wires, 0.2), (_collimation, 0.45), (_side_marker, 0.85), (_ticks, 0.3)):
        if rng.random() < share:
            add(image, rng)
    return np.clip(np.round(image * 255), 0, 255).astype(np.uint8)


def _wires(image: np.ndarray, rng: Generator) -> None:
    """Add one to three leads of a monitor as cubic Bézier curves."""
    height, width = image.shape
    layer = np.zeros(image.shape, np.uint8)
    for _ in range(rng.integers(1, 4)):
        knots = rng.uniform(0, 1, (4, 2)) * (width, height)
        knots[0] = (rng.choice([0, width]), rng.uniform(0.3, 1) * height)
        s = np.linspace(0, 1, 40)[:, None]
        weights = ((1 - s) ** 3, 3 * s * (1 - s) ** 2, 3 * s**2 * (1 - s), s**3)
        curve = sum(weight * knot for weight, knot in zip(weights, knots, strict=True))
        cv2.polylines(layer, [np.round(curve).astype(np.int32)], False, 255, 1, cv2.LINE_AA)
    image += 0.22 * blur(layer, 0.7).astype(np.float32) / 255


def _collimation(image: np.ndarray, rng: Generator) -> None:
    """Darken a slanted strip along some of the borders."""
    height, width = image.shape
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    for side in range(4):
        if rng.random() > 0.3:
            continue
        depth, slant = rng.uniform(0.005, 0.05), rng.normal(0, 0.012)
        distance = (rows, columns, height - 1 - rows, width - 1 - columns)[side]
        length, along = ((height, columns), (width, rows))[side % 2]
        border = depth * length + slant * along
        image *= np.clip((distance - border) / 1.5, 0.03, 1).astype(np.float32)


def _side_marker(image: np.ndarray, rng: Generator) -> None:
    """Add the letter R or L."""
    height, width = image.shape
    font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX]))
    size, bold = rng.uniform(0.5, 1.1), int(rng.integers(1, 3))
    right = rng.random() < 0.85
    x = int(width * (rng.uniform(0.02, 0.1) if right else rng.uniform(0.88, 0.95)))
    y = int(height * rng.uniform(0.08, 0.5))
    layer = np.zeros(image.shape, np.uint8)
    cv2.putText(layer, "R" if right else "L", (x, y), font, size, 255, bold, cv2.LINE_AA)
    letter = blur(layer, 0.6).astype(np.float32) / 255
    np.maximum(image, letter * np.float32(rng.uniform(0.8, 1.0)), out=image)


def _ticks(image: np.ndarray, rng: Generator) -> None:
    """Add a ruler of short white lines at the left and right border."""
    for y in range(int(rng.integers(0, 60)), len(image), int(rng.integers(40, 80))):
        image[y : y + 2, :3] = 0.9
        image[y : y + 2, -3:] = 0.9
