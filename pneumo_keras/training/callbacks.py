"""What happens at the end of a step or an epoch."""

from __future__ import annotations

import math
import time

import keras

from pneumo_keras.training.checkpoint import Progress


class EpochLine(keras.callbacks.Callback):
    """Prints one line an epoch: its loss and Dice, on training and validation films.

    Args:
        epochs: how many there are in all.

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
    """Stops a training whose loss is no longer a number, and says so.

    Args:
        network: its name, for the message.
        progress: told that the training has diverged.
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
                f"{self.network}: the loss is not a number in epoch {self.epoch + 1}; training "
                f"stops, {kept}. Try a lower learning_rate.",
                flush=True,
            )


class EarlyStopping(keras.callbacks.EarlyStopping):
    """Stops a training that gains no validation Dice; counts on where a training goes on.

    Args:
        patience: epochs without gain to wait.
        first: the epoch, from 0, that counting begins with.
        progress: holds the epochs that are counted already.
    """

    def __init__(self, patience: int, first: int, progress: Progress):
        super().__init__("val_dice", mode="max", patience=patience, start_from_epoch=first)
        self.progress = progress

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        for epoch in self.progress.history:
            self.on_epoch_end(epoch["epoch"], epoch)
