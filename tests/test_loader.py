"""Batches: order, augmentation, and how they are shared between devices."""

from itertools import chain

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pneumo_keras.dataset.arrays import Arrays
from pneumo_keras.dataset.loader import (
    Batches,
    evaluation_batches,
    evaluation_steps,
    training_batches,
    training_steps,
)

ROWS = np.array([10, 2, 3, 4, 5, 6, 7, 8, 9])  # nine of eleven: two batches of four, one left over


def numbered(count=11, side=16):
    """Images whose grey is their row number, so that a batch tells what is in it."""
    images = np.repeat(np.arange(count, dtype=np.uint8), side * side).reshape(count, side, side)
    return Arrays(images, images % 2, pd.DataFrame())


def rows_of(batches):
    return [np.asarray(images)[:, 0, 0, 0].astype(int).tolist() for images, _ in batches]


def epochs_of(seed):
    batches = rows_of(training_batches(numbered(), ROWS, 4, 5, seed, False))
    return [[*chain(*batches[start : start + 2])] for start in range(0, len(batches), 2)]


def test_every_epoch_has_each_image_at_most_once_in_an_order_of_its_own():
    epochs = epochs_of(1)
    for epoch in epochs:
        assert len(epoch) == len(set(epoch)) == 8 and set(epoch) <= set(ROWS.tolist())
    assert len({tuple(epoch) for epoch in epochs}) == 5
    assert set(chain(*epochs)) == set(ROWS.tolist())  # the one left out is not always the same
    assert epochs == epochs_of(1) != epochs_of(2)


@pytest.mark.parametrize(("rows", "batch_size"), [(ROWS, 3), (ROWS[:3], 8)])
def test_no_image_is_left_out_where_batches_are_full_or_larger_than_all(rows, batch_size):
    batches = rows_of(training_batches(numbered(), rows, batch_size, 2, 1, False))
    assert {len(batch) for batch in batches} == {3}
    for epoch in np.split(np.concatenate(batches), 2):
        assert sorted(epoch) == sorted(rows)


def test_images_come_with_their_own_masks_as_float32_and_in_order_for_evaluation():
    training = training_batches(numbered(), ROWS, 4, 2, 1, False)
    evaluation = evaluation_batches(numbered(), ROWS, 4)
    assert rows_of(evaluation) == [[10, 2, 3, 4], [5, 6, 7, 8], [9]]
    for images, masks in chain(training, evaluation):
        assert images.shape == masks.shape and images.shape[1:] == (16, 16, 1)
        assert images.dtype == masks.dtype == np.float32
        np.testing.assert_array_equal(images.numpy() % 2, masks)


def test_augmentation_depends_on_seed_epoch_and_image_alone():
    arrays = numbered()
    arrays.images[:] = np.random.default_rng(0).integers(0, 256, arrays.images.shape)

    def augmented(rows, batch_size):
        batches = training_batches(arrays, rows, batch_size, 2, 3, True)
        return [images.numpy() for images, _ in batches]

    for pair in zip(augmented(ROWS, 4), augmented(ROWS, 4), strict=True):
        np.testing.assert_array_equal(*pair)
    alone, whole = augmented(ROWS[:1], 1), augmented(ROWS, 9)
    assert (alone[0] != alone[1]).any()  # the same image, two epochs
    for epoch in (0, 1):
        assert any((image == alone[epoch][0]).all() for image in whole[epoch])


@pytest.mark.parametrize("batch_size", [4, 3, 9])
def test_batches_can_begin_later_and_anew_on_every_backend(batch_size):
    settings = (ROWS, batch_size, 3, 1, True)
    whole = rows_of(training_batches(numbered(), *settings))
    later = rows_of(training_batches(numbered(), *settings, first=1))
    assert later == whole[len(whole) // 3 :]
    batches = Batches(numbered(), training_steps(*settings, first=1))  # on JAX and torch
    assert batches[0][0].shape == (batch_size, 16, 16, 1)  # Keras looks, then begins
    assert rows_of(batches) == rows_of(batches) == later


def parts_of(steps, parts):
    """The parts of all devices, after checking that each device alone gets its own."""
    images = numbered(30)
    shared = rows_of(Batches(images, steps, parts, range(parts)))
    for own in range(parts):
        assert rows_of(Batches(images, steps, parts, (own,))) == shared[own::parts]
    return shared


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.data())
def test_devices_share_batches_without_losing_an_image_or_going_empty(parts, times, data):
    rows = np.arange(data.draw(st.integers(max(2, times) * parts, 30)))
    steps = training_steps(rows, parts * times, 2, 1, False)
    shared = parts_of(steps, parts)
    assert {len(part) for part in shared} == {times}
    assert [*chain(*shared)] == [row for batch, _ in steps for row in batch]
    shared = parts_of(evaluation_steps(rows, parts * times, parts), parts)
    assert all(shared) and len({len(part) for part in shared[:parts]}) == 1
    assert [*chain(*shared)] == rows.tolist()
    smaller_first = [step for step, _ in evaluation_steps(rows, parts * times, smaller_first=True)]
    assert np.concatenate(smaller_first).tolist() == rows.tolist()
    assert {len(batch) for batch in smaller_first[1:]} <= {parts * times}
