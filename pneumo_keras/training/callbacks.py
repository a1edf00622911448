"""Callbacks of a training: progress line, checkpoint, divergence, early stopping.

After every epoch the whole state of a training is in one file, `last.keras`: the network, its
optimizer and, as `training.json` inside it, the history. A killed training continues from there.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import tempfile
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from pneumo_keras.errors import StudyError
from pneumo_keras.files import atomic_write, write_csv

CHECKPOINT, BEST, HISTORY = "last.keras", "best.keras", "history.csv"
STATE = "training.json"  # inside the checkpoint


@dataclass
class Progress:
    """How far a training has come.

    Attributes:
        history: loss and metrics by name, one dictionary per epoch.
        seconds: duration of these epochs.
        diverged: whether the loss became NaN or infinite.
        stopped: whether no further epoch is to be run.
        changes: how loss or optimizer differ from the recipe's.

    Example:
        >>> Progress(history=[{"val_dice": 0.2}, {"val_dice": 0.6}, {"val_dice": 0.6}]).best
        1
    """

    history: list[dict] = field(default_factory=list)
    seconds: float = 0.0
    diverged: bool = False
    stopped: bool = False
    changes: list[str] = field(default_factory=list)

    @property
    def best(self) -> int:
        """The first epoch, from 0, with the highest validation Dice; NaN counts as 0."""
        return int(np.argmax(np.nan_to_num([epoch["val_dice"] for epoch in self.history])))

    @property
    def best_dice(self) -> float:
        """The validation Dice of that epoch, at a threshold of 0.5."""
        return float(np.nan_to_num(self.history[self.best]["val_dice"]))


def read_progress(path: Path, identity: dict) -> Progress:
    """Read how far a stopped training has come.

    Args:
        path: its checkpoint.
        identity: what the training must have in common with the one that is to continue.

    Raises:
        StudyError: if the checkpoint is damaged or of another training.
    """
    remedy = f"delete {path.parent} to train from the start"
    try:
        with zipfile.ZipFile(path) as archive:
            if (damaged := archive.testzip()) is not None:
                raise ValueError(f"damaged: {damaged}")
            state = json.loads(archive.read(STATE))
        progress = Progress(**state["progress"])
        held = state["identity"]
    except Exception as error:  # noqa: BLE001 (a damaged archive raises almost anything)
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise StudyError(f"{path} cannot be read ({reason}): {remedy}") from None
    names = {"fingerprint": "images or split"}
    other = [names.get(key, key) for key, value in identity.items() if held.get(key) != value]
    if other:
        raise StudyError(f"{path} is of other {', '.join(other)}: {remedy}")
    return progress


class Checkpoint(keras.callbacks.Callback):
    """Write the state of every epoch, and restore it when `fit` begins.

    Writes `last.keras`, then `history.csv` and, if the epoch is the best so far, `best.keras`.

    Args:
        folder: where to write and to restore from.
        progress: extended after every epoch.
        identity: what tells this training from others, kept in the checkpoint.
        write: whether this process writes (of several hosts only one does).

    Attributes:
        restore_optimizer: set it where the next `fit` continues amid a phase.
        recipe_loss, recipe_optimizer: of the next `fit`; where a notebook compiles others, that is
            noted, so that Table 1 can tell.
    """

    def __init__(self, folder: Path, progress: Progress, identity: dict, write: bool = True):
        super().__init__()
        self.folder = folder
        self.progress = progress
        self.identity = identity
        self.write = write
        self.restore_optimizer = False
        self.recipe_loss = self.recipe_optimizer = None
        self.started = 0.0

    def on_train_begin(self, logs=None):
        changes = dict.fromkeys(self.progress.changes)
        loss = self.recipe_loss
        if self.model.loss != loss.name and _settings(self.model.loss) != _settings(loss):
            changes[f"loss {getattr(self.model.loss, 'name', self.model.loss)}"] = None
        if _settings(self.model.optimizer) != _settings(self.recipe_optimizer):
            changes[f"optimizer {type(self.model.optimizer).__name__}"] = None
        self.progress.changes = list(changes)
        if self.restore_optimizer:
            self.restore_optimizer = False
            self.model.optimizer.build(self.model.trainable_variables)
            self.restore(self.model)
        self.started = time.perf_counter()

    def restore(self, model: keras.Model) -> None:
        """Load weights, and the optimizer of a compiled model, from the checkpoint.

        Raises:
            StudyError: if the checkpoint is of a network of other layers.
        """
        path = self.folder / CHECKPOINT
        try:
            with zipfile.ZipFile(path) as archive:
                state = json.loads(archive.read(STATE))
            if state["shapes"] != _shapes(model):  # Keras ignores weights of layers it has not
                raise ValueError
            model.load_weights(path)
            for variable, value in zip(_seeds(model), state["seeds"], strict=True):
                variable.assign(np.array(value, variable.dtype))
        except (ValueError, KeyError, OSError):
            raise StudyError(
                f"{path} is of another network: delete {self.folder} to train from the start"
            ) from None

    def on_epoch_end(self, epoch, logs=None):
        self.started, previous = time.perf_counter(), self.started
        self.progress.seconds += self.started - previous
        scores = {key: float(logs[key]) for key in sorted(logs)}
        self.progress.history.append({"epoch": epoch, **scores})
        self.progress.stopped = bool(self.model.stop_training)
        if self.write:
            self._save()
            write_results(self.folder, self.progress)
        else:  # `tf.distribute` wants every host to save, since saving makes the hosts communicate
            with tempfile.TemporaryDirectory() as elsewhere:
                self.model.save(Path(elsewhere) / CHECKPOINT)

    def _save(self) -> None:
        state = {
            "identity": self.identity,
            "progress": vars(self.progress),
            "shapes": _shapes(self.model),
            "seeds": [keras.ops.convert_to_numpy(seed).tolist() for seed in _seeds(self.model)],
        }
        with atomic_write(self.folder / CHECKPOINT) as temporary:
            self.model.save(temporary)
            with zipfile.ZipFile(temporary, "a") as archive:
                archive.writestr(STATE, json.dumps(state))


def _settings(part) -> str:
    """Class and settings of a loss or optimizer, without the names that Keras numbers."""
    return re.sub(r"'name': '[^']*'", "", str(keras.saving.serialize_keras_object(part)))


def _shapes(model: keras.Model) -> list:
    return [list(weight.shape) for weight in model.weights]


def _seeds(model: keras.Model) -> list:
    """States of the random generators (of dropout), which `.keras` files do not hold."""
    weights = {id(weight) for weight in model.weights}
    return [variable for variable in model.variables if id(variable) not in weights]


def write_results(folder: Path, progress: Progress) -> None:
    """Write `history.csv` and, if the last epoch is the best, link `best.keras` to its state."""
    write_csv(folder / HISTORY, pd.DataFrame(progress.history))
    if progress.best == len(progress.history) - 1:
        with atomic_write(folder / BEST) as temporary:
            try:
                os.link(folder / CHECKPOINT, temporary)
            except OSError:  # no links on this file system
                shutil.copyfile(folder / CHECKPOINT, temporary)


class EpochLine(keras.callbacks.Callback):
    """Print one line per epoch: loss and Dice of training and validation images.

    Args:
        epochs: number of epochs in all.

    Example:
        >>> EpochLine(20).line(2, {"loss": 0.5, "dice": 0.7, "val_loss": 0.6, "val_dice": 0.65}, 9)
        'epoch  3/20   loss 0.500  Dice 0.700   validation loss 0.600  Dice 0.650   9 s'
    """

    def __init__(self, epochs: int):
        super().__init__()
        self.epochs = epochs
        self.started = 0.0

    def line(self, epoch: int, logs: dict, seconds: float) -> str:
        """The line for an epoch counted from 0."""
        return (
            f"epoch {epoch + 1:{len(str(self.epochs))}d}/{self.epochs}   "
            f"loss {logs['loss']:.3f}  Dice {logs['dice']:.3f}   "
            f"validation loss {logs['val_loss']:.3f}  Dice {logs['val_dice']:.3f}   {seconds:.0f} s"
        )

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        print(self.line(epoch, logs, time.perf_counter() - self.started), flush=True)


class StopOnNaN(keras.callbacks.Callback):
    """Stop a training whose loss is NaN or infinite, and say so.

    Args:
        network: its printed name, for the message.
        progress: marked as diverged.
    """

    def __init__(self, network: str, progress: Progress):
        super().__init__()
        self.network = network
        self.progress = progress
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if not self.progress.diverged and not math.isfinite((logs or {}).get("loss", 0.0)):
            self.progress.diverged = True
            self.model.stop_training = True
            kept = "the best epoch before it is kept" if self.epoch else "nothing was learnt"
            print(
                f"{self.network}: the loss is not a finite number in epoch {self.epoch + 1}; "
                f"training stops, {kept}. Try a lower learning_rate.",
                flush=True,
            )


class EarlyStopping(keras.callbacks.EarlyStopping):
    """Stop after epochs without a better validation Dice, earlier processes' epochs included.

    Args:
        patience: epochs to wait.
        first: the epoch, from 0, at which counting begins.
        progress: the epochs that were run already.
    """

    def __init__(self, patience: int, first: int, progress: Progress):
        super().__init__("val_dice", mode="max", patience=patience, start_from_epoch=first)
        self.progress = progress

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        for epoch in self.progress.history:
            self.on_epoch_end(epoch["epoch"], epoch)
