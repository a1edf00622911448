"""Scores, all of them derived from the counts of pixels of each film.

The policy on empty masks, stated once and printed with its counts: IoU and Dice per film are of
films on which the target is marked; a network that misses it there scores 0. Films without the
target do not enter those means, whatever is predicted; what is marked on them is reported apart.
Pooled scores sum the pixels of all films, those without the target included.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

COUNTS = ["tp", "fp", "fn", "tn"]


def count_pixels(truth: np.ndarray, predicted: np.ndarray) -> pd.DataFrame:
    """True and false positives and negatives of each film.

    TP, FP, FN and TN in their usual sense; below its equation 2 the paper has the words for FP
    and FN the wrong way round.

    Args:
        truth: (films, height, width) bool, or 0 and 1.
        predicted: the same shape.

    Returns:
        One row a film with the columns tp, fp, fn, tn.

    Raises:
        ValueError: if the shapes differ, or there is no film.

    Example:
        >>> truth = np.array([[[1, 1, 0, 0]]])
        >>> count_pixels(truth, np.array([[[1, 0, 1, 0]]])).to_dict("records")
        [{'tp': 1, 'fp': 1, 'fn': 1, 'tn': 1}]
    """
    if truth.shape != predicted.shape or len(truth) == 0:
        raise ValueError(
            f"truth and prediction need one shape, not {truth.shape} and {predicted.shape}"
        )
    truth, predicted = truth.astype(bool), predicted.astype(bool)
    pairs = {
        "tp": truth & predicted,
        "fp": ~truth & predicted,
        "fn": truth & ~predicted,
        "tn": ~truth & ~predicted,
    }
    return pd.DataFrame({name: pixels.sum(axis=(1, 2)) for name, pixels in pairs.items()})


def film_scores(counts: pd.DataFrame) -> pd.DataFrame:
    """The counts with `accuracy`, `iou` and `dice` of each film beside them.

    IoU and Dice are missing (NaN) for films without the target.

    Example:
        >>> counts = pd.DataFrame({"tp": [1, 0], "fp": [1, 1], "fn": [2, 0], "tn": [0, 3]})
        >>> film_scores(counts)["iou"].tolist()
        [0.25, nan]
    """
    scores = counts.copy()
    counts = counts[COUNTS].astype(float)
    target = counts["tp"] + counts["fn"] > 0
    scores["accuracy"] = (counts["tp"] + counts["tn"]) / counts.sum(axis=1)
    scores["iou"] = (counts["tp"] / (counts["tp"] + counts["fp"] + counts["fn"])).where(target)
    scores["dice"] = (2 * counts["tp"] / (2 * counts["tp"] + counts["fp"] + counts["fn"])).where(
        target
    )
    return scores


def pooled_scores(counts: pd.DataFrame) -> dict[str, float]:
    """Equations 1 and 2 of the paper, over the pixels of all films together.

    IoU is NaN where nothing is marked and nothing predicted on any film.

    Returns:
        `accuracy` = (TP + TN) / all and `iou` = TP / (TP + FP + FN).

    Example:
        >>> counts = pd.DataFrame({"tp": [1, 0], "fp": [1, 1], "fn": [2, 0], "tn": [0, 3]})
        >>> pooled_scores(counts)
        {'accuracy': 0.5, 'iou': 0.2}
    """
    tp, fp, fn, tn = (int(counts[name].sum()) for name in COUNTS)
    union = tp + fp + fn
    return {
        "accuracy": (tp + tn) / (tp + fp + fn + tn),
        "iou": tp / union if union else float("nan"),
    }


def summary(counts: pd.DataFrame) -> dict[str, float]:
    """All that Table 2 says of one network.

    Returns:
        Pooled `accuracy` and `iou`; `film_iou` and `film_dice`, means over films with the target;
        `films`, `films_with_target`, `missed` (with the target, nothing predicted),
        `films_without_target`, `falsely_marked` (without it, something predicted) and
        `false_share`, the mean share of those films that is marked.

    Example:
        >>> counts = pd.DataFrame({"tp": [1, 0], "fp": [1, 1], "fn": [2, 0], "tn": [0, 3]})
        >>> result = summary(counts)
        >>> result["film_iou"], result["films_without_target"], result["false_share"]
        (0.25, 1, 0.25)
    """
    scores = film_scores(counts)
    predicted = counts["tp"] + counts["fp"] > 0
    target = scores["iou"].notna()
    without = counts[~target]
    return {
        **pooled_scores(counts),
        "film_iou": float(scores["iou"].mean()),
        "film_dice": float(scores["dice"].mean()),
        "films": len(counts),
        "films_with_target": int(target.sum()),
        "missed": int((target & ~predicted).sum()),
        "films_without_target": len(without),
        "falsely_marked": int((~target & predicted).sum()),
        "false_share": float((without["fp"] / without[COUNTS].sum(axis=1)).mean()),
    }


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
