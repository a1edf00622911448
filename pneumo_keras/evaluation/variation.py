"""Several trainings of each network side by side: seeds, losses, learning rates, weights.

Intervals resample patients, the same for all trainings, and the seeds of each combination
independently. Three seeds can only hint at what a fourth would do.
"""

import numpy as np
import pandas as pd

from pneumo_keras.config import NETWORKS
from pneumo_keras.dataset.arrays import arrays_for
from pneumo_keras.dataset.resize import resize_back
from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation import intervals
from pneumo_keras.evaluation.checks import check_same_images
from pneumo_keras.evaluation.metrics import score_images
from pneumo_keras.evaluation.predict import load_segmenter, predict_images
from pneumo_keras.study import Study
from pneumo_keras.variants import variants

ONE_SEED = "one seed: spread over seeds not known"
COLUMNS = (
    *("label", "score", "average", "seeds", "value", "low", "high", "sd"),
    *("difference", "difference, low", "difference, high", "images", "patients", "reason"),
)


def variation_tables(study: Study, split: pd.Series) -> dict[str, pd.DataFrame]:
    """Compare all trainings of a study's varied settings on its test images.

    All are scored at the study's own image size. `split` names the part of each image.

    Returns:
        Tables of `variation_table`: `dice`, the mean over images, and `iou`, pooled over pixels;
        none if nothing is varied.

    Raises:
        StudyError: if a training is missing.
    """
    if not study.vary:
        return {}
    own, combinations = arrays_for(study, study.recipe), {}
    rows = own.rows(split, "test")
    reference, images = np.asarray(own.masks[rows]), own.index.iloc[rows]
    for variant in [v for key in NETWORKS for v in variants(key, study.recipe, study.vary)]:
        segmenter = load_segmenter(study.model(variant.key))
        probabilities = predict_images(segmenter, arrays_for(study, variant.recipe), rows)
        if variant.recipe.size != study.recipe.size:
            probabilities = [resize_back(one, reference.shape[1:]) for one in probabilities]
        scores = score_images(probabilities, reference, segmenter.threshold, images)
        combinations.setdefault(variant.label, []).append(scores)
    return {
        "dice": variation_table(combinations, "dice"),
        "iou": variation_table(combinations, "iou", pooled=True),
    }


def variation_table(
    combinations: dict[str, list[pd.DataFrame]], metric: str = "dice", pooled: bool = False
) -> pd.DataFrame:
    """Compare combinations of settings, each with the first.

    A combination has a label and tables of scores of the same images, one a seed. The metric is a
    column to average over images or, if `pooled`, a score of `overlap_ratios` over all pixels.

    Returns:
        `COLUMNS`, one row a combination: `value` is the mean over seeds, `low` and `high` its
        interval over patients and, from two seeds on, over seeds too, `sd` that over seeds (n − 1),
        `difference` that from the first combination; `reason` says why something is missing.

    Example:
        >>> run = pd.DataFrame({"name": ["a", "b"], "patient": ["1", "2"], "tp": 1, "fp": 0,
        ...                     "fn": 1, "tn": 2, "dice": 0.5})
        >>> variation_table({"A": [run], "B": [run.assign(dice=0.75)]})["difference"].tolist()
        [nan, 0.25]
    """
    if not combinations or not all(combinations.values()):
        raise StudyError("no scores to compare: train first (notebooks 03 and 04)")
    runs = [
        (f"{label}, run {number}", table)
        for label, tables in combinations.items()
        for number, table in enumerate(tables, 1)
    ]
    name, first = runs[0]
    tables = [check_same_images(first, table, (name, other))[1] for other, table in runs]
    numerators, denominators, patient = intervals.score_parts(tables, metric, pooled)
    if patient.empty:
        raise StudyError(f"{metric}: {intervals.NO_TARGET}, so nothing to compare")
    parts = pd.concat([*numerators, *denominators], axis=1)
    ratios, resampled = intervals.resampled_ratios(parts, patient)
    ends = np.cumsum([len(tables) for tables in combinations.values()])[:-1]
    groups = zip(np.split(ratios, ends), np.split(resampled, ends, axis=1), strict=True)
    random = np.random.default_rng(intervals.SEED + 1)  # independent of the draws of patients
    average = "pooled" if pooled else "per image"
    patients, rows, baseline = patient.nunique(), [], None
    for label, (values, resamples) in zip(combinations, groups, strict=True):
        seeds = len(values)
        drawn = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=intervals.RESAMPLES)
        value, resamples = float(values.mean()), (resamples * (drawn / seeds)).sum(axis=1)
        ends = intervals.percentile_interval(resamples, patients)
        sd = float(values.std(ddof=1)) if seeds > 1 else np.nan
        difference = (np.nan,) * 3
        if baseline:
            apart = intervals.percentile_interval(resamples - baseline[1], patients)
            difference = (value - baseline[0], *apart)
        baseline = baseline or (value, resamples)
        reason = intervals.ONE_PATIENT if patients == 1 else ONE_SEED if seeds == 1 else ""
        row = (label, metric, average, seeds, value, *ends, sd, *difference)
        rows.append((*row, len(patient), patients, reason))
    return pd.DataFrame(rows, columns=COLUMNS)
