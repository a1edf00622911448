"""What goes with a model or a paper: model cards and the CLAIM checklist."""

from pneumo_keras.report.documents.cards import write_model_card
from pneumo_keras.report.documents.claim import write_claim
from pneumo_keras.report.documents.claimanswers import Evidence

__all__ = [
    "Evidence",
    "write_claim",
    "write_model_card",
]
