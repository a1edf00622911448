"""Segmentation of pneumonia in chest X-rays with SegNet and DeepLabV3, compared.

Importing the package is all that Keras needs to load a model saved by it.
"""

import os

from pneumo_keras.quiet import quiet_import

# GPU memory is taken as it is needed, unless the user has said otherwise; by default TensorFlow
# and JAX take nearly all of it at their first use. To be set before that.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

with quiet_import():
    # Registers the layers, losses and metrics that a saved model may hold.
    from pneumo_keras.models import layers as layers
    from pneumo_keras.training import losses as losses
    from pneumo_keras.training import metrics as metrics

__version__ = "0.1.0"
