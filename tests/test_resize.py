"""Resize to the input of a network and back, letterbox and CLAHE."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as numpy_arrays

from pneumo_keras.dataset.resize import resize_back, resize_image, resize_mask

sizes = st.integers(1, 90)


@settings(max_examples=30, deadline=None)
@given(numpy_arrays(np.uint8, (24, 36)), st.sampled_from([2, 3, 4, 6, 12]))
def test_shrinking_by_whole_numbers_is_the_mean_of_blocks(image, size):
    blocks = image.reshape(size, 24 // size, size, 36 // size).mean(axis=(1, 3))
    assert np.abs(resize_image(image, size) - blocks).max() <= 0.51


def test_enlarging_is_bilinear_and_keeps_constant_images_constant():
    assert (resize_image(np.full((3, 5), 77, np.uint8), 16) == 77).all()
    row = resize_image(np.array([[0, 100], [0, 100]], np.uint8), 4)[0]
    assert row.tolist() == [0, 25, 75, 100]


@settings(max_examples=40, deadline=None)
@given(
    numpy_arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40)), elements=st.booleans()),
    st.integers(1, 50),
)
def test_masks_take_the_pixel_under_the_centre(mask, size):
    height, width = mask.shape
    resized = resize_mask(mask, size)
    assert resized.dtype == np.uint8 and resized.shape == (size, size)
    # Twice the centre, in pixels of the mask, times the size: whole numbers, so that centres on
    # the border of two pixels, where either is right, are known for sure.
    rows, columns = ((2 * np.arange(size) + 1) * length for length in (height, width))
    clear = np.ix_(rows % (2 * size) != 0, columns % (2 * size) != 0)
    expected = mask[np.ix_(rows // (2 * size), columns // (2 * size))]
    np.testing.assert_array_equal(resized[clear], expected[clear])


def test_letterbox_by_hand():
    image = np.arange(1, 9, dtype=np.uint8).reshape(2, 4)  # twice as wide as high
    expected = np.array([[0] * 4, [1, 2, 3, 4], [5, 6, 7, 8], [0] * 4])
    np.testing.assert_array_equal(resize_image(image, 4, letterbox=True), expected)
    np.testing.assert_array_equal(resize_image(image.T, 4, letterbox=True), expected.T)
    # 3 rows in 4 leave one: above 0, below 1.
    assert (resize_image(np.full((3, 4), 9, np.uint8), 4, letterbox=True)[:3] == 9).all()
    with pytest.raises(ValueError, match="0 and 1"):
        resize_mask(np.full((4, 4), 255, np.uint8), 2)


@settings(max_examples=80, deadline=None)
@given(sizes, sizes, st.sampled_from([32, 64]))
def test_image_and_mask_fill_the_same_pixels_in_proportion(height, width, size):
    image = resize_image(np.full((height, width), 255, np.uint8), size, letterbox=True)
    mask = resize_mask(np.ones((height, width), bool), size, letterbox=True)
    np.testing.assert_array_equal(image, 255 * mask)
    rows, columns = mask.any(axis=1).sum(), mask.any(axis=0).sum()
    assert mask.sum() == rows * columns and max(rows, columns) == size
    for side, filled in ((height, rows), (width, columns)):
        assert filled == 1 or abs(filled - side * size / max(height, width)) <= 0.5


@settings(max_examples=60, deadline=None)
@given(st.integers(8, 90), st.integers(8, 90), st.integers(0, 10**6), st.booleans())
def test_a_mask_resized_and_back_is_where_it_was(height, width, seed, letterbox):
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), bool)
    top, left = rng.integers(0, height // 2), rng.integers(0, width // 2)
    mask[top : top + 1 + height // 2, left : left + 1 + width // 2] = True
    square = resize_mask(mask, 256, letterbox)
    back = resize_back(square.astype(np.float32), (height, width), letterbox) >= 0.5
    wrong = back != mask  # at most the rim of the rectangle
    rim = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    assert not (wrong & (rim == 0)).any()


def test_clahe_is_opencvs_on_the_image_without_its_borders():
    image = np.random.default_rng(0).integers(90, 130, (64, 128), dtype=np.uint8)
    expected = cv2.createCLAHE(2.0, (8, 8)).apply(image)
    assert expected.std() > 1.3 * image.std()
    square = resize_image(image, 128, clahe=True, letterbox=True)
    np.testing.assert_array_equal(square[32:96], expected)
    assert not square[:32].any() and not square[96:].any()
    np.testing.assert_array_equal(resize_image(image[:, :64], 64), image[:, :64])  # off by default
