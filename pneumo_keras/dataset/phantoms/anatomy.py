"""Attenuation of the synthetic chest: soft tissue, air and bones.

Every map is float (H, W) and holds the line integral of the linear attenuation coefficient along
the ray through each pixel, about 2.6 for the whole trunk. Lengths are in chest units (`imaging`).
"""

import math

import cv2
import numpy as np
from numpy.random import Generator

from pneumo_keras.dataset.phantoms.imaging import Canvas, blur

FINEST = 0.006  # radius of the last vessels to branch; thinner ones are lost in the mottle


class Patient:
    """What all images of one patient share, drawn at random."""

    def __init__(self, rng: Generator):
        dome = rng.normal(1.2, 0.05)
        self.build = rng.normal(1.0, 0.07)  # height of the chest relative to its width
        self.taper = rng.uniform(1.8, 2.7)  # shape of the rib cage
        self.fat = rng.uniform(0.06, 0.2)
        self.heart = float(np.clip(rng.normal(0.9, 0.09), 0.72, 1.15))  # relative size
        self.spine = rng.uniform(0.115, 0.145)  # half the width of the vertebral bodies
        self.vessels = rng.uniform(0.75, 1.35)  # relative attenuation
        self.bone = rng.uniform(0.75, 1.25)  # relative attenuation
        self.domes = dome, dome + rng.normal(0.05, 0.03)  # height of the diaphragm, right and left
        self.arms = rng.uniform(-1.0, 1.0)
        self.arms_raised = self.arms > 0.2
        self.chin = rng.uniform(-0.3, 0.3)  # the head is in the image if above 0
        self.thymus = max(0.0, rng.uniform(-0.6, 0.5))
        self.rib_gap = rng.uniform(0.135, 0.16)
        self.rib_drop = rng.uniform(0.3, 0.62)

    def half_width(self, y: np.ndarray) -> np.ndarray:
        """Half the width of the rib cage at height y; 0 above the apex."""
        down = np.clip(1 - np.clip(y, 0, 1.5) / 1.5, 0, 1)
        return (1 - down**2.4) ** (1 / self.taper)


def chord(ratio_squared: np.ndarray) -> np.ndarray:
    """Length, 0..1, of a ray through a unit ellipsoid at a squared relative distance."""
    return np.sqrt(np.maximum(1 - ratio_squared, 0))


def ellipsoid(
    canvas: Canvas, centre: tuple[float, float], axes: tuple[float, float], degrees: float = 0.0
) -> np.ndarray:
    """Chord lengths, 0..1, through an ellipsoid."""
    # Python's own floats: NumPy's would turn the whole map into float64.
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
    outline = np.pad(np.minimum(chest, neck), 12, mode="edge")
    outline = np.convolve(outline, np.hanning(27)[1:-1] / 13, "valid")
    depth = np.interp(levels, [-1.2, -0.3, 0.5, 1.4, 2.8], [1.8, 1.9, 2.6, 3.0, 3.3])
    half = np.interp(canvas.y, levels, outline).astype(np.float32)
    body = np.interp(canvas.y, levels, depth).astype(np.float32) * chord((canvas.x / half) ** 2)
    elbow, hand = ((1.5, -0.25), (1.9, -0.9)) if patient.arms_raised else ((1.45, 0.6), (1.75, 1.4))
    for side in (-1, 1):
        arm = np.array([(0.8, 0.02), (1.15, 0.02), elbow, hand]) * (side, 1)
        distance = np.minimum(canvas.distance_to([arm]) / (0.2 + 0.4 * patient.fat), 2)
        body = np.maximum(body, 1.1 * chord(distance**2))
    if patient.chin > 0:  # a child's head reaches into the image
        head = ellipsoid(canvas, (0.05 * patient.arms, -0.95 + patient.chin), (0.55, 0.52))
        jaw = np.clip(1 - np.abs(head - 0.42) / 0.2, 0, 1)
        body = body + 0.9 * head + 0.25 * jaw
    return body


def mediastinum(canvas: Canvas, patient: Patient) -> np.ndarray:
    """Heart and great vessels, shifted sideways if the patient is rotated."""
    size, shift = patient.heart, canvas.turn * 0.12
    left = 1.4 * ellipsoid(canvas, (0.2 + shift, 0.87), (0.56 * size, 0.4 * size), 40)
    right = 1.25 * ellipsoid(canvas, (-0.07 + shift, 0.86), (0.29 * size, 0.42 * size), 8)
    outflow = 1.1 * ellipsoid(canvas, (0.1 + shift, 0.56), (0.26 * size, 0.34 * size), 15)
    arch = 0.7 * ellipsoid(canvas, (0.13 + shift, 0.32), (0.13, 0.12))
    thymus = 1.4 * patient.thymus * ellipsoid(canvas, (0.02 + shift, 0.34), (0.38, 0.4))
    neck = 0.16 * np.exp(-(((canvas.y + 0.05) / 0.22) ** 2))
    half = 0.225 + neck + 0.4 * (patient.spine - 0.12)
    column = 1.45 * chord(((canvas.x - 0.4 * shift) / half) ** 2)
    parts = (left, right, outflow, arch, column, thymus)
    return blur(np.cbrt(sum(part * part * part for part in parts)), 0.009 * canvas.unit)


def airways(canvas: Canvas) -> np.ndarray:
    """Air of the trachea and the main bronchi, 0..1."""
    trachea = np.array([(0.01, -0.5), (0.0, 0.1), (0.0, 0.43)])
    right = np.array([(0.0, 0.43), (-0.08, 0.52), (-0.15, 0.62)])
    left = np.array([(0.0, 0.43), (0.1, 0.5), (0.2, 0.58)])
    lines = [(trachea, 0.042, 1.0), (right, 0.032, 0.7), (left, 0.028, 0.6)]
    shifted = [(points + (canvas.turn * 0.06, 0), *stroke) for points, *stroke in lines]
    return canvas.strokes(shifted, 0.014 * canvas.unit)


def thoracic_cavity(canvas: Canvas, patient: Patient) -> tuple[np.ndarray, np.ndarray]:
    """Depth of the cavity without heart and vessels, 0..1, and height above the diaphragm."""
    half = np.maximum(patient.half_width(canvas.y), 1e-3)
    depth = chord((canvas.x / half) ** 2) * np.clip((canvas.y + 0.02) / 0.45, 0, 1) ** 0.4
    share = 1 / (1 + np.exp(-canvas.x / 0.04))
    dome = patient.domes[0] * (1 - share) + patient.domes[1] * share + canvas.breath
    off = np.abs(canvas.x) - 0.42
    dome = dome + np.where(off > 0, 0.34 * (np.abs(off) / 0.55) ** 2.4, 0.06 * (off / 0.42) ** 2)
    above = dome - canvas.y
    behind = np.clip(1 - np.sqrt(np.clip(-above, 0, None) / 0.35), 0, 1)
    front = np.clip(above / 0.025, 0, 1)
    return depth * behind * (0.3 + 0.7 * front), above


def vessels(canvas: Canvas, patient: Patient, rng: Generator) -> np.ndarray:
    """Lung vessels and hila, and the fine mottle of the lung texture."""
    lines = _vessel_tree(rng, -1) + _vessel_tree(rng, 1)
    tree = canvas.strokes(lines, max(0.7, 0.0035 * canvas.unit))
    hila = [ellipsoid(canvas, (side * 0.24, 0.58), (0.13, 0.2), side * -20) for side in (-1, 1)]
    mottle = 0.5 * canvas.noise(rng, 0.06) + 0.6 * canvas.noise(rng, 0.024)
    return patient.vessels * (0.36 * tree + 0.2 * sum(h**2 for h in hila) + 0.045 * mottle)


def _vessel_tree(rng: Generator, side: int) -> list[tuple[np.ndarray, float, float]]:
    """Points, radius and strength of every vessel of one side."""
    lines = []

    def grow(start: np.ndarray, angle: float, radius: float, length: float) -> None:
        angles = angle + np.cumsum(rng.normal(0, 0.14) + rng.normal(0, 0.1, 4))
        steps = np.column_stack([side * np.cos(angles), np.sin(angles)]) * (length / 4)
        points = np.vstack([start, start + np.cumsum(steps, axis=0)])
        lines.append((points, radius, min(1.0, radius / 0.02)))
        if radius > FINEST:
            for turn in (rng.uniform(0.1, 0.5), -rng.uniform(0.1, 0.5)):
                grow(points[-1], angles[-1] + turn, radius * rng.uniform(0.55, 0.8), length * 0.84)
            grow(points[2], angles[-1] + rng.choice([-1, 1]) * 0.8, radius * 0.45, length * 0.7)

    for angle in np.linspace(-1.5, 1.45, 9) + rng.normal(0, 0.12, 9):
        hilum = np.array([side * rng.uniform(0.13, 0.24), 0.57 + 0.12 * np.sin(angle)])
        grow(hilum, angle, rng.uniform(0.011, 0.019), rng.uniform(0.15, 0.22))
    return sorted(lines, key=lambda line: line[1])


def bowel_gas(canvas: Canvas, rng: Generator) -> np.ndarray:
    """Air in stomach and bowel below the left dome, 0..1."""
    bubbles = []
    if rng.random() < 0.6:
        place = (rng.uniform(0.3, 0.6), rng.uniform(1.38, 1.5))
        bubbles.append((place, (rng.uniform(0.12, 0.28), rng.uniform(0.06, 0.13))))
    for _ in range(rng.integers(0, 6)):
        place = (rng.uniform(-0.5, 0.8), rng.uniform(1.6, 2.0))
        bubbles.append((place, (rng.uniform(0.06, 0.16), rng.uniform(0.05, 0.1))))
    gas = np.zeros(canvas.shape, np.float32)
    for place, axes in bubbles:
        gas = np.maximum(gas, ellipsoid(canvas, place, axes, rng.uniform(-25, 25)))
    return blur(gas, 0.012 * canvas.unit)


def skeleton(canvas: Canvas, patient: Patient, rng: Generator) -> np.ndarray:
    """Ribs, spine, clavicles, shoulder blades and upper arms."""
    bones = _ribs(canvas, patient, rng) + _spine(canvas, patient, rng)
    bones = patient.bone * (bones + _shoulders(canvas, patient, rng))
    return blur(bones.astype(np.float32), max(0.5, 0.0025 * canvas.unit))


def _tube(distance: np.ndarray, radius: float | np.ndarray, marrow: float) -> np.ndarray:
    """A hollow bone, brighter near its edges; `marrow` is 0 (solid) to 1 (empty)."""
    ratio = np.minimum(distance / radius, 2) ** 2
    return 1.35 * (chord(ratio) - marrow * 0.8 * chord(ratio / 0.64))


def _ribs(canvas: Canvas, patient: Patient, rng: Generator) -> np.ndarray:
    """Both layers of ribs; the anterior ends fade where cartilage begins."""
    back, front = [], []
    for side in (-1, 1):
        for number in range(12):
            root = -0.1 + patient.rib_gap * number + rng.normal(0, 0.006)
            drop = patient.rib_drop * np.interp(number, [0, 3, 11], [0.55, 1.0, 1.05])
            drop *= 1 + rng.normal(0, 0.04)
            reach = float(patient.half_width(np.array(root + drop * 0.45))) + 0.015
            if reach < 0.4:
                continue
            # Half of a tilted ellipse: outwards from the spine, then inwards and down in front.
            end = np.interp(number, [0, 2, 6, 11], [115, 145, 138, 100]) + rng.normal(0, 4)
            angle = np.linspace(np.deg2rad(5), np.deg2rad(end), 40)
            x = side * (0.07 + (reach - 0.07) * np.sin(angle)) + canvas.turn * 0.1 * np.cos(angle)
            arch = 0.05 * np.sin(2 * np.minimum(angle, np.pi / 2))
            points = np.column_stack([x, root + drop * (1 - np.cos(angle)) / 2 - arch])
            middle = int(np.searchsorted(angle, np.pi / 2))
            back.append(points[: middle + 1])
            front.append(points[middle:])
    wobble = 1 + 0.1 * canvas.noise(rng, 0.12)
    radius = (0.025 + 0.006 * canvas.y.clip(0, 1)) * wobble
    lateral = np.abs(canvas.x) / np.maximum(patient.half_width(canvas.y + 0.1), 0.6)
    grazing = 1 / np.sqrt(1 - np.minimum(lateral, 0.88) ** 2)  # the ray runs along the rib
    emerging = np.clip(0.35 + (np.abs(canvas.x) - 0.08) / 0.25, 0, 1)
    layers = 0.29 * grazing * emerging * _tube(canvas.distance_to(back), radius, 0.6)
    fade = np.clip((lateral - 0.25) / 0.4, 0, 1)
    layers += 0.2 * np.sqrt(grazing) * fade * _tube(canvas.distance_to(front), radius * 1.1, 0.7)
    return layers * (1 + 0.14 * canvas.noise(rng, 0.2))


def _spine(canvas: Canvas, patient: Patient, rng: Generator) -> np.ndarray:
    """Vertebral bodies with discs between them, pedicles and spinous processes."""
    bend = rng.normal(0, 0.02) * np.sin(canvas.y * 2 + rng.uniform(0, 6))
    x = np.abs(canvas.x - bend - canvas.turn * 0.02)
    phase = (canvas.y + 0.1) / patient.rib_gap
    body = np.abs(phase - np.round(phase)) * 2
    plate = np.exp(-(((body - 0.72) / 0.12) ** 2))
    disc = 1 / (1 + np.exp(-(body - 0.82) / 0.05))
    waist = patient.spine * (1 - 0.1 * (1 - body**2))
    bones = _tube(x, waist, 0.15) * (0.26 - 0.08 * disc + 0.07 * plate)
    pedicle = np.hypot((x - 0.6 * patient.spine) / 0.028, (body - 0.25) / 0.42)
    bones += 0.16 * np.exp(-((pedicle - 0.8) ** 2) / 0.1)
    bones += 0.14 * np.exp(-((x / 0.018) ** 2) - ((body - 0.5) / 0.35) ** 2)
    wings = np.exp(-(((body - 0.1) / 0.45) ** 2)) * np.clip(1 - x / (2.1 * patient.spine), 0, 1)
    return (bones + 0.12 * wings) * (1 + 0.06 * canvas.noise(rng, 0.05))


def _shoulders(canvas: Canvas, patient: Patient, rng: Generator) -> np.ndarray:
    """Clavicles, shoulder blades and upper arms of both sides."""
    bones = np.zeros(canvas.shape, np.float32)
    raised = patient.arms_raised
    lift = rng.normal(0.0, 0.05) + (0.1 if raised else 0.0)
    sag = rng.uniform(0.03, 0.075)
    elbow, hand = ((1.5, -0.25), (1.9, -0.9)) if raised else ((1.42, 0.6), (1.7, 1.4))
    s = np.linspace(0, 1, 30)
    for side in (-1, 1):
        y = 0.11 + rng.normal(0, 0.015) - (0.17 + lift) * s - sag * np.sin(2 * np.pi * s * 0.95)
        clavicle = np.column_stack([side * (0.11 + 0.76 * s), y])
        radius = 0.026 + 0.016 * (2 * np.abs(canvas.x) / 0.95 - 1) ** 2
        bones += 0.42 * _tube(canvas.distance_to([clavicle]), radius, 0.7)
        glenoid, tip = (0.98, 0.04 - lift), (0.9 if raised else 0.82, 0.72)
        blade = np.array([(0.6, 0.0), glenoid, (1.02, 0.12), tip, (0.72, 0.4), (0.6, 0.0)])
        blade = blade * (side, 1)
        sheet = canvas.strokes([(blade, 0.012, 0.6), (blade[1:4], 0.02, 1.0)], 1.2)
        plate = np.zeros(canvas.shape, np.float32)
        cv2.fillPoly(plate, [canvas.to_pixels(blade)], 1.0)
        bones += 0.24 * sheet + 0.09 * blur(plate, 3)
        shaft = np.array([(1.1, 0.02 - lift), (1.16, 0.05 - lift), elbow, hand]) * (side, 1)
        near = canvas.distance_to([shaft[:2]])
        width = 0.055 + 0.055 * np.exp(-((np.minimum(near, 1) / 0.13) ** 2))
        bones += 0.4 * _tube(canvas.distance_to([shaft]), width, 0.75)
    return bones
