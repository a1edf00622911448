"""The test films, predicted once by a trained network, and what is kept of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from pneumo_keras.dataset.arrays import Arrays
from pneumo_keras.dataset.films import read_film, write_png
from pneumo_keras.dataset.framing import at_size
from pneumo_keras.evaluation.overlay import overlay
from pneumo_keras.evaluation.predict import Segmenter

BATCH = 8


def predict_films(segmenter: Segmenter, arrays: Arrays, rows: np.ndarray) -> np.ndarray:
    """The probabilities that a network gives to films of its own size.

    Args:
        segmenter: the trained network.
        arrays: films.
        rows: which of them.

    Returns:
        (rows, size, size) float32, 0..1.
    """
    films = np.asarray(arrays.films[rows], np.float32)[..., None]
    return segmenter.model.predict(films, batch_size=BATCH, verbose=0)[..., 0]


def array_spacing(films: pd.DataFrame, size: int, letterbox: bool = False) -> np.ndarray | None:
    """Height and width of an array's pixel in millimetres, where all films say theirs.

    Args:
        films: one row a film: height and width in pixels, spacing_row_mm and spacing_column_mm,
            NaN where the file does not say.
        size: side of the arrays, pixels.
        letterbox: whether films were padded to a square, else stretched.

    Returns:
        (films, 2) mm; None if any is unknown, and distances are to be in pixels.

    Example:
        >>> film = {"height": [200], "width": [100]}
        >>> film |= {"spacing_row_mm": [0.5], "spacing_column_mm": [0.5]}
        >>> array_spacing(pd.DataFrame(film), 50).tolist()
        [[2.0, 1.0]]
        >>> array_spacing(pd.DataFrame(film), 50, letterbox=True).tolist()
        [[2.0, 2.0]]
    """
    native = films[["spacing_row_mm", "spacing_column_mm"]].to_numpy(float)
    if np.isnan(native).any():
        return None
    sides = films[["height", "width"]].to_numpy(float)
    if letterbox:
        sides = sides.max(axis=1, keepdims=True)
    return native * sides / size


def write_predictions(
    probabilities: np.ndarray,
    threshold: float,
    films: pd.DataFrame,
    data: Path,
    folder: Path,
    letterbox: bool = False,
) -> None:
    """Writes `<name>_mask.png` and `<name>_overlay.png` of each film, at its own size.

    Args:
        probabilities: (films, size, size), 0..1.
        threshold: probability at and above which a pixel is marked.
        films: one row a film, with `name` and `film`, its path below `data`.
        data: folder of the films.
        folder: where to.
        letterbox: whether the films were letterboxed for the network.
    """
    pairs = zip(probabilities, films.itertuples(), strict=True)
    for probability, row in tqdm(pairs, "masks and overlays", len(films), unit="film"):
        film = read_film(data / row.film)
        mask = at_size(probability, film.shape, letterbox) >= threshold
        write_marked(film, mask, row.name, folder)


def write_marked(film: np.ndarray, mask: np.ndarray, name: str, folder: Path) -> None:
    """Writes the binary mask of one film and the film with the mask on it.

    Args:
        film: (height, width) uint8.
        mask: (height, width) bool.
        name: the film's.
        folder: where to; it is made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_png(folder / f"{name}_mask.png", mask)
    write_png(folder / f"{name}_overlay.png", overlay(film, mask))


def choose_examples(scores: dict[str, pd.DataFrame]) -> dict[str, int]:
    """Films to show: the best, the median and the worst by the mean Dice of all networks.

    Args:
        scores: tables of scores by network, the same films in the same order for each network.

    Returns:
        Row numbers keyed `best`, `typical` and `worst`; films without the target do not stand
        for election.

    Example:
        >>> one = pd.DataFrame({"dice": [0.2, float("nan"), 0.9, 0.5]})
        >>> choose_examples({"SegNet": one})
        {'best': 2, 'typical': 3, 'worst': 0}
    """
    dice = sum(of_network["dice"] for of_network in scores.values()).dropna().sort_values()
    positions = {"best": -1, "typical": len(dice) // 2, "worst": 0}
    return {note: int(dice.index[position]) for note, position in positions.items()}
