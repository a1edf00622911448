"""DICOM with empty or contradicting elements, odd look-up tables, or without preamble."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import dicom_bytes, dicom_dataset, file_bytes, lookup_table, save_dicom
from pydicom.dataset import Dataset

from pneumo_keras.dataset.check import examine
from pneumo_keras.dataset.images import (
    decode_image,
    is_image_file,
    is_inverted,
    pixel_spacing,
    read_image,
)
from pneumo_keras.errors import StudyError

CASES = Path(__file__).parents[1] / "../shared/cases"
RAMP = np.arange(0, 4096, 273, dtype=np.uint16).reshape(4, 4)  # to 4095


def shown(stored=RAMP, bits=12, **elements):
    return decode_image(dicom_bytes(stored, bits=bits, **elements), "a").tolist()


EMPTY = {
    "window": {"WindowCenter": None, "WindowWidth": None},
    "one of the window": {"WindowCenter": 2048, "WindowWidth": None},
    "first of two windows": {"WindowCenter": ["", "2048"], "WindowWidth": ["", "100"]},
    "function": {"VOILUTFunction": None},
    "rescale": {"RescaleSlope": None, "RescaleIntercept": None},
    "sequences": {"VOILUTSequence": [], "ModalityLUTSequence": []},
    "hollow sequences": {"VOILUTSequence": [Dataset()], "ModalityLUTSequence": [Dataset()]},
    "padding": {"PixelPaddingValue": 9, "PixelPaddingRangeLimit": None},
}


@pytest.mark.parametrize("kind", EMPTY)
def test_what_is_present_but_empty_is_absent(kind):
    dataset = dicom_dataset(RAMP, bits=12)
    for keyword, value in EMPTY[kind].items():
        setattr(dataset, keyword, value)
    assert decode_image(file_bytes(dataset), "a").tolist() == shown()


def test_a_hollow_lut_leaves_the_window():
    hollow = lookup_table([0, 1], 0, 16)
    hollow.LUTData = None
    window = {"WindowCenter": 1000, "WindowWidth": 500}
    assert shown(VOILUTSequence=[hollow], **window) == shown(**window) != shown()


def test_rescale_with_one_half_empty_uses_the_other():
    window = {"WindowCenter": 4096, "WindowWidth": 8192}
    dataset = dicom_dataset(RAMP, bits=12, RescaleSlope=2, **window)
    dataset.RescaleIntercept = None
    whole = shown(RescaleSlope=2, RescaleIntercept=0, **window)
    assert decode_image(file_bytes(dataset), "a").tolist() == whole
    assert shown(RescaleSlope=2, **window) == whole


@pytest.mark.filterwarnings("ignore:Invalid value for VR DS")
@pytest.mark.parametrize(
    "elements",
    [
        {"RescaleSlope": 0, "RescaleIntercept": 5},
        {"RescaleSlope": "nan", "RescaleIntercept": 0},
        {"RescaleSlope": 1, "RescaleIntercept": "inf"},
        {"WindowCenter": "nan", "WindowWidth": 100},
    ],
)
def test_impossible_numbers_are_refused(elements):
    with pytest.raises(StudyError, match="a has the impossible (RescaleSlope|Resc|Window)"):
        shown(**elements)


def test_a_small_slope_keeps_the_contrast():
    assert shown(RescaleSlope=1e-5, RescaleIntercept=0) == shown()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("declared", "greatest", "white"),
    [
        (16, 4095, 4095),  # of 12 bits: its greatest value is white
        (16, 32767, 32767),  # below half of the declared range
        (16, 40000, 65535),  # a dim table, which stays as it is
        (12, 2048, 4095),
        (12, 65535, 65535),  # exceeds what it declares
    ],
)
def test_white_of_a_voi_lut(declared, greatest, white, packed):
    entries = np.linspace(0, greatest, 4096).astype("<u2")
    table = lookup_table(entries.tolist(), 0, declared)
    if packed:
        table.add_new("LUTData", "OW", entries.tobytes())
    expected = np.round(entries[RAMP].astype(float) / white * 255).astype(int).tolist()
    assert shown(VOILUTSequence=[table]) == expected


@pytest.mark.parametrize("name", ["dicom-window-empty", "dicom-voilut-16-declared-12"])
def test_cases_of_dicom_have_contrast(tmp_path, name):
    if not (CASES / name).is_dir():
        pytest.skip("needs ../shared/cases")
    data = CASES / name / "data"
    for path in sorted((data / "images").iterdir()):
        assert len(np.unique(read_image(path))) > 200
    (tmp_path / "masks").mkdir()
    examination = examine(data, tmp_path / "masks", "pneumonia", [], progress=False)
    assert not [one for one in examination.findings if "256 greys" in one.message]


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_inverse_inverts_once(tmp_path, photometric):
    elements = {"PhotometricInterpretation": photometric, "PresentationLUTShape": "INVERSE"}
    assert shown(**elements) == (255 - np.array(shown())).tolist()
    assert is_inverted(save_dicom(tmp_path / "a.dcm", RAMP, **elements))
    assert shown(PresentationLUTShape="IDENTITY") == shown()


def bare(implicit=False, little=True, **elements):
    """The bytes of a DICOM file without preamble and file meta information."""
    dataset = dicom_dataset(RAMP, bits=12, **elements)
    del dataset.file_meta
    if not little:
        dataset["PixelData"].value = RAMP.astype(">u2").tobytes()
    buffer = io.BytesIO()
    dataset.save_as(buffer, implicit_vr=implicit, little_endian=little)
    return buffer.getvalue()


@pytest.mark.parametrize(("implicit", "little"), [(True, True), (False, True), (False, False)])
def test_dicom_needs_no_preamble(tmp_path, implicit, little):
    content = bare(implicit, little, PixelSpacing=[0.2, 0.1], WindowCenter=9, WindowWidth=2000)
    expected = shown(WindowCenter=9, WindowWidth=2000)
    for name in ("a.dcm", "IM0001"):
        (tmp_path / name).write_bytes(content)
        assert is_image_file(tmp_path / name)
        assert read_image(tmp_path / name).tolist() == expected
        assert pixel_spacing(tmp_path / name) == (0.2, 0.1)


def test_file_meta_without_preamble(tmp_path):
    content = dicom_bytes(RAMP, bits=12)[132:]
    assert decode_image(content, "a").tolist() == shown()


def test_the_case_without_preamble(tmp_path):
    path = CASES / "dicom-without-preamble" / "data" / "no_preamble.dcm"
    if not path.is_file():
        pytest.skip("needs ../shared/cases")
    assert len(np.unique(read_image(path))) > 200
    (tmp_path / "IM0001").write_bytes(path.read_bytes())
    assert is_image_file(tmp_path / "IM0001")


@pytest.mark.parametrize("content", [b"\x08\x00\x16\x00", b"\x08\0\x16\0\xff\xff\xff\x7f", b"\x08"])
def test_what_merely_begins_like_dicom_is_refused(tmp_path, content):
    (tmp_path / "IM0001").write_bytes(content)
    with pytest.raises(StudyError, match="IM0001"):
        read_image(tmp_path / "IM0001")


@given(st.integers(0, 300), st.integers(0, 255), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("ignore")
def test_damage_without_preamble_gives_an_image_or_one_line(place, value, kept):
    content = bytearray(bare())
    content[place % len(content)] = value
    try:
        assert decode_image(bytes(content[: int(kept * len(content)) + 1]), "it").ndim == 2
    except StudyError as error:
        assert "it" in str(error) and "\n" not in str(error)
