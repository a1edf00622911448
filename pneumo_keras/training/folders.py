"""The folders of a training: the one it works in, and the one it leaves its results in."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pneumo_keras.dataset.files import cannot_write
from pneumo_keras.errors import StudyError
from pneumo_keras.training.checkpoint import CHECKPOINT


def partial_folder(folder: Path) -> Path:
    """Where a training works until it is finished.

    Example:
        >>> partial_folder(Path("segnet")).name
        'segnet.training'
    """
    return folder.with_name(f"{folder.name}.training")


def make_empty(folder: Path) -> None:
    """Makes a folder anew, whatever was in it.

    Raises:
        StudyError: if that cannot be done.
    """
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    except OSError as error:
        raise cannot_write(folder, error) from None


@contextmanager
def telling_full_disk(folder: Path) -> Iterator[None]:
    """Makes a StudyError of the error, not an OSError, that TensorBoard's writer raises.

    Args:
        folder: what is written to.

    Raises:
        StudyError: if the disk is full.
    """
    full = os.strerror(errno.ENOSPC)
    try:
        yield
    except StudyError:
        raise
    except Exception as error:
        if full not in str(error):
            raise
        raise cannot_write(folder, OSError(errno.ENOSPC, full)) from None


def finished_run(folder: Path, identity: dict) -> dict | None:
    """The `run.json` of a training that is finished, if it is of this very network and data.

    Args:
        folder: of the results.
        identity: what `run.json` has to hold.
    """
    try:
        run = json.loads((folder / "run.json").read_text("utf-8"))
        return run if identity.items() <= run.items() else None
    except (OSError, ValueError, AttributeError):
        return None


def publish(partial: Path, folder: Path) -> None:
    """Puts new results in the place of the old ones, which are whole on disk until then.

    Args:
        partial: the folder of a training that is done.
        folder: of the results.

    Raises:
        StudyError: if a folder cannot be renamed.

    Example:
        >>> from tempfile import mkdtemp
        >>> folder = Path(mkdtemp()) / "segnet"
        >>> make_empty(partial_folder(folder))
        >>> publish(partial_folder(folder), folder)
        >>> [path.name for path in folder.parent.iterdir()]
        ['segnet']
    """
    try:
        if folder.exists():
            folder.rename(_old(folder))
        partial.rename(folder)
    except OSError as error:
        raise cannot_write(folder, error) from None
    take_back(folder)


def take_back(folder: Path) -> None:
    """Clears up after a `publish` that was killed or is done: one folder of results is left.

    Args:
        folder: of the results.

    Raises:
        StudyError: if the folder cannot be written to.
    """
    old = _old(folder)
    try:
        if old.exists() and not folder.exists():
            old.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
        (folder / CHECKPOINT).unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from None


def _old(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.old")
