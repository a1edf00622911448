"""The arrays on disk, and augmentation."""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pneumo_keras import files
from pneumo_keras.dataset import arrays as arrays_module
from pneumo_keras.dataset.arrays import fingerprint, load_arrays, write_arrays
from pneumo_keras.dataset.augmentation import augment
from pneumo_keras.dataset.images import read_image, read_mask, write_png
from pneumo_keras.dataset.labelme import write_annotation
from pneumo_keras.dataset.layouts import find_images
from pneumo_keras.dataset.masks import write_masks
from pneumo_keras.dataset.resize import resize_image, resize_mask
from pneumo_keras.dataset.shapes import Shape
from pneumo_keras.errors import StudyError


def box(left, top, right, bottom):
    return Shape("pneumonia", "rectangle", np.array([[left, top], [right, bottom]], float))


@pytest.fixture
def study(tmp_path):
    """Three images of different shapes, one without target, one named like a missing value."""
    data = tmp_path / "data"
    rng = np.random.default_rng(0)
    for name, height, width, shapes in (
        ("NA", 40, 60, [box(0, 0, 29, 39)]),
        ("007", 64, 64, []),
        ("wide", 32, 96, [box(0, 0, 95, 15)]),
    ):
        write_png(data / f"{name}.png", rng.integers(0, 256, (height, width), dtype=np.uint8))
        write_annotation(data / f"{name}.json", f"{name}.png", shapes, height, width)
    report = write_masks(
        find_images(data), tmp_path / "masks", "pneumonia", [], data=data, progress=False
    )
    return tmp_path, report.index


def write(study, size=32, **options):
    folder, index = study
    places = (folder / "data", folder / "masks", folder / "arrays")
    return write_arrays(index, *places, size, **options)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_arrays_hold_images_masks_and_index_in_one_order(study):
    folder, index = study
    arrays = write(study)
    assert arrays.images.shape == arrays.masks.shape == (3, 32, 32)
    assert arrays.images.dtype == arrays.masks.dtype == np.uint8
    assert isinstance(arrays.images, np.memmap) and set(np.unique(arrays.masks)) == {0, 1}
    masks = dict(zip(arrays.index["name"], arrays.masks, strict=True))
    assert masks["NA"][:, :16].all() and not masks["NA"][:, 16:].any()  # its left half
    assert masks["wide"][:16].all() and not masks["wide"][16:].any()  # its upper half
    assert not masks["007"].any()
    pd.testing.assert_frame_equal(load_arrays(folder / "arrays").index, index)
    split = pd.Series({"NA": "train", "007": "test", "wide": "train"})
    names = arrays.index["name"].to_numpy()
    assert set(names[arrays.rows(split, "train")]) == {"NA", "wide"}
    assert names[arrays.rows(split, "test")].tolist() == ["007"]
    assert len(arrays.rows(split, "validation")) == 0


def test_settings_are_applied_and_kept(study, monkeypatch):
    monkeypatch.setattr(arrays_module, "BATCH", 2)  # fewer than there are images
    folder, index = study
    arrays = write(study, clahe=True, letterbox=True)
    assert arrays.clahe and arrays.letterbox and load_arrays(folder / "arrays").letterbox
    for number, row in enumerate(index.itertuples()):
        image, mask = (
            read_image(folder / "data" / row.image),
            read_mask(folder / "masks" / row.mask),
        )
        np.testing.assert_array_equal(arrays.images[number], resize_image(image, 32, True, True))
        np.testing.assert_array_equal(arrays.masks[number], resize_mask(mask, 32, True))
    plain = write(study)
    assert not plain.clahe and not plain.letterbox


def test_another_size_replaces_the_arrays_and_a_failure_leaves_them(study):
    folder, _ = study
    write(study)
    assert write(study, 64).images.shape == (3, 64, 64)
    before = contents(folder / "arrays")
    (folder / "data" / "wide.png").write_bytes(b"")
    with pytest.raises(StudyError, match="wide.png"):
        write(study)
    write_png(folder / "data" / "wide.png", np.zeros((32, 90), np.uint8))
    with pytest.raises(StudyError, match="wide.png is 90x32 .* 96x32"):
        write(study)
    assert contents(folder / "arrays") == before


@pytest.mark.parametrize("killed_at", ["images.npy", "masks.npy", "index.csv"])
def test_arrays_killed_while_they_are_replaced_are_never_mixed(study, monkeypatch, killed_at):
    """Old images never stand beside new masks, nor either beside another index."""
    folder, _ = study
    write(study)

    def replace(source, target):
        if Path(target).name == killed_at:
            raise KeyboardInterrupt
        os.rename(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(files.os, "replace", replace)
        write(study, 64)
    with pytest.raises(StudyError, match="arrays: .* not finished"):
        load_arrays(folder / "arrays")
    (folder / "arrays" / ".images.123.partial.npy").write_bytes(b"of a killed process")
    assert write(study, 64).masks.shape == (3, 64, 64)
    names = {path.name for path in (folder / "arrays").iterdir()}
    assert names == {"images.npy", "masks.npy", "index.csv", "settings.json"}


def test_missing_and_damaged_arrays_are_refused(study):
    folder, _ = study
    with pytest.raises(StudyError, match="notebook 02"):
        load_arrays(folder / "nowhere")
    for name in ("masks.npy", "settings.json"):
        write(study)
        (folder / "arrays" / name).write_text("[]")
        with pytest.raises(StudyError, match=re.escape(str(folder / "arrays"))):
            load_arrays(folder / "arrays")


def test_the_fingerprint_tells_pixels_names_and_parts(study):
    arrays = write(study)
    split = pd.Series({"NA": "train", "007": "test", "wide": "train"})
    first = fingerprint(arrays, split)
    assert len(first) == 64 and first == fingerprint(write(study), split)
    others = {
        fingerprint(arrays, split.replace("test", "validation")),
        fingerprint(write(study, clahe=True), split),
        fingerprint(write(study, 64), split),
    }
    assert len(others | {first}) == 4


# === Augmentation ===


def lesion(side=96):
    """An ellipse well inside the image."""
    rows, columns = np.indices((side, side))
    inside = ((rows - 0.45 * side) / 20) ** 2 + ((columns - 0.6 * side) / 12) ** 2 < 1
    return inside.astype(np.uint8)


@pytest.mark.parametrize("seed", range(12))
def test_the_mask_moves_with_the_image(seed):
    mask = lesion()
    image, moved = augment(255 * mask, mask, np.random.default_rng(seed))
    assert image.dtype == moved.dtype == np.uint8 and set(np.unique(moved)) == {0, 1}
    bright = image > (int(image.min()) + int(image.max())) / 2
    overlap, union = (bright & (moved == 1)).sum(), (bright | (moved == 1)).sum()
    assert overlap / union > 0.93
    assert (moved != mask).any()
    again = augment(255 * mask, mask, np.random.default_rng(seed))
    assert (again[0] == image).all() and (again[1] == moved).all()


def test_moves_stay_within_their_limits():
    """Area by the square of the scale, centre by shift and rotation about the middle."""
    mask = lesion()
    row, column = np.argwhere(mask).mean(axis=0)
    from_centre = np.hypot(row - 47.5, column - 47.5)
    limit = np.hypot(0.06, 0.06) * 96 + from_centre * (0.1 + np.deg2rad(10)) + 0.5
    moved = [augment(mask, mask, np.random.default_rng(seed))[1] for seed in range(60)]
    areas = np.array([one.sum() for one in moved]) / mask.sum()
    assert 0.9**2 - 0.05 < areas.min() < 0.9 and 1.1 < areas.max() < 1.1**2 + 0.05
    shifts = [np.linalg.norm(np.argwhere(one).mean(axis=0) - (row, column)) for one in moved]
    assert max(shifts) < limit and np.mean(shifts) > 2


def test_exposure_changes_but_never_the_order_of_greys():
    greys = {}
    for grey in (0, 128, 255):
        image = np.full((16, 16), grey, np.uint8)
        rngs = map(np.random.default_rng, range(40))
        greys[grey] = [int(augment(image, image * 0, rng)[0][0, 0]) for rng in rngs]
    assert all(low < middle < high for low, middle, high in zip(*greys.values(), strict=True))
    assert len(set(greys[128])) > 20
