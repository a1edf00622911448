"""Images and masks as files."""

import struct
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from image_files import (
    bmp_header,
    chunk,
    dicom_bytes,
    jpeg_header,
    png_header,
    png_rows,
    save_dicom,
    tiff,
)
from PIL import Image

from pneumo_keras.dataset.images import (
    decode_image,
    image_format,
    is_image_file,
    is_inverted,
    pixel_spacing,
    read_image,
    read_mask,
    write_png,
)
from pneumo_keras.errors import StudyError

RAMP = np.arange(0, 240, 20, dtype=np.uint8).reshape(3, 4)  # 3 high, 4 wide


def saved(path, image, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_grey_survives_every_lossless_form(tmp_path, suffix):
    for mode in ("L", "RGB", "RGBA", "P") + (("LA",) if suffix != "bmp" else ()):
        path = saved(tmp_path / f"a.{suffix}", Image.fromarray(RAMP).convert(mode))
        assert read_image(path).dtype == np.uint8
        assert np.array_equal(read_image(path), RAMP), mode


def test_jpeg_is_close_and_the_suffix_does_not_matter(tmp_path):
    path = saved(tmp_path / "a.jpg", Image.fromarray(np.full((16, 24), 130, np.uint8)))
    assert np.abs(read_image(path).astype(int) - 130).max() <= 1
    path = saved(tmp_path / "a.png", Image.fromarray(RAMP), format="BMP")
    assert np.array_equal(read_image(path), RAMP)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled_not_truncated(tmp_path, suffix):
    deep = np.array([[0, 257, 25700, 32896, 65535]] * 2, np.uint16)  # 257 = 65535 / 255
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(deep))
    assert read_image(path).tolist() == [[0, 1, 100, 128, 255]] * 2


# What numpy makes of the stored pixels for each orientation of the EXIF standard.
TURNS = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).T,
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_orientation_is_applied(tmp_path, orientation, suffix):
    image = Image.fromarray(RAMP)
    exif = image.getexif()
    exif[0x0112] = orientation
    path = saved(tmp_path / f"a.{suffix}", image, exif=exif)
    assert np.array_equal(read_image(path), TURNS[orientation](RAMP))


def test_format_is_named_by_depth_and_colour(tmp_path):
    for mode, expected in (("1", "1-bit"), ("RGBA", "8-bit colour with alpha"), ("P", "palette")):
        path = saved(tmp_path / "a.png", Image.new(mode, (2, 2)))
        assert image_format(path).startswith("PNG") and expected in image_format(path)
    assert image_format(save_dicom(tmp_path / "a.dcm", RAMP)) == "DCM"


def test_dicom_needs_no_suffix(tmp_path):
    for name in ("IM0001", "1.2.840.113", "a.dcm"):
        assert is_image_file(save_dicom(tmp_path / name, RAMP))
        assert read_image(tmp_path / name).shape == RAMP.shape
    (tmp_path / "notes").write_text("no image")
    assert not is_image_file(tmp_path / "notes") and not is_image_file(tmp_path / "none")
    assert not is_image_file(save_dicom(tmp_path / "a.bak", RAMP))
    assert is_image_file(tmp_path / "a.JPG") and not is_image_file(tmp_path / "a.json")


# --- Damage; more kinds of it are in test_references.py.

CONTENT = png_rows(64, 64, 8, 0, np.random.default_rng(0).integers(0, 256, (64, 64)).tolist())


@pytest.mark.parametrize("content", [b"", b"not an image", CONTENT[:40], b"GIF89a" + bytes(50)])
def test_a_damaged_mask_is_named(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(StudyError, match=r"a\.png"):
        read_mask(tmp_path / "a.png")


@pytest.mark.parametrize("read", [read_image, read_mask, pixel_spacing, is_inverted])
def test_missing_file_and_folder(tmp_path, read):
    with pytest.raises(StudyError, match=r"none\.png is not there"):
        read(tmp_path / "none.png")
    with pytest.raises(StudyError, match="cannot be read"):
        read(tmp_path)


def test_every_cut_of_an_image_is_refused():
    for length in range(0, len(CONTENT) - 20, 97):
        with pytest.raises(StudyError, match="the image"):
            decode_image(CONTENT[:length], "the image")


# --- Masks, and writing.


def test_mask_values(tmp_path):
    inside = np.array([[True, False], [False, True]])
    write_png(tmp_path / "bool.png", inside)
    assert np.asarray(Image.open(tmp_path / "bool.png")).tolist() == [[255, 0], [0, 255]]
    write_png(tmp_path / "ones.png", inside.astype(np.uint8))
    palette = Image.fromarray(inside.astype(np.uint8), "P")
    palette.putpalette([0, 0, 0, 128, 0, 0])  # labelme's colour for its first class
    palette.save(tmp_path / "palette.png")
    Image.fromarray(inside.astype(np.uint16)).save(tmp_path / "deep.png")
    write_png(tmp_path / "channels.png", np.repeat(inside[..., None], 3, axis=2).astype(np.uint8))
    for name in ("bool", "ones", "palette", "deep", "channels"):
        assert np.array_equal(read_mask(tmp_path / f"{name}.png"), inside), name
    write_png(tmp_path / "empty.png", np.zeros((2, 2), np.uint8))
    assert not read_mask(tmp_path / "empty.png").any()


@pytest.mark.parametrize("pixels", [RAMP, np.eye(3, dtype=np.uint8)[..., None] * [200, 30, 30]])
def test_images_and_colours_are_no_masks(tmp_path, pixels):
    write_png(tmp_path / "a.png", pixels.astype(np.uint8))
    with pytest.raises(StudyError, match=r"a\.png .*not a mask"):
        read_mask(tmp_path / "a.png")


def test_only_grey_and_colour_of_8_bits_are_written(tmp_path):
    for pixels in (np.zeros((2, 2)), np.zeros((2, 2, 4), np.uint8)):
        with pytest.raises(TypeError):
            write_png(tmp_path / "a.png", pixels)
    assert not list(tmp_path.iterdir())
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 255
    write_png(tmp_path / "new" / "a.png", red)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "new" / "a.png")), red)


# --- Files made byte by byte, so that the grey of each pixel is known.


# Grey is (299 red + 587 green + 114 blue) / 1000, as ITU-R 601 has it: 0, 76, 150, 43.
PALETTE = [(0, 0, 0), (255, 0, 0), (0, 255, 0), (10, 20, 250)]
PLTE = chunk(b"PLTE", b"".join(map(bytes, PALETTE)))
ALPHA = chunk(b"tRNS", bytes([0, 100, 255, 7]))
HAND_MADE = {  # depth, colour type, bytes of the rows, chunks, expected
    "grey 8": (8, 0, [[0, 1], [128, 255]], (), [[0, 1], [128, 255]]),
    "grey 1": (1, 0, [[0b01000000], [0b10000000]], (), [[0, 255], [255, 0]]),
    "grey 2": (2, 0, [[0b00010000], [0b10110000]], (), [[0, 85], [170, 255]]),
    "grey 16": (16, 0, [[0, 0, 1, 1], [128, 128, 255, 255]], (), [[0, 1], [128, 255]]),
    "grey 8, alpha": (8, 4, [[9, 0, 10, 100], [11, 255, 12, 7]], (), [[9, 10], [11, 12]]),
    "grey 16, alpha": (16, 4, [[9, 9, 0, 0, 7, 7, 9, 9]] * 2, (), [[9, 7]] * 2),
    "RGB 8": (8, 2, [[255, 0, 0, 0, 255, 0], [0, 0, 255, 9, 9, 9]], (), [[76, 150], [29, 9]]),
    "RGB 16": (16, 2, [[255, 255, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9]] * 2, (), [[76, 9]] * 2),
    "RGBA 8": (8, 6, [[255, 0, 0, 0, 0, 255, 0, 9]] * 2, (), [[76, 150]] * 2),
    "palette 8": (8, 3, [[0, 1], [2, 3]], (PLTE,), [[0, 76], [150, 43]]),
    "palette 2, alpha": (2, 3, [[16], [176]], (PLTE, ALPHA), [[0, 76], [150, 43]]),
}


@pytest.mark.parametrize("kind", HAND_MADE)
def test_png_made_by_hand(kind):
    depth, colour, rows, chunks, expected = HAND_MADE[kind]
    assert decode_image(png_rows(2, 2, depth, colour, rows, *chunks), "a").tolist() == expected


@pytest.mark.parametrize(
    ("photometric", "depth", "pixels", "expected"),
    [
        (1, 8, bytes([0, 50, 200, 255]), [[0, 50], [200, 255]]),
        (0, 8, bytes([0, 50, 200, 255]), [[255, 205], [55, 0]]),
        (1, 16, struct.pack("<4H", 0, 257, 32896, 65535), [[0, 1], [128, 255]]),
        (0, 16, struct.pack("<4H", 0, 257, 32896, 65535), [[255, 254], [127, 0]]),
    ],
)
def test_tiff_made_by_hand(tmp_path, photometric, depth, pixels, expected):
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(2, 2, photometric, depth, pixels))
    assert read_image(path).tolist() == expected
    assert is_inverted(path) == (photometric == 0)


def test_bmp_made_by_hand(tmp_path):
    # Rows from the bottom up, blue first, padded to four bytes.
    rows = bytes([0, 0, 255, 0, 255, 0, 0, 0]) + bytes([255, 0, 0, 9, 9, 9, 0, 0])
    (tmp_path / "a.bmp").write_bytes(bmp_header(2, 2) + rows)
    assert read_image(tmp_path / "a.bmp").tolist() == [[29, 9], [76, 150]]
    assert not is_inverted(tmp_path / "a.bmp") and pixel_spacing(tmp_path / "a.bmp") is None


# --- What is refused besides damage.


def test_several_images_in_a_file_are_refused(tmp_path):
    images = [Image.fromarray(np.roll(RAMP, step)) for step in range(3)]
    path = saved(tmp_path / "a.tif", images[0], save_all=True, append_images=images[1:])
    for read in (read_image, read_mask):
        with pytest.raises(StudyError, match="holds 3 images"):
            read(path)


@pytest.mark.parametrize("value", [-1, 70000])
def test_more_than_sixteen_bits_are_refused(tmp_path, value):
    path = saved(tmp_path / "a.tif", Image.fromarray(np.full((2, 2), value, np.int32)))
    with pytest.raises(StudyError, match="more than 16 bits"):
        read_image(path)


# --- Size and memory.

BOMBS = {
    "bomb.png": png_header(20_000, 20_000),
    "deep.png": png_header(20_000, 20_000, 16, 6),
    "above.png": png_header(8_001, 8_000),
    "bomb.bmp": bmp_header(20_000, 20_000),
    "bomb.jpg": jpeg_header(20_000, 20_000),
    "bomb.tif": tiff(20_000, 20_000, 1, 8, bytes(100)),
    "bomb.dcm": dicom_bytes(np.zeros((2, 2), np.uint16), Rows=20_000, Columns=20_000),
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_too_large_is_said_before_a_pixel_is_decoded(tmp_path, name):
    (tmp_path / name).write_bytes(BOMBS[name])
    for read in (read_image,) if name.endswith("dcm") else (read_image, read_mask):
        tracemalloc.start()
        with pytest.raises(StudyError, match=rf"{name} has more than 64 million pixels"):
            read(tmp_path / name)
        assert tracemalloc.get_traced_memory()[1] < 1e6
        tracemalloc.stop()


LARGE = """
import re, sys
from pneumo_keras.dataset.images import read_image


def peak():  # that of resource.getrusage would be the parent's where that is higher
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])


small, *large = sys.argv[1:]
read_image(small)
before = peak()
for path in large:
    assert read_image(path).shape == (4000, 4000)
    print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_for_a_large_image_is_a_few_times_its_pixels(tmp_path):
    write_png(tmp_path / "small.png", RAMP)
    pixels = np.tile(np.arange(4000, dtype=np.uint8), (4000, 1))
    write_png(tmp_path / "grey.png", pixels)
    save_dicom(tmp_path / "deep.dcm", pixels.astype(np.uint16) * 16)
    write_png(tmp_path / "colour.png", np.dstack([pixels] * 3))
    paths = [tmp_path / name for name in ("small.png", "grey.png", "deep.dcm", "colour.png")]
    command = [sys.executable, "-c", LARGE, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    growth = [1024 * int(line) / pixels.size for line in done.stdout.split()]
    for taken, depth in zip(growth, (1, 2, 4), strict=True):  # bytes a pixel; Pillow pads colour
        assert taken < 3 * depth + 2
