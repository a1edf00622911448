"""Scores of regions: distances between boundaries, lesions, and detection of the target."""

import cv2
import numpy as np
import pandas as pd
from scipy.spatial import KDTree
from sklearn.metrics import roc_auc_score

TOLERANCE = 2 / 256  # of the side of the image: 2 pixels at 256×256
RIM = 0.02  # of the diagonal of the image, as Cheng et al.
CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
SQUARE = np.ones((3, 3), np.uint8)
MINIMUM_SHARE = 10 / 256**2  # 10 pixels at 256×256: some 20 mm² on an image 35 cm wide
LIMITS = {"10": 0.1, "50": 0.5}  # suffix of the columns and IoU


def boundary_scores(
    reference: np.ndarray, predicted: np.ndarray, spacing: tuple[float, float] = (1.0, 1.0)
) -> dict[str, float]:
    """Compute the boundary scores of one image from two masks, (height, width) bool.

    The boundary of a mask is its pixels that share a side with a pixel outside it, or lie on the
    border of the image. Implementations differ (arXiv 2410.02630); here, distances are between the
    centres of boundary pixels, in the unit of `spacing`, height and width of a pixel.

    Returns:
        `hd95`: the larger of the two directed 95th percentiles (linear interpolation), as in
        Metrics Reloaded; one percentile over both directions, as in other tools, is not larger.
        `assd`: the mean over the boundary pixels of both masks together.
        `surface_dice` (Nikolov et al. 2021): the share of the boundary pixels of both masks within
        `TOLERANCE` of the side of the image (geometric mean of its sides) of the other boundary.
        `boundary_iou` (Cheng et al., CVPR 2021): IoU of the rims that an erosion by 3×3 removes in
        as many steps as `RIM` of the diagonal of the image has pixels, at least one.
        If nothing is predicted, the distances are the diagonal of the image and the overlaps 0.
        Without the target, all are NaN, whatever is predicted.

    Example:
        >>> reference, predicted = np.zeros((2, 16, 16), bool)
        >>> reference[4:8, 4:8] = predicted[4:8, 7:11] = True
        >>> boundary_scores(reference, predicted)["hd95"]
        3.0
    """
    names = ("hd95", "assd", "surface_dice", "boundary_iou")
    height, width = np.multiply(reference.shape, spacing)
    if not reference.any():
        return dict.fromkeys(names, float("nan"))
    if not predicted.any():
        diagonal = float(np.hypot(height, width))
        return dict(zip(names, (diagonal, diagonal, 0.0, 0.0), strict=True))
    masks = reference, predicted
    points = [np.argwhere(_rim(mask, CROSS, 1)) * np.asarray(spacing) for mask in masks]
    # Points on a grid: an unbalanced tree is built faster, and queried as fast.
    trees = [KDTree(of_mask, balanced_tree=False, compact_nodes=False) for of_mask in points]
    directed = [trees[1].query(points[0])[0], trees[0].query(points[1])[0]]
    both = np.concatenate(directed)
    # Distances in millimetres carry rounding errors.
    tolerance = float(TOLERANCE * np.sqrt(height * width)) * (1 + 1e-9)
    steps = max(1, round(RIM * float(np.hypot(*reference.shape))))
    first, second = (_rim(mask, SQUARE, steps) for mask in masks)
    return {
        "hd95": float(max(np.percentile(distances, 95) for distances in directed)),
        "assd": float(both.mean()),
        "surface_dice": float((both <= tolerance).mean()),
        "boundary_iou": float(np.count_nonzero(first & second) / np.count_nonzero(first | second)),
    }


def _rim(mask: np.ndarray, element: np.ndarray, steps: int) -> np.ndarray:
    """Return the pixels that an erosion removes; outside the image nothing is marked."""
    padded = np.pad(mask, 1).astype(np.uint8)  # unlike OpenCV's own border, which never erodes
    return mask & ~cv2.erode(padded, element, iterations=steps)[1:-1, 1:-1].astype(bool)


def lesion_scores(reference: np.ndarray, predicted: np.ndarray) -> dict[str, int]:
    """Count the lesions of one image, found and false, from two masks, (height, width) bool.

    A lesion is an 8-connected component of at least `MINIMUM_SHARE` of the image. It is found if
    the IoU of a predicted component with it is above the limit; a predicted lesion is false if its
    IoU with every component of the reference, however small, is not.

    Returns `lesions` (of the reference), `lesions_predicted`, and for each of `LIMITS`
    `lesions_found_*` (of the reference) and `false_lesions_*` (predicted).

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
