"""Checks of predictions, masks and score tables, once for all scores; errors name the image."""

import numpy as np
import pandas as pd

from pneumo_keras.errors import StudyError

COUNTS = ["tp", "fp", "fn", "tn"]  # columns of a table of scores, pixels


def checked_pair(
    name: str, prediction: np.ndarray, reference: np.ndarray, binary: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return prediction (probabilities, or a mask if `binary`) and mask of an image, masks bool."""
    prediction, reference = np.asarray(prediction), np.asarray(reference)
    if prediction.shape != reference.shape or prediction.ndim != 2 or prediction.size == 0:
        shapes = f"{prediction.shape} and {reference.shape}"
        raise StudyError(f"image {name}: prediction and mask are {shapes}, not of one size")
    low, high = float(prediction.min()), float(prediction.max())
    if np.isnan(low):
        raise StudyError(f"image {name}: a prediction is not a number (NaN): train the model again")
    if low < 0 or high > 1:
        raise StudyError(f"image {name}: predictions from {low:g} to {high:g}, not within 0..1")
    for mask in (prediction, reference) if binary else (reference,):
        if mask.dtype != bool and not ((mask == 0) | (mask == 1)).all():
            raise StudyError(f"image {name}: the mask holds other values than 0 and 1")
    return prediction.astype(bool) if binary else prediction, reference.astype(bool)


def check_threshold(threshold: float) -> float:
    """Return a threshold on probabilities if it is above 0 and at most 1."""
    if not 0 < threshold <= 1:
        raise StudyError(f"threshold {threshold:g}: it must be above 0 and at most 1")
    return float(threshold)


def check_images(images: pd.DataFrame, predictions: int, masks: int) -> None:
    """Check that there are images, each listed once, with one prediction and one mask for each."""
    for column in ("name", "patient", "group"):
        if column not in images:
            raise StudyError(f"the list of images has no column {column}: take the arrays' index")
        refuse(images, images[column].isna(), "scores", f"has no {column}")
    if images.empty:
        raise StudyError("there is no image to score: this part of the split is empty")
    refuse(images, images["name"].duplicated(), "scores", "is listed twice: remove one")
    if not len(images) == predictions == masks:
        given = f"{len(images)} images, {predictions} predictions, {masks} masks"
        raise StudyError(f"{given}: one prediction and one mask are needed for each image")


def check_scores(scores: pd.DataFrame, network: str = "the scores") -> pd.DataFrame:
    """Return a valid table of scores sorted by image, patients as text."""
    for column in ("name", "patient", *COUNTS):
        if column not in scores:
            raise StudyError(f"{network}: no column {column}: take the scores of notebook 05")
    if scores.empty:
        raise StudyError(f"{network}: there is no image: this part of the split is empty")
    scores = scores.sort_values("name", ignore_index=True)
    refuse(scores, scores["name"].duplicated(), network, "is listed twice: remove one row")
    unknown = scores["patient"].isna() | (scores["patient"].astype(str).str.strip() == "")
    refuse(scores, unknown, network, "has no patient: name one, or repeat the image's name")
    counts = scores[COUNTS].apply(pd.to_numeric, errors="coerce")
    valid = (np.isfinite(counts) & (counts >= 0)).all(axis=1) & (counts.sum(axis=1) > 0)
    refuse(scores, ~valid, network, "has counts that are not counts of pixels: score it again")
    target = counts["tp"] + counts["fn"] > 0
    for metric in ("accuracy", "iou", "dice", "sensitivity", "precision"):
        if metric in scores:
            missing = ~np.isfinite(scores[metric].astype(float)) & (target | (metric == "accuracy"))
            refuse(scores, missing, network, f"has no {metric} (NaN): score it again")
    return scores.assign(patient=scores["patient"].astype(str))


def check_same_images(
    first: pd.DataFrame, second: pd.DataFrame, names: tuple[str, str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return two valid tables of scores of the same images, patients and masks, sorted alike."""
    first, second = check_scores(first, names[0]), check_scores(second, names[1])
    for one, other, has, lacks in ((first, second, *names), (second, first, *names[::-1])):
        reason = f"is not scored for {lacks}: score both networks on the same images"
        refuse(one, ~one["name"].isin(other["name"]), has, reason)
    both = " and ".join(names)
    refuse(first, first["patient"] != second["patient"], both, "has another patient in each")
    for columns in (["tp", "fn"], COUNTS):
        differ = first[columns].sum(axis=1) != second[columns].sum(axis=1)
        refuse(first, differ, both, "has another mask or size in each: score both on one mask")
    return first, second


def refuse(table: pd.DataFrame, wrong: np.ndarray | pd.Series, what: str, reason: str) -> None:
    """Raise a StudyError that names the first image that is wrong, if any is."""
    if np.any(wrong):
        raise StudyError(f"{what}: image {table['name'].iloc[int(np.argmax(wrong))]} {reason}")
