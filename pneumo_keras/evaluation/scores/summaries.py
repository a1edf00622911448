"""All scores of one network on one set of films, each under a name that says how it averages."""

from __future__ import annotations

import pandas as pd

from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.scores.film_level import detection_scores
from pneumo_keras.evaluation.scores.lesions import lesion_summary
from pneumo_keras.evaluation.scores.overlap import COUNTS, film_scores, pooled_scores

FILM_MEANS = [
    "accuracy",
    "iou",
    "dice",
    "sensitivity",
    "specificity",
    "precision",
    "area_error",
    "hd95",
    "assd",
    "surface_dice",
    "boundary_iou",
    "brier",
]


def summary(table: pd.DataFrame) -> dict[str, float]:
    """All scores of one network.

    Args:
        table: as `score_films` returns it, or no more than tp, fp, fn, tn: what it has no columns
            for is left out. One row a film.

    Returns:
        - `accuracy`, `iou`: pooled, equations 2 and 1 of the paper; `pooled_*` has the same and
          more, see `pooled_scores`;
        - `film_*`: means over the films that have the score (see `EMPTY_MASK_POLICY`): those with
          the target, but all films for accuracy, area_error and brier, and all with anything else
          than target for specificity; `film_absolute_area_error`, the mean without the sign;
          `all_films_dice` and `all_films_iou`, in which a film without the target counts 1 if
          nothing is predicted on it, else 0; `unit` of hd95 and assd;
        - `lesion_*`: see `lesion_summary`; `detection_*`: see `detection_scores`;
        - `films`, `films_with_target`, `missed` (with the target, nothing predicted),
          `films_without_target`, `falsely_marked` (without it, something predicted) and
          `false_share`, the mean share of those films that is marked.

    Raises:
        StudyError: if distances are in pixels on some films and in millimetres on others.

    Example:
        >>> counts = pd.DataFrame({"tp": [1, 0], "fp": [1, 1], "fn": [2, 0], "tn": [0, 3]})
        >>> result = summary(counts)
        >>> result["film_iou"], result["films_without_target"], result["false_share"]
        (0.25, 1, 0.25)
    """
    scores = film_scores(table)
    predicted = table["tp"] + table["fp"] > 0
    target = scores["iou"].notna()
    without = table[~target]
    pooled = pooled_scores(table)
    result = {
        "accuracy": pooled["accuracy"],
        "iou": pooled["iou"],
        **{f"pooled_{name}": value for name, value in pooled.items()},
        **{f"film_{name}": float(scores[name].mean()) for name in FILM_MEANS if name in scores},
        "film_absolute_area_error": float(scores["area_error"].abs().mean()),
        **{f"all_films_{name}": _over_all(scores[name], predicted) for name in ("iou", "dice")},
        "films": len(table),
        "films_with_target": int(target.sum()),
        "missed": int((target & ~predicted).sum()),
        "films_without_target": len(without),
        "falsely_marked": int((~target & predicted).sum()),
        "false_share": float((without["fp"] / without[COUNTS].sum(axis=1)).mean()),
    }
    if "unit" in table:
        result["unit"] = _one_unit(table)
    if "lesions" in table:
        result |= lesion_summary(table) | detection_scores(scores)
    return result


def _over_all(scores: pd.Series, predicted: pd.Series) -> float:
    """The mean with films without the target counted 1 where rightly left alone, else 0."""
    return float(scores.fillna((~predicted).astype(float)).mean())


def _one_unit(table: pd.DataFrame) -> str:
    units = sorted(table["unit"].unique())
    if len(units) > 1:
        raise StudyError(
            f"distances in {' and '.join(units)} have no mean: score the films of each unit apart"
        )
    return units[0]
