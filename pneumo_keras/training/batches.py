"""Batches of films and masks through `tf.data`."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from pneumo_keras.dataset.arrays import Arrays
from pneumo_keras.dataset.augmentation import augment


def training_batches(
    arrays: Arrays,
    rows: np.ndarray,
    batch_size: int,
    epochs: int,
    seed: int,
    augmented: bool,
    first: int = 0,
) -> tf.data.Dataset:
    """Batches for all epochs, one after another, each epoch in an order of its own.

    Order and augmentation of a film depend on the seed, the epoch and the film alone, so a run
    can be repeated, whatever the number of threads. The films that do not fill a last batch
    sit out that epoch: BatchNorm over a handful of films is worse than none.

    Args:
        arrays: films and masks.
        rows: which of them.
        batch_size: films a batch; no more than there are rows.
        epochs: how many times over.
        seed: of order and augmentation.
        augmented: whether to vary the films.
        first: the epoch, from 0, to begin with.

    Returns:
        Pairs of films (batch, size, size, 1) float32, 0..255, and masks, the same shape, 0 or 1.
    """
    batch_size = min(batch_size, len(rows))
    steps = len(rows) // batch_size

    def load(epoch, positions):
        return _load(arrays, rows[positions], augmented, (seed, int(epoch)))

    def one_epoch(epoch):
        order = tf.numpy_function(
            lambda number: np.random.default_rng((seed, number)).permutation(len(rows)),
            [epoch],
            tf.int64,
        )
        batches = tf.reshape(order[: steps * batch_size], (steps, batch_size))
        return tf.data.Dataset.from_tensor_slices(batches).map(lambda batch: (epoch, batch))

    positions = tf.data.Dataset.range(first, epochs).flat_map(one_epoch)
    return _as_tensors(positions, load, arrays.films.shape[1])


def evaluation_batches(arrays: Arrays, rows: np.ndarray, batch_size: int) -> tf.data.Dataset:
    """Batches of films as they are, in order, the last one as small as it comes.

    Args:
        arrays: films and masks.
        rows: which of them.
        batch_size: films a batch.

    Returns:
        As `training_batches`.
    """

    def load(_, positions):
        return _load(arrays, rows[positions], augmented=False, seed=())

    positions = tf.data.Dataset.range(len(rows)).batch(batch_size).map(lambda batch: (0, batch))
    return _as_tensors(positions, load, arrays.films.shape[1])


def _load(arrays: Arrays, rows: np.ndarray, augmented: bool, seed: tuple) -> list[np.ndarray]:
    pairs = [(arrays.films[row], arrays.masks[row]) for row in rows]
    if augmented:
        pairs = [
            augment(*pair, np.random.default_rng((*seed, row)))
            for row, pair in zip(rows, pairs, strict=True)
        ]
    films, masks = (
        np.stack(part)[..., None].astype(np.float32) for part in zip(*pairs, strict=True)
    )
    return [films, masks]


def _as_tensors(positions: tf.data.Dataset, load, size: int) -> tf.data.Dataset:
    def tensors(epoch, batch):
        films, masks = tf.numpy_function(load, [epoch, batch], [tf.float32, tf.float32])
        shape = (None, size, size, 1)
        return tf.ensure_shape(films, shape), tf.ensure_shape(masks, shape)

    return positions.map(tensors, tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)
