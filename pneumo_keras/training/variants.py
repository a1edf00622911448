"""The trainings that a recipe asks for: seeds, and the designs that tell causes apart.

A variant changes the training alone. Split and phantoms belong to the study and its base seed, so
that all variants see the same films.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from pneumo_keras.training.networks import NETWORKS
from pneumo_keras.training.recipes import Recipe

# Table 1's learning rate, and what pretrained networks are usually tuned with.
RATES = (0.01, 1e-3, 1e-4)


@dataclass(frozen=True)
class Variant:
    """One training of one network.

    Attributes:
        network: `segnet` or `deeplabv3`.
        key: name of its folder below `data/models`; the network's own for the plain training.
        recipe: what to train by.
        words: what it is, for tables.
    """

    network: str
    key: str
    recipe: Recipe
    words: str

    @property
    def loss(self) -> str:
        """Its loss, a key of `losses.LOSSES`."""
        return self.recipe.of(self.network, "loss")


def variants(network: str, recipe: Recipe) -> list[Variant]:
    """The trainings of one network that a recipe asks for.

    By design, beside the plain training:

    * `2x2`: the other of two losses. These are the two networks' own where they differ (`paper`:
      binary cross-entropy and the published hybrid); otherwise their common loss and the corrected
      hybrid (`quick`, `tuned`).
    * `rates`: the learning rates of `RATES` that are not the recipe's own.
    * `weights`: random initial weights, or ImageNet's where the recipe's are random.

    Each of them is trained with `recipe.seeds` seeds, from `recipe.seed` upwards.

    Args:
        network: `segnet` or `deeplabv3`.
        recipe: of the study.

    Returns:
        The plain training first, with the recipe as it is.

    Example:
        >>> from pneumo_keras.training.recipes import choose_recipe
        >>> chosen = choose_recipe("paper", {"design": "2x2", "seeds": 2})
        >>> for variant in variants("segnet", chosen):
        ...     print(variant.key)
        segnet
        segnet-seed2
        segnet-loss-hybrid_published
        segnet-loss-hybrid_published-seed2
    """
    trainings = []
    for suffix, words, changes in _design(network, recipe):
        for seed in range(recipe.seed, recipe.seed + recipe.seeds):
            of_seed = f"-seed{seed}" if seed != recipe.seed else ""
            said = [NETWORKS[network], *words, *([f"seed {seed}"] if recipe.seeds > 1 else [])]
            trainings.append(
                Variant(
                    network,
                    f"{network}{suffix}{of_seed}",
                    dataclasses.replace(recipe, **changes, seed=seed),
                    ", ".join(said),
                )
            )
    return trainings


def two_losses(recipe: Recipe) -> tuple[str, str]:
    """The two losses of the 2x2 design.

    Example:
        >>> from pneumo_keras.training.recipes import PAPER, QUICK
        >>> two_losses(PAPER), two_losses(QUICK)[1]
        (('binary_crossentropy', 'hybrid_published'), 'hybrid_corrected')
    """
    first, second = recipe.segnet_loss, recipe.deeplabv3_loss
    if first != second:
        return first, second
    return first, "hybrid_corrected" if first != "hybrid_corrected" else "binary_crossentropy"


def _design(network: str, recipe: Recipe) -> list[tuple[str, list[str], dict]]:
    """Suffix of the key, words and changed settings of each arm, the plain one first."""
    if recipe.design == "2x2":
        own = recipe.of(network, "loss")
        other = next(loss for loss in two_losses(recipe) if loss != own)
        return [("", [own], {}), (f"-loss-{other}", [other], {f"{network}_loss": other})]
    if recipe.design == "rates":
        others = [rate for rate in RATES if rate != recipe.learning_rate]
        return [("", [f"learning rate {recipe.learning_rate:g}"], {})] + [
            (f"-rate-{rate:g}", [f"learning rate {rate:g}"], {"learning_rate": rate})
            for rate in others
        ]
    if recipe.design == "weights":
        own = recipe.of(network, "weights")
        other = None if own else "imagenet"
        return [
            ("", [_origin(own)], {}),
            (f"-weights-{other or 'random'}", [_origin(other)], {f"{network}_weights": other}),
        ]
    return [("", [], {})]


def _origin(weights: str | None) -> str:
    if weights is None:
        return "random weights"
    return "ImageNet weights" if weights == "imagenet" else "weights of a file"
