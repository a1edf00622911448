"""Images and masks as files: JPEG, PNG, BMP, TIFF and DICOM read as 8-bit grey, PNG written.

An image is returned as a viewer displays it, with its EXIF orientation applied. LabelMe measures in
the same frame, so every height, width and coordinate of this package refers to displayed images.
The content of a file decides how it is read, not its suffix.
"""

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from pneumo_keras.dataset.dicom import MAX_PIXELS, decode_dicom, is_dicom, read_header
from pneumo_keras.errors import StudyError
from pneumo_keras.files import write_bytes

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".dcm")
_PREAMBLE = 132  # bytes that tell DICOM from other files
_COLOURS = {"L": "grey", "P": "palette", "RGB": "colour", "CMYK": "CMYK"}  # of 8 bits
_REFUSED = {"CMYK": "CMYK, the colours of print", "F": "floating point", "LAB": "CIELAB colours"}
_DEPTHS = {"1": "1-bit", "I": "32-bit grey", "F": "32-bit float"}


def read_image(path: str | Path) -> np.ndarray:
    """Read an image as displayed.

    Colour becomes grey by the ITU-R 601 luma, transparency is dropped, and 16 bits are scaled to 8
    (65535 becomes 255; with colour or alpha, the upper byte is taken). Where all values fit into 8,
    10, 12 or 14 bits, the greatest number of that depth becomes 255 instead.

    Returns:
        uint8 (height, width), 0 to 255.

    Raises:
        StudyError: The file is missing, damaged, or not such an image; it has more than 64 million
            pixels (said before any is decoded), a side of one pixel, or holds several images.
    """
    return decode_image(_read(path), str(path))


def decode_image(content: bytes, name: str) -> np.ndarray:
    """Decode the bytes of an image file as `read_image` does; errors call it `name`."""
    if is_dicom(content[:_PREAMBLE]):
        grey = decode_dicom(content, name)
    else:
        image = _decode(content, name)
        image.info.pop("transparency", None)  # Pillow would warn of it in a palette
        grey = _eight_bits(image, name) if _is_deep(image) else np.array(image.convert("L"))
    height, width = grey.shape
    if min(height, width) < 2:
        raise StudyError(f"{name} is {width}×{height} pixels, not an image: replace or remove it")
    return grey


def read_mask(
    path: str | Path, check_size: Callable[[tuple[int, int]], None] | None = None
) -> np.ndarray:
    """Read a mask as bool (height, width): 0 is outside, the one other value is inside.

    `check_size` may raise for the (height, width), before the grey levels are looked at.

    Raises:
        StudyError: The file is unreadable, holds several values besides 0, or is in colour (a
            palette, as LabelMe writes it, is accepted); or its transparency, its palette or TIFF
            WhiteIsZero tells another shape than its values.
    """
    image = _decode(_read(path), str(path))
    if check_size:
        check_size((image.height, image.width))
    way_out = "save it as grey PNG with 0 outside and 255 inside"
    if image.mode.startswith("RGB") and np.ptp(np.asarray(image)[..., :3], axis=-1).any():
        raise StudyError(f"{path} is in colour, not a mask: save it as grey PNG with 0 and 255")
    if _is_white_zero(image):
        reason = "stores white as 0 (TIFF WhiteIsZero), so that its inside may be its outside"
        raise StudyError(f"{path} {reason}: {way_out}")
    alpha = None
    if image.has_transparency_data and not _is_deep(image):
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))
        image.info.pop("transparency", None)
    values = np.asarray(image if _is_deep(image) else image.convert("L"))
    inside = values != 0
    if image.mode in ("P", "PA"):
        values = np.asarray(image).reshape(*values.shape, -1)[..., 0]  # indices into the palette
        if ((values != 0) != inside).any():
            reason = "has a palette (inverting LUT) that shows another shape than its values"
            raise StudyError(f"{path} {reason}: {way_out}")
    if inside.any() and (values[inside] != values.max()).any():
        raise StudyError(f"{path} is not a mask, with several values besides 0: save 0 and 255")
    if alpha is not None and np.ptp(alpha) and ((alpha != 0) != inside).any():
        reason = "shows another shape by its transparency (alpha channel) than by its grey levels"
        raise StudyError(f"{path} {reason}: {way_out}")
    return inside


def pixel_spacing(path: str | Path) -> tuple[float, float] | None:
    """Height and width of a pixel in mm by the DICOM header; None if unknown.

    PixelSpacing, which may be calibrated to the patient, is preferred to ImagerPixelSpacing, which
    is measured at the detector, where the chest is magnified by 5 to 20 %.
    """
    return read_header(path).spacing if is_dicom(_read(path, _PREAMBLE)) else None


def is_inverted(path: str | Path) -> bool:
    """Tell whether low values are stored bright (DICOM MONOCHROME1 or INVERSE, TIFF WhiteIsZero).

    Such an image is inverted when it is read, so that bone is bright.
    """
    beginning = _read(path, _PREAMBLE)
    if is_dicom(beginning):
        return read_header(path).inverted
    if beginning[:2] not in (b"II", b"MM"):  # the byte orders of TIFF
        return False
    with Image.open(path) as image:
        return _is_white_zero(image)


def is_image_file(path: Path) -> bool:
    """Tell whether a file is an image by its suffix, or DICOM without one.

    A file is opened only if its suffix is missing or made of digits (`IM0001`, `1.2.840.113`).
    """
    suffix = path.suffix.lower()
    if suffix and not suffix[1:].isdigit():
        return suffix in IMAGE_SUFFIXES
    try:
        return is_dicom(_read(path, _PREAMBLE))
    except StudyError:
        return False


def image_format(path: Path) -> str:
    """Format and bit depth, such as `PNG, 16-bit grey`; the suffix if Pillow cannot tell.

    Where the values need fewer bits, this is `PNG, 16-bit grey with 12-bit values`.
    """
    used = ""
    try:
        with Image.open(path) as image:
            mode, kind = image.mode, image.format
            if _is_deep(image) and (bits := _bits_used(np.asarray(image))) < 16:
                used = f" with {bits}-bit values"
    except (OSError, ValueError, Image.DecompressionBombError):
        return path.suffix.lstrip(".").upper()
    if colour := _COLOURS.get(mode.removesuffix("A")):
        return f"{kind}, 8-bit {colour}{' with alpha' if mode.endswith('A') else ''}"
    return f"{kind}, {'16-bit grey' if mode.startswith('I;16') else _DEPTHS.get(mode, mode)}{used}"


def write_png(path: str | Path, array: np.ndarray) -> None:
    """Write an 8-bit PNG atomically, creating its folder.

    The array is uint8 or bool (written as 0 and 255) of (height, width), or uint8 RGB.
    """
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    if array.dtype != np.uint8 or (array.ndim != 2 and array.shape[2:] != (3,)):
        raise TypeError(f"expected uint8 or bool (H, W) or RGB, not {array.dtype} {array.shape}")
    if array.ndim == 3:
        array = cv2.cvtColor(array, cv2.COLOR_RGB2BGR)
    _, content = cv2.imencode(".png", array)  # much faster than Pillow
    write_bytes(path, content.tobytes())


def _decode(content: bytes, name: str) -> Image.Image:
    """Check the header of an image, decode it, and apply its EXIF orientation."""
    too_large = StudyError(f"{name} has more than 64 million pixels: save it smaller")
    if not content:
        raise StudyError(f"{name} is empty (0 bytes): replace it or leave it out")
    try:
        image = Image.open(io.BytesIO(content), formats=("JPEG", "PNG", "BMP", "TIFF"))
        if image.width * image.height > MAX_PIXELS:
            raise too_large
        frames = getattr(image, "n_frames", 1)
        if frames > 1:
            raise StudyError(f"{name} holds {frames} images: save the one to use as its own file")
        if image.mode in _REFUSED:
            colours = _REFUSED[image.mode]
            raise StudyError(f"{name} is in {colours}: save it as grey PNG of 8 or 16 bit")
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
    except StudyError:
        raise
    except Image.DecompressionBombError:
        raise too_large from None
    except Exception as error:  # noqa: BLE001 (damage makes Pillow raise almost anything)
        raise _unreadable(name, error) from None
    return image


def _eight_bits(image: Image.Image, name: str) -> np.ndarray:
    """Scale the bits in use to 8, rounding to nearest, in at most two bytes a pixel."""
    deep = np.asarray(image)
    if deep.size and (deep.min() < 0 or deep.max() > 65535):
        raise StudyError(f"{name} has more than 16 bits a pixel: save it with 8 or 16")
    deep, bits = deep.astype(np.uint16), _bits_used(deep)
    if _is_white_zero(image):  # Pillow inverts up to 8 bits
        deep = np.uint16(2**bits - 1) - deep
    if bits < 16:  # the bits repeated, which is 65535 / (2**bits - 1) rounded down
        deep = deep << (16 - bits) | deep >> (2 * bits - 16)
    return (deep // 257 + (deep % 257 > 128)).astype(np.uint8)


def _bits_used(deep: np.ndarray) -> int:
    """The depth, of those that detectors have, into which all values fit: 8, 10, 12, 14 or 16."""
    greatest = deep.max(initial=0)
    return next((bits for bits in (8, 10, 12, 14) if greatest < 2**bits), 16)


def _is_deep(image: Image.Image) -> bool:
    return image.mode == "I" or image.mode.startswith("I;16")


def _is_white_zero(image: Image.Image) -> bool:
    photometric_interpretation = 262  # TIFF tag
    return image.format == "TIFF" and image.tag_v2.get(photometric_interpretation) == 0


def _read(path: str | Path, length: int = -1) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(length)
    except (OSError, ValueError) as error:
        raise _unreadable(str(path), error) from None


def _unreadable(name: str, error: Exception) -> StudyError:
    if isinstance(error, FileNotFoundError):
        return StudyError(f"{name} is not there: check the path")
    if isinstance(error, OSError) and error.strerror:
        return StudyError(f"{name} cannot be read ({error.strerror}): replace it or leave it out")
    return StudyError(f"{name} is damaged or not JPEG, PNG, BMP, TIFF or DICOM: replace it")
