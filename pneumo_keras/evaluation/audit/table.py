"""Printed rows of one table, held against every definition.

Rows of one table are of one test set, so they need a share of foreground in common. The verdict
says only that: compatible or not under the equation as stated.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd

from pneumo_keras.evaluation.audit.definitions import (
    ANY,
    DEFINITIONS,
    Definition,
    merged,
    micro,
    pooled,
)
from pneumo_keras.evaluation.audit.identity import (
    LUNG_SHARE,
    OPACITY_SHARE,
    Box,
    Interval,
    box,
    overlap,
    share_in_box,
)
from pneumo_keras.evaluation.audit.remarks import remark

GRID = 21  # values of accuracy and of IoU that a rounding box is seen at


def shares_in_box(definition: Definition, pair: Box) -> list[Interval]:
    """Foreground shares that a range of accuracies and IoUs allows under a definition.

    Example:
        >>> shares_in_box(DEFINITIONS[3], box("0.844", "0.81", "rounded"))
        []
    """
    if definition.shares is micro:  # an equation between two numbers, which a grid would miss
        (a_low, a_high), (j_low, j_high) = pair.accuracy, pair.iou
        fits = a_low / (2 - a_low) <= j_high + 1e-9 and j_low <= a_high / (2 - a_high) + 1e-9
        return ANY if fits else []
    if definition.shares is pooled:
        share = share_in_box(pair)
        return [share] if share else []
    points = product(np.linspace(*pair.accuracy, GRID), np.linspace(*pair.iou, GRID))
    found = {point for point in points}
    return merged([share for point in found for share in definition.shares(*map(float, point))])


def common(rows: list[list[Interval]]) -> list[Interval]:
    """Shares that all rows allow.

    Example:
        >>> common([[(0.1, 0.4), (0.6, 0.9)], [(0.3, 0.7)]])
        [(0.3, 0.4), (0.6, 0.7)]
    """
    left = rows[0]
    for row in rows[1:]:
        pairs = [overlap(first, second) for first, second in product(left, row)]
        left = merged([pair for pair in pairs if pair])
    return left


def definition_table(rows: dict[str, tuple[str, str]]) -> pd.DataFrame:
    """What each definition makes of printed rows of one table.

    Args:
        rows: accuracy and IoU as printed, by the name of the row; one row or more.

    Returns:
        One row a definition: `letter`, `definition`, `formula`, foreground shares that each row
        allows (exact digits, as text), those `common` to all and those `common, rounded`,
        `remark` and `verdict`.

    Example:
        >>> table = definition_table({"DeepLabV3": ("0.844", "0.81"), "SegNet": ("0.81", "0.70")})
        >>> table.set_index("letter").loc["M", ["DeepLabV3", "SegNet", "common"]].tolist()
        ['0.126–0.156', '0.133–0.190', '0.133–0.156']
    """
    table = []
    for definition in DEFINITIONS:
        exact = {name: shares_in_box(definition, box(*row)) for name, row in rows.items()}
        wide = {name: shares_in_box(definition, box(*row, "rounded")) for name, row in rows.items()}
        together, rounded = common(list(exact.values())), common(list(wide.values()))
        remarks = {name: remark(definition.letter, *row) for name, row in rows.items()}
        table.append(
            {
                "letter": definition.letter,
                "definition": definition.words,
                "formula": definition.formula,
                **{name: _text(shares) for name, shares in exact.items()},
                "common": _text(together),
                "common, rounded": _text(rounded),
                "remark": "; ".join(f"{name}: {text}" for name, text in remarks.items() if text),
                "verdict": _verdict(definition, list(wide.values()), together, rounded),
            }
        )
    return pd.DataFrame(table)


def _text(shares: list[Interval]) -> str:
    if shares == ANY:
        return "any"
    return " or ".join(f"{low:.3f}–{high:.3f}" for low, high in shares) or "none"


def _verdict(
    definition: Definition,
    wide: list[list[Interval]],
    together: list[Interval],
    rounded: list[Interval],
) -> str:
    if not all(wide):
        return "incompatible under this definition, even with rounding"
    if not rounded:
        return "each row possible, but not on one test set"
    if together == ANY:
        return "possible at any share"
    possible = "possible" if together else "possible only with rounding"
    if definition.letter == "O":  # the share of a box, not of a film
        return possible
    fitting = [
        name
        for name, share in (("lungs", LUNG_SHARE), ("opacities", OPACITY_SHARE))
        if any(low <= share <= high for low, high in rounded)
    ]
    return f"{possible}; the share fits {' and '.join(fitting) or 'neither lungs nor opacities'}"
