"""Segmentation of pneumonia in chest X-rays with SegNet and DeepLabV3, compared.

Importing the package is all that Keras needs to load a model saved by it.
"""

from pneumo_keras.quiet import quiet_import

with quiet_import():
    # Registers the layers, losses and metrics that a saved model may hold.
    from pneumo_keras.models import layers as layers
    from pneumo_keras.training import losses as losses
    from pneumo_keras.training import metrics as metrics

__version__ = "0.1.0"
