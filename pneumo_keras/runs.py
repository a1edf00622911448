"""`run.json`, the record of a finished training: reading it, and whether it came to something."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pandas as pd

from pneumo_keras.errors import StudyError


def read_run(folder: Path) -> dict:
    """Read the record of a finished training.

    Args:
        folder: the training's folder.

    Returns:
        The content of `run.json`, see `training.train.Training.finish`.

    Raises:
        StudyError: if there is none, or its target or threshold cannot be used.
    """
    path = folder / "run.json"
    if not path.exists():
        raise StudyError(f"{path} is missing: train {folder.name} first (notebook 03 or 04)")
    try:
        run = json.loads(path.read_text("utf-8"))
        target, threshold = run["target"], run["threshold"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{path} is damaged ({error}): train {folder.name} again") from None
    if not isinstance(target, str) or not target.strip():
        raise StudyError(f"{path}: target is {target!r}, no label; train {folder.name} again")
    is_number = isinstance(threshold, (int, float)) and not isinstance(threshold, bool)
    if not is_number or not math.isfinite(threshold) or not 0 <= threshold <= 1:
        raise StudyError(
            f"{path}: threshold is {threshold!r}, not between 0 and 1; train {folder.name} again"
        )
    return run


def read_history(folder: Path) -> pd.DataFrame:
    """Read loss and metrics of a finished training, one row per epoch.

    Args:
        folder: the training's folder.

    Returns:
        `epoch` from 0, then loss, accuracy, iou, dice and the terms of a hybrid loss, each also
        with the prefix `val_`.

    Raises:
        StudyError: if the network has not been trained there.
    """
    path = folder / "history.csv"
    if not path.exists():
        raise StudyError(f"{path} is missing: train {folder.name} first (notebook 03 or 04)")
    return pd.read_csv(path)


def status(run: dict) -> str:
    """Whether a training came to something: `trained`, or what went wrong.

    Args:
        run: the content of `run.json`.

    Example:
        >>> run = {"diverged": False, "predicts": "", "validation_dice": 0.4}
        >>> status(run | {"validation_baseline_dice": 0.3})
        'trained'
        >>> status(run | {"validation_baseline_dice": 0.5})
        'no better than a baseline: validation Dice 0.400, baseline 0.500'
    """
    if run["diverged"]:
        return "diverged: the loss is not a finite number"
    if run["predicts"]:
        return f"degenerate: predicts {run['predicts']}, on (nearly) every validation image"
    dice, baseline = run["validation_dice"], run["validation_baseline_dice"]
    if dice is not None and dice <= baseline:
        return f"no better than a baseline: validation Dice {dice:.3f}, baseline {baseline:.3f}"
    return "trained"
