"""Films and masks as files."""

import io

import numpy as np
import pytest
from PIL import Image

from pneumo_keras.dataset.files import write_whole
from pneumo_keras.dataset.films import (
    decode_film,
    film_size,
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
