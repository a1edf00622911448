"""Work on images before and after the networks: as in the notebooks, and in the usual way."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from benchmarks.turns import Work
from pneumo_keras.dataset.arrays import load_arrays, write_arrays
from pneumo_keras.dataset.images import read_image, write_png
from pneumo_keras.dataset.labelme import rasterize, read_annotation, write_annotation
from pneumo_keras.dataset.layouts import find_images
from pneumo_keras.dataset.mask_index import read_mask_index
from pneumo_keras.dataset.masks import write_masks
from pneumo_keras.dataset.phantoms.writing import write_phantoms

SIZE, BATCH = 256, 8
ENLARGED = 2.5  # phantoms to about 1400x1100 pixels, the size of the Kermany images
TARGET, LABELS = "pneumonia", ["lung"]
CONVERT, EXPORT, MASKS = "annotations to masks", "export", "masks"
ARRAYS, BATCHES, SCORES = "arrays", "batches", "scores"


def draw(folder: Path, count: int) -> None:
    """Leave phantoms with annotations in `images`, `masks` of them, and `arrays` of both."""
    data = folder / "images"
    data.mkdir()
    for path in write_phantoms(folder / "phantoms", count):
        image = cv2.resize(read_image(path), None, fx=ENLARGED, fy=ENLARGED)
        cv2.imwrite(str(data / path.name), image)
        shapes = [
            dataclasses.replace(shape, points=shape.points * ENLARGED)
            for shape in read_annotation(path.with_suffix(".json")).shapes
        ]
        write_annotation(data / f"{path.stem}.json", path.name, shapes, *image.shape)
    report = write_masks(find_images(data), folder / "masks", TARGET, LABELS, data=data)
    write_arrays(report.index, data, folder / "masks", folder / "arrays", SIZE)


def ours(folder: Path) -> dict[str, Work]:
    """Masks, arrays, batches and scores as in the notebooks; and annotations to masks alone."""
    from pneumo_keras.evaluation.metrics import score_images

    data, masks = folder / "images", folder / "masks"
    index, arrays = read_mask_index(masks), load_arrays(folder / "arrays")
    probabilities = predictions(arrays.masks)
    annotations = sorted(data.glob("*.json"))

    def convert(new: Path):
        with ThreadPoolExecutor() as pool:
            list(
                pool.map(
                    lambda path: write_png(new / f"{path.stem}.png", mask_of(path)), annotations
                )
            )

    def draw_masks(new: Path):
        write_masks(find_images(data), new / "masks", TARGET, LABELS, data=data, progress=False)

    works = {
        CONVERT: in_new_folder(convert),
        MASKS: in_new_folder(draw_masks),
        ARRAYS: in_new_folder(lambda new: write_arrays(index, data, masks, new, SIZE)),
        SCORES: lambda: score_images(probabilities, arrays.masks, 0.5, index),
    }
    return {name: Work(do, len(index)) for name, do in works.items()} | batches(folder)


def mask_of(path: Path) -> np.ndarray:
    """Mask of the target in a LabelMe file, bool, at the size of the image."""
    annotation = read_annotation(path)
    return rasterize(annotation, TARGET, annotation.height, annotation.width)


def batches(folder: Path) -> dict[str, Work]:
    """Augmented batches, as `fit` takes them."""
    from pneumo_keras.dataset.loader import training_batches

    arrays = load_arrays(folder / "arrays")
    rows = np.arange(len(arrays.images))

    def load():
        for _ in training_batches(arrays, rows, BATCH, 1, 1, True):
            pass

    return {BATCHES: Work(load, len(rows) // BATCH * BATCH)}


def predictions(masks: np.ndarray) -> np.ndarray:
    """Probabilities (images, height, width) as of a network: masks moved a little and blurred."""
    moved = np.roll(masks, (5, -4), axis=(1, 2)).astype(np.float32)
    return np.stack([cv2.GaussianBlur(mask, (0, 0), 4) for mask in moved])


def in_new_folder(write: Callable[[Path], object]) -> Callable[[], None]:
    """A function that calls another with a new folder, and removes that again."""

    def do():
        with TemporaryDirectory() as folder:
            write(Path(folder))

    return do


# === In the usual way, on one core ===


def labelme(folder: Path) -> dict[str, Work]:
    """labelme's own export, of all labels and images; and its rasteriser and writer alone."""
    from labelme import LabelFile
    from labelme.utils import img_data_to_arr, lblsave, shapes_to_label

    values = {"_background_": 0, TARGET: 1, LABELS[0]: 2}
    files = sorted((folder / "images").glob("*.json"))

    def export(new: Path):
        for path in files:
            annotation = LabelFile(str(path))
            image = img_data_to_arr(annotation.imageData)
            label, _ = shapes_to_label(image.shape, annotation.shapes, values)
            lblsave(str(new / f"{path.stem}.png"), label.astype(np.uint8))

    def convert(new: Path):
        for path in files:
            lblsave(str(new / f"{path.stem}.png"), labelme_mask_of(path))

    works = {EXPORT: export, CONVERT: convert}
    return {name: Work(in_new_folder(write), len(files)) for name, write in works.items()}


def labelme_mask_of(path: Path) -> np.ndarray:
    """As `mask_of`, by labelme, uint8; given polylines as polygons, since it draws strokes."""
    from labelme.utils import shapes_to_label

    document = json.loads(path.read_text("utf-8"))
    shapes = [shape for shape in document["shapes"] if shape["label"] == TARGET]
    polygons = [{**shape, "shape_type": "polygon"} for shape in shapes]
    size = document["imageHeight"], document["imageWidth"]
    return shapes_to_label(size, polygons, {TARGET: 1})[0].astype(np.uint8)


def opencv(folder: Path) -> dict[str, Work]:
    """Arrays and augmented batches in a plain loop over OpenCV."""
    index, arrays = read_mask_index(folder / "masks"), load_arrays(folder / "arrays")
    paths = [
        (folder / "images" / row.image, folder / "masks" / row.mask) for row in index.itertuples()
    ]

    def resize(new: Path):
        images, masks = [], []
        for pair in paths:
            image, mask = (cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in pair)
            images.append(cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA))
            masks.append(cv2.resize(mask, (SIZE, SIZE), interpolation=cv2.INTER_NEAREST) > 127)
        np.save(new / "images.npy", np.stack(images))
        np.save(new / "masks.npy", np.stack(masks).astype(np.uint8))

    def load():
        random = np.random.default_rng(1)
        order = random.permutation(len(paths))
        for start in range(0, len(paths) - BATCH + 1, BATCH):
            pairs = [augment(random, row) for row in order[start : start + BATCH]]
            for part in zip(*pairs, strict=True):
                np.stack(part)[..., None].astype(np.float32)

    def augment(random, row):
        turn, scale = random.uniform(-10, 10), random.uniform(0.9, 1.1)
        move = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), turn, scale)
        move[:, 2] += random.uniform(-0.06, 0.06, 2) * SIZE
        size = (SIZE, SIZE)
        image = cv2.warpAffine(arrays.images[row], move, size, borderMode=cv2.BORDER_REPLICATE)
        mask = cv2.warpAffine(arrays.masks[row], move, size, flags=cv2.INTER_NEAREST)
        image = 255 * (image / 255.0) ** np.exp(random.uniform(-0.25, 0.25))
        image = image * random.uniform(0.85, 1.15) + random.uniform(-20, 20)
        return np.clip(image, 0, 255), mask

    whole = len(paths) // BATCH * BATCH
    return {ARRAYS: Work(in_new_folder(resize), len(paths)), BATCHES: Work(load, whole)}


def libraries(folder: Path) -> dict[str, Work]:
    """Scores of overlap, surface and lesions of scikit-learn, surface-distance and SciPy."""
    import surface_distance
    from scipy import ndimage
    from sklearn import metrics

    masks = load_arrays(folder / "arrays").masks
    probabilities = predictions(masks)
    ratios = (metrics.jaccard_score, metrics.f1_score)
    ratios += (metrics.recall_score, metrics.precision_score)

    def score():
        for probability, mask in zip(probabilities, masks, strict=True):
            predicted, flat = probability >= 0.5, mask.ravel()
            metrics.accuracy_score(flat, predicted.ravel())
            for ratio in ratios:
                ratio(flat, predicted.ravel(), zero_division=0)
            metrics.brier_score_loss(flat, probability.ravel(), labels=[0, 1])
            ndimage.label(mask), ndimage.label(predicted)
            if mask.any() and predicted.any():  # the others have no surface to measure from
                distances = surface_distance.compute_surface_distances(mask > 0, predicted, (1, 1))
                surface_distance.compute_robust_hausdorff(distances, 95)
                surface_distance.compute_average_surface_distance(distances)
                surface_distance.compute_surface_dice_at_tolerance(distances, 2)

    return {SCORES: Work(score, len(masks))}
