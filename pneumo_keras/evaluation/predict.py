"""Testing, as the paper's Figure 4: a saved model marks films, at their own size."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import keras
import numpy as np

from pneumo_keras.dataset.arrays import resize_film
from pneumo_keras.dataset.films import read_film
from pneumo_keras.dataset.shapes import Shape
from pneumo_keras.errors import StudyError
from pneumo_keras.models.saved import load_model

# Outlines smaller than this, in pixels of the network's input, are not handed on for correction.
SMALLEST_OUTLINE = 4


@dataclass(frozen=True)
class Segmenter:
    """A trained network with its threshold.

    Attributes:
        model: from films (batch, size, size, 1), 0..255, to probabilities (batch, size, size, 1).
        threshold: probability at and above which a pixel is marked.
        target: what the network was trained to mark, a LabelMe label.
    """

    model: keras.Model
    threshold: float
    target: str

    @property
    def size(self) -> int:
        """Side of the films that the model takes, pixels."""
        return self.model.input_shape[1]

    def probability(self, film: np.ndarray) -> np.ndarray:
        """The probability of the target at each pixel of one film.

        Args:
            film: (height, width) uint8.

        Returns:
            (height, width) float32, 0..1, enlarged bilinearly from the network's size.
        """
        small = resize_film(film, self.size)[None, ..., None].astype(np.float32)
        probability = self.model.predict_on_batch(small)[0, ..., 0]
        return at_size(np.asarray(probability), film.shape)

    def mask(self, film: np.ndarray) -> np.ndarray:
        """What is marked on one film: (height, width) bool."""
        return self.probability(film) >= self.threshold

    def outlines(self, mask: np.ndarray) -> list[Shape]:
        """The marked regions as LabelMe polygons, for correction by hand.

        Args:
            mask: (height, width) bool.

        Returns:
            One polygon a region, simplified to within half a pixel of the network's input.
        """
        pixel = max(mask.shape) / self.size
        contours, _ = cv2.findContours(
            mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        large = [c for c in contours if cv2.contourArea(c) >= SMALLEST_OUTLINE * pixel**2]
        polygons = [cv2.approxPolyDP(contour, pixel / 2, closed=True)[:, 0] for contour in large]
        return [
            Shape(self.target, "polygon", polygon.astype(float))
            for polygon in polygons
            if len(polygon) >= 3
        ]


def at_size(probability: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A map of probabilities at a film's own size, bilinear.

    Args:
        probability: (size, size) float32.
        shape: height and width of the film.

    Example:
        >>> at_size(np.ones((2, 2), np.float32), (3, 5)).shape
        (3, 5)
    """
    return cv2.resize(probability, shape[::-1], interpolation=cv2.INTER_LINEAR)


def load_segmenter(path: Path) -> Segmenter:
    """Loads a model that this project trained.

    Args:
        path: a `.keras` file, or the folder of a training, whose best model is taken. Threshold
            and target are read from `run.json` beside the model; without one they are 0.5 and
            "pneumonia".

    Raises:
        StudyError: if there is no such file, or it is not a model of films to masks.
    """
    path = Path(path)
    path = path / "best.keras" if path.is_dir() else path
    if not path.is_file():
        raise StudyError(
            f"{path}: no such model; notebooks 03 and 04 make data/models/*/best.keras"
        )
    model = load_model(path)
    # A model that was never built has no shapes.
    shapes = [getattr(model, name, None) for name in ("input_shape", "output_shape")]
    if not _films_to_masks(*shapes):
        raise StudyError(
            f"{path}: a model from {shapes[0]} to {shapes[1]}, not from films to masks"
        )
    run_path = path.with_name("run.json")
    try:
        run = json.loads(run_path.read_text("utf-8")) if run_path.is_file() else {}
        threshold, target = float(run.get("threshold", 0.5)), run.get("target", "pneumonia")
    except (OSError, ValueError, TypeError, AttributeError):
        raise StudyError(f"{run_path}: damaged; move it away to use a threshold of 0.5") from None
    return Segmenter(model, threshold, target)


def _films_to_masks(given, returned) -> bool:
    """Whether these are the shapes of square grey films and of their masks, sides known."""
    if not all(isinstance(shape, tuple) and len(shape) == 4 for shape in (given, returned)):
        return False
    side = given[1]
    square = side is not None and given[1:3] == returned[1:3] == (side, side)
    return square and given[3] in (None, 1) and returned[3] == 1


def predict_file(segmenter: Segmenter, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A film and what is marked on it.

    Returns:
        (height, width) uint8 and (height, width) bool.

    Raises:
        StudyError: if the film cannot be read.
    """
    film = read_film(path)
    return film, segmenter.mask(film)
