"""Figures of numbers: data, training, scores, their certainty, and the paper's audit."""

from pneumo_keras.report.charts.agreement import agreement_figure
from pneumo_keras.report.charts.audit import audit_figure
from pneumo_keras.report.charts.differences import differences_figure
from pneumo_keras.report.charts.exploration import (
    history_figure,
    intensity_figure,
    leak_figure,
    prevalence_figure,
)
from pneumo_keras.report.charts.probability import (
    precision_recall_figure,
    reliability_figure,
    threshold_figure,
)
from pneumo_keras.report.charts.results import accuracy_figure, iou_figure

__all__ = [
    "accuracy_figure",
    "agreement_figure",
    "audit_figure",
    "differences_figure",
    "history_figure",
    "intensity_figure",
    "iou_figure",
    "leak_figure",
    "precision_recall_figure",
    "prevalence_figure",
    "reliability_figure",
    "threshold_figure",
]
