"""DICOM images on their way through masks, arrays and index."""

import numpy as np
import pytest
from image_files import save_dicom

from pneumo_keras.dataset.arrays import write_arrays
from pneumo_keras.dataset.images import read_image, write_png
from pneumo_keras.dataset.labelme import write_annotation
from pneumo_keras.dataset.layouts import find_images
from pneumo_keras.dataset.masks import read_mask_index, write_masks
from pneumo_keras.dataset.shapes import Shape

STORED = np.random.default_rng(0).integers(0, 4096, (40, 48)).astype(np.uint16)
BOX = Shape("pneumonia", "rectangle", np.array([[0.0, 0.0], [23.0, 39.0]]))


@pytest.fixture
def data(tmp_path):
    """A DICOM image of each photometric interpretation, one without suffix, and a PNG."""
    data = tmp_path / "data"
    data.mkdir()
    save_dicom(data / "dark.dcm", STORED, bits=12, PixelSpacing=[0.2, 0.15])
    shades = {"PhotometricInterpretation": "MONOCHROME1"}
    save_dicom(data / "light.dcm", STORED, bits=12, ImagerPixelSpacing=[0.143, 0.143], **shades)
    save_dicom(data / "IM0001", STORED, bits=12)
    write_png(data / "plain.png", (STORED // 16).astype(np.uint8))
    for image in ("dark.dcm", "light.dcm", "IM0001", "plain.png"):
        # As drawn on PNGs of the images, whose annotations were then copied beside the DICOM.
        drawn_on = image if image == "IM0001" else f"{image.split('.')[0]}.png"
        write_annotation(data / f"{image.split('.')[0]}.json", drawn_on, [BOX], *STORED.shape)
    return data


def masks(data, folder):
    images = find_images(data)
    return write_masks(images, folder, "pneumonia", [], data=data, progress=False)


def test_index_holds_spacing_and_inversion(data, tmp_path):
    report = masks(data, tmp_path / "masks")
    index = read_mask_index(tmp_path / "masks").set_index("name")
    assert index["image"].to_dict() == {
        "IM0001": "IM0001",
        "dark": "dark.dcm",
        "light": "light.dcm",
        "plain": "plain.png",
    }
    spacing = index[["spacing_row_mm", "spacing_column_mm"]]
    assert spacing.loc["dark"].tolist() == [0.2, 0.15]
    assert spacing.loc["light"].tolist() == [0.143, 0.143]
    assert spacing.loc[["IM0001", "plain"]].isna().all(axis=None)
    assert index["inverted"].to_dict() == {"IM0001": 0, "dark": 0, "light": 1, "plain": 0}
    assert (index["target_share"] == 0.5).all()
    (note,) = report.notes
    assert "MONOCHROME1" in note
    again = masks(data, tmp_path / "masks")
    assert again.kept == 4 and again.notes == report.notes


def test_arrays_hold_what_is_shown(data, tmp_path):
    index = masks(data, tmp_path / "masks").index
    arrays = write_arrays(index, data, tmp_path / "masks", tmp_path / "arrays", 32)
    images = dict(zip(arrays.index["name"], np.asarray(arrays.images, int), strict=True))
    assert np.abs(images["light"] - (255 - images["dark"])).max() <= 1
    assert np.array_equal(images["IM0001"], images["dark"])
    dark, plain = (read_image(data / name).astype(int) for name in ("dark.dcm", "plain.png"))
    assert np.abs(dark - plain).max() <= 1
