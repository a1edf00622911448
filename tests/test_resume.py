"""Trainings that are killed and continue, and what is refused instead of lost."""

import json
import multiprocessing
import os
import signal
import sys
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_training import ARRAYS, SPLIT, eagerly, small_network, train_small
from test_training import STILL, files_of

from pneumo_keras import files
from pneumo_keras.dataset.arrays import Arrays
from pneumo_keras.errors import StudyError
from pneumo_keras.runs import read_history, read_run
from pneumo_keras.training import build, callbacks
from pneumo_keras.training.callbacks import BEST, CHECKPOINT, EpochLine, read_progress

pytestmark = pytest.mark.slow  # trains, if only tiny networks

# Everything that has a state: moments, iteration, schedule, dropout, augmentation. Its validation
# Dice improves in the third and in the fifth epoch.
EVENTFUL = {"optimizer": "adamw", "learning_rate": 0.03, "schedule": "cosine", "clip_norm": 1.0}
EVENTFUL |= {"weight_decay": 0.01, "dropout": 0.1, "augment": True, "loss": "crossentropy_dice"}
EVENTFUL |= {"epochs": 6, "frozen_epochs": 2, "frozen_learning_rate": 0.1, "batch_size": 2}
EVENTFUL |= {"deterministic": True}


def marking_network(*arguments):
    """The small network, marking every pixel at first."""
    model = small_network(*arguments)
    model.get_layer("head").bias.assign([4.0])
    return model


def use_marking_network(set_attribute):
    set_attribute(build, "build_network", marking_network)
    set_attribute(build, "initial_weights", lambda *_: "small.weights.h5")


# === Killed in a process of its own ===


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The folder of a training that was not killed, in a process of its own like the others.

    The server that forks them is started here and imports this file once for all of them.
    """
    if sys.platform == "win32":
        pytest.skip("neither SIGKILL nor a server that forks")
    folder = tmp_path_factory.mktemp("uninterrupted") / "net"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        assert in_a_process(folder, resume=False) == 0
    return folder


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at_epoch(epoch, batch=None):
    """Kill the process after a batch of an epoch, or after the line of the epoch."""

    class KilledAt(EpochLine):
        def on_epoch_begin(self, number, logs=None):
            super().on_epoch_begin(number, logs)
            self.epoch = number

        def on_train_batch_end(self, number, logs=None):
            if (self.epoch, number) == (epoch, batch):
                kill()

        def on_epoch_end(self, number, logs=None):
            super().on_epoch_end(number, logs)
            if (number, None) == (epoch, batch):
                kill()

    callbacks.EpochLine = KilledAt


def kill_at_file(name, whole, count=1):
    """Kill the process when it writes a file for the nth time: half of it, or just done."""
    rename, seen = os.rename, []

    def killing(source, target):
        if os.path.basename(target) == name:
            seen.append(target)
        if whole or len(seen) < count:
            rename(source, target)
        elif os.path.isfile(source):
            os.truncate(source, os.path.getsize(source) // 2)
        if len(seen) == count:
            kill()

    os.replace = os.rename = killing


def work(folder, resume, moment, arguments):
    use_marking_network(setattr)
    if moment:
        moment(*arguments)
    with eagerly():
        train_small(folder, resume, **EVENTFUL)


def in_a_process(folder, moment=None, *arguments, resume=True):
    """Train in a process that has imported TensorFlow, not used it; return how it ended."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["test_resume"])
    process = context.Process(target=work, args=(folder, resume, moment, arguments))
    process.start()
    process.join(120)
    return process.exitcode


def variables(path):
    model = keras.models.load_model(path)
    optimizer = model.optimizer.variables if path.name == CHECKPOINT else []
    return [np.asarray(value) for value in (*model.weights, *optimizer)]


def assert_same_bits(folder, other):
    for name in (BEST, CHECKPOINT):
        one, two = variables(folder / name), variables(other / name)
        assert len(one) == len(two) >= 9
        for first, second in zip(one, two, strict=True):
            assert first.dtype == second.dtype and first.tobytes() == second.tobytes()
    assert (folder / "history.csv").read_bytes() == (other / "history.csv").read_bytes()
    differs = {"seconds": 0, "peak_memory_gb": 0}
    assert read_run(folder) | differs == read_run(other) | differs


def epochs_in(path):
    if not path.exists():
        return 0
    with zipfile.ZipFile(path) as archive:
        return len(json.loads(archive.read(callbacks.STATE))["progress"]["history"])


def test_a_training_killed_again_and_again_ends_like_one_that_was_not(uninterrupted, tmp_path):
    folder, partial = tmp_path / "net", tmp_path / "net.training"
    folder.mkdir()
    (folder / "run.json").write_text('{"of": "an earlier training"}')
    for epochs, moment, *arguments in [
        (0, kill_at_epoch, 0, 0),  # before there is anything to continue
        (1, kill_at_epoch, 0),  # after the line of the first epoch, which is frozen
        (1, kill_at_file, CHECKPOINT, False),  # half of the second's checkpoint written
        (2, kill_at_file, CHECKPOINT, True),  # the checkpoint written, the history not yet
        (2, kill_at_epoch, 2, 1),  # amid the first epoch that is not frozen
        (4, kill_at_file, "history.csv", False, 3),
        (5, kill_at_file, BEST, True),
        (6, kill_at_file, CHECKPOINT, True),
        (6, kill_at_file, BEST, False),  # half of the model without its optimizer written
        (6, kill_at_file, "run.json", True),
        (6, kill_at_file, "net", False),  # the earlier results moved away, the new ones not there
    ]:
        assert in_a_process(folder, moment, *arguments) == -signal.SIGKILL, (moment, arguments)
        kept = folder if folder.exists() else folder.with_name("net.old")
        assert (kept / "run.json").read_text() == '{"of": "an earlier training"}'
        assert epochs_in(partial / CHECKPOINT) == epochs, (moment, arguments)
    assert in_a_process(folder) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["net"]
    assert {path.name for path in folder.iterdir()} == {p.name for p in uninterrupted.iterdir()}
    assert_same_bits(folder, uninterrupted)
    dice = read_history(folder)["val_dice"]
    assert (dice.cummax().diff() > 0).tolist() == [False, False, True, False, True, False]


def test_two_deterministic_runs_agree_bit_for_bit(uninterrupted, tmp_path):
    assert in_a_process(tmp_path / "net", resume=False) == 0
    assert_same_bits(tmp_path / "net", uninterrupted)


# === Stopped by an error, in this process ===


@pytest.fixture(autouse=True)
def small(monkeypatch):
    use_marking_network(monkeypatch.setattr)
    with eagerly():
        yield


class Stop(Exception):
    pass


def stop_after(done, folder, **changes):
    """A training that an error stops when so many epochs are done; its unfinished folder."""

    class Stopping(EpochLine):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == done - 1:
                raise Stop

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stop):
        patch.setattr(callbacks, "EpochLine", Stopping)
        train_small(folder, **changes)
    return folder.with_name(f"{folder.name}.training")


@pytest.mark.parametrize("linked", [True, False])
def test_the_checkpoint_is_a_model_and_the_best_one_a_link_to_it(tmp_path, monkeypatch, linked):
    def no_links(*_):
        raise OSError("not on this file system")

    if not linked:
        monkeypatch.setattr(callbacks.os, "link", no_links)
    partial = stop_after(1, tmp_path / "net")
    best, last = partial / BEST, partial / CHECKPOINT
    assert best.samefile(last) == linked and best.read_bytes() == last.read_bytes()
    model = keras.models.load_model(last)
    assert model.compiled and int(model.optimizer.iterations) == 2
    names = {path.name for path in partial.iterdir()}
    assert names == {BEST, CHECKPOINT, "history.csv", "tensorboard"}


@pytest.mark.parametrize(
    ("stopped", "changes", "epochs"),
    [
        (3, {"frozen_epochs": 1, **STILL}, 4),  # patience counts on
        (3, STILL, 3),  # it had run out
        (1, {"epochs": 5, "learning_rate": 1e38}, 1),  # diverged
    ],
)
def test_patience_and_divergence_are_remembered(tmp_path, stopped, changes, epochs):
    stop_after(stopped, tmp_path / "net", **changes)
    run = train_small(tmp_path / "net", True, **changes)
    assert run["epochs_run"] == epochs and run["best_epoch"] == 1
    assert run["diverged"] == (changes["epochs"] == 5)


def test_resume_keeps_what_is_finished_and_trains_what_is_not_begun(tmp_path, capsys):
    folder = tmp_path / "net"
    first = train_small(folder, True, epochs=1)
    before = files_of(tmp_path)
    capsys.readouterr()
    assert train_small(folder, True, epochs=1) == first and files_of(tmp_path) == before
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert train_small(folder, True, epochs=2)["epochs_run"] == 2  # another recipe
    stop_after(1, folder, learning_rate=0.1)
    run = train_small(folder, learning_rate=1e-30)  # anew, without resume
    assert run["epochs_run"] == 2 and run["recipe"]["learning_rate"] == 1e-30


# === Refused ===


@pytest.fixture
def stopped(tmp_path):
    """The folder of a training stopped after its first epoch, beside earlier results."""
    folder = tmp_path / "models" / "net"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("of an earlier training")
    return stop_after(1, folder)


def assert_refused(stopped, match, **changes):
    """Resuming is refused in a line that says what to do, and nothing changes."""
    before = files_of(stopped.parent)
    with pytest.raises(StudyError, match=match) as error:
        train_small(stopped.with_name("net"), True, **changes)
    said = str(error.value)
    assert "\n" not in said and str(stopped / CHECKPOINT) in said and f"delete {stopped} " in said
    assert files_of(stopped.parent) == before


def test_a_checkpoint_of_another_training_is_refused(stopped):
    assert_refused(stopped, "of other recipe: ", learning_rate=0.5)
    assert_refused(stopped, "of other network: ", network="segnet")
    moved = SPLIT.copy()
    moved.iloc[[0, 15]] = ["test", "train"]
    assert_refused(stopped, "of other images or split: ", split=moved)
    images = ARRAYS.images.copy()
    images[3, 3, 3] += 1
    changed = Arrays(images, ARRAYS.masks, ARRAYS.index)
    assert_refused(stopped, "images or split", arrays=changed)


def test_a_checkpoint_of_other_initial_weights_or_layers_is_refused(stopped, monkeypatch):
    def wider(network, recipe, weights):
        image = keras.Input((32, 32, 1))
        return keras.Model(image, keras.layers.Conv2D(1, 3, padding="same")(image))

    with monkeypatch.context() as patch:
        patch.setattr(build, "build_network", wider)
        assert_refused(stopped, "of another network: ")
    monkeypatch.setattr(build, "initial_weights", lambda *_: None)
    assert_refused(stopped, "of other weights: ")


def test_a_damaged_checkpoint_is_refused_or_whole(stopped):
    """Cut anywhere or with any byte changed, it is refused; else it holds what was written."""
    path = stopped / CHECKPOINT
    whole, weights = path.read_bytes(), variables(path)
    with zipfile.ZipFile(path) as archive:
        identity = json.loads(archive.read(callbacks.STATE))["identity"]
    progress = read_progress(path, identity)
    damaged, accepted = path.with_name("damaged.keras"), 0
    for place in range(0, len(whole), 311):
        damaged.write_bytes(whole[:place])
        with pytest.raises(StudyError, match="cannot be read"):
            read_progress(damaged, identity)
        damaged.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            assert read_progress(damaged, identity) == progress
        except StudyError:
            continue
        accepted += 1
        model = keras.models.load_model(damaged)
        assert all(map(np.array_equal, model.weights, weights))
    assert accepted < 20
    path.write_bytes(b"not an archive")
    assert_refused(stopped, "cannot be read")


# === Nowhere to write ===


def test_a_full_disk_ends_a_training_in_a_line_and_it_continues_later(stopped, monkeypatch):
    folder = stopped.with_name("net")
    kept = {CHECKPOINT: 1, "history.csv": 1, BEST: 1, "run.json": 2}
    for full, epochs in kept.items():

        def replace(source, target, full=full):
            if os.path.basename(target) == full:
                raise OSError(28, "No space left on device")
            os.rename(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(files.os, "replace", replace)
            with pytest.raises(StudyError, match=f"{full} cannot be written .No space left"):
                train_small(folder, True)
        assert (folder / "run.json").read_text() == "of an earlier training"
        assert not [path for path in stopped.rglob("*") if "partial" in path.name]
        assert epochs_in(stopped / CHECKPOINT) == epochs
    assert train_small(folder, True)["epochs_run"] == 2


def test_a_full_disk_reported_by_tensorboard_is_reported_alike(stopped, monkeypatch):
    class Full(EpochLine):
        def on_epoch_end(self, epoch, logs=None):
            raise tf.errors.ResourceExhaustedError(None, None, f"events; {self.reason}")

    monkeypatch.setattr(callbacks, "EpochLine", Full)
    Full.reason = "No space left on device"
    with pytest.raises(StudyError, match="net.training cannot be written .No space left"):
        train_small(stopped.with_name("net"), True)
    Full.reason = "OOM when allocating tensor"  # memory is another matter
    with pytest.raises(tf.errors.ResourceExhaustedError):
        train_small(stopped.with_name("net"))


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "models").write_text("a file")
    with pytest.raises(StudyError, match=r"net.* cannot be written \(Not a directory\)"):
        train_small(tmp_path / "models" / "net")
    (tmp_path / "net.training").write_text("a file")
    with pytest.raises(StudyError, match=r"net.training cannot be written \(File exists\)"):
        train_small(tmp_path / "net")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["models", "net.training"]
