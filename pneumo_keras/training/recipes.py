"""The recipes: every decision about a run in one place, and Table 1's source.

`quick` shows the whole study on a laptop, `paper` is Table 1 to the letter, `tuned` is today's
practice. What the paper leaves open is decided here, with the reason beside it.
"""

from __future__ import annotations

import dataclasses
import difflib
import typing
from dataclasses import dataclass

from pneumo_keras.errors import StudyError
from pneumo_keras.training.settings import check_settings, read_setting


@dataclass(frozen=True)
class Recipe:
    """One way to run the study.

    Attributes:
        name: quick, paper or tuned.
        phantoms: films to draw where no data are given.
        size: side of the square films given to the networks, pixels.
        clahe: equalise the contrast of the films locally before anything else.
        letterbox: keep the proportions of the films, black around them, instead of stretching them.
        split_by: what may not be on both sides of the split: a patient, or only an image
            (the paper's random split); or `official`, the split of the source itself.
        test_share: share of the patients (or images) that is tested on, once.
        validation_share: share of the rest that chooses the best epoch.
        augment: rotate, shift, scale and re-expose the training films.
        width: factor on the number of channels of both networks.
        segnet_weights: `imagenet`, a file of VGG16 weights without top, or None for random.
        deeplabv3_weights: the same for the backbone of DeepLabV3.
        random_if_unavailable: go on with random weights, saying so, where ImageNet's cannot be
            downloaded.
        backbone, output_stride, atrous_rates, decoder: see `deeplab_v3`.
        scaling: film scaling the backbone was trained with, or `unit`, the paper's 0..1.
        dropout: rate; SegNet's three deepest blocks each way, DeepLabV3's pyramid projection.
        segnet_loss, deeplabv3_loss: keys of `losses.LOSSES`.
        optimizer: `adam`, with weight decay as L2 on kernels, or `adamw`, decoupled.
        learning_rate: of all weights.
        schedule: `constant`, or `cosine` down to zero.
        weight_decay: L2 weight (`adam`) or decoupled decay (`adamw`).
        frozen_epochs: epochs at first in which pretrained layers stand still.
        frozen_learning_rate: of the new layers during those.
        clip_norm: largest norm of a gradient, None for no limit.
        batch_size: films a step.
        epochs: in all, the frozen ones included.
        patience: epochs without a better validation Dice before stopping; None to run all.
        threshold: probability above which a pixel is marked: 0.5, or chosen on `validation`.
        seed: of split, initial weights, order and augmentation.
        seeds: how many trainings of each network, with this seed and those after it; split and
            phantoms stay those of this seed.
        design: `single`; `2x2`, both networks under two losses; `rates`, other learning rates;
            `weights`, pretrained against random initial weights (see `variants`).
        precision: that the layers compute in; weights, output and losses are float32 always.
        devices: `one`, or `all` to share each batch between all GPUs.
        deterministic: the same bits in every run on the same machine, if more slowly.
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
    seeds: int = 1
    design: str = "single"
    precision: str = "float32"
    devices: str = "one"
    deterministic: bool = False

    def __post_init__(self):
        check_settings(vars(self))

    @property
    def label(self) -> str:
        """The name, with what was changed of the recipe that bears it.

        Example:
            >>> choose_recipe("quick", {"epochs": 3}).label
            'quick (epochs=3)'
        """
        original = vars(RECIPES[self.name])
        changes = [f"{key}={value}" for key, value in vars(self).items() if value != original[key]]
        return f"{self.name} ({', '.join(changes)})" if changes else self.name

    def as_json(self) -> dict:
        """All settings, as they are written to and read from JSON."""
        return {**vars(self), "atrous_rates": list(self.atrous_rates)}

    def of(self, network: str, setting: str):
        """A setting that each network has its own of, such as `loss` or `weights`.

        Example:
            >>> PAPER.of("segnet", "loss")
            'binary_crossentropy'
        """
        return getattr(self, f"{network}_{setting}")


# The topology of both networks whole; channels, size and epochs cut to what two cores train in
# minutes. Random weights, since ImageNet's fit only the full width. Output stride 8 and rates
# (3, 6, 9) keep every tap of the pyramid alive on 12x12 features. Decoupled weight decay: from
# random weights, Adam turns an L2 penalty into most of the first epochs' steps. Many phantoms
# rather than augmentation, which in so few steps slowed learning more than it helped. One loss
# for both networks, so that only the architecture differs.
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
# Table 1, with the random image-level split and the 0..1 scaling of section 4. Epochs are not
# stated: 50, all of them run. Random weights are not allowed, since the title says transfer.
PAPER = Recipe(
    "paper",
    split_by="image",
    scaling="unit",
    learning_rate=0.01,
    epochs=50,
)
# One loss for both networks, so that only the architecture differs; pretrained layers thaw late
# and slowly, since Adam's first steps move every weight by the learning rate. Rates (3, 6, 9): on
# 16x16 features a rate of 18 is a 1x1 convolution.
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
    """The recipe of a name, with some of its settings changed.

    Args:
        name: quick, paper or tuned.
        changes: settings by name; text, as from the command line, is read by the setting's type.

    Raises:
        StudyError: for an unknown recipe or setting, or a value that does not fit.

    Example:
        >>> choose_recipe("quick", {"epochs": "3"}).epochs
        3
    """
    if name not in RECIPES:
        raise StudyError(f"no recipe {name!r}: choose one of {', '.join(RECIPES)}")
    types = typing.get_type_hints(Recipe)
    types.pop("name")
    values = {}
    for key, value in (changes or {}).items():
        if key not in types:
            close = difflib.get_close_matches(key, types, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(types)}"
            raise StudyError(f"no setting {key!r} in a recipe: {hint}")
        values[key] = read_setting(key, value, types[key])
    return dataclasses.replace(RECIPES[name], **values)
