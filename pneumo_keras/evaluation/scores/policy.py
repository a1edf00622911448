"""The one policy on empty masks."""

from __future__ import annotations

import pandas as pd

EMPTY_MASK_POLICY = (
    "Empty masks. Scores per film are means over the films on which the target is marked; a film "
    "on which nothing is predicted there counts with the worst value there is: 0 for Dice, IoU, "
    "sensitivity, precision, surface Dice and boundary IoU, the film's diagonal for HD95 and ASSD. "
    "Films without the target do not enter these means, whatever is predicted; what is marked on "
    "them is reported apart. Pooled and lesion scores count the pixels and lesions of all films. "
    "The all_films values count a film without the target as 1 if nothing is predicted, else 0. "
    "Nothing is smoothed."
)


def empty_mask_note(table: pd.DataFrame) -> str:
    """The policy with the counts it applied to.

    Args:
        table: tp, fp, fn, tn, one row a film.

    Example:
        >>> table = pd.DataFrame({"tp": [1, 0, 0], "fp": [1, 0, 1], "fn": [2, 3, 0], "tn": 0})
        >>> empty_mask_note(table).removeprefix(EMPTY_MASK_POLICY)
        ' Here: 2 films with the target, nothing predicted on 1; 1 without it, 1 falsely marked.'
    """
    target = table["tp"] + table["fn"] > 0
    predicted = table["tp"] + table["fp"] > 0
    return (
        f"{EMPTY_MASK_POLICY} Here: {target.sum()} films with the target, nothing predicted on "
        f"{(target & ~predicted).sum()}; {(~target).sum()} without it, "
        f"{(~target & predicted).sum()} falsely marked."
    )
