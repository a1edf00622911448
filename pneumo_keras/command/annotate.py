"""Opens labelme, as a program of its own, on a folder of films."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

from pneumo_keras.dataset.films import FILM_SUFFIXES, is_film
from pneumo_keras.errors import StudyError


def annotate(options: Namespace) -> None:
    """Runs `python -m pneumo_keras annotate DIR`.

    The annotations are saved beside the films, where notebook 01 reads them; labels other than
    the study's cannot be given.

    Raises:
        StudyError: if there is no such folder, no film in it, no labelme or no display.
    """
    folder: Path = options.folder
    if not folder.is_dir():
        raise StudyError(f"{folder}: no such folder; annotate takes a folder of films")
    shown = [suffix for suffix in FILM_SUFFIXES if suffix != ".dcm"]
    films = [path for path in folder.rglob("*") if path.suffix.lower() in shown]
    if not films and any(path.is_file() and is_film(path) for path in folder.rglob("*")):
        raise StudyError(
            f"{folder}: labelme opens no DICOM; save these films as PNG in another folder (dataset."
            "films: write_png(png, read_film(dicom))), annotate that, copy the .json files here"
        )
    if not films:
        raise StudyError(f"{folder}: no film in it ({', '.join(sorted(shown))})")
    program = _labelme()
    if program is None:
        raise StudyError("labelme is not installed: pip install labelme, then try again")
    labels = ",".join(label.strip() for label in options.labels.split(",") if label.strip())
    if not _has_display():
        raise StudyError(
            "no display to open labelme on: annotate on a machine with a screen "
            f"(labelme {folder} --labels {labels} --validatelabel exact) and copy the .json files "
            "beside the films"
        )
    print(f"{len(films)} films; annotations are saved beside them. Close labelme to go on.")
    done = subprocess.run(
        [program, str(folder), "--labels", labels, "--validatelabel", "exact"], check=False
    )
    if done.returncode:
        raise StudyError(
            f"labelme ended with status {done.returncode}: start it by hand to see why"
        )


def _labelme() -> str | None:
    """The labelme program beside this Python, or else on the path."""
    beside = shutil.which("labelme", path=str(Path(sys.executable).parent))
    return beside or shutil.which("labelme")


def _has_display() -> bool:
    if not sys.platform.startswith("linux"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
