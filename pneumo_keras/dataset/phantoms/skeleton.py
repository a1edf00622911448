"""The bones of the phantom chest: ribs, spine, clavicles, shoulder blades, upper arms.

A bone is a shell: a ray along its rim passes more cortex than one through its middle, so
its edges are brighter. Values are attenuations above those of soft tissue.
"""

from __future__ import annotations

import cv2
import numpy as np

from pneumo_keras.dataset.phantoms.anatomy import Patient, chord
from pneumo_keras.dataset.phantoms.canvas import Canvas


def tube(distance: np.ndarray, radius: float | np.ndarray, marrow: float = 0.6) -> np.ndarray:
    """Attenuation across a hollow bone, peak about 1 near its rim.

    Args:
        distance: distance to the bone's axis, same unit as `radius`.
        radius: half the bone's width.
        marrow: how much of the cortex the marrow lacks, 0 (solid) to 1 (empty).
    """
    ratio = np.minimum(distance / radius, 2) ** 2
    return 1.35 * (chord(ratio) - marrow * 0.8 * chord(ratio / 0.64))


def rib_lines(
    patient: Patient, side: int, turn: float, rng: np.random.Generator
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Axes of the posterior and the anterior ribs of one side.

    A rib is half of a tilted ellipse seen from the front: from the spine outwards at the
    back, then inwards and downwards at the front.
    """
    back, front = [], []
    for number in range(12):
        root = -0.1 + patient.rib_gap * number + rng.normal(0, 0.006)
        drop = patient.rib_drop * np.interp(number, [0, 3, 11], [0.55, 1.0, 1.05])
        drop *= 1 + rng.normal(0, 0.04)
        reach = float(patient.half_width(np.array(root + drop * 0.45))) + 0.015
        if reach < 0.4:
            continue
        end = np.deg2rad(np.interp(number, [0, 2, 6, 11], [115, 145, 138, 100]) + rng.normal(0, 4))
        angle = np.linspace(np.deg2rad(5), end, 40)
        x = side * (0.07 + (reach - 0.07) * np.sin(angle)) + turn * 0.1 * np.cos(angle)
        arch = 0.05 * np.sin(2 * np.minimum(angle, np.pi / 2))
        points = np.column_stack([x, root + drop * (1 - np.cos(angle)) / 2 - arch])
        middle = int(np.searchsorted(angle, np.pi / 2)) + 1
        back.append(points[:middle])
        front.append(points[middle - 1 :])
    return back, front


def ribs(canvas: Canvas, patient: Patient, turn: float, rng: np.random.Generator) -> np.ndarray:
    """Both layers of ribs; the anterior ends fade where cartilage begins."""
    back, front = [], []
    for side in (-1, 1):
        posterior, anterior = rib_lines(patient, side, turn, rng)
        back += posterior
        front += anterior
    wobble = 1 + 0.1 * canvas.noise(rng, 0.12)
    radius = (0.025 + 0.006 * canvas.y.clip(0, 1)) * wobble
    lateral = np.abs(canvas.x) / np.maximum(patient.half_width(canvas.y + 0.1), 0.6)
    grazing = 1 / np.sqrt(1 - np.minimum(lateral, 0.88) ** 2)  # the ray runs along the rib
    emerging = np.clip(0.35 + (np.abs(canvas.x) - 0.08) / 0.25, 0, 1)
    layers = 0.29 * grazing * emerging * tube(canvas.distance_to(back), radius)
    fade = np.clip((lateral - 0.25) / 0.4, 0, 1)
    layers += 0.2 * np.sqrt(grazing) * fade * tube(canvas.distance_to(front), radius * 1.1, 0.7)
    return layers * (1 + 0.14 * canvas.noise(rng, 0.2))


def spine(canvas: Canvas, patient: Patient, turn: float, rng: np.random.Generator) -> np.ndarray:
    """Vertebral bodies with discs between them, pedicles and spinous processes."""
    bend = rng.normal(0, 0.02) * np.sin(canvas.y * 2 + rng.uniform(0, 6))
    x = np.abs(canvas.x - bend - turn * 0.02)
    phase = (canvas.y + 0.1) / patient.rib_gap
    body = np.abs(phase - np.round(phase)) * 2
    plate = np.exp(-(((body - 0.72) / 0.12) ** 2))
    disc = 1 / (1 + np.exp(-(body - 0.82) / 0.05))
    waist = patient.spine * (1 - 0.1 * (1 - body**2))
    bones = tube(x, waist, 0.15) * (0.26 - 0.08 * disc + 0.07 * plate)
    pedicle = np.hypot((x - 0.6 * patient.spine) / 0.028, (body - 0.25) / 0.42)
    bones += 0.16 * np.exp(-((pedicle - 0.8) ** 2) / 0.1)
    bones += 0.14 * np.exp(-((x / 0.018) ** 2) - ((body - 0.5) / 0.35) ** 2)
    wings = np.exp(-(((body - 0.1) / 0.45) ** 2)) * np.clip(1 - x / (2.1 * patient.spine), 0, 1)
    return (bones + 0.12 * wings) * (1 + 0.06 * canvas.noise(rng, 0.05))


def shoulders(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> np.ndarray:
    """Clavicles, shoulder blades and upper arms of both sides."""
    bones = np.zeros(canvas.shape, np.float32)
    raised = patient.arms > 0.2
    lift = rng.normal(0.0, 0.05) + (0.1 if raised else 0.0)
    sag = rng.uniform(0.03, 0.075)
    s = np.linspace(0, 1, 30)
    for side in (-1, 1):
        skew = rng.normal(0, 0.015)
        x = 0.11 + 0.76 * s
        y = 0.11 + skew - (0.17 + lift) * s - sag * np.sin(2 * np.pi * s * 0.95)
        clavicle = np.column_stack([side * x, y])
        radius = 0.026 + 0.016 * (2 * np.abs(canvas.x) / 0.95 - 1) ** 2
        bones += 0.42 * tube(canvas.distance_to([clavicle]), radius, 0.7)
        glenoid, tip = (0.98, 0.04 - lift), (0.9 if raised else 0.82, 0.72)
        blade = np.array([(0.6, 0.0), glenoid, (1.02, 0.12), tip, (0.72, 0.4), (0.6, 0.0)])
        blade = blade * (side, 1)
        sheet = canvas.strokes([(blade, 0.012, 0.6), (blade[1:4], 0.02, 1.0)], 1.2)
        plate = np.zeros(canvas.shape, np.float32)
        cv2.fillPoly(plate, [np.round(canvas.to_pixels(blade)).astype(np.int32)], 1.0)
        bones += 0.24 * sheet + 0.09 * cv2.GaussianBlur(plate, (0, 0), 3)
        head = np.array([(1.1, 0.02 - lift), (1.16, 0.05 - lift)])
        elbow = (1.5, -0.25) if raised else (1.42, 0.6)
        shaft = np.array([head[0], head[1], elbow, (1.9, -0.9) if raised else (1.7, 1.4)])
        near = canvas.distance_to([head * (side, 1)])
        width = 0.055 + 0.055 * np.exp(-((np.minimum(near, 1) / 0.13) ** 2))
        bones += 0.4 * tube(canvas.distance_to([shaft * (side, 1)]), width, 0.75)
    return bones


def skeleton(canvas: Canvas, patient: Patient, turn: float, rng: np.random.Generator) -> np.ndarray:
    """All bones: attenuation float32 (H, W)."""
    parts = ribs(canvas, patient, turn, rng) + spine(canvas, patient, turn, rng)
    bones = patient.bone * (parts + shoulders(canvas, patient, rng))
    return cv2.GaussianBlur(bones.astype(np.float32), (0, 0), max(0.5, 0.0025 * canvas.unit))
