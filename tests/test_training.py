"""Training: what it leaves behind, how it follows the recipe, and how it ends when it fails."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import keras
import nbformat
import numpy as np
import pytest
import tensorflow as tf
from small_training import ARRAYS, SIZE, SPLIT, eagerly, small_network, small_recipe, train_small

from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.predict import load_segmenter
from pneumo_keras.models.backbones import WeightsUnavailable
from pneumo_keras.models.deeplabv3 import deeplab_v3
from pneumo_keras.models.segnet import encoder_layers, segnet
from pneumo_keras.runs import read_history, read_run
from pneumo_keras.training import build, callbacks, losses
from pneumo_keras.training.metrics import DicePerImage, training_metrics
from pneumo_keras.training.train import Training, train

pytestmark = pytest.mark.slow  # trains, if only tiny networks

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
# At this rate nothing moves, so no epoch is better than the first that counts.
STILL = {"learning_rate": 1e-30, "frozen_learning_rate": 1e-30, "epochs": 9, "patience": 2}


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(build, "build_network", small_network)
    with eagerly():
        yield


@pytest.fixture
def pretrained(small, monkeypatch):
    """The weights of the small network count as pretrained."""
    monkeypatch.setattr(build, "initial_weights", lambda *_: "small.weights.h5")


def files_of(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def load_weights(path):
    return keras.models.load_model(path, compile=False).get_weights()


# === A whole training of a real, narrow SegNet ===


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "segnet"
    changes = {"loss": "hybrid_corrected", "threshold": "validation", "augment": True}
    with eagerly():
        run = train_small(folder, network="segnet", **changes)
    return folder, run, small_recipe(**changes)


def test_a_finished_folder_holds_models_history_logs_and_run(finished):
    folder, run, recipe = finished
    names = {path.name for path in folder.iterdir()}
    assert names == {"best.keras", "last.keras", "history.csv", "tensorboard", "run.json"}
    assert {path.name for path in (folder / "tensorboard").iterdir()} == {"train", "validation"}
    assert list(folder.parent.iterdir()) == [folder]
    assert json.loads((folder / "run.json").read_text("utf-8")) == run == read_run(folder)
    assert run["network"] == "segnet" and run["target"] == "square" and run["weights"] == "random"
    assert run["images"] == {"train": 9, "validation": 7, "test": 3}
    assert run["recipe"] == recipe.as_json() and run["changed_by_hand"] == []
    assert run["parameters"] == segnet(SIZE, width=0.1).count_params()
    assert run["versions"]["keras"] == keras.__version__ and run["backend"] == "tensorflow"
    assert not run["diverged"] and run["epochs_run"] == 2 and run["seconds"] > 0


def test_the_best_model_is_small_and_has_the_dice_that_its_run_claims(finished):
    folder, run, _ = finished
    best, last = (keras.models.load_model(folder / f"{name}.keras") for name in ("best", "last"))
    assert last.loss.variant == "corrected" and type(last.optimizer) is keras.optimizers.Adam
    assert not best.compiled
    assert (folder / "best.keras").stat().st_size < 0.5 * (folder / "last.keras").stat().st_size
    rows = slice(9, 16)  # the validation images
    reference, images = ARRAYS.masks[rows] == 1, ARRAYS.images[rows, ..., None].astype("float32")
    probability = best.predict(images, verbose=0)[..., 0]
    for threshold, key in ((0.5, "best_validation_dice"), (run["threshold"], "validation_dice")):
        predicted = probability >= threshold
        area = reference.sum((1, 2)) + predicted.sum((1, 2))
        dice = (2 * (reference & predicted).sum((1, 2)) / area).mean()
        assert run[key] == pytest.approx(dice, abs=1e-3)


def test_history_has_a_row_per_epoch_with_every_term_of_the_loss(finished):
    folder, run, _ = finished
    history = read_history(folder)
    assert history["epoch"].tolist() == [0, 1] and np.isfinite(history.to_numpy(float)).all()
    assert run["best_epoch"] == history["val_dice"].argmax() + 1
    assert {"accuracy", "iou", "dice", "val_accuracy", "val_iou", "val_dice"} <= set(history)
    for part in ("", "val_"):  # no L2 here: the loss is the sum of its terms
        total = history[[f"{part}focal", f"{part}ssim", f"{part}jaccard"]].sum(axis=1)
        np.testing.assert_allclose(history[f"{part}loss"], total, rtol=1e-4)


# === Under XLA and in mixed precision ===


@pytest.mark.parametrize("network", ["segnet", "deeplabv3"])
def test_a_training_step_compiles_under_xla(network):
    def step(**settings):
        keras.utils.set_random_seed(3)
        if network == "segnet":
            model = segnet(SIZE, width=0.05, dropout=0.0)
        else:
            small = {"backbone": "mobilenet_v2", "atrous_rates": (2, 9), "dropout": 0.0}
            model = deeplab_v3(SIZE, width=0.05, **small)
        model.compile("sgd", "binary_crossentropy", **settings)
        before = model.get_weights()
        batch = (part[:2, ..., None].astype("float32") for part in (ARRAYS.images, ARRAYS.masks))
        loss = model.train_on_batch(*batch)
        pairs = zip(before, model.get_weights(), strict=True)
        return loss, max(np.abs(one - other).max() for one, other in pairs)

    compiled, moved = step(jit_compile=True)
    plain, _ = step(run_eagerly=True)
    assert compiled == pytest.approx(plain, rel=1e-3) and moved > 1e-5


mixed = pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])


@mixed
@pytest.mark.parametrize("network", ["segnet", "deeplabv3"])
def test_weights_and_output_stay_float32_in_mixed_precision(network, precision, tmp_path):
    recipe = small_recipe(width=0.05, backbone="mobilenet_v2", precision=precision)
    with Training(network, recipe, ARRAYS, SPLIT, tmp_path / network, "square").scope():
        model = build.build_network(network, recipe, None)
    assert model.output.dtype == "float32"
    assert {weight.dtype for weight in model.trainable_weights} == {"float32"}
    computing = {layer.compute_dtype for layer in model.layers if layer.name != "probability"}
    assert computing == {precision.removeprefix("mixed_")}
    assert keras.config.dtype_policy().name == "float32"  # restored


@mixed
def test_a_mixed_training_is_finite_close_to_float32_and_loads(small, tmp_path, precision):
    for name, settings in (("single", {}), ("mixed", {"precision": precision})):
        # The sums of this loss would overflow in float16.
        train_small(tmp_path / name, loss="hybrid_published", **settings)
    single, half = (read_history(tmp_path / name) for name in ("single", "mixed"))
    assert np.isfinite(half.to_numpy(float)).all()
    assert not half.equals(single)  # it did compute in another precision
    np.testing.assert_allclose(half["loss"], single["loss"], rtol=0.02)
    model = keras.models.load_model(tmp_path / "mixed" / "last.keras")
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (precision == "mixed_float16")
    probability = load_segmenter(tmp_path / "mixed").probability(ARRAYS.images[0])
    assert probability.dtype == np.float32 and np.isfinite(probability).all()


# === Following the recipe ===


def test_a_seed_repeats_a_training_and_another_does_not(small, tmp_path):
    for name, seed in (("one", 5), ("again", 5), ("other", 6)):
        train_small(tmp_path / name, augment=True, dropout=0.3, seed=seed)
    one, again, other = (read_history(tmp_path / name) for name in ("one", "again", "other"))
    assert one.equals(again) and not one.equals(other)


@pytest.mark.parametrize("frozen", [1, 4])
def test_early_stopping_waits_as_long_as_the_recipe_says(pretrained, tmp_path, frozen):
    assert train_small(tmp_path / "net", **STILL, frozen_epochs=frozen)["epochs_run"] == frozen + 3


def test_training_learns_and_prints_a_line_per_epoch(small, tmp_path, capsys):
    run = train_small(tmp_path / "net", epochs=4, learning_rate=0.03, batch_size=2)
    assert run["best_validation_dice"] > 0.8 and run["epochs_run"] == 4
    history = read_history(tmp_path / "net")
    assert history["loss"].iloc[-1] < 0.7 * history["loss"].iloc[0]
    *lines, last = capsys.readouterr().out.splitlines()
    for line, (number, row) in zip(lines, history.iterrows(), strict=True):
        shown = [f"{row[key]:.3f}" for key in ("loss", "dice", "val_loss", "val_dice")]
        assert re.findall(r"\d\.\d{3}", line) == shown and f"{number + 1}/4" in line
    assert last == "DeepLabV3: trained"


@pytest.fixture
def weights_by_epoch(monkeypatch):
    """The weights of the network after each epoch, by layer."""
    seen = []

    class Spy(callbacks.EpochLine):
        def on_epoch_end(self, epoch, logs=None):
            parts = [*self.model.get_layer("backbone").layers, self.model.get_layer("head")]
            seen.append({layer.name: layer.get_weights() for layer in parts})

    monkeypatch.setattr(callbacks, "EpochLine", Spy)
    return seen


def moved(before, after, layer):
    pairs = zip(before[layer], after[layer], strict=True)
    return [bool(np.any(first != second)) for first, second in pairs]


def test_pretrained_layers_are_frozen_first(pretrained, tmp_path, weights_by_epoch):
    run = train_small(tmp_path / "net", epochs=4, frozen_epochs=2, frozen_learning_rate=0.01)
    first, second, third, last = weights_by_epoch
    for epoch in weights_by_epoch:  # in inference mode to the end
        for values, initial in zip(epoch["norm"], (1, 0, 0, 1), strict=True):
            assert (values == initial).all()  # gamma, beta, mean, variance
    assert not any(moved(first, second, "convolution"))
    assert all(moved(first, second, "head"))
    assert all(moved(second, third, "convolution")) and all(moved(third, last, "convolution"))
    assert run["epochs_run"] == 4 and run["weights"] == "file small.weights.h5"


@pytest.mark.parametrize(("weights", "frozen"), [("small.weights.h5", 0), (None, 1)])
def test_nothing_else_is_frozen(small, monkeypatch, tmp_path, weights_by_epoch, weights, frozen):
    monkeypatch.setattr(build, "initial_weights", lambda *_: weights)
    train_small(tmp_path / "net", frozen_epochs=frozen)
    assert all(moved(*weights_by_epoch, "convolution")) and all(moved(*weights_by_epoch, "norm"))


def test_freezing_segnet_means_the_convolutions_of_vgg16():
    model = segnet(SIZE, width=0.05)
    names = {layer.name for layer in encoder_layers(model)}
    for frozen in (True, False):
        build.freeze("segnet", model, frozen)
        trained = {weight.path.split("/")[0] for weight in model.trainable_weights}
        assert trained.isdisjoint(names) == frozen and len(names) == 13
        assert {"decoder1_conv1", "head"} <= trained


class SeenMasks(keras.losses.Loss):
    """Keeps a hash of every batch of masks that any of them is given."""

    seen = ()

    def call(self, reference, probability):
        SeenMasks.seen += (hash(reference.numpy().tobytes()),)
        return keras.losses.binary_crossentropy(reference, probability)


def test_unfreezing_goes_on_where_the_frozen_epochs_ended(pretrained, tmp_path, monkeypatch):
    """The same batches in the same order, however many of the epochs are frozen."""
    monkeypatch.setitem(losses.LOSSES, "binary_crossentropy", SeenMasks)
    orders = []
    for frozen in (0, 2):
        monkeypatch.setattr(SeenMasks, "seen", ())
        train_small(tmp_path / "net", epochs=3, frozen_epochs=frozen)
        orders.append(SeenMasks.seen)
    assert orders[0] == orders[1]
    # In each of three epochs two steps, of other images, and the two validation batches.
    assert len(orders[0]) == 3 * 4 and len(set(orders[0])) == 3 * 2 + 2


def test_optimizers_and_schedule_are_as_the_recipe_says():
    def made(**changes):
        return build.make_optimizer(small_recipe(**changes), 0.01, 100)

    adamw, adam = made(optimizer="adamw", weight_decay=0.3, clip_norm=2.0), made(weight_decay=0.3)
    assert type(adamw) is keras.optimizers.AdamW and adamw.weight_decay == 0.3
    assert type(adam) is keras.optimizers.Adam and adam.weight_decay is None
    assert adamw.clipnorm == 2.0 and adam.clipnorm is None
    schedule = made(schedule="cosine").get_config()["learning_rate"]
    rate = keras.optimizers.schedules.deserialize(schedule)
    rates = [float(rate(step)) for step in range(101)]
    assert rates[0] == 0 and rates[5] == pytest.approx(0.01) == max(rates)  # 5 % warm-up
    assert rates[5:] == sorted(rates[5:], reverse=True) and rates[100] == pytest.approx(0, abs=1e-8)


def test_decoupled_decay_leaves_biases_and_batch_norm_alone():
    """One step at rate 0.1 without a gradient shrinks kernels by 0.1 x 0.5, nothing else."""
    weights = small_network("deeplabv3", small_recipe(), None).trainable_variables
    for weight in weights:
        weight.assign(keras.ops.ones_like(weight))
    optimizer = build.make_optimizer(small_recipe(optimizer="adamw", weight_decay=0.5), 0.1, 10)
    optimizer.apply([keras.ops.zeros_like(weight) for weight in weights], weights)
    for weight in weights:
        expected = 0.95 if weight.name == "kernel" else 1.0
        np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-6)


# === By hand, as in notebooks 03 and 04 ===


@pytest.mark.parametrize(("network", "number"), [("segnet", "03"), ("deeplabv3", "04")])
def test_the_cells_of_the_notebook_train_the_same_weights(network, number, tmp_path):
    recipe = small_recipe(width=0.05, dropout=0.1, backbone="mobilenet_v2")
    (path,) = NOTEBOOKS.glob(f"{number}*.ipynb")
    cells = [c.source for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
    study = SimpleNamespace(model=lambda key: tmp_path / key, target="square", resume=False)
    names = {"study": study, "recipe": recipe, "arrays": ARRAYS, "split": SPLIT}
    with eagerly():
        exec(cells[0], names)  # noqa: S102 (its imports)
        for step in ("Training(", "loss = LOSSES", "training.phases(", "training.finish("):
            (cell,) = [cell for cell in cells[1:] if step in cell]
            exec(cell, names)  # noqa: S102
        run = train(network, recipe, ARRAYS, SPLIT, tmp_path / "train", "square")
    assert names["run"]["changed_by_hand"] == run["changed_by_hand"] == []
    for name in ("best.keras", "last.keras"):
        one, other = (load_weights(tmp_path / folder / name) for folder in (network, "train"))
        assert all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


def test_what_is_changed_by_hand_is_recorded_and_kept_when_training_goes_on(small, tmp_path):
    """Another dropout, loss and optimizer, stopped after the first of two epochs and resumed."""

    def by_hand(last, resume):
        place = (ARRAYS, SPLIT, tmp_path / "net", "square", resume)
        training = Training("deeplabv3", small_recipe(dropout=0.2), *place)
        with training.scope():
            model = small_network("deeplabv3", small_recipe(dropout=0.5), None)
            for phase in training.phases(model):
                optimizer = keras.optimizers.RMSprop(phase.learning_rate)
                model.compile(optimizer, losses.HybridLoss(), metrics=training_metrics(""))
                model.fit(
                    phase.batches,
                    validation_data=training.validation,
                    initial_epoch=phase.first,
                    epochs=last,
                    steps_per_epoch=training.steps,
                    callbacks=training.callbacks,
                    verbose=0,
                    shuffle=False,
                )
        return training, model

    by_hand(1, False)
    run = Training.finish(*by_hand(2, True))
    network, loss, optimizer = run["changed_by_hand"]
    assert network.startswith("network ") and f"{run['parameters']} parameters" in network
    assert loss == "loss unet3p_hybrid_loss" and optimizer == "optimizer RMSprop"
    assert run["epochs_run"] == 2 == len(read_history(tmp_path / "net"))


# === When it fails ===


@pytest.fixture
def finite_for(monkeypatch):
    """A loss that is NaN after some calls; two steps and two validation batches per epoch."""

    class FiniteAtFirst(keras.losses.Loss):
        def __init__(self, calls):
            super().__init__()
            self.calls, self.made = calls, tf.Variable(0)

        def call(self, reference, probability):
            loss = keras.losses.binary_crossentropy(reference, probability)
            return loss * tf.where(self.made.assign_add(1) > self.calls, float("nan"), 1.0)

    def patch(calls):
        monkeypatch.setitem(losses.LOSSES, "binary_crossentropy", lambda: FiniteAtFirst(calls))

    return patch


def test_divergence_ends_training_and_keeps_the_best(small, tmp_path, finite_for, capsys):
    finite_for(2 * 4)
    run = train_small(tmp_path / "net", epochs=9)
    assert run["diverged"] and run["epochs_run"] == 3 and run["best_epoch"] <= 2
    *_, said, _, last = capsys.readouterr().out.splitlines()
    assert "epoch 3" in said and "diverged" in last
    best, last = (load_weights(tmp_path / "net" / f"{name}.keras") for name in ("best", "last"))
    assert all(np.isfinite(weight).all() for weight in best)
    assert not all(np.isfinite(weight).all() for weight in last)


def test_divergence_at_once_or_while_frozen_ends_it_too(pretrained, tmp_path, finite_for):
    finite_for(4)
    assert train_small(tmp_path / "net", epochs=6, frozen_epochs=3)["epochs_run"] == 2
    finite_for(0)
    run = train_small(tmp_path / "net", epochs=9)
    assert run["epochs_run"] == 1 and run["diverged"] and run["predicts"] == "nothing"
    assert run["best_validation_dice"] == run["validation_dice"] == 0
    json.dumps(run, allow_nan=False)


def test_earlier_results_stay_until_a_training_is_finished(small, tmp_path, monkeypatch):
    folder = tmp_path / "net"
    folder.mkdir()
    for name in ("best.keras", "run.json", "notes.txt"):
        (folder / name).write_text("of an earlier training")
    before = files_of(folder)

    class Failing(callbacks.EpochLine):
        def on_epoch_end(self, epoch, logs=None):
            raise RuntimeError("power cut")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="power cut"):
        patch.setattr(callbacks, "EpochLine", Failing)
        train_small(folder, epochs=3)
    assert files_of(folder) == before
    assert train_small(folder, epochs=1)["epochs_run"] == len(read_history(folder)) == 1
    assert not (folder / "notes.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["net"]


@pytest.mark.parametrize(("setting", "value"), [("size", 64), ("letterbox", True), ("clahe", True)])
def test_arrays_of_other_settings_are_refused_before_anything_is_written(tmp_path, setting, value):
    with pytest.raises(StudyError, match=f"{setting}=.* notebook 02"):
        train_small(tmp_path / "net", **{setting: value})
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("network", ["segnet", "deeplabv3"])
def test_initial_weights_that_cannot_be_had_are_refused_or_random(network, tmp_path, monkeypatch):
    def offline(*_, **__):
        raise WeightsUnavailable("no connection")

    def recipe(weights, **changes):
        return small_recipe(width=1, **{f"{network}_weights": weights}, **changes)

    monkeypatch.setattr(build, "pretrained", offline)
    with pytest.raises(StudyError, match=f"{network}_weights=PATH.*random_if_unavailable=true"):
        build.initial_weights(network, recipe("imagenet"))
    allowed = recipe("imagenet", random_if_unavailable=True)
    assert build.initial_weights(network, allowed) is None
    assert build.describe_weights(network, allowed, None).startswith("random (ImageNet weights")
    path = str(tmp_path / "some.weights.h5")
    with pytest.raises(StudyError, match="some.weights.h5: no such file"):
        build.initial_weights(network, recipe(path))
    Path(path).write_text("not weights")
    with pytest.raises(StudyError, match=build.NETWORKS[network]) as error:
        build.build_network(network, recipe(path), build.initial_weights(network, recipe(path)))
    assert "\n" not in str(error.value)


# === Metrics ===


def test_dice_per_image_by_hand():
    """Dice 2/3, 0 and 1; the image without a mask is excluded; batches weigh by their images."""
    reference, predicted = np.zeros((2, 4, 2, 2, 1), "float32")
    reference[0, 0], predicted[0, 0, 0] = 1, 0.5  # two marked, one found, at the threshold itself
    reference[1, 0], predicted[1, 1], predicted[1, 0] = 1, 1, 0.49
    predicted[2] = 1  # empty, falsely marked
    reference[3], predicted[3] = 1, 0.9
    metric = DicePerImage()
    for part, expected in ((slice(3), (2 / 3 + 0) / 2), (slice(3, 4), (2 / 3 + 0 + 1) / 3)):
        metric.update_state(reference[part], predicted[part])
        assert float(metric.result()) == pytest.approx(expected)
    metric.reset_state()
    assert float(metric.result()) == 0


def test_logged_accuracy_and_iou_are_pooled():
    reference = np.zeros((2, 2, 2, 1), "float32")
    reference[0], reference[1, 0, 0] = 1, 1
    predicted = np.stack([reference[0], 0 * reference[1]])
    metrics = training_metrics("binary_crossentropy")
    for metric in metrics:
        metric.update_state(reference, predicted)
    values = [float(metric.result()) for metric in metrics]
    assert values == pytest.approx([7 / 8, 4 / 5, 1 / 2])
