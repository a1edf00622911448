"""One synthetic chest X-ray: anatomy, pneumonia and exposure put together."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator, default_rng
from scipy import ndimage

from pneumo_keras.dataset.phantoms import anatomy
from pneumo_keras.dataset.phantoms.imaging import Canvas, blur, expose, image_noise, place_chest

KINDS = ("bacteria", "virus", "normal")
# Fraction of the lung's air that pneumonia displaces, chosen so that the mean grey of the lungs,
# relative to the mediastinum, exceeds a normal image's by as much as in the Kermany set: 0.10 and
# 0.06 (250 images of each kind with outlined lungs).
DENSITY = {"bacteria": (0.32, 0.72), "virus": (0.23, 0.51)}
EDGE = {"bacteria": (0.013, 0.045), "virus": (0.02, 0.06)}  # width of the edge, chest units
MAX_SHARE = 0.42  # largest share of an image that was measured on real ones
LUNG_DEPTH = 2.0  # attenuation that the air of a whole lung takes away


@dataclass(frozen=True)
class Phantom:
    """A synthetic chest X-ray with its reference masks."""

    image: np.ndarray  # uint8 (H, W), grey
    opacity: np.ndarray  # bool (H, W), pneumonia; inside `lungs`, without holes
    lungs: np.ndarray  # bool (H, W), both lung fields


def draw_phantom(seed: int, kind: str, image: int = 0) -> Phantom:
    """Draw one synthetic frontal chest X-ray.

    The attenuations of trunk, lungs, heart, vessels and bones are added up along the rays,
    pneumonia displaces air from the lungs, and the result is exposed like a radiograph.

    Args:
        seed: number of the patient: anatomy and location of the pneumonia.
        kind: "bacteria" (lobar), "virus" (patchy, in both lungs) or "normal" (no opacity).
        image: number of the patient's image, from 0: size, position, breath, exposure and
            extent of the pneumonia.

    Returns:
        The image with its masks, 400 to 640 pixels a side.

    Raises:
        ValueError: if `kind` is none of the three.

    Example:
        >>> phantom = draw_phantom(7, "virus")
        >>> phantom.image.dtype, bool(phantom.opacity.any())
        (dtype('uint8'), True)
        >>> bool((phantom.opacity & ~phantom.lungs).any())
        False
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {KINDS}, not {kind!r}")
    patient_rng, image_rng = default_rng([seed, 1]), default_rng([seed, 2, image])
    patient = anatomy.Patient(patient_rng)
    # A gamma distribution as measured on real images: mean 0.13, median 0.11, 95 % below 0.32.
    share = np.clip(patient_rng.gamma(2, 0.067), 0.012, MAX_SHARE).item() * (kind != "normal")
    # Severely ill patients are imaged close up; small lungs could not hold the largest opacities.
    canvas = place_chest(image_rng, patient.build, 1 + 0.8 * max(0.0, share - 0.12))
    heart = anatomy.mediastinum(canvas, patient)
    cavity, above = anatomy.thoracic_cavity(canvas, patient)
    air = np.clip(LUNG_DEPTH * cavity - heart, 0, None)
    lungs = _lung_field(air, above, heart)
    filled, opacity = np.zeros_like(air), np.zeros_like(lungs)
    if kind != "normal":
        density, edge = patient_rng.uniform(*DENSITY[kind]), patient_rng.uniform(*EDGE[kind])
        likelihood = {"bacteria": _lobar, "virus": _diffuse}[kind]
        share = min(share * image_rng.uniform(0.75, 1.25), MAX_SHARE)
        opacity = _opacity(likelihood(canvas, patient_rng), lungs, share)
        density *= image_rng.uniform(0.85, 1.15)
        filled = _displaced_air(opacity, lungs, canvas, density, edge, patient_rng)
    attenuation = _attenuation(canvas, patient, air, filled, default_rng([seed, 3]))
    veil = float((air * filled)[lungs].mean())
    rng = default_rng([seed, 4, image])
    attenuation, *masks = _warp([attenuation, lungs, opacity], canvas, rng)
    lungs, opacity = (mask > 0.5 for mask in masks)
    return Phantom(expose(attenuation, lungs, veil, rng), opacity & lungs, lungs)


def _lung_field(air: np.ndarray, above: np.ndarray, heart: np.ndarray) -> np.ndarray:
    """The lungs as a reader would outline them, with a rim of what lies behind the heart."""
    visible = ((air > 0.2) & (above > 0.004) & (heart < 1.05)).astype(np.float32)
    smooth = (blur(visible, 2.5) > 0.5).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(smooth)
    largest = 1 + np.argsort(stats[1:, cv2.CC_STAT_AREA])[-2:]
    return np.isin(labels, largest)


def _lobar(canvas: Canvas, rng: Generator) -> np.ndarray:
    """Location of bacterial pneumonia: highest in one lobe, sometimes in a second."""
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


def _diffuse(canvas: Canvas, rng: Generator) -> np.ndarray:
    """Location of viral pneumonia: patches in both lungs, mostly around the hila."""
    x, y = np.abs(canvas.x), canvas.y
    hila = -np.hypot((x - 0.3) / 0.9, (y - rng.uniform(0.6, 0.85)) / 1.1)
    rim = x * rng.uniform(-0.2, 0.35) + y * rng.uniform(-0.1, 0.2)
    patches = canvas.noise(rng, rng.uniform(0.16, 0.3)) + 0.4 * canvas.noise(rng, 0.1)
    return hila + rim + rng.uniform(0.15, 0.32) * patches + rng.normal(0, 0.08) * canvas.x


def _opacity(field: np.ndarray, lungs: np.ndarray, share: float) -> np.ndarray:
    """The part of the lungs where `field` is highest, about `share` of the image, without holes."""
    area = min(share * lungs.size, 0.92 * lungs.sum())
    smooth = blur(field.astype(np.float32), 3)
    level = np.quantile(smooth[lungs], 1 - area / lungs.sum())
    opacity = ndimage.binary_fill_holes((smooth > level) & lungs) & lungs
    labels, _ = ndimage.label(opacity, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0  # outside
    return (sizes >= max(60, 0.06 * sizes.max()))[labels]


def _displaced_air(
    opacity: np.ndarray,
    lungs: np.ndarray,
    canvas: Canvas,
    density: float,
    edge: float,
    rng: Generator,
) -> np.ndarray:
    """Fraction of the lung's air that the opacity displaces, 0 to about 1; float32 (H, W)."""
    # Half height on the outline; full height at pleura, heart and diaphragm, where the lung ends.
    healthy = lungs & ~opacity
    inside = cv2.distanceTransform((~healthy).astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~opacity).astype(np.uint8), cv2.DIST_L2, 5)
    width = edge * canvas.unit * np.exp(0.35 * canvas.noise(rng, 0.25))
    height = 1 / (1 + np.exp(np.clip((outside - np.where(opacity, inside, 0)) / width, -30, 30)))
    coarse = 0.13 * canvas.noise(rng, 0.18) + 0.09 * canvas.noise(rng, 0.07)
    fine = 0.07 * canvas.noise(rng, 0.03)
    return (density * height * np.clip(1 + coarse + fine, 0.25, 1.6)).astype(np.float32)


def _attenuation(
    canvas: Canvas, patient: anatomy.Patient, air: np.ndarray, filled: np.ndarray, rng: Generator
) -> np.ndarray:
    """Sum of all attenuations along the rays, float32 (H, W)."""
    vessels = anatomy.vessels(canvas, patient, rng) * np.clip(air / 1.2, 0, 1)
    uneven = 1 + 0.02 * canvas.noise(rng, 0.3) + 0.008 * canvas.noise(rng, 0.07)
    total = anatomy.trunk(canvas, patient) * uneven + vessels * (1 - 0.7 * filled)
    total -= air * (1 - filled) * (1 + 0.05 * canvas.noise(rng, 0.22))
    # Thick tissue hardens the beam, which weakens the contrast of bone.
    bones = anatomy.skeleton(canvas, patient, rng)
    total += bones * (1 - 0.5 * np.clip((total - 1.6) / 1.2, 0, 1))
    total -= 0.45 * anatomy.airways(canvas) + 0.5 * anatomy.bowel_gas(canvas, rng)
    return np.clip(total, 0, None).astype(np.float32)


def _warp(maps: list[np.ndarray], canvas: Canvas, rng: Generator) -> list[np.ndarray]:
    """Deform maps slightly and smoothly: no real border is as even as a computed one."""
    rows, columns = np.indices(canvas.shape, np.float32)
    size = 0.006 * canvas.unit
    across = columns + size * image_noise(rng, canvas.shape, 40)
    down = rows + size * image_noise(rng, canvas.shape, 40)
    stack = np.dstack(maps).astype(np.float32)
    return cv2.split(cv2.remap(stack, across, down, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE))
