"""Scores of predictions: one row an image, and their summary over all images."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation import checks
from pneumo_keras.evaluation.boundary import boundary_scores
from pneumo_keras.evaluation.lesions import detection_scores, lesion_scores, lesion_summary
from pneumo_keras.evaluation.overlap import COUNTS, count_image, image_scores, pooled_scores
from pneumo_keras.evaluation.overlap import count_pixels as count_pixels

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


def score_images(
    probabilities: Sequence[np.ndarray],
    reference: Sequence[np.ndarray],
    threshold: float,
    images: pd.DataFrame,
    spacing: np.ndarray | None = None,
) -> pd.DataFrame:
    """Score each image from probabilities.

    Args:
        probabilities: (images, height, width) float, 0..1, or one (height, width) per image.
        reference: masks of the same shapes, bool or 0 and 1.
        threshold: probability at and above which a pixel is marked, chosen on validation images.
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
    return _score(probabilities, reference, checks.check_threshold(threshold), images, spacing)


def score_masks(
    predicted: Sequence[np.ndarray],
    reference: Sequence[np.ndarray],
    images: pd.DataFrame,
    spacing: np.ndarray | None = None,
) -> pd.DataFrame:
    """Score predicted masks, as `score_images` does, with NaN for `brier` and `peak`."""
    return _score(predicted, reference, None, images, spacing)


def _score(predictions, reference, threshold, images, spacing) -> pd.DataFrame:
    """Score masks, or probabilities where there is a threshold."""
    checks.check_images(images, len(predictions), len(reference))
    unit = "px" if spacing is None else "mm"
    sizes = checks.check_spacing(spacing, images)
    rows = []
    for name, *pair, size in zip(images["name"], predictions, reference, sizes, strict=True):
        prediction, mask = checks.checked_pair(name, *pair, binary=threshold is None)
        marked, brier, peak = prediction, float("nan"), float("nan")
        if threshold is not None:
            error = np.subtract(prediction, mask, dtype=float)
            marked, brier = prediction >= threshold, float(np.mean(error**2))
            peak = float(prediction.max())
        row = count_image(mask, marked) | boundary_scores(mask, marked, size) | {"unit": unit}
        rows.append(row | lesion_scores(mask, marked) | {"brier": brier, "peak": peak})
    table = pd.DataFrame(rows)
    who = images[["name", "patient", "group"]].reset_index(drop=True)
    return pd.concat([who, image_scores(table[COUNTS]), table.drop(columns=COUNTS)], axis=1)


def summary(table: pd.DataFrame) -> dict[str, float]:
    """Summarise a table of `score_images` over all images, or what follows from tp, fp, fn, tn.

    Returns:
        `pooled_*` (`pooled_scores`); `image_*`, means over the images that have the score, and
        `all_images_*`, see `EMPTY_MASK_POLICY`; `unit` of hd95 and assd; `lesion_*` and
        `detection_*` (`lesion_summary`, `detection_scores`); `images`, `images_with_target`, of
        these `missed` (nothing predicted), `images_without_target`, of these `falsely_marked`
        (something predicted), and `false_share`, their mean marked share.

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
        result |= lesion_summary(table) | detection_scores(scores)
    return result


def empty_mask_note(table: pd.DataFrame) -> str:
    """State the policy on empty masks, with the numbers of images in a table of scores.

    Example:
        >>> table = pd.DataFrame({"tp": [1, 0, 0], "fp": [1, 0, 1], "fn": [2, 3, 0], "tn": 0})
        >>> empty_mask_note(table).removeprefix(EMPTY_MASK_POLICY)
        ' Here: 2 images with the target, nothing predicted on 1; 1 without it, 1 falsely marked.'
    """
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
    """Compute height and width of an array's pixel from the spacing in the image files.

    Args:
        index: one row an image: height, width (pixels), spacing_row_mm and spacing_column_mm.
        size: side of the arrays, pixels.
        letterbox: whether images were padded to a square, else stretched.

    Returns:
        (images, 2) mm; None if the spacing of any image is unknown.

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
