"""Works on films as in `films`, done the usual way with well-known libraries, on one core."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from benchmarks.films import (
    ARRAYS,
    BATCH,
    BATCHES,
    CONVERT,
    EXPORT,
    LABELS,
    SCORES,
    SIZE,
    TARGET,
    in_new_folder,
    predictions,
)
from benchmarks.turns import Work


def labelme(folder: Path) -> dict[str, Work]:
    """Masks as labelme's own examples export them, the film decoded and all labels painted; and
    its rasteriser and its writer alone, of the target's shapes."""
    from labelme import LabelFile
    from labelme.utils import img_data_to_arr, lblsave, shapes_to_label

    values = {"_background_": 0, TARGET: 1, LABELS[0]: 2}
    files = sorted((folder / "films").glob("*.json"))

    def export_into(new: Path):
        for path in files:
            annotation = LabelFile(str(path))
            film = img_data_to_arr(annotation.imageData)
            label, _ = shapes_to_label(film.shape, annotation.shapes, values)
            lblsave(str(new / f"{path.stem}.png"), label.astype(np.uint8))

    def convert_into(new: Path):
        for path in files:
            lblsave(str(new / f"{path.stem}.png"), labelme_mask_of(path))

    export = Work(lambda: in_new_folder(export_into), len(files))
    return {
        EXPORT: export,
        CONVERT: Work(lambda: in_new_folder(convert_into), len(files)),
    }


def labelme_mask_of(path: Path) -> np.ndarray:
    """The target's region of a LabelMe file by labelme's rasteriser, uint8, 0 or 1.

    Polylines are given to it as polygons, since it draws them as strokes.
    """
    from labelme.utils import shapes_to_label

    document = json.loads(path.read_text("utf-8"))
    shapes = [
        {**shape, "shape_type": "polygon"}
        for shape in document["shapes"]
        if shape["label"] == TARGET
    ]
    size = document["imageHeight"], document["imageWidth"]
    return shapes_to_label(size, shapes, {TARGET: 1})[0].astype(np.uint8)


def opencv(folder: Path) -> dict[str, Work]:
    """Arrays and augmented batches in a plain loop over OpenCV."""
    import cv2

    from pneumo_keras.dataset.arrays import load_arrays
    from pneumo_keras.dataset.maskfolder import read_mask_index

    index, arrays = read_mask_index(folder / "masks"), load_arrays(folder / "arrays")
    names = [
        (folder / "films" / row.film, folder / "masks" / row.mask) for row in index.itertuples()
    ]

    def resize_into(new: Path):
        films, masks = [], []
        for film, mask in names:
            film = cv2.imread(str(film), cv2.IMREAD_GRAYSCALE)
            mask = cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE)
            films.append(cv2.resize(film, (SIZE, SIZE), interpolation=cv2.INTER_AREA))
            masks.append(cv2.resize(mask, (SIZE, SIZE), interpolation=cv2.INTER_NEAREST) > 127)
        np.save(new / "films.npy", np.stack(films))
        np.save(new / "masks.npy", np.stack(masks).astype(np.uint8))

    def load():
        random = np.random.default_rng(1)
        order = random.permutation(len(names))
        for start in range(0, len(names) - BATCH + 1, BATCH):
            pairs = [vary(random, row) for row in order[start : start + BATCH]]
            for part in zip(*pairs, strict=True):
                np.stack(part)[..., None].astype(np.float32)

    def vary(random, row):
        film, mask = arrays.films[row], arrays.masks[row]
        move = cv2.getRotationMatrix2D(
            (SIZE / 2, SIZE / 2), random.uniform(-10, 10), random.uniform(0.9, 1.1)
        )
        move[:, 2] += random.uniform(-0.06, 0.06, 2) * SIZE
        film = cv2.warpAffine(film, move, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE)
        mask = cv2.warpAffine(mask, move, (SIZE, SIZE), flags=cv2.INTER_NEAREST)
        film = 255 * (film / 255.0) ** np.exp(random.uniform(-0.25, 0.25))
        film = film * random.uniform(0.85, 1.15) + random.uniform(-20, 20)
        return np.clip(film, 0, 255), mask

    return {
        ARRAYS: Work(lambda: in_new_folder(resize_into), len(names)),
        BATCHES: Work(load, len(names) // BATCH * BATCH),
    }


def libraries(folder: Path) -> dict[str, Work]:
    """Overlap, surface and lesion scores of scikit-learn, surface-distance and SciPy."""
    import surface_distance
    from scipy import ndimage
    from sklearn import metrics

    from pneumo_keras.dataset.arrays import load_arrays

    truths = load_arrays(folder / "arrays").masks
    probabilities = predictions(truths)

    ratios = (
        metrics.jaccard_score,
        metrics.f1_score,
        metrics.recall_score,
        metrics.precision_score,
    )

    def score():
        for probability, truth in zip(probabilities, truths, strict=True):
            marked, flat = probability >= 0.5, truth.ravel()
            metrics.accuracy_score(flat, marked.ravel())
            for ratio in ratios:
                ratio(flat, marked.ravel(), zero_division=0)
            metrics.brier_score_loss(flat, probability.ravel(), labels=[0, 1])
            ndimage.label(truth), ndimage.label(marked)
            if truth.any() and marked.any():  # the others have no surface to measure from
                distances = surface_distance.compute_surface_distances(truth > 0, marked, (1, 1))
                surface_distance.compute_robust_hausdorff(distances, 95)
                surface_distance.compute_average_surface_distance(distances)
                surface_distance.compute_surface_dice_at_tolerance(distances, 2)

    return {SCORES: Work(score, len(truths))}
