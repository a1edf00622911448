"""Phantoms on disk, laid out like the Kermany set and annotated as with LabelMe."""

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import count as numbers
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from pneumo_keras.dataset.labelme import write_annotation
from pneumo_keras.dataset.phantoms.phantom import KINDS, draw_phantom
from pneumo_keras.dataset.shapes import Shape
from pneumo_keras.errors import StudyError
from pneumo_keras.files import write_bytes
from pneumo_keras.progress import progress_bar

VERSION = 2  # of the generator: the same version and seed give the same images
RECORD = "phantoms.json"
NOTE = """\
The images in this folder are phantoms: synthetic chest X-rays drawn by a program.
They show no person, and nothing measured on them says anything about patients.
File names and folders follow the Kermany chest X-ray set, so that they are read like real data.
"""
SHARES = (0.45, 0.30, 0.25)  # of bacteria, virus and normal among the patients
IMAGES, WEIGHTS = (1, 2, 3, 4), (0.74, 0.15, 0.07, 0.04)  # images per patient, and how often
JPEG_QUALITY = 90
TOLERANCE = 0.8  # pixels by which an annotation may differ from the exact outline
MANY = 100  # drawing so many images takes about as long as starting worker processes


def write_phantoms(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """Write synthetic images and their LabelMe annotations, like a user's own data.

    About 45 % of the patients have bacterial and 30 % viral pneumonia, 25 % are normal; one
    patient in four has two to four images. In a third of the annotated images the pneumonia is
    drawn as polylines, otherwise as polygons; both lungs are polygons. A normal image has no
    pneumonia shape. Image number i of a seed does not depend on `count`. If the folder holds the
    same phantoms already, only missing files are written.

    Returns:
        Paths of the images, `folder/chest_xray/train/{NORMAL,PNEUMONIA}/*.jpeg`, in the order of
        drawing; each has its annotation beside it, with the suffix .json.

    Raises:
        StudyError: if the folder holds anything else, `count` is 0 or `seed` negative.

    Example:
        >>> import tempfile
        >>> images = write_phantoms(Path(tempfile.mkdtemp()), count=1)
        >>> images[0].with_suffix(".json").exists()
        True
    """
    folder = Path(folder)
    if count < 1 or seed < 0:
        raise StudyError(f"phantoms: count={count}, seed={seed}: use a count from 1, a seed from 0")
    _write_record(folder, json.dumps({"generator": VERSION, "seed": seed, "count": count}))
    planned = {folder / path: phantom for path, phantom in islice(_plan(seed), count)}
    missing = [p for p in planned if not (p.exists() and p.with_suffix(".json").exists())]
    if len(missing) < MANY:
        pool = ThreadPoolExecutor(1)
    else:
        spawn = get_context("spawn")  # a fork of a process that runs TensorFlow may hang
        pool = ProcessPoolExecutor(None, spawn, initializer=cv2.setNumThreads, initargs=(1,))
    with pool:
        written = pool.map(_write_image, missing, [planned[path] for path in missing])
        for _ in progress_bar(written, "phantoms", len(missing)):
            pass
    return list(planned)


def _plan(seed: int) -> Iterator[tuple[Path, tuple[int, str, int]]]:
    """Paths and arguments of `draw_phantom`, endless; the first ones do not depend on the rest."""
    images_of_kind = dict.fromkeys(KINDS, 0)
    for patient in numbers(1):
        rng = np.random.default_rng([seed, patient])
        kind = str(rng.choice(KINDS, p=SHARES))
        second_series = bool(rng.random() < 0.5)
        patient_seed = int(rng.integers(2**32))
        for number in range(int(rng.choice(IMAGES, p=WEIGHTS))):
            images_of_kind[kind] += 1
            if kind == "normal":
                series = "NORMAL2-IM" if second_series else "IM"
                name = f"NORMAL/{series}-{patient:04d}-{number + 1:04d}.jpeg"
            else:
                name = f"PNEUMONIA/person{patient}_{kind}_{images_of_kind[kind]}.jpeg"
            yield Path("chest_xray/train") / name, (patient_seed, kind, number)


def _write_record(folder: Path, record: str) -> None:
    """Record the phantoms of a folder, unless it has the same record; refuse any other content."""
    path = folder / RECORD
    if path.is_file():
        if path.read_text("utf-8", "replace").strip() == record:
            return
        way_out = "choose another folder, or delete this one"
        raise StudyError(f"{path} belongs to other phantoms (not {record}): {way_out}")
    held = folder.iterdir() if folder.is_dir() else [folder] * folder.exists()
    if any(not entry.name.startswith(".") for entry in held):
        way_out = "choose a new or empty folder for phantoms"
        raise StudyError(f"{folder} is a file or holds other files: {way_out}")
    write_bytes(path, f"{record}\n".encode())
    write_bytes(folder / "PHANTOMS.txt", NOTE.encode())


def _write_image(path: Path, planned: tuple[int, str, int]) -> None:
    seed, _, number = planned
    phantom = draw_phantom(*planned)
    if not path.exists():
        _, jpeg = cv2.imencode(".jpeg", phantom.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        write_bytes(path, jpeg.tobytes())
    annotation = path.with_suffix(".json")
    if annotation.exists():
        return
    drawn = "linestrip" if (seed + number) % 3 == 0 else "polygon"
    shapes = []
    for label, shape_type, region in (
        ("lung", "polygon", phantom.lungs),
        ("pneumonia", drawn, phantom.opacity),
    ):
        pixels = region.astype(np.uint8)
        for contour in cv2.findContours(pixels, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]:
            points = cv2.approxPolyDP(contour, TOLERANCE, True)[:, 0].astype(float)
            if len(points) >= 3:
                shapes.append(Shape(label, shape_type, points))
    write_annotation(annotation, path.name, shapes, *phantom.image.shape)
