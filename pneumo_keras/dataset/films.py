"""Films and masks as files: reading them as arrays, writing them whole or not at all.

A film is what the eye sees in a viewer: 8-bit grey, turned as its EXIF orientation says. LabelMe
shows and measures films in that same frame, so every height, width and coordinate of this package
is one of the displayed film.

Read are JPEG, PNG, BMP, TIFF and DICOM (see `dicom`), known by their content, not by their suffix.
Refused are films of more than 64 million pixels (8,000×8,000), before any pixel is decoded;
several pictures in one file; CMYK, the colours of print; fractions; a height or width of one pixel.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from pneumo_keras.dataset.dicom import Header, decode_dicom, is_dicom, read_header
from pneumo_keras.dataset.files import write_whole
from pneumo_keras.dataset.pictures import (
    MOST_PIXELS,
    decode_picture,
    displayed_size,
    is_deep,
    opened,
    unreadable,
    white_is_zero,
)
from pneumo_keras.errors import StudyError

FILM_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".dcm")
_DICOM_BEGINNING = 132  # bytes that tell DICOM from other files


def read_film(path: str | Path) -> np.ndarray:
    """Reads a film as displayed.

    Colour becomes grey by the ITU-R 601 luma, transparency is dropped, 16 bits are scaled to 8
    (65535 becomes 255; with colour or alpha, the upper byte is taken).

    Args:
        path: A JPEG, PNG, BMP or TIFF: grey, RGB or palette, with or without alpha, 8 or 16 bit;
            or a DICOM film.

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
        content: The bytes of the file.
        name: What an error message calls the film.

    Returns:
        uint8 array (height, width), 0 to 255.

    Raises:
        StudyError: The bytes are empty, cut short or no such image.
    """
    if is_dicom(content[:_DICOM_BEGINNING]):
        film = decode_dicom(content, name, MOST_PIXELS)
    else:
        image = decode_picture(content, name)
        film = _eight_bits(image, name) if is_deep(image) else np.array(_grey(image))
    if min(film.shape) < 2:
        height, width = film.shape
        raise StudyError(f"{name} is {width}×{height} pixels, no film: replace it or leave it out")
    return film


def read_mask(path: str | Path) -> np.ndarray:
    """Reads a mask: black is outside, the one other value is inside.

    Args:
        path: An image of two values, 0 and any other (0/1 and 0/255 are both common).

    Returns:
        bool array (height, width).

    Raises:
        StudyError: The file is unreadable, in colour (a palette aside, as LabelMe writes it), or
            holds more than one value besides 0.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "mask.png"
        >>> write_png(path, np.array([[True, False]]))
        >>> read_mask(path).tolist()
        [[True, False]]
    """
    image = decode_picture(_content(path), str(path))
    if image.mode in ("RGB", "RGBA") and _coloured(image):
        raise StudyError(f"{path} is in colour, no mask: save it as grey PNG with 0 and 255")
    values = np.asarray(image if is_deep(image) else _grey(image))
    inside = values != 0
    if inside.any() and (values[inside] != values.max()).any():
        raise StudyError(
            f"{path} is no mask: it holds several values besides 0; save it as PNG with 0 and 255"
        )
    return inside


def film_size(path: str | Path) -> tuple[int, int]:
    """Height and width of a film as displayed.

    The header of the file suffices, but for a PNG without orientation ahead of its pixels, where it
    may come after them.

    Raises:
        StudyError: The file is missing, empty or no film.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "film.png"
        >>> write_png(path, np.zeros((2, 3), np.uint8))
        >>> film_size(path)
        (2, 3)
    """
    if header := _dicom_header(path):
        return header.height, header.width
    with opened(path, str(path)) as image:
        return displayed_size(image, str(path))


def film_spacing(path: str | Path) -> tuple[float, float] | None:
    """Height and width of a pixel in mm, from a DICOM header; None where that is not known.

    PixelSpacing, which may be calibrated to the patient, comes before ImagerPixelSpacing, measured
    at the detector, where the chest is magnified by some 5 to 20 %.

    Raises:
        StudyError: The file is missing, or DICOM that holds no film.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "film.png"
        >>> write_png(path, np.zeros((2, 3), np.uint8))
        >>> film_spacing(path) is None
        True
    """
    header = _dicom_header(path)
    return header.spacing if header else None


def is_inverted(path: str | Path) -> bool:
    """Whether a film is stored with low values bright, and inverted as it is read.

    That is DICOM of MONOCHROME1 and TIFF of WhiteIsZero.

    Raises:
        StudyError: The file is missing, empty or no film.
    """
    if header := _dicom_header(path):
        return header.inverted
    with opened(path, str(path)) as image:
        return white_is_zero(image)


def is_film(path: Path) -> bool:
    """Whether a file is a film by its suffix, or DICOM without one.

    Archives call DICOM files `IM0001` or by a number with dots, so only where a suffix is missing
    or made of digits is the file looked into.

    Example:
        >>> is_film(Path("a.PNG")), is_film(Path("a.json"))
        (True, False)
    """
    suffix = path.suffix.lower()
    if suffix in FILM_SUFFIXES:
        return True
    if suffix and not suffix[1:].isdigit():
        return False
    try:
        with open(path, "rb") as file:
            return is_dicom(file.read(_DICOM_BEGINNING))
    except OSError:
        return False


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
        raise unreadable(str(path), error) from None


def _dicom_header(path: str | Path) -> Header | None:
    """The header of a DICOM film, None for files of other kinds."""
    try:
        with open(path, "rb") as file:
            if not is_dicom(file.read(_DICOM_BEGINNING)):
                return None
            file.seek(0)
            return read_header(file, str(path))
    except (OSError, ValueError) as error:
        raise unreadable(str(path), error) from None


def _eight_bits(image: Image.Image, name: str) -> np.ndarray:
    """Scales 16 bits to 8, rounding to nearest, without arrays of more bytes a pixel than two."""
    deep = np.asarray(image)
    if deep.size and (deep.min() < 0 or deep.max() > 65535):
        raise StudyError(f"{name} has more than 16 bits a pixel: save it with 8 or 16")
    deep = deep.astype(np.uint16)
    return (deep // 257 + (deep % 257 > 128)).astype(np.uint8)


def _grey(image: Image.Image) -> Image.Image:
    return image if image.mode == "L" else image.convert("L")  # which would copy a grey one


def _coloured(image: Image.Image) -> bool:
    red, green, blue = (np.asarray(image.getchannel(band)) for band in "RGB")
    return bool((red != green).any() or (green != blue).any())
