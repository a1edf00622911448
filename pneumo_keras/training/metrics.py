"""What is watched while a network trains: pooled accuracy and IoU, and Dice per film.

The scores that are reported are counted again, film by film, in `pneumo_keras.evaluation`.
"""

from __future__ import annotations

import keras
from keras import ops

from pneumo_keras.models.layers import PACKAGE
from pneumo_keras.training import losses


@keras.saving.register_keras_serializable(PACKAGE)
class FilmDice(keras.metrics.Metric):
    """Mean over films of 2 TP / (2 TP + FP + FN), at a threshold of 0.5.

    Films whose mask is empty do not enter: any Dice given to them would be a convention.
    It is 0 as long as no film with a mask was seen.

    Example:
        >>> mask = ops.concatenate([ops.ones((1, 2, 2, 1)), ops.zeros((1, 2, 2, 1))], axis=0)
        >>> metric = FilmDice()
        >>> metric.update_state(mask, ops.ones((2, 2, 2, 1)))
        >>> float(metric.result())
        1.0
    """

    def __init__(self, name: str = "dice", **kwargs):
        super().__init__(name=name, **kwargs)
        self.total = self.add_weight(name="total", initializer="zeros")
        self.films = self.add_weight(name="films", initializer="zeros")

    def update_state(self, truth, probability, sample_weight=None):
        truth = ops.cast(truth, "float32")
        predicted = ops.cast(probability >= 0.5, "float32")
        overlap = 2 * ops.sum(truth * predicted, axis=(1, 2, 3))
        area = ops.sum(truth, axis=(1, 2, 3))
        counted = ops.cast(area > 0, "float32")
        dice = overlap / ops.maximum(area + ops.sum(predicted, axis=(1, 2, 3)), 1.0)
        self.total.assign_add(ops.sum(dice * counted))
        self.films.assign_add(ops.sum(counted))

    def result(self):
        return self.total / ops.maximum(self.films, 1.0)


def training_metrics(loss: str) -> list:
    """The metrics to compile a model with.

    Args:
        loss: a key of `losses.LOSSES`; for a hybrid loss each of its terms is logged alone.

    Example:
        >>> [metric.name for metric in training_metrics("hybrid_corrected")]
        ['accuracy', 'iou', 'dice', 'focal', 'ssim', 'jaccard']
    """
    watched = [
        keras.metrics.BinaryAccuracy(name="accuracy"),
        keras.metrics.BinaryIoU(target_class_ids=[1], name="iou"),
        FilmDice(),
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
