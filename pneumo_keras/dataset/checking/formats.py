"""What kind of file a film is: format and bit depth, from its header."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

_MODES = {
    "1": "1-bit",
    "L": "8-bit grey",
    "LA": "8-bit grey with alpha",
    "P": "8-bit palette",
    "RGB": "8-bit colour",
    "RGBA": "8-bit colour with alpha",
    "CMYK": "8-bit CMYK",
    "I": "32-bit grey",
    "F": "32-bit float",
}


def film_format(path: Path) -> str:
    """Format and bit depth of a film, such as `PNG, 16-bit grey`.

    Args:
        path: A film that can be read.

    Returns:
        The suffix alone, in capitals, where the header is none that Pillow knows.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "film.png"
        >>> Image.new("I;16", (2, 2)).save(path)
        >>> film_format(path)
        'PNG, 16-bit grey'
    """
    try:
        with Image.open(path) as image:
            mode = "16-bit grey" if image.mode.startswith("I;16") else _MODES.get(image.mode, "")
            return f"{image.format}, {mode or image.mode}"
    except (OSError, ValueError, Image.DecompressionBombError):
        return path.suffix.lstrip(".").upper()
