"""The conclusion of a comparison in sentences, for notebook 05, the HTML report and the cards."""

import math
from dataclasses import dataclass

import pandas as pd

from pneumo_keras.config import NETWORKS
from pneumo_keras.evaluation.comparison import compare
from pneumo_keras.runs import status

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Conclusion:
    """What the test images say about two networks, and warnings of networks that failed."""

    sentences: list[str]
    warnings: list[str]


@dataclass(frozen=True, eq=False)
class Findings:
    """Results of notebook 05, for the HTML report, the model cards and the CLAIM checklist.

    Attributes:
        runs: `run.json` by `segnet` and `deeplabv3`.
        scores: tables of `score_images` by network, as printed.
        table_2: `results_table` of networks and baselines.
        comparison: `compare` of both networks.
        variations: tables of repeated trainings (`--vary`) by name; may be empty.
        conclusion: see the function `conclusion`.
    """

    runs: dict[str, dict]
    scores: dict[str, pd.DataFrame]
    table_2: pd.DataFrame
    comparison: pd.DataFrame
    variations: dict[str, pd.DataFrame]
    conclusion: Conclusion


def conclusion(
    study_caption: str,
    scores: dict[str, pd.DataFrame],
    comparison: pd.DataFrame,
    baselines: dict[str, pd.DataFrame],
    runs: dict[str, dict],
) -> Conclusion:
    """Say which of two networks is better, by how much, how sure that is, and what failed.

    A network is above a baseline if the 95 % interval of the difference in Dice is; with one
    patient, and so without interval, if the difference is.

    Args:
        study_caption: `Study.caption`.
        scores: tables of `score_images` by network, as printed, in the order of `comparison`.
        comparison: `compare` of the two networks.
        baselines: tables of `score_masks` of the same images, by name of the baseline.
        runs: `run.json` by `segnet` and `deeplabv3`.
    """
    statuses = {NETWORKS[key]: status(run) for key, run in runs.items() if status(run) != "trained"}
    warnings = [f"{name} failed in training: {text}." for name, text in statuses.items()]
    for name, table in scores.items():
        for counts, what in ((["tp", "fp"], "no pixel"), (["fn", "tn"], "every pixel")):
            if not table[counts].to_numpy().any():
                warnings.append(f"{name} marks {what} of the test images.")
    first = next(iter(scores.values()))
    target = first["dice"].notna()
    count = f"{len(first)} test images of {first['patient'].nunique()} patients"
    sentences = [f"Data: {study_caption}; {target.sum()} of the {count} show the target."]
    if target.any():
        sentences.insert(0, f"On these {count}, {_comparison(comparison, *scores)}.")
        means = {name: table["dice"].mean() for name, table in baselines.items()}
        best = max(means, key=means.get)
        baseline = f"the best baseline ({best}, Dice {means[best]:.3f})"
        above = []
        for name, table in scores.items():
            row = _dice_row(compare(table, baselines[best], (name, best), metrics=("dice",)))
            if row["difference"] > 0 and not row["low"] <= 0:
                above.append(name)
            else:
                verdict = "is no" if row["difference"] <= 0 else "is not shown to be"
                warnings.append(f"{name} {verdict} better than {baseline}: {_difference(row)}.")
        subjects = ("Neither network is", f"Only {''.join(above)} is", "Both networks are")
        sentences.append(f"{subjects[len(above)]} shown to be better than {baseline}.")
    if not target.all():
        alarms = {name: (table["fp"][~target] > 0).sum() for name, table in scores.items()}
        counts = [f"{name} {count} of {(~target).sum()}" for name, count in alarms.items()]
        sentences.append(f"False alarms on test images without the target: {', '.join(counts)}.")
    return Conclusion(sentences, warnings)


def _dice_row(comparison: pd.DataFrame) -> dict:
    per_image = (comparison["score"] == "dice") & (comparison["average"] != "pooled")
    return comparison[per_image].iloc[0].to_dict()


def _comparison(comparison: pd.DataFrame, first: str, second: str) -> str:
    row = _dice_row(comparison)
    p = row["p_permutation_holm"]
    verdict = "no significant difference is found"
    if (row["low"] > 0 or row["high"] < 0) and p < SIGNIFICANT:
        better, worse = (first, second) if row["difference"] > 0 else (second, first)
        verdict = f"{better} is better than {worse}"
    text = f"{verdict}: {first} has a mean Dice of {row['first']:.3f} per image, {second} "
    text += f"{row['second']:.3f}, {_difference(row)}"
    if not math.isnan(p):
        tests = comparison["p_permutation_holm"].notna().sum()
        text += f", p {'< 0.001' if p < 0.001 else f'= {p:.3f}'} after Holm's correction for "
        text += f"{tests} scores"
    return text


def _difference(row: dict) -> str:
    text = f"difference {row['difference']:.3f}"
    if not math.isnan(row["low"]):
        text += f", 95 % interval {row['low']:.3f} to {row['high']:.3f}"
    return text.replace("-", "−")
