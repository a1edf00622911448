"""Scores of marked films: per film, pooled, of boundaries, lesions, films and probabilities."""

from pneumo_keras.evaluation.scores.baselines import baseline_predictions
from pneumo_keras.evaluation.scores.overlap import (
    COUNTS,
    count_pixels,
    film_scores,
    pooled_scores,
)
from pneumo_keras.evaluation.scores.policy import EMPTY_MASK_POLICY, empty_mask_note
from pneumo_keras.evaluation.scores.summaries import summary
from pneumo_keras.evaluation.scores.table import COLUMNS, score_films, score_masks

__all__ = [
    "COLUMNS",
    "COUNTS",
    "EMPTY_MASK_POLICY",
    "baseline_predictions",
    "count_pixels",
    "empty_mask_note",
    "film_scores",
    "pooled_scores",
    "score_films",
    "score_masks",
    "summary",
]
