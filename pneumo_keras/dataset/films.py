"""Films and masks as files: reading them as arrays, writing them whole or not at all.

A film is what the eye sees in a viewer: 8-bit grey, turned as its EXIF orientation says. LabelMe
shows and measures films in that same frame, so every height, width and coordinate of this package
is one of the displayed film.
"""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageOps

from pneumo_keras.dataset.files import write_whole
from pneumo_keras.errors import StudyError

FILM_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
_FORMATS = ("JPEG", "PNG", "BMP", "TIFF")


def read_film(path: str | Path) -> np.ndarray:
    """Reads a film as displayed.

    Colour becomes grey by the ITU-R 601 luma, transparency is dropped, 16 bits are scaled to 8
    (65535 becomes 255).

    Args:
        path: A JPEG, PNG, BMP or TIFF: grey, RGB or palette, with or without alpha, 8 or 16 bit.

    Returns:
        uint8 array (height, width), 0 to 255.

    Raises:
        StudyError: The file is missing, empty, cut short or no such image.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "film.png"
        >>> write_png(path, np.full((2, 3), 7, np.uint8))
        >>> read_film(path).tolist()
        [[7, 7, 7], [7, 7, 7]]
    """
    return decode_film(_content(path), str(path))


def decode_film(content: bytes, name: str) -> np.ndarray:
    """Reads a film from the bytes of its file, as `read_film` does from its path.

    Args:
        content: The bytes of a JPEG, PNG, BMP or TIFF file.
        name: What an error message calls the film.

    Returns:
        uint8 array (height, width), 0 to 255.

    Raises:
        StudyError: The bytes are empty, cut short or no such image.
    """
    image = _decode(content, name)
    if not _deep(image):
        return np.array(image.convert("L"))
    deep = np.asarray(image).astype(np.uint32)
    if deep.size and deep.max() > 65535:
        raise StudyError(f"{name} has more than 16 bits a pixel: save it with 8 or 16")
    return ((deep + 128) // 257).astype(np.uint8)


def read_mask(path: str | Path) -> np.ndarray:
    """Reads a mask: black is outside, the one other value is inside.

    Args:
        path: An image of two values, 0 and any other (0/1 and 0/255 are both common).

    Returns:
        bool array (height, width).

    Raises:
        StudyError: The file is unreadable, or holds more than one value besides 0.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "mask.png"
        >>> write_png(path, np.array([[True, False]]))
        >>> read_mask(path).tolist()
        [[True, False]]
    """
    image = _decode(_content(path), str(path))
    values = np.asarray(image if _deep(image) else image.convert("L"))
    inside = values != 0
    if inside.any() and (values[inside] != values.max()).any():
        raise StudyError(
            f"{path} is no mask: it holds several values besides 0; save it as PNG with 0 and 255"
        )
    return inside


def film_size(path: str | Path) -> tuple[int, int]:
    """Height and width of a film as displayed.

    The header of the file suffices, but for a TIFF, which Pillow turns as it decodes it, and a PNG
    without orientation ahead of its pixels, where it may come after them.

    Raises:
        StudyError: The file is missing, empty or no JPEG, PNG, BMP or TIFF.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "film.png"
        >>> write_png(path, np.zeros((2, 3), np.uint8))
        >>> film_size(path)
        (2, 3)
    """
    try:
        # Opened by name, a TIFF would be mapped into memory and, in Pillow 13, not turned.
        with open(path, "rb") as file, Image.open(file, formats=_FORMATS) as image:
            if image.format == "TIFF":
                image.load()
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
            width, height = image.size
    except Exception as error:  # noqa: BLE001 (damage makes Pillow raise almost anything)
        raise _unreadable(str(path), error) from None
    return (width, height) if turned else (height, width)


def write_png(path: str | Path, array: np.ndarray) -> None:
    """Writes an 8-bit PNG, grey or colour, whole or not at all.

    Args:
        path: The file; its folder is made if need be.
        array: uint8 (height, width), or bool, which is written as 0 and 255; or uint8
            (height, width, 3), RGB.

    Raises:
        StudyError: The folder cannot be written to.
    """
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    if array.dtype != np.uint8 or (array.ndim != 2 and array.shape[2:] != (3,)):
        raise TypeError(f"wants uint8 or bool (H, W) or RGB, not {array.dtype} {array.shape}")
    array = array[..., ::-1] if array.ndim == 3 else array  # OpenCV's order is BGR
    _, content = cv2.imencode(".png", np.ascontiguousarray(array))  # far faster than Pillow here
    write_whole(path, content.tobytes())


def _content(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise _unreadable(str(path), error) from None


def _decode(content: bytes, name: str) -> Image.Image:
    """The whole image, decoded and turned as displayed."""
    if not content:
        raise StudyError(f"{name} is empty (0 bytes): replace it or leave it out")
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            image.load()
            return ImageOps.exif_transpose(image)
    except Exception as error:  # noqa: BLE001 (damage makes Pillow raise almost anything)
        raise _unreadable(name, error) from None


def _deep(image: Image.Image) -> bool:
    return image.mode == "I" or image.mode.startswith("I;16")


def _unreadable(name: str, error: Exception) -> StudyError:
    if isinstance(error, FileNotFoundError):
        return StudyError(f"{name} is not there: check the path")
    if isinstance(error, OSError) and error.strerror:
        return StudyError(f"{name} cannot be read ({error.strerror}): replace it or leave it out")
    return StudyError(
        f"{name} is damaged or no JPEG, PNG, BMP or TIFF film: replace it or leave it out"
    )
