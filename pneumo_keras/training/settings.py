"""What the settings of a recipe may be, and reading them from text."""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping

from pneumo_keras.errors import StudyError
from pneumo_keras.models.backbones import BACKBONES
from pneumo_keras.training.devices import CHOICES as DEVICES
from pneumo_keras.training.losses import LOSSES
from pneumo_keras.training.precision import PRECISIONS

# Five poolings halve the side; the output strides of DeepLabV3 divide it as well.
SIZE_MULTIPLE = 32
DESIGNS = ("single", "2x2", "rates", "weights")
CHOICES = {
    "split_by": ("patient", "image", "official"),
    "backbone": tuple(BACKBONES),
    "output_stride": (8, 16),
    "scaling": ("backbone", "unit"),
    "segnet_loss": tuple(LOSSES),
    "deeplabv3_loss": tuple(LOSSES),
    "optimizer": ("adam", "adamw"),
    "schedule": ("constant", "cosine"),
    "threshold": ("0.5", "validation"),
    "design": DESIGNS,
    "precision": PRECISIONS,
    "devices": DEVICES,
}
POSITIVE = (
    "phantoms",
    "size",
    "test_share",
    "validation_share",
    "width",
    "learning_rate",
    "frozen_learning_rate",
    "clip_norm",
    "batch_size",
    "epochs",
    "seeds",
)
NOT_NEGATIVE = ("dropout", "weight_decay", "frozen_epochs", "patience", "seed")


def check_settings(settings: Mapping[str, object]) -> None:
    """Refuses settings that no training could have.

    Args:
        settings: all of a recipe, by name and of their types.

    Raises:
        StudyError: naming the setting, its value and what it may be.
    """
    for field, allowed in CHOICES.items():
        if settings[field] not in allowed:
            raise StudyError(
                f"{field}={settings[field]}: choose one of {', '.join(map(str, allowed))}"
            )
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
    if settings["design"] == "weights" and settings["width"] != 1:
        raise StudyError(
            f"design=weights: pretrained weights need width=1, not {settings['width']:g}; "
            "take the recipe paper or tuned, or set width=1"
        )
    for field in ("segnet_weights", "deeplabv3_weights"):
        if settings["width"] != 1 and settings[field] is not None:
            raise StudyError(f"{field}={settings[field]}: weights need width=1, or none")


def read_setting(key: str, value, kind):
    """A setting's value from text or as given, held to the setting's type.

    Args:
        key: its name, for the error.
        value: text, as from the command line, or a value.
        kind: the type, perhaps optional, as `typing.get_type_hints` gives it.

    Raises:
        StudyError: for a value of another type.

    Example:
        >>> read_setting("atrous_rates", "3,6,9", tuple[int, ...])
        (3, 6, 9)
    """
    optional = type(None) in typing.get_args(kind)
    if optional:
        kind = next(part for part in typing.get_args(kind) if part is not type(None))
        if value is None or str(value).lower() == "none":
            return None
    try:
        if kind is bool:
            return {"true": True, "false": False}[str(value).lower()]
        if typing.get_origin(kind) is tuple:
            parts = value.split(",") if isinstance(value, str) else value
            return tuple(int(part) for part in parts)
        if kind is int and isinstance(value, float) and not value.is_integer():
            raise ValueError
        return kind(value)
    except (ValueError, TypeError, KeyError):
        wanted = "list of int" if typing.get_origin(kind) is tuple else kind.__name__
        raise StudyError(f"{key}={value}: not a value of type {wanted}") from None
