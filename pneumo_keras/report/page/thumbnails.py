"""A test film as small pictures, and what is said of it in the report."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.overlay import MARK, tinted_film
from pneumo_keras.report.films.panels import TestedFilm, error_overlay

SIDE = 160  # of the longer side of a thumbnail, pixels
QUALITY = 70  # of its WebP
MOST = 300  # films with thumbnails; with four pictures each the page stays below some 6 MB


@dataclass(frozen=True)
class Thumbnails:
    """What the report shows of one film.

    Attributes:
        name, patient, group: as in `TestedFilm`.
        area: share of the film that is marked in the truth, percent.
        dice: by network; None where nothing is marked in the truth.
        marked: by network, share of the film that it marks, percent.
        width, height: of each picture, pixels.
        pictures: `film`, `truth` and each network's errors, as data URIs.
    """

    name: str
    patient: str
    group: str
    area: float
    dice: dict[str, float | None]
    marked: dict[str, float]
    width: int
    height: int
    pictures: dict[str, str]


def choose_shown(scores: dict[str, pd.DataFrame], most: int = MOST) -> list[int]:
    """The rows of the films that the report shows: all, or as many, spread over their ranking.

    Args:
        scores: by network, `dice` of the same films in the same order.
        most: how many films to show at most.

    Returns:
        Row numbers, ascending. Where there are too many films, every so-many-th of them ranked by
        the mean Dice of the networks, the first and the last among them; films with nothing to
        find rank last.

    Raises:
        StudyError: if the networks were not tested on equally many films.

    Example:
        >>> table = pd.DataFrame({"dice": [0.9, 0.1, float("nan"), 0.5, 0.4]})
        >>> choose_shown({"SegNet": table}, most=3)
        [1, 2, 3]
    """
    counts = {network: len(table) for network, table in scores.items()}
    if len(set(counts.values())) != 1:
        raise StudyError(f"the networks were tested on unequal numbers of films: {counts}")
    dice = np.mean([table["dice"].to_numpy(float) for table in scores.values()], axis=0)
    ranked = np.argsort(dice, kind="stable")  # NaN comes last
    if len(ranked) > most:
        ranked = ranked[np.round(np.linspace(0, len(ranked) - 1, most)).astype(int)]
    return sorted(int(row) for row in ranked)


def thumbnails(tested: TestedFilm, side: int = SIDE) -> Thumbnails:
    """Shrinks a film and draws truth and errors on it.

    Args:
        tested: the film at its own size.
        side: of the longer side of each picture, pixels.

    Returns:
        Film, truth and errors as WebP in data URIs. A film smaller than `side` keeps its size.

    Example:
        >>> film, mask = np.zeros((400, 200), np.uint8), np.zeros((400, 200), bool)
        >>> nan = float("nan")
        >>> small = thumbnails(
        ...     TestedFilm("a", "", "normal", film, mask, {"SegNet": mask}, {"SegNet": nan})
        ... )
        >>> (small.width, small.height), small.dice, list(small.pictures)
        ((80, 160), {'SegNet': None}, ['film', 'truth', 'SegNet'])
    """
    height, width = tested.film.shape
    factor = min(1.0, side / max(height, width))
    size = (max(1, round(factor * width)), max(1, round(factor * height)))
    film = cv2.resize(tested.film, size, interpolation=cv2.INTER_AREA)
    truth = _small_mask(tested.truth, size)
    pictures = {"film": _data_uri(film), "truth": _data_uri(tinted_film(film, [(truth, MARK)]))}
    for network, mask in tested.predicted.items():
        errors = error_overlay(film, truth, _small_mask(mask, size))
        pictures[network] = _data_uri(errors)
    dice = {name: None if np.isnan(one) else float(one) for name, one in tested.dice.items()}
    return Thumbnails(
        name=tested.name,
        patient=tested.patient,
        group=tested.group,
        area=100 * float(tested.truth.mean()),
        dice=dice,
        marked={name: 100 * float(mask.mean()) for name, mask in tested.predicted.items()},
        width=size[0],
        height=size[1],
        pictures=pictures,
    )


def _small_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mask at a smaller size: what is marked on at least half of a pixel's area."""
    return cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) >= 0.5


def _data_uri(picture: np.ndarray) -> str:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "WEBP", quality=QUALITY)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode()
