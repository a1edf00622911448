"""What a training has achieved, judged on the validation images: threshold, degenerate results."""

from __future__ import annotations

import numpy as np

from pneumo_keras.evaluation.metrics import baseline_predictions, count_pixels, image_scores

THRESHOLDS = np.arange(0.05, 0.96, 0.05)
NEARLY_ALL_PIXELS, NEARLY_ALL_IMAGES = 0.99, 0.95


def choose_threshold(probabilities: np.ndarray, masks: np.ndarray, rule: str) -> float:
    """The probability at and above which a pixel is positive.

    Args:
        probabilities: (images, height, width), 0..1, of validation images.
        masks: their reference masks, 0 or 1.
        rule: `0.5`, or `validation`: the best mean Dice per image, over images with a reference.

    Returns:
        0.5, or one of 0.05, 0.10, ..., 0.95.

    Example:
        >>> masks = np.array([[[0, 1]]])
        >>> choose_threshold(np.array([[[0.3, 0.4]]]), masks, "validation")
        0.35
    """
    marked = masks.any(axis=(1, 2))
    if rule == "0.5" or not marked.any():
        return 0.5
    reference, probabilities = masks[marked], probabilities[marked]
    dice = [_mean_dice(reference, probabilities >= limit) for limit in THRESHOLDS]
    return round(float(THRESHOLDS[int(np.argmax(dice))]), 2)


def judge(
    probabilities: np.ndarray, masks: np.ndarray, threshold: float, training_masks: np.ndarray
) -> dict:
    """Compare predictions of validation images with predictions that ignore the image.

    Args:
        probabilities: (images, height, width), 0..1.
        masks: their reference masks, 0 or 1.
        threshold: probability at and above which a pixel is positive.
        training_masks: reference masks of the training images, for the baselines.

    Returns:
        `predicts`: `nothing` if no pixel is positive on 95 % of the images that have a reference,
        `everything` if on 95 % of all images more than 99 % of the pixels are, else empty.
        `validation_dice`: mean Dice per image at the threshold, over images with a reference, and
        `validation_baseline_dice`: the highest that any baseline has.

    Example:
        >>> masks = np.array([[[0, 1, 1, 0]]])
        >>> judge(np.ones((1, 1, 4)), masks, 0.5, masks)["predicts"]
        'everything'
    """
    predicted = probabilities >= threshold
    marked = masks.any(axis=(1, 2))
    shares = predicted.mean(axis=(1, 2))
    empty = (shares[marked] == 0).mean() if marked.any() else 0.0
    full = (shares > NEARLY_ALL_PIXELS).mean()
    predicts = ""
    if empty >= NEARLY_ALL_IMAGES:
        predicts = "nothing"
    elif full >= NEARLY_ALL_IMAGES:
        predicts = "everything"
    baselines = baseline_predictions(training_masks, int(marked.sum())).values()
    if not marked.any():
        return {"predicts": predicts, "validation_dice": None, "validation_baseline_dice": None}
    best = max(_mean_dice(masks[marked], baseline) for baseline in baselines)
    return {
        "predicts": predicts,
        "validation_dice": round(_mean_dice(masks[marked], predicted[marked]), 6),
        "validation_baseline_dice": round(best, 6),
    }


def _mean_dice(reference: np.ndarray, predicted: np.ndarray) -> float:
    return float(image_scores(count_pixels(reference, predicted))["dice"].mean())
