"""Trainings with other settings or seeds than the recipe's, to be compared in one table."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pneumo_keras.config import NETWORKS, Recipe, change
from pneumo_keras.errors import StudyError

SHORTHANDS = ("loss", "weights")
NOT_VARIED = ("phantoms", "split_by", "test_share", "validation_share", "letterbox", "devices")


@dataclass(frozen=True, eq=False)
class Variant:
    """One training of one network, with some settings changed.

    Attributes:
        network: `segnet` or `deeplabv3`.
        key: name of its folder: the network, then what differs from the study's recipe.
        recipe: its recipe.
        changes: the varied settings with their values, the seed among them.
    """

    network: str
    key: str
    recipe: Recipe
    changes: Mapping[str, str] = field(hash=False)

    @property
    def label(self) -> str:
        """The network and the varied settings without the seed, as they are printed."""
        varied = [f"{key} {value}" for key, value in self.changes.items() if key != "seed"]
        return ", ".join([NETWORKS[self.network], *varied])


def variants(network: str, recipe: Recipe, vary: Mapping[str, tuple[str, ...]]) -> list[Variant]:
    """All combinations of the varied settings, each a training of one network.

    Args:
        network: `segnet` or `deeplabv3`.
        recipe: the study's recipe.
        vary: values by setting; `loss` and `weights` stand for the setting of each network, and
            a setting of the other network is left out.

    Raises:
        StudyError: for an unknown setting, a value that does not fit, or a setting that would
            change which images are tested on.

    Example:
        >>> from pneumo_keras.config import QUICK
        >>> [v.key for v in variants("segnet", QUICK, {"epochs": ("10", "20"), "seed": ("1", "2")})]
        ['segnet', 'segnet-seed-2', 'segnet-epochs-20', 'segnet-epochs-20-seed-2']
    """
    for setting in vary:
        if setting in NOT_VARIED:
            raise StudyError(
                f"--vary {setting}: its values cannot be compared on the same test images; "
                "run a study of its own for each"
            )
    others = tuple(f"{other}_" for other in NETWORKS if other != network)
    own = {key: values for key, values in vary.items() if not key.startswith(others)}
    found: dict[Recipe, Variant] = {}  # values may be equal in other words, such as 0.1 and 1e-1
    for values in itertools.product(*own.values()):
        changes = dict(zip(own, values, strict=True))
        fields = {key: _field(network, key) for key in changes}
        changed = change(recipe, {fields[key]: value for key, value in changes.items()})
        differing = [
            key for key, name in fields.items() if getattr(changed, name) != getattr(recipe, name)
        ]
        key = "-".join([network, *(f"{key}-{_file_name(changes[key])}" for key in differing)])
        found.setdefault(changed, Variant(network, key, changed, changes))
    return list(found.values())


def _field(network: str, key: str) -> str:
    """The setting of a recipe: that of the network where `loss` or `weights` stands for both."""
    return f"{network}_{key}" if key in SHORTHANDS else key


def _file_name(value: str) -> str:
    """A setting's value as part of a folder name, different for different values."""
    if re.fullmatch(r"[\w.+-]+", value):
        return value
    words = re.sub(r"[^A-Za-z0-9]+", "_", Path(value).name)
    return f"{words}_{hashlib.sha256(value.encode()).hexdigest()[:6]}"


def parse_variation(texts: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Read `--vary KEY=V1,V2` options.

    Args:
        texts: one per setting; values of a list setting are separated by spaces.

    Raises:
        StudyError: for text without `=` or values, or a setting given twice.

    Example:
        >>> parse_variation(["seed=1,2", "atrous_rates=3 6 9,6 12 18"])
        {'seed': ('1', '2'), 'atrous_rates': ('3 6 9', '6 12 18')}
    """
    vary: dict[str, tuple[str, ...]] = {}
    for text in texts:
        key, _, values = text.partition("=")
        listed = tuple(dict.fromkeys(value.strip() for value in values.split(",") if value.strip()))
        if not key or not listed:
            raise StudyError(f"--vary {text}: write it as KEY=VALUE,VALUE")
        if key in vary:
            raise StudyError(f"--vary {key}: given twice; write all its values after one =")
        vary[key] = listed
    return vary
