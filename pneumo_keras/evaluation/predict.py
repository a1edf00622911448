"""Testing, as in Figure 4 of the paper: a saved network predicts masks of images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pandas as pd
from PIL import ImageColor

from pneumo_keras.dataset.arrays import Arrays
from pneumo_keras.dataset.images import read_image, write_png
from pneumo_keras.dataset.resize import resize_back, resize_image
from pneumo_keras.dataset.shapes import Shape
from pneumo_keras.errors import StudyError
from pneumo_keras.progress import progress_bar
from pneumo_keras.runs import read_run, status

if TYPE_CHECKING:  # Keras takes seconds, and drawing an overlay needs none
    import keras

BATCH = 8
SMALLEST_OUTLINE = 4  # area in pixels of the network's input; smaller regions have no outline
MARK = "#009E73"  # blue-green on grey: seen by the colour-blind too
OPACITY = 0.45  # of the colours laid over an image


@dataclass(frozen=True)
class Segmenter:
    """A trained network with its threshold, and how its images were prepared."""

    model: "keras.Model"  # from images (batch, size, size, 1), 0..255, to probabilities
    threshold: float  # probability at and above which a pixel is marked
    target: str  # LabelMe label of what the network marks
    clahe: bool = False  # whether the contrast of its images was equalised
    letterbox: bool = False  # whether its images kept their proportions, with black borders
    status: str = ""  # what went wrong in its training; "" if nothing did, or nothing is known

    @property
    def size(self) -> int:
        """Side of the images that the model takes, pixels."""
        return self.model.input_shape[1]

    def probability(self, image: np.ndarray) -> np.ndarray:
        """Predict the probability of the target, float32 0..1, at each pixel of a uint8 image."""
        small = resize_image(image, self.size, self.clahe, self.letterbox)
        batch = small[None, ..., None].astype(np.float32)
        probability = np.asarray(self.model.predict_on_batch(batch)[0, ..., 0])
        return resize_back(probability, image.shape, self.letterbox)

    def mask(self, image: np.ndarray) -> np.ndarray:
        """Predict the mask, bool (height, width), of a uint8 image."""
        return self.probability(image) >= self.threshold

    def outlines(self, mask: np.ndarray) -> list[Shape]:
        """Convert a mask to LabelMe polygons, exact to half a pixel of the network's input."""
        pixel = max(mask.shape) / self.size
        large = [c for c in _contours(mask) if cv2.contourArea(c) >= SMALLEST_OUTLINE * pixel**2]
        polygons = [cv2.approxPolyDP(c, pixel / 2, closed=True)[:, 0].astype(float) for c in large]
        return [Shape(self.target, "polygon", points) for points in polygons if len(points) >= 3]


def load_segmenter(path: Path) -> Segmenter:
    """Load a model that this project trained.

    From a `.keras` file, or the folder of a training, from which the best model is taken; the rest
    is read from `run.json` beside it (without one: 0.5, "pneumonia" and stretched).

    Raises:
        StudyError: if there is no such file, it is not a model from images to masks, or
            `run.json` is damaged.
    """
    from pneumo_keras.models.saving import load_model

    path = Path(path) / "best.keras" if Path(path).is_dir() else Path(path)
    if not path.is_file():
        raise StudyError(f"{path}: no such model; notebooks 03 and 04 train one")
    model = load_model(path)
    # A model that was never built has no shapes, one of several inputs a list of them.
    given, returned = (getattr(model, name, None) for name in ("input_shape", "output_shape"))
    images, masks = (tuple(shape or ())[1:] for shape in (given, returned))
    side = images[0] if images else None
    grey, any_channels = (side, side, 1), (side, side, None)
    if side is None or images not in (grey, any_channels) or masks != grey:
        raise StudyError(f"{path}: a model from {given} to {returned}, not from images to masks")
    run = read_run(path.parent) if path.with_name("run.json").is_file() else {}
    try:
        recipe, said = run.get("recipe", {}), status(run) if "diverged" in run else "trained"
        return Segmenter(
            model,
            threshold=float(run.get("threshold", 0.5)),
            target=run.get("target", "pneumonia"),
            clahe=recipe.get("clahe") is True,
            letterbox=recipe.get("letterbox") is True,
            status="" if said == "trained" else said,
        )
    except (AttributeError, LookupError, TypeError):
        raise StudyError(f"{path.with_name('run.json')} is damaged: train again") from None


def predict_file(segmenter: Segmenter, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read an image, (height, width) uint8, and predict its mask, bool of the same shape."""
    image = read_image(path)
    return image, segmenter.mask(image)


def predict_images(segmenter: Segmenter, arrays: Arrays, rows: np.ndarray) -> np.ndarray:
    """Predict the probabilities (rows, size, size) of some rows of the arrays, in batches."""
    from pneumo_keras.dataset.loader import evaluation_batches

    batches = evaluation_batches(arrays, rows, BATCH)
    return segmenter.model.predict(batches, verbose=0)[..., 0]


def write_predictions(
    probabilities: np.ndarray,
    threshold: float,
    images: pd.DataFrame,
    data: Path,
    folder: Path,
    letterbox: bool = False,
) -> None:
    """Write mask and overlay of each image (`write_marked`), at its own size, into a folder.

    From probabilities (images, size, size), 0..1, marked at and above the threshold, and one row
    an image with `name` and `image`, its path below `data`; `letterbox` as for the network.
    """
    pairs = zip(probabilities, images.itertuples(), strict=True)
    for probability, row in progress_bar(pairs, "masks and overlays", len(images)):
        image = read_image(data / row.image)
        mask = resize_back(probability, image.shape, letterbox) >= threshold
        write_marked(image, mask, row.name, folder)


def write_marked(image: np.ndarray, mask: np.ndarray, name: str, folder: Path) -> None:
    """Write `<name>_mask.png` and `<name>_overlay.png`, the mask on its image, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_png(folder / f"{name}_mask.png", mask)
    write_png(folder / f"{name}_overlay.png", overlay(image, mask))


def tinted(image: np.ndarray, regions: Sequence[tuple[np.ndarray, str]]) -> np.ndarray:
    """Colour regions, masks with a colour `#rrggbb`, of a uint8 image; return uint8 RGB.

    Example:
        >>> tinted(np.full((1, 1), 100, np.uint8), [(np.array([[True]]), "#FF0000")]).tolist()
        [[[170, 55, 55]]]
    """
    picture = np.repeat(image[..., None], 3, axis=2)
    for region, colour in regions:
        mixed = (1 - OPACITY) * picture[region] + OPACITY * np.array(ImageColor.getrgb(colour))
        picture[region] = np.round(mixed).astype(np.uint8)
    return picture


def overlay(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Colour a mask on its image, as `tinted`, and draw its outline."""
    picture, thickness = tinted(image, [(mask, MARK)]), max(1, round(max(image.shape) / 400))
    return cv2.drawContours(picture, _contours(mask), -1, ImageColor.getrgb(MARK), thickness)


def _contours(mask: np.ndarray) -> Sequence[np.ndarray]:
    mask = mask.astype(np.uint8)
    return cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
