"""What came of a training, read off its predictions on the validation films."""

from __future__ import annotations

import numpy as np

# A network that marks almost nothing, or almost everything, on almost all films has learnt
# nothing of them.
CONSTANT_SHARE, CONSTANT_FILMS = 0.01, 0.95
CANDIDATES = np.arange(0.05, 0.96, 0.05)


def is_collapsed(probabilities: np.ndarray, threshold: float = 0.5) -> bool:
    """Whether a network's predictions are constant.

    Args:
        probabilities: (films, height, width), 0..1.
        threshold: above which a pixel is marked.

    Example:
        >>> is_collapsed(np.zeros((4, 8, 8)))
        True
    """
    shares = (probabilities >= threshold).mean(axis=(1, 2))
    nothing, everything = shares < CONSTANT_SHARE, shares > 1 - CONSTANT_SHARE
    return bool(max(nothing.mean(), everything.mean()) > CONSTANT_FILMS)


def outcome(run: dict) -> str:
    """What came of a run, in words: one that came to nothing must not pass for an architecture's.

    Args:
        run: its `run.json`.

    Example:
        >>> outcome({"diverged": False, "collapsed": False})
        'trained'
    """
    if run["diverged"]:
        return "diverged: loss not a number"
    return "collapsed: constant prediction" if run["collapsed"] else "trained"


def choose_threshold(probabilities: np.ndarray, masks: np.ndarray, rule: str) -> float:
    """The probability at and above which a pixel is marked.

    Args:
        probabilities: (films, height, width), 0..1, of the validation films.
        masks: the same shape, 0 or 1.
        rule: `"0.5"`, or `"validation"` for the candidate with the best mean Dice over films
            whose mask is not empty.

    Example:
        >>> masks = np.array([[[1, 1, 0, 0]]])
        >>> choose_threshold(np.array([[[0.9, 0.3, 0.1, 0.1]]]), masks, "validation")
        0.15
    """
    marked = masks.any(axis=(1, 2))
    if rule == "0.5" or not marked.any():
        return 0.5
    truth, probabilities = masks[marked].astype(bool), probabilities[marked]
    dice = []
    for candidate in CANDIDATES:
        predicted = probabilities >= candidate
        overlap = 2 * (truth & predicted).sum(axis=(1, 2))
        dice.append((overlap / (truth.sum(axis=(1, 2)) + predicted.sum(axis=(1, 2)))).mean())
    return round(float(CANDIDATES[int(np.argmax(dice))]), 2)
