"""Resizing, the arrays on disk, augmentation, and batches."""

import json
import os
import re
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as numpy_arrays

from pneumo_keras.dataset import files
from pneumo_keras.dataset.arrays import Arrays, load_arrays, resize_film, resize_mask, write_arrays
from pneumo_keras.dataset.augmentation import augment
from pneumo_keras.dataset.files import write_csv, write_json, written_whole
from pneumo_keras.dataset.films import write_png
from pneumo_keras.dataset.labelme import Shape, write_annotation
from pneumo_keras.dataset.masks import write_masks
from pneumo_keras.dataset.sources import find_films
from pneumo_keras.errors import StudyError
from pneumo_keras.training.batches import FilmDataset, evaluation_batches, training_batches
from pneumo_keras.training.loading import EvaluationSteps, TrainingSteps

# === Resizing ===


def test_films_shrink_by_the_mean_of_the_area():
    film = np.array([[0, 10, 200, 0], [20, 30, 0, 0], [7, 7, 1, 2], [7, 7, 3, 4]], np.uint8)
    # Means 15, 50, 7 and 2.5, which is rounded to either side.
    assert resize_film(film, 2).ravel().tolist()[:3] == [15, 50, 7]
    assert resize_film(film, 2)[1, 1] in (2, 3)


@settings(max_examples=30, deadline=None)
@given(numpy_arrays(np.uint8, (24, 36)), st.sampled_from([2, 3, 4, 6, 12]))
def test_shrinking_by_whole_numbers_is_the_mean_of_blocks(film, size):
    blocks = film.reshape(size, 24 // size, size, 36 // size).mean(axis=(1, 3))
    assert np.abs(resize_film(film, size) - blocks).max() <= 0.51


def test_enlarging_is_bilinear_and_keeps_flat_films_flat():
    assert (resize_film(np.full((3, 5), 77, np.uint8), 16) == 77).all()
    row = resize_film(np.array([[0, 100], [0, 100]], np.uint8), 4)[0]
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


def test_a_mask_of_other_values_is_refused():
    with pytest.raises(ValueError, match="0 and 1 only"):
        resize_mask(np.full((4, 4), 255, np.uint8), 2)


# === Arrays on disk ===


def box(left, top, right, bottom):
    return Shape("pneumonia", "rectangle", np.array([[left, top], [right, bottom]], float))


@pytest.fixture
def study(tmp_path):
    """Three films of different shapes, one without findings, one named like a missing value."""
    data = tmp_path / "data"
    random = np.random.default_rng(0)
    for name, height, width, shapes in (
        ("NA", 40, 60, [box(0, 0, 29, 39)]),
        ("007", 64, 64, []),
        ("wide", 32, 96, [box(0, 0, 95, 15)]),
    ):
        write_png(data / f"{name}.png", random.integers(0, 256, (height, width), dtype=np.uint8))
        write_annotation(data / f"{name}.json", f"{name}.png", shapes, height, width)
    report = write_masks(
        find_films(data), tmp_path / "masks", "pneumonia", ["pneumonia"], data=data, progress=False
    )
    return tmp_path, report.index


def test_arrays_hold_films_masks_and_index_in_one_order(study):
    folder, index = study
    arrays = write_arrays(index, folder / "data", folder / "masks", folder / "arrays", 32)
    assert arrays.films.shape == arrays.masks.shape == (3, 32, 32)
    assert arrays.films.dtype == arrays.masks.dtype == np.uint8
    assert set(np.unique(arrays.masks)) == {0, 1}
    marked = dict(zip(arrays.index["name"], arrays.masks, strict=True))
    assert set(marked) == {"NA", "007", "wide"}
    assert marked["NA"][:, :16].all() and not marked["NA"][:, 16:].any()  # its left half
    assert marked["wide"][:16].all() and not marked["wide"][16:].any()  # its upper half
    assert not marked["007"].any()
    again = load_arrays(folder / "arrays")
    np.testing.assert_array_equal(again.films, arrays.films)
    assert again.index["name"].tolist() == index["name"].tolist()
    assert again.index["patient"].tolist() == index["patient"].tolist()


def test_rows_of_a_part(study):
    folder, index = study
    arrays = write_arrays(index, folder / "data", folder / "masks", folder / "arrays", 32)
    split = pd.Series({"NA": "train", "007": "test", "wide": "train"})
    assert arrays.index["name"].iloc[arrays.rows(split, "train")].tolist() == [
        name for name in index["name"] if name != "007"
    ]
    assert arrays.index["name"].iloc[arrays.rows(split, "test")].tolist() == ["007"]
    assert len(arrays.rows(split, "validation")) == 0


def test_another_size_replaces_the_arrays_and_a_failure_leaves_them(study):
    folder, index = study
    places = folder / "data", folder / "masks", folder / "arrays"
    write_arrays(index, *places, 32)
    assert write_arrays(index, *places, 64).films.shape == (3, 64, 64)
    before = {path.name: path.read_bytes() for path in (folder / "arrays").iterdir()}
    (folder / "data" / "wide.png").write_bytes(b"")
    with pytest.raises(StudyError, match="wide.png is empty"):
        write_arrays(index, *places, 32)
    assert {path.name: path.read_bytes() for path in (folder / "arrays").iterdir()} == before


def test_a_film_of_another_size_than_its_mask_is_refused(study):
    folder, index = study
    write_png(folder / "data" / "wide.png", np.zeros((32, 90), np.uint8))
    with pytest.raises(StudyError, match="wide.png is 90x32 but its mask wide.png 96x32") as error:
        write_arrays(index, folder / "data", folder / "masks", folder / "arrays", 32)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("killed_at", ["films.npy", "masks.npy", "index.csv"])
def test_arrays_killed_while_they_are_replaced_are_never_mixed(study, monkeypatch, killed_at):
    """Old films never stand beside new masks, nor either beside another index."""
    folder, index = study
    places = (folder / "data", folder / "masks", folder / "arrays")
    write_arrays(index, *places, 32)

    def replace(source, target):
        if Path(target).name == killed_at:
            raise KeyboardInterrupt
        os.rename(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(files.os, "replace", replace)
        write_arrays(index, *places, 64)
    with pytest.raises(StudyError, match="arrays: its arrays were not finished, run notebook 02"):
        load_arrays(folder / "arrays")
    (folder / "arrays" / ".films.123.partial.npy").write_bytes(b"of a killed process")
    assert write_arrays(index, *places, 64).masks.shape == (3, 64, 64)
    names = {path.name for path in (folder / "arrays").iterdir()}
    assert names == {"films.npy", "masks.npy", "index.csv", "settings.json"}


def test_no_arrays_and_damaged_arrays_are_refused(study):
    folder, index = study
    with pytest.raises(StudyError, match="notebook 02") as error:
        load_arrays(folder / "nowhere")
    assert "\n" not in str(error.value)
    write_arrays(index, folder / "data", folder / "masks", folder / "arrays", 32)
    (folder / "arrays" / "masks.npy").write_bytes(b"no array")
    with pytest.raises(StudyError, match=re.escape(str(folder / "arrays"))):
        load_arrays(folder / "arrays")


# === Augmentation ===


def lesion(side=96):
    """An ellipse well inside the film."""
    rows, columns = np.indices((side, side))
    inside = ((rows - 0.45 * side) / 20) ** 2 + ((columns - 0.6 * side) / 12) ** 2 < 1
    return inside.astype(np.uint8)


@pytest.mark.parametrize("seed", range(12))
def test_the_mask_moves_with_the_film(seed):
    mask = lesion()
    film, moved = augment(255 * mask, mask, np.random.default_rng(seed))
    assert film.dtype == moved.dtype == np.uint8 and set(np.unique(moved)) == {0, 1}
    middle = (int(film.min()) + int(film.max())) / 2
    bright = film > middle
    overlap, union = (bright & (moved == 1)).sum(), (bright | (moved == 1)).sum()
    assert overlap / union > 0.93
    assert (moved != mask).any()


def test_moves_stay_within_their_limits():
    """Area by the square of the scale, centre by the shift and the turn about the film's centre."""
    mask = lesion()
    row, column = np.argwhere(mask).mean(axis=0)
    from_centre = np.hypot(row - 47.5, column - 47.5)
    reach = np.hypot(0.06, 0.06) * 96 + from_centre * (0.1 + np.deg2rad(10)) + 0.5
    moved = [augment(mask, mask, np.random.default_rng(seed))[1] for seed in range(60)]
    areas = np.array([one.sum() for one in moved]) / mask.sum()
    assert 0.9**2 - 0.05 < areas.min() < 0.9 and 1.1 < areas.max() < 1.1**2 + 0.05
    shifts = [np.linalg.norm(np.argwhere(one).mean(axis=0) - (row, column)) for one in moved]
    assert max(shifts) < reach and np.mean(shifts) > 2


def test_exposure_changes_but_never_the_order_of_greys():
    ramp = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None], 64, axis=0)
    flat = {}
    for grey in (0, 128, 255):
        film = np.full((16, 16), grey, np.uint8)
        flat[grey] = [
            int(augment(film, film * 0, np.random.default_rng(s))[0][0, 0]) for s in range(40)
        ]
    assert all(low < middle < high for low, middle, high in zip(*flat.values(), strict=True))
    assert len(set(flat[128])) > 20
    assert augment(ramp, ramp * 0, np.random.default_rng(0))[0].shape == ramp.shape


def test_a_seed_reproduces_and_another_differs():
    mask = lesion()
    film = (np.random.default_rng(0).random(mask.shape) * 255).astype(np.uint8)
    one, again, other = (augment(film, mask, np.random.default_rng(seed)) for seed in (5, 5, 6))
    for first, second in zip(one, again, strict=True):
        np.testing.assert_array_equal(first, second)
    assert (one[0] != other[0]).any() and (one[1] != other[1]).any()


# === Batches ===


def numbered(count=11, side=16):
    """Films whose grey is their row number, so that a batch tells what is in it."""
    films = np.repeat(np.arange(count, dtype=np.uint8), side * side).reshape(count, side, side)
    index = pd.DataFrame({"name": [str(number) for number in range(count)]})
    return Arrays(films, (films % 2).astype(np.uint8), index)


def numbers(batches):
    return [films.numpy()[:, 0, 0, 0].astype(int).tolist() for films, _ in batches]


ROWS = np.array([10, 2, 3, 4, 5, 6, 7, 8, 9])  # nine of eleven: two batches of four, one left over


def epochs_of(**changes):
    settings = {"batch_size": 4, "epochs": 5, "seed": 1, "augmented": False} | changes
    flat = numbers(training_batches(numbered(), ROWS, **settings))
    return [[*chain(*flat[start : start + 2])] for start in range(0, len(flat), 2)]


def test_every_epoch_has_each_film_at_most_once_in_an_order_of_its_own():
    epochs = epochs_of()
    assert len(epochs) == 5
    for epoch in epochs:
        assert len(epoch) == len(set(epoch)) == 8 and set(epoch) <= set(ROWS.tolist())
    assert len({tuple(epoch) for epoch in epochs}) == 5
    assert set(chain(*epochs)) == set(ROWS.tolist())  # the one left out is not always the same


def test_all_films_of_an_epoch_where_batches_are_full():
    flat = numbers(training_batches(numbered(), ROWS, 3, 2, 1, False))
    assert [len(batch) for batch in flat] == [3] * 6
    for epoch in (flat[:3], flat[3:]):
        assert sorted(chain(*epoch)) == sorted(ROWS.tolist())


def test_fewer_films_than_a_batch_are_one_batch():
    flat = numbers(training_batches(numbered(), ROWS[:3], 8, 2, 1, False))
    assert [sorted(batch) for batch in flat] == [[2, 3, 10]] * 2


def test_order_follows_the_seed():
    assert epochs_of() == epochs_of()
    assert epochs_of() != epochs_of(seed=2)


def test_films_come_with_their_own_masks_as_float32():
    for films, masks in training_batches(numbered(), ROWS, 4, 2, 1, False):
        assert films.shape == masks.shape == (4, 16, 16, 1)
        assert films.dtype == masks.dtype == np.float32
        np.testing.assert_array_equal(films.numpy() % 2, masks)


def test_augmentation_of_a_film_depends_on_seed_epoch_and_film_alone():
    arrays = numbered()
    arrays.films[:] = (np.random.default_rng(0).random(arrays.films.shape) * 255).astype(np.uint8)

    def varied(rows, batch_size):
        """By epoch and mean grey of the original."""
        return [
            films.numpy() for films, _ in training_batches(arrays, rows, batch_size, 2, 3, True)
        ]

    once, twice = varied(ROWS, 4), varied(ROWS, 4)
    for first, second in zip(once, twice, strict=True):
        np.testing.assert_array_equal(first, second)
    alone = varied(ROWS[:1], 1)
    assert (alone[0] != alone[1]).any()  # the same film, two epochs
    whole = varied(ROWS, 9)
    for epoch in (0, 1):
        assert any((film == alone[epoch][0]).all() for film in whole[epoch])


def test_batches_can_begin_with_a_later_epoch():
    whole = list(training_batches(numbered(), ROWS, 4, 5, 3, True))
    later = list(training_batches(numbered(), ROWS, 4, 5, 3, True, first=3))
    assert len(whole) == 5 * 2 and len(later) == 2 * 2
    for expected, batch in zip(whole[6:], later, strict=True):
        np.testing.assert_array_equal(expected, batch)


def test_evaluation_is_in_order_unvaried_and_complete():
    batches = evaluation_batches(numbered(), ROWS, 4)
    assert numbers(batches) == [[10, 2, 3, 4], [5, 6, 7, 8], [9]]
    for films, masks in batches:
        np.testing.assert_array_equal(films.numpy() % 2, masks)


def loaded(steps):
    return [films[:, 0, 0, 0].astype(int).tolist() for films, _ in steps]


@pytest.mark.parametrize("batch_size", [4, 3, 9])
def test_other_backends_get_the_same_batches_however_often_they_begin_anew(batch_size):
    steps = TrainingSteps(numbered(), ROWS, batch_size, 3, 1, False, first=1)
    dataset = FilmDataset(steps)
    assert dataset[0][0].shape == (batch_size, 16, 16, 1)  # Keras looks, then begins
    expected = numbers(training_batches(numbered(), ROWS, batch_size, 3, 1, False, first=1))
    assert loaded(dataset) == loaded(dataset) == expected
    whole = numbers(training_batches(numbered(), ROWS, batch_size, 3, 1, False))
    assert whole[len(whole) // 3 :] == expected  # without the first of three epochs


@given(st.integers(1, 4), st.integers(1, 3), st.data())
def test_devices_share_evaluation_without_losing_a_film_or_going_empty(parts, times, data):
    count = data.draw(st.integers(2 * parts, 30))
    films = numbered(count), np.arange(count), parts * times
    shared = loaded(EvaluationSteps(*films, parts=parts, own=tuple(range(parts))))
    assert [*chain(*shared)] == list(range(count))
    assert all(shared) and len({len(part) for part in shared[:parts]}) == 1
    for own in range(parts):
        assert loaded(EvaluationSteps(*films, parts=parts, own=(own,))) == shared[own::parts]
    first_small = loaded(EvaluationSteps(*films, smaller_first=True))
    assert [*chain(*first_small)] == list(range(count))
    assert {len(batch) for batch in first_small[1:]} <= {parts * times}


# === Files ===


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "table.csv"
    write_csv(path, pd.DataFrame({"a": [1]}))
    with pytest.raises(RuntimeError), written_whole(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "a\n1\n"
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]


@pytest.mark.parametrize("failing", ["mkdir", "open", "replace", "fsync"])
def test_whatever_fails_in_writing_is_told_in_one_line(tmp_path, monkeypatch, failing):
    path = tmp_path / "table.csv"
    write_csv(path, pd.DataFrame({"a": [1]}))

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    owner = {"mkdir": Path, "open": Path}.get(failing, files.os)
    monkeypatch.setattr(owner, {"open": "write_bytes"}.get(failing, failing), full)
    with pytest.raises(StudyError, match=r"table.csv cannot be written \(No space left"):
        write_csv(path, pd.DataFrame({"a": [2]}))
    assert path.read_text() == "a\n1\n"
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]


def test_a_file_is_flushed_to_the_disk_before_it_takes_its_name(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(files.os, "fsync", lambda descriptor: done.append("flushed"))
    replace = os.replace
    monkeypatch.setattr(files.os, "replace", lambda *p: (done.append("named"), replace(*p)))
    write_csv(tmp_path / "table.csv", pd.DataFrame({"a": [1]}))
    assert done == ["flushed", "named"]


def test_json_is_utf8_and_reads_back(tmp_path):
    content = {"file": "Röntgen.png", "dice": 0.5, "patience": None}
    write_json(tmp_path / "a" / "run.json", content)
    text = (tmp_path / "a" / "run.json").read_text("utf-8")
    assert json.loads(text) == content and "Röntgen" in text
