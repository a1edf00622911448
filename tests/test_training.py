"""Training: what it leaves behind, what it keeps to, and how it ends when it goes wrong."""

import dataclasses
import json
import re
import subprocess
import sys
from contextlib import contextmanager

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from keras import layers

from pneumo_keras.dataset.arrays import Arrays
from pneumo_keras.errors import StudyError
from pneumo_keras.models.layers import FilmScaling
from pneumo_keras.models.segnet import segnet
from pneumo_keras.training import fit, losses
from pneumo_keras.training.callbacks import EpochLine
from pneumo_keras.training.losses import HybridLoss
from pneumo_keras.training.metrics import FilmDice, training_metrics
from pneumo_keras.training.networks import Network
from pneumo_keras.training.optimizing import compile_model
from pneumo_keras.training.outcome import choose_threshold, is_collapsed
from pneumo_keras.training.recipes import choose_recipe

pytestmark = pytest.mark.slow  # trains, if only tiny networks

SIZE = 32


def squares(count=16):
    """Films with a bright square at a random place, and the squares."""
    random = np.random.default_rng(0)
    films = random.integers(30, 90, (count, SIZE, SIZE), dtype=np.uint8)
    masks = np.zeros_like(films)
    for film, mask, (row, column) in zip(
        films, masks, random.integers(2, 16, (count, 2)), strict=True
    ):
        film[row : row + 14, column : column + 14] += 120
        mask[row : row + 14, column : column + 14] = 1
    names = [f"film{number}" for number in range(count)]
    return Arrays(films, masks, pd.DataFrame({"name": names, "patient": names, "group": "square"}))


ARRAYS = squares()
SPLIT = pd.Series(["train"] * 10 + ["validation"] * 4 + ["test"] * 2, index=ARRAYS.index["name"])


def recipe(**changes):
    return choose_recipe(
        "quick",
        {
            "size": SIZE,
            "width": 0.1,
            "batch_size": 5,
            "epochs": 2,
            "dropout": 0.0,
            "learning_rate": 0.01,
            "schedule": "constant",
            "augment": False,
            "weight_decay": 0.0,
            "optimizer": "adam",
            "segnet_loss": "binary_crossentropy",
            "threshold": "0.5",
        }
        | changes,
    )


def train(folder, network="segnet", arrays=ARRAYS, **changes):
    return fit.train(network, recipe(**changes), arrays, SPLIT, folder, "square")


def small_network(network, recipe):
    """A network of two layers of which the first counts as pretrained: quick to train."""
    film = keras.Input((SIZE, SIZE, None), name="film")
    inner = keras.Input((SIZE, SIZE, 3))
    features = layers.Conv2D(4, 3, padding="same", name="convolution")(inner)
    features = layers.ReLU()(layers.BatchNormalization(momentum=0.9, name="norm")(features))
    backbone = keras.Model(inner, features, name="backbone")
    x = backbone(FilmScaling("unit")(film))
    x = layers.Dropout(recipe.dropout, name="dropout")(x)
    x = layers.Conv2D(1, 1, activation="sigmoid", name="head")(x)
    return Network(keras.Model(film, x), (backbone,), "file small.weights.h5")


@contextmanager
def eagerly():
    """Spares tracing graphs, which takes longer than the few steps of these trainings."""
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


@pytest.fixture
def eager():
    with eagerly():
        yield


@pytest.fixture
def small_graph(monkeypatch):
    monkeypatch.setattr(fit, "build_network", small_network)


@pytest.fixture
def small(small_graph, eager):
    pass


def files_of(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# === A whole training of a real, narrow SegNet ===


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "segnet"
    with eagerly():
        run = train(folder, segnet_loss="hybrid_corrected", threshold="validation", augment=True)
    return folder, run


def test_a_finished_folder_holds_models_history_logs_and_run(finished):
    folder, _ = finished
    assert {path.name for path in folder.iterdir()} == {
        "best.keras",
        "last.keras",
        "history.csv",
        "tensorboard",
        "run.json",
    }
    assert {path.name for path in (folder / "tensorboard").iterdir()} == {"train", "validation"}
    assert list(folder.parent.iterdir()) == [folder]


def test_run_json_says_what_was_run(finished):
    folder, run = finished
    assert json.loads((folder / "run.json").read_text("utf-8")) == run == fit.load_run(folder)
    assert set(run) == {
        "network",
        "target",
        "recipe",
        "fingerprint",
        "weights",
        "parameters",
        "films",
        "epochs_run",
        "best_epoch",
        "best_validation_dice",
        "diverged",
        "collapsed",
        "threshold",
        "seconds",
        "peak_memory_gb",
        "python",
        "system",
        "backend",
        "device",
        "versions",
    }
    assert run["network"] == "segnet" and run["target"] == "square" and run["weights"] == "random"
    assert run["films"] == {"train": 10, "validation": 4, "test": 2}
    assert run["recipe"]["segnet_loss"] == "hybrid_corrected" and run["recipe"]["width"] == 0.1
    assert run["parameters"] == segnet(SIZE, width=0.1).count_params()
    assert not run["diverged"] and run["epochs_run"] == 2
    assert run["versions"]["keras"] == keras.__version__ and run["backend"] == "tensorflow"
    assert run["seconds"] > 0 and 0.05 <= run["threshold"] <= 0.95


def test_history_has_a_row_an_epoch_with_every_term_of_the_loss(finished):
    history = fit.load_history(finished[0])
    assert history["epoch"].tolist() == [0, 1]
    terms = ["loss", "accuracy", "iou", "dice", "focal", "ssim", "jaccard"]
    assert set(terms + [f"val_{term}" for term in terms]) <= set(history)
    assert np.isfinite(history.to_numpy(float)).all()
    for part in ("", "val_"):  # no L2 here: the loss is the sum of its terms
        total = history[[f"{part}focal", f"{part}ssim", f"{part}jaccard"]].sum(axis=1)
        np.testing.assert_allclose(history[f"{part}loss"], total, rtol=1e-4)


def test_best_model_has_the_dice_that_its_run_claims(finished):
    folder, run = finished
    history = fit.load_history(folder)
    assert run["best_epoch"] == history["val_dice"].argmax() + 1
    best = keras.models.load_model(folder / "best.keras", compile=False)
    predicted = best.predict(ARRAYS.films[10:14, ..., None].astype("float32"), verbose=0) >= 0.5
    truth = ARRAYS.masks[10:14].astype(bool)
    predicted = predicted[..., 0]
    dice = 2 * (truth & predicted).sum((1, 2)) / (truth.sum((1, 2)) + predicted.sum((1, 2)))
    assert run["best_validation_dice"] == pytest.approx(dice.mean(), abs=1e-3)


def test_best_model_loads_compiled_in_a_new_process_that_only_imports_the_package(
    finished, tmp_path
):
    folder, _ = finished
    films = ARRAYS.films[:3, ..., None].astype("float32")
    masks = ARRAYS.masks[:3, ..., None].astype("float32")
    np.savez(tmp_path / "films.npz", films=films, masks=masks)
    subprocess.run(
        [
            sys.executable,
            "-c",
            (
                "import sys, numpy, keras, pneumo_keras\n"
                "data = numpy.load('films.npz')\n"
                "model = keras.models.load_model(sys.argv[1], compile=True)\n"
                "assert type(model.loss).__name__ == 'HybridLoss'\n"
                "assert model.loss.variant == 'corrected'\n"
                "model.run_eagerly = True\n"
                "films, masks = data['films'], data['masks']\n"
                "scores = model.evaluate(films, masks, verbose=0, return_dict=True)\n"
                "numpy.savez('out.npz', predicted=model(films), **scores)\n"
            ),
            str(folder / "best.keras"),
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    model = keras.models.load_model(folder / "best.keras")
    out = np.load(tmp_path / "out.npz")
    np.testing.assert_allclose(out["predicted"], model(films), atol=1e-6)
    assert float(out["loss"]) == pytest.approx(
        float(HybridLoss("corrected")(masks, model(films))), rel=1e-3
    )
    assert {"dice", "iou", "accuracy", "focal", "ssim", "jaccard"} <= set(out)


# === One step, under XLA and in mixed precision ===


def one_step(loss="binary_crossentropy", metrics=(), **compile_settings):
    model = segnet(SIZE, width=0.05, dropout=0.0)
    model.compile(optimizer="sgd", loss=loss, metrics=list(metrics), **compile_settings)
    films, masks = ARRAYS.films[:2, ..., None], ARRAYS.masks[:2, ..., None]
    before = model.get_layer("block1_conv1").kernel.numpy()
    result = model.train_on_batch(
        films.astype("float32"), masks.astype("float32"), return_dict=True
    )
    return model, result, np.abs(model.get_layer("block1_conv1").kernel.numpy() - before).max()


def test_a_train_step_compiles_under_xla():
    keras.utils.set_random_seed(3)
    _, compiled, moved = one_step(jit_compile=True)
    assert moved > 1e-5  # the gradient came through five unpoolings
    keras.utils.set_random_seed(3)
    _, plain, _ = one_step(run_eagerly=True)
    assert compiled["loss"] == pytest.approx(plain["loss"], rel=1e-3)


def test_a_train_step_in_mixed_precision_is_finite():
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        model, result, _ = one_step(
            HybridLoss("published"), training_metrics("hybrid_published"), run_eagerly=True
        )
        probability = model(ARRAYS.films[:1, ..., None].astype("float32"))
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    assert model.get_layer("decoder1_unpool").compute_dtype == "float16"
    assert probability.dtype == tf.float32
    assert np.isfinite([float(value) for value in result.values()]).all()


# === Keeping to the recipe ===


def test_a_seed_repeats_a_training_and_another_does_not(small, tmp_path):
    settings = {"augment": True, "dropout": 0.3}
    one, again, other = tmp_path / "one", tmp_path / "again", tmp_path / "other"
    for folder, seed in ((one, 5), (again, 5), (other, 6)):
        train(folder, **settings, seed=seed)
    pd.testing.assert_frame_equal(fit.load_history(one), fit.load_history(again))
    assert not fit.load_history(one).equals(fit.load_history(other))


def test_early_stopping_waits_as_long_as_the_recipe_says(small, tmp_path):
    """At this rate nothing moves, so no epoch is better than the first that counts."""
    still = {"learning_rate": 1e-30, "frozen_learning_rate": 1e-30, "epochs": 9, "patience": 2}
    for frozen in (1, 4):
        run = train(tmp_path / "segnet", **still, frozen_epochs=frozen)
        assert run["epochs_run"] == frozen + 3


def test_training_learns_and_says_so_epoch_by_epoch(small_graph, tmp_path, capsys):
    run = train(tmp_path / "segnet", epochs=4, learning_rate=0.1, batch_size=2)
    assert run["best_validation_dice"] > 0.8 and not run["collapsed"]
    assert run["epochs_run"] == 4 and run["weights"] == "file small.weights.h5"
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "SegNet: 133 parameters, file small.weights.h5 weights"
    history = fit.load_history(tmp_path / "segnet")
    assert history["loss"].iloc[-1] < 0.7 * history["loss"].iloc[0]
    pattern = r"epoch (\d)/4   loss (\S+)  Dice (\S+)   validation loss (\S+)  Dice (\S+)   \d+ s"
    for line, (number, row) in zip(lines[1:], history.iterrows(), strict=True):
        said = re.fullmatch(pattern, line).groups()
        shown = [f"{row[key]:.3f}" for key in ("loss", "dice", "val_loss", "val_dice")]
        assert list(said) == [str(number + 1), *shown]


@pytest.fixture
def weights_by_epoch(monkeypatch):
    """The weights of the network after each epoch, by layer."""
    seen = []

    class Spy(EpochLine):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            backbone = self.model.get_layer("backbone")
            parts = [*backbone.layers, self.model.get_layer("head")]
            seen.append({layer.name: layer.get_weights() for layer in parts})

    monkeypatch.setattr(fit, "EpochLine", Spy)
    return seen


def moved(before, after, layer):
    pairs = zip(before[layer], after[layer], strict=True)
    return [bool(np.any(first != second)) for first, second in pairs]


def test_pretrained_layers_stand_still_then_learn_without_their_batch_norm(
    small, tmp_path, weights_by_epoch
):
    train(tmp_path / "segnet", epochs=4, frozen_epochs=2)
    first, second, third, last = weights_by_epoch
    gamma_beta_mean_variance = [1.0, 0.0, 0.0, 1.0]
    for epoch in weights_by_epoch:  # in inference mode to the end
        for values, initial in zip(epoch["norm"], gamma_beta_mean_variance, strict=True):
            assert (values == initial).all()
    assert not any(moved(first, second, "convolution"))
    assert all(moved(first, second, "head"))
    assert all(moved(second, third, "convolution")) and all(moved(third, last, "convolution"))
    assert fit.load_history(tmp_path / "segnet")["epoch"].tolist() == [0, 1, 2, 3]


def test_without_frozen_epochs_everything_learns_from_the_first(small, tmp_path, weights_by_epoch):
    train(tmp_path / "segnet", epochs=2, frozen_epochs=0)
    first, last = weights_by_epoch
    assert all(moved(first, last, "convolution"))
    assert all(moved(first, last, "norm"))


def test_random_weights_are_never_frozen(eager, monkeypatch, tmp_path, weights_by_epoch):
    def random(network, recipe):
        return dataclasses.replace(small_network(network, recipe), pretrained=(), weights="random")

    monkeypatch.setattr(fit, "build_network", random)
    train(tmp_path / "segnet", epochs=2, frozen_epochs=1)
    first, last = weights_by_epoch
    assert all(moved(first, last, "convolution")) and all(moved(first, last, "norm"))


class SeenMasks(keras.losses.Loss):
    """Keeps a fingerprint of every batch of masks that it is given."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def call(self, truth, probability):
        self.seen.append(hash(truth.numpy().tobytes()))
        return keras.losses.binary_crossentropy(truth, probability)


def test_thawing_goes_on_where_the_frozen_epochs_ended(small, tmp_path, monkeypatch):
    """The same batches in the same order, however many of the epochs are frozen."""
    orders = []
    for frozen in (0, 2):
        losses_made = [SeenMasks(), SeenMasks()]
        orders.append(losses_made)
        monkeypatch.setitem(losses.LOSSES, "binary_crossentropy", iter(losses_made).__next__)
        train(tmp_path / "segnet", epochs=3, frozen_epochs=frozen)
    without, frozen = ([*first.seen, *second.seen] for first, second in orders)
    assert len(without) == 3 * 3  # two steps and one validation batch an epoch
    assert without == frozen and len(set(without)) == 6 + 1


def test_both_optimizers_and_the_schedule_are_as_the_recipe_says():
    model = small_network("segnet", recipe()).model
    compile_model(
        model,
        recipe(optimizer="adamw", weight_decay=0.3, clip_norm=2.0),
        "binary_crossentropy",
        0.01,
        10,
    )
    assert type(model.optimizer) is keras.optimizers.AdamW and model.optimizer.weight_decay == 0.3
    assert model.optimizer.clipnorm == 2.0
    compile_model(model, recipe(weight_decay=0.3), "binary_crossentropy", 0.01, 10)
    assert type(model.optimizer) is keras.optimizers.Adam and model.optimizer.weight_decay is None
    compile_model(model, recipe(schedule="cosine"), "binary_crossentropy", 0.01, 100)
    rates = [float(model.optimizer._learning_rate(step)) for step in range(101)]
    assert rates[0] == 0 and rates[5] == pytest.approx(0.01) == max(rates)  # 5 % warm-up
    assert rates[5:] == sorted(rates[5:], reverse=True) and rates[100] == pytest.approx(0, abs=1e-8)


def test_decoupled_decay_leaves_biases_and_batch_norm_alone():
    """One step at rate 0.1 without a gradient shrinks kernels by 0.1 x 0.5, nothing else."""
    model = small_network("segnet", recipe()).model
    compile_model(
        model, recipe(optimizer="adamw", weight_decay=0.5), "binary_crossentropy", 0.1, 10
    )
    for weight in model.trainable_variables:
        weight.assign(keras.ops.ones_like(weight))
    zeros = [keras.ops.zeros_like(weight) for weight in model.trainable_variables]
    model.optimizer.apply(zeros, model.trainable_variables)
    for weight in model.trainable_variables:
        expected = 0.95 if weight.name == "kernel" else 1.0
        np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-6)


# === When it goes wrong ===


class NumberOnlyAtFirst(keras.losses.Loss):
    """Cross-entropy for some calls, then no number: steps and validation batches both count."""

    def __init__(self, calls):
        super().__init__()
        self.calls = calls
        self.made = tf.Variable(0)

    def call(self, truth, probability):
        made = self.made.assign_add(1)
        loss = keras.losses.binary_crossentropy(truth, probability)
        return loss * tf.where(made > self.calls, float("nan"), 1.0)


def test_divergence_stops_the_training_and_keeps_the_best_epoch(
    small, tmp_path, monkeypatch, capsys
):
    """Two steps and one validation batch an epoch: the third epoch begins with call 7."""
    monkeypatch.setitem(losses.LOSSES, "binary_crossentropy", lambda: NumberOnlyAtFirst(6))
    run = train(tmp_path / "segnet", epochs=9)
    assert run["diverged"] and run["epochs_run"] == 3 and run["best_epoch"] <= 2
    assert "SegNet: the loss is not a number in epoch 3; training stops" in capsys.readouterr().out
    best, last = (
        keras.models.load_model(tmp_path / "segnet" / f"{name}.keras", compile=False)
        for name in ("best", "last")
    )
    assert all(np.isfinite(weight).all() for weight in best.get_weights())
    assert not all(np.isfinite(weight).all() for weight in last.get_weights())
    assert json.loads((tmp_path / "segnet" / "run.json").read_text())["diverged"] is True


def test_divergence_in_the_first_epoch_is_told_too(small, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(losses.LOSSES, "binary_crossentropy", lambda: NumberOnlyAtFirst(0))
    run = train(tmp_path / "segnet", epochs=9)
    assert run["diverged"] and run["collapsed"]
    assert run["epochs_run"] == 1 and run["best_validation_dice"] == 0
    assert "in epoch 1" in capsys.readouterr().out
    json.dumps(run, allow_nan=False)


def test_divergence_while_frozen_ends_the_whole_training(small, tmp_path, monkeypatch):
    monkeypatch.setitem(losses.LOSSES, "binary_crossentropy", lambda: NumberOnlyAtFirst(3))
    assert train(tmp_path / "segnet", epochs=6, frozen_epochs=3)["epochs_run"] == 2


def test_a_failing_training_leaves_the_old_folder_and_the_next_one_replaces_it(
    small, tmp_path, monkeypatch
):
    folder = tmp_path / "segnet"
    folder.mkdir()
    for name in ("best.keras", "run.json", "notes.txt"):
        (folder / name).write_text("of an earlier training")
    before = files_of(folder)

    class Failing(EpochLine):
        def on_epoch_end(self, epoch, logs=None):
            raise RuntimeError("the disk is full")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="disk is full"):
        patch.setattr(fit, "EpochLine", Failing)
        train(folder, epochs=3)
    assert files_of(folder) == before
    run = train(folder, epochs=1)
    assert run["epochs_run"] == len(fit.load_history(folder)) == 1
    assert not (folder / "notes.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["segnet"]


def test_arrays_of_another_size_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(StudyError, match="arrays are 32 pixels a side, the recipe says 64"):
        train(tmp_path / "segnet", size=64)
    with pytest.raises(StudyError, match="made with letterbox=False, the recipe says True"):
        train(tmp_path / "segnet", letterbox=True)
    assert not any(tmp_path.iterdir())


def test_a_network_that_was_not_trained_is_named(tmp_path):
    for load in (fit.load_history, fit.load_run):
        with pytest.raises(StudyError, match="train segnet first"):
            load(tmp_path / "segnet")


# === Outcome and metrics ===


def test_constant_predictions_are_collapsed():
    nothing, everything = np.zeros((20, 10, 10)), np.ones((20, 10, 10))
    assert is_collapsed(nothing) and is_collapsed(everything)
    assert is_collapsed(np.full((20, 10, 10), np.nan))
    half = nothing.copy()
    half[:, :5] = 1
    assert not is_collapsed(half)
    mixed = np.concatenate([nothing, everything])
    assert not is_collapsed(mixed)  # it tells films apart, if nothing else
    one_of_twenty = nothing.copy()
    one_of_twenty[0, :5] = 1
    assert not is_collapsed(one_of_twenty)  # exactly 95 %
    assert is_collapsed(np.concatenate([one_of_twenty, nothing]))
    assert is_collapsed(half * 0.4) and not is_collapsed(half * 0.4, threshold=0.3)


def test_threshold_is_the_one_of_the_best_mean_dice():
    random = np.random.default_rng(0)
    masks = (random.random((6, 8, 8)) < 0.3).astype(np.uint8)
    masks[3] = 0  # does not enter
    probabilities = 0.2 * masks + random.random((6, 8, 8)) * 0.3

    def mean_dice(threshold):
        metric = FilmDice()
        metric.update_state(masks[..., None], (probabilities[..., None] >= threshold).astype(float))
        return float(metric.result())

    chosen = choose_threshold(probabilities, masks, "validation")
    best = max(mean_dice(step / 20) for step in range(1, 20))
    assert mean_dice(chosen) == pytest.approx(best) and chosen != 0.5
    assert choose_threshold(probabilities, masks, "0.5") == 0.5
    assert choose_threshold(probabilities, 0 * masks, "validation") == 0.5


def test_film_dice_by_hand():
    """Dice 2/3, 0 and 1; the film without a mask does not enter; batches weigh by their films."""
    truth = np.zeros((4, 2, 2, 1), "float32")
    predicted = np.zeros((4, 2, 2, 1), "float32")
    truth[0, 0], predicted[0, 0, 0] = 1, 0.5  # two marked, one found, at the threshold itself
    truth[1, 0], predicted[1, 1], predicted[1, 0] = 1, 1, 0.49
    predicted[2] = 1  # empty, falsely marked
    truth[3], predicted[3] = 1, 0.9
    metric = FilmDice()
    metric.update_state(truth[:3], predicted[:3])
    assert float(metric.result()) == pytest.approx((2 / 3 + 0) / 2)
    metric.update_state(truth[3:], predicted[3:])
    assert float(metric.result()) == pytest.approx((2 / 3 + 0 + 1) / 3)
    metric.reset_state()
    assert float(metric.result()) == 0


def test_watched_accuracy_and_iou_are_pooled():
    truth = np.zeros((2, 2, 2, 1), "float32")
    truth[0], truth[1, 0, 0] = 1, 1
    predicted = truth.copy()
    predicted[1] = 0
    accuracy, iou, dice = training_metrics("binary_crossentropy")
    for metric in (accuracy, iou, dice):
        metric.update_state(truth, predicted)
    assert float(accuracy.result()) == pytest.approx(7 / 8)
    assert float(iou.result()) == pytest.approx(4 / 5)
    assert float(dice.result()) == pytest.approx(1 / 2)
