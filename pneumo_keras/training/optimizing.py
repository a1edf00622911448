"""What a network is given before it learns: layers that stand still, optimizer, schedule, loss."""

from __future__ import annotations

import keras

from pneumo_keras.training.losses import LOSSES
from pneumo_keras.training.metrics import training_metrics
from pneumo_keras.training.networks import Network
from pneumo_keras.training.recipes import Recipe

# Share of the steps in which a cosine schedule climbs to its learning rate.
WARM_UP = 0.05


def freeze(built: Network, recipe: Recipe, standing_still: bool) -> None:
    """Lets pretrained layers learn or not.

    Where a recipe freezes at all, the BatchNorm that came pretrained stays in inference mode
    afterwards too: statistics of small batches would undo what it brought along.
    """
    for layer in built.pretrained:
        layer.trainable = not standing_still
        if recipe.frozen_epochs:
            for inner in getattr(layer, "layers", []):
                if isinstance(inner, keras.layers.BatchNormalization):
                    inner.trainable = False


def compile_model(model: keras.Model, recipe: Recipe, loss: str, rate: float, steps: int) -> None:
    """Gives a model its optimizer, schedule, loss and metrics.

    Args:
        model: the network.
        recipe: optimizer, schedule, weight decay, clipping and precision are read.
        loss: a key of `losses.LOSSES`.
        rate: learning rate, the highest one of a schedule.
        steps: how many there will be, for a schedule to end with them.
    """
    if recipe.schedule == "cosine":
        warm_up = max(1, int(WARM_UP * steps))
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, max(1, steps - warm_up), warmup_target=rate, warmup_steps=warm_up
        )
    if recipe.optimizer == "adamw":
        optimizer = keras.optimizers.AdamW(
            rate, weight_decay=recipe.weight_decay, clipnorm=recipe.clip_norm
        )
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    else:
        optimizer = keras.optimizers.Adam(rate, clipnorm=recipe.clip_norm)
    if recipe.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model.compile(optimizer, LOSSES[loss](), metrics=training_metrics(loss))
