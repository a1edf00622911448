"""DICOM radiographs: the steps from stored values to what a viewer shows, worked out by hand."""

import base64
import functools
import io
import logging

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import dicom_bytes, dicom_dataset, lookup_table, save_dicom
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.pixels import pixel_array
from pydicom.pixels.decoders import JPEGLosslessSV1Decoder
from pydicom.uid import (
    MPEG4HP41,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from pneumo_keras.dataset.images import decode_image, is_inverted, pixel_spacing, read_image
from pneumo_keras.errors import StudyError

DEEP = np.array([[0, 1024, 2048], [3072, 4095, 4095]], np.uint16)
WHOLE = {"WindowCenter": 2048, "WindowWidth": 4096}


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
    inverted = {"PhotometricInterpretation": "MONOCHROME1"}
    expected = 255 - np.array(shown(DEEP, bits=12, **WHOLE))
    assert shown(DEEP, bits=12, **inverted, **WHOLE) == expected.tolist()
    assert not is_inverted(save_dicom(tmp_path / "a.dcm", DEEP))
    assert is_inverted(save_dicom(tmp_path / "a.dcm", DEEP, **inverted))


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
    # 1000 entries from 500 on, dark to white; more entries than an 8-bit index can tell.
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
    ("shades", "expected"),
    [("MONOCHROME2", [[0, 0], [128, 255]]), ("MONOCHROME1", [[0, 255], [127, 0]])],
)
def test_padding_is_black_and_counts_for_nothing(shades, expected):
    values = np.array([[65535, 100], [150, 200]], np.uint16)
    shades = {"PhotometricInterpretation": shades}
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
    shades = "MONOCHROME1" if inverted else "MONOCHROME2"
    greys = np.ravel(shown(stored, PhotometricInterpretation=shades))
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


def save_compressed(path, syntax, said=None):
    """An image of `STORED`, or of `LARGER` where pydicom itself compresses it."""
    made = dicom_dataset(STORED if syntax in STREAMS else LARGER, bits=12, **WHOLE)
    if syntax in STREAMS:
        made.PixelData = encapsulate([base64.b64decode(STREAMS[syntax])])
        made["PixelData"].is_undefined_length = True
    else:
        made.compress(syntax)
    made.file_meta.TransferSyntaxUID = said or syntax
    made.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize("syntax", [*STREAMS, RLELossless, JPEG2000Lossless])
def test_compressed_images_are_those_uncompressed(tmp_path, syntax):
    stored = STORED if syntax in STREAMS else LARGER
    plain = save_dicom(tmp_path / "plain.dcm", stored, bits=12, **WHOLE)
    save_compressed(tmp_path / "a.dcm", syntax)
    assert np.array_equal(read_image(tmp_path / "a.dcm"), read_image(plain))


MADE_ELSEWHERE = [
    "CT_small.dcm",
    "MR_small.dcm",
    "MR_small_RLE.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_implicit.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "MR_small_padded.dcm",
    "JPGExtended.dcm",
    "JPEG2000.dcm",
]


@pytest.mark.parametrize("name", MADE_ELSEWHERE)
def test_files_of_other_makers(name):
    path = get_testdata_file(name, download=False)
    header = pydicom.dcmread(path, stop_before_pixels=True)
    image = read_image(path)
    assert image.shape == (header.Rows, header.Columns)
    assert pixel_spacing(path) == pytest.approx(header.PixelSpacing)
    assert np.corrcoef(image.ravel(), pixel_array(path).ravel())[0, 1] > 0.8


def test_compression_that_cannot_be_decoded_says_what_to_install(tmp_path, monkeypatch):
    save_compressed(tmp_path / "a.dcm", JPEGLosslessSV1)
    monkeypatch.setattr(JPEGLosslessSV1Decoder, "_available", {})
    with pytest.raises(StudyError, match=r"a\.dcm is compressed .*pip install pylibjpeg "):
        read_image(tmp_path / "a.dcm")


def test_moving_pictures_are_named(tmp_path):
    save_compressed(tmp_path / "a.dcm", JPEGLosslessSV1, MPEG4HP41)
    with pytest.raises(StudyError, match=r"a\.dcm .*MPEG-4 .* is not supported.*export"):
        read_image(tmp_path / "a.dcm")


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


@functools.cache
def whole(syntax):
    """The bytes of a valid file."""
    made = dicom_dataset(LARGER, bits=12, **WHOLE)
    if syntax != "plain":
        made.compress(syntax)
    buffer = io.BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@given(st.data())
@settings(max_examples=80, deadline=None)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damage_gives_an_image_or_one_line(data):
    """Whatever bytes change, wherever it is cut, the answer is an image or a refusal."""
    content = bytearray(whole(data.draw(st.sampled_from(["plain", RLELossless, JPEG2000Lossless]))))
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
