"""Films of which only the header is real, and ones made byte by byte."""

import struct
import zlib


def chunk(kind, content):
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png_header(width, height, depth=8, colour=0):
    """A PNG that says its size and holds no pixels to speak of."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


def png_rows(width, height, depth, colour, rows, *chunks):
    """A PNG made by hand: `rows` are the bytes of each row, `chunks` come ahead of them."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + bytes(row) for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + chunk(b"IEND", b"")


def bmp_header(width, height):
    return struct.pack(
        "<2sIHHIIiiHHIIiiII", b"BM", 54, 0, 0, 54, 40, width, height, 1, 24, 0, *[0] * 5
    )


def jpeg_header(width, height):
    frame = struct.pack(">HBHHBBBB", 11, 8, height, width, 1, 1, 0x11, 0)
    return b"\xff\xd8\xff\xc0" + frame + b"\xff\xd9"


def tiff(width, height, shades, depth, pixels):
    """A grey TIFF, little-endian; `shades` 0 stores white as 0, 1 black."""
    tags = [
        (256, 4, width),
        (257, 4, height),
        (258, 3, depth),
        (259, 3, 1),
        (262, 3, shades),
        (273, 4, 8),
        (277, 3, 1),
        (278, 4, height),
        (279, 4, len(pixels)),
    ]
    table = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    start = 8 + len(pixels)
    return (
        b"II*\0"
        + struct.pack("<I", start)
        + pixels
        + struct.pack("<H", len(tags))
        + table
        + struct.pack("<I", 0)
    )
