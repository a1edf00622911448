"""How a training survives being killed: one file, written whole at the end of every epoch.

`checkpoint.npz` holds the variables of model and optimizer (weights, moments, iteration, and the
seeds of dropout) and, as JSON, the history and what the training is of. It alone says how far a
training has come: `history.csv` and `best.keras` are written after it and, when a training goes
on, once more. Order and augmentation of the films depend on seed and epoch alone (`batches`), and
early stopping on the history (`callbacks`), so nothing else needs to be kept.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from pneumo_keras.dataset.files import write_csv, written_whole
from pneumo_keras.errors import StudyError
from pneumo_keras.models.saved import save_model

CHECKPOINT = "checkpoint.npz"
_NAMES = {"fingerprint": "films or split"}  # in messages


@dataclass
class Progress:
    """How far a training has come.

    Attributes:
        history: the logs of every full epoch, in order, with its number from 0 as `epoch`.
        seconds: what they took, in all processes together.
        diverged: whether the loss became NaN.
        stopped: whether it is over before its last epoch, diverged or out of patience.
    """

    history: list[dict] = field(default_factory=list)
    seconds: float = 0.0
    diverged: bool = False
    stopped: bool = False

    @property
    def best(self) -> int:
        """The first epoch, from 0, with the highest validation Dice; no number counts as 0.

        Example:
            >>> dice = [0.5, float("nan"), 0.7, 0.7]
            >>> Progress([{"val_dice": value} for value in dice]).best
            2
        """
        return int(np.argmax(np.nan_to_num([epoch["val_dice"] for epoch in self.history])))


@dataclass(frozen=True)
class Checkpoint:
    """A training as it stood at the end of an epoch.

    Attributes:
        path: the file it was read from.
        progress: how far it had come.
        model: the values of `model.variables`.
        optimizer: the values of `model.optimizer.variables`.
    """

    path: Path
    progress: Progress
    model: list[np.ndarray]
    optimizer: list[np.ndarray]

    def restore_model(self, model: keras.Model) -> None:
        """Gives a model the weights, statistics and seeds of the checkpoint.

        Raises:
            StudyError: if the model has other variables.
        """
        self._assign(model.variables, self.model)

    def restore_optimizer(self, model: keras.Model) -> None:
        """Gives the optimizer of a compiled model the moments and iteration of the checkpoint.

        Raises:
            StudyError: if the optimizer has other variables.
        """
        model.optimizer.build(model.trainable_variables)
        self._assign(model.optimizer.variables, self.optimizer)

    def _assign(self, variables: list, values: list[np.ndarray]) -> None:
        if [tuple(variable.shape) for variable in variables] != [value.shape for value in values]:
            raise StudyError(f"{self.path} is of another network: {_way_out(self.path)}")
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def write_checkpoint(path: Path, model: keras.Model, progress: Progress, identity: dict) -> None:
    """Writes a checkpoint whole or not at all.

    Args:
        path: the file, replaced if it exists.
        model: the model, compiled.
        progress: how far its training has come.
        identity: what the training is of: network, target, recipe, weights, fingerprint.

    Raises:
        StudyError: if it cannot be written.
    """
    variables = {"model": model.variables, "optimizer": model.optimizer.variables}
    counts = {owner: len(owned) for owner, owned in variables.items()}
    state = {"identity": identity, "counts": counts, "progress": vars(progress)}
    values = {
        f"{owner}_{number}": keras.ops.convert_to_numpy(variable)
        for owner, owned in variables.items()
        for number, variable in enumerate(owned)
    }
    with written_whole(path) as temporary:
        np.savez(temporary, state=np.frombuffer(json.dumps(state).encode(), np.uint8), **values)


def read_checkpoint(path: Path, identity: dict) -> Checkpoint:
    """Reads a checkpoint, every byte of it, checked by the file's own sums.

    Args:
        path: the file.
        identity: what the training to go on with is of.

    Raises:
        StudyError: if it cannot be read, or is of another training.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            state = json.loads(file["state"].tobytes())
            values = {
                owner: [file[f"{owner}_{number}"] for number in range(count)]
                for owner, count in state["counts"].items()
            }
        checkpoint = Checkpoint(path, Progress(**state["progress"]), **values)
        held = state["identity"]
    except Exception as error:  # noqa: BLE001 (a damaged archive raises almost anything)
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise StudyError(f"{path} cannot be read ({reason}): {_way_out(path)}") from None
    differing = [_NAMES.get(key, key) for key in identity if held.get(key) != identity[key]]
    if differing:
        raise StudyError(f"{path} is of other {', '.join(differing)}: {_way_out(path)}")
    return checkpoint


def _way_out(path: Path) -> str:
    return f"delete {path.parent} to train from the start"


def write_results(model: keras.Model, progress: Progress, folder: Path) -> None:
    """Writes `history.csv` and, if the last epoch is the best, `best.keras`.

    Args:
        model: the model as the last epoch left it.
        progress: how far its training has come.
        folder: of the training.

    Raises:
        StudyError: if they cannot be written.
    """
    write_csv(folder / "history.csv", pd.DataFrame(progress.history))
    if progress.best == len(progress.history) - 1:
        save_model(model, folder / "best.keras")


class KeepEpochs(keras.callbacks.Callback):
    """Writes the checkpoint and the results of every epoch.

    Args:
        folder: of the training; None on a host that does not write.
        progress: how far the training has come; every epoch is added to it.
        identity: what the training is of.
    """

    def __init__(self, folder: Path | None, progress: Progress, identity: dict):
        super().__init__()
        self.folder = folder
        self.progress = progress
        self.identity = identity
        self.started = 0.0

    def on_train_begin(self, logs=None):
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        now = time.perf_counter()
        self.progress.seconds += now - self.started
        self.started = now
        scores = {key: float(logs[key]) for key in sorted(logs)}
        self.progress.history.append({"epoch": epoch, **scores})
        self.progress.stopped = bool(self.model.stop_training)
        if self.folder:
            write_checkpoint(self.folder / CHECKPOINT, self.model, self.progress, self.identity)
            write_results(self.model, self.progress, self.folder)
