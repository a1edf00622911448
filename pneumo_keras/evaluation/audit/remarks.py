"""What else a definition of accuracy and IoU would require of a printed row, in words.

Notation as in `identity`. Where a foreground share is needed, the mean shares of lungs and of
opacities on public annotations are taken (`LUNG_SHARE`, `OPACITY_SHARE`).
"""

from __future__ import annotations

from pneumo_keras.evaluation.audit.identity import (
    LUNG_SHARE,
    OPACITY_SHARE,
    Interval,
    Printed,
    implied_accuracy,
)

# The most pixels that were neither 0 nor 1 in lung masks after resizing (0.4 to 2.9 % by
# resampling) or after JPEG at quality 75 (5.7 %).
GREY_MEASURED = 0.057


def largest_two_class(a: float) -> float:
    """The largest mean IoU of both classes at an accuracy: a / (2 − a).

    It is also their micro IoU, exactly.

    Example:
        >>> round(largest_two_class(0.81), 3)
        0.681
    """
    return a / (2 - a)


def iou_of_dice(dice: float) -> float:
    """The IoU of a Dice: d / (2 − d).

    Example:
        >>> round(iou_of_dice(0.81), 3)
        0.681
    """
    return dice / (2 - dice)


def soft_lower_share(a: float, j: float) -> Interval:
    """The least share for a soft IoU: all errors false positives, and all false negatives.

    Example:
        >>> [round(end, 3) for end in soft_lower_share(0.844, 0.81)]
        [0.333, 0.411]
    """
    error = 1 - a
    return j * error / (2 * (1 - j)), error / (2 * (1 - j))


def failing_films(a: float, iou: Interval, share: float) -> dict[str, Interval] | None:
    """How many films must fail if the others are perfect and means over films are printed.

    All films have the share t. A failing film with error e by over-painting alone still has IoU
    t / (t + e), which asks for the most films: e = E / (1 − j) − t on a share E / e of them. One
    that misses everything has IoU 0, which asks for the fewest: 1 − j of them, with
    e = E / (1 − j).

    Args:
        a: mean accuracy of the films.
        iou: lowest and highest mean IoU that the printed digits stand for.
        share: t.

    Returns:
        `films`, the share of failing films, and `error`, the share of wrong pixels in them; None
        if no such pattern exists.

    Example:
        >>> pattern = failing_films(0.844, (0.805, 0.815), 0.132)
        >>> [round(end, 2) for end in (*pattern["films"], *pattern["error"])]
        [0.19, 0.23, 0.67, 0.84]
    """
    low, high = iou
    if high >= 1:
        return None
    least, most = (1 - a) / (1 - low) - share, (1 - a) / (1 - high)
    if not 0 < least <= most <= 1:
        return None
    return {"films": (1 - high, (1 - a) / least), "error": (least, most)}


def grey_share(a: float, j: float, share: float) -> Interval:
    """Share of pixels neither 0 nor 1 in the masks that would explain the accuracy printed.

    E − E(t, j), with E(t, j) from the false-negative to the false-positive extreme.

    Example:
        >>> [round(end, 3) for end in grey_share(0.844, 0.81, 0.334)]
        [0.078, 0.093]
    """
    low, high = implied_accuracy(j, share)
    return low - a, high - a


def precision_of(recall: float, j: float) -> float:
    """The precision that goes with a recall and an IoU: 1 / p = 1 / j + 1 − 1 / r.

    Example:
        >>> round(precision_of(0.844, 0.81), 3)
        0.953
    """
    return 1 / (1 / j + 1 - 1 / recall)


def spread_needed(a: float, j: float) -> float:
    """Standard deviation of the films' accuracy that lifts the mean of a / (2 − a) to j.

    Second order: j ≈ g(a) + g″(a) s² / 2 with g(a) = a / (2 − a), g″ = 4 / (2 − a)³. NaN where j is
    below g(a).

    Example:
        >>> round(spread_needed(0.844, 0.81), 2)
        0.25
    """
    squared = (j - largest_two_class(a)) * (2 - a) ** 3 / 2
    return squared**0.5 if squared >= 0 else float("nan")


def _failing(accuracy: str, iou: str) -> str:
    pattern = failing_films(float(accuracy), Printed(iou).range("rounded"), OPACITY_SHARE)
    if pattern is None:
        return f"no pattern of perfect and failing films at a share of {OPACITY_SHARE}"
    films, error = pattern["films"], pattern["error"]
    return (
        f"at a share of {OPACITY_SHARE}, {100 * films[0]:.1f}–{100 * films[1]:.1f} % of films "
        f"fail, {100 * error[0]:.0f}–{100 * error[1]:.0f} % of their pixels wrong, if the others "
        "are perfect"
    )


def _grey(a: float, j: float) -> str:
    low, high = grey_share(a, j, LUNG_SHARE)
    return f"lungs need {low:.3f}–{high:.3f} grey pixels, {GREY_MEASURED} were measured at most"


def _soft(a: float, j: float) -> str:
    low, high = soft_lower_share(a, j)
    return f"share at least {low:.3f} (errors all FP) to {high:.3f} (all FN)"


def _class_accuracy(a: float, j: float) -> str:
    return f"precision {precision_of(a, j):.3f}" if j <= a else "no precision below 1 fits"


def _spread(a: float, j: float) -> str:
    if j < largest_two_class(a):
        return f"below {largest_two_class(a):.3f}, the least possible"
    return f"films' accuracies need a standard deviation of about {spread_needed(a, j):.2f}"


_OF_NUMBERS = {
    "C": lambda a, j: f"largest possible {largest_two_class(a):.3f}",
    "D": lambda a, j: f"would be {largest_two_class(a):.3f}",
    "F": lambda a, j: f"true IoU {iou_of_dice(j):.3f}",
    "G": _soft,
    "K": _grey,
    "N": _class_accuracy,
    "P": _spread,
}


def remark(letter: str, accuracy: str, iou: str) -> str:
    """What a definition would require beyond a share of foreground; "" for most.

    Args:
        letter: of the definition.
        accuracy: as printed.
        iou: as printed.

    Example:
        >>> remark("F", "0.844", "0.81")
        'true IoU 0.681'
    """
    if letter == "H":
        return _failing(accuracy, iou)
    if letter not in _OF_NUMBERS or 0 == float(iou) or 1 == float(iou):
        return ""
    return _OF_NUMBERS[letter](float(accuracy), float(iou))
