"""Crops placed by structure.csv: by hand, and made from real masks."""

import csv

import numpy as np
import pytest
from PIL import Image

from pneumo_keras.dataset.films import film_size, read_film, read_mask, write_png
from pneumo_keras.dataset.masks import write_masks
from pneumo_keras.dataset.sources import find_films, recognition_line
from pneumo_keras.errors import StudyError

COLUMNS = [
    "#",
    "Class",
    "Filename",
    "Image",
    "Mask",
    "Resolution",
    "Top",
    "Left",
    "Width",
    "Height",
]


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
    row = {
        "#": len(rows) + 1,
        "Class": label,
        "Filename": name,
        "Image": "images/hash.jpg",
        "Mask": mask,
        "Resolution": resolution,
        "Top": top,
        "Left": left,
        "Width": crop.shape[1],
        "Height": crop.shape[0],
    }
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows([*rows, {**row, **changes}])


def painted(data, target, **options):
    films = find_films(data, target=target)
    out = data.parent / target
    report = write_masks(films, out, target, [], data=data, progress=False, **options)
    return {row.name: read_mask(out / row.mask) for row in report.index.itertuples(index=False)}


@pytest.fixture
def data(tmp_path):
    """A film of 6 rows and 8 columns with two opacities that overlap, a lung and a line."""
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


def rows(*lines):
    return np.array([[letter == "x" for letter in line] for line in lines])


def test_crops_are_placed_by_hand_worked_places(data):
    pneumonia = rows("........", "..xxxx..", "..x.....", "........", "........", "........")
    lung = rows("x.......", "x.....xx", "x.....xx", "x.....xx", "x.....xx", "......xx")
    glass = rows("........", "..xx....", "..x.....", "........", "........", "........")
    assert np.array_equal(painted(data, "pneumonia")["a"], pneumonia)
    assert np.array_equal(painted(data, "lung")["a"], lung)
    assert np.array_equal(painted(data, "ground glass opacities")["a"], glass)


def test_patient_finding_and_licence_come_from_the_metadata(data):
    (film,) = films = find_films(data)
    assert (film.patient, film.group, film.licence) == ("39", "COVID-19", "CC BY-NC-SA")
    assert recognition_line(films) == (
        "recognised as general_blockchain: 1 film, licence CC BY-NC-SA"
    )
    (data / "metadata.csv").unlink()
    (film,) = find_films(data)
    assert (film.patient, film.licence) == ("a", "CC BY 4.0 (annotations)")


def test_a_film_without_opacity_is_empty(data):
    write_png(data / "images" / "b.png", np.zeros((6, 8), np.uint8))
    add(data, "b.png", "COVID-19 Airways", np.ones((1, 1), bool), 0, 0, "8x6")
    masks = painted(data, "pneumonia")
    assert masks["a"].any() and not masks["b"].any()
    with pytest.raises(StudyError, match="consolidation, .*not effusion"):
        find_films(data, target="effusion")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Left": 7}, "reaches beyond its film of 8×6"),
        ({"Top": -1}, "reaches beyond its film"),
        ({"Width": 3}, "has 2×2 pixels, not 3×2 as listed"),
        ({"Mask": "masks/none.png"}, "none.png, which is not there"),
        ({"Mask": "../a.png"}, "a.png, which is not there"),
        ({"Top": "x"}, "no whole numbers"),
        ({"Resolution": "8"}, "no whole numbers"),
        ({"Resolution": "6x8"}, r"8×6 pixels, but its crops are placed on 6×8"),
        ({"Filename": "none.png"}, "none.png, which is not there"),
    ],
)
def test_unsound_rows_are_refused(tmp_path, changes, message):
    data = tmp_path / "data"
    write_png(data / "images" / "a.png", np.zeros((6, 8), np.uint8))
    write_png(tmp_path / "a.png", np.zeros((2, 2), np.uint8))
    add(data, "a.png", "COVID-19 Consolidation", np.ones((2, 2), bool), 0, 0, "8x6", **changes)
    with pytest.raises(StudyError, match=message) as error:
        painted(data, "pneumonia")
    assert "\n" not in str(error.value)


def test_a_row_without_a_class_is_an_error(data):
    add(data, "a.png", "", np.ones((1, 1), bool), 0, 0, "8x6")
    with pytest.raises(StudyError, match="structure.csv has a row without Class"):
        find_films(data)


def test_real_masks_cut_out_and_placed_again_are_the_same(real_data, tmp_path):
    source, data = real_data / "covid_opacities", tmp_path / "data"
    given = {}
    for path in sorted((source / "masks").glob("*.png"))[:12]:
        mask = read_mask(path)
        if not mask.any():
            continue
        height, width = film_size(source / "images" / path.name)
        write_png(data / "images" / path.name, read_film(source / "images" / path.name))
        (top, bottom), (left, right) = (
            (np.flatnonzero(mask.any(axis=axis))[[0, -1]]) for axis in (1, 0)
        )
        middle = (left + right) // 2 + 1  # in two crops, as glass and consolidation
        for label, first, last in (
            ("COVID-19 Ground Glass Opacities", left, middle),
            ("COVID-19 Consolidation", middle, right + 1),
        ):
            crop = mask[top : bottom + 1, first:last]
            add(data, path.name, label, crop, int(top), int(first), f"{width}x{height}")
        given[path.stem] = mask
    masks = painted(data, "pneumonia")
    assert len(masks) == len(given) > 8
    assert all(np.array_equal(masks[name], given[name]) for name in given)
