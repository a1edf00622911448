"""Films and masks as files."""

import io
import struct
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from dicom_films import dicom_bytes
from film_headers import bmp_header, chunk, jpeg_header, png_header, png_rows, tiff
from PIL import Image

from pneumo_keras.dataset.files import write_whole
from pneumo_keras.dataset.films import (
    decode_film,
    film_size,
    is_inverted,
    read_film,
    read_mask,
    write_png,
)
from pneumo_keras.errors import StudyError

RAMP = np.arange(0, 240, 20, dtype=np.uint8).reshape(3, 4)  # 3 high, 4 wide


def saved(path, image, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P"])
def test_grey_survives_every_mode(tmp_path, mode):
    image = Image.fromarray(RAMP).convert(mode)
    path = saved(tmp_path / "film.png", image)
    assert read_film(path).dtype == np.uint8
    assert np.array_equal(read_film(path), RAMP)


@pytest.mark.parametrize("suffix", ["bmp", "tif", "png"])
def test_lossless_formats(tmp_path, suffix):
    path = saved(tmp_path / f"film.{suffix}", Image.fromarray(RAMP))
    assert np.array_equal(read_film(path), RAMP)


def test_jpeg_is_close(tmp_path):
    flat = np.full((16, 24), 130, np.uint8)
    path = saved(tmp_path / "film.jpg", Image.fromarray(flat))
    assert np.abs(read_film(path).astype(int) - 130).max() <= 1


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled_not_truncated(tmp_path, suffix):
    deep = np.array([[0, 257, 25700, 32896, 65535]] * 2, np.uint16)  # 257 = 65535 / 255
    path = saved(tmp_path / f"film.{suffix}", Image.fromarray(deep))
    assert read_film(path).tolist() == [[0, 1, 100, 128, 255]] * 2


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
    path = saved(tmp_path / f"film.{suffix}", image, exif=exif)
    turned = TURNS[orientation](RAMP)
    assert np.array_equal(read_film(path), turned)
    assert film_size(path) == turned.shape


def test_size_of_a_turned_jpeg_needs_no_pixels(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (90, 60), dtype=np.uint8)
    image = Image.fromarray(noise)
    exif = image.getexif()
    exif[0x0112] = 6
    path = saved(tmp_path / "film.jpg", image, exif=exif)
    path.write_bytes(path.read_bytes()[:-200])  # cut short, header whole
    assert film_size(path) == (60, 90)
    with pytest.raises(StudyError, match="film.jpg is damaged"):
        read_film(path)


def png_bytes():
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content", [b"", b"not a film", png_bytes()[:40], png_bytes()[:2000], b"GIF89a" + b"\0" * 50]
)
@pytest.mark.parametrize("read", [read_film, read_mask])
def test_damage_is_one_line_that_names_the_file(tmp_path, content, read):
    path = tmp_path / "film.png"
    path.write_bytes(content)
    with pytest.raises(StudyError, match=r"film\.png") as error:
        read(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("read", [read_film, read_mask, film_size])
def test_missing_film_and_folder(tmp_path, read):
    with pytest.raises(StudyError, match="none.png is not there"):
        read(tmp_path / "none.png")
    with pytest.raises(StudyError, match="cannot be read"):
        read(tmp_path)


def test_every_cut_of_a_film_is_refused():
    content = png_bytes()
    for length in range(0, len(content) - 20, 97):
        with pytest.raises(StudyError, match="the film"):
            decode_film(content[:length], "the film")


def test_mask_values(tmp_path):
    inside = np.array([[True, False], [False, True]])
    write_png(tmp_path / "bool.png", inside)
    assert np.asarray(Image.open(tmp_path / "bool.png")).tolist() == [[255, 0], [0, 255]]
    write_png(tmp_path / "ones.png", inside.astype(np.uint8))
    palette = Image.fromarray(inside.astype(np.uint8), "P")
    palette.putpalette([0, 0, 0, 128, 0, 0])  # labelme's colour for its first class
    palette.save(tmp_path / "palette.png")
    Image.fromarray(inside.astype(np.uint16)).save(tmp_path / "deep.png")
    for name in ("bool", "ones", "palette", "deep"):
        assert np.array_equal(read_mask(tmp_path / f"{name}.png"), inside), name
    write_png(tmp_path / "empty.png", np.zeros((2, 2), np.uint8))
    assert not read_mask(tmp_path / "empty.png").any()


def test_film_is_no_mask(tmp_path):
    write_png(tmp_path / "film.png", RAMP)
    with pytest.raises(StudyError, match="film.png is no mask"):
        read_mask(tmp_path / "film.png")


def test_writing_is_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "new" / "film.png"
    write_png(path, RAMP)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pneumo_keras.dataset.files.os.replace", full)
    with pytest.raises(StudyError, match="No space left"):
        write_whole(path, b"half")
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["film.png"]


def test_only_grey_is_written(tmp_path):
    with pytest.raises(TypeError, match="float64"):
        write_png(tmp_path / "film.png", np.zeros((2, 2)))
    assert not list(tmp_path.iterdir())


# --- Files made byte by byte, so that the grey of each pixel is known.


def grey(red, green, blue):
    """ITU-R 601, as 299 red + 587 green + 114 blue of a thousand."""
    return round((299 * red + 587 * green + 114 * blue) / 1000)


ALPHA = [0, 100, 255, 7]
PALETTE = [(0, 0, 0), (255, 0, 0), (0, 255, 0), (10, 20, 250)]
PLTE = chunk(b"PLTE", b"".join(map(bytes, PALETTE)))
HAND_MADE = {
    "grey 8": (8, 0, [[0, 1], [128, 255]], (), [[0, 1], [128, 255]]),
    "grey 1": (1, 0, [[0b01000000], [0b10000000]], (), [[0, 255], [255, 0]]),
    "grey 2": (2, 0, [[0b00010000], [0b10110000]], (), [[0, 85], [170, 255]]),
    "grey 16": (16, 0, [[0, 0, 1, 1], [128, 128, 255, 255]], (), [[0, 1], [128, 255]]),
    "grey 8, alpha": (8, 4, [[9, 0, 10, 100], [11, 255, 12, 7]], (), [[9, 10], [11, 12]]),
    "grey 16, alpha": (16, 4, [[9, 9, 0, 0, 7, 7, 9, 9]] * 2, (), [[9, 7]] * 2),
    "RGB 8": (8, 2, [[255, 0, 0, 0, 255, 0], [0, 0, 255, 9, 9, 9]], (), [[76, 150], [29, 9]]),
    "RGB 16": (16, 2, [[255, 255, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9]] * 2, (), [[76, 9]] * 2),
    "RGBA 8": (8, 6, [[255, 0, 0, 0, 0, 255, 0, 9]] * 2, (), [[76, 150]] * 2),
    "palette 8": (8, 3, [[0, 1], [2, 3]], (PLTE,), [[0, 76], [150, grey(*PALETTE[3])]]),
    "palette 2, alpha": (
        2,
        3,
        [[0b00010000], [0b10110000]],
        (PLTE, chunk(b"tRNS", bytes(ALPHA))),
        [[0, 76], [150, grey(*PALETTE[3])]],
    ),
}


@pytest.mark.parametrize("kind", HAND_MADE)
def test_png_made_by_hand(kind):
    depth, colour, rows, chunks, expected = HAND_MADE[kind]
    content = png_rows(2, 2, depth, colour, rows, *chunks)
    assert decode_film(content, "film").tolist() == expected


@pytest.mark.parametrize(
    ("shades", "depth", "pixels", "expected"),
    [
        (1, 8, bytes([0, 50, 200, 255]), [[0, 50], [200, 255]]),
        (0, 8, bytes([0, 50, 200, 255]), [[255, 205], [55, 0]]),
        (1, 16, struct.pack("<4H", 0, 257, 32896, 65535), [[0, 1], [128, 255]]),
        (0, 16, struct.pack("<4H", 0, 257, 32896, 65535), [[255, 254], [127, 0]]),
    ],
)
def test_tiff_made_by_hand(tmp_path, shades, depth, pixels, expected):
    path = tmp_path / "film.tif"
    path.write_bytes(tiff(2, 2, shades, depth, pixels))
    assert read_film(path).tolist() == expected
    assert film_size(path) == (2, 2)
    assert is_inverted(path) == (shades == 0)


def test_bmp_made_by_hand():
    # Rows from the bottom up, blue first, padded to four bytes.
    rows = bytes([0, 0, 255, 0, 255, 0, 0, 0]) + bytes([255, 0, 0, 9, 9, 9, 0, 0])
    assert decode_film(bmp_header(2, 2) + rows, "film").tolist() == [[29, 9], [76, 150]]


def test_content_tells_the_kind_not_the_suffix(tmp_path):
    path = saved(tmp_path / "film.png", Image.fromarray(RAMP), format="BMP")
    assert np.array_equal(read_film(path), RAMP)


# --- What is refused.


def saved_many(path, **options):
    pictures = [Image.fromarray(np.roll(RAMP, step)) for step in range(3)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_several_pictures_in_a_file_are_no_film(tmp_path, suffix):
    path = saved_many(tmp_path / f"film.{suffix}")
    for read in (read_film, read_mask, film_size):
        with pytest.raises(StudyError, match=r"holds 3 pictures: save"):
            read(path)


def test_colours_of_print_and_fractions_are_refused(tmp_path):
    path = saved(tmp_path / "film.jpg", Image.fromarray(RAMP).convert("CMYK"))
    with pytest.raises(StudyError, match=r"film\.jpg is in CMYK.*: save it as grey PNG"):
        read_film(path)
    path = saved(tmp_path / "film.tif", Image.fromarray(RAMP / np.float32(255)))
    with pytest.raises(StudyError, match=r"film\.tif is made of fractions: save it as grey PNG"):
        read_film(path)


@pytest.mark.parametrize("depth", [-1, 70000])
def test_more_than_sixteen_bits_are_refused(tmp_path, depth):
    path = saved(tmp_path / "film.tif", Image.fromarray(np.full((2, 2), depth, np.int32)))
    with pytest.raises(StudyError, match="more than 16 bits"):
        read_film(path)


def test_one_pixel_is_no_film(tmp_path):
    write_png(tmp_path / "film.png", np.zeros((1, 1), np.uint8))
    with pytest.raises(StudyError, match="film.png is 1×1 pixels"):
        read_film(tmp_path / "film.png")


def test_mask_in_colour_is_refused(tmp_path):
    red = np.zeros((2, 2, 3), np.uint8)
    red[0, 0, 0] = 255
    write_png(tmp_path / "mask.png", red)
    with pytest.raises(StudyError, match=r"mask\.png is in colour, no mask: save"):
        read_mask(tmp_path / "mask.png")
    write_png(tmp_path / "mask.png", np.repeat(red[..., :1], 3, axis=2))
    assert read_mask(tmp_path / "mask.png").tolist() == [[True, False], [False, False]]


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
@pytest.mark.parametrize("read", [read_film, read_mask, film_size])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_too_large_is_said_before_a_pixel_is_decoded(tmp_path, name, read):
    if name.endswith("dcm") and read is not read_film:
        pytest.skip("no mask; and the size of DICOM stands in its header")
    path = tmp_path / name
    path.write_bytes(BOMBS[name])
    tracemalloc.start()
    with pytest.raises(StudyError, match=rf"{name} has more than 64 million pixels: save it"):
        read(path)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


LARGE = """
import re, sys
from pneumo_keras.dataset.films import read_film


def peak():  # that of resource.getrusage would be the parent's where that is higher
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])


small, *large = sys.argv[1:]
read_film(small)
before = peak()
for path in large:
    assert read_film(path).shape == (4000, 4000)
    print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_for_a_large_film_is_a_few_times_its_pixels(tmp_path):
    write_png(tmp_path / "small.png", RAMP)
    pixels = np.tile(np.arange(4000, dtype=np.uint8), (4000, 1))
    write_png(tmp_path / "grey.png", pixels)
    (tmp_path / "deep.dcm").write_bytes(dicom_bytes(pixels.astype(np.uint16) * 16))
    write_png(tmp_path / "colour.png", np.dstack([pixels] * 3))
    paths = [tmp_path / name for name in ("small.png", "grey.png", "deep.dcm", "colour.png")]
    done = subprocess.run([sys.executable, "-c", LARGE, *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    growth = [1024 * int(line) / pixels.size for line in done.stdout.split()]
    for taken, depth in zip(growth, (1, 2, 4), strict=True):  # bytes a pixel; Pillow pads colour
        assert taken < 3 * depth + 2
