"""DICOM radiographs: from stored values to what a viewer shows, worked out by hand."""

import base64
import functools
import logging

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import dicom_bytes, dicom_dataset, file_bytes, lookup_table, save_dicom
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.pixels import pixel_array
from pydicom.pixels.decoders import JPEGLosslessSV1Decoder
from pydicom.uid import MPEG4HP41, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from pneumo_keras.dataset.arrays import write_arrays
from pneumo_keras.dataset.images import (
    decode_image,
    is_inverted,
    pixel_spacing,
    read_image,
    write_png,
)
from pneumo_keras.dataset.labelme import write_annotation
from pneumo_keras.dataset.layouts import find_images
from pneumo_keras.dataset.masks import read_mask_index, write_masks
from pneumo_keras.dataset.shapes import Shape
from pneumo_keras.errors import StudyError

DEEP = np.array([[0, 1024, 2048], [3072, 4095, 4095]], np.uint16)
WHOLE = {"WindowCenter": 2048, "WindowWidth": 4096}
LIGHT = {"PhotometricInterpretation": "MONOCHROME1"}


def shown(stored, **elements):
    return decode_image(dicom_bytes(stored, **elements), "a").tolist()


# --- From stored values to grey.


def test_without_window_the_values_present_fill_the_range():
    assert shown(np.array([[100, 200], [300, 400]], np.uint16)) == [[0, 85], [170, 255]]
    assert shown(np.full((2, 2), 7, np.uint8)) == [[0, 0], [0, 0]]


def test_window_of_the_standard():
    # PS3.3 C.11.2.1.2: c - 0.5 - (w - 1)/2 = 0 becomes black, c - 0.5 + (w - 1)/2 = 4095 white.
    expected = [[round(value / 4095 * 255) for value in row] for row in DEEP.tolist()]
    assert shown(DEEP, bits=12, **WHOLE) == expected
    # 2047 and 2049 lie at the ends of the window of width 3 about 2048.5 - 0.5.
    narrow = np.array([[2046, 2047], [2048, 2049]], np.uint16)
    window = {"WindowCenter": 2048.5, "WindowWidth": 3}
    assert shown(narrow, bits=12, **window) == [[0, 0], [128, 255]]


def test_exact_and_sigmoid_windows():
    values = np.array([[0, 100], [50, 75]], np.uint16)
    window = {"WindowCenter": 50, "WindowWidth": 100}
    exact = shown(values, VOILUTFunction="LINEAR_EXACT", **window)
    assert exact == [[0, 255], [128, 191]]
    sigmoid = shown(values, VOILUTFunction="SIGMOID", **window)
    expected = 255 / (1 + np.exp(-4 * (values - 50.0) / 100))
    assert sigmoid == np.round(expected).astype(int).tolist()


def test_of_several_windows_the_first():
    several = {"WindowCenter": [2048, 100], "WindowWidth": [4096, 10]}
    assert shown(DEEP, bits=12, **several) == shown(DEEP, bits=12, **WHOLE)


def test_monochrome1_is_inverted_and_said(tmp_path):
    expected = 255 - np.array(shown(DEEP, bits=12, **WHOLE))
    assert shown(DEEP, bits=12, **LIGHT, **WHOLE) == expected.tolist()
    assert not is_inverted(save_dicom(tmp_path / "a.dcm", DEEP))
    assert is_inverted(save_dicom(tmp_path / "a.dcm", DEEP, **LIGHT))


def test_signed_values_and_rescale():
    signed = np.array([[-1000, 0], [500, 1000]], np.int16)
    assert shown(signed) == [[0, 128], [191, 255]]
    # -1000 * 2 + 1000 = -1000 and so on; the window is one of rescaled values.
    rescaled = {"RescaleSlope": 2, "RescaleIntercept": 1000}
    window = {"WindowCenter": 1000, "WindowWidth": 2000, "VOILUTFunction": "LINEAR_EXACT"}
    assert shown(signed, **rescaled, **window) == [[0, 128], [255, 255]]


def test_negative_slope_turns_dark_to_bright():
    values = np.array([[0, 50], [75, 100]], np.uint16)
    turned = {"RescaleSlope": -1, "RescaleIntercept": 100}
    window = {"WindowCenter": 50, "WindowWidth": 100, "VOILUTFunction": "LINEAR_EXACT"}
    assert shown(values, **turned, **window) == shown(values, **turned) == [[255, 128], [64, 0]]


@pytest.mark.parametrize(("bits", "white"), [(8, 255), (12, 4095), (16, 65535)])
def test_voi_lut_comes_before_the_window(bits, white):
    # 1000 entries from 500 on, dark to white; more entries than an 8-bit index can count.
    entries = [white * step // 999 for step in range(1000)]
    table = lookup_table(entries, 500, bits)
    values = np.array([[0, 500], [1000, 1499], [2000, 4095]], np.uint16)
    middle = round(entries[500] / white * 255)
    expected = [[0, 0], [middle, 255], [255, 255]]
    assert shown(values, bits=12, VOILUTSequence=[table], **WHOLE) == expected


def test_modality_lut():
    table = lookup_table([3000, 2000, 1000, 0], 0, 16)
    values = np.array([[0, 1], [2, 3]], np.uint8)
    assert shown(values, ModalityLUTSequence=[table]) == [[255, 170], [85, 0]]


@pytest.mark.parametrize(
    ("shades", "expected"), [({}, [[0, 0], [128, 255]]), (LIGHT, [[0, 255], [127, 0]])]
)
def test_padding_is_black_and_counts_for_nothing(shades, expected):
    values = np.array([[65535, 100], [150, 200]], np.uint16)
    assert shown(values, PixelPaddingValue=65535, **shades) == expected
    bounded = {"PixelPaddingValue": 60000, "PixelPaddingRangeLimit": 65535}
    assert shown(values, **bounded, **shades) == expected


@given(
    st.sampled_from([np.uint8, np.int8, np.uint16, np.int16]),
    st.lists(st.integers(0, 65535), min_size=6, max_size=6),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_order_of_greys_is_that_of_values(dtype, values, inverted):
    stored = np.array(values, np.uint16).astype(dtype).reshape(2, 3)
    greys = np.ravel(shown(stored, **(LIGHT if inverted else {})))
    along = np.diff(greys[np.argsort(stored.ravel(), kind="stable")])
    assert (along <= 0).all() if inverted else (along >= 0).all()
    assert stored.min() == stored.max() or (greys.min(), greys.max()) == (0, 255)


# --- Compression. The streams of JPEG were made by GDCM 3.2 of (0, 87, 174, …) modulo 4096.

STORED = (np.arange(48).reshape(6, 8) * 87 % 4096).astype(np.uint16)
LARGER = np.tile(STORED, (8, 6))  # JPEG 2000 halves the sides five times
STREAMS = {
    JPEGLosslessSV1: (
        "/9j/wwALEAAGAAgBAREA/8QAFgABAQEAAAAAAAAAAAAAAAAABwoQ/9oACAEBAAEAAMrq6urq6ur1cK6urq6urq9X"
        "Curq6urq6vVwrq6urq6ur1cK6urq6urq9XCurq6urq6v/9kA"
    ),
    JPEGLSLossless: (
        "/9j/9wALEAAGAAgBAREA//gADQH//wASAEMBFABA/9oACAEBAAAAAKVsrZV1TK2VdUq4SulZVVUVNpJXK4aLQZ7O"
        "ZrMSsVuy2UyWQx2MqpWzFIhDIRBICqFav78+vj29KmD/2Q=="
    ),
}


@functools.cache
def compressed(syntax, said=None):
    """The bytes of a file of `STORED`, or of `LARGER` where pydicom itself compresses it."""
    made = dicom_dataset(STORED if syntax in STREAMS else LARGER, bits=12, **WHOLE)
    if syntax in STREAMS:
        made.PixelData = encapsulate([base64.b64decode(STREAMS[syntax])])
        made["PixelData"].is_undefined_length = True
    elif syntax:
        made.compress(syntax)
    if syntax:
        made.file_meta.TransferSyntaxUID = said or syntax
    return file_bytes(made)


@pytest.mark.parametrize("syntax", [*STREAMS, RLELossless, JPEG2000Lossless])
def test_compressed_images_are_those_uncompressed(syntax):
    stored = STORED if syntax in STREAMS else LARGER
    assert decode_image(compressed(syntax), "a").tolist() == shown(stored, bits=12, **WHOLE)


MADE_ELSEWHERE = ["CT_small", "JPGExtended", "JPEG2000", "MR_small"] + [
    f"MR_small_{form}"
    for form in ("RLE", "bigendian", "implicit", "jp2klossless", "jpeg_ls_lossless", "padded")
]


@pytest.mark.parametrize("name", MADE_ELSEWHERE)
def test_files_of_other_makers(name):
    path = get_testdata_file(f"{name}.dcm", download=False)
    header = pydicom.dcmread(path, stop_before_pixels=True)
    image = read_image(path)
    assert image.shape == (header.Rows, header.Columns)
    assert pixel_spacing(path) == pytest.approx(header.PixelSpacing)
    assert np.corrcoef(image.ravel(), pixel_array(path).ravel())[0, 1] > 0.8


def test_compression_that_cannot_be_decoded_says_what_to_do(monkeypatch):
    with pytest.raises(StudyError, match=r"a\.dcm .*MPEG-4 .* is not supported.*export"):
        decode_image(compressed(JPEGLosslessSV1, MPEG4HP41), "a.dcm")
    monkeypatch.setattr(JPEGLosslessSV1Decoder, "_available", {})
    with pytest.raises(StudyError, match=r"a\.dcm is compressed .*pip install pylibjpeg "):
        decode_image(compressed(JPEGLosslessSV1), "a.dcm")


# --- The header.


@pytest.mark.parametrize(
    ("elements", "spacing"),
    [
        ({}, None),
        ({"PixelSpacing": [0.2, 0.15]}, (0.2, 0.15)),
        ({"ImagerPixelSpacing": [0.143, 0.143]}, (0.143, 0.143)),
        ({"PixelSpacing": [0.13, 0.13], "ImagerPixelSpacing": [0.143, 0.143]}, (0.13, 0.13)),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.143, 0.143]}, (0.143, 0.143)),
        ({"PixelSpacing": []}, None),
    ],
)
def test_spacing_is_height_then_width_of_a_pixel(tmp_path, elements, spacing):
    assert pixel_spacing(save_dicom(tmp_path / "a.dcm", DEEP, **elements)) == spacing


def test_the_header_suffices_for_the_spacing(tmp_path):
    path = save_dicom(tmp_path / "a.dcm", np.zeros((40, 30), np.uint16), PixelSpacing=[1, 2])
    path.write_bytes(path.read_bytes()[:-2000])
    assert pixel_spacing(path) == (1, 2)
    with pytest.raises(StudyError, match=r"a\.dcm"):
        read_image(path)


# --- Damage.


@given(st.data())
@settings(max_examples=80, deadline=None)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damage_gives_an_image_or_one_line(data):
    """Whatever bytes change, wherever it is cut, the answer is an image or a refusal."""
    syntax = data.draw(st.sampled_from([None, RLELossless, JPEG2000Lossless]))
    content = bytearray(compressed(syntax))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.floats(0, 1, exclude_max=True)) ** 3  # most in the header
        content[132 + int(place * (len(content) - 132))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        content = content[: 132 + int(data.draw(st.floats(0, 1)) * (len(content) - 132))]
    logging.disable(logging.ERROR)
    try:
        assert decode_image(bytes(content), "the image").dtype == np.uint8
    except StudyError as error:
        assert "the image" in str(error) and "\n" not in str(error)
    finally:
        logging.disable(logging.NOTSET)


# --- Masks, arrays and index.


@pytest.fixture
def data(tmp_path):
    """A DICOM image of each photometric interpretation, one without suffix, and a PNG."""
    data = tmp_path / "data"
    data.mkdir()
    stored = np.random.default_rng(0).integers(0, 4096, (40, 48)).astype(np.uint16)
    save_dicom(data / "dark.dcm", stored, bits=12, PixelSpacing=[0.2, 0.15])
    save_dicom(data / "light.dcm", stored, bits=12, ImagerPixelSpacing=[0.143, 0.143], **LIGHT)
    save_dicom(data / "IM0001", stored, bits=12)
    write_png(data / "plain.png", (stored // 16).astype(np.uint8))
    box = Shape("pneumonia", "rectangle", np.array([[0.0, 0.0], [23.0, 39.0]]))
    # As drawn on PNGs of the images; the annotations were then copied beside the DICOM.
    for name in ("dark", "light", "plain", "IM0001"):
        drawn_on = name if name == "IM0001" else f"{name}.png"
        write_annotation(data / f"{name}.json", drawn_on, [box], *stored.shape)
    return data


def masks(data):
    folder = data.parent / "masks"
    return write_masks(find_images(data), folder, "pneumonia", [], data=data, progress=False)


def test_index_holds_spacing_and_inversion(data):
    report = masks(data)
    index = read_mask_index(data.parent / "masks").set_index("name")
    assert sorted(index["image"]) == ["IM0001", "dark.dcm", "light.dcm", "plain.png"]
    spacing = index[["spacing_row_mm", "spacing_column_mm"]]
    assert spacing.loc["dark"].tolist() == [0.2, 0.15]
    assert spacing.loc["light"].tolist() == [0.143, 0.143]
    assert spacing.loc[["IM0001", "plain"]].isna().all(axis=None)
    assert index["inverted"].to_dict() == {"IM0001": 0, "dark": 0, "light": 1, "plain": 0}
    assert (index["target_share"] == 0.5).all()
    assert len([note for note in report.notes if "MONOCHROME1" in note]) == 1
    again = masks(data)
    assert again.kept == 4 and again.notes == report.notes


def test_arrays_hold_what_is_shown(data, tmp_path):
    index = masks(data).index
    arrays = write_arrays(index, data, tmp_path / "masks", tmp_path / "arrays", 32)
    images = dict(zip(arrays.index["name"], np.asarray(arrays.images, int), strict=True))
    assert np.abs(images["light"] - (255 - images["dark"])).max() <= 1
    assert np.array_equal(images["IM0001"], images["dark"])
    dark, plain = (read_image(data / name).astype(int) for name in ("dark.dcm", "plain.png"))
    assert np.abs(dark - plain).max() <= 1
