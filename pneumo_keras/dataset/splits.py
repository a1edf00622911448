"""Split the images into train, validation and test.

The split is a CSV with one row per image, read if it exists and written if not, so that a study can
be repeated, or run with another split. Images of identical content are never separated when a split
is drawn, nor, with `split_by="patient"`, are images of patients who share such images.
"""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import DisjointSet
from sklearn.model_selection import StratifiedGroupKFold

from pneumo_keras.errors import StudyError
from pneumo_keras.files import read_csv, write_csv

PARTS = ("train", "validation", "test")
MAX_FOLDS = 20


def split_images(
    index: pd.DataFrame,
    split_by: str = "patient",
    test_share: float = 0.25,
    validation_share: float = 0.2,
    seed: int = 1,
) -> pd.Series:
    """Split the images, stratified by group and by whether the target is present.

    Args:
        index: one row per image, in any order, with `name`, `patient`, `group`, `target_share`;
            optionally `content_hash`, to find copies, and `part`, the official split.
        split_by: `"patient"` keeps the images of a patient together, `"image"`, as in the paper,
            does not; `"official"` uses `part`, and draws missing validation images by patient.
        test_share, validation_share: of all images (unless official), and of the rest.
        seed: of the shuffle.

    Returns:
        `train`, `validation` or `test`, indexed by image name in sorted order.

    Raises:
        StudyError: if there are too few patients, or images without an official part.

    Example:
        >>> index = pd.DataFrame({"name": list("abcdefgh"), "patient": list("11223344"),
        ...                       "group": "virus", "target_share": 0.1})
        >>> split_images(index, validation_share=0.33).value_counts().sort_index().to_dict()
        {'test': 2, 'train': 4, 'validation': 2}
    """
    images = index.sort_values("name").reset_index(drop=True)
    images["unit"] = _inseparable(images, split_by)
    images["stratum"] = images["group"].astype(str) + (images["target_share"] > 0).astype(str)
    if split_by == "official":
        part = _official_parts(images.assign(part=images.get("part", "")))
    else:
        part = pd.Series("train", index=images.index)
        part[_hold_out(images, test_share, seed, split_by)] = "test"
    if "validation" not in set(part):
        rest = images[part == "train"]
        part[_hold_out(rest, validation_share, seed, split_by)] = "validation"
    return pd.Series(part.to_numpy(), index=images["name"].to_numpy(), name="part")


def read_or_split(path: Path, index: pd.DataFrame, split_by: str, **settings) -> pd.Series:
    """Read the split from a CSV file, or draw one as `split_images` does and write it there.

    Warns of patients who cross an official split.

    Raises:
        StudyError: if the file lacks an image or has an unknown part, images that `split_by` keeps
            together are separated, or no image of a part shows the target.
    """
    if path.exists():
        split = read_split(path)
        _check(path, split, index, split_by)
    else:
        split = draw_split(path, index, split_by, **settings)
        write_csv(path, split.rename_axis("name").reset_index())
    crossing = crossing_patients(split, index)
    if split_by == "official" and len(crossing):
        count = f"{crossing.sum()} image(s) of {len(crossing)} patient(s)"
        message = f"the official split tests on {count} that it trains on: "
        warnings.warn(message + ", ".join(map(str, crossing.index)), stacklevel=2)
    return split[sorted(index["name"])]


def draw_split(where: Path, index: pd.DataFrame, split_by: str, **settings) -> pd.Series:
    """Draw a split with the target in every part; errors begin with `where`, a file or folder."""
    try:
        split = split_images(index, split_by, **settings)
    except StudyError as error:
        raise StudyError(f"{where}: {error}") from None
    _check_target(where, split, index)
    return split


def read_split(path: Path) -> pd.Series:
    """Read a split, indexed by image name, from a CSV file; StudyError if that is not possible."""
    try:
        table = read_csv(path)
        return table.set_index("name")["part"]
    except (OSError, KeyError, ValueError) as error:
        what = f"no CSV with the columns name, part ({str(error).strip()})"
        raise StudyError(f"{path}: {what}; notebook 02 writes it") from None


def crossing_patients(split: pd.Series, index: pd.DataFrame) -> pd.Series:
    """Patients with images inside and outside the test set, and how many of them are inside.

    Example:
        >>> index = pd.DataFrame({"name": ["a", "b", "c"], "patient": ["1", "1", "2"]})
        >>> crossing_patients(pd.Series({"a": "train", "b": "test", "c": "test"}), index).to_dict()
        {'1': 1}
    """
    tested = index["name"].map(split) == "test"
    per_patient = tested.groupby(index["patient"].to_numpy())
    return per_patient.sum()[per_patient.any() & ~per_patient.all()]


def crossing_copies(split: pd.Series, index: pd.DataFrame) -> list[list[str]]:
    """Names of identical images that are inside and outside the test set, those inside last."""
    tested = index["name"].map(split) == "test"
    copies = index.assign(tested=tested).sort_values(["tested", "name"]).groupby("content_hash")
    return [images["name"].tolist() for _, images in copies if images["tested"].nunique() > 1]


def _inseparable(images: pd.DataFrame, split_by: str) -> pd.Series:
    """For each image, the first patient (or image name) of those that must stay together."""
    single = images["name" if split_by == "image" else "patient"].astype(str)
    together, first = DisjointSet(single), {}
    for owner, content in zip(single, images.get("content_hash", images["name"]), strict=True):
        together.merge(owner, first.setdefault(content, owner))
    return single.map(lambda owner: min(together.subset(owner)))


def _hold_out(images: pd.DataFrame, share: float, seed: int, split_by: str) -> pd.Index:
    """Row labels of a stratified hold-out set that divides no `unit`."""
    if share == 0:
        return images.index[:0]
    for folds in range(2, MAX_FOLDS + 1):  # as few as come close to the share
        held_out = min(max(round(share * folds), 1), folds - 1)
        if abs(held_out / folds - share) < 0.005:
            break
    units = images["unit"].nunique()
    if units < folds:
        what = "images" if split_by == "image" else "patients"
        raise StudyError(
            f"{units} {what} (copies count as one) are too few to hold out {share:.0%}: annotate "
            f"images of at least {folds} {what}, or set test_share and validation_share"
        )
    # A stratum with fewer units than folds cannot be spread over them: it joins the largest.
    sizes = images.groupby("stratum")["unit"].nunique()
    common = images["stratum"].map(sizes).ge(folds)
    strata = images["stratum"].where(common, sizes.idxmax())
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    drawn = [fold for _, fold in splitter.split(images, strata, images["unit"])]
    return images.index[np.sort(np.concatenate(drawn[:held_out]))]


def _official_parts(images: pd.DataFrame) -> pd.Series:
    without = images["name"][~images["part"].isin(PARTS)].tolist()
    problems = [f"no part for {len(without)} image(s), the first {without[0]}"] if without else []
    problems += [f"no {part} image" for part in sorted({"test", "train"} - {*images["part"]})]
    for problem in problems:
        raise StudyError(f"the official split has {problem}: set split_by=patient")
    return images["part"].copy()


def _check_target(where: Path, split: pd.Series, index: pd.DataFrame) -> None:
    marked = set(index["name"].map(split)[index["target_share"] > 0])
    for part in sorted(set(PARTS) - marked):
        way_out = "annotate more images, or draw another split with another seed"
        raise StudyError(f"{where}: no {part} image shows the target: {way_out}")


def _check(path: Path, split: pd.Series, index: pd.DataFrame, split_by: str) -> None:
    for name in split.index[split.index.duplicated()]:
        raise StudyError(f"{path}: image {name} is listed twice")
    if missing := sorted(set(index["name"]) - set(split.index)):
        what = f"no row for {len(missing)} image(s), the first {missing[0]}"
        raise StudyError(f"{path}: {what}: add them, or delete the file to draw a new split")
    for part in sorted(set(split) - set(PARTS)):
        raise StudyError(f"{path}: part {part!r} is none of {', '.join(PARTS)}")
    if split_by == "patient":
        way_out = "in the test set and outside it: move it to one part, or set split_by=image"
        for patient in crossing_patients(split, index).index:
            raise StudyError(f"{path}: patient {patient} is {way_out}")
        for first, *_, last in crossing_copies(split, index) if "content_hash" in index else []:
            raise StudyError(f"{path}: one picture, called {first} and {last}, is {way_out}")
    _check_target(path, split, index)
