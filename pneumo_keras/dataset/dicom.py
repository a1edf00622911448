"""DICOM radiographs: their header, and their pixels as a viewer shows them.

PS3.3 C.11 of the DICOM standard orders the steps from stored values to the screen: modality LUT or
rescale, VOI LUT or window, photometric interpretation. The first VOI LUT is used, without one the
first window, and without either the range of the values present; elements that are present but
empty count as absent. MONOCHROME1, where low values are bright, is inverted, so that bone is bright
in every image. Padding is black.
"""

import hashlib
import io
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pydicom
from pydicom.datadict import dictionary_has_tag
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pydicom.valuerep import STANDARD_VR

from pneumo_keras.errors import StudyError

MAX_PIXELS = 64_000_000  # several times the largest radiograph
_FAR = 1e12  # beyond any window
_MAX_FIRST = 1024  # length of a first element that is no longer plausible


class Header(NamedTuple):
    """What is known of a DICOM radiograph without its pixels."""

    spacing: tuple[float, float] | None  # height and width of a pixel in mm
    inverted: bool  # MONOCHROME1, or PresentationLUTShape INVERSE


def is_dicom(beginning: bytes) -> bool:
    """Tell whether a file that begins with these (at least 132) bytes is DICOM.

    Some old files and network dumps lack the preamble and begin with an element of group 2 or 8.
    """
    if _has_preamble(beginning):
        return True
    for order in "<>":
        group, element, length = struct.unpack(f"{order}HHI", beginning[:8].ljust(8, b"\0"))
        if group in (2, 8) and dictionary_has_tag((group, element)):
            is_explicit = beginning[4:6].decode("latin-1") in STANDARD_VR
            return is_explicit or (length % 2 == 0 and length < _MAX_FIRST)
    return False


def _has_preamble(beginning: bytes) -> bool:
    return beginning[128:132] == b"DICM"


def read_header(path: str | Path) -> Header:
    """Read the header of a DICOM radiograph, without its pixels."""
    with _refusing_damage(str(path)):
        return _header(pydicom.dcmread(path, stop_before_pixels=True, force=True), str(path))


def decode_dicom(content: bytes, name: str) -> np.ndarray:
    """Decode a DICOM radiograph as a viewer shows it, to uint8 (height, width)."""
    with _refusing_damage(name):
        dataset = pydicom.dcmread(io.BytesIO(content), force=not _has_preamble(content))
        header = _header(dataset, name)
        if "PixelData" not in dataset:
            raise StudyError(f"{name} is DICOM without pixels, a report or a plan: leave it out")
        if dataset.Rows * dataset.Columns > MAX_PIXELS:
            raise StudyError(f"{name} has more than 64 million pixels: save it smaller")
        if "TransferSyntaxUID" not in dataset.file_meta:  # without preamble
            implicit, little = dataset.original_encoding
            plain = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
            dataset.file_meta.TransferSyntaxUID = plain if little else ExplicitVRBigEndian
        _refuse_wrong_length(dataset, name)
        _remove_empty(dataset, name)
        stored = dataset.pixel_array
        # By row, since indices of a whole image would take 8 bytes a pixel; in a table of 2¹⁶
        # entries, numpy counts negative values from the end.
        present = np.zeros(2**16, bool)
        for row in stored:
            present[row] = True
        values = np.flatnonzero(present).astype(stored.dtype).astype(np.int64)
        padding = _is_padding(values, dataset)
        greys = _greys(dataset, values, ~padding)
        if header.inverted:
            greys = 255 - greys
        greys[padding] = 0
        grey_of = np.zeros(2**16, np.uint8)
        grey_of[values] = greys
        image = np.empty(stored.shape, np.uint8)
        for number, row in enumerate(stored):
            image[number] = grey_of[row]
        return image


def _header(dataset: Dataset, name: str) -> Header:
    if not dataset.get("Rows") or not dataset.get("Columns"):
        raise StudyError(f"{name} is DICOM without pixels, a report or a plan: leave it out")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1:
        raise StudyError(f"{name} holds {frames} frames: save the one to use as its own file")
    photometric = str(dataset.get("PhotometricInterpretation"))
    grey = photometric in ("MONOCHROME1", "MONOCHROME2")
    if not grey or dataset.get("SamplesPerPixel", 1) != 1:
        raise StudyError(f"{name} is in colour ({photometric}): export it in grey, MONOCHROME2")
    bits = dataset.get("BitsAllocated")
    if bits not in (8, 16):
        raise StudyError(f"{name} has {bits} bits a pixel: export it with 8 or 16")
    # INVERSE belongs to MONOCHROME1 and IDENTITY to MONOCHROME2 (PS3.3 C.7.6.1, C.8.11.3). INVERSE
    # means: P-value = maximum - output (C.11.6.1.2), so that both together invert once, not twice.
    inverse = dataset.get("PresentationLUTShape") == "INVERSE"
    return Header(_spacing(dataset), photometric == "MONOCHROME1" or inverse)


def _spacing(dataset: Dataset) -> tuple[float, float] | None:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        try:
            row, column = map(float, dataset.get(keyword))
        except (TypeError, ValueError):  # absent, empty, a single number or not a number
            continue
        if min(row, column) > 0 and math.isfinite(row + column):
            return row, column
    return None


def _refuse_wrong_length(dataset: Dataset, name: str) -> None:
    """Refuse uncompressed pixels that do not fill the rows, which would give a skewed image."""
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    length = len(dataset.PixelData)
    expected = dataset.Rows * dataset.Columns * dataset.BitsAllocated // 8
    too_long = length > expected + 1 and dataset.PixelData[expected:].strip(b"\0")
    if length < expected or too_long:
        raise StudyError(f"{name} has {length} bytes of pixels, not {expected}: export it again")


def _remove_empty(dataset: Dataset, name: str) -> None:
    """Remove what is present but empty from the steps to the screen, and complete the rescale."""
    for keyword in ("ModalityLUTSequence", "VOILUTSequence"):
        tables = dataset.get(keyword) or ()
        whole = [table for table in tables if table.get("LUTDescriptor") and table.get("LUTData")]
        setattr(dataset, keyword, whole)
    rescale = {"RescaleSlope": 1, "RescaleIntercept": 0}
    window = ("WindowCenter", "WindowWidth", "VOILUTFunction")
    for keyword in (*rescale, *window, "PixelPaddingValue", "PixelPaddingRangeLimit"):
        value = dataset.get(keyword)
        if value is None or str(value[0] if isinstance(value, MultiValue) else value) == "":
            dataset.pop(keyword, None)
    if any(keyword in dataset for keyword in rescale):
        for keyword, neutral in rescale.items():
            dataset.setdefault(keyword, neutral)
    # A negative slope is legal, and shows high values dark.
    for keyword in (*rescale, "WindowCenter", "WindowWidth"):
        value = dataset.get(keyword, 1)
        number = float(value[0] if isinstance(value, MultiValue) else value)
        if not math.isfinite(number) or (keyword == "RescaleSlope" and number == 0):
            reason = f"has the impossible {keyword} {number:g}"
            raise StudyError(f"{name} {reason}: correct its header, or export it again")


def _greys(dataset: Dataset, values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Grey level of each value, 0 to 255 before any inversion; `inside` are those of no padding."""
    shown = apply_modality_lut(values, dataset)
    if dataset.get("VOILUTSequence"):
        table = dataset.VOILUTSequence[0]
        entries, first, bits = table.LUTDescriptor
        table.LUTDescriptor = [entries, first, 16]  # pydicom wraps indices into 8-bit tables
        shown = apply_voi_lut(np.round(shown).astype(np.int64), dataset).astype(float)
        black, white = 0, _white(dataset, entries, first, bits)
    elif "WindowWidth" in dataset and "WindowCenter" in dataset:
        shown = apply_voi_lut(shown.astype(float), dataset)
        with np.errstate(over="ignore"):  # a sigmoid window
            black, white = apply_voi_lut(np.array([-_FAR, _FAR]), dataset)
    else:
        seen = shown[inside] if inside.any() else shown
        black, white = seen.min(), seen.max()
        white += white == black
    return np.round(np.clip((shown - black) / (white - black), 0, 1) * 255).astype(np.uint8)


def _white(dataset: Dataset, entries: int, first: int, bits: int) -> int:
    """The value of the VOI LUT that is white: the greatest of its declared depth.

    Some devices (Agfa CR) declare 16 bits for tables of 12. Where the table never reaches half of
    the declared range, or exceeds it, its own greatest value is white, as in other viewers.
    """
    entries = entries or 2**16
    data = dataset.VOILUTSequence[0].LUTData
    entries = min(entries, len(data) // 2 if isinstance(data, bytes) else len(data))
    greatest = int(apply_voi_lut(np.arange(first, first + entries), dataset).max())
    declared = 2**bits - 1
    return declared if declared // 2 < greatest <= declared else max(greatest, 1)


def _is_padding(values: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Tell which values fill the frame beyond the image (PS3.3 C.7.5.1.1.2)."""
    first = dataset.get("PixelPaddingValue")
    if not isinstance(first, int):
        return np.zeros(len(values), bool)
    last = dataset.get("PixelPaddingRangeLimit", first)
    return (values >= min(first, last)) & (values <= max(first, last))


@contextmanager
def _refusing_damage(name: str) -> Iterator[None]:
    """Turn whatever pydicom raises on damage into a StudyError."""
    try:
        yield
    except StudyError:
        raise
    except Exception as error:  # noqa: BLE001 (damage makes pydicom raise almost anything)
        if "missing dependencies" in str(error):
            raise StudyError(
                f"{name} is compressed in a way that nothing installed decodes: pip install "
                "pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg, or export it uncompressed"
            ) from None
        lines = str(error).strip().splitlines() or [type(error).__name__]
        reason = lines[1].strip() if len(lines) > 1 else lines[0]  # the first decoder's reason
        raise StudyError(f"{name} is damaged DICOM ({reason}): export it again") from None


def patient_id(path: str | Path) -> str:
    """Pseudonym of the patient by PatientID, a hash of it; empty if it is unknown or no DICOM."""
    try:
        with open(path, "rb") as file:
            if not is_dicom(file.read(132)):
                return ""
            file.seek(0)
            dataset = pydicom.dcmread(
                file, stop_before_pixels=True, force=True, specific_tags=["PatientID"]
            )
            identifier = str(dataset.get("PatientID") or "").strip()
    except Exception:  # noqa: BLE001 (reading the pixels tells what is wrong)
        return ""
    return f"dicom:{hashlib.sha256(identifier.encode()).hexdigest()[:10]}" if identifier else ""
