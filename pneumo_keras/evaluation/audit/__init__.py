"""Printed accuracies and IoUs, audited: what they imply about the share of foreground."""

from pneumo_keras.evaluation.audit.definitions import DEFINITIONS
from pneumo_keras.evaluation.audit.identity import (
    DIGITS,
    LUNG_SHARE,
    LUNGS_PUBLISHED,
    OPACITY_SHARE,
    TABLE_2,
    error_shares,
    foreground_share,
    implied_accuracy,
    largest_iou,
    overlap,
    trivial_accuracy,
)
from pneumo_keras.evaluation.audit.table import definition_table

__all__ = [
    "DEFINITIONS",
    "DIGITS",
    "LUNGS_PUBLISHED",
    "LUNG_SHARE",
    "OPACITY_SHARE",
    "TABLE_2",
    "definition_table",
    "error_shares",
    "foreground_share",
    "implied_accuracy",
    "largest_iou",
    "overlap",
    "trivial_accuracy",
]
