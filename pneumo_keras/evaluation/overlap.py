"""Pixel counts, and the overlap scores that follow from them: of each image, and pooled."""

import numpy as np
import pandas as pd

COUNTS = ["tp", "fp", "fn", "tn"]


def count_pixels(reference: np.ndarray, predicted: np.ndarray) -> pd.DataFrame:
    """Count true and false positives and negatives in each image.

    Below its equation 2, the paper exchanges the descriptions of FP and FN. Masks are (images,
    height, width), bool or 0 and 1; a ValueError tells of shapes that differ, or no image.

    Example:
        >>> count_pixels(np.array([[[1, 1, 0, 0]]]), np.array([[[1, 0, 1, 0]]])).to_dict("list")
        {'tp': [1], 'fp': [1], 'fn': [1], 'tn': [1]}
    """
    if reference.shape != predicted.shape or len(reference) == 0:
        raise ValueError(f"need one shape, not {reference.shape} and {predicted.shape}")
    pairs = zip(reference.astype(bool), predicted.astype(bool), strict=True)
    return pd.DataFrame([count_image(*pair) for pair in pairs])


def count_image(reference: np.ndarray, predicted: np.ndarray) -> dict[str, int]:
    """Count as `count_pixels`, in one image: two masks (height, width) bool."""
    tp = int(np.count_nonzero(reference & predicted))
    fp = int(np.count_nonzero(predicted)) - tp
    fn = int(np.count_nonzero(reference)) - tp
    return {"tp": tp, "fp": fp, "fn": fn, "tn": reference.size - tp - fp - fn}


def overlap_ratios(tp, fp, fn, tn) -> dict[str, tuple]:
    """Return numerator and denominator of each score, from counts, arrays or series of them.

    Accuracy and IoU are equations 2 and 1 of the paper.

    Example:
        >>> overlap_ratios(tp=6, fp=2, fn=4, tn=88)["dice"]
        (12, 18)
    """
    return {
        "accuracy": (tp + tn, tp + fp + fn + tn),
        "iou": (tp, tp + fp + fn),
        "dice": (2 * tp, 2 * tp + fp + fn),
        "sensitivity": (tp, tp + fn),
        "specificity": (tn, tn + fp),
        "precision": (tp, tp + fp),
    }


def image_scores(counts: pd.DataFrame) -> pd.DataFrame:
    """Add the scores of `overlap_ratios` to the counts of each image, and shares of its pixels.

    IoU, Dice, sensitivity and precision are NaN without the target, specificity where the target
    covers the image. `area_error` is (FP − FN) / pixels.

    Example:
        >>> counts = pd.DataFrame({"tp": [1, 0], "fp": [1, 1], "fn": [2, 0], "tn": 3})
        >>> image_scores(counts)["iou"].tolist()
        [0.25, nan]
    """
    tp, fp, fn, tn = (counts[name].astype(float) for name in COUNTS)
    scores = {name: part / whole for name, (part, whole) in overlap_ratios(tp, fp, fn, tn).items()}
    # 0 where nothing is predicted: as NaN it would drop the worst images from the mean.
    scores["precision"] = scores["precision"].fillna(0.0)
    for name in ("iou", "dice", "sensitivity", "precision"):
        scores[name] = scores[name].where(tp + fn > 0)
    pixels = tp + fp + fn + tn
    shares = {"area_error": fp - fn, "reference_share": tp + fn, "predicted_share": tp + fp}
    return counts.assign(**scores, **{name: part / pixels for name, part in shares.items()})


def pooled_scores(counts: pd.DataFrame) -> dict[str, float]:
    """Compute the scores of `overlap_ratios` over the pixels of all images; NaN for 0 / 0.

    Example:
        >>> pooled_scores(pd.DataFrame({"tp": [1, 0], "fp": [1, 1], "fn": [2, 0], "tn": 3}))["iou"]
        0.2
    """
    ratios = overlap_ratios(*(int(counts[name].sum()) for name in COUNTS))
    return {name: part / whole if whole else float("nan") for name, (part, whole) in ratios.items()}
