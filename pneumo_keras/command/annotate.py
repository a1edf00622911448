"""Open labelme, as a program of its own, on a folder of images."""

import os
import shutil
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

from pneumo_keras.dataset.images import IMAGE_SUFFIXES, is_image_file
from pneumo_keras.errors import StudyError


def annotate(options: Namespace) -> None:
    """Run `python -m pneumo_keras annotate DIR`, which accepts only the labels of the study.

    Raises:
        StudyError: if there is no such folder, no image in it, no labelme or no display.
    """
    folder = options.folder
    suffixes = {*IMAGE_SUFFIXES} - {".dcm"}
    files = [path for path in folder.rglob("*") if path.is_file()]
    images = [path for path in files if path.suffix.lower() in suffixes]
    if not images and any(is_image_file(path) for path in files):
        raise StudyError(
            f"{folder}: labelme opens no DICOM; save the images as PNG in another folder (dataset."
            "images: write_png(png, read_image(dicom))), annotate that, copy the .json files here"
        )
    if not images:
        raise StudyError(f"{folder}: no folder with images ({', '.join(sorted(suffixes))})")
    beside_python = shutil.which("labelme", path=str(Path(sys.executable).parent))
    program = beside_python or shutil.which("labelme")
    if program is None:
        raise StudyError("labelme is not installed: pip install labelme, then try again")
    labels = ",".join(label.strip() for label in options.labels.split(",") if label.strip())
    arguments = [str(folder), "--labels", labels, "--validatelabel", "exact"]
    has_screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not has_screen:
        raise StudyError(
            "no display to open labelme on: annotate on a machine with a screen "
            f"(labelme {' '.join(arguments)}) and copy the .json files beside the images"
        )
    print(f"{len(images)} images; annotations are saved beside them. Close labelme to go on.")
    if status := subprocess.call([program, *arguments]):
        raise StudyError(f"labelme ended with status {status}: start it by hand to see why")
