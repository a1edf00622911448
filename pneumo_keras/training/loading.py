"""Films and masks of each step of a training or an evaluation, as NumPy arrays.

What a step holds depends on its number alone, so that any backend, thread or host can ask for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pneumo_keras.dataset.arrays import Arrays
from pneumo_keras.dataset.augmentation import augment


@dataclass(frozen=True)
class TrainingSteps(Sequence):
    """The steps of a training, all epochs one after another, each in an order of its own.

    The films that do not fill a last batch sit out that epoch: BatchNorm over a handful of films
    is worse than none.

    Attributes:
        arrays: films and masks.
        rows: which of them.
        batch_size: films a step, over all parts.
        epochs: how many times over.
        seed: of order and augmentation.
        augmented: whether to vary the films.
        first: the epoch, from 0, that item 0 begins.
        parts: into how many equal parts a batch is cut, one a device.
        own: the parts that are loaded here; each step is as many items, one after another.

    Example:
        >>> import pandas as pd
        >>> films = np.arange(6, dtype=np.uint8).reshape(6, 1, 1)
        >>> arrays = Arrays(films, films % 2, pd.DataFrame())
        >>> steps = TrainingSteps(arrays, np.arange(6), 4, 2, 1, False)
        >>> len(steps), steps[0][0].shape
        (2, (4, 1, 1, 1))
        >>> halves = TrainingSteps(arrays, np.arange(6), 4, 2, 1, False, parts=2, own=(1,))
        >>> np.array_equal(halves[0][0], steps[0][0][2:])
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
        """Steps an epoch."""
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
        batch = order[: self.steps * min(self.batch_size, len(self.rows))]
        batch = np.split(batch.reshape(self.steps, -1)[step], self.parts)[self.own[own]]
        return load_films(self.arrays, self.rows[batch], (self.seed, epoch), self.augmented)


@dataclass(frozen=True)
class EvaluationSteps(Sequence):
    """Films as they are and in order, a smaller batch for those that are left over.

    Attributes:
        arrays: films and masks.
        rows: which of them.
        batch_size: films a step, over all parts.
        smaller_first: whether the smaller batch is the first or the last.
        parts: into how many parts a batch is cut, one a device. They are equal but in the last
            batch, and never empty, which takes two films a part.
        own: the parts that are loaded here; each step is as many items, one after another.

    Example:
        >>> import pandas as pd
        >>> films = np.zeros((5, 1, 1), np.uint8)
        >>> arrays = Arrays(films, films, pd.DataFrame())
        >>> [len(masks) for _, masks in EvaluationSteps(arrays, np.arange(5), 2)]
        [2, 2, 1]
        >>> halves = EvaluationSteps(arrays, np.arange(5), 4, parts=2, own=(0, 1))
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
        """Where in `rows` each batch begins."""
        films, batch = len(self.rows), self.batch_size - self.batch_size % self.parts
        if self.smaller_first and films % batch:
            return [0, *range(films % batch, films, batch)]
        unequal = films % self.parts
        last = films - self.parts - unequal if unequal else films
        return [*range(0, last, batch), *([last] if unequal else [])]

    def __len__(self) -> int:
        return len(self._starts) * len(self.own)

    def __getitem__(self, item: int) -> tuple[np.ndarray, np.ndarray]:
        if not 0 <= item < len(self):
            raise IndexError(item)
        step, own = divmod(item, len(self.own))
        batch = np.split(self.rows, self._starts[1:])[step]
        return load_films(self.arrays, np.array_split(batch, self.parts)[self.own[own]])


def load_films(
    arrays: Arrays, rows: np.ndarray, seed: tuple[int, ...] = (), augmented: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Some films and their masks.

    Args:
        arrays: films and masks.
        rows: which of them.
        seed: of the augmentation, beside the film's row.
        augmented: whether to vary the films.

    Returns:
        Films (rows, size, size, 1) float32, 0..255, and masks, the same shape, 0 or 1.
    """
    pairs = [(arrays.films[row], arrays.masks[row]) for row in rows]
    if augmented:
        pairs = [
            augment(*pair, np.random.default_rng((*seed, row)))
            for row, pair in zip(rows, pairs, strict=True)
        ]
    films, masks = (
        np.stack(part)[..., None].astype(np.float32) for part in zip(*pairs, strict=True)
    )
    return films, masks
