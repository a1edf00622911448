"""Images and masks as memory-mapped arrays of one size (notebook 02, section 4 of the paper)."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pneumo_keras.config import Recipe
from pneumo_keras.dataset.images import read_image, read_mask
from pneumo_keras.dataset.mask_index import read_mask_index
from pneumo_keras.dataset.resize import resize_image, resize_mask
from pneumo_keras.errors import StudyError
from pneumo_keras.files import atomic_write, remove_partial, write_csv, write_json
from pneumo_keras.progress import progress_bar
from pneumo_keras.study import Study

BATCH = 256  # images resized before they are written, which bounds the memory


@dataclass(frozen=True)
class Arrays:
    """The images of a study, ready for a network."""

    images: np.ndarray  # (images, size, size) uint8, 0..255, memory-mapped
    masks: np.ndarray  # (images, size, size) uint8, 0 or 1, memory-mapped
    index: pd.DataFrame  # one row per image, in the same order; columns as in `mask_index`
    clahe: bool = False  # how the images were resized, see `resize`
    letterbox: bool = False

    def check(self, recipe: Recipe) -> None:
        """Raise StudyError if the arrays were made with other settings than the recipe's."""
        made = {"size": self.images.shape[1], "clahe": self.clahe, "letterbox": self.letterbox}
        for setting, value in made.items():
            if getattr(recipe, setting) != value:
                raise StudyError(
                    f"the arrays were made with {setting}={value}, but the recipe says "
                    f"{getattr(recipe, setting)}: run notebook 02 again"
                )

    def rows(self, split: pd.Series, part: str) -> np.ndarray:
        """Row numbers of the images of one part (train, validation or test) of a split."""
        return np.flatnonzero(self.index["name"].map(split) == part)


def write_arrays(
    index: pd.DataFrame,
    data: Path,
    masks: Path,
    folder: Path,
    size: int,
    clahe: bool = False,
    letterbox: bool = False,
) -> Arrays:
    """Resize all images and masks of an index into `images.npy` and `masks.npy`.

    `data` and `masks` are the folders of the images and of their masks, `folder` that of the
    arrays; for `size` (pixels), `clahe` and `letterbox` see `resize`.

    Raises:
        StudyError: if an image or mask cannot be read, or their sizes differ.
    """
    index = index.reset_index(drop=True)

    def resized(row) -> tuple[np.ndarray, np.ndarray]:
        image, mask = read_image(data / row.image), read_mask(masks / row.mask)
        if image.shape != mask.shape:
            sizes = [f"{width}x{height}" for height, width in (image.shape, mask.shape)]
            what = f"{row.image} is {sizes[0]} but its mask {row.mask} {sizes[1]}"
            raise StudyError(f"{what}: run notebook 01 again")
        return resize_image(image, size, clahe, letterbox), resize_mask(mask, size, letterbox)

    remove_partial(folder)
    with (
        atomic_write(folder / "images.npy") as images_path,
        atomic_write(folder / "masks.npy") as masks_path,
        open(images_path, "wb") as images_file,
        open(masks_path, "wb") as masks_file,
        ThreadPoolExecutor() as pool,
        progress_bar(None, "images to arrays", len(index)) as bar,
    ):
        # Written, not mapped: on a full disk, writing to a mapped file kills the process.
        header = {"descr": "|u1", "fortran_order": False, "shape": (len(index), size, size)}
        for file in (images_file, masks_file):
            np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(index), BATCH):
            for image, mask in pool.map(resized, index[start : start + BATCH].itertuples()):
                images_file.write(image)
                masks_file.write(mask)
                bar.update()
        # Removed first and written last: arrays with an index beside them belong together.
        (folder / "index.csv").unlink(missing_ok=True)
    write_json(folder / "settings.json", {"clahe": clahe, "letterbox": letterbox})
    write_csv(folder / "index.csv", index)
    return load_arrays(folder)


def load_arrays(folder: Path) -> Arrays:
    """Open the arrays that `write_arrays` wrote; StudyError if they are missing or not finished."""
    try:
        images = np.load(folder / "images.npy", mmap_mode="r")
        masks = np.load(folder / "masks.npy", mmap_mode="r")
        settings = json.loads((folder / "settings.json").read_text("utf-8"))
        clahe, letterbox = settings["clahe"], settings["letterbox"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{folder}: no arrays to read, run notebook 02 first ({error})") from None
    if not (folder / "index.csv").exists():
        raise StudyError(f"{folder}: its arrays were not finished, run notebook 02 again")
    return Arrays(images, masks, read_mask_index(folder), clahe, letterbox)


def fingerprint(arrays: Arrays, split: pd.Series) -> str:
    """SHA-256, 64 hexadecimal digits, of images, masks and split.

    Example:
        >>> arrays = Arrays(np.zeros((1, 2, 2)), np.zeros((1, 2, 2)), pd.DataFrame({"name": ["a"]}))
        >>> split = pd.Series({"a": "train"})
        >>> fingerprint(arrays, split) == fingerprint(arrays, split.replace("train", "test"))
        False
    """
    names = arrays.index["name"]
    parts = names.map(split).astype(str)
    digest = hashlib.sha256(json.dumps([arrays.images.shape, *zip(names, parts)]).encode())
    for pixels in (arrays.images, arrays.masks):
        digest.update(np.ascontiguousarray(pixels))
    return digest.hexdigest()


def arrays_for(study: Study, recipe: Recipe) -> Arrays:
    """The arrays of a study at the size of a variant's recipe, made if they are not there yet.

    Raises:
        StudyError: if notebook 02 has not been run.
    """
    settings = {"size": recipe.size, "clahe": recipe.clahe, "letterbox": recipe.letterbox}
    if all(getattr(study.recipe, key) == value for key, value in settings.items()):
        return load_arrays(study.arrays)
    name = "-".join(["arrays", *(f"{key}-{value}" for key, value in settings.items())])
    folder = study.arrays.with_name(name)
    index = read_mask_index(study.masks)
    if (folder / "index.csv").exists() and load_arrays(folder).index.equals(index):
        return load_arrays(folder)
    return write_arrays(index, study.data, study.masks, folder, **settings)
