"""Crops placed by structure.csv: by hand, and made from real masks."""

import csv

import numpy as np
import pytest
from image_files import masks_of
from PIL import Image

from pneumo_keras.dataset.images import read_image, read_mask, write_png
from pneumo_keras.dataset.layouts import find_images
from pneumo_keras.errors import StudyError

COLUMNS = ["Class", "Filename", "Mask", "Resolution", "Top", "Left", "Width", "Height"]


def add(data, name, label, crop, top, left, resolution, **changes):
    """A row of structure.csv and its crop: RGBA in the release, opaque everywhere."""
    path = data / "structure.csv"
    rows = list(csv.DictReader(path.open(newline=""))) if path.exists() else []
    mask = f"masks/{len(rows):03}.png"
    pixels = np.zeros((*crop.shape, 4), np.uint8)
    pixels[crop] = [0, 128, 64, 0]
    pixels[..., 3] = 255
    (data / "masks").mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(data / mask)
    height, width = crop.shape
    values = (label, name, mask, resolution, top, left, width, height)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows([*rows, dict(zip(COLUMNS, values)) | changes])


@pytest.fixture
def data(tmp_path):
    """An image of 6 rows and 8 columns with two opacities that overlap, two lungs and a line."""
    data = tmp_path / "data"
    write_png(data / "images" / "a.png", np.full((6, 8), 9, np.uint8))
    glass = np.array([[True, True], [True, False]])
    add(data, "a.png", "COVID-19 Ground Glass Opacities", glass, 1, 2, "8x6")
    add(data, "a.png", "COVID-19 Consolidation", np.ones((1, 3), bool), 1, 3, "8x6")
    add(data, "a.png", "COVID-19 Left Lung", np.ones((5, 2), bool), 1, 6, "8x6")
    add(data, "a.png", "COVID-19 Right Lung", np.ones((5, 1), bool), 0, 0, "8x6")
    add(data, "a.png", "COVID-19 Central Venous Line", np.ones((1, 1), bool), 5, 7, "8x6")
    (data / "metadata.csv").write_text(
        "patientid,offset,finding,filename,license\n39,0,COVID-19,a.png,CC BY-NC-SA\n"
    )
    (data / "annotations.json").write_text('{"images": [], "annotations": [], "categories": []}')
    return data


EXPECTED = {
    "pneumonia": "........ ..xxxx.. ..x..... ........ ........ ........",
    "lung": "x....... x.....xx x.....xx x.....xx x.....xx ......xx",
    "ground glass opacities": "........ ..xx.... ..x..... ........ ........ ........",
}


@pytest.mark.parametrize("target", EXPECTED)
def test_crops_are_placed_by_hand_worked_places(data, target):
    expected = [[letter == "x" for letter in line] for line in EXPECTED[target].split()]
    masks = masks_of(data, find_images(data, target=target), target)
    assert masks["a"].tolist() == expected


def test_patient_finding_and_licence_come_from_the_metadata(data):
    (record,) = find_images(data)
    assert record.layout == "general_blockchain"
    assert (record.patient, record.group, record.licence) == ("39", "COVID-19", "CC BY-NC-SA")
    (data / "metadata.csv").unlink()
    (record,) = find_images(data)
    assert (record.patient, record.licence) == ("a", "CC BY 4.0 (annotations)")


def test_an_image_without_opacity_is_empty(data):
    write_png(data / "images" / "b.png", np.zeros((6, 8), np.uint8))
    add(data, "b.png", "COVID-19 Airways", np.ones((1, 1), bool), 0, 0, "8x6")
    masks = masks_of(data, find_images(data), "pneumonia")
    assert masks["a"].any() and not masks["b"].any()
    with pytest.raises(StudyError, match="consolidation, .*not effusion"):
        find_images(data, target="effusion")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Left": 7}, "beyond its image"),
        ({"Top": -1}, "beyond its image"),
        ({"Width": 3}, "not 3×2 pixels as listed"),
        ({"Mask": "masks/none.png"}, "none.png, which is not there"),
        ({"Mask": "../a.png"}, "a.png, which is not there"),
        ({"Top": "x"}, "whole numbers"),
        ({"Resolution": "8"}, "whole numbers"),
        ({"Resolution": "6x8"}, "6×8 pixels, but .* has 8×6"),
        ({"Filename": "none.png"}, "none.png, which is not there"),
        ({"Class": ""}, "a row without Class"),
    ],
)
def test_invalid_rows_are_refused(tmp_path, changes, message):
    data = tmp_path / "data"
    write_png(data / "images" / "a.png", np.zeros((6, 8), np.uint8))
    write_png(tmp_path / "a.png", np.zeros((2, 2), np.uint8))
    add(data, "a.png", "COVID-19 Consolidation", np.ones((2, 2), bool), 0, 0, "8x6", **changes)
    with pytest.raises(StudyError, match=message) as error:
        masks_of(data, find_images(data), "pneumonia")
    assert "\n" not in str(error.value)


def test_real_masks_cut_out_and_placed_again_are_the_same(real_data, tmp_path):
    source, data, expected = real_data / "covid_opacities", tmp_path / "data", {}
    for path in sorted((source / "masks").glob("*.png"))[:12]:
        mask = read_mask(path)
        if not mask.any():
            continue
        expected[path.stem] = mask
        height, width = mask.shape
        write_png(data / "images" / path.name, read_image(source / "images" / path.name))
        rows, columns = np.nonzero(mask)
        top, bottom, left, right = rows.min(), rows.max(), columns.min(), columns.max()
        middle = (left + right) // 2 + 1  # in two crops, as glass and consolidation
        for label, first, last in (
            ("Ground Glass Opacities", left, middle),
            ("Consolidation", middle, right + 1),
        ):
            crop = mask[top : bottom + 1, first:last]
            add(data, path.name, f"COVID-19 {label}", crop, top, first, f"{width}x{height}")
    masks = masks_of(data, find_images(data), "pneumonia")
    assert len(masks) == len(expected) > 8
    assert all(np.array_equal(masks[name], expected[name]) for name in expected)
