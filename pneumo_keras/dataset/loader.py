"""Batches for `fit`, `evaluate` and `predict`: `tf.data` on TensorFlow, a `PyDataset` elsewhere.

What a batch holds depends on the seed, the epoch and the number of the batch alone, so a run can
be repeated whatever the backend and the number of threads, devices or hosts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import keras
import numpy as np

from pneumo_keras.dataset.arrays import Arrays
from pneumo_keras.dataset.augmentation import augment

THREADS, PREFETCH = 4, 8  # outside `tf.data`


@dataclass(frozen=True)
class TrainingBatches(Sequence):
    """The batches of all epochs, one after another, each epoch in an order of its own.

    The incomplete last batch of each epoch is dropped: BatchNorm over a handful of images is
    worse than none.

    Attributes:
        arrays: images and masks.
        rows: which of them.
        batch_size: images per step, over all parts.
        epochs: number of epochs.
        seed: of order and augmentation.
        augmented: whether to augment the images.
        first: the epoch, from 0, that item 0 belongs to.
        parts: number of equal parts that a batch is divided into, one per device.
        own: the parts that are loaded here; each step is as many items, one after another.

    Example:
        >>> import pandas as pd
        >>> images = np.arange(6, dtype=np.uint8).reshape(6, 1, 1)
        >>> arrays = Arrays(images, images % 2, pd.DataFrame())
        >>> batches = TrainingBatches(arrays, np.arange(6), 4, 2, 1, False)
        >>> len(batches), batches[0][0].shape
        (2, (4, 1, 1, 1))
        >>> halves = TrainingBatches(arrays, np.arange(6), 4, 2, 1, False, parts=2, own=(1,))
        >>> np.array_equal(halves[0][0], batches[0][0][2:])
        True
    """

    arrays: Arrays
    rows: np.ndarray
    batch_size: int
    epochs: int
    seed: int
    augmented: bool
    first: int = 0
    parts: int = 1
    own: tuple[int, ...] = (0,)

    @property
    def steps(self) -> int:
        """Steps per epoch."""
        return len(self.rows) // min(self.batch_size, len(self.rows))

    def __len__(self) -> int:
        return (self.epochs - self.first) * self.steps * len(self.own)

    def __getitem__(self, item: int) -> tuple[np.ndarray, np.ndarray]:
        if not 0 <= item < len(self):
            raise IndexError(item)
        step, own = divmod(item, len(self.own))
        epoch, step = divmod(step, self.steps)
        epoch += self.first
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.rows))
        used = order[: self.steps * min(self.batch_size, len(self.rows))]
        batch = np.split(used.reshape(self.steps, -1)[step], self.parts)[self.own[own]]
        rows = self.rows[batch]
        pairs = [(self.arrays.images[row], self.arrays.masks[row]) for row in rows]
        if self.augmented:
            generators = [np.random.default_rng((self.seed, epoch, row)) for row in rows]
            pairs = [augment(*pair, rng) for pair, rng in zip(pairs, generators, strict=True)]
        return _stack(pairs)


@dataclass(frozen=True)
class EvaluationBatches(Sequence):
    """Images as they are and in order; the last batch (or the first) may be smaller.

    Attributes:
        arrays: images and masks.
        rows: which of them.
        batch_size: images per step, over all parts.
        smaller_first: whether the smaller batch is the first or the last.
        parts: number of parts that a batch is divided into, one per device. They are equal
            except in the last batch, and never empty, which takes two images a part.
        own: the parts that are loaded here; each step is as many items, one after another.

    Example:
        >>> import pandas as pd
        >>> images = np.zeros((5, 1, 1), np.uint8)
        >>> arrays = Arrays(images, images, pd.DataFrame())
        >>> [len(masks) for _, masks in EvaluationBatches(arrays, np.arange(5), 2)]
        [2, 2, 1]
        >>> halves = EvaluationBatches(arrays, np.arange(5), 4, parts=2, own=(0, 1))
        >>> [len(masks) for _, masks in halves]
        [1, 1, 2, 1]
    """

    arrays: Arrays
    rows: np.ndarray
    batch_size: int
    smaller_first: bool = False
    parts: int = 1
    own: tuple[int, ...] = (0,)

    @property
    def _starts(self) -> list[int]:
        """Positions in `rows` at which the batches begin."""
        images, batch = len(self.rows), self.batch_size - self.batch_size % self.parts
        if self.smaller_first and images % batch:
            return [0, *range(images % batch, images, batch)]
        unequal = images % self.parts
        last = images - self.parts - unequal if unequal else images
        return [*range(0, last, batch), *([last] if unequal else [])]

    def __len__(self) -> int:
        return len(self._starts) * len(self.own)

    def __getitem__(self, item: int) -> tuple[np.ndarray, np.ndarray]:
        if not 0 <= item < len(self):
            raise IndexError(item)
        step, own = divmod(item, len(self.own))
        batch = np.split(self.rows, self._starts[1:])[step]
        rows = np.array_split(batch, self.parts)[self.own[own]]
        return _stack([(self.arrays.images[row], self.arrays.masks[row]) for row in rows])


def training_batches(
    arrays: Arrays,
    rows: np.ndarray,
    batch_size: int,
    epochs: int,
    seed: int,
    augmented: bool,
    first: int = 0,
    strategy=None,
):
    """Batches for all epochs, one after another; `fit` must be told `steps_per_epoch`.

    Args:
        arrays: images and masks.
        rows: which of them.
        batch_size: images per batch; no more than there are rows.
        epochs: number of epochs.
        seed: of order and augmentation.
        augmented: whether to augment the images.
        first: the epoch, from 0, to begin with.
        strategy: a `tf.distribute.Strategy` between whose replicas each batch is shared.

    Returns:
        On TensorFlow a `tf.data.Dataset` (with a strategy a `DistributedDataset`), elsewhere a
        `keras.utils.PyDataset`, of pairs: images (batch, size, size, 1) float32, 0..255, and
        masks, the same shape, 0 or 1.
    """
    settings = (arrays, rows, batch_size, epochs, seed, augmented, first)
    if keras.backend.backend() == "tensorflow":
        return _tensors(functools.partial(TrainingBatches, *settings), strategy)
    return BatchDataset(TrainingBatches(*settings))


def evaluation_batches(arrays: Arrays, rows: np.ndarray, batch_size: int, strategy=None):
    """Batches of images as they are, in order, one of them possibly smaller.

    Args:
        arrays: images and masks.
        rows: which of them; with a strategy at least two per replica.
        batch_size: images per batch.
        strategy: a `tf.distribute.Strategy` between whose replicas each batch is shared.

    Returns:
        As `training_batches`.
    """
    settings = (arrays, rows, batch_size)
    if keras.backend.backend() == "tensorflow":
        return _tensors(functools.partial(EvaluationBatches, *settings), strategy)
    # Keras on JAX lays out all batches as it does the first, and only the first may differ.
    return BatchDataset(EvaluationBatches(*settings, smaller_first=True))


class BatchDataset(keras.utils.PyDataset):
    """Batches loaded by threads ahead of their use.

    Keras's own `workers` would begin every epoch with the order of the first.

    Args:
        batches: pairs of images and masks.

    Example:
        >>> dataset = BatchDataset([("images", "masks")])
        >>> len(dataset), list(dataset)
        (1, [('images', 'masks')])
    """

    def __init__(self, batches: Sequence):
        super().__init__()
        self._batches = batches
        self._pool = ThreadPoolExecutor(THREADS)
        self._loading: dict[int, Future] = {}

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int):
        if index >= len(self):
            raise IndexError(index)  # ends a loop over the batches
        for later in range(index, min(index + PREFETCH, len(self))):
            if later not in self._loading:
                self._loading[later] = self._pool.submit(self._batches.__getitem__, later)
        return self._loading.pop(index).result()


def _stack(pairs: list) -> tuple[np.ndarray, np.ndarray]:
    images, masks = zip(*pairs, strict=True)
    return tuple(np.stack(part)[..., None].astype(np.float32) for part in (images, masks))


def _tensors(batches: Callable[..., Sequence], strategy):
    """The batches as a `tf.data.Dataset`, or a distributed one of which each host loads a part."""
    if strategy is None:
        return _dataset(batches())

    def of_host(host):
        parts = host.num_replicas_in_sync
        own = np.split(np.arange(parts), host.num_input_pipelines)[host.input_pipeline_id]
        return _dataset(batches(parts=parts, own=tuple(own)))

    return strategy.distribute_datasets_from_function(of_host)


def _dataset(batches: Sequence):
    import tensorflow as tf

    size = batches.arrays.images.shape[1]

    def load(item):
        return batches[int(item)]

    def tensors(item):
        images, masks = tf.numpy_function(load, [item], [tf.float32, tf.float32])
        shape = (None, size, size, 1)
        return tf.ensure_shape(images, shape), tf.ensure_shape(masks, shape)

    items = tf.data.Dataset.range(len(batches))
    return items.map(tensors, tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)
