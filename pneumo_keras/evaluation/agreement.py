"""Agreement of two annotators of the same images, neither of whom is the reference.

An image on which only one marks anything scores 0; one on which neither does enters no mean.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from pneumo_keras.dataset.images import IMAGE_SUFFIXES, read_mask
from pneumo_keras.dataset.labelme import rasterize, read_annotation
from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.metrics import count_pixels, pooled_scores
from pneumo_keras.files import write_csv


def agreement_by_image(
    first: str | Path, second: str | Path, label: str = "pneumonia"
) -> pd.DataFrame:
    """Compute Dice and IoU of two annotators, image by image.

    Each has a folder of masks, or of LabelMe annotations, where `label` is compared; files of both
    folders belong together if they have one name but for the suffix.

    Returns:
        One row for each image in both, by name: `name`, `dice`, `iou` (NaN where neither marks
        anything), `first_share` and `second_share`, the share of the image that each marks, 0..1.

    Raises:
        StudyError: if a folder holds no masks, the two have no image in common, a file cannot be
            read, or two masks of an image differ in size.
    """
    firsts, seconds = _files(first), _files(second)
    names = sorted(firsts.keys() & seconds.keys())
    if not names:
        raise StudyError(f"{first} and {second} have no file name in common: name them alike")
    rows = []
    for name in names:
        one, other = _mask(firsts[name], label), _mask(seconds[name], label)
        if one.shape != other.shape:
            raise StudyError(
                f"{firsts[name]} has {one.shape[1]}×{one.shape[0]} pixels, {seconds[name]} "
                f"{other.shape[1]}×{other.shape[0]}: both must be of the size of the image"
            )
        scores = pooled_scores(count_pixels(one[None], other[None]))
        shares = {"first_share": one.mean(), "second_share": other.mean()}
        rows.append({"name": name, "dice": scores["dice"], "iou": scores["iou"], **shares})
    return pd.DataFrame(rows)


def agreement_summary(images: pd.DataFrame) -> pd.DataFrame:
    """Summarise `agreement_by_image`, in the rows `dice` and `iou`, where either marks anything."""
    table = images[["dice", "iou"]].agg(["count", "mean", "median", "std", "min", "max"]).T
    table.columns = ["images", "mean", "median", "sd", "smallest", "largest"]
    return table.astype({"images": int})


def unpaired(first: str | Path, second: str | Path) -> tuple[list[str], list[str]]:
    """List the images that only the first, and that only the second annotator has."""
    firsts, seconds = _files(first), _files(second)
    return sorted(firsts.keys() - seconds.keys()), sorted(seconds.keys() - firsts.keys())


def print_agreement(first: Path, second: Path, label: str, out: Path | None = None) -> None:
    """Print the summary and the five images of least agreement; write all to a new CSV, `out`."""
    if out and out.exists():
        raise StudyError(f"{out} is already there: name a new file with --out")
    images = agreement_by_image(first, second, label)
    only_first, only_second = unpaired(first, second)
    print(
        f"{len(images)} images in both folders, {images['dice'].isna().sum()} of them marked by "
        f"neither; {len(only_first)} only in {first}, {len(only_second)} only in {second}\n"
    )
    print(agreement_summary(images).round(3).to_string(), end="\n\n")
    lowest = images.nsmallest(5, "dice")[["name", "dice", "iou"]].round(3)
    print(f"Least agreement:\n{lowest.to_string(index=False)}")
    if out:
        write_csv(out, images)
        print(f"\nAll images: {out}")


def _files(folder: str | Path) -> dict[str, Path]:
    """Find masks or annotations by name; annotations if there are any: images lie beside them."""
    folder = Path(folder)
    if not folder.is_dir():
        raise StudyError(f"{folder} is no folder: check the path")
    files = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    annotations = [path for path in files if path.suffix.lower() == ".json"]
    by_name: dict[str, Path] = {}
    for path in annotations or [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]:
        if by_name.setdefault(path.stem, path) != path:
            raise StudyError(f"{by_name[path.stem]} and {path} have one name: remove one of them")
    if not by_name:
        raise StudyError(f"{folder} holds neither masks nor LabelMe annotations: check the path")
    return by_name


def _mask(path: Path, label: str) -> np.ndarray:
    if path.suffix.lower() != ".json":
        return read_mask(path)
    annotation = read_annotation(path)
    if not (annotation.height and annotation.width):
        raise StudyError(f"{path} does not say the size of its image: add imageHeight, imageWidth")
    return rasterize(annotation, label, annotation.height, annotation.width)
