"""One synthetic chest film: anatomy, opacity and exposure put together."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pneumo_keras.dataset.phantoms import anatomy, opacities
from pneumo_keras.dataset.phantoms.canvas import Canvas, film_noise, place_chest
from pneumo_keras.dataset.phantoms.exposure import expose, finish
from pneumo_keras.dataset.phantoms.skeleton import skeleton

KINDS = ("bacteria", "virus", "normal")
# Fraction of the lung's air displaced. So chosen that the mean grey of the lungs, over that of the
# mediastinum, exceeds a normal film's by as much as in the Kermany set: 0.10 and 0.06 (250 films
# of each kind with outlined lungs).
DENSITY = {"bacteria": (0.32, 0.72), "virus": (0.23, 0.51)}
SOFTNESS = {"bacteria": (0.013, 0.045), "virus": (0.02, 0.06)}


@dataclass(frozen=True)
class Phantom:
    """A synthetic film and its truth.

    Attributes:
        film: uint8 (H, W), grey.
        opacity: bool (H, W), pneumonia; inside `lungs`, without holes.
        lungs: bool (H, W), both lung fields.
    """

    film: np.ndarray
    opacity: np.ndarray
    lungs: np.ndarray


@dataclass(frozen=True)
class Chest:
    """A patient posed for one film: where lungs and pneumonia are, before bones and exposure.

    Attributes:
        canvas: the film's frame.
        patient: whose chest.
        turn: how far the patient is rotated, about -1 to 1.
        air: float32 (H, W), attenuation that the lung's air takes away.
        filled: float32 (H, W), the fraction of that air the pneumonia displaces.
        lungs, opacity: bool (H, W).
    """

    canvas: Canvas
    patient: anatomy.Patient
    turn: float
    air: np.ndarray
    filled: np.ndarray
    lungs: np.ndarray
    opacity: np.ndarray


def _lung_field(air: np.ndarray, above: np.ndarray, heart: np.ndarray) -> np.ndarray:
    """What a reader would outline as lung, with a rim of what lies behind the heart."""
    visible = ((air > 0.2) & (above > 0.004) & (heart < 1.05)).astype(np.float32)
    smooth = (cv2.GaussianBlur(visible, (0, 0), 2.5) > 0.5).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(smooth)
    largest = 1 + np.argsort(stats[1:, cv2.CC_STAT_AREA])[-2:]
    return np.isin(labels, largest)


def _warp(canvas: Canvas, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A slight smooth deformation: no real border is as even as a computed one."""
    height, width = canvas.shape
    columns, rows = np.meshgrid(
        np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    )
    size = 0.006 * canvas.unit
    return (
        columns + size * film_noise(rng, canvas.shape, 40),
        rows + size * film_noise(rng, canvas.shape, 40),
    )


def pose_chest(seed: int, kind: str, film: int) -> Chest:
    """The first half of `draw_phantom`, with the same arguments: everything but the picture."""
    body, own = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2, film])
    patient = anatomy.Patient.draw(body)
    share = opacities.draw_share(body) if kind != "normal" else 0.0
    # Films of the very ill are close-ups; nor could small lungs hold the largest opacities.
    canvas = place_chest(own, patient.build, 1 + 0.8 * max(0.0, share - 0.12))
    turn, breath = float(np.clip(own.normal(0, 0.3), -0.8, 0.8)), own.normal(0.0, 0.03)
    heart = anatomy.mediastinum(canvas, patient, turn)
    cavity, above = anatomy.lung_air(canvas, patient, breath)
    air = np.clip(anatomy.LUNG_DEPTH * cavity - heart, 0, None)
    lungs = _lung_field(air, above, heart)
    filled, opacity = np.zeros_like(air), np.zeros_like(lungs)
    if kind != "normal":
        density, softness = body.uniform(*DENSITY[kind]), body.uniform(*SOFTNESS[kind])
        place = opacities.lobar if kind == "bacteria" else opacities.diffuse
        share = min(share * own.uniform(0.75, 1.25), opacities.MOST)
        opacity = opacities.outline(place(canvas, body), lungs, share)
        density *= own.uniform(0.85, 1.15)
        filled = opacities.fill(opacity, lungs, canvas, density, softness, body)
    return Chest(canvas, patient, turn, air, filled, lungs, opacity)


def attenuate(chest: Chest, rng: np.random.Generator) -> np.ndarray:
    """Sum of all attenuations along the rays, float32 (H, W); `rng` is the patient's."""
    canvas, patient, turn = chest.canvas, chest.patient, chest.turn
    vessels = anatomy.vessels(canvas, patient, rng) * np.clip(chest.air / 1.2, 0, 1)
    uneven = 1 + 0.02 * canvas.noise(rng, 0.3) + 0.008 * canvas.noise(rng, 0.07)
    total = anatomy.trunk(canvas, patient) * uneven + vessels * (1 - 0.7 * chest.filled)
    total -= chest.air * (1 - chest.filled) * (1 + 0.05 * canvas.noise(rng, 0.22))
    # Thick tissue hardens the beam, which weakens the contrast of bone.
    bones = skeleton(canvas, patient, turn, rng)
    total += bones * (1 - 0.5 * np.clip((total - 1.6) / 1.2, 0, 1))
    total -= 0.45 * anatomy.airways(canvas, turn) + 0.5 * anatomy.bowel_gas(canvas, rng)
    return np.clip(total, 0, None).astype(np.float32)


def draw_phantom(seed: int, kind: str, film: int = 0) -> Phantom:
    """Draw one synthetic frontal chest film.

    Attenuations of trunk, lungs, heart, vessels and bones are added up along the rays, the
    opacity takes air out of the lung, and the result is exposed like a film.

    Args:
        seed: the patient: anatomy and the place of the pneumonia.
        kind: "bacteria" (lobar), "virus" (patchy, both lungs) or "normal" (no opacity).
        film: number of the patient's film: size, pose, breath, exposure, how far the
            pneumonia has spread.

    Returns:
        The film with its opacity and lung masks, 400 to 640 pixels a side.

    Raises:
        ValueError: if `kind` is none of the three.

    Example:
        >>> phantom = draw_phantom(7, "virus")
        >>> phantom.film.dtype, phantom.opacity.any()
        (dtype('uint8'), np.True_)
        >>> bool((phantom.opacity & ~phantom.lungs).any())
        False
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {KINDS}, not {kind!r}")
    chest = pose_chest(seed, kind, film)
    attenuation = attenuate(chest, np.random.default_rng([seed, 3]))
    rng = np.random.default_rng([seed, 4, film])
    across, down = _warp(chest.canvas, rng)

    def warped(array: np.ndarray) -> np.ndarray:
        return cv2.remap(
            array.astype(np.float32),
            across,
            down,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )

    lungs, opacity = warped(chest.lungs) > 0.5, warped(chest.opacity) > 0.5
    veil = float((chest.air * chest.filled)[chest.lungs].mean())
    shown = expose(warped(attenuation), lungs, veil, rng)
    return Phantom(finish(shown, rng), opacity & lungs, lungs)
