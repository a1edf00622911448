"""Phantoms on disk, in the layout of the Kermany set, annotated as with LabelMe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count as count_from
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from pneumo_keras.dataset.files import write_whole
from pneumo_keras.dataset.labelme import Shape, write_annotation
from pneumo_keras.dataset.phantoms.phantom import KINDS, Phantom, draw_phantom
from pneumo_keras.errors import StudyError

VERSION = 1  # of the generator: the same version and seed give the same films
RECORD = "phantoms.json"
NOTE = "PHANTOMS.txt"
NOTE_TEXT = """\
The films in this folder are phantoms: synthetic radiographs that a program has drawn.
They show no person, and nothing measured on them says anything about patients.
Their names and folders follow the Kermany chest film set so that they take the way of real data.
"""
SHARES = (0.45, 0.30, 0.25)  # of bacteria, virus, normal among the films
FILMS = (1, 2, 3, 4)  # of one patient, as often as
FILMS_WEIGHTS = (0.74, 0.15, 0.07, 0.04)
JPEG_QUALITY = 90
MANY = 100  # films; about as long to draw as it takes to start the processes


@dataclass(frozen=True)
class PlannedFilm:
    """A film yet to be drawn: whose it is, and where it goes within the folder."""

    seed: int
    kind: str
    film: int
    path: Path


def plan(seed: int) -> Iterator[PlannedFilm]:
    """The endless list of films of a seed; how many are taken changes none of them."""
    films_of_kind = dict.fromkeys(KINDS, 0)
    for patient in count_from(1):
        rng = np.random.default_rng([seed, patient])
        kind = str(rng.choice(KINDS, p=SHARES))
        second_series = bool(rng.random() < 0.5)
        patient_seed = int(rng.integers(2**32))
        for film in range(int(rng.choice(FILMS, p=FILMS_WEIGHTS))):
            films_of_kind[kind] += 1
            if kind == "normal":
                series = "NORMAL2-IM" if second_series else "IM"
                name = f"NORMAL/{series}-{patient:04d}-{film + 1:04d}.jpeg"
            else:
                name = f"PNEUMONIA/person{patient}_{kind}_{films_of_kind[kind]}.jpeg"
            yield PlannedFilm(patient_seed, kind, film, Path("chest_xray/train") / name)


def outlines(region: np.ndarray, tolerance: float = 0.8) -> list[np.ndarray]:
    """The outer contours of a region, simplified to as many points as a hand would set.

    Args:
        region: bool (H, W).
        tolerance: largest distance of the simplified from the true contour, pixels.

    Returns:
        Arrays (N, 2) of x, y, N >= 3; the last point does not repeat the first.

    Example:
        >>> square = np.zeros((9, 9), bool)
        >>> square[2:7, 2:7] = True
        >>> sorted(map(tuple, outlines(square)[0].tolist()))
        [(2.0, 2.0), (2.0, 6.0), (6.0, 2.0), (6.0, 6.0)]
    """
    contours, _ = cv2.findContours(
        region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    fine = [cv2.approxPolyDP(contour, tolerance, True)[:, 0].astype(float) for contour in contours]
    return [points for points in fine if len(points) >= 3]


def shapes_of(phantom: Phantom, polyline: bool) -> list[Shape]:
    """The LabelMe shapes of a phantom: its lungs, and its pneumonia as polygon or polyline."""
    drawn = "linestrip" if polyline else "polygon"
    lungs = [Shape("lung", "polygon", points) for points in outlines(phantom.lungs)]
    return lungs + [Shape("pneumonia", drawn, points) for points in outlines(phantom.opacity)]


def _check_folder(folder: Path, record: dict[str, int]) -> bool:
    """Whether the folder already holds phantoms of this record; raises if it is not free."""
    if folder.exists() and not folder.is_dir():
        raise StudyError(f"{folder} is a file: name a folder for the phantoms")
    try:
        held = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        if folder.is_dir() and any(not entry.name.startswith(".") for entry in folder.iterdir()):
            raise StudyError(
                f"{folder} holds other files: choose a new or empty folder for the phantoms"
            ) from None
        return False
    except ValueError:
        held = None
    if held != record:
        raise StudyError(
            f"{folder / RECORD} is of other phantoms (not {record}): choose another folder, "
            "or delete this one"
        )
    return True


def write_phantoms(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """Write synthetic films and their LabelMe annotations, as a user's own data would be.

    About 45 % of the films are of bacterial and 30 % of viral pneumonia, 25 % are normal; one
    patient in four has two to four films. In a third of the annotated films the pneumonia is
    drawn as polylines, else as polygons; both lungs are polygons. A normal film has no
    pneumonia shape. Film number i of a seed is the same whatever `count` is. Where the folder
    holds these very phantoms already, only what is missing is drawn.

    Args:
        folder: a new or empty folder, or one that an earlier call has written.
        count: number of films, at least 1.
        seed: not negative; the same seed gives the same films.

    Returns:
        The films' paths, `folder/chest_xray/train/{NORMAL,PNEUMONIA}/*.jpeg`, in order of
        drawing; beside each lies its annotation, of the same name with the suffix .json.

    Raises:
        StudyError: if the folder holds anything else, or if `count` or `seed` is too small.

    Example:
        >>> import tempfile
        >>> films = write_phantoms(Path(tempfile.mkdtemp()), count=1)
        >>> films[0].with_suffix(".json").exists()
        True
    """
    folder = Path(folder)
    if count < 1 or seed < 0:
        raise StudyError(f"phantoms: count {count}, seed {seed}: use a count from 1, a seed from 0")
    record = {"generator": VERSION, "seed": seed, "count": count}
    planned = list(islice(plan(seed), count))
    if not _check_folder(folder, record):
        write_whole(folder / RECORD, (json.dumps(record) + "\n").encode())
        write_whole(folder / NOTE, NOTE_TEXT.encode())
    missing = [film for film in planned if not _is_written(folder / film.path)]
    with _pool(len(missing)) as pool:
        paths = [folder / film.path for film in missing]
        written = pool.map(_write_film, paths, missing)
        for _ in tqdm(written, "phantoms", len(missing), unit="film", leave=False):
            pass
    return [folder / film.path for film in planned]


def _pool(films: int) -> Executor:
    """Processes where there is enough to draw to pay for their start, else one thread.

    They are spawned, not forked: a fork of a process that runs TensorFlow may hang.
    """
    if films < MANY:
        return ThreadPoolExecutor(1)
    return ProcessPoolExecutor(
        mp_context=get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)
    )


def _is_written(path: Path) -> bool:
    return path.exists() and path.with_suffix(".json").exists()


def _write_film(path: Path, planned: PlannedFilm) -> None:
    annotation = path.with_suffix(".json")
    phantom = draw_phantom(planned.seed, planned.kind, planned.film)
    if not path.exists():
        _, jpeg = cv2.imencode(".jpeg", phantom.film, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        write_whole(path, jpeg.tobytes())
    if not annotation.exists():
        shapes = shapes_of(phantom, polyline=(planned.seed + planned.film) % 3 == 0)
        write_annotation(annotation, path.name, shapes, *phantom.film.shape)
