"""Training of one network (Figure 3 of the paper): its folder, its phases, its results.

A finished folder holds `best.keras` (to use), `last.keras` (to train on), `history.csv`,
TensorBoard logs and `run.json`. Until it is finished it is called `<network>.training`, so that an
interrupted training never looks like a complete one, and earlier results stay until then.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import keras
import pandas as pd

from pneumo_keras.config import NETWORKS, Recipe
from pneumo_keras.dataset.arrays import Arrays, fingerprint
from pneumo_keras.dataset.loader import evaluation_batches, training_batches
from pneumo_keras.errors import StudyError
from pneumo_keras.files import cannot_write, remove_partial, write_json
from pneumo_keras.models.saving import load_model, save_model, standard_settings
from pneumo_keras.runs import read_run, status
from pneumo_keras.training import build, callbacks
from pneumo_keras.training.devices import (
    choose_devices,
    environment,
    peak_memory_gb,
    prepare_backend,
)
from pneumo_keras.training.folders import (
    complete_interrupted_move,
    finished_run,
    make_empty,
    publish,
)
from pneumo_keras.training.losses import LOSSES
from pneumo_keras.training.metrics import training_metrics
from pneumo_keras.training.outcome import choose_threshold, judge


@dataclass(frozen=True)
class Phase:
    """Epochs with the same trainable layers: those with frozen layers first, then all others.

    Attributes:
        first, last: epochs, from 0, `last` not included.
        steps: optimizer steps of the whole phase.
        learning_rate: the highest of its schedule.
        batches: training batches of its epochs, for `fit`.
    """

    first: int
    last: int
    steps: int
    learning_rate: float
    batches: object


class Training:
    """One training of one network: what `fit` needs, and what is kept of it.

    Args:
        network: `segnet` or `deeplabv3`.
        recipe: every decision about the training.
        arrays: images and masks at the recipe's size.
        split: part by image name.
        folder: where the results go; earlier results there are replaced at the end.
        target: what the masks mark, noted in `run.json`.
        resume: continue a stopped training after its last complete epoch, to the same end as if it
            had not been stopped; keep one that is finished. Where there is neither, train anew.

    Attributes:
        weights: initial weights for `segnet` or `deeplab_v3`: None, `imagenet` or a file.
        finished: the content of `run.json` if there is nothing left to do, else None.
        steps: optimizer steps per epoch.
        validation: batches of the validation images.
        callbacks: for `fit`; they write all results.

    Raises:
        StudyError: if the arrays are of another size or were made with other settings, weights
            are missing, results cannot be written, or what is to be resumed is damaged or of
            another network, recipe, target, weights, images or split.
    """

    def __init__(
        self,
        network: str,
        recipe: Recipe,
        arrays: Arrays,
        split: pd.Series,
        folder: Path,
        target: str,
        resume: bool = False,
    ):
        arrays.check(recipe)
        self.network, self.recipe, self.arrays, self.folder = network, recipe, arrays, folder
        self.rows = {part: arrays.rows(split, part) for part in ("train", "validation", "test")}
        self.devices = choose_devices(recipe.devices)
        batch_size = min(recipe.batch_size, len(self.rows["train"]))
        self.devices.check_images(batch_size, len(self.rows["validation"]))
        self.steps = len(self.rows["train"]) // batch_size
        self.identity = {
            "network": network,
            "target": target,
            "recipe": recipe.as_json(),
            "fingerprint": fingerprint(arrays, split),
        }
        self._partial = folder.with_name(f"{folder.name}.training")
        if self.devices.chief:
            complete_interrupted_move(folder)
        stopped = resume and (self._partial / callbacks.CHECKPOINT).exists()
        self.finished = finished_run(folder, self.identity) if resume and not stopped else None
        self.weights = None if self.finished else build.initial_weights(network, recipe)
        if self.finished:
            print(f"{NETWORKS[network]}: already trained, kept")
            return
        self.identity["weights"] = build.describe_weights(network, recipe, self.weights)
        self.progress = callbacks.Progress()
        if stopped:
            path = self._partial / callbacks.CHECKPOINT
            self.progress = callbacks.read_progress(path, self.identity)
            print(f"{NETWORKS[network]}: continues after epoch {len(self.progress.history)}")
        if self.devices.chief and stopped:
            remove_partial(self._partial)
            callbacks.write_results(self._partial, self.progress)
        elif self.devices.chief:
            make_empty(self._partial)
        self.validation = evaluation_batches(
            arrays, self.rows["validation"], recipe.batch_size, self.devices.strategy
        )
        self.callbacks = self._callbacks()
        prepare_backend(recipe.seed, recipe.deterministic)

    @contextmanager
    def scope(self) -> Iterator[None]:
        """The context to build and train the network in: precision and devices of the recipe.

        Raises:
            StudyError: if the disk is full.
        """
        full = os.strerror(errno.ENOSPC)
        try:
            with standard_settings(), self.devices.scope():
                keras.config.set_dtype_policy(self.recipe.precision)
                yield
        except Exception as error:  # TensorBoard's writer raises no OSError
            if isinstance(error, StudyError) or full not in str(error):
                raise
            raise cannot_write(self._partial, OSError(errno.ENOSPC, full)) from None

    def phases(self, model: keras.Model) -> Iterator[Phase]:
        """The phases that are left, to compile and fit the model in.

        Args:
            model: the network; its weights are restored where a training continues.

        Yields:
            Two phases where the recipe freezes pretrained layers first, else one. The model must
            be compiled anew in each, since its trainable layers have changed.
        """
        if self.finished:
            return
        recipe, progress = self.recipe, self.progress
        if self.progress.history:
            self.checkpoint.restore(model)
        frozen = min(recipe.frozen_epochs, recipe.epochs) if self.weights else 0
        for first, last in ((0, frozen), (frozen, recipe.epochs)):
            done = len(progress.history)
            if progress.stopped or not first <= done < last:
                continue
            if frozen:
                build.freeze(self.network, model, frozen=first < frozen)
            self.checkpoint.restore_optimizer = done > first
            rate = recipe.frozen_learning_rate if first < frozen else recipe.learning_rate
            batches = training_batches(
                self.arrays,
                self.rows["train"],
                recipe.batch_size,
                last,
                recipe.seed,
                recipe.augment,
                first=done,
                strategy=self.devices.strategy,
            )
            steps = (last - first) * self.steps
            self.checkpoint.recipe_loss = LOSSES[recipe.of(self.network, "loss")]()
            self.checkpoint.recipe_optimizer = build.make_optimizer(recipe, rate, steps)
            yield Phase(done, last, steps, rate, batches)

    def finish(self, model: keras.Model) -> dict:
        """Choose the threshold, judge the result and put it in its place.

        Args:
            model: the trained network.

        Returns:
            The content of `run.json`: recipe, weights, best epoch, threshold, whether the training
            diverged or the network predicts nothing, versions, device, duration and peak memory.
        """
        if self.finished:
            return self.finished
        if not self.devices.chief:
            self.devices.wait()
            return read_run(self.folder)
        rows, masks, progress = self.rows["validation"], self.arrays.masks, self.progress
        best = load_model(self._partial / callbacks.BEST)
        save_model(best, self._partial / callbacks.BEST)  # without the optimizer
        batches = evaluation_batches(self.arrays, rows, self.recipe.batch_size)
        probabilities = best.predict(batches, verbose=0)[..., 0]
        threshold = choose_threshold(probabilities, masks[rows], self.recipe.threshold)
        run = {
            **self.identity,
            "changed_by_hand": [
                *build.changes(self.network, self.recipe, model),
                *progress.changes,
            ],
            "parameters": model.count_params(),
            "images": {part: len(rows) for part, rows in self.rows.items()},
            "epochs_run": len(progress.history),
            "best_epoch": progress.best + 1,
            "best_validation_dice": progress.best_dice,
            "diverged": progress.diverged,
            "threshold": threshold,
            **judge(probabilities, masks[rows], threshold, masks[self.rows["train"]]),
            "seconds": round(progress.seconds, 1),
            "peak_memory_gb": peak_memory_gb(),
            **environment(),
        }
        write_json(self._partial / "run.json", run)
        publish(self._partial, self.folder)
        self.devices.wait()
        print(f"{NETWORKS[self.network]}: {status(run)}")
        return run

    def _callbacks(self) -> list[keras.callbacks.Callback]:
        recipe, progress, chief = self.recipe, self.progress, self.devices.chief
        self.checkpoint = callbacks.Checkpoint(self._partial, progress, self.identity, chief)
        used = [callbacks.StopOnNaN(NETWORKS[self.network], progress), self.checkpoint]
        if chief:
            used.append(callbacks.EpochLine(recipe.epochs))
        if chief and keras.backend.backend() == "tensorflow":
            logs = str(self._partial / "tensorboard")
            used.append(keras.callbacks.TensorBoard(logs, write_graph=False))
        if recipe.patience is not None:
            frozen = min(recipe.frozen_epochs, recipe.epochs) if self.weights else 0
            used.insert(0, callbacks.EarlyStopping(recipe.patience, frozen, progress))
        return used


def train(
    network: str,
    recipe: Recipe,
    arrays: Arrays,
    split: pd.Series,
    folder: Path,
    target: str,
    resume: bool = False,
) -> dict:
    """Train one network as notebooks 03 and 04 do; arguments and errors as for `Training`.

    Returns:
        The content of `run.json`, see `Training.finish`.
    """
    training = Training(network, recipe, arrays, split, folder, target, resume)
    if training.finished:
        return training.finished
    with training.scope():
        model = build.build_network(network, recipe, training.weights)
        loss = recipe.of(network, "loss")
        for phase in training.phases(model):
            optimizer = build.make_optimizer(recipe, phase.learning_rate, phase.steps)
            model.compile(optimizer, LOSSES[loss](), metrics=training_metrics(loss))
            model.fit(
                phase.batches,
                validation_data=training.validation,
                initial_epoch=phase.first,
                epochs=phase.last,
                steps_per_epoch=training.steps,
                callbacks=training.callbacks,
                verbose=0,
                shuffle=False,
            )
    return training.finish(model)
