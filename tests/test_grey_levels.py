"""Masks whose shape is not in their grey levels, and images read without contrast."""

from pathlib import Path

import numpy as np
import pytest
from image_files import tiff
from PIL import Image

from pneumo_keras.dataset.check import examine
from pneumo_keras.dataset.images import (
    image_format,
    read_image,
    read_mask,
    write_png,
)
from pneumo_keras.dataset.layouts import find_images
from pneumo_keras.dataset.masks import write_masks
from pneumo_keras.errors import StudyError

CASES = Path(__file__).parents[1] / "../shared/cases"
INSIDE = np.zeros((6, 8), bool)
INSIDE[2:4, 1:6] = True
GREY = np.where(INSIDE, 255, 0).astype(np.uint8)
WHITE = np.full_like(GREY, 255)


def case(name):
    if not (CASES / name).is_dir():
        pytest.skip("needs ../shared/cases")
    return CASES / name / "data"


def examined(data, folder):
    (folder / "masks").mkdir()
    return examine(data, folder / "masks", "pneumonia", [], progress=False)


# --- Masks whose shape is not in their grey.


@pytest.mark.parametrize(
    ("name", "word"),
    [("mask-in-alpha-white", "alpha"), ("mask-imagej-inverting-lut-png", "inverting LUT")],
)
def test_cases_of_masks_are_refused(tmp_path, name, word):
    examination = examined(case(name), tmp_path)
    assert len(examination.refusals) == 8 and examination.index.empty
    assert all(word in finding.message for finding in examination.refusals)


def with_palette(indices, *colours, **options):
    image = Image.fromarray(np.asarray(indices, np.uint8), "P")
    image.putpalette(sum(colours, ()))
    image.info |= options
    return image


BLACK, LIGHT, RED = (0, 0, 0), (255, 255, 255), (128, 0, 0)
AMBIGUOUS = {
    "shape in the alpha of white": Image.fromarray(np.dstack([WHITE, GREY]), "LA"),
    "shape in the alpha of black": Image.fromarray(np.dstack([0 * WHITE] * 3 + [GREY]), "RGBA"),
    "complement in alpha": Image.fromarray(np.dstack([GREY, 255 - GREY]), "LA"),
    "palette from white to black": with_palette(INSIDE, LIGHT, BLACK),
    "palette of one colour": with_palette(INSIDE, RED, RED),
    "palette without a colour for 1": with_palette(INSIDE, BLACK, BLACK),
    "nothing, shown as everything": with_palette(0 * GREY, LIGHT, BLACK),
    "transparency of a palette": with_palette(INSIDE, BLACK, LIGHT, transparency=b"\xff\0"),
}


@pytest.mark.parametrize("kind", AMBIGUOUS)
def test_an_ambiguous_mask_is_refused(tmp_path, kind):
    AMBIGUOUS[kind].save(tmp_path / "a.png")
    with pytest.raises(StudyError, match=r"a\.png (shows|has a palette).*: save it as grey PNG"):
        read_mask(tmp_path / "a.png")


@pytest.mark.parametrize(("depth", "kind"), [(8, np.uint8), (16, "<u2")])
def test_masks_of_inverting_tiff_are_refused_though_images_are_read(tmp_path, depth, kind):
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(8, 6, 0, depth, GREY.astype(kind).tobytes()))
    with pytest.raises(StudyError, match=r"a\.tif .*WhiteIsZero"):
        read_mask(path)
    assert np.array_equal(read_image(path), 255 - GREY)
    path.write_bytes(tiff(8, 6, 1, depth, GREY.astype(kind).tobytes()))
    assert np.array_equal(read_mask(path), INSIDE)


CLEAR = {
    "opaque": Image.fromarray(np.dstack([GREY, WHITE]), "LA"),
    "white on transparent black": Image.fromarray(np.dstack([GREY] * 4), "RGBA"),
    "the palette of labelme": with_palette(INSIDE, BLACK, RED),
    "black of a palette transparent": with_palette(INSIDE, BLACK, LIGHT, transparency=0),
    "palette of greys": Image.fromarray(GREY).convert("P"),
    "1 bit": Image.fromarray(INSIDE),
}


@pytest.mark.parametrize("kind", CLEAR)
def test_a_mask_that_says_one_thing_is_read(tmp_path, kind):
    CLEAR[kind].save(tmp_path / "a.png")
    assert np.array_equal(read_mask(tmp_path / "a.png"), INSIDE)


def folder_of(data, masks):
    """A folder of images and the masks given."""
    random = np.random.default_rng(0)
    for number, mask in enumerate(masks):
        image = random.integers(0, 256, mask.shape).astype(np.uint8)
        write_png(data / "images" / f"{number}.png", image)
        write_png(data / "masks" / f"{number}.png", mask)
    return data


def notes(data, folder):
    """What `check` and `write_masks` both say about the masks."""
    examination = examined(data, folder)
    report = write_masks(
        find_images(data), folder / "kept", "pneumonia", [], data=data, progress=False
    )
    said = [finding.message for finding in examination.findings if finding.kind == "note"]
    assert set(report.notes) <= set(said)
    return [note for note in report.notes if "masks" in note]


def test_the_case_of_inverted_masks_is_said(tmp_path):
    (note,) = notes(case("mask-inverted"), tmp_path)
    assert "more than half" in note and "8 of 8" in note


@pytest.mark.parametrize(
    ("masks", "word"),
    [
        ([~INSIDE] * 9 + [INSIDE], "more than half"),
        ([~INSIDE, INSIDE] * 5, None),
        ([INSIDE & False] * 9 + [INSIDE], "marks nothing"),
        ([INSIDE & False, INSIDE] * 5, None),
    ],
)
def test_what_nearly_all_masks_say_has_to_be_plausible(tmp_path, masks, word):
    said = notes(folder_of(tmp_path / "data", masks), tmp_path)
    assert len(said) == (word is not None) and all(word in note for note in said)


def test_the_size_of_a_mask_comes_before_its_grey_levels(tmp_path):
    data = folder_of(tmp_path / "data", [INSIDE, INSIDE])
    photograph = np.random.default_rng(1).integers(0, 256, (9, 9)).astype(np.uint8)
    write_png(data / "masks" / "1.png", photograph)
    (refusal,) = examined(data, tmp_path).refusals
    assert "9×9" in refusal.message and "8×6" in refusal.message


# --- Depth of PNG and TIFF.


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_values_in_16_bits_are_scaled_by_the_depth_they_need(tmp_path, bits, suffix):
    white = 2**bits - 1
    values = np.linspace(0, white, 600).astype(np.uint16).reshape(20, 30)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(values).save(path)
    assert np.abs(read_image(path) - values * (255 / white)).max() <= 0.5
    assert image_format(path).endswith("grey" if bits == 16 else f"grey with {bits}-bit values")


def test_inversion_keeps_to_the_depth(tmp_path):
    values = np.array([[0, 1365], [2730, 4095]], "<u2")
    (tmp_path / "a.tif").write_bytes(tiff(2, 2, 0, 16, values.tobytes()))
    assert read_image(tmp_path / "a.tif").tolist() == [[255, 170], [85, 0]]


def test_the_case_of_12_bits_has_contrast_and_is_said(tmp_path):
    data = case("png-12-bit-in-16")
    deep = np.asarray(Image.open(data / "images/f0.png"), float)
    assert np.array_equal(read_image(data / "images/f0.png"), np.round(deep * 255 / 4095))
    (finding,) = [one for one in examined(data, tmp_path).findings if "12-bit" in one.message]
    assert len(finding.files) == 8 and not finding.refused


def test_images_of_few_greys_are_said(tmp_path):
    data = folder_of(tmp_path / "data", [INSIDE] * 3)
    write_png(data / "images" / "1.png", np.arange(48).reshape(6, 8).astype(np.uint8) // 3)
    (finding,) = [one for one in examined(data, tmp_path).findings if "256 greys" in one.message]
    assert finding.files == ("images/1.png",) and "(16)" in finding.message
