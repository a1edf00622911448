"""The end of a study: all its scores in one table, and what goes out with models and paper."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pneumo_keras.dataset.maskfolder import read_mask_index
from pneumo_keras.evaluation.scores import summary
from pneumo_keras.evaluation.scores.probabilities import pixel_cells, probability_scores
from pneumo_keras.evaluation.statistics.intervals import RESAMPLES
from pneumo_keras.report.certainty import comparison_table, readable
from pneumo_keras.report.documents import Evidence, write_claim, write_model_card
from pneumo_keras.report.films import tested_films
from pneumo_keras.report.page import Page, choose_shown, run_facts, thumbnails, write_page
from pneumo_keras.report.tables import parameter_table
from pneumo_keras.study import Study
from pneumo_keras.training.networks import NETWORKS

# Rows of the table of all scores: key of `summary` or `probability_scores`, and what it is called.
ALL_SCORES = {
    "pooled_accuracy": "Accuracy, pooled",
    "pooled_iou": "IoU, pooled",
    "pooled_dice": "Dice, pooled",
    "pooled_sensitivity": "Sensitivity, pooled",
    "pooled_specificity": "Specificity, pooled",
    "pooled_precision": "Precision, pooled",
    "film_iou": "IoU, mean over films with target",
    "film_dice": "Dice, mean over films with target",
    "all_films_dice": "Dice, mean over all films (both empty: 1)",
    "film_sensitivity": "Sensitivity, mean over films with target",
    "film_precision": "Precision, mean over films with target",
    "film_area_error": "Area error, mean over all films (share of the film)",
    "film_hd95": "HD95, mean over films with target ({unit})",
    "film_assd": "Mean surface distance, films with target ({unit})",
    "film_surface_dice": "Surface Dice, mean over films with target",
    "film_boundary_iou": "Boundary IoU, mean over films with target",
    "lesion_f1_10": "Lesion F1 at IoU > 0.1",
    "lesion_f1_50": "Lesion F1 at IoU > 0.5",
    "lesion_false_per_film_10": "False lesions a film, at IoU > 0.1",
    "detection_auroc_area": "AUROC of the marked area, films",
    "detection_sensitivity": "Films with target called",
    "detection_specificity": "Films without target left alone",
    "false_share": "Share marked on films without target, mean",
    "pooled_brier": "Brier score, pixels",
    "pooled_calibration_error": "Calibration error, pixels",
    "pooled_average_precision": "Average precision, pixels",
}
FIGURES = (
    *("figure_1", "figure_2", "figure_3", "figure_4", "figure_5", "figure_6", "figure_7"),
    *("figure_8", "differences", "agreement", "errors_segnet", "errors_deeplabv3", "error_maps"),
    *("reliability", "precision_recall", "threshold", "audit"),
)
STATISTICS = (
    "95 % intervals: percentiles of {resamples:,} resamples of the patients. Networks compared "
    "patient by patient: Wilcoxon's signed-rank test and a sign-flip permutation test, Holm's "
    "correction over the scores per film; rank-biserial correlation as effect size."
)
SUBGROUPS = "Subgroups by group of film and by size of lesion: table 5."


@dataclass(frozen=True, eq=False)
class Findings:
    """What notebook 05 found.

    Attributes:
        runs: `run.json` by `segnet` and `deeplabv3`.
        scores: tables of scores by network, as the paper writes it.
        table_2: `certainty_table` of all predictors.
        comparison: `statistics.compare` of both networks.
        designs: tables of designs, by name; none for one training of each network.
    """

    runs: dict[str, dict]
    scores: dict[str, pd.DataFrame]
    table_2: pd.DataFrame
    comparison: pd.DataFrame
    designs: dict[str, pd.DataFrame]


def score_table(
    scores: dict[str, pd.DataFrame], probabilities: dict[str, np.ndarray], truth: np.ndarray
) -> pd.DataFrame:
    """All scores of the networks, each named with what it is taken over.

    Args:
        scores: by network, as `score_films` returns them.
        probabilities: by network, (films, height, width), 0..1.
        truth: (films, height, width), 0 or 1.

    Returns:
        One row a score, one column a network, three decimals.
    """
    columns = {}
    for name, table in scores.items():
        values = summary(table)
        values |= probability_scores(pixel_cells(probabilities[name], truth))
        columns[name] = {
            words.format(unit=values["unit"]): values[key] for key, words in ALL_SCORES.items()
        }
    return pd.DataFrame(columns).rename_axis("Score").reset_index().round(3)


def write_cards(study: Study, found: Findings) -> list[Path]:
    """Writes the model card of each network's plain training."""
    table = readable(found.table_2).set_index("Architecture")
    cards = []
    for key, name in NETWORKS.items():
        row = table.loc[name].rename_axis("Score").rename("Value").reset_index()
        cards.append(
            write_model_card(study.model(key), found.runs[key], study.title, study.drawn, row)
        )
    return cards


def write_checklist(study: Study, found: Findings, split: pd.Series) -> dict[str, int]:
    """Writes the CLAIM checklist, `claim.md` among the figures; how much of it is answered."""
    refused = study.masks / "refused.csv"
    robustness = [SUBGROUPS, *(f"Design: {name}." for name in found.designs)]
    evidence = Evidence(
        source=study.title,
        phantoms=study.drawn,
        runs=found.runs,
        index=read_mask_index(study.masks),
        split=split,
        refused=len(pd.read_csv(refused)) if refused.exists() else 0,
        results=readable(found.table_2),
        statistics=STATISTICS.format(resamples=RESAMPLES),
        robustness=" ".join(robustness),
    )
    return write_claim(study.figures / "claim.md", evidence)


def write_report(
    study: Study,
    found: Findings,
    films: pd.DataFrame,
    probabilities: dict[str, np.ndarray],
    thresholds: dict[str, float],
) -> Path:
    """Writes the HTML report, `data/report.html` of the study.

    Args:
        study: its figures go into the report.
        found: its tables do.
        films: one row a test film.
        probabilities: by network, (films, height, width), 0..1.
        thresholds: by network.

    Returns:
        Where it was written.
    """
    names = tuple(found.scores)
    rows = choose_shown(found.scores)
    shown = tested_films(
        rows, films, study.data, study.masks, probabilities, thresholds, found.scores
    )
    tables = {
        "Table 1. Parameters": parameter_table(found.runs),
        "Table 2. Test films, 95 % intervals over patients": readable(found.table_2),
        f"{names[0]} minus {names[1]}": comparison_table(found.comparison, names),
        **{f"Design: {name}": readable(table) for name, table in found.designs.items()},
    }
    page = Page(
        title=f"{' and '.join(names)}: {study.target} on {study.title}",
        facts=run_facts(study.title, {NETWORKS[key]: run for key, run in found.runs.items()}),
        tables=tables,
        figures=[study.figures / f"{name}.png" for name in FIGURES],
        films=[thumbnails(film) for film in shown],
        films_in_all=len(films),
        phantoms=study.drawn,
    )
    path = study.out / "data" / "report.html"
    write_page(path, page)
    return path
