"""Detection: which films have the target at all, read off what is marked on them."""

from __future__ import annotations

import pandas as pd
from sklearn.metrics import roc_auc_score


def detection_scores(table: pd.DataFrame) -> dict[str, float]:
    """How well marks tell films with the target from films without it.

    A film is called by at least one predicted lesion (see `lesions`), so that specks call none.
    The AUROC needs no such limit: it is the chance that a film with the target has more marked
    (`area`), or a higher greatest probability (`peak`), than a film without it, ties counting half.

    Where all films have the target, or none, AUROC and the one of sensitivity and specificity
    that has no films are NaN.

    Args:
        table: one row a film: truth_share, predicted_share, lesions_predicted, and peak, which
            is NaN of predictions without probabilities.

    Returns:
        `detection_auroc_area`, `detection_auroc_peak`, `detection_sensitivity`,
        `detection_specificity`.

    Example:
        >>> table = pd.DataFrame(
        ...     {"truth_share": [0.2, 0.1, 0.0], "predicted_share": [0.1, 0.0, 0.0],
        ...      "lesions_predicted": [1, 0, 0], "peak": [0.9, 0.4, 0.2]})
        >>> detection_scores(table)  # doctest: +NORMALIZE_WHITESPACE
        {'detection_auroc_area': 0.75, 'detection_auroc_peak': 1.0, 'detection_sensitivity': 0.5,
         'detection_specificity': 1.0}
    """
    target = table["truth_share"] > 0
    called = table["lesions_predicted"] > 0
    return {
        "detection_auroc_area": _auroc(target, table["predicted_share"]),
        "detection_auroc_peak": _auroc(target, table["peak"]),
        "detection_sensitivity": float(called[target].mean()),
        "detection_specificity": float((~called[~target]).mean()),
    }


def _auroc(target: pd.Series, score: pd.Series) -> float:
    if target.nunique() < 2 or score.isna().any():
        return float("nan")
    return float(roc_auc_score(target, score))
