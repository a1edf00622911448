"""What happens to films before and after the networks, as the notebooks have it done."""

from __future__ import annotations

import dataclasses
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from benchmarks.turns import Work

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
SIZE, BATCH = 256, 8
ENLARGED = 2.5  # phantoms to about 1400x1100 pixels, the size of the Kermany films
TARGET, LABELS = "pneumonia", ["lung"]
CONVERT, EXPORT, MASKS = "annotations to masks", "export", "masks"
ARRAYS, BATCHES, SCORES = "arrays", "batches", "scores"


def draw(folder: Path, films: int) -> None:
    """Leaves phantoms with LabelMe annotations in `films`, their masks in `masks`, and arrays of
    both in `arrays`."""
    from pneumo_keras.dataset.arrays import write_arrays
    from pneumo_keras.dataset.masks import write_masks
    from pneumo_keras.dataset.phantoms.writing import write_phantoms
    from pneumo_keras.dataset.sources import find_films

    data = folder / "films"
    data.mkdir()
    for path in write_phantoms(folder / "phantoms", films):
        enlarge(path, data / path.name)
    report = write_masks(find_films(data), folder / "masks", TARGET, LABELS, data=data)
    write_arrays(report.index, data, folder / "masks", folder / "arrays", SIZE)


def enlarge(film: Path, enlarged: Path) -> None:
    """Writes a film and its LabelMe annotation larger than they are."""
    import cv2

    from pneumo_keras.dataset.films import read_film
    from pneumo_keras.dataset.labelme import read_annotation, write_annotation

    pixels = cv2.resize(read_film(film), None, fx=ENLARGED, fy=ENLARGED)
    cv2.imwrite(str(enlarged), pixels)
    shapes = [
        dataclasses.replace(shape, points=shape.points * ENLARGED)
        for shape in read_annotation(film.with_suffix(".json")).shapes
    ]
    height, width = pixels.shape
    write_annotation(
        enlarged.with_suffix(".json"), enlarged.name, shapes, height=height, width=width
    )


def ours(folder: Path) -> dict[str, Work]:
    """Masks, arrays, augmented batches and scores as the notebooks make them; and annotations to
    masks alone, without what notebook 01 finds out of each film."""
    from pneumo_keras.dataset.arrays import load_arrays, write_arrays
    from pneumo_keras.dataset.films import write_png
    from pneumo_keras.dataset.maskfolder import read_mask_index
    from pneumo_keras.dataset.masks import write_masks
    from pneumo_keras.dataset.sources import find_films
    from pneumo_keras.evaluation.scores import score_films

    data, masks = folder / "films", folder / "masks"
    index, arrays = read_mask_index(masks), load_arrays(folder / "arrays")
    probabilities = predictions(arrays.masks)
    annotations = sorted(data.glob("*.json"))
    count = len(index)

    def convert_into(new: Path):
        def convert(path: Path):
            write_png(new / f"{path.stem}.png", mask_of(path))

        with ThreadPoolExecutor() as pool:
            list(pool.map(convert, annotations))

    def paint_into(new: Path):
        films = find_films(data)
        write_masks(films, new / "masks", TARGET, LABELS, data=data, progress=False)

    return {
        CONVERT: Work(lambda: in_new_folder(convert_into), count),
        MASKS: Work(lambda: in_new_folder(paint_into), count),
        ARRAYS: Work(
            lambda: in_new_folder(lambda new: write_arrays(index, data, masks, new, SIZE)), count
        ),
        BATCHES: batches(folder)[BATCHES],
        SCORES: Work(lambda: score_films(probabilities, arrays.masks, 0.5, index), count),
    }


def mask_of(path: Path) -> np.ndarray:
    """The target's region of a LabelMe file, bool, at the size of the film."""
    from pneumo_keras.dataset.films import film_size
    from pneumo_keras.dataset.labelme import paint, read_annotation

    annotation = read_annotation(path)
    return paint(annotation, TARGET, *film_size(path.with_name(annotation.film)))


def batches(folder: Path) -> dict[str, Work]:
    """Augmented batches as training takes them."""
    from pneumo_keras.dataset.arrays import load_arrays
    from pneumo_keras.training.batches import training_batches

    arrays = load_arrays(folder / "arrays")
    rows = np.arange(len(arrays.films))

    def load():
        for _ in training_batches(arrays, rows, BATCH, 1, 1, True):
            pass

    return {BATCHES: Work(load, len(rows) // BATCH * BATCH)}


def predictions(truths: np.ndarray) -> np.ndarray:
    """Probabilities (films, height, width) as a network might give them: the truth moved a little
    and blurred."""
    import cv2

    moved = np.roll(truths, (5, -4), axis=(1, 2)).astype(np.float32)
    return np.stack([cv2.GaussianBlur(mask, (0, 0), 4) for mask in moved])


def in_new_folder(write) -> None:
    """Calls a function with a new folder, and removes that again."""
    folder = Path(mkdtemp())
    try:
        write(folder)
    finally:
        shutil.rmtree(folder)
