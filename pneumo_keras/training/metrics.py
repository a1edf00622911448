"""Metrics logged during training: pooled accuracy and IoU, and Dice per image.

Reported scores are computed image by image in `pneumo_keras.evaluation`.
"""

from __future__ import annotations

import keras
from keras import ops

from pneumo_keras import PACKAGE
from pneumo_keras.training import losses


@keras.saving.register_keras_serializable(PACKAGE)
class DicePerImage(keras.metrics.Metric):
    """Mean over images of 2 TP / (2 TP + FP + FN), at a threshold of 0.5.

    Images with an empty reference are excluded: their Dice would be a convention. The result is
    0 until an image with a reference was seen.

    Example:
        >>> mask = ops.concatenate([ops.ones((1, 2, 2, 1)), ops.zeros((1, 2, 2, 1))], axis=0)
        >>> metric = DicePerImage()
        >>> metric.update_state(mask, ops.ones((2, 2, 2, 1)))
        >>> float(metric.result())
        1.0
    """

    def __init__(self, name: str = "dice", **kwargs):
        super().__init__(name=name, **kwargs)
        self.total = self.add_weight(name="total", initializer="zeros")
        self.images = self.add_weight(name="images", initializer="zeros")

    def update_state(self, reference, probability, sample_weight=None):
        reference = ops.cast(reference, "float32")
        predicted = ops.cast(probability >= 0.5, "float32")
        overlap = 2 * ops.sum(reference * predicted, axis=(1, 2, 3))
        area = ops.sum(reference, axis=(1, 2, 3))
        counted = ops.cast(area > 0, "float32")
        dice = overlap / ops.maximum(area + ops.sum(predicted, axis=(1, 2, 3)), 1.0)
        self.total.assign_add(ops.sum(dice * counted))
        self.images.assign_add(ops.sum(counted))

    def result(self):
        return self.total / ops.maximum(self.images, 1.0)


def training_metrics(loss: str) -> list:
    """Metrics to compile a model with.

    Args:
        loss: a key of `losses.LOSSES`; of a hybrid loss each term is logged separately.

    Example:
        >>> [metric.name for metric in training_metrics("hybrid_corrected")]
        ['accuracy', 'iou', 'dice', 'focal', 'ssim', 'jaccard']
    """
    watched = [
        keras.metrics.BinaryAccuracy(name="accuracy"),
        keras.metrics.BinaryIoU(target_class_ids=[1], name="iou"),
        DicePerImage(),
    ]
    if not loss.startswith("hybrid_"):
        return watched
    terms = {
        "focal": losses.hybrid_focal,
        "ssim": losses.hybrid_ssim,
        "jaccard": losses.hybrid_jaccard,
    }
    variant = loss.removeprefix("hybrid_")
    return watched + [
        keras.metrics.MeanMetricWrapper(term, name=name, variant=variant)
        for name, term in terms.items()
    ]
