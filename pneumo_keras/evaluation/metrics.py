"""Scores of predictions: one row an image, and their summary over all images."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation import regions
from pneumo_keras.evaluation.checks import (
    COUNTS,
    check_images,
    check_threshold,
    checked_pair,
    refuse,
)

EMPTY_MASK_POLICY = (
    "Empty masks. Scores per image are means over the images on which the target is present; an "
    "image on which nothing is predicted there counts with the worst value there is: 0 for Dice, "
    "IoU, sensitivity, precision, surface Dice and boundary IoU, the diagonal of the image for "
    "HD95 and ASSD. Images without the target do not enter these means, whatever is predicted; "
    "what is marked on them is reported separately. Pooled and lesion scores count the pixels and "
    "lesions of all images. The all_images values count an image without the target as 1 if "
    "nothing is predicted, else 0. Nothing is smoothed."
)
IMAGE_MEANS = (
    *("accuracy", "iou", "dice", "sensitivity", "specificity", "precision", "area_error"),
    *("hd95", "assd", "surface_dice", "boundary_iou", "brier"),
)


def count_pixels(reference: np.ndarray, predicted: np.ndarray) -> pd.DataFrame:
    """Count true and false positives and negatives in each image: tp, fp, fn and tn.

    Masks are (images, height, width), bool or 0 and 1; other shapes are a ValueError. (Below its
    equation 2, the paper exchanges the descriptions of FP and FN.)

    Example:
        >>> count_pixels(np.array([[[1, 1, 0, 0]]]), np.array([[[1, 0, 1, 0]]])).to_dict("list")
        {'tp': [1], 'fp': [1], 'fn': [1], 'tn': [1]}
    """
    if reference.shape != predicted.shape or len(reference) == 0:
        raise ValueError(f"need one shape, not {reference.shape} and {predicted.shape}")
    pairs = zip(reference.astype(bool), predicted.astype(bool), strict=True)
    return pd.DataFrame([_count(*pair) for pair in pairs])


def _count(reference: np.ndarray, predicted: np.ndarray) -> dict[str, int]:
    tp = int(np.count_nonzero(reference & predicted))
    fp = int(np.count_nonzero(predicted)) - tp
    fn = int(np.count_nonzero(reference)) - tp
    return {"tp": tp, "fp": fp, "fn": fn, "tn": reference.size - tp - fp - fn}


def overlap_ratios(tp, fp, fn, tn) -> dict[str, tuple]:
    """Return numerator and denominator of each score, from counts, arrays or series of them.

    Accuracy and IoU are equations 2 and 1 of the paper.
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
    shares = {"area_error": fp - fn, "reference_share": tp + fn, "predicted_share": tp + fp}
    shares = {name: part / (tp + fp + fn + tn) for name, part in shares.items()}
    return counts.assign(**scores, **shares)


def pooled_scores(counts: pd.DataFrame) -> dict[str, float]:
    """Compute the scores of `overlap_ratios` over the pixels of all images; NaN for 0 / 0."""
    ratios = overlap_ratios(*(int(counts[name].sum()) for name in COUNTS))
    return {name: part / whole if whole else float("nan") for name, (part, whole) in ratios.items()}


def score_images(
    probabilities: Sequence[np.ndarray],
    reference: Sequence[np.ndarray],
    threshold: float | None,
    images: pd.DataFrame,
    spacing: np.ndarray | None = None,
) -> pd.DataFrame:
    """Score each image from probabilities.

    Args:
        probabilities: (images, height, width) float, 0..1, or one (height, width) per image.
        reference: masks of the same shapes, bool or 0 and 1.
        threshold: probability at and above which a pixel is marked, chosen on validation images;
            None if `probabilities` are masks, which have no `brier` and `peak`.
        images: the same images in the same order, with `name`, `patient` and `group`.
        spacing: (images, 2) height and width of a pixel of these arrays, mm; None for pixels.

    Returns:
        One row an image: name, patient, group; tp, fp, fn, tn; the columns of `image_scores`,
        `boundary_scores` with their `unit` ("px" or "mm") and `lesion_scores`; `brier`, the mean
        over pixels of (probability − reference)²; `peak`, the greatest probability.

    Raises:
        StudyError: naming the image, if one is listed twice or has no prediction or mask, a
            probability is not within 0..1, or prediction and mask differ in size.

    Example:
        >>> images = pd.DataFrame({"name": ["a"], "patient": ["1"], "group": ["virus"]})
        >>> reference = np.array([[[1, 1, 0, 0]]], bool)
        >>> score_images([[[0.9, 0.2, 0.6, 0.1]]], reference, 0.5, images)["dice"].item()
        0.5
    """
    if threshold is not None:
        threshold = check_threshold(threshold)
    check_images(images, len(probabilities), len(reference))
    sizes = np.ones((len(images), 2)) if spacing is None else np.asarray(spacing, float)
    if sizes.shape != (len(images), 2):
        raise StudyError(f"spacing of shape {sizes.shape}: ({len(images)}, 2) is needed")
    unknown = ~(np.isfinite(sizes) & (sizes > 0)).all(axis=1)
    refuse(images, unknown, "spacing", "has none: leave spacing out to measure in pixels")
    unit = "px" if spacing is None else "mm"
    rows = []
    for name, *pair, size in zip(images["name"], probabilities, reference, sizes, strict=True):
        prediction, mask = checked_pair(name, *pair, binary=threshold is None)
        marked, brier, peak = prediction, float("nan"), float("nan")
        if threshold is not None:
            error = np.subtract(prediction, mask, dtype=float)
            marked, brier = prediction >= threshold, float(np.mean(error**2))
            peak = float(prediction.max())
        row = _count(mask, marked) | regions.boundary_scores(mask, marked, size) | {"unit": unit}
        rows.append(row | regions.lesion_scores(mask, marked) | {"brier": brier, "peak": peak})
    table = pd.DataFrame(rows)
    who = images[["name", "patient", "group"]].reset_index(drop=True)
    return pd.concat([who, image_scores(table[COUNTS]), table.drop(columns=COUNTS)], axis=1)


def score_masks(
    predicted: Sequence[np.ndarray],
    reference: Sequence[np.ndarray],
    images: pd.DataFrame,
    spacing: np.ndarray | None = None,
) -> pd.DataFrame:
    """Score predicted masks, as `score_images` does, with NaN for `brier` and `peak`."""
    return score_images(predicted, reference, None, images, spacing)


def summary(table: pd.DataFrame) -> dict[str, float]:
    """Summarise a table of `score_images` over all images, or what follows from tp, fp, fn, tn.

    Returns:
        `pooled_*` (`pooled_scores`); `image_*`, means over the images that have the score, and
        `all_images_*`, see `EMPTY_MASK_POLICY`; `unit` of hd95 and assd; `lesion_*` and
        `detection_*` (`regions`); `images`, `images_with_target`, of these `missed` (nothing
        predicted), `images_without_target`, of these `falsely_marked` (something predicted), and
        `false_share`, their mean marked share.

    Example:
        >>> counts = pd.DataFrame({"tp": [1, 0], "fp": [1, 1], "fn": [2, 0], "tn": [0, 3]})
        >>> summary(counts)["image_iou"], summary(counts)["false_share"]
        (0.25, 0.25)
    """
    scores = image_scores(table)
    target, predicted = scores["reference_share"] > 0, scores["predicted_share"] > 0
    left_alone = (~predicted).astype(float)
    result = {
        **{f"pooled_{name}": value for name, value in pooled_scores(table).items()},
        **{f"image_{name}": float(scores[name].mean()) for name in IMAGE_MEANS if name in scores},
        "all_images_iou": float(scores["iou"].fillna(left_alone).mean()),
        "all_images_dice": float(scores["dice"].fillna(left_alone).mean()),
        "images": len(table),
        "images_with_target": int(target.sum()),
        "missed": int((target & ~predicted).sum()),
        "images_without_target": int((~target).sum()),
        "falsely_marked": int((~target & predicted).sum()),
        "false_share": float(scores["predicted_share"][~target].mean()),
    }
    if "unit" in table:
        result["unit"] = table["unit"].iloc[0]
        if table["unit"].nunique() > 1:
            raise StudyError("distances in mm and px have no mean: score images of each separately")
    if "lesions" in table:
        result |= regions.lesion_summary(table) | regions.detection_scores(scores)
    return result


def empty_mask_note(table: pd.DataFrame) -> str:
    """State the policy on empty masks, with the numbers of images in a table of scores."""
    said = (
        "Here: {images_with_target} images with the target, nothing predicted on {missed}; "
        "{images_without_target} without it, {falsely_marked} falsely marked."
    )
    return f"{EMPTY_MASK_POLICY} {said.format(**summary(table))}"


def baseline_predictions(training_masks: np.ndarray, images: int) -> dict[str, np.ndarray]:
    """Predict without looking at the image: what a network has to beat.

    Returns `nothing`, `everything` and `mean training mask`, each (images, height, width) bool. The
    last is what at least a share of the training masks, (training images, height, width), marks:
    the share with the best pooled IoU on them.

    Example:
        >>> masks = np.array([[[1, 1, 0]], [[1, 1, 0]], [[1, 0, 1]]])
        >>> baseline_predictions(masks, 1)["mean training mask"].tolist()
        [[[True, True, False]]]
    """
    mean = training_masks.mean(axis=0, dtype=float)
    shares = np.unique(mean[mean > 0])
    # Over all images together, the overlap of a fixed mask is the sum of the mean mask within it.
    inside = [mean[mean >= share] for share in shares]
    ious = [part.sum() / (mean.sum() + (1 - part).sum()) for part in inside]
    fixed = mean >= shares[int(np.argmax(ious))] if ious else mean > 0
    masks = {"nothing": False, "everything": True, "mean training mask": fixed}
    return {name: np.broadcast_to(mask, (images, *mean.shape)) for name, mask in masks.items()}


def array_spacing(index: pd.DataFrame, size: int, letterbox: bool = False) -> np.ndarray | None:
    """Compute height and width of an array's pixel, (images, 2) mm; None if any is unknown.

    From the `height` and `width` (pixels), `spacing_row_mm` and `spacing_column_mm` of the image
    files and the side of the arrays, whether letterboxed (padded to a square) or stretched.

    Example:
        >>> spacing = {"spacing_row_mm": [0.5], "spacing_column_mm": [0.5]}
        >>> array_spacing(pd.DataFrame({"height": [200], "width": [100], **spacing}), 50).tolist()
        [[2.0, 1.0]]
    """
    native = index[["spacing_row_mm", "spacing_column_mm"]].to_numpy(float)
    if np.isnan(native).any():
        return None
    sides = index[["height", "width"]].to_numpy(float)
    if letterbox:
        sides = sides.max(axis=1, keepdims=True)
    return native * sides / size
