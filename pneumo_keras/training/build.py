"""A network and its optimizer, as a recipe describes them."""

from __future__ import annotations

from pathlib import Path

import keras

from pneumo_keras.config import NETWORKS, Recipe
from pneumo_keras.errors import StudyError
from pneumo_keras.models.backbones import BACKBONES, WeightsUnavailable, pretrained
from pneumo_keras.models.deeplabv3 import deeplab_v3
from pneumo_keras.models.segnet import encoder_layers, segnet

WARM_UP = 0.05  # share of the steps in which a cosine schedule rises to its learning rate


def initial_weights(network: str, recipe: Recipe) -> str | None:
    """The initial weights to build a network with, ImageNet's downloaded if they are asked for.

    Args:
        network: `segnet` or `deeplabv3`.
        recipe: `weights` of the network, and whether random ones may take their place.

    Returns:
        None for random weights, `imagenet`, or the path of a file.

    Raises:
        StudyError: if there is no such file, or ImageNet's weights cannot be downloaded and the
            recipe does not allow random ones instead.

    Example:
        >>> from pneumo_keras.config import QUICK
        >>> print(initial_weights("segnet", QUICK))
        None
    """
    weights = recipe.of(network, "weights")
    if weights is None:
        return None
    if weights != "imagenet":
        if not Path(weights).is_file():
            raise StudyError(f"{network}_weights={weights}: no such file")
        return weights
    application = (
        keras.applications.VGG16 if network == "segnet" else BACKBONES[recipe.backbone].build
    )
    try:
        pretrained(application, weights)
    except WeightsUnavailable as error:
        if not recipe.random_if_unavailable:
            raise StudyError(
                f"{NETWORKS[network]}: {error}; give a file with {network}_weights=PATH, "
                "or allow random weights with random_if_unavailable=true"
            ) from None
        return None
    return weights


def describe_weights(network: str, recipe: Recipe, weights: str | None) -> str:
    """Where initial weights came from, for Table 1 and `run.json`.

    Example:
        >>> from pneumo_keras.config import PAPER, QUICK
        >>> describe_weights("segnet", QUICK, None), describe_weights("segnet", PAPER, "imagenet")
        ('random', 'ImageNet')
    """
    if weights is None and recipe.of(network, "weights") is not None:
        return "random (ImageNet weights could not be downloaded)"
    if weights is None:
        return "random"
    return "ImageNet" if weights == "imagenet" else f"file {Path(weights).name}"


def build_network(network: str, recipe: Recipe, weights: str | None) -> keras.Model:
    """Build SegNet or DeepLabV3 with the recipe's settings.

    Args:
        network: `segnet` or `deeplabv3`.
        recipe: size, width, dropout and the like.
        weights: initial weights, as `initial_weights` gives them.

    Raises:
        StudyError: for a size that the network cannot take, or weights that cannot be read.

    Example:
        >>> from pneumo_keras.config import QUICK
        >>> build_network("segnet", QUICK, None).output_shape
        (None, 96, 96, 1)
    """
    scaling = None if recipe.scaling == "backbone" else recipe.scaling
    shared = {
        "width": recipe.width,
        "weights": weights,
        "dropout": recipe.dropout,
        "l2": recipe.l2,
    }
    try:
        if network == "segnet":
            return segnet(recipe.size, scaling=scaling or "caffe", **shared)
        return deeplab_v3(
            recipe.size,
            backbone=recipe.backbone,
            output_stride=recipe.output_stride,
            atrous_rates=recipe.atrous_rates,
            decoder=recipe.decoder,
            scaling=scaling,
            **shared,
        )
    except (ValueError, OSError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise StudyError(f"{NETWORKS[network]}: {first_line}") from None


def freeze(network: str, model: keras.Model, frozen: bool) -> None:
    """Freeze or unfreeze the pretrained layers of a network.

    BatchNorm layers that came pretrained stay in inference mode when the others are unfrozen:
    statistics of small batches would undo what they brought along.

    Args:
        network: `segnet` (the 13 convolutions of VGG16) or `deeplabv3` (the backbone).
        model: the network, built with pretrained weights.
        frozen: whether these layers are to be frozen.
    """
    layers = encoder_layers(model) if network == "segnet" else [model.get_layer("backbone")]
    for layer in layers:
        layer.trainable = not frozen
        for inner in getattr(layer, "layers", []):
            if isinstance(inner, keras.layers.BatchNormalization):
                inner.trainable = False


def changes(network: str, recipe: Recipe, model: keras.Model) -> list[str]:
    """How a model differs from the network of a recipe: empty, or one text for Table 1.

    Example:
        >>> from pneumo_keras.config import QUICK
        >>> changes("segnet", QUICK, segnet(96, width=0.25, dropout=0.5))
        ['network segnet, 1,849,089 parameters']
    """
    if _layer_settings(model) == _layer_settings(build_network(network, recipe, None)):
        return []
    return [f"network {model.name}, {model.count_params():,} parameters"]


def _layer_settings(model: keras.Model) -> list:
    """Class and settings of each layer, but for what may differ in one and the same network."""
    settings = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            settings += _layer_settings(layer)
            continue
        kept = {
            key: value
            for key, value in layer.get_config().items()
            if key not in ("name", "dtype", "trainable") and not key.endswith("initializer")
        }
        settings.append((type(layer).__name__, kept))
    return settings


def make_optimizer(recipe: Recipe, learning_rate: float, steps: int) -> keras.optimizers.Optimizer:
    """The optimizer of a recipe.

    Args:
        recipe: optimizer, schedule, weight decay, gradient clipping and precision.
        learning_rate: the learning rate, the highest one of a schedule.
        steps: number of steps at which a schedule reaches zero.

    Example:
        >>> from pneumo_keras.config import PAPER
        >>> optimizer = make_optimizer(PAPER, PAPER.learning_rate, 100)
        >>> type(optimizer).__name__, round(float(optimizer.learning_rate), 4)
        ('Adam', 0.01)
    """
    rate = learning_rate
    if recipe.schedule == "cosine":
        warm_up = max(1, int(WARM_UP * steps))
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, max(1, steps - warm_up), warmup_target=learning_rate, warmup_steps=warm_up
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
    return optimizer
