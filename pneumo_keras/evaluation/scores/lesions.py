"""Lesions found and lesions made up: the connected components of a film's masks.

A lesion is an 8-connected component of at least `MINIMUM_SHARE` of the film: 10 pixels at
256×256, some 20 mm² on a film 35 cm wide, a spot of 5 mm. A true lesion is found if a predicted
component overlaps it with an IoU above the limit; a predicted lesion is false if its IoU with
every true component, however small, is at or below the limit. At 0.5 this pairs each lesion with
one component at most; at 0.1 a lesion predicted in pieces may be found by several, and a component
that covers two may find both.
"""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd

MINIMUM_SHARE = 10 / 256**2
LIMITS = {"10": 0.1, "50": 0.5}  # suffix of the columns and IoU


def lesion_scores(truth: np.ndarray, predicted: np.ndarray) -> dict[str, int]:
    """Lesions of one film.

    Args:
        truth: (height, width) bool.
        predicted: the same shape.

    Returns:
        `lesions` (true), `lesions_predicted`, and for each of `LIMITS`
        `lesions_found_*` (true lesions found) and `false_lesions_*` (predicted, false).

    Example:
        >>> truth = np.array([[1, 1, 0, 0, 0, 1]], bool)
        >>> predicted = np.array([[1, 0, 0, 1, 0, 0]], bool)
        >>> lesion_scores(truth, predicted)  # doctest: +NORMALIZE_WHITESPACE
        {'lesions': 2, 'lesions_predicted': 2, 'lesions_found_10': 1, 'false_lesions_10': 1,
         'lesions_found_50': 0, 'false_lesions_50': 2}
    """
    minimum = max(1, round(MINIMUM_SHARE * truth.size))
    true_labels, true_areas = _components(truth)
    predicted_labels, predicted_areas = _components(predicted)
    large, predicted_large = true_areas >= minimum, predicted_areas >= minimum
    both = truth & predicted
    codes, overlap = np.unique(
        true_labels[both] * len(predicted_areas) + predicted_labels[both], return_counts=True
    )
    pairs = np.divmod(codes, len(predicted_areas))
    iou = overlap / (true_areas[pairs[0]] + predicted_areas[pairs[1]] - overlap)
    scores = {"lesions": int(large.sum()), "lesions_predicted": int(predicted_large.sum())}
    for suffix, limit in LIMITS.items():
        found, matching = (np.unique(of_masks[iou > limit]) for of_masks in pairs)
        scores[f"lesions_found_{suffix}"] = int(large[found].sum())
        scores[f"false_lesions_{suffix}"] = int(
            predicted_large.sum() - predicted_large[matching].sum()
        )
    return scores


def _components(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the 8-connected components from 1 on, and areas by number, 0 of the background."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8
    )
    areas = statistics[:, cv2.CC_STAT_AREA].astype(np.int64)
    areas[0] = 0  # the background is no component
    return labels.astype(np.int64), areas


def lesion_summary(table: pd.DataFrame) -> dict[str, float]:
    """Lesions of all films together, those of films without the target included.

    F1 = 2 found / (2 found + false + not found). It is NaN where there are no lesions, true or
    predicted; the share found is NaN where there are no true ones.

    Args:
        table: one row a film, with the columns of `lesion_scores`.

    Returns:
        `lesion_count`, and for each of `LIMITS` `lesion_f1_*`, `lesion_sensitivity_*` (the share
        found) and `lesion_false_per_film_*`.

    Example:
        >>> table = pd.DataFrame(
        ...     {"lesions": [2, 0], "lesions_found_10": [1, 0], "lesions_found_50": [0, 0],
        ...      "false_lesions_10": [0, 1], "false_lesions_50": [1, 1]})
        >>> scores = lesion_summary(table)
        >>> scores["lesion_f1_10"], scores["lesion_sensitivity_10"]
        (0.5, 0.5)
        >>> scores["lesion_false_per_film_50"]
        1.0
    """
    lesions = int(table["lesions"].sum())
    scores = {"lesion_count": lesions}
    for suffix in LIMITS:
        found = int(table[f"lesions_found_{suffix}"].sum())
        false = int(table[f"false_lesions_{suffix}"].sum())
        marks = found + false + lesions
        scores[f"lesion_f1_{suffix}"] = 2 * found / marks if marks else float("nan")
        scores[f"lesion_sensitivity_{suffix}"] = found / lesions if lesions else float("nan")
        scores[f"lesion_false_per_film_{suffix}"] = false / len(table)
    return scores
