"""DICOM radiographs: their header, and their pixels as a viewer shows them.

PS3.3 C.11 of the DICOM standard orders the steps from stored values to the screen: modality LUT or
rescale, VOI LUT or window, photometric interpretation. The first VOI LUT is used, without one the
first window, and without either the range of the values present. MONOCHROME1, where low values are
bright, is inverted, so that bone is bright in every image. Padding is black.
"""

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from pneumo_keras.errors import StudyError

MAX_PIXELS = 64_000_000  # several times the largest radiograph
_FAR = 1e12  # beyond any window


class Header(NamedTuple):
    """What is known of a DICOM radiograph without its pixels."""

    spacing: tuple[float, float] | None  # height and width of a pixel in mm
    inverted: bool  # MONOCHROME1


def is_dicom(beginning: bytes) -> bool:
    """Tell whether a file that begins with these (at least 132) bytes is DICOM."""
    return beginning[128:132] == b"DICM"


def read_header(path: str | Path) -> Header:
    """Read the header of a DICOM radiograph, without its pixels."""
    with _refusing_damage(str(path)):
        return _header(pydicom.dcmread(path, stop_before_pixels=True), str(path))


def decode_dicom(content: bytes, name: str) -> np.ndarray:
    """Decode a DICOM radiograph as a viewer shows it, to uint8 (height, width)."""
    with _refusing_damage(name):
        dataset = pydicom.dcmread(io.BytesIO(content))
        header = _header(dataset, name)
        if "PixelData" not in dataset:
            raise StudyError(f"{name} is DICOM without pixels, a report or a plan: leave it out")
        if dataset.Rows * dataset.Columns > MAX_PIXELS:
            raise StudyError(f"{name} has more than 64 million pixels: save it smaller")
        _refuse_wrong_length(dataset, name)
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
    return Header(_spacing(dataset), photometric == "MONOCHROME1")


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


def _greys(dataset: Dataset, values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Grey level of each value, 0 to 255 before any inversion; `inside` are those of no padding."""
    shown = apply_modality_lut(values, dataset)
    if dataset.get("VOILUTSequence"):
        table = dataset.VOILUTSequence[0]
        entries, first, bits = table.LUTDescriptor
        table.LUTDescriptor = [entries, first, 16]  # pydicom wraps indices into 8-bit tables
        shown = apply_voi_lut(np.round(shown).astype(np.int64), dataset).astype(float)
        black, white = 0, 2**bits - 1
    elif "WindowWidth" in dataset and "WindowCenter" in dataset:
        shown = apply_voi_lut(shown.astype(float), dataset)
        with np.errstate(over="ignore"):  # a sigmoid window
            black, white = apply_voi_lut(np.array([-_FAR, _FAR]), dataset)
    else:
        seen = shown[inside] if inside.any() else shown
        black, white = seen.min(), max(seen.max(), seen.min() + 1)
    return np.round(np.clip((shown - black) / (white - black), 0, 1) * 255).astype(np.uint8)


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
