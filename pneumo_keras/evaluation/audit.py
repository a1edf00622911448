"""What a printed accuracy and IoU imply together about the share of foreground.

Of all pixels of all images, let a be the accuracy, j the IoU, E = 1 − a the share of errors and t
that of foreground. From j = TP / (TP + E) and t = TP + FN with FN between 0 and E follows

    jE / (1 − j)  ≤  t  ≤  E / (1 − j),

which can be compared with what the structure covers, and with another row of the same table.
`READINGS` are other equations that a row may have been computed by.
"""

import textwrap
from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd

from pneumo_keras.errors import StudyError

# Accuracy and IoU as printed: Table 2 of the paper, and, for comparison, lung segmentations:
# doi:10.59341/2707-7799.1712, doi:10.3390/technologies10050105, doi:10.1007/s00521-021-06719-8.
# The latter two call their IoU a mean; it is read here as that of the foreground.
TABLE_2 = {"DeepLabV3": ("0.844", "0.81"), "SegNet": ("0.81", "0.70")}
LUNGS_PUBLISHED = {
    "SegNet (Hasan & Jader)": ("0.9771", "0.9408"),
    "ResUNet++ (Chavan et al.)": ("0.9807", "0.9417"),
    "U-Net++ (Gite et al.)": ("0.98", "0.95"),
}
# Mean shares of public annotations: lungs on 5,961 images (nearly all of them Kermany's) of
# github.com/v7labs/covid-19-xray-dataset, ground-glass opacities and consolidations on the 100 of
# github.com/GeneralBlockchain/covid-19-chest-xray-segmentations-dataset.
LUNG_SHARE, OPACITY_SHARE = 0.334, 0.132
# What digits stand for, and by how much of the last one the number may lie below and above.
DIGITS = {"exact": (0, 0), "rounded": (0.5, 0.5), "truncated": (0, 1)}

Interval = tuple[float, float]
ANY = [(0.0, 1.0)]


def foreground_share(accuracy: str, iou: str, digits: str = "exact") -> Interval | None:
    """Compute the lowest and highest share of foreground that a pooled accuracy and IoU allow.

    Accuracy and IoU (equations 2 and 1 of the paper) are as printed, such as "0.844": the decimals
    count. `digits` is a key of `DIGITS`. None if no share fits, for an IoU above the accuracy.

    Raises:
        StudyError: if either is no number between 0 and 1.

    Example:
        >>> [round(end, 3) for end in foreground_share("0.844", "0.81")]
        [0.665, 0.821]
    """
    shares = _share(_range(accuracy, digits), _range(iou, digits))
    return shares[0] if shares else None


def largest_iou(accuracy: float, share: float) -> float:
    """Compute the largest IoU at an accuracy and a share of foreground: t / (t + E), if FN = 0."""
    return share / (share + 1 - accuracy)


def _range(text: str, digits: str) -> Interval:
    """Return the numbers that a printed one may stand for; StudyError if not within 0..1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise StudyError(f"{text}: write it as printed, between 0 and 1, such as 0.844")
    below, above = (part * 10.0 ** -len(text.partition(".")[2]) for part in DIGITS[digits])
    return max(value - below, 0.0), min(value + above, 1.0)


def _share(accuracy: Interval, iou: Interval) -> list[Interval]:
    """Both ends grow with the IoU and fall with the accuracy: they are met in corners."""
    if iou[0] > accuracy[1]:
        return []
    if iou[0] == 1:  # no error at all: every share gives accuracy 1 and IoU 1
        return ANY
    low = iou[0] * (1 - accuracy[1]) / (1 - iou[0])
    return [(low, 1.0 if iou[1] >= accuracy[0] else (1 - accuracy[0]) / (1 - iou[1]))]


def _pooled(a: float, j: float) -> list[Interval]:
    return _share((a, a), (j, j))


def _background(a: float, j: float) -> list[Interval]:
    return [(1 - high, 1 - low) for low, high in _pooled(a, j)]


def _two_class_mean(a: float, m: float) -> list[Interval]:
    """With TP + TN = a and x = TP · TN, m = (2x + aE) / (2 (x + aE + E²)); TP ≤ t ≤ TP + E."""
    error = 1 - a
    if error == 0 or m == 1:
        return ANY if a == m else []
    x = error * (2 * m - a) / (2 * (1 - m))
    square = a * a / 4 - x  # TP and TN are the roots of u² − au + x
    if min(x, square) < -1e-9:
        return []
    root = max(square, 0.0) ** 0.5
    return _merged([(tp, tp + error) for tp in (max(a / 2 - root, 0.0), a / 2 + root)])


def _soft(a: float, j: float) -> list[Interval]:
    low = j * (1 - a) / (2 * max(1 - j, 1e-9))
    return [(low, 1.0)] if low <= 1 else []


def _balanced(b: float, j: float) -> list[Interval]:
    if j == 1:
        return ANY if b == 1 else []
    odds = 2 * (1 - b) * j / (1 - j)
    limit = odds / (1 + odds)
    return [(0.0, limit)] if 2 * b - 1 >= j else [(limit, 1.0)]


def _not_above(a: float, j: float) -> list[Interval]:
    return ANY if j <= a + 1e-9 else []


def _one_hot(a: float, j: float) -> list[Interval]:
    return ANY if a / (2 - a) <= j <= a else []


# How accuracy and IoU may be meant, what that implies, and the shares that two numbers then allow.
READINGS = (
    ("pooled, as the equations say", "jE/(1−j) ≤ t ≤ E/(1−j)", _pooled),
    ("IoU of the background", "the same for 1−t", _background),
    ("mean IoU of both classes, pooled", "IoU ≤ a/(2−a)", _two_class_mean),
    ("Dice printed as IoU", "as pooled, for j/(2−j)", lambda a, d: _pooled(a, d / (2 - d))),
    ("soft IoU, accuracy at 0.5", "j ≤ (t−FN/2)/(t+FP/2)", _soft),
    ("means over images", "mean j ≤ mean a", _not_above),
    ("means over images, one-hot channels", "a/(2−a) ≤ j ≤ a", _one_hot),
    ("balanced accuracy", "s + 1 − (t/(1−t))(s/j−1) = 2a, s sensitivity", _balanced),
    # The value of the mask is not 1, so that no marked pixel counts as right: a = TN.
    ("accuracy credits background only", "jE ≤ t ≤ E", lambda a, j: [(j * (1 - a), 1 - a)]),
    ("recall or precision as accuracy", "1/j = 1/r + 1/p − 1", _not_above),
    ("different images, epochs or units", "none", lambda a, j: ANY),
)


def audit_table(rows: dict[str, tuple[str, str]]) -> pd.DataFrame:
    """Compute what each reading makes of printed rows of one table, which has one test set.

    `rows` are accuracy and IoU as printed, by the name of the row; one row or more.

    Returns:
        One row a reading: `definition`, `formula`, the shares of foreground that each row allows
        (exact digits, as text), those `common` to all, those `common, rounded`, and `verdict`:
        compatible or not under this reading.

    Example:
        >>> audit_table(TABLE_2).set_index("definition").loc["Dice printed as IoU", "common"]
        '0.333–0.412'
    """
    table = []
    for definition, formula, shares in READINGS:
        exact = [_allowed(shares, *row, "exact") for row in rows.values()]
        rounded = [_allowed(shares, *row, "rounded") for row in rows.values()]
        common, common_rounded = _common(exact), _common(rounded)
        texts = map(_text, (*exact, common, common_rounded))
        if not all(rounded):
            verdict = "incompatible under this definition, even with rounding"
        elif not common_rounded:
            verdict = "each row possible, but not on one test set"
        elif common == ANY:
            verdict = "possible at any share"
        else:
            possible = "possible" if common else "possible only with rounding"
            verdict = f"{possible}; the share fits {_fitting(common_rounded)}"
        table.append((definition, formula, *texts, verdict))
    columns = ["definition", "formula", *rows, "common", "common, rounded", "verdict"]
    return pd.DataFrame(table, columns=columns)


def _allowed(shares, accuracy: str, iou: str, digits: str) -> list[Interval]:
    """Return the shares of foreground that printed numbers allow, each range taken on a grid."""
    grids = (np.linspace(*_range(text, digits), 21).tolist() for text in (accuracy, iou))
    return _merged([share for point in set(product(*grids)) for share in shares(*point)])


def _merged(intervals: list[Interval]) -> list[Interval]:
    """Sort intervals and join those that touch."""
    joined: list[Interval] = []
    for low, high in sorted(intervals):
        if joined and low <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return joined


def _common(rows: list[list[Interval]]) -> list[Interval]:
    """Return the shares that all rows allow."""
    ends = ((max(low for low, _ in one), min(high for _, high in one)) for one in product(*rows))
    return _merged([(low, high) for low, high in ends if low <= high])


def _text(shares: list[Interval]) -> str:
    if shares == ANY:
        return "any"
    return " or ".join(f"{low:.3f}–{high:.3f}" for low, high in shares) or "none"


def _fitting(shares: list[Interval]) -> str:
    known = {"lungs": LUNG_SHARE, "opacities": OPACITY_SHARE}
    fits = [name for name in known if any(low <= known[name] <= high for low, high in shares)]
    return " and ".join(fits) or "neither lungs nor opacities"


def print_audit(accuracy: str, iou: str, beside: Sequence[str] | None = None) -> None:
    """Print what an accuracy and IoU, and those of a row `beside` it in one table, imply."""
    rows = {"first row": (accuracy, iou)} | ({"second row": tuple(beside)} if beside else {})
    for name, row in rows.items():
        print(f"Accuracy {row[0]}, IoU {row[1]} ({name}), all pixels together:")
        for digits in DIGITS:
            share = foreground_share(*row, digits)
            ends = f"{share[0]:.3f} to {share[1]:.3f}" if share else "none fits"
            print(f"  share of foreground, digits {digits}: {ends}")
        for what, share in (("lungs", LUNG_SHARE), ("opacities", OPACITY_SHARE)):
            limit = largest_iou(float(row[0]), share)
            print(f"  at the mean share of {what}, {share}, the IoU could be {limit:.3f} at most")
    print("\nReadings of accuracy and IoU, and the shares of foreground they allow:")
    for reading in audit_table(rows).to_dict("records"):
        print(f"\n{reading['definition']} ({reading['formula']})")
        for line in ("; ".join(f"{name} {reading[name]}" for name in rows), reading["verdict"]):
            print(textwrap.fill(line, 96, initial_indent="   ", subsequent_indent="   "))
    print("\nCompatible or not is said of the stated equations, not of how the numbers were made.")
