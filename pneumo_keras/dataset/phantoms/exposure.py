"""From attenuation to a film: scatter, noise, film response, markers and collimation."""

from __future__ import annotations

import cv2
import numpy as np

from pneumo_keras.dataset.phantoms.canvas import film_noise


def expose(
    attenuation: np.ndarray, lungs: np.ndarray, veil: float, rng: np.random.Generator
) -> np.ndarray:
    """Send X-rays through the attenuation and develop the film.

    The beam behind the patient is exp(-attenuation) plus scatter; its logarithm is shown
    through a sigmoid response, so that bone is white and air black.

    Args:
        attenuation: float32 (H, W), line integrals.
        lungs: bool (H, W); the exposure is set for them, as an automatic one is.
        veil: mean attenuation that the opacity adds over the lungs; the exposure follows it
            only in part, so that large opacities stay visible.
        rng: source of quality and grain.

    Returns:
        float32 (H, W), 0 (black) to 1.
    """
    height, width = attenuation.shape
    tilt = rng.normal(0, 0.12, 2)
    slope = np.add.outer(np.linspace(-1, 1, height) * tilt[0], np.linspace(-1, 1, width) * tilt[1])
    beam = np.exp(-(attenuation + slope)).astype(np.float32)
    small = cv2.resize(beam, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    scatter = cv2.GaussianBlur(small, (0, 0), 0.035 * width)
    scatter = cv2.resize(np.minimum(scatter, 0.3), (width, height))
    beam = beam + rng.uniform(0.15, 0.5) * scatter
    beam = cv2.GaussianBlur(beam, (0, 0), rng.uniform(0.3, 0.8))
    dose = rng.uniform(0.006, 0.024)
    grain = rng.standard_normal((height, width)).astype(np.float32)
    grain = grain + 1.4 * cv2.GaussianBlur(grain, (0, 0), 0.9)
    signal = -np.log(beam)
    signal += dose * grain * np.exp(0.3 * (signal - 1.5)) + 0.01 * film_noise(rng, beam.shape, 9)
    dark, bright = np.quantile(signal[lungs], 0.12) - 0.6 * veil, np.quantile(signal, 0.93)
    low, high = rng.uniform(0.13, 0.36), rng.uniform(0.76, 0.9)
    value = low + (high - low) * (signal - dark) / (bright - dark)
    if rng.random() < 0.8:  # most readers' stations sharpen
        smooth = cv2.GaussianBlur(value, (0, 0), rng.uniform(2, 8))
        value = value + rng.uniform(0.3, 1.1) * (value - smooth)
    return respond(value, rng.uniform(0.9, 1.15))


def respond(value: np.ndarray, gamma: float) -> np.ndarray:
    """The film's characteristic curve: straight in the middle, with a toe and a shoulder."""
    toe, shoulder = 0.05, 0.09
    value = value.astype(np.float32)
    lifted = toe * np.log1p(np.exp(np.minimum((value - 0.02) / toe, 80)))
    capped = 1 - shoulder * np.log1p(np.exp(np.minimum((0.985 - lifted) / shoulder, 80)))
    return np.clip(capped, 0, 1).astype(np.float32) ** gamma


def _letter(film: np.ndarray, rng: np.random.Generator) -> None:
    height, width = film.shape
    font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX]))
    size, bold = rng.uniform(0.5, 1.1), int(rng.integers(1, 3))
    right = rng.random() < 0.85
    x = int(width * (rng.uniform(0.02, 0.1) if right else rng.uniform(0.88, 0.95)))
    y = int(height * rng.uniform(0.08, 0.5))
    layer = np.zeros(film.shape, np.uint8)
    cv2.putText(layer, "R" if right else "L", (x, y), font, size, 255, bold, cv2.LINE_AA)
    layer = cv2.GaussianBlur(layer, (0, 0), 0.6).astype(np.float32) / 255
    np.maximum(film, layer * np.float32(rng.uniform(0.8, 1.0)), out=film)


def _ticks(film: np.ndarray, rng: np.random.Generator) -> None:
    height, width = film.shape
    for y in range(int(rng.integers(0, 60)), height, int(rng.integers(40, 80))):
        film[y : y + 2, :3] = 0.9
        film[y : y + 2, width - 3 :] = 0.9


def _leads(film: np.ndarray, rng: np.random.Generator) -> None:
    height, width = film.shape
    layer = np.zeros(film.shape, np.uint8)
    for _ in range(rng.integers(1, 4)):
        knots = rng.uniform(0, 1, (4, 2)) * (width, height)
        knots[0] = (rng.choice([0, width]), rng.uniform(0.3, 1) * height)
        s = np.linspace(0, 1, 40)[:, None]
        curve = (
            (1 - s) ** 3 * knots[0]
            + 3 * s * (1 - s) ** 2 * knots[1]
            + 3 * s**2 * (1 - s) * knots[2]
            + s**3 * knots[3]
        )
        cv2.polylines(layer, [np.round(curve).astype(np.int32)], False, 255, 1, cv2.LINE_AA)
    film += 0.22 * cv2.GaussianBlur(layer, (0, 0), 0.7).astype(np.float32) / 255


def _collimate(film: np.ndarray, rng: np.random.Generator) -> None:
    height, width = film.shape
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    for side in range(4):
        if rng.random() > 0.3:
            continue
        depth, slant = rng.uniform(0.005, 0.05), rng.normal(0, 0.012)
        distance = (rows, columns, height - 1 - rows, width - 1 - columns)[side]
        along = columns if side in (0, 2) else rows
        border = depth * (height if side in (0, 2) else width) + slant * along
        film *= np.clip((distance - border) / 1.5, 0.03, 1).astype(np.float32)


def finish(film: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Leads, collimation, side letter and tick marks; uint8 (H, W) from float 0..1."""
    film = film.copy()
    if rng.random() < 0.2:
        _leads(film, rng)
    if rng.random() < 0.45:
        _collimate(film, rng)
    if rng.random() < 0.85:
        _letter(film, rng)
    if rng.random() < 0.3:
        _ticks(film, rng)
    return np.clip(np.round(film * 255), 0, 255).astype(np.uint8)
