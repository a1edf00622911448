"""The folder that a training works in, and the one that it leaves its results in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from pneumo_keras.errors import StudyError
from pneumo_keras.files import cannot_write
from pneumo_keras.models.saving import load_model


def finished_run(folder: Path, identity: dict) -> dict | None:
    """The `run.json` of a finished training of this very network, recipe and data."""
    try:
        run = json.loads((folder / "run.json").read_text("utf-8"))
        load_model(folder / "best.keras")
        return run if identity.items() <= run.items() else None
    except (OSError, ValueError, AttributeError, StudyError):
        return None


def make_empty(folder: Path) -> None:
    """Create a folder, or empty it."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    except OSError as error:
        raise cannot_write(folder, error) from None


def publish(partial: Path, folder: Path) -> None:
    """Replace earlier results, which stay complete on disk until then."""
    try:
        if folder.exists():
            folder.rename(folder.with_name(f"{folder.name}.old"))
        partial.rename(folder)
    except OSError as error:
        raise cannot_write(folder, error) from None
    complete_interrupted_move(folder)


def complete_interrupted_move(folder: Path) -> None:
    """Clean up after `publish`, or undo one that was killed half-way."""
    old = folder.with_name(f"{folder.name}.old")
    try:
        if old.exists() and not folder.exists():
            old.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise cannot_write(folder, error) from None
