"""What a network must beat: predictions made without a look at the film."""

from __future__ import annotations

import numpy as np


def baseline_predictions(training_masks: np.ndarray, films: int) -> dict[str, np.ndarray]:
    """What someone marks who never looks at the film.

    Args:
        training_masks: (training films, height, width), 0 or 1.
        films: how many films to predict for.

    Returns:
        `nothing`, `everything` and `mean training mask`, each (films, height, width) bool. The
        last marks the pixels marked in at least a share of the training films; the share is
        the one with the best pooled IoU on those films themselves.

    Example:
        >>> masks = np.array([[[1, 1, 0]], [[1, 1, 0]], [[1, 0, 1]]])
        >>> baseline_predictions(masks, 1)["mean training mask"].tolist()
        [[[True, True, False]]]
    """
    mean = training_masks.mean(axis=0, dtype=float)
    shares = np.unique(mean[mean > 0])
    # Over all films together, the overlap of a fixed mask is the sum of the mean mask below it.
    ious = [
        mean[mean >= share].sum() / (mean.sum() + (1 - mean[mean >= share]).sum())
        for share in shares
    ]
    fixed = mean >= shares[int(np.argmax(ious))] if ious else mean > 0
    shape = (films, *mean.shape)
    return {
        "nothing": np.zeros(shape, bool),
        "everything": np.ones(shape, bool),
        "mean training mask": np.broadcast_to(fixed, shape),
    }
