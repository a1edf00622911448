"""Batches for `fit`, `evaluate` and `predict`: `tf.data` on TensorFlow, a `PyDataset` elsewhere.

What a batch holds depends on the seed, the epoch and the number of the batch alone, so a run can be
repeated whatever the backend and the number of threads, devices or hosts.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import keras
import numpy as np

from pneumo_keras.dataset.arrays import Arrays
from pneumo_keras.dataset.augmentation import augment

THREADS, PREFETCH = 4, 8  # outside `tf.data`
Steps = Sequence[tuple[np.ndarray, tuple[int, int] | None]]


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
    """Batches for all epochs, one after another; `fit` needs `steps_per_epoch`.

    Args:
        arrays: images and masks.
        rows: which of them.
        batch_size: images per batch.
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
    steps = training_steps(rows, batch_size, epochs, seed, augmented, first)
    return _for_backend(arrays, steps, strategy)


def evaluation_batches(arrays: Arrays, rows: np.ndarray, batch_size: int, strategy=None):
    """Batches of images as they are, in order, one of them possibly smaller.

    Arguments and result as for `training_batches`; a strategy takes at least two images per
    replica.
    """
    parts = strategy.num_replicas_in_sync if strategy else 1
    # Keras on JAX lays out all batches as it does the first, and only the first may differ.
    smaller_first = keras.backend.backend() != "tensorflow"
    return _for_backend(arrays, evaluation_steps(rows, batch_size, parts, smaller_first), strategy)


def training_steps(
    rows: np.ndarray, batch_size: int, epochs: int, seed: int, augmented: bool, first: int = 0
) -> Steps:
    """For each step, its rows and the seed of its augmentation, None without augmentation.

    Each epoch has an order of its own. Its incomplete last batch is dropped: BatchNorm over a
    handful of images is worse than none.

    Example:
        >>> [len(batch) for batch, _ in training_steps(np.arange(9), 4, 2, 1, False)]
        [4, 4, 4, 4]
    """
    size, steps = min(batch_size, len(rows)), []
    for epoch in range(first, epochs):
        order = np.random.default_rng((seed, epoch)).permutation(rows)
        full = order[: len(rows) - len(rows) % size].reshape(-1, size)
        steps += [(batch, (seed, epoch) if augmented else None) for batch in full]
    return steps


def evaluation_steps(
    rows: np.ndarray, batch_size: int, parts: int = 1, smaller_first: bool = False
) -> Steps:
    """The same for images in order; the last batch (or the first) may be smaller.

    With several parts per step, one per device, those of the last batch may differ in size, but
    none is empty.

    Example:
        >>> [len(batch) for batch, _ in evaluation_steps(np.arange(9), 4)]
        [4, 4, 1]
        >>> [len(batch) for batch, _ in evaluation_steps(np.arange(9), 4, parts=2)]
        [4, 2, 3]
    """
    size, uneven = batch_size - batch_size % parts, len(rows) % parts
    if smaller_first:
        ends = range(len(rows) % size or size, len(rows), size)
    elif uneven:
        last = len(rows) - parts - uneven
        ends = [*range(size, last, size), last]
    else:
        ends = range(size, len(rows), size)
    return [(batch, None) for batch in np.split(rows, ends)]


class Batches(keras.utils.PyDataset):
    """Pairs of images and masks, loaded by threads ahead of their use.

    Keras's own `workers` would begin every epoch with the order of the first.

    Args:
        arrays: images and masks.
        steps: from `training_steps` or `evaluation_steps`.
        parts: number of parts that a batch is divided into, one per device.
        own: the parts that are loaded here; each step is as many items, one after another.

    Example:
        >>> import pandas as pd
        >>> images = np.zeros((5, 2, 2), np.uint8)
        >>> arrays = Arrays(images, images, pd.DataFrame())
        >>> steps = evaluation_steps(np.arange(5), 4, parts=2)
        >>> [images.shape for images, masks in Batches(arrays, steps, parts=2, own=(0, 1))]
        [(1, 2, 2, 1), (1, 2, 2, 1), (2, 2, 2, 1), (1, 2, 2, 1)]
    """

    def __init__(self, arrays: Arrays, steps: Steps, parts: int = 1, own: Sequence[int] = (0,)):
        super().__init__()
        self.arrays, self.steps, self.parts, self.own = arrays, steps, parts, own
        self._pool = ThreadPoolExecutor(THREADS)
        self._loading: dict[int, Future] = {}

    def __len__(self) -> int:
        return len(self.steps) * len(self.own)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if index >= len(self):
            raise IndexError(index)  # ends a loop over the batches
        for later in range(index, min(index + PREFETCH, len(self))):
            if later not in self._loading:
                self._loading[later] = self._pool.submit(self.load, later)
        return self._loading.pop(index).result()

    def load(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Load one batch, or one part of it, as float32 (images, size, size, 1)."""
        step, own = divmod(index, len(self.own))
        batch, seed = self.steps[step]
        rows = np.array_split(batch, self.parts)[self.own[own]]
        pairs = [(self.arrays.images[row], self.arrays.masks[row]) for row in rows]
        if seed:
            generators = [np.random.default_rng((*seed, row)) for row in rows]
            pairs = [augment(*pair, rng) for pair, rng in zip(pairs, generators, strict=True)]
        images, masks = zip(*pairs, strict=True)
        return tuple(np.stack(part)[..., None].astype(np.float32) for part in (images, masks))


def _for_backend(arrays: Arrays, steps: Steps, strategy):
    """The batches as Keras needs them; with a strategy, each host loads the parts of its own."""
    if keras.backend.backend() != "tensorflow":
        return Batches(arrays, steps)
    if strategy is None:
        return _dataset(Batches(arrays, steps))

    def of_host(host):
        parts = host.num_replicas_in_sync
        own = np.split(np.arange(parts), host.num_input_pipelines)[host.input_pipeline_id]
        return _dataset(Batches(arrays, steps, parts, own))

    return strategy.distribute_datasets_from_function(of_host)


def _dataset(batches: Batches):
    import tensorflow as tf

    shape = (None, *batches.arrays.images.shape[1:], 1)

    def tensors(index):
        pair = tf.numpy_function(
            lambda index: batches.load(int(index)), [index], [tf.float32, tf.float32]
        )
        images, masks = (tf.ensure_shape(part, shape) for part in pair)
        return images, masks

    indices = tf.data.Dataset.range(len(batches))
    return indices.map(tensors, tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)
