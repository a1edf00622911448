"""Images, masks and runs for the tests of layouts."""

import numpy as np
from PIL import Image

from pneumo_keras.dataset.images import read_mask, write_png
from pneumo_keras.dataset.masks import write_masks

SIZE = (12, 16)


def add_image(path, size=SIZE):
    random = np.random.default_rng(len(str(path.name)))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(random.integers(0, 256, size, dtype=np.uint8)).save(path)


def add_mask(path, seed=0, size=SIZE):
    mask = np.random.default_rng(seed).random(size) < 0.3
    write_png(path, mask)
    return mask


def written(data, records, target, **options):
    """The report of `write_masks`, which keeps the masks of each target beside the data."""
    out = data.parent / f"masks of {target}"
    labels = ["pneumonia", "lung"]
    return write_masks(records, out, target, labels, data=data, progress=False, **options)


def masks_of(data, records, target, **options):
    """The masks that are made, by the name of the image."""
    index = written(data, records, target, **options).index
    return {n: read_mask(data.parent / f"masks of {target}" / f"{n}.png") for n in index["name"]}
