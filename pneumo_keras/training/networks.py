"""The two networks as a recipe asks for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras

from pneumo_keras.errors import StudyError
from pneumo_keras.models.backbones import WeightsUnavailable
from pneumo_keras.models.deeplabv3 import deeplab_v3
from pneumo_keras.models.segnet import encoder_layers, segnet
from pneumo_keras.training.recipes import Recipe

# Names as the paper writes them, in the order of its Table 1.
NETWORKS = {"segnet": "SegNet", "deeplabv3": "DeepLabV3"}


@dataclass(frozen=True)
class Network:
    """A network ready to train.

    Attributes:
        model: the Keras model.
        pretrained: the layers that came with weights; none if all are random.
        weights: where they came from, in words, for the log, Table 1 and the run's JSON.
    """

    model: keras.Model
    pretrained: tuple[keras.layers.Layer, ...]
    weights: str


def build_network(network: str, recipe: Recipe) -> Network:
    """Builds SegNet or DeepLabV3 with the recipe's settings and initial weights.

    Args:
        network: `segnet` or `deeplabv3`.
        recipe: the recipe.

    Raises:
        StudyError: for a size the network cannot take, weights that cannot be read, or ImageNet
            weights that cannot be downloaded where the recipe does not allow random ones.

    Example:
        >>> from pneumo_keras.training.recipes import QUICK
        >>> build_network("segnet", QUICK).weights
        'random'
    """
    weights = recipe.of(network, "weights")
    if weights not in (None, "imagenet") and not Path(weights).is_file():
        raise StudyError(f"{network}_weights={weights}: no such file")
    try:
        model = _build(network, recipe, weights)
    except WeightsUnavailable as error:
        if not recipe.random_if_unavailable:
            raise StudyError(
                f"{NETWORKS[network]}: {error}; give a file with {network}_weights=PATH, "
                "or allow random weights with random_if_unavailable=true"
            ) from None
        model, weights = _build(network, recipe, None), None
        return Network(model, (), "random (ImageNet weights could not be downloaded)")
    except (ValueError, OSError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise StudyError(f"{NETWORKS[network]}: {first_line}") from None
    if weights is None:
        return Network(model, (), "random")
    origin = "ImageNet" if weights == "imagenet" else f"file {Path(weights).name}"
    layers = encoder_layers(model) if network == "segnet" else [model.get_layer("backbone")]
    return Network(model, tuple(layers), origin)


def _build(network: str, recipe: Recipe, weights: str | None) -> keras.Model:
    l2 = recipe.weight_decay if recipe.optimizer == "adam" else 0.0
    if network == "segnet":
        scaling = "caffe" if recipe.scaling == "backbone" else recipe.scaling
        return segnet(
            recipe.size,
            width=recipe.width,
            weights=weights,
            scaling=scaling,
            dropout=recipe.dropout,
            l2=l2,
        )
    return deeplab_v3(
        recipe.size,
        backbone=recipe.backbone,
        output_stride=recipe.output_stride,
        atrous_rates=recipe.atrous_rates,
        decoder=recipe.decoder,
        width=recipe.width,
        weights=weights,
        scaling=None if recipe.scaling == "backbone" else recipe.scaling,
        dropout=recipe.dropout,
        l2=l2,
    )
