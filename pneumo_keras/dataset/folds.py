"""A share of the films drawn off at random, by units that stay whole, alike in every stratum."""

from __future__ import annotations

import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from pneumo_keras.errors import StudyError

MOST_FOLDS = 20


def draw_off(films: pd.DataFrame, share: float, seed: int, split_by: str) -> pd.Index:
    """The rows of one part: whole folds, as many as come to the share.

    Args:
        films: one row a film, with `unit`, which is not divided, and `stratum`.
        share: of the units, 0..1.
        seed: of the shuffle.
        split_by: as for `split_films`, for the error.

    Raises:
        StudyError: if there are fewer units than folds.

    Example:
        >>> films = pd.DataFrame({"unit": list("aabbccdd"), "stratum": "virus"})
        >>> len(draw_off(films, 0.25, 1, "patient"))
        2
    """
    if share == 0:
        return films.index[:0]
    folds, taken = _folds(share)
    units = films["unit"].nunique()
    if units < folds:
        what = "films" if split_by == "image" else "patients"
        copied = "content" in films and films["content"].duplicated().any()
        copies = " (those of the same film count as one)" if copied else ""
        raise StudyError(
            f"{units} {what}{copies} are too few to split {share:.0%} off: annotate films of at "
            f"least {folds} {what}, or set test_share and validation_share"
        )
    # A stratum with fewer units than folds cannot be spread over them: it joins the largest.
    sizes = films.groupby("stratum")["unit"].nunique()
    common = films["stratum"].map(sizes).ge(folds)
    strata = films["stratum"].where(common, sizes.idxmax())
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    drawn = [fold for _, fold in splitter.split(films, strata, films["unit"])][:taken]
    return films.index[sorted(position for fold in drawn for position in fold)]


def _folds(share: float) -> tuple[int, int]:
    """How many folds to make, and how many of them come to a share; at least one, never all."""
    for folds in range(2, MOST_FOLDS + 1):
        taken = min(max(round(share * folds), 1), folds - 1)
        if abs(taken / folds - share) < 0.005:
            break
    return folds, taken
