"""A corpus of bad input: each kind is made beside good films, with words of the error it ends in.

Every kind spoils the film `bad.png` and its annotation `bad.json`, as `good_film` makes them, or
puts others in their place.
"""

import base64
import io
import json
import os
import struct

import numpy as np
from dicom_films import dicom_bytes
from film_headers import bmp_header, jpeg_header, png_header, tiff
from PIL import Image

from pneumo_keras.dataset.films import write_png
from pneumo_keras.dataset.labelme import Shape, write_annotation

SIZE = (40, 48)
SQUARE = [[8, 8], [30, 8], [30, 30], [8, 30]]


def good_film(folder, name):
    """A film with its annotation, both sound."""
    film = np.random.default_rng(len(name)).integers(0, 255, SIZE, dtype=np.uint8)
    write_png(folder / f"{name}.png", film)
    shape = Shape("pneumonia", "polygon", np.array(SQUARE, float))
    write_annotation(folder / f"{name}.json", f"{name}.png", [shape], *SIZE, overwrite=True)


def encoded(kind, mode="L", size=SIZE, **options):
    noise = np.random.default_rng(0).integers(0, 255, size, dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def several(kind):
    return encoded(kind, save_all=True, append_images=[Image.new("L", SIZE[::-1])] * 2)


def as_base64(content):
    return base64.b64encode(content).decode()


def film(content, name="bad.png"):
    """Puts other bytes in place of the film."""

    def spoil(folder):
        (folder / "bad.png").unlink()
        (folder / name).write_bytes(content)
        change(folder, imagePath=name)

    return spoil


def change(folder, **entries):
    path = folder / "bad.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def page(**entries):
    """Changes entries of the annotation."""
    return lambda folder: change(folder, **entries)


def shape(**entries):
    """Changes entries of the annotation's one shape."""
    sound = {"label": "pneumonia", "shape_type": "polygon", "points": SQUARE}
    return page(shapes=[sound | entries])


def text(content):
    """Puts other bytes in place of the annotation."""
    return lambda folder: (folder / "bad.json").write_bytes(content)


def mask(picture, points=((8, 8), (11, 11))):
    return shape(shape_type="mask", points=points, mask=picture)


def film_gone(folder):
    (folder / "bad.png").unlink()


def two_elsewhere(folder):
    for place in ("one", "two"):
        good_film(folder / place, "bad")
        (folder / place / "bad.json").unlink()
    (folder / "bad.png").unlink()
    write_png(folder / "two" / "bad.png", np.full((32, 32), 9, np.uint8))  # no copy of the other


def outside(path):
    """Names a film that lies outside the data folder."""

    def spoil(folder):
        write_png(folder.parent / "else.png", np.zeros(SIZE, np.uint8))
        (folder / "bad.png").unlink()
        change(folder, imagePath=path or str(folder.parent / "else.png"))

    return spoil


def link_to_itself(folder):
    (folder / "bad.png").unlink()
    (folder / "bad.png").symlink_to("bad.png")


def folder_for_film(folder):
    (folder / "bad.png").unlink()
    (folder / "bad.png").mkdir()


def unreadable(name):
    return lambda folder: os.chmod(folder / name, 0)


def embedded_only(content):
    def spoil(folder):
        (folder / "bad.png").unlink()
        change(folder, imageData=content)

    return spoil


def report():
    """DICOM that holds no pixels."""
    empty = {"PixelData": None, "Rows": None, "Columns": None}
    return dicom_bytes(np.zeros(SIZE, np.uint8), **empty)


GREY = np.random.default_rng(0).integers(0, 4096, SIZE).astype(np.uint16)
DICOM = dicom_bytes(GREY)
POINTS = np.random.default_rng(0).integers(0, 40, (200_000, 2)).tolist()
STAR = [[24 + 15 * np.sin(a), 20 + 15 * np.cos(a)] for a in np.arange(5) * 0.8 * np.pi]
JSON = json.dumps({"shapes": [], "imagePath": "bad.png"})
BROKEN_CRC = bytearray(encoded("PNG"))
BROKEN_CRC[18] ^= 1  # the width

BAD = {
    # films
    "zero bytes": (film(b""), "is empty"),
    "text named PNG": (film(b"a note\n"), "damaged or no"),
    "PDF named JPEG": (film(b"%PDF-1.7\n", "bad.jpg"), "damaged or no"),
    "GIF named PNG": (film(encoded("GIF")), "damaged or no"),
    "truncated PNG": (film(encoded("PNG")[:900]), "damaged or no"),
    "truncated JPEG": (film(encoded("JPEG")[:900], "bad.jpg"), "damaged or no"),
    "truncated TIFF": (film(encoded("TIFF")[:900], "bad.tif"), "damaged or no"),
    "truncated BMP": (film(encoded("BMP")[:900], "bad.bmp"), "damaged or no"),
    "PNG with a broken checksum": (film(bytes(BROKEN_CRC)), "damaged or no"),
    "CMYK": (film(encoded("JPEG", "CMYK"), "bad.jpg"), "CMYK"),
    "animated PNG": (film(several("PNG")), "holds 3 pictures"),
    "TIFF of several pages": (film(several("TIFF"), "bad.tif"), "holds 3 pictures"),
    "one pixel": (film(encoded("PNG", size=(1, 1))), "1×1 pixels"),
    "PNG of 20,000×20,000": (film(png_header(20_000, 20_000)), "million pixels"),
    "BMP of 20,000×20,000": (film(bmp_header(20_000, 20_000), "bad.bmp"), "million pixels"),
    "JPEG of 20,000×20,000": (film(jpeg_header(20_000, 20_000), "bad.jpg"), "million pixels"),
    "fractions": (film(encoded("TIFF", "F"), "bad.tif"), "fractions"),
    "32 bits a pixel": (
        film(tiff(2, 2, 1, 32, struct.pack("<4I", 0, 1, 2, 2**20)), "bad.tif"),
        "more than 16 bits",
    ),
    "no film": (film_gone, "not there"),
    "two films of the name elsewhere": (two_elsewhere, "2 files of that name"),
    "folder for a film": (folder_for_film, "not there"),
    "link to itself": (link_to_itself, "symbolic links"),
    "film that may not be read": (unreadable("bad.png"), "Permission denied"),
    "film outside, by ..": (outside("../else.png"), "--allow-outside"),
    "film outside, absolute": (outside(None), "--allow-outside"),
    # DICOM
    "DICOM without pixels": (film(report(), "bad.dcm"), "without pixels"),
    "DICOM cut short": (film(DICOM[:-500], "bad.dcm"), "bytes of pixels|damaged"),
    "DICOM of too many rows": (film(dicom_bytes(GREY, Rows=60), "bad.dcm"), "bytes of pixels"),
    "DICOM of too few columns": (
        film(dicom_bytes(GREY, Columns=40), "bad.dcm"),
        "bytes of pixels",
    ),
    "DICOM of two frames": (film(dicom_bytes(GREY, NumberOfFrames=2), "bad.dcm"), "2 frames"),
    "DICOM in colour": (
        film(dicom_bytes(GREY, PhotometricInterpretation="RGB"), "bad.dcm"),
        "in colour",
    ),
    "DICOM of 32 bits": (film(dicom_bytes(GREY.astype(np.uint32)), "bad.dcm"), "32 bits"),
    "DICOM of 20,000×20,000": (
        film(dicom_bytes(GREY, Rows=20_000, Columns=20_000), "bad.dcm"),
        "million pixels",
    ),
    "DICOM of no window's width": (
        film(dicom_bytes(GREY, WindowCenter=1, WindowWidth=0), "bad.dcm"),
        "Window Width",
    ),
    "text named DICOM": (film(b"a note\n", "bad.dcm"), "damaged or no"),
    # JSON
    "empty annotation": (text(b""), "no sound JSON"),
    "truncated annotation": (text(b'{"shapes": ['), "no sound JSON"),
    "list": (text(b"[1, 2]"), "no LabelMe annotation"),
    "UTF-16": (text(JSON.encode("utf-16")), "not UTF-8"),
    "Latin-1": (text(JSON.replace("bad", "b\u00e4d").encode("latin-1")), "not UTF-8"),
    "deep nesting": (text(b"[" * 200_000 + b"]" * 200_000), "no sound JSON"),
    "deep nesting in an object": (text(b'{"shapes":' * 100_000), "no sound JSON"),
    "doubled key": (text(JSON.replace("{", '{"shapes": [1],').encode()), "stands twice"),
    "masses of points": (shape(points=POINTS), "more than 50,000"),
    "annotation that may not be read": (unreadable("bad.json"), "Permission denied"),
    "no path": (page(imagePath=None), "imagePath"),
    "number for a path": (page(imagePath=7), "imagePath"),
    "zero in a path": (page(imagePath="bad\0.png"), "imagePath"),
    "shapes in an object": (page(shapes={"a": 1}), "no list named"),
    "negative height": (page(imageHeight=-3), "imageHeight"),
    "another size": (page(imageHeight=48, imageWidth=40), "drawn on a film of 40×48"),
    "embedded film of broken base64": (embedded_only("%%%"), "base64"),
    "embedded film that is none": (embedded_only(as_base64(b"a note")), "embedded in .* damaged"),
    # shapes
    "no label": (shape(label=" "), "no label"),
    "half a letter for a label": (shape(label="\ud800"), "no label"),
    "unknown kind": (shape(shape_type="spline"), "unknown kind"),
    "words for points": (shape(points=[["a", "b"]] * 3), "no place on a film"),
    "not a number": (shape(points=[*SQUARE, [float("nan"), 3]]), "no place on a film"),
    "infinity": (shape(points=[*SQUARE, [float("inf"), 3]]), "no place on a film"),
    "negative coordinates": (shape(points=[*SQUARE, [-20, 20]]), "20 pixels beyond the film"),
    "beyond the film": (shape(points=[[x + 60, y] for x, y in SQUARE]), "beyond the film"),
    "polygon of two points": (shape(points=SQUARE[:2]), "2 points instead of at least 3"),
    "bow": (shape(points=[SQUARE[k] for k in (0, 2, 1, 3)]), "crosses itself"),
    "star": (shape(points=STAR), "crosses itself"),
    "scribble": (shape(points=POINTS[:20_000]), "crosses itself"),
    "point": (shape(shape_type="point", points=[[9, 9]]), "encloses nothing"),
    "mask of broken base64": (mask("a~b"), "base64"),
    "mask that is no PNG": (mask(as_base64(b"a note")), "no sound PNG"),
    "mask larger than its box": (mask(as_base64(encoded("PNG", "1"))), "in a box of 4×4"),
    "mask of 9,000×9,000": (mask(as_base64(png_header(9_000, 9_000))), "in a box of 4×4"),
    "no mask": (mask(None), "base64"),
}
