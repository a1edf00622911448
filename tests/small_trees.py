"""Films, masks and runs for the tests of sources."""

import numpy as np
from PIL import Image

from pneumo_keras.dataset.films import read_mask, write_png
from pneumo_keras.dataset.masks import write_masks

SIZE = (12, 16)


def film(path, size=SIZE):
    random = np.random.default_rng(len(str(path.name)))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(random.integers(0, 256, size, dtype=np.uint8)).save(path)
    return path


def mask(path, seed=0, size=SIZE):
    given = np.random.default_rng(seed).random(size) < 0.3
    write_png(path, given)
    return given


def painted(data, films, target, folder="out", **options):
    """The masks that are made, by the name of the film."""
    out = data.parent / folder
    labels = ["pneumonia", "lung"]
    report = write_masks(films, out, target, labels, data=data, progress=False, **options)
    return {row.name: read_mask(out / row.mask) for row in report.index.itertuples(index=False)}
