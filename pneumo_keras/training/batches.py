"""What `fit`, `evaluate` and `predict` take: `tf.data` on TensorFlow, a `PyDataset` elsewhere.

Order and augmentation of a film depend on the seed, the epoch and the film alone, so a run can be
repeated, whatever the backend and the number of threads or devices.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import keras
import numpy as np

from pneumo_keras.dataset.arrays import Arrays
from pneumo_keras.training.devices import ONE_DEVICE, Devices
from pneumo_keras.training.loading import EvaluationSteps, TrainingSteps

# Threads that load, and steps that are loaded before they are asked for, outside `tf.data`.
THREADS, AHEAD = 4, 8


def training_batches(
    arrays: Arrays,
    rows: np.ndarray,
    batch_size: int,
    epochs: int,
    seed: int,
    augmented: bool,
    first: int = 0,
    devices: Devices = ONE_DEVICE,
):
    """Batches for all epochs, one after another, each epoch in an order of its own.

    `fit` must be told `steps_per_epoch`.

    Args:
        arrays: films and masks.
        rows: which of them.
        batch_size: films a batch; no more than there are rows.
        epochs: how many times over.
        seed: of order and augmentation.
        augmented: whether to vary the films.
        first: the epoch, from 0, to begin with.
        devices: between which each batch is shared; each host loads its own share.

    Returns:
        On TensorFlow a `tf.data.Dataset` (with several devices a `DistributedDataset`), elsewhere
        a `keras.utils.PyDataset`, of pairs: films (batch, size, size, 1) float32, 0..255, and
        masks, the same shape, 0 or 1.
    """
    settings = (arrays, rows, batch_size, epochs, seed, augmented, first)
    if keras.backend.backend() == "tensorflow":
        return _shared_tensors(devices, functools.partial(TrainingSteps, *settings))
    return FilmDataset(TrainingSteps(*settings))


def evaluation_batches(
    arrays: Arrays, rows: np.ndarray, batch_size: int, devices: Devices = ONE_DEVICE
):
    """Batches of films as they are, in order, one of them as small as it comes.

    Args:
        arrays: films and masks.
        rows: which of them; with several devices two a device at least.
        batch_size: films a batch.
        devices: between which each batch is shared.

    Returns:
        As `training_batches`.
    """
    settings = (arrays, rows, batch_size)
    if keras.backend.backend() == "tensorflow":
        return _shared_tensors(devices, functools.partial(EvaluationSteps, *settings))
    # Keras on JAX lays out all batches as it does the first, and only the first may not fit.
    return FilmDataset(EvaluationSteps(*settings, smaller_first=True))


class FilmDataset(keras.utils.PyDataset):
    """Steps loaded by threads a little ahead of their use.

    Keras's own `workers` would begin anew with every epoch, at the first epoch's order.

    Args:
        steps: pairs of films and masks.

    Example:
        >>> dataset = FilmDataset([("films", "masks")])
        >>> len(dataset), list(dataset)
        (1, [('films', 'masks')])
    """

    def __init__(self, steps: Sequence):
        super().__init__()
        self._steps = steps
        self._pool = ThreadPoolExecutor(THREADS)
        self._loading: dict[int, Future] = {}

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, index: int):
        if index >= len(self):
            raise IndexError(index)  # which ends a loop over the batches
        for later in range(index, min(index + AHEAD, len(self))):
            if later not in self._loading:
                self._loading[later] = self._pool.submit(self._steps.__getitem__, later)
        return self._loading.pop(index).result()


def _shared_tensors(devices: Devices, steps: Callable[..., Sequence]):
    """The steps as a `tf.data.Dataset`, each host's its own parts."""
    if devices.strategy is None:
        return _tensors(steps())

    def own_parts(host):
        parts = host.num_replicas_in_sync
        own = np.split(np.arange(parts), host.num_input_pipelines)[host.input_pipeline_id]
        return _tensors(steps(parts=parts, own=tuple(own)))

    return devices.strategy.distribute_datasets_from_function(own_parts)


def _tensors(steps: Sequence):
    import tensorflow as tf

    size = steps.arrays.films.shape[1]

    def load(item):
        return steps[int(item)]

    def tensors(item):
        films, masks = tf.numpy_function(load, [item], [tf.float32, tf.float32])
        shape = (None, size, size, 1)
        return tf.ensure_shape(films, shape), tf.ensure_shape(masks, shape)

    items = tf.data.Dataset.range(len(steps))
    return items.map(tensors, tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)
