"""Several trainings of each network side by side: seeds, losses, learning rates, initial weights."""

from __future__ import annotations

import dataclasses
from collections import defaultdict

import numpy as np
import pandas as pd

from pneumo_keras.dataset.arrays import Arrays
from pneumo_keras.evaluation.predict import load_segmenter
from pneumo_keras.evaluation.scores import score_films
from pneumo_keras.evaluation.statistics import seed_table, sweep_table, two_way_table
from pneumo_keras.evaluation.testing import array_spacing, predict_films
from pneumo_keras.study import Study
from pneumo_keras.training.fit import load_run
from pneumo_keras.training.networks import NETWORKS
from pneumo_keras.training.recipes import Recipe
from pneumo_keras.training.variants import Variant, variants

# Of each design, once over all pixels and once over films.
SCORES = (("iou", True), ("dice", False))


def score_variants(study: Study, arrays: Arrays, rows: np.ndarray) -> dict[Variant, pd.DataFrame]:
    """Scores of the test films by every training that the recipe asks for.

    Args:
        study: whose `data/models` holds the trainings.
        arrays: films and masks.
        rows: which of them are tested on.

    Returns:
        By variant, as `score_films` returns them, at the threshold of each training; nothing where
        the recipe asks for one training of each network, whose scores are known already.

    Raises:
        StudyError: if a training is missing.
    """
    truth, films = np.asarray(arrays.masks[rows]), arrays.index.iloc[rows]
    trained = [variant for network in NETWORKS for variant in variants(network, study.recipe)]
    spacing = array_spacing(films, study.recipe.size, study.recipe.letterbox)
    scores = {}
    for variant in trained if len(trained) > len(NETWORKS) else ():
        segmenter = load_segmenter(study.model(variant.key))
        probabilities = predict_films(segmenter, arrays, rows)
        scores[variant] = score_films(probabilities, truth, segmenter.threshold, films, spacing)
    return scores


def load_variant_runs(study: Study, scores: dict[Variant, pd.DataFrame]) -> dict[Variant, dict]:
    """The `run.json` of each variant."""
    return {variant: load_run(study.model(variant.key)) for variant in scores}


def design_tables(
    recipe: Recipe, runs: dict[Variant, dict], scores: dict[Variant, pd.DataFrame]
) -> dict[str, pd.DataFrame]:
    """The tables of a design, by what they show; none for one training of each network.

    Args:
        recipe: of the study; its `seeds` and `design` say what was varied.
        runs: `run.json` by variant.
        scores: tables of scores by variant.

    Returns:
        `seeds` where there are several (`seed_table` of each arm); `two_way` for the design 2x2;
        `rates` or `weights` for those (`sweep_table`).

    Example:
        >>> from pneumo_keras.training.recipes import QUICK
        >>> design_tables(QUICK, {}, {})
        {}
    """
    tables = {}
    if recipe.seeds > 1:
        tables["seeds"] = _both(seed_table, _by_arm(scores))
    if recipe.design == "2x2":
        cells = defaultdict(list)
        for variant, table in scores.items():
            cells[NETWORKS[variant.network], variant.loss].append(table)
        tables["two_way"] = _both(two_way_table, dict(cells))
    elif recipe.design != "single":
        tables[recipe.design] = sweep_table(
            {variant.words: run for variant, run in runs.items()},
            {variant.words: table for variant, table in scores.items()},
        )
    return tables


def _both(make, groups: dict) -> pd.DataFrame:
    """One table over all of `SCORES`."""
    parts = [make(groups, metric, pooled) for metric, pooled in SCORES]
    return pd.concat(parts, ignore_index=True)


def _by_arm(scores: dict[Variant, pd.DataFrame]) -> dict[str, list[pd.DataFrame]]:
    """Tables of the same training but for its seed, by what it is."""
    arms = defaultdict(list)
    for variant, table in scores.items():
        seedless = (variant.network, dataclasses.replace(variant.recipe, seed=0))
        arms[seedless].append((variant.words.rsplit(", seed", 1)[0], table))
    return {pairs[0][0]: [table for _, table in pairs] for pairs in arms.values()}
