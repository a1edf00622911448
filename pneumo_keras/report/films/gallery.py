"""Films picked and read for the figures that show them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pneumo_keras.dataset.arrays import Arrays
from pneumo_keras.dataset.augmentation import augment
from pneumo_keras.dataset.films import read_film, read_mask
from pneumo_keras.dataset.framing import at_size
from pneumo_keras.dataset.sources import Film
from pneumo_keras.evaluation.predict import Segmenter
from pneumo_keras.report.films.panels import Example, TestedFilm


def annotated_films(
    index: pd.DataFrame,
    data: Path,
    labels: tuple[str, ...],
    films: int,
    records: Sequence[Film],
) -> list[tuple[str, np.ndarray, dict[str, np.ndarray]]]:
    """Films with the masks of their labels, taking turns among the groups.

    In each group the film whose share of target is the median comes first.

    Args:
        index: the index of masks.
        data: folder of films and annotations.
        labels: which to paint, where they occur, the target first.
        films: how many films.
        records: the films as `find_films` found them.

    Returns:
        For each film its name and group, the film (height, width) uint8, and a bool mask of the
        same shape for each label that occurs on it.
    """
    ordered = index.assign(
        distance=index.groupby("group")["target_share"].transform(lambda s: (s - s.median()).abs())
    ).sort_values(["distance", "name"])
    turn = ordered.groupby("group").cumcount()
    picked = ordered.assign(turn=turn).sort_values(["turn", "group"]).head(films)
    truths = {record.name: record.truth for record in records}
    shown = []
    for row in picked.itertuples():
        film = read_film(data / row.film)
        painted = truths[row.name].layers(data / row.film, labels, film.shape).regions
        masks = {label: mask for label, mask in painted.items() if mask.any()}
        shown.append((f"{row.name} ({row.group})", film, masks))
    return shown


def augmented_films(
    arrays: Arrays, split: pd.Series, films: int, variants: int, seed: int
) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    """Training films with the largest share of target, each with variants of itself.

    Args:
        arrays: films and masks.
        split: part by film name.
        films: how many films.
        variants: how many variants of each.
        seed: of the augmentation.

    Returns:
        For each film a list of pairs of film and mask, the original first.
    """
    rows = arrays.rows(split, "train")
    largest = rows[np.argsort(-arrays.masks[rows].mean(axis=(1, 2)), kind="stable")][:films]
    random = np.random.default_rng(seed)
    originals = [(np.asarray(arrays.films[row]), np.asarray(arrays.masks[row])) for row in largest]
    return [[pair, *(augment(*pair, random) for _ in range(variants))] for pair in originals]


def segmented_films(
    chosen: dict[str, int],
    films: pd.DataFrame,
    data: Path,
    masks: Path,
    probabilities: np.ndarray,
    segmenter: Segmenter,
    scores: pd.DataFrame,
) -> list[Example]:
    """Chosen test films with truth and prediction, at their own size.

    Args:
        chosen: row numbers by what they were chosen for, see `choose_examples`.
        films: one row a test film.
        data: folder of the films.
        masks: folder of the mask PNGs.
        probabilities: (films, size, size), 0..1.
        segmenter: what predicted them.
        scores: Dice of each film, in the same order.
    """
    examples = []
    for note, row in chosen.items():
        film = read_film(data / films["film"].iloc[row])
        probability = at_size(probabilities[row], film.shape, segmenter.letterbox)
        predicted = probability >= segmenter.threshold
        truth = read_mask(masks / films["mask"].iloc[row])
        dice = float(scores["dice"].iloc[row])
        examples.append(Example(films["name"].iloc[row], note, film, truth, predicted, dice))
    return examples


def extreme_films(
    chosen: dict[str, list[int]],
    films: pd.DataFrame,
    data: Path,
    masks: Path,
    probabilities: np.ndarray,
    segmenter: Segmenter,
    scores: pd.DataFrame,
) -> dict[str, list[Example]]:
    """The films of `choose_extremes` with truth and prediction, at their own size.

    Args:
        chosen: row numbers by what they were chosen for, several each.
        films, data, masks, probabilities, segmenter, scores: as for `segmented_films`.
    """
    found = (films, data, masks, probabilities, segmenter, scores)
    return {
        note: segmented_films({f"{note} {place}": row for place, row in enumerate(rows, 1)}, *found)
        for note, rows in chosen.items()
    }


def tested_films(
    rows: Sequence[int],
    films: pd.DataFrame,
    data: Path,
    masks: Path,
    probabilities: dict[str, np.ndarray],
    thresholds: dict[str, float],
    scores: dict[str, pd.DataFrame],
) -> Iterator[TestedFilm]:
    """Test films with truth and the predictions of all networks, read one by one.

    Args:
        rows: which of the test films, such as `choose_shown` picks.
        films: one row a test film, with `name`, `patient`, `group`, `film` and `mask`.
        data: folder of the films.
        masks: folder of the mask PNGs.
        probabilities: by network, (films, size, size), 0..1.
        thresholds: by network.
        scores: by network, `dice` of each film, in the same order.
    """
    for row in rows:
        film = read_film(data / films["film"].iloc[row])
        patient = films["patient"].iloc[row]
        yield TestedFilm(
            name=str(films["name"].iloc[row]),
            patient="" if pd.isna(patient) else str(patient),
            group=str(films["group"].iloc[row]),
            film=film,
            truth=read_mask(masks / films["mask"].iloc[row]),
            predicted={
                network: at_size(of_network[row], film.shape) >= thresholds[network]
                for network, of_network in probabilities.items()
            },
            dice={network: float(scores[network]["dice"].iloc[row]) for network in probabilities},
        )
