"""Figures 1 to 4: the two networks, and the ways of training and testing."""

from pneumo_keras.report.diagrams.architecture import segnet_figure
from pneumo_keras.report.diagrams.flowcharts import testing_flowchart, training_flowchart
from pneumo_keras.report.diagrams.pyramid import deeplabv3_figure

__all__ = [
    "deeplabv3_figure",
    "segnet_figure",
    "testing_flowchart",
    "training_flowchart",
]
