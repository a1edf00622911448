"""Figures of films: annotations, augmentation, segmentation and errors."""

from pneumo_keras.report.films.errormaps import error_map_figure
from pneumo_keras.report.films.errors import choose_extremes, error_figure
from pneumo_keras.report.films.gallery import (
    annotated_films,
    augmented_films,
    extreme_films,
    segmented_films,
    tested_films,
)
from pneumo_keras.report.films.panels import (
    annotation_figure,
    augmentation_figure,
    segmentation_figure,
)

__all__ = [
    "annotated_films",
    "annotation_figure",
    "augmentation_figure",
    "augmented_films",
    "choose_extremes",
    "error_figure",
    "error_map_figure",
    "extreme_films",
    "segmentation_figure",
    "segmented_films",
    "tested_films",
]
