"""Scores of lesions, and of detection: is the target in the image at all?

A lesion is an 8-connected component of at least `MINIMUM_SHARE` of the image: 10 pixels at
256×256, some 20 mm² on an image 35 cm wide. It is found if the IoU of a predicted component with
it is above the limit; a predicted lesion is false if its IoU with every component of the
reference, however small, is not.
"""

import cv2
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

MINIMUM_SHARE = 10 / 256**2
LIMITS = {"10": 0.1, "50": 0.5}  # suffix of the columns and IoU


def lesion_scores(reference: np.ndarray, predicted: np.ndarray) -> dict[str, int]:
    """Count the lesions of one image, found and false.

    From two masks (height, width) bool: `lesions` (of the reference), `lesions_predicted`, and for
    each of `LIMITS` `lesions_found_*` (of the reference) and `false_lesions_*` (predicted).

    Example:
        >>> reference = np.array([[1, 1, 0, 0, 0, 1]], bool)
        >>> scores = lesion_scores(reference, np.array([[1, 0, 0, 1, 0, 0]], bool))
        >>> scores["lesions_found_10"], scores["false_lesions_10"], scores["false_lesions_50"]
        (1, 1, 2)
    """
    minimum = max(1, round(MINIMUM_SHARE * reference.size))
    labels, areas = _components(reference)
    predicted_labels, predicted_areas = _components(predicted)
    large, predicted_large = areas >= minimum, predicted_areas >= minimum
    both = reference & predicted
    codes = labels[both] * len(predicted_areas) + predicted_labels[both]
    codes, overlap = np.unique(codes, return_counts=True)
    first, second = np.divmod(codes, len(predicted_areas))
    iou = overlap / (areas[first] + predicted_areas[second] - overlap)
    found, false = {}, {}
    for suffix, limit in LIMITS.items():
        matching = predicted_large[np.unique(second[iou > limit])].sum()
        found[f"lesions_found_{suffix}"] = int(large[np.unique(first[iou > limit])].sum())
        false[f"false_lesions_{suffix}"] = int(predicted_large.sum() - matching)
    lesions = {"lesions": int(large.sum()), "lesions_predicted": int(predicted_large.sum())}
    return lesions | found | false


def _components(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Label the 8-connected components from 1 on; areas by label, 0 for the background."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA].astype(np.int64)
    areas[0] = 0
    return labels.astype(np.int64), areas


def lesion_summary(table: pd.DataFrame) -> dict[str, float]:
    """Summarise the lesions of all images, from the columns of `lesion_scores`.

    F1 is 2 found / (2 found + false + missed), sensitivity the share found; NaN for 0 / 0.
    """
    lesions = int(table["lesions"].sum())
    scores = {"lesion_count": lesions}
    for suffix in LIMITS:
        found = int(table[f"lesions_found_{suffix}"].sum())
        false = int(table[f"false_lesions_{suffix}"].sum())
        marks = found + false + lesions
        scores[f"lesion_f1_{suffix}"] = 2 * found / marks if marks else float("nan")
        scores[f"lesion_sensitivity_{suffix}"] = found / lesions if lesions else float("nan")
        scores[f"lesion_false_per_image_{suffix}"] = false / len(table)
    return scores


def detection_scores(table: pd.DataFrame) -> dict[str, float]:
    """Score how well predictions tell images with the target from images without it.

    AUROC is that of the predicted area and of the greatest probability (`peak`); for sensitivity
    and specificity, an image with a predicted lesion is called positive. NaN where undefined.
    """
    target, called = table["reference_share"] > 0, table["lesions_predicted"] > 0
    scores = {}
    for name, column in (("area", "predicted_share"), ("peak", "peak")):
        defined = target.nunique() == 2 and table[column].notna().all()
        auroc = float(roc_auc_score(target, table[column])) if defined else float("nan")
        scores[f"detection_auroc_{name}"] = auroc
    scores["detection_sensitivity"] = float(called[target].mean())
    scores["detection_specificity"] = float((~called[~target]).mean())
    return scores
