"""Which definitions of accuracy and IoU could stand behind printed rows, each with its formula.

Notation as in `identity`: a accuracy, j IoU, E = 1 − a, t share of foreground, all pixels
together 1. For each definition `shares` gives the foreground shares that a pair (a, j) allows: a
list of intervals, empty where no share does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pneumo_keras.evaluation.audit.identity import Box, Interval, share_in_box
from pneumo_keras.evaluation.audit.remarks import GREY_MEASURED

ANY = [(0.0, 1.0)]
SHARES = np.linspace(0, 1, 10_001)
ROUNDING = 1e-9  # of the arithmetic here, not of what is printed


def pooled(a: float, j: float) -> list[Interval]:
    """A: accuracy and foreground IoU of all pixels, as printed: jE / (1 − j) ≤ t ≤ E / (1 − j)."""
    share = share_in_box(Box((a, a), (j, j)))
    return [share] if share else []


def background(a: float, j: float) -> list[Interval]:
    """B: IoU of the background: A with t and 1 − t exchanged."""
    return [(1 - high, 1 - low) for low, high in pooled(a, j)]


def two_class_mean(a: float, m: float) -> list[Interval]:
    """C: mean of foreground and background IoU; at most a / (2 − a), reached where TP = TN.

    With TP + TN = a and x = TP · TN, m = (2x + aE) / (2 (x + aE + E²)), hence
    x = E (2m − a) / (2 (1 − m)); TP and TN are the roots of u² − au + x, and TP ≤ t ≤ TP + E.
    """
    error = 1 - a
    if error == 0:
        return ANY if m == 1 else []
    if m >= 1:
        return []
    x = error * (2 * m - a) / (2 * (1 - m))
    square = a * a / 4 - x
    if min(x, square) < -ROUNDING:
        return []
    root = max(square, 0.0) ** 0.5
    return merged([(tp, tp + error) for tp in (max(a / 2 - root, 0.0), a / 2 + root)])


def micro(a: float, j: float) -> list[Interval]:
    """D: intersections of both classes over unions of both: a / (2 − a) exactly, whatever t is."""
    return ANY if abs(j - a / (2 - a)) < ROUNDING else []


def frequency_weighted(a: float, j: float) -> list[Interval]:
    """E: t · TP / (TP + E) + (1 − t) · TN / (TN + E), at most a.

    At a share t, TP lies between max(0, t − E) and min(t, a). The score is concave in TP: least at
    an end, greatest where (TN + E) / (TP + E) = √((1 − t) / t), or at an end.
    """
    error = 1 - a
    if error == 0:
        return ANY if j == 1 else []
    t = SHARES[1:-1]
    ends = np.maximum(0, t - error), np.minimum(t, a)

    def score(tp):
        return t * tp / (tp + error) + (1 - t) * (a - tp) / (a - tp + error)

    top = np.clip((a + 2 * error) / (1 + np.sqrt((1 - t) / t)) - error, *ends)
    least = np.minimum(score(ends[0]), score(ends[1]))
    fits = (least <= j + ROUNDING) & (j - ROUNDING <= score(top))
    edges = np.flatnonzero(np.diff(np.r_[False, fits, False]))
    return [
        (float(t[first]), float(t[last - 1]))
        for first, last in zip(edges[::2], edges[1::2], strict=True)
    ]


def dice_as_iou(a: float, d: float) -> list[Interval]:
    """F: Dice d printed as IoU: dE / 2(1 − d) ≤ t ≤ dE / 2(1 − d) + E."""
    return pooled(a, d / (2 - d))


def soft(a: float, j: float) -> list[Interval]:
    """G: IoU of probabilities, accuracy at 0.5: j ≤ (t − FN/2) / (t + FP/2).

    Hence t ≥ jE / 2(1 − j).
    """
    if j == 1:
        return ANY if a == 1 else []
    low = j * (1 - a) / (2 * (1 - j))
    return [(low, 1.0)] if low <= 1 else []


def film_means(a: float, j: float) -> list[Interval]:
    """H: means over films: mean j ≤ mean a, any t."""
    return ANY if j <= a + ROUNDING else []


def balanced(b: float, j: float) -> list[Interval]:
    """I: balanced accuracy b: s + 1 − (t / (1 − t)) (s / j − 1) = 2b, sensitivity s from j to 1."""
    if j == 1:
        return ANY if b == 1 else []
    odds = 2 * (1 - b) * j / (1 - j)
    limit = odds / (1 + odds)
    return [(0.0, limit)] if 2 * b - 1 >= j else [(limit, 1.0)]


def grey_edges(a: float, j: float) -> list[Interval]:
    """K: pixels of the mask that are neither 0 nor 1 count as errors of accuracy, not of IoU.

    The true errors, at most t (1 − j) / j, and `GREY_MEASURED` must make up E.
    """
    if j == 0:
        return ANY
    shares, needed = pooled(a, j), 1 - a - GREY_MEASURED
    if j == 1 or not shares:
        return ANY if needed <= 0 else shares
    return [(max(needed, 0.0) * j / (1 - j), shares[0][1])]


def background_only(a: float, j: float) -> list[Interval]:
    """M: accuracy credits the background only (mask value not 1): a = TN, so jE ≤ t ≤ E."""
    return [(j * (1 - a), 1 - a)]


def class_accuracy(r: float, j: float) -> list[Interval]:
    """N: "accuracy" is recall r (or precision): 1 / j = 1 / r + 1 / p − 1 for a precision p ≤ 1."""
    return ANY if j <= r + ROUNDING else []


def one_hot_film_means(a: float, j: float) -> list[Interval]:
    """P: means over films of the IoU of two one-hot channels: a / (2 − a) ≤ mean j ≤ a."""
    return ANY if a / (2 - a) <= j <= a else []


def decoupled(a: float, j: float) -> list[Interval]:
    """Q: accuracy and IoU of different films, epochs or units: nothing binds them."""
    return ANY


def merged(intervals: list[Interval]) -> list[Interval]:
    """Intervals in order, those that touch made one.

    Example:
        >>> merged([(0.5, 0.7), (0.1, 0.2), (0.15, 0.3)])
        [(0.1, 0.3), (0.5, 0.7)]
    """
    whole: list[Interval] = []
    for low, high in sorted(intervals):
        if whole and low <= whole[-1][1]:
            whole[-1] = (whole[-1][0], max(high, whole[-1][1]))
        else:
            whole.append((low, high))
    return whole


@dataclass(frozen=True)
class Definition:
    """One way to read "accuracy" and "IoU".

    Attributes:
        letter: its name in the table.
        words: what it is.
        formula: what it implies.
        shares: intervals of foreground shares that an accuracy and an IoU allow.
    """

    letter: str
    words: str
    formula: str
    shares: Callable[[float, float], list[Interval]]


DEFINITIONS = (
    Definition("A", "pooled, as the equations say", "jE/(1−j) ≤ t ≤ E/(1−j)", pooled),
    Definition("B", "IoU of the background", "A for 1−t", background),
    Definition("C", "mean IoU of both classes, pooled", "IoU ≤ a/(2−a)", two_class_mean),
    Definition("D", "micro IoU over both classes", "IoU = a/(2−a)", micro),
    Definition("E", "frequency-weighted IoU", "t·IoU₁ + (1−t)·IoU₀ ≤ a", frequency_weighted),
    Definition("F", "Dice printed as IoU", "jE/2(1−j) ≤ t ≤ jE/2(1−j) + E", dice_as_iou),
    Definition("G", "soft IoU, accuracy at 0.5", "j ≤ (t−FN/2)/(t+FP/2)", soft),
    Definition("H", "means over films", "mean j ≤ mean a", film_means),
    Definition("I", "balanced accuracy", "s + 1 − (t/(1−t))(s/j−1) = 2a", balanced),
    Definition("K", "masks with grey pixels", "grey share = E − E(t, j)", grey_edges),
    Definition("M", "accuracy credits background only", "jE ≤ t ≤ E", background_only),
    Definition("N", "recall or precision as accuracy", "1/j = 1/r + 1/p − 1", class_accuracy),
    Definition("O", "within a box around the lungs", "A for the share of the box", pooled),
    Definition("P", "film means, two one-hot channels", "a/(2−a) ≤ j ≤ a", one_hot_film_means),
    Definition("Q", "different films, epochs or units", "none", decoupled),
)
