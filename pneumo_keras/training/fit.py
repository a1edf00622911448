"""Training, as the paper's Figure 3: one network, one recipe, one folder of results.

A finished folder holds `best.keras` and `last.keras`, `history.csv`, TensorBoard logs and
`run.json`. Until it is finished it is called `<network>.training`, so that an interrupted run
never looks like a whole one, and the one before stays until the new one is done.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import keras
import pandas as pd

from pneumo_keras.dataset.arrays import Arrays
from pneumo_keras.dataset.files import write_json
from pneumo_keras.errors import StudyError
from pneumo_keras.training.batches import evaluation_batches, training_batches
from pneumo_keras.training.callbacks import EpochLine, StopOnNaN
from pneumo_keras.training.devices import Devices, choose_devices
from pneumo_keras.training.environment import environment, peak_memory_gb
from pneumo_keras.training.losses import LOSSES
from pneumo_keras.training.metrics import training_metrics
from pneumo_keras.training.networks import NETWORKS, Network, build_network
from pneumo_keras.training.outcome import choose_threshold, is_collapsed
from pneumo_keras.training.precision import computing_in
from pneumo_keras.training.recipes import Recipe

# Share of the steps in which a cosine schedule climbs to its learning rate.
WARM_UP = 0.05


def train(
    network: str, recipe: Recipe, arrays: Arrays, split: pd.Series, folder: Path, target: str
) -> dict:
    """Trains one network and leaves its results in a folder.

    Args:
        network: `segnet` or `deeplabv3`.
        recipe: every decision about the training.
        arrays: films and masks at the recipe's size.
        split: part by film name.
        folder: where the results go; what an earlier training left there is replaced at the end.
        target: what the masks mark, noted for those who use the model later.

    Returns:
        The content of `run.json`: recipe, weights, best epoch, threshold, whether the training
        diverged or collapsed, versions, device, duration and peak memory.

    Raises:
        StudyError: if the network cannot be built from the recipe, or the arrays are of another
            size.
    """
    if arrays.films.shape[1] != recipe.size:
        raise StudyError(
            f"arrays are {arrays.films.shape[1]} pixels a side, the recipe says {recipe.size}: "
            "run notebook 02 again"
        )
    devices = choose_devices(recipe.devices)
    films = {part: len(arrays.rows(split, part)) for part in ("train", "validation", "test")}
    devices.check_films(min(recipe.batch_size, films["train"]), films["validation"])
    keras.backend.clear_session()
    keras.utils.set_random_seed(recipe.seed)
    with computing_in(recipe.precision), devices.scope():
        built = build_network(network, recipe)
    if not devices.chief:
        return _assist(built, network, recipe, arrays, split, folder, devices)
    print(
        f"{NETWORKS[network]}: {built.model.count_params():,} parameters, {built.weights} weights"
    )

    partial = folder.with_name(f"{folder.name}.training")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    started = time.perf_counter()
    diverged = _fit(built, network, recipe, arrays, split, partial, devices)
    seconds = time.perf_counter() - started
    if not (partial / "best.keras").exists():
        shutil.copy(partial / "last.keras", partial / "best.keras")

    best = keras.models.load_model(partial / "best.keras", compile=False)
    validation = arrays.rows(split, "validation")
    probabilities = best.predict(
        evaluation_batches(arrays, validation, recipe.batch_size), verbose=0
    )[..., 0]
    history = pd.read_csv(partial / "history.csv")
    run = {
        "network": network,
        "target": target,
        "recipe": recipe.as_json(),
        "weights": built.weights,
        "parameters": built.model.count_params(),
        "films": films,
        "epochs_run": len(history),
        "best_epoch": int(history["val_dice"].fillna(0).idxmax()) + 1,
        "best_validation_dice": float(history["val_dice"].fillna(0).max()),
        "diverged": diverged,
        "collapsed": is_collapsed(probabilities),
        "threshold": choose_threshold(probabilities, arrays.masks[validation], recipe.threshold),
        "seconds": round(seconds, 1),
        "peak_memory_gb": peak_memory_gb(),
        **environment(),
    }
    write_json(partial / "run.json", run)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    devices.wait()
    return run


def _assist(
    built: Network,
    network: str,
    recipe: Recipe,
    arrays: Arrays,
    split: pd.Series,
    folder: Path,
    devices: Devices,
) -> dict:
    """Trains on a host that is not the chief: the same steps, and nothing is written."""
    _fit(built, network, recipe, arrays, split, None, devices)
    devices.wait()
    return load_run(folder)


def _fit(
    built: Network,
    network: str,
    recipe: Recipe,
    arrays: Arrays,
    split: pd.Series,
    folder: Path | None,
    devices: Devices,
) -> bool:
    """Runs the epochs, frozen ones first; whether the loss became NaN.

    Without a folder nothing is written.
    """
    rows = arrays.rows(split, "train")
    steps = len(rows) // min(recipe.batch_size, len(rows))
    validation = evaluation_batches(
        arrays, arrays.rows(split, "validation"), recipe.batch_size, devices
    )
    frozen = min(recipe.frozen_epochs, recipe.epochs) if built.pretrained else 0
    nan = StopOnNaN(NETWORKS[network])
    callbacks = [nan, *_writers(folder), EpochLine(recipe.epochs)] if folder else [nan]
    if recipe.patience is not None:
        callbacks.append(
            keras.callbacks.EarlyStopping(
                "val_dice", mode="max", patience=recipe.patience, start_from_epoch=frozen
            )
        )
    for first, last in ((0, frozen), (frozen, recipe.epochs)):
        if last > first and not nan.diverged:
            _freeze(built, recipe, standing_still=first < frozen)
            rate = recipe.frozen_learning_rate if first < frozen else recipe.learning_rate
            with devices.scope():
                loss = recipe.of(network, "loss")
                _compile(built.model, recipe, loss, rate, (last - first) * steps)
                batches = training_batches(
                    arrays,
                    rows,
                    recipe.batch_size,
                    last,
                    recipe.seed,
                    recipe.augment,
                    first,
                    devices,
                )
                built.model.fit(
                    batches,
                    epochs=last,
                    initial_epoch=first,
                    steps_per_epoch=steps,
                    validation_data=validation,
                    callbacks=callbacks,
                    verbose=0,
                    shuffle=False,
                )
    return nan.diverged


def _writers(folder: Path) -> list[keras.callbacks.Callback]:
    """What writes history, models and logs after each epoch."""
    writers = [
        keras.callbacks.CSVLogger(str(folder / "history.csv"), append=True),
        keras.callbacks.ModelCheckpoint(
            str(folder / "best.keras"), monitor="val_dice", mode="max", save_best_only=True
        ),
        keras.callbacks.ModelCheckpoint(str(folder / "last.keras")),
    ]
    if keras.backend.backend() == "tensorflow":  # Keras's callback writes through TensorFlow
        writers.append(keras.callbacks.TensorBoard(str(folder / "tensorboard"), write_graph=False))
    return writers


def _freeze(built: Network, recipe: Recipe, standing_still: bool) -> None:
    """Lets pretrained layers learn or not.

    Where a recipe freezes at all, the BatchNorm that came pretrained stays in inference mode
    afterwards too: statistics of small batches would undo what it brought along.
    """
    for layer in built.pretrained:
        layer.trainable = not standing_still
        if recipe.frozen_epochs:
            for inner in getattr(layer, "layers", []):
                if isinstance(inner, keras.layers.BatchNormalization):
                    inner.trainable = False


def _compile(model: keras.Model, recipe: Recipe, loss: str, rate: float, steps: int) -> None:
    if recipe.schedule == "cosine":
        warm_up = max(1, int(WARM_UP * steps))
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, max(1, steps - warm_up), warmup_target=rate, warmup_steps=warm_up
        )
    if recipe.optimizer == "adamw":
        optimizer = keras.optimizers.AdamW(
            rate, weight_decay=recipe.weight_decay, clipnorm=recipe.clip_norm
        )
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    else:
        optimizer = keras.optimizers.Adam(rate, clipnorm=recipe.clip_norm)
    model.compile(optimizer, LOSSES[loss](), metrics=training_metrics(loss))


def load_history(folder: Path) -> pd.DataFrame:
    """The epochs of a finished training: loss, accuracy, IoU and Dice, trained and validated.

    Raises:
        StudyError: if there is none.
    """
    return pd.read_csv(_finished(folder, "history.csv"))


def load_run(folder: Path) -> dict:
    """The `run.json` of a finished training.

    Raises:
        StudyError: if there is none.
    """
    return json.loads(_finished(folder, "run.json").read_text("utf-8"))


def _finished(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.exists():
        raise StudyError(f"{path}: not there; train {folder.name} first (notebook 03 or 04)")
    return path
