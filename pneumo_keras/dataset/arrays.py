"""Films and masks as arrays of one size, memory-mapped, with an index (section 4 of the paper)."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from pneumo_keras.dataset.files import remove_partial, write_csv, written_whole
from pneumo_keras.dataset.films import read_film, read_mask
from pneumo_keras.dataset.maskfolder import read_mask_index
from pneumo_keras.errors import StudyError


@dataclass(frozen=True)
class Arrays:
    """The films of a study, ready for a network.

    Attributes:
        films: (films, size, size) uint8, 0..255, memory-mapped.
        masks: (films, size, size) uint8, 0 or 1, memory-mapped.
        index: one row a film, in the same order.
    """

    films: np.ndarray
    masks: np.ndarray
    index: pd.DataFrame

    def rows(self, split: pd.Series, part: str) -> np.ndarray:
        """Row numbers of the films of one part of a split.

        Args:
            split: part by film name.
            part: train, validation or test.
        """
        return np.flatnonzero((self.index["name"].map(split) == part).to_numpy())


def resize_film(film: np.ndarray, size: int) -> np.ndarray:
    """A film at a square size, by area where it shrinks, so that fine structure does not alias.

    Args:
        film: (height, width) uint8.
        size: side, pixels.

    Example:
        >>> resize_film(np.array([[0, 100], [100, 200]], np.uint8), 1).tolist()
        [[100]]
    """
    shrinks = size < min(film.shape)
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(film, (size, size), interpolation=method)


def resize_mask(mask: np.ndarray, size: int) -> np.ndarray:
    """A mask at a square size, by nearest pixel: no value that was not there before.

    Args:
        mask: (height, width) bool or 0/1.
        size: side, pixels.

    Returns:
        (size, size) uint8, 0 or 1.

    Example:
        >>> resize_mask(np.eye(2, dtype=bool), 4).tolist()
        [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    """
    resized = cv2.resize(mask.astype(np.uint8), (size, size), interpolation=cv2.INTER_NEAREST_EXACT)
    values = set(np.unique(resized).tolist())
    if not values <= {0, 1}:
        raise ValueError(f"a mask holds 0 and 1 only; got {sorted(values)}")
    return resized


def write_arrays(index: pd.DataFrame, data: Path, masks: Path, folder: Path, size: int) -> Arrays:
    """Resizes all films and masks into `films.npy` and `masks.npy`, with `index.csv` beside them.

    Args:
        index: one row a film, as `write_masks` made it: `film` relative to `data`, `mask` to
            `masks`.
        data: folder of the films.
        masks: folder of the mask PNGs.
        folder: where the arrays go.
        size: side, pixels.

    Raises:
        StudyError: if a film or mask cannot be read, or is another size than the index says.
    """
    index = index.reset_index(drop=True)
    shape = (len(index), size, size)

    def resized(row) -> tuple[np.ndarray, np.ndarray]:
        film, mask = read_film(data / row.film), read_mask(masks / row.mask)
        if film.shape != mask.shape:
            raise StudyError(
                f"{row.film} is {film.shape[1]}x{film.shape[0]} but its mask {row.mask} "
                f"{mask.shape[1]}x{mask.shape[0]}: run notebook 01 again"
            )
        return resize_film(film, size), resize_mask(mask, size)

    remove_partial(folder)
    with (
        written_whole(folder / "films.npy") as films_path,
        written_whole(folder / "masks.npy") as masks_path,
        open(films_path, "wb") as films,
        open(masks_path, "wb") as truths,
        ThreadPoolExecutor() as pool,
    ):
        # Written, not mapped: on a full disk a mapped file ends the process instead of raising.
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        for file in (films, truths):
            np.lib.format.write_array_header_1_0(file, header)
        pairs = pool.map(resized, index.itertuples())
        for film, mask in tqdm(pairs, "films to arrays", len(index), unit="film"):
            films.write(film)
            truths.write(mask)
        # Last to go and last to come: films and masks with an index beside them belong together.
        (folder / "index.csv").unlink(missing_ok=True)
    write_csv(folder / "index.csv", index)
    return load_arrays(folder)


def load_arrays(folder: Path) -> Arrays:
    """Opens what `write_arrays` wrote, without reading it into memory.

    Raises:
        StudyError: if the folder holds no arrays.
    """
    try:
        films = np.load(folder / "films.npy", mmap_mode="r", allow_pickle=False)
        masks = np.load(folder / "masks.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise StudyError(f"{folder}: no arrays to read, run notebook 02 first ({error})") from None
    if not (folder / "index.csv").exists():
        raise StudyError(f"{folder}: its arrays were not finished, run notebook 02 again")
    return Arrays(films, masks, read_mask_index(folder))


def fingerprint(arrays: Arrays, split: pd.Series) -> str:
    """Tells whether films, masks and split are the very same as those of another day.

    Args:
        arrays: films and masks.
        split: part by film name.

    Returns:
        The SHA-256 of every pixel, name and part, 64 hexadecimal digits.

    Example:
        >>> films = np.zeros((1, 2, 2), np.uint8)
        >>> arrays = Arrays(films, films, pd.DataFrame({"name": ["a"]}))
        >>> train, test = (fingerprint(arrays, pd.Series({"a": part})) for part in ("train", "test"))
        >>> len(train), train == test
        (64, False)
    """
    names = arrays.index["name"]
    parts = names.map(split).astype(str)
    digest = hashlib.sha256(json.dumps([arrays.films.shape, *zip(names, parts)]).encode())
    for pixels in (arrays.films, arrays.masks):
        digest.update(np.ascontiguousarray(pixels))
    return digest.hexdigest()
