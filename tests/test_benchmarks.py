"""What the benchmark counts and divides, and that its contenders do what they say. No speeds."""

import os
from functools import partial

import keras
import numpy as np
import pytest
from benchmarks import images, networks
from benchmarks.table import Row, readable, table
from benchmarks.turns import Measured, Work, take_turns

from pneumo_keras.models.deeplabv3 import deeplab_v3

pytestmark = pytest.mark.slow  # builds large networks, starts processes


def test_vgg16_takes_the_operations_it_is_known_for():
    """15,346,630,656 multiplications and as many additions in its convolutions at 224x224."""
    vgg16 = keras.applications.VGG16(include_top=False, weights=None, input_shape=(224, 224, 3))
    assert networks.operations(vgg16)[0] == 2 * 15_346_630_656


def test_a_step_takes_three_times_as_many_less_the_gradient_by_the_image():
    image = keras.Input((8, 8, 1))
    inner = keras.Sequential([keras.layers.Conv2D(2, 5), keras.layers.Conv2D(3, 3)])
    model = keras.Model(image, keras.layers.Conv2D(7, 1)(inner(image)))
    first, second, third = 2 * 25 * 1 * 2 * 16, 2 * 9 * 2 * 3 * 4, 2 * 3 * 7 * 4
    forward, step = networks.operations(model)
    assert forward == first + second + third and step == 2 * first + 3 * second + 3 * third


def test_taps_that_meet_only_padding_are_not_counted():
    """On 16x16 features a rate of 18 leaves the centre, and of 12 a quarter in each direction of
    both others: 1 + 2 / 4 of three taps, squared."""
    rates = (12, 15, 18)
    counts = [networks.operations(deeplab_v3(256, atrous_rates=(rate,)))[0] for rate in rates]
    one_tap = 2 * 2048 * 256 * 16 * 16
    assert counts[0] - counts[2] == (1.5**2 - 1) * one_tap
    assert counts[1] - counts[2] == ((1 + 2 / 16) ** 2 - 1) * one_tap


def test_rows_hold_medians_and_spreads_of_ratios_within_a_round():
    ours = Measured({"read": [1.0, 2.0, 4.0]}, {"read": 8}, {"read": 4e9}, 1.5)
    other = Measured({"scan": [3.0, 1.0, 8.0]}, {"scan": 4}, {"scan": 8e9}, 2.0)
    row = Row("reading", "ours", "read", ("other", "scan"), 5.0, ("other", "scan"), 0.5)
    line = table([row], {"ours": ours, "other": other}).iloc[0]
    assert line["images_per_second"] == 8 / 2 and line["gflop_per_second"] == 2
    # An image of the other takes 3/4, 1/4 and 2 seconds, of ours 1/8, 1/4 and 1/2.
    assert line[["times_as_fast", "lowest", "highest"]].tolist() == [4, 1, 6]
    # Rates of 4, 2 and 1 GFLOP/s, where the limit was 8/3, 8 and 1.
    assert line[["share", "share_lowest", "share_highest"]].tolist() == [1, 0.25, 1.5]
    shown = readable(table([row], {"ours": ours, "other": other})).iloc[0]
    assert shown["Times as fast"] == "4.00 [1.00, 6.00]"
    assert shown["Target"] == "share 0.5: met; 5 times: missed"
    rows = [Row("reading", "ours", "read", ("other", "scan"), 5.0), Row("scan", "other", "scan")]
    shown = readable(table(rows, {"ours": ours, "other": Measured(absent="no module")}))
    assert shown["Times as fast"].tolist() == ["", ""] and shown["Target"].tolist() == ["", ""]
    assert all("no module" in cell for cell in shown["Beside"])


def noting(path, name):
    def note():
        with open(path, "a") as file:
            file.write(f"{name} {os.getpid()}\n")

    return {"note": Work(note, 1)}


def not_installed():
    raise ModuleNotFoundError("No module named 'another'", name="another")


def failing():
    raise ValueError("broken")


def test_contenders_take_turns_in_processes_of_their_own(tmp_path):
    path = tmp_path / "turns"
    contenders = {name: partial(noting, path, name) for name in "ab"} | {"absent": not_installed}
    measured = take_turns(contenders, 3, "turns")
    names, processes = zip(*(line.split() for line in path.read_text().splitlines()), strict=True)
    assert sorted(names[:2]) == ["a", "b"] and "".join(names[2:]) == "ababab"
    assert len({*processes, str(os.getpid())}) == 3
    assert [len(measured[name].seconds["note"]) for name in "ab"] == [3, 3]
    assert os.name == "nt" or measured["a"].peak_memory_gb > 0
    assert measured["absent"].absent == "No module named 'another'"
    with pytest.raises(ValueError, match="broken"):
        take_turns({"failing": failing}, 1, "turns")


def test_argmax_and_scatter_make_the_same_network():
    """The reference has SegNet's own outputs, so that only the way there differs."""
    keras.utils.set_random_seed(0)
    batch, _ = networks.random_batch(32)
    ours = networks.paper_network("segnet", 32)
    theirs = networks.with_argmax(ours)
    theirs.set_weights(ours.get_weights())
    assert not any("MaxPoolingWithIndices2D" in type(layer).__name__ for layer in theirs.layers)
    expected = ours.predict_on_batch(batch)
    np.testing.assert_allclose(theirs.predict_on_batch(batch), expected, rtol=1e-3, atol=1e-5)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    images.draw(folder, 8)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("way", [images.ours, images.labelme, images.opencv, images.libraries])
def test_works_on_images_leave_nothing_behind(way, drawn, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for work in way(drawn).values():
        work.do()
        assert work.images == 8
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


@pytest.mark.slow
def test_masks_are_those_of_labelme(drawn):
    """Ours and labelme's work end in the same pixels, polylines of the phantoms included."""
    files = sorted((drawn / "images").glob("*.json"))
    masks = [images.mask_of(path) for path in files]
    assert len(files) == 8 and sum(mask.any() for mask in masks) > 2
    for path, mask in zip(files, masks, strict=True):
        assert np.array_equal(images.labelme_mask_of(path) > 0, mask)
