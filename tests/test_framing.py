"""The way of a film into the square of a network and back: letterbox and CLAHE."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pneumo_keras.dataset.arrays import load_arrays, write_arrays
from pneumo_keras.dataset.films import read_film, read_mask, write_png
from pneumo_keras.dataset.framing import at_size, resize_film, resize_mask
from pneumo_keras.dataset.labelme import Shape, write_annotation
from pneumo_keras.dataset.masks import write_masks
from pneumo_keras.dataset.sources import find_films
from pneumo_keras.errors import StudyError


def test_letterbox_by_hand():
    film = np.arange(1, 9, dtype=np.uint8).reshape(2, 4)  # twice as wide as high
    assert resize_film(film, 4, letterbox=True).tolist() == [
        [0, 0, 0, 0],
        [1, 2, 3, 4],
        [5, 6, 7, 8],
        [0, 0, 0, 0],
    ]
    assert resize_film(film.T, 4, letterbox=True).tolist() == [
        [0, 1, 5, 0],
        [0, 2, 6, 0],
        [0, 3, 7, 0],
        [0, 4, 8, 0],
    ]
    # 3 rows in 4 leave one: above 0, below 1.
    assert (resize_film(np.full((3, 4), 9, np.uint8), 4, letterbox=True)[:3] == 9).all()


def test_a_square_film_needs_no_letterbox():
    film = np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)
    np.testing.assert_array_equal(resize_film(film, 32, letterbox=True), resize_film(film, 32))


sizes = st.integers(1, 90)


@settings(max_examples=80, deadline=None)
@given(sizes, sizes, st.sampled_from([32, 64]))
def test_film_and_mask_take_up_the_same_pixels_in_proportion(height, width, size):
    film = resize_film(np.full((height, width), 255, np.uint8), size, letterbox=True)
    mask = resize_mask(np.ones((height, width), bool), size, letterbox=True)
    np.testing.assert_array_equal(film, 255 * mask)
    rows, columns = mask.any(axis=1).sum(), mask.any(axis=0).sum()
    assert mask.sum() == rows * columns and max(rows, columns) == size
    for side, taken in ((height, rows), (width, columns)):
        assert taken == 1 or abs(taken - side * size / max(height, width)) <= 0.5


@settings(max_examples=60, deadline=None)
@given(st.integers(8, 90), st.integers(8, 90), st.integers(0, 10**6), st.booleans())
def test_there_and_back_a_mask_is_where_it_was(height, width, seed, letterbox):
    random = np.random.default_rng(seed)
    mask = np.zeros((height, width), bool)
    top, left = random.integers(0, height // 2), random.integers(0, width // 2)
    mask[top : top + 1 + height // 2, left : left + 1 + width // 2] = True
    framed = resize_mask(mask, 256, letterbox)
    back = at_size(framed.astype(np.float32), (height, width), letterbox) >= 0.5
    wrong = back != mask  # at most the rim of the rectangle
    rim = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    assert not (wrong & (rim == 0)).any()


def test_what_is_predicted_beside_the_film_is_dropped():
    probability = np.ones((32, 32), np.float32)
    probability[8:24] = 0.25
    assert (at_size(probability, (50, 100), letterbox=True) == 0.25).all()


def test_clahe_is_opencv_s_on_the_film_without_its_frame():
    film = np.random.default_rng(0).integers(90, 130, (64, 128), dtype=np.uint8)
    expected = cv2.createCLAHE(2.0, (8, 8)).apply(film)
    assert expected.std() > 1.3 * film.std()
    framed = resize_film(film, 128, clahe=True, letterbox=True)
    np.testing.assert_array_equal(framed[32:96], expected)
    assert not framed[:32].any() and not framed[96:].any()
    np.testing.assert_array_equal(resize_film(film[:, :64], 64), film[:, :64])  # off by default


@pytest.fixture
def folder(tmp_path):
    box = Shape("lung", "rectangle", np.array([[0.0, 0.0], [19.0, 19.0]]))
    film = np.random.default_rng(0).integers(90, 130, (20, 60), dtype=np.uint8)
    write_png(tmp_path / "data" / "a.png", film)
    write_annotation(tmp_path / "data" / "a.json", "a.png", [box], 20, 60)
    return tmp_path


def test_arrays_remember_how_they_were_framed(folder):
    films = find_films(folder / "data")
    report = write_masks(films, folder / "masks", "lung", [], data=folder / "data", progress=False)
    places = report.index, folder / "data", folder / "masks", folder / "arrays", 32
    arrays = write_arrays(*places, clahe=True, letterbox=True)
    assert arrays.clahe and arrays.letterbox and load_arrays(folder / "arrays").letterbox
    film, mask = read_film(folder / "data" / "a.png"), read_mask(folder / "masks" / "a.png")
    np.testing.assert_array_equal(arrays.films[0], resize_film(film, 32, True, True))
    np.testing.assert_array_equal(arrays.masks[0], resize_mask(mask, 32, True))
    assert not arrays.masks[0, :10].any() and arrays.masks[0, 16, :10].all()
    plain = write_arrays(*places)
    assert not plain.clahe and not plain.letterbox
    (folder / "arrays" / "settings.json").write_text("[]")
    with pytest.raises(StudyError, match="notebook 02"):
        load_arrays(folder / "arrays")
