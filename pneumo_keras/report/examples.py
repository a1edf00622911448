"""Images chosen and read for the figures and the HTML report."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pneumo_keras.dataset.arrays import Arrays
from pneumo_keras.dataset.augmentation import augment
from pneumo_keras.dataset.images import read_image, read_mask
from pneumo_keras.dataset.records import ImageRecord
from pneumo_keras.dataset.resize import resize_back
from pneumo_keras.errors import StudyError


@dataclass(frozen=True, eq=False)
class TestedImage:
    """A test image with its reference mask, and by network the predicted mask and its Dice."""

    name: str
    patient: str  # "" if not known
    group: str
    image: np.ndarray  # (height, width) uint8
    reference: np.ndarray  # (height, width) bool
    predicted: dict[str, np.ndarray]  # (height, width) bool
    dice: dict[str, float]  # 0..1; NaN where the reference is empty


def tested_images(
    rows: Sequence[int],
    images: pd.DataFrame,
    data: Path,
    masks: Path,
    probabilities: dict[str, np.ndarray],
    thresholds: dict[str, float],
    scores: dict[str, pd.DataFrame],
    letterbox: bool = False,
) -> Iterator[TestedImage]:
    """Read test images with reference and predictions at their own size, one by one.

    Args:
        rows: which of the test images.
        images: one row per test image, of the index of masks.
        data, masks: folders of the images and of the mask PNGs.
        probabilities: by network, (images, size, size), 0..1.
        thresholds: by network.
        scores: by network, `dice` of each image, in the same order.
        letterbox: whether the images were letterboxed for the networks.
    """
    for row in rows:
        listed = images.iloc[row]
        image = read_image(data / listed["image"])
        predicted = {
            network: resize_back(values[row], image.shape, letterbox) >= thresholds[network]
            for network, values in probabilities.items()
        }
        yield TestedImage(
            name=str(listed["name"]),
            patient="" if pd.isna(listed["patient"]) else str(listed["patient"]),
            group=str(listed["group"]),
            image=image,
            reference=read_mask(masks / listed["mask"]),
            predicted=predicted,
            dice={network: float(scores[network]["dice"].iloc[row]) for network in predicted},
        )


def segmented_images(chosen: dict[str, int], *tested, **settings) -> dict[str, TestedImage]:
    """Read the images of `choose_examples`; the other arguments as for `tested_images`."""
    return dict(zip(chosen, tested_images(chosen.values(), *tested, **settings), strict=True))


def extreme_images(chosen: dict[str, list[int]], *tested, **settings) -> dict[str, list]:
    """Read the images of `choose_extremes`; the other arguments as for `tested_images`."""
    return {note: list(tested_images(rows, *tested, **settings)) for note, rows in chosen.items()}


def choose_examples(scores: dict[str, pd.DataFrame]) -> dict[str, int]:
    """Rows of the best, the median and the worst image by the mean Dice of all networks.

    `scores` are of the same images in the same order; those without a Dice are excluded.

    Raises:
        StudyError: if no image has a Dice.

    Example:
        >>> choose_examples({"SegNet": pd.DataFrame({"dice": [0.2, float("nan"), 0.9, 0.5]})})
        {'best': 2, 'typical': 3, 'worst': 0}
    """
    dice = sum(table["dice"].reset_index(drop=True) for table in scores.values())
    ranked = dice.dropna().sort_values().index.tolist()
    if not ranked:
        raise StudyError("no test image has the target: add images, or change seed or test_share")
    return {"best": ranked[-1], "typical": ranked[len(ranked) // 2], "worst": ranked[0]}


def choose_extremes(scores: pd.DataFrame, count: int = 2) -> dict[str, list[int]]:
    """Rows of the worst, the median and the best images of one network, `count` of each.

    Images without a Dice (empty reference) are excluded; the others are in order of rising Dice,
    ties in the order of the rows. Of two images in the middle the better one is the median.

    Example:
        >>> choose_extremes(pd.DataFrame({"dice": [0.9, float("nan"), 0.1, 0.5]}), count=1)
        {'worst': [2], 'median': [3], 'best': [0]}
    """
    dice = scores["dice"].reset_index(drop=True).dropna().sort_values(kind="stable")
    rows = dice.index.tolist()
    middle = max(0, (len(rows) - count + 1) // 2)
    return {"worst": rows[:count], "median": rows[middle:][:count], "best": rows[-count:]}


def annotated_images(
    index: pd.DataFrame, data: Path, labels: Sequence[str], count: int, records: list[ImageRecord]
) -> list[tuple[str, np.ndarray, dict[str, np.ndarray]]]:
    """Read `count` images with the masks of their labels, from each group in turn.

    Within a group, images with a share of target close to the median come first.

    Args:
        index: the index of masks.
        data: folder of images and annotations.
        labels: those to show where they occur.
        records: the images as `find_images` found them.

    Returns:
        For each image its name and group as one text, the image (height, width) uint8, and a bool
        mask of the same shape for each label that occurs.
    """
    median = index.groupby("group")["target_share"].transform("median")
    ordered = index.assign(distance=(index["target_share"] - median).abs())
    ordered = ordered.sort_values(["distance", "name"])
    ordered["turn"] = ordered.groupby("group").cumcount()
    references = {record.name: record.reference for record in records}
    shown = []
    for row in ordered.sort_values(["turn", "group"]).head(count).itertuples():
        image = read_image(data / row.image)
        found = references[row.name].label_masks(data / row.image, labels, image.shape)
        masks = {label: mask for label, mask in found.masks.items() if mask.any()}
        shown.append((f"{row.name} ({row.group})", image, masks))
    return shown


def augmented_images(
    arrays: Arrays, split: pd.Series, count: int, variants: int, seed: int
) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    """Augment the `count` training images with the largest share of target.

    Returns:
        For each image a list of pairs of image and mask: the original, then its `variants`.
    """
    rows = arrays.rows(split, "train")
    largest = rows[np.argsort(-arrays.masks[rows].mean(axis=(1, 2)), kind="stable")][:count]
    rng = np.random.default_rng(seed)
    originals = [(np.asarray(arrays.images[row]), np.asarray(arrays.masks[row])) for row in largest]
    return [[pair, *(augment(*pair, rng) for _ in range(variants))] for pair in originals]
