"""DICOM films: their header, and their pixels as a viewer shows them.

PS3.3 C.11 of the DICOM standard takes stored values to the screen in this order: modality LUT or
rescale, VOI LUT or window, photometric interpretation. Here the first VOI LUT is used, without one
the first window, and without either the values from the least to the greatest on the film, as
viewers do. MONOCHROME1, where low values are bright, is inverted, so that bone is bright on every
film; `Header.inverted` tells of it. Padding is black.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from pneumo_keras.errors import StudyError

_DEEPEST = 16  # bits a pixel
_FAR = 1e12  # beyond any window
_HEADER = [
    "BitsAllocated",
    "ImagerPixelSpacing",
    "NumberOfFrames",
    "PhotometricInterpretation",
    "PixelSpacing",
    "Rows",
    "Columns",
    "SamplesPerPixel",
]
_Read = TypeVar("_Read")


@dataclass(frozen=True)
class Header:
    """What the header of a DICOM film says.

    Attributes:
        height: In pixels.
        width: The same.
        spacing: Height and width of a pixel in mm, as calibrated, or else at the detector; None
            where the file does not say.
        inverted: Whether low values are stored bright (MONOCHROME1).
    """

    height: int
    width: int
    spacing: tuple[float, float] | None
    inverted: bool


def is_dicom(beginning: bytes) -> bool:
    """Whether a file that begins with these (at least 132) bytes is DICOM.

    Example:
        >>> is_dicom(bytes(128) + b"DICM"), is_dicom(b"GIF89a")
        (True, False)
    """
    return beginning[128:132] == b"DICM"


def read_header(file: BinaryIO, name: str) -> Header:
    """Reads the header of a DICOM film, without its pixels.

    Args:
        file: The file, opened in binary mode.
        name: What an error message calls the film.

    Raises:
        StudyError: The file is damaged, or holds anything but one grey film of up to 16 bits.
    """
    dataset = _attempt(
        lambda: pydicom.dcmread(file, stop_before_pixels=True, specific_tags=_HEADER), name
    )
    return _header(dataset, name)


def decode_dicom(content: bytes, name: str, most_pixels: int) -> np.ndarray:
    """Reads a DICOM film as a viewer shows it, bone bright.

    Args:
        content: The bytes of the file.
        name: What an error message calls the film.
        most_pixels: Refused, before any pixel is decoded, is a film of more.

    Returns:
        uint8 array (height, width), 0 to 255.

    Raises:
        StudyError: The file is damaged, too large, or holds anything but one grey film of up to 16
            bits.
    """
    dataset = _attempt(lambda: pydicom.dcmread(io.BytesIO(content)), name)
    if "PixelData" not in dataset:
        raise StudyError(f"{name} is DICOM without pixels, a report or a plan: leave it out")
    header = _header(dataset, name)
    if header.height * header.width > most_pixels:
        raise StudyError(
            f"{name} has more than {most_pixels // 1_000_000} million pixels: save it smaller"
        )
    _attempt(lambda: _refuse_wrong_length(dataset, name), name)
    stored = _attempt(lambda: dataset.pixel_array, name)
    lowest = int(stored.min())
    # Every step works on single values, so it is enough to know what becomes of each value.
    greys = _attempt(lambda: _greys(dataset, lowest, stored), name)
    if header.inverted:
        greys = 255 - greys
    greys[_padding(dataset, lowest, len(greys))] = 0
    film = np.empty(stored.shape, np.uint8)
    for row, line in enumerate(stored):  # the indices of a whole film would take 8 bytes a pixel
        film[row] = greys[line.astype(np.intp) - lowest]
    return film


def _header(dataset: Dataset, name: str) -> Header:
    if not dataset.get("Rows") or not dataset.get("Columns"):
        raise StudyError(f"{name} is DICOM without pixels, a report or a plan: leave it out")
    frames = _attempt(lambda: int(dataset.get("NumberOfFrames") or 1), name)
    if frames > 1:
        raise StudyError(
            f"{name} holds {frames} frames: save the film to be used as one of its own"
        )
    shades = str(dataset.get("PhotometricInterpretation"))
    if shades not in ("MONOCHROME1", "MONOCHROME2") or dataset.get("SamplesPerPixel", 1) != 1:
        raise StudyError(
            f"{name} is a picture in colour ({shades}), not a film: export it in grey, MONOCHROME2"
        )
    depth = dataset.get("BitsAllocated")
    if depth not in (8, _DEEPEST):
        raise StudyError(f"{name} has {depth} bits a pixel: export it with 8 or {_DEEPEST}")
    return Header(dataset.Rows, dataset.Columns, _spacing(dataset), shades == "MONOCHROME1")


def _spacing(dataset: Dataset) -> tuple[float, float] | None:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        try:
            row, column = map(float, dataset.get(keyword))
        except (TypeError, ValueError):  # absent, empty, a single number or no number
            continue
        if all(math.isfinite(side) and side > 0 for side in (row, column)):
            return row, column
    return None


def _refuse_wrong_length(dataset: Dataset, name: str) -> None:
    """Refuses uncompressed pixels too few, or more than zeros too many: a skewed picture."""
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    wanted = dataset.Rows * dataset.Columns * dataset.BitsAllocated // 8
    length = len(dataset.PixelData)
    if length < wanted or (length > wanted + 1 and dataset.PixelData[wanted:].strip(b"\0")):
        raise StudyError(
            f"{name} holds {length} bytes of pixels where its {dataset.Columns}×{dataset.Rows} "
            f"take {wanted}: export it again"
        )


def _greys(dataset: Dataset, lowest: int, stored: np.ndarray) -> np.ndarray:
    """The grey, 0 to 255 before any inversion, of each value from the lowest to the highest."""
    values = np.arange(lowest, int(stored.max()) + 1)
    shown = apply_modality_lut(values, dataset)
    if dataset.get("VOILUTSequence"):
        table = dataset.VOILUTSequence[0]
        entries, first, depth = table.LUTDescriptor
        table.LUTDescriptor = [entries, first, 16]  # pydicom wraps indices into 8-bit tables
        shown = apply_voi_lut(np.round(shown).astype(np.int64), dataset).astype(float)
        black, white = 0, 2**depth - 1
    elif "WindowWidth" in dataset and "WindowCenter" in dataset:
        shown = apply_voi_lut(shown.astype(float), dataset)
        with np.errstate(over="ignore"):  # a sigmoid window
            black, white = apply_voi_lut(np.array([-_FAR, _FAR]), dataset)
    else:
        present = np.zeros(len(values), bool)
        for line in stored:
            present[line.astype(np.intp) - lowest] = True
        present &= ~_padding(dataset, lowest, len(values))
        seen = shown[present] if present.any() else shown
        black, white = seen.min(), max(seen.max(), seen.min() + 1)
    return np.round(np.clip((shown - black) / (white - black), 0, 1) * 255).astype(np.uint8)


def _padding(dataset: Dataset, lowest: int, count: int) -> np.ndarray:
    """Which of the values from the lowest on fill the frame beyond the film (PS3.3 C.7.5.1.1.2)."""
    values = np.arange(lowest, lowest + count)
    first = dataset.get("PixelPaddingValue")
    if not isinstance(first, int):
        return np.zeros(count, bool)
    last = dataset.get("PixelPaddingRangeLimit", first)
    return (values >= min(first, last)) & (values <= max(first, last))


def _attempt(read: Callable[[], _Read], name: str) -> _Read:
    try:
        return read()
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
