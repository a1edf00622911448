"""Training, as the paper's Figure 3: one network, one recipe, one folder of results.

A finished folder holds `best.keras` and `last.keras`, `history.csv`, TensorBoard logs and
`run.json`. Until it is finished it is called `<network>.training`, so that an interrupted run
never looks like a whole one, and the one before stays until the new one is done. What is killed
meanwhile can go on from its last full epoch (`checkpoint`).
"""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from pneumo_keras.dataset.arrays import Arrays, fingerprint
from pneumo_keras.dataset.files import remove_partial, write_json
from pneumo_keras.errors import StudyError
from pneumo_keras.models.saved import load_model, save_model
from pneumo_keras.training import folders
from pneumo_keras.training.batches import evaluation_batches, training_batches
from pneumo_keras.training.callbacks import EarlyStopping, EpochLine, StopOnNaN
from pneumo_keras.training.checkpoint import (
    CHECKPOINT,
    Checkpoint,
    KeepEpochs,
    Progress,
    read_checkpoint,
    write_results,
)
from pneumo_keras.training.devices import Devices, choose_devices
from pneumo_keras.training.environment import environment, make_deterministic, peak_memory_gb
from pneumo_keras.training.networks import NETWORKS, Network, build_network
from pneumo_keras.training.optimizing import compile_model, freeze
from pneumo_keras.training.outcome import choose_threshold, is_collapsed
from pneumo_keras.training.precision import computing_in
from pneumo_keras.training.recipes import Recipe


def train(
    network: str,
    recipe: Recipe,
    arrays: Arrays,
    split: pd.Series,
    folder: Path,
    target: str,
    resume: bool = False,
) -> dict:
    """Trains one network and leaves its results in a folder.

    Args:
        network: `segnet` or `deeplabv3`.
        recipe: every decision about the training.
        arrays: films and masks at the recipe's size.
        split: part by film name.
        folder: where the results go; what an earlier training left there is replaced at the end.
        target: what the masks mark, noted for those who use the model later.
        resume: go on from the last full epoch of a training that was stopped, to the same end as
            if it had not been; keep one that is finished. Where there is neither, train anew.

    Returns:
        The content of `run.json`: recipe, weights, best epoch, threshold, whether the training
        diverged or collapsed, versions, device, duration and peak memory (of the last process).

    Raises:
        StudyError: if the network cannot be built from the recipe, the arrays are of another
            size or made with other settings, results cannot be written, or what is to be resumed
            is damaged or of another network, recipe, target, weights, films or split.
    """
    if arrays.films.shape[1] != recipe.size:
        raise StudyError(
            f"arrays are {arrays.films.shape[1]} pixels a side, the recipe says {recipe.size}: "
            "run notebook 02 again"
        )
    for setting in ("clahe", "letterbox"):
        if getattr(arrays, setting) != getattr(recipe, setting):
            raise StudyError(
                f"arrays were made with {setting}={getattr(arrays, setting)}, the recipe says "
                f"{getattr(recipe, setting)}: run notebook 02 again"
            )
    identity = {
        "network": network,
        "target": target,
        "recipe": recipe.as_json(),
        "fingerprint": fingerprint(arrays, split),
    }
    devices = choose_devices(recipe.devices)
    films = {part: len(arrays.rows(split, part)) for part in ("train", "validation", "test")}
    devices.check_films(min(recipe.batch_size, films["train"]), films["validation"])
    if devices.chief:
        folders.take_back(folder)
    partial = folders.partial_folder(folder)
    unfinished = (partial / CHECKPOINT).exists()
    finished = folders.finished_run(folder, identity)
    if resume and finished and not unfinished:
        print(f"{NETWORKS[network]}: trained already, kept")
        return finished

    keras.backend.clear_session()
    keras.utils.set_random_seed(recipe.seed)
    if recipe.deterministic:
        make_deterministic()
    with computing_in(recipe.precision), devices.building():
        built = build_network(network, recipe)
    identity["weights"] = built.weights
    goes_on = resume and unfinished
    checkpoint = read_checkpoint(partial / CHECKPOINT, identity) if goes_on else None
    if not devices.chief:
        _fit(built, recipe, arrays, split, None, identity, checkpoint, devices)
        devices.wait()
        return load_run(folder)

    print(
        f"{NETWORKS[network]}: {built.model.count_params():,} parameters, {built.weights} weights"
    )
    if checkpoint:
        remove_partial(partial)
        print(f"{NETWORKS[network]}: goes on after epoch {len(checkpoint.progress.history)}")
    else:
        folders.make_empty(partial)
    with folders.telling_full_disk(partial):
        progress = _fit(built, recipe, arrays, split, partial, identity, checkpoint, devices)

    best = load_model(partial / "best.keras")
    validation = arrays.rows(split, "validation")
    probabilities = best.predict(
        evaluation_batches(arrays, validation, recipe.batch_size), verbose=0
    )[..., 0]
    run = {
        **identity,
        "parameters": built.model.count_params(),
        "films": films,
        "epochs_run": len(progress.history),
        "best_epoch": progress.best + 1,
        "best_validation_dice": float(np.nan_to_num(progress.history[progress.best]["val_dice"])),
        "diverged": progress.diverged,
        "collapsed": is_collapsed(probabilities),
        "threshold": choose_threshold(probabilities, arrays.masks[validation], recipe.threshold),
        "seconds": round(progress.seconds, 1),
        "peak_memory_gb": peak_memory_gb(),
        **environment(),
    }
    write_json(partial / "run.json", run)
    folders.publish(partial, folder)
    devices.wait()
    return run


def _fit(
    built: Network,
    recipe: Recipe,
    arrays: Arrays,
    split: pd.Series,
    folder: Path | None,
    identity: dict,
    checkpoint: Checkpoint | None,
    devices: Devices,
) -> Progress:
    """Runs the epochs that are left, frozen ones first; without a folder nothing is written."""
    network, model = identity["network"], built.model
    rows = arrays.rows(split, "train")
    steps = len(rows) // min(recipe.batch_size, len(rows))
    frozen = min(recipe.frozen_epochs, recipe.epochs) if built.pretrained else 0
    progress = checkpoint.progress if checkpoint else Progress()

    def prepare(first: int, last: int) -> None:
        freeze(built, recipe, standing_still=first < frozen)
        rate = recipe.frozen_learning_rate if first < frozen else recipe.learning_rate
        compile_model(model, recipe, recipe.of(network, "loss"), rate, (last - first) * steps)

    if checkpoint:
        with devices.building():
            checkpoint.restore_model(model)
            prepare(*((0, frozen) if len(progress.history) <= frozen else (frozen, recipe.epochs)))
            checkpoint.restore_optimizer(model)
        if folder:
            write_results(model, progress, folder)
    callbacks = [StopOnNaN(NETWORKS[network], progress), KeepEpochs(folder, progress, identity)]
    if folder:
        callbacks.append(EpochLine(recipe.epochs))
        if keras.backend.backend() == "tensorflow":  # Keras's callback writes through TensorFlow
            logs = str(folder / "tensorboard")
            callbacks.append(keras.callbacks.TensorBoard(logs, write_graph=False))
    if recipe.patience is not None:
        callbacks.insert(0, EarlyStopping(recipe.patience, frozen, progress))
    for first, last in ((0, frozen), (frozen, recipe.epochs)):
        done = len(progress.history)
        if progress.stopped or not first <= done < last:
            continue
        if done == first:
            with devices.building():
                prepare(first, last)
        with devices.fitting():
            model.fit(
                training_batches(
                    arrays,
                    rows,
                    recipe.batch_size,
                    last,
                    recipe.seed,
                    recipe.augment,
                    first=done,
                    devices=devices,
                ),
                epochs=last,
                initial_epoch=done,
                steps_per_epoch=steps,
                validation_data=evaluation_batches(
                    arrays, arrays.rows(split, "validation"), recipe.batch_size, devices
                ),
                callbacks=callbacks,
                verbose=0,
                shuffle=False,
            )
    if folder:
        save_model(model, folder / "last.keras")
    return progress


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
