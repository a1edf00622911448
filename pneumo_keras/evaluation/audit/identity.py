"""What a printed accuracy and IoU say together about the share of foreground.

With all pixels of all films counted together and normalised to 1, let a be the accuracy, j the IoU
of the foreground, E = FP + FN = 1 − a and t = TP + FN the share of pixels that are foreground in
truth. From j = TP / (TP + E) follows TP = jE / (1 − j); and since FN is between 0 and E,

    jE / (1 − j)  ≤  t  ≤  E / (1 − j).

So two printed numbers tell the foreground share of the test set, which can be held against what the
structure in question covers. Nothing here says how a number came about: rows may be incompatible
under the stated equations because they were made by other equations.
"""

from __future__ import annotations

from dataclasses import dataclass

from pneumo_keras.errors import StudyError

# Rows that report accuracy and IoU, as printed. Table 2 of the paper, and, for comparison, lung
# segmentations that print both: Hasan and Jader, Polytechnic Journal 13(2), 2023,
# doi:10.59341/2707-7799.1712 (SegNet, Shenzhen films); Chavan et al., Technologies 10(5):105, 2022,
# doi:10.3390/technologies10050105 (ResUNet++); Gite et al., Neural Computing and Applications 35,
# 2022, doi:10.1007/s00521-021-06719-8 (U-Net++). The latter two call their IoU a mean; it is read
# here as that of the foreground.
TABLE_2 = {"DeepLabV3": ("0.844", "0.81"), "SegNet": ("0.81", "0.70")}
LUNGS_PUBLISHED = {
    "SegNet (Hasan & Jader)": ("0.9771", "0.9408"),
    "ResUNet++ (Chavan et al.)": ("0.9807", "0.9417"),
    "U-Net++ (Gite et al.)": ("0.98", "0.95"),
}
# Mean foreground shares measured on public annotations: lungs on 5,961 films with polygons of V7
# (github.com/v7labs/covid-19-xray-dataset, nearly all of them Kermany's); ground-glass opacities
# and consolidations on the 100 films of General Blockchain
# (github.com/GeneralBlockchain/covid-19-chest-xray-segmentations-dataset).
LUNG_SHARE, OPACITY_SHARE = 0.334, 0.132

Interval = tuple[float, float]


@dataclass(frozen=True)
class Printed:
    """A number as printed, and what it may have been before.

    Attributes:
        text: its digits.
    """

    text: str

    def __post_init__(self):
        try:
            sound = 0 <= float(self.text) <= 1
        except ValueError:
            sound = False
        if not sound:
            raise StudyError(f"{self.text}: write it as printed, between 0 and 1, such as 0.844")

    @property
    def value(self) -> float:
        """The digits taken as exact."""
        return float(self.text)

    @property
    def unit(self) -> float:
        """One of the last digit: 0.01 for `0.81`."""
        return 10.0 ** -len(self.text.partition(".")[2])

    def range(self, digits: str) -> Interval:
        """What the number may have been, within 0..1.

        Args:
            digits: `exact`; `rounded`, half a last digit either way; `truncated`, up to a whole
                one more.

        Example:
            >>> Printed("0.81").range("truncated")
            (0.81, 0.8200000000000001)
        """
        below, above = {"exact": (0, 0), "rounded": (0.5, 0.5), "truncated": (0, 1)}[digits]
        low, high = self.value - below * self.unit, self.value + above * self.unit
        return max(low, 0.0), min(high, 1.0)


DIGITS = ("exact", "rounded", "truncated")


@dataclass(frozen=True)
class Box:
    """Accuracies and IoUs that a printed pair may stand for.

    Attributes:
        accuracy: lowest and highest.
        iou: lowest and highest.
    """

    accuracy: Interval
    iou: Interval


def box(accuracy: str, iou: str, digits: str = "exact") -> Box:
    """The accuracies and IoUs that a printed pair may stand for.

    Args:
        accuracy: as printed, such as `0.844`; its number of decimals counts.
        iou: as printed.
        digits: as for `Printed.range`.

    Raises:
        StudyError: if either is no number between 0 and 1.

    Example:
        >>> box("0.844", "0.81").iou
        (0.81, 0.81)
    """
    return Box(Printed(accuracy).range(digits), Printed(iou).range(digits))


def foreground_share(accuracy: str, iou: str, digits: str = "exact") -> Interval | None:
    """The share of foreground that a pooled accuracy and IoU imply together.

    Args:
        accuracy: as printed, equation 2 of the paper over all pixels.
        iou: as printed, equation 1 over all pixels.
        digits: what the digits stand for: `exact`, `rounded` or `truncated`.

    Returns:
        Lowest and highest share, 0..1; None where no share fits (an IoU above the accuracy).

    Example:
        >>> [round(end, 3) for end in foreground_share("0.844", "0.81")]
        [0.665, 0.821]
    """
    return share_in_box(box(accuracy, iou, digits))


def share_in_box(pair: Box) -> Interval | None:
    """As `foreground_share`, for a range of accuracies and IoUs.

    The lower end grows with the IoU and falls with the accuracy, the upper end as well, so that
    both are met in corners.
    """
    (a_low, a_high), (j_low, j_high) = pair.accuracy, pair.iou
    if j_low > a_high:
        return None
    if j_low == 1:  # no error at all: every share gives accuracy 1 and IoU 1
        return 0.0, 1.0
    low = j_low * (1 - a_high) / (1 - j_low)
    high = 1.0 if j_high >= a_low else (1 - a_low) / (1 - j_high)
    return low, high


def overlap(first: Interval | None, second: Interval | None) -> Interval | None:
    """What two intervals have in common; None if nothing.

    Example:
        >>> overlap((0.1, 0.4), (0.3, 0.9)), overlap((0.1, 0.2), (0.3, 0.9))
        ((0.3, 0.4), None)
    """
    if first is None or second is None:
        return None
    low, high = max(first[0], second[0]), min(first[1], second[1])
    return (low, high) if low <= high else None


def error_shares(accuracy: str, iou: str, common: Interval) -> dict[str, Interval]:
    """Which errors a row must have made if its true share lies in an interval, rounding allowed.

    At share t, FN / E = t / E − j / (1 − j), the rest are false positives.

    Args:
        accuracy: as printed.
        iou: as printed.
        common: foreground shares, 0..1, such as those both rows of a table allow.

    Returns:
        Lowest and highest share of the errors that are `false negatives` and `false positives`.

    Example:
        >>> sliver = overlap(*(foreground_share(*row, "rounded") for row in TABLE_2.values()))
        >>> round(error_shares("0.844", "0.81", sliver)["false positives"][0], 2)
        0.88
    """
    pair = box(accuracy, iou, "rounded")
    (a_low, a_high), (j_low, j_high) = pair.accuracy, pair.iou
    low = common[0] / (1 - a_low) - j_high / (1 - j_high)
    high = common[1] / (1 - a_high) - j_low / (1 - j_low)
    negatives = (max(low, 0.0), min(high, 1.0))
    positives = (1 - negatives[1], 1 - negatives[0])
    return {"false negatives": negatives, "false positives": positives}


def implied_accuracy(iou: float, share: float) -> Interval:
    """Accuracies that a pooled IoU allows at a foreground share.

    The lowest with false positives only, E = t(1 − j) / j; the highest with false negatives only,
    E = t(1 − j).

    Args:
        iou: 0..1, not 0.
        share: t, 0..1.

    Example:
        >>> [round(end, 3) for end in implied_accuracy(0.81, 0.132)]
        [0.969, 0.975]
    """
    return 1 - share * (1 - iou) / iou, 1 - share * (1 - iou)


def largest_iou(accuracy: float, share: float) -> float:
    """The largest pooled IoU that an accuracy allows at a foreground share: t / (t + E).

    Reached where all errors are false positives.

    Example:
        >>> round(largest_iou(0.844, 0.132), 3)
        0.458
    """
    return share / (share + 1 - accuracy)


def trivial_accuracy(share: float) -> dict[str, float]:
    """Accuracy of marking nothing (1 − t) and of marking everything (t, which is its IoU too).

    Example:
        >>> trivial_accuracy(0.132)["nothing"]
        0.868
    """
    return {"nothing": 1 - share, "everything": share}
