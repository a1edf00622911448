"""Pictures through Pillow: opened with their headers checked, decoded and turned as displayed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from pneumo_keras.errors import StudyError

MOST_PIXELS = 64_000_000  # several times the largest radiograph
_FORMATS = ("JPEG", "PNG", "BMP", "TIFF")
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_SHADES = 256, 257, 262


@contextmanager
def opened(source: str | Path | io.BytesIO, name: str) -> Iterator[Image.Image]:
    """Opens a picture and checks its header, before any pixel is decoded.

    Args:
        source: The file, or its bytes.
        name: What an error message calls it.

    Yields:
        The picture, not yet decoded.

    Raises:
        StudyError: The file is damaged, of another kind, too large, one of several pictures, in
            CMYK or made of fractions.
    """
    try:
        image = Image.open(source, formats=_FORMATS)
        frames = getattr(image, "n_frames", 1)
    except Image.DecompressionBombError:
        raise too_large(name) from None
    except Exception as error:  # noqa: BLE001 (damage makes Pillow raise almost anything)
        raise unreadable(name, error) from None
    with image:
        if image.width * image.height > MOST_PIXELS:
            raise too_large(name)
        if frames > 1:
            raise StudyError(
                f"{name} holds {frames} pictures: save the film to be used as a file of its own"
            )
        if image.mode in ("CMYK", "F"):
            what = "in CMYK, the colours of print" if image.mode == "CMYK" else "made of fractions"
            raise StudyError(f"{name} is {what}: save it as grey PNG of 8 or 16 bit")
        yield image


def decode_picture(content: bytes, name: str) -> Image.Image:
    """Decodes a picture whole, and turns it as displayed.

    Args:
        content: The bytes of the file.
        name: What an error message calls it.

    Raises:
        StudyError: The bytes are empty, cut short or no such picture.
    """
    if not content:
        raise StudyError(f"{name} is empty (0 bytes): replace it or leave it out")
    with opened(io.BytesIO(content), name) as image:
        deep_inverted = is_deep(image) and white_is_zero(image)  # Pillow minds it up to 8 bits only
        try:
            image.load()
            image.info.pop("transparency", None)  # of a palette: dropped, without Pillow's warning
            ImageOps.exif_transpose(image, in_place=True)
        except Exception as error:  # noqa: BLE001 (damage makes Pillow raise almost anything)
            raise unreadable(name, error) from None
    return Image.fromarray(65535 - np.asarray(image)) if deep_inverted else image


def displayed_size(image: Image.Image, name: str) -> tuple[int, int]:
    """Height and width of an opened picture once it is turned, mostly without decoding it."""
    try:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        width, height = image.size
        if image.format == "TIFF":  # some releases of Pillow turn its size ahead
            width, height = image.tag_v2[_TIFF_WIDTH], image.tag_v2[_TIFF_HEIGHT]
    except Exception as error:  # noqa: BLE001 (damage makes Pillow raise almost anything)
        raise unreadable(name, error) from None
    return (width, height) if turned else (height, width)


def white_is_zero(image: Image.Image) -> bool:
    """Whether a picture is a TIFF that stores low values bright."""
    return image.format == "TIFF" and image.tag_v2.get(_TIFF_SHADES) == 0


def is_deep(image: Image.Image) -> bool:
    """Whether a picture has one channel of more than 8 bits."""
    return image.mode == "I" or image.mode.startswith("I;16")


def too_large(name: str) -> StudyError:
    """The error for a film that might not fit into memory."""
    return StudyError(
        f"{name} has more than {MOST_PIXELS // 1_000_000} million pixels: save it smaller"
    )


def unreadable(name: str, error: Exception) -> StudyError:
    """The error for a film that is not there, not readable or damaged."""
    if isinstance(error, FileNotFoundError):
        return StudyError(f"{name} is not there: check the path")
    if isinstance(error, OSError) and error.strerror:
        return StudyError(f"{name} cannot be read ({error.strerror}): replace it or leave it out")
    return StudyError(
        f"{name} is damaged or no JPEG, PNG, BMP, TIFF or DICOM film: replace it or leave it out"
    )
