"""Trainings that are killed and go on, and what is refused instead of lost."""

import json
import multiprocessing
import os
import shutil
import signal
import sys
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_training import ARRAYS, SPLIT, eagerly, files_of, recipe, small_network

from pneumo_keras.dataset import files
from pneumo_keras.dataset.arrays import Arrays, fingerprint
from pneumo_keras.errors import StudyError
from pneumo_keras.training import fit, folders
from pneumo_keras.training.callbacks import EpochLine
from pneumo_keras.training.checkpoint import CHECKPOINT, read_checkpoint

pytestmark = pytest.mark.slow  # trains, if only tiny networks

# Everything that has a state: moments, iteration, schedule, dropout, augmentation. Its best epochs
# are the first, the fifth and the sixth.
EVENTFUL = {
    "segnet_loss": "crossentropy_dice",
    "optimizer": "adamw",
    "learning_rate": 0.1,
    "schedule": "cosine",
    "weight_decay": 0.01,
    "clip_norm": 1.0,
    "dropout": 0.1,
    "augment": True,
    "batch_size": 2,
    "frozen_epochs": 2,
    "frozen_learning_rate": 0.1,
    "epochs": 6,
    "deterministic": True,
}


def train(folder, resume=False, network="segnet", arrays=ARRAYS, split=SPLIT, **changes):
    return fit.train(network, recipe(**changes), arrays, split, folder, "square", resume)


def marking_network(network, recipe):
    """A network of two layers that marks everything at first."""
    built = small_network(network, recipe)
    built.model.get_layer("head").bias.assign([2.0])
    return built


# === Killed in a process of its own ===


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The folder of a training that was left alone, in a process of its own like the others.

    The server that forks them is started here and imports this file once for all of them.
    """
    if sys.platform == "win32":
        pytest.skip("neither SIGKILL nor a server that forks")
    folder = tmp_path_factory.mktemp("unbroken") / "segnet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        assert in_a_process(folder, resume=False) == 0
    return folder


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


class KilledAt(EpochLine):
    """Kills the process after a batch of an epoch, or after the line of the epoch."""

    def __init__(self, epochs, epoch, batch=None):
        super().__init__(epochs)
        self.moment = (epoch, batch)
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.moment:
            kill()

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        if (epoch, None) == self.moment:
            kill()


def kill_at_epoch(epoch, batch=None):
    fit.EpochLine = lambda epochs: KilledAt(epochs, epoch, batch)


def kill_at_file(name, whole, count=1):
    """Kills the process when it writes a file for the nth time: half of it, or just done."""
    seen = []

    def replace(source, target):
        if os.path.basename(target) == name:
            seen.append(target)
        if len(seen) == count:
            if not whole:
                os.truncate(source, os.path.getsize(source) // 2)
                kill()
            os.rename(source, target)
            kill()
        os.rename(source, target)

    files.os.replace = replace


def kill_between_renames():
    folders.take_back = lambda folder: None
    rename = folders.Path.rename

    def killing(self, target):
        if self.name.endswith(".training"):
            kill()
        return rename(self, target)

    folders.Path.rename = killing


def work(folder, resume, moment, arguments):
    fit.build_network = marking_network
    if moment:
        moment(*arguments)
    with eagerly():
        train(folder, resume, **EVENTFUL)


def in_a_process(folder, moment=None, *arguments, resume=True):
    """Trains in a process that has imported TensorFlow, not used it; how it ended."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["test_resume"])
    process = context.Process(target=work, args=(folder, resume, moment, arguments))
    process.start()
    process.join(120)
    return process.exitcode


def weights(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
    model = keras.models.load_model(path)
    return [np.asarray(value) for value in (*model.weights, *model.optimizer.variables)]


def assert_same_bits(folder, other):
    for name in ("best.keras", "last.keras"):
        one, two = weights(folder / name), weights(other / name)
        assert len(one) == len(two) > 10
        for first, second in zip(one, two, strict=True):
            assert first.dtype == second.dtype and first.tobytes() == second.tobytes()
    assert (folder / "history.csv").read_bytes() == (other / "history.csv").read_bytes()
    one, two = fit.load_run(folder), fit.load_run(other)
    differs = {"seconds", "peak_memory_gb"}
    assert {k: v for k, v in one.items() if k not in differs} == {
        k: v for k, v in two.items() if k not in differs
    }


def test_a_training_killed_again_and_again_ends_as_one_that_was_not(unbroken, tmp_path):
    folder = tmp_path / "segnet"
    folder.mkdir()
    (folder / "run.json").write_text('{"of": "an earlier training"}')
    partial = folders.partial_folder(folder)
    for epochs, moment, *arguments in [
        (0, kill_at_epoch, 0, 0),  # before there is anything to go on from
        (1, kill_at_epoch, 0),  # after the line of the first epoch, which is frozen
        (1, kill_at_file, CHECKPOINT, False),  # half of the second's checkpoint written
        (2, kill_at_file, CHECKPOINT, True),  # the checkpoint written, the history not yet
        (2, kill_at_epoch, 2, 1),  # amid the first epoch that is not frozen
        (4, kill_at_file, "history.csv", False, 3),
        (5, kill_at_file, "best.keras", False),
        (6, kill_at_file, CHECKPOINT, True),
        (6, kill_at_file, "run.json", True),
        (6, kill_between_renames),
    ]:
        assert in_a_process(folder, moment, *arguments) == -signal.SIGKILL, (moment, arguments)
        kept = folder if folder.exists() else folder.with_name("segnet.old")
        assert (kept / "run.json").read_text() == '{"of": "an earlier training"}'
        assert epochs_in(partial / CHECKPOINT) == epochs, (moment, arguments)
    assert in_a_process(folder) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["segnet"]
    assert {path.name for path in folder.iterdir()} == {path.name for path in unbroken.iterdir()}
    assert_same_bits(folder, unbroken)
    dice = fit.load_history(folder)["val_dice"]
    assert (dice.cummax().diff() > 0).tolist() == [False] * 4 + [True] * 2  # as meant above


def epochs_in(path):
    if not path.exists():
        return 0
    with np.load(path) as content:
        return len(json.loads(content["state"].tobytes())["progress"]["history"])


def test_two_deterministic_runs_agree_bit_for_bit(unbroken, tmp_path):
    assert in_a_process(tmp_path / "segnet", resume=False) == 0
    assert_same_bits(tmp_path / "segnet", unbroken)


# === Stopped by an error, in this process ===


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(fit, "build_network", marking_network)
    with eagerly():
        yield


class Stop(Exception):
    pass


def stop_after(monkeypatch, done, folder, **changes):
    """A training that an error stops when so many epochs are done."""

    class Stopping(EpochLine):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == done - 1:
                raise Stop

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(fit, "EpochLine", Stopping)
        train(folder, **changes)
    return folders.partial_folder(folder)


def test_patience_counts_on(monkeypatch, tmp_path):
    """At this rate nothing moves: patience ends with the fourth epoch, stopped or not."""
    still = {"learning_rate": 1e-30, "frozen_learning_rate": 1e-30, "epochs": 9, "patience": 2}
    stop_after(monkeypatch, 3, tmp_path / "segnet", frozen_epochs=1, **still)
    run = train(tmp_path / "segnet", True, frozen_epochs=1, **still)
    assert run["epochs_run"] == 4 and run["best_epoch"] == 1


def test_patience_that_has_run_out_is_remembered(monkeypatch, tmp_path):
    still = {"learning_rate": 1e-30, "epochs": 9, "patience": 1}
    stop_after(monkeypatch, 2, tmp_path / "segnet", **still)
    assert train(tmp_path / "segnet", True, **still)["epochs_run"] == 2


def test_divergence_is_remembered(monkeypatch, tmp_path):
    stop_after(monkeypatch, 1, tmp_path / "segnet", epochs=5, learning_rate=1e38)
    run = train(tmp_path / "segnet", True, epochs=5, learning_rate=1e38)
    assert run["diverged"] and run["epochs_run"] == 1


def test_without_resume_a_training_begins_anew(monkeypatch, tmp_path):
    stop_after(monkeypatch, 1, tmp_path / "segnet", epochs=2, learning_rate=0.1)
    run = train(tmp_path / "segnet", epochs=2, learning_rate=1e-30)
    assert run["epochs_run"] == 2 and run["recipe"]["learning_rate"] == 1e-30


def test_resume_keeps_what_is_finished_and_trains_what_is_not_begun(tmp_path, capsys):
    first = train(tmp_path / "segnet", True, epochs=1)
    before = files_of(tmp_path)
    assert train(tmp_path / "segnet", True, epochs=1) == first
    assert files_of(tmp_path) == before
    assert "SegNet: trained already, kept" in capsys.readouterr().out
    assert train(tmp_path / "segnet", True, epochs=2)["epochs_run"] == 2  # another recipe


# === Refused ===


@pytest.fixture(scope="module")
def stopped_once(tmp_path_factory):
    """Models' folder of a training stopped after its first epoch, and an earlier one's results."""
    folder = tmp_path_factory.mktemp("stopped") / "segnet"
    folder.mkdir()
    (folder / "run.json").write_text("of an earlier training")
    with pytest.MonkeyPatch.context() as patch, eagerly():
        patch.setattr(fit, "build_network", marking_network)
        stop_after(patch, 1, folder)
    return folder.parent


@pytest.fixture
def stopped(stopped_once, tmp_path):
    """The unfinished training's folder in a copy of them."""
    return shutil.copytree(stopped_once, tmp_path / "models") / "segnet.training"


def refused(stopped, match, **changes):
    """Asserts that resuming is refused in a line that says what to do, and that nothing changes."""
    before = files_of(stopped.parent)
    with pytest.raises(StudyError, match=match) as error:
        train(stopped.with_name("segnet"), True, **changes)
    assert "\n" not in str(error.value) and str(stopped / CHECKPOINT) in str(error.value)
    assert f"delete {stopped} to train from the start" in str(error.value)
    assert files_of(stopped.parent) == before


def test_a_checkpoint_of_another_training_is_refused(stopped):
    refused(stopped, "is of other recipe: ", learning_rate=0.5)
    refused(stopped, "is of other network: ", network="deeplabv3")
    moved = SPLIT.copy()
    moved.iloc[[0, 15]] = ["test", "train"]
    refused(stopped, "is of other films or split: ", split=moved)
    films = ARRAYS.films.copy()
    films[3, 3, 3] += 1
    refused(stopped, "films or split", arrays=Arrays(films, ARRAYS.masks, ARRAYS.index))


def test_a_checkpoint_of_other_initial_weights_or_shapes_is_refused(stopped, monkeypatch):
    def wider(network, recipe):
        film = keras.Input((32, 32, 1))
        out = keras.layers.Conv2D(1, 3, padding="same")(film)
        return fit.Network(keras.Model(film, out), (), "file small.weights.h5")

    monkeypatch.setattr(fit, "build_network", wider)
    refused(stopped, "is of another network: ")
    monkeypatch.setattr(
        fit, "build_network", lambda *given: fit.Network(small_network(*given).model, (), "random")
    )
    refused(stopped, "is of other weights: ")


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_checkpoint_is_refused(stopped, content):
    (stopped / CHECKPOINT).write_bytes(content)
    refused(stopped, "cannot be read")


def test_a_damaged_checkpoint_is_refused_or_whole(stopped):
    """Cut anywhere or with any byte changed, it is refused; else it holds what was written."""
    path = stopped / CHECKPOINT
    whole = path.read_bytes()
    identity = json.loads(np.load(path)["state"].tobytes())["identity"]
    reference = read_checkpoint(path, identity)
    for place in range(0, len(whole), 211):
        path.write_bytes(whole[:place])
        with pytest.raises(StudyError, match="cannot be read"):
            read_checkpoint(path, identity)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            read = read_checkpoint(path, identity)
        except StudyError:
            continue
        assert read.progress == reference.progress
        for one, two in ((read.model, reference.model), (read.optimizer, reference.optimizer)):
            assert all(map(np.array_equal, one, two)) and len(one) == len(two)


def test_a_pickle_in_a_checkpoint_is_never_opened(stopped):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(stopped / "hostile"),)

    with np.load(stopped / CHECKPOINT) as content:
        values = dict(content)
    values["model_0"] = np.array([Hostile()], object)
    np.savez(stopped / CHECKPOINT, **values)
    refused(stopped, "cannot be read .*allow_pickle=False")
    assert not (stopped / "hostile").exists()


# === Nowhere to write ===


def test_a_full_disk_ends_a_training_in_a_line_and_it_goes_on_later(stopped, monkeypatch):
    folder = stopped.with_name("segnet")
    kept = {CHECKPOINT: 1, "history.csv": 1, "best.keras": 1, "last.keras": 2, "run.json": 2}
    for full, epochs in kept.items():

        def replace(source, target, full=full):
            if os.path.basename(target) == full:
                raise OSError(28, "No space left on device")
            os.rename(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(files.os, "replace", replace)
            with pytest.raises(
                StudyError, match=f"{full} cannot be written .No space left.*: free the disk"
            ):
                train(folder, True)
        assert (folder / "run.json").read_text() == "of an earlier training"
        assert not [path for path in stopped.rglob("*") if "partial" in path.name]
        assert epochs_in(stopped / CHECKPOINT) == epochs
    assert train(folder, True)["epochs_run"] == 2


def test_a_full_disk_told_by_tensorboard_is_told_alike(stopped, monkeypatch):
    class Full(EpochLine):
        def on_epoch_end(self, epoch, logs=None):
            raise tf.errors.ResourceExhaustedError(None, None, f"events; {self.reason}")

    monkeypatch.setattr(fit, "EpochLine", Full)
    Full.reason = "No space left on device"
    with pytest.raises(StudyError, match="segnet.training cannot be written .No space left"):
        train(stopped.with_name("segnet"), True)
    Full.reason = "OOM when allocating tensor"  # memory is another matter
    with pytest.raises(tf.errors.ResourceExhaustedError):
        train(stopped.with_name("segnet"))


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "models").write_text("a file")
    with pytest.raises(StudyError, match=r"segnet.* cannot be written \(Not a directory\)"):
        train(tmp_path / "models" / "segnet")
    (tmp_path / "segnet.training").write_text("a file")
    with pytest.raises(StudyError, match=r"segnet.training cannot be written \(File exists\)"):
        train(tmp_path / "segnet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["models", "segnet.training"]


def test_the_fingerprint_tells_films_masks_names_and_parts_apart():
    def of(films=ARRAYS.films, masks=ARRAYS.masks, index=ARRAYS.index, split=SPLIT):
        return fingerprint(Arrays(films, masks, index), split)

    renamed = ARRAYS.index.assign(name=["other", *ARRAYS.index["name"][1:]])
    prints = [
        of(),
        of(films=ARRAYS.films[::-1]),
        of(masks=1 - ARRAYS.masks),
        of(films=ARRAYS.masks, masks=ARRAYS.films),
        of(index=renamed, split=SPLIT.rename({"film0": "other"})),
        of(split=SPLIT.replace("validation", "test")),
    ]
    assert len(set(prints)) == len(prints)
    assert of(split=SPLIT.sample(frac=1)) == of(films=ARRAYS.films.copy()) == of()
