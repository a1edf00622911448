"""Recipes: every decision about a run in one place, and the source of Table 1.

`quick` shows the whole study on a laptop, `paper` is Table 1 of the paper to the letter, `tuned`
is today's practice. What the paper leaves open is decided here, with the reason beside it.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import typing
from dataclasses import dataclass

from pneumo_keras.errors import StudyError

NETWORKS = {"segnet": "SegNet", "deeplabv3": "DeepLabV3"}
"""The networks by their name in folders and settings, and as they are printed."""

LOSSES = {
    "binary_crossentropy": "Binary cross-entropy",
    "hybrid_published": "unet3p_hybrid_loss (as published)",
    "hybrid_corrected": "unet3p_hybrid_loss (corrected)",
    "crossentropy_dice": "Binary cross-entropy + soft Dice",
}
OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW"}
BACKBONES = dict(
    resnet50="ResNet50", resnet101="ResNet101", mobilenet_v2="MobileNetV2", xception="Xception"
)
SIZE_MULTIPLE = 32  # five poolings halve the side; the output strides of DeepLabV3 divide it too
CHOICES = {
    "split_by": ("patient", "image", "official"),
    "backbone": tuple(BACKBONES),
    "output_stride": (8, 16),
    "scaling": ("backbone", "unit"),
    "segnet_loss": tuple(LOSSES),
    "deeplabv3_loss": tuple(LOSSES),
    "optimizer": tuple(OPTIMIZERS),
    "schedule": ("constant", "cosine"),
    "threshold": ("0.5", "validation"),
    "precision": ("float32", "mixed_bfloat16", "mixed_float16"),
    "devices": ("one", "all"),
}
POSITIVE = (
    *("phantoms", "size", "test_share", "validation_share", "width", "learning_rate"),
    *("frozen_learning_rate", "clip_norm", "batch_size", "epochs"),
)
NOT_NEGATIVE = ("dropout", "weight_decay", "frozen_epochs", "patience", "seed")


def _check(settings: dict) -> None:
    for field, allowed in CHOICES.items():
        if settings[field] not in allowed:
            choices = ", ".join(map(str, allowed))
            raise StudyError(f"{field}={settings[field]}: choose one of {choices}")
    for field in POSITIVE:
        value = settings[field]
        if value is not None and not 0 < value < math.inf:  # NaN is refused as well
            raise StudyError(f"{field}={value}: it must be above zero")
    for field in NOT_NEGATIVE:
        value = settings[field]
        if value is not None and not 0 <= value < math.inf:
            raise StudyError(f"{field}={value}: it must not be below zero")
    for field in ("test_share", "validation_share", "dropout"):
        if not settings[field] < 1:
            raise StudyError(f"{field}={settings[field]}: it must be below 1")
    if settings["size"] % SIZE_MULTIPLE:
        raise StudyError(f"size={settings['size']}: SegNet takes multiples of {SIZE_MULTIPLE}")
    for field in ("segnet_weights", "deeplabv3_weights"):
        if settings["width"] != 1 and settings[field] is not None:
            raise StudyError(f"{field}={settings[field]}: weights need width=1, or none")


@dataclass(frozen=True)
class Recipe:
    """The settings of one run of the study.

    Attributes:
        name: `quick`, `paper` or `tuned`.
        phantoms: number of images to draw where no data are given.
        size: side of the square images given to the networks, pixels.
        clahe: equalise the contrast of the images locally (CLAHE).
        letterbox: keep the proportions of the images, with black borders, instead of stretching.
        split_by: `patient` (no patient on two sides of the split), `image` (the paper's random
            split) or `official`, the split that comes with the data set.
        test_share: share of the patients (or images) that is tested on, once.
        validation_share: share of the rest that selects the best epoch.
        augment: rotate, shift, scale and re-expose the training images.
        width: factor on the number of channels of both networks.
        segnet_weights: `imagenet`, a file of VGG16 weights without top, or None for random.
        deeplabv3_weights: the same for the backbone of DeepLabV3.
        random_if_unavailable: train from random weights, saying so, where ImageNet's cannot be
            downloaded.
        backbone, output_stride, atrous_rates, decoder: arguments of `deeplab_v3`.
        scaling: input scaling that the backbone was trained with, or `unit`, the paper's 0..1.
        dropout: rate; in SegNet's three deepest blocks each way and after DeepLabV3's ASPP.
        segnet_loss, deeplabv3_loss: keys of `training.losses.LOSSES`.
        optimizer: `adam`, with weight decay as L2 on kernels, or `adamw`, decoupled.
        learning_rate: of all weights.
        schedule: `constant`, or `cosine` with warm-up, down to zero.
        weight_decay: L2 weight (`adam`) or decoupled decay (`adamw`).
        frozen_epochs: first epochs, in which pretrained layers are frozen.
        frozen_learning_rate: of the new layers during those epochs.
        clip_norm: largest norm of a gradient, None for no limit.
        batch_size: images per optimizer step.
        epochs: in all, frozen ones included.
        patience: epochs without a better validation Dice before stopping; None to run all.
        threshold: probability at and above which a pixel is positive: `0.5`, or chosen on
            `validation` images.
        seed: of split, initial weights, batch order and augmentation.
        precision: dtype policy of the layers; weights, outputs and losses are always float32.
        devices: `one`, or `all` to share each batch between all GPUs.
        deterministic: bit-identical results in every run on one machine, at some cost in speed.
    """

    name: str
    phantoms: int = 400
    size: int = 256
    clahe: bool = False
    letterbox: bool = False
    split_by: str = "patient"
    test_share: float = 0.25
    validation_share: float = 0.2
    augment: bool = False
    width: float = 1.0
    segnet_weights: str | None = "imagenet"
    deeplabv3_weights: str | None = "imagenet"
    random_if_unavailable: bool = False
    backbone: str = "resnet50"
    output_stride: int = 16
    atrous_rates: tuple[int, ...] = (6, 12, 18)
    decoder: bool = False
    scaling: str = "backbone"
    dropout: float = 0.5
    segnet_loss: str = "binary_crossentropy"
    deeplabv3_loss: str = "hybrid_published"
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    schedule: str = "constant"
    weight_decay: float = 1e-4
    frozen_epochs: int = 0
    frozen_learning_rate: float = 1e-3
    clip_norm: float | None = None
    batch_size: int = 8
    epochs: int = 50
    patience: int | None = None
    threshold: str = "0.5"
    seed: int = 1
    precision: str = "float32"
    devices: str = "one"
    deterministic: bool = False

    def __post_init__(self):
        _check(vars(self))

    @property
    def label(self) -> str:
        """The name, followed by the settings that differ from the recipe of that name.

        Example:
            >>> choose_recipe("quick", {"epochs": 3}).label
            'quick (epochs=3)'
        """
        original = vars(RECIPES[self.name])
        changes = [f"{key}={value}" for key, value in vars(self).items() if value != original[key]]
        return f"{self.name} ({', '.join(changes)})" if changes else self.name

    @property
    def l2(self) -> float:
        """Weight of the L2 penalty on kernels: the weight decay of `adam`, none for `adamw`."""
        return self.weight_decay if self.optimizer == "adam" else 0.0

    def as_json(self) -> dict:
        """All settings, as they are written to and read from JSON."""
        return {**vars(self), "atrous_rates": list(self.atrous_rates)}

    def of(self, network: str, setting: str):
        """A setting that each network has its own value of: `loss` or `weights`."""
        return getattr(self, f"{network}_{setting}")


# The topology of both networks is complete; channels, size and epochs are cut to what two cores
# train in minutes. Random weights, since ImageNet's fit only the full width. Output stride 8 and
# rates (3, 6, 9) keep every tap of the ASPP alive on 12x12 features. Decoupled weight decay: from
# random weights, Adam turns an L2 penalty into most of the first epochs' steps. One loss for both
# networks, so that only the architecture differs.
QUICK = Recipe(
    "quick",
    phantoms=800,
    size=96,
    width=0.25,
    segnet_weights=None,
    deeplabv3_weights=None,
    output_stride=8,
    atrous_rates=(3, 6, 9),
    dropout=0.1,
    deeplabv3_loss="binary_crossentropy",
    optimizer="adamw",
    learning_rate=3e-3,
    schedule="cosine",
    epochs=10,
    threshold="validation",
)
# Table 1, with the random image-level split and the 0..1 scaling of section 4. The paper does not
# state the number of epochs: 50, all of them run. Random weights are not allowed, since the title
# says transfer learning.
PAPER = Recipe("paper", split_by="image", scaling="unit", learning_rate=0.01, epochs=50)
# One loss for both networks, so that only the architecture differs; pretrained layers are unfrozen
# late and trained slowly, since Adam's first steps move every weight by the learning rate. Rates
# (3, 6, 9): on 16x16 features a rate of 18 is a 1x1 convolution.
TUNED = Recipe(
    "tuned",
    augment=True,
    random_if_unavailable=True,
    atrous_rates=(3, 6, 9),
    segnet_loss="crossentropy_dice",
    deeplabv3_loss="crossentropy_dice",
    optimizer="adamw",
    learning_rate=1e-4,
    schedule="cosine",
    frozen_epochs=4,
    clip_norm=1.0,
    epochs=150,
    patience=20,
    threshold="validation",
)
RECIPES = {recipe.name: recipe for recipe in (QUICK, PAPER, TUNED)}


def choose_recipe(name: str, changes: dict | None = None) -> Recipe:
    """The recipe of a name, with some settings changed.

    Args:
        name: `quick`, `paper` or `tuned`.
        changes: settings by name; text, as from the command line, is read by the setting's type.
            `loss` and `weights` change the setting of both networks.

    Raises:
        StudyError: for an unknown recipe or setting, or a value that does not fit.

    Example:
        >>> choose_recipe("quick", {"epochs": "3", "loss": "hybrid_corrected"}).deeplabv3_loss
        'hybrid_corrected'
    """
    if name not in RECIPES:
        raise StudyError(f"no recipe {name!r}: choose one of {', '.join(RECIPES)}")
    return change(RECIPES[name], changes or {})


def change(recipe: Recipe, changes: dict) -> Recipe:
    """A recipe with some settings changed; arguments and errors as for `choose_recipe`."""
    types = typing.get_type_hints(Recipe)
    types.pop("name")
    values = {}
    for key, value in changes.items():
        both = [f"{network}_{key}" for network in NETWORKS]
        for field in [key] if key in types else both:
            if field not in types:
                raise StudyError(f"no setting {key!r} in a recipe: {_suggestion(key, types)}")
            values[field] = _read(field, value, types[field])
    return dataclasses.replace(recipe, **values)


def _suggestion(key: str, known: dict) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"


def _read(key: str, value, kind):
    """A value, perhaps text, as the setting's type; "none" is None where that is allowed."""
    if type(None) in typing.get_args(kind):
        kind = next(part for part in typing.get_args(kind) if part is not type(None))
        if value is None or str(value).lower() == "none":
            return None
    try:
        if kind is bool:
            return {"true": True, "false": False}[str(value).lower()]
        if typing.get_origin(kind) is tuple:
            parts = re.split(r"[,\s]+", value.strip()) if isinstance(value, str) else value
            return tuple(int(part) for part in parts)
        if kind is int and isinstance(value, float) and not value.is_integer():
            raise ValueError
        return kind(value)
    except (ValueError, TypeError, KeyError):
        wanted = "list of int" if typing.get_origin(kind) is tuple else kind.__name__
        raise StudyError(f"{key}={value}: not a value of type {wanted}") from None
