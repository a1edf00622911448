"""A study: its images, target and recipe, the folder of its files, and the trainings it compares.

Every notebook opens the same study and finds there what the one before it wrote.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from pneumo_keras.config import NETWORKS, Recipe, choose_recipe
from pneumo_keras.errors import StudyError
from pneumo_keras.files import write_bytes, write_json
from pneumo_keras.variants import variants

PHANTOMS = "phantoms"
POINTER = "current_study.txt"  # where notebook 01 tells the others which folder it wrote to


@dataclass(frozen=True)
class Study:
    """One run of the study, and the places of its files.

    Attributes:
        data: folder of images and annotations.
        target: label of what is segmented.
        labels: labels that may occur in the annotations, the target among them.
        recipe: every decision about the run.
        out: folder that everything is written below.
        title: what the images are, for captions: `phantoms`, or the name of the data folder.
        layout: how the images are laid out, a key of `layouts.LAYOUTS`, or `auto`.
        normals: whether images of class normal without annotation count as empty references.
        resume: whether stopped trainings continue, and finished ones are kept.
        vary: values of settings of which every combination is trained, see `variants`.
    """

    data: Path
    target: str
    labels: tuple[str, ...]
    recipe: Recipe
    out: Path
    title: str
    layout: str = "auto"
    normals: bool = False
    resume: bool = False
    vary: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_phantoms(self) -> bool:
        """Whether the images are phantoms, drawn by this package."""
        return self.data == self.out / "data" / PHANTOMS

    @property
    def masks(self) -> Path:
        """Mask PNGs and their index (notebook 01)."""
        return self.out / "data" / "masks"

    @property
    def arrays(self) -> Path:
        """Resized images and masks (notebook 02)."""
        return self.out / "data" / "arrays"

    @property
    def split(self) -> Path:
        """The split as CSV (notebook 02), read if it is already there."""
        return self.out / "data" / "split.csv"

    @property
    def scores(self) -> Path:
        """Scores per image (notebook 05)."""
        return self.out / "data" / "scores"

    @property
    def predictions(self) -> Path:
        """Predicted masks and overlays at the images' own size (notebook 05)."""
        return self.out / "data" / "predictions"

    @property
    def report(self) -> Path:
        """The HTML report (notebook 05)."""
        return self.out / "data" / "report.html"

    @property
    def figures(self) -> Path:
        """Figures with their captions, and tables."""
        return self.out / "figures"

    def model(self, key: str) -> Path:
        """The folder of a training: a network, or the key of a variant (notebooks 03 and 04)."""
        return self.out / "data" / "models" / key

    def caption(self, split: pd.Series | None = None) -> str:
        """What a figure or table was made from: data, target, n and recipe.

        Args:
            split: part by image name; without it the numbers of images are left out.
        """
        parts = [self.title, f"target {self.target}"]
        if split is not None:
            n = split.value_counts()
            parts.append(
                f"{n['train']} training, {n['validation']} validation, {n['test']} test images"
            )
        return ", ".join([*parts, f"recipe {self.recipe.label}"])


def begin_study(
    data: str,
    target: str,
    recipe: str,
    out: str,
    settings: dict | None = None,
    labels: str = "pneumonia, lung",
    layout: str = "auto",
    normals: bool = False,
    resume: bool = False,
    vary: Mapping[str, tuple[str, ...]] | None = None,
) -> Study:
    """Begin a study, or begin it again; nothing is written.

    Args:
        data: folder of images and annotations or masks; "" for phantoms.
        target: label of what is to be segmented.
        recipe: quick, paper or tuned.
        out: folder to write below; it may hold an earlier run of the same study, of no other.
        settings: changes to the recipe.
        labels: labels that may occur beside the target, separated by commas.
        layout: how the data are laid out, a key of `layouts.LAYOUTS`, or `auto` to recognise it.
        normals: whether images of class normal without annotation count as empty references.
        resume: continue stopped trainings and keep finished ones, instead of training anew.
        vary: values of settings of which every combination is trained.

    Raises:
        StudyError: for a folder that does not exist, an unknown recipe or setting, or an `out`
            that holds another study.
    """
    if data and not Path(data).is_dir():
        raise StudyError(f"{data}: no such folder; --data takes a folder of images and annotations")
    study = _study(
        data=data,
        target=target,
        labels=labels.split(","),
        recipe=choose_recipe(recipe, settings),
        out=Path(out),
        layout=layout,
        normals=normals,
        resume=resume,
        vary={key: tuple(map(str, values)) for key, values in (vary or {}).items()},
    )
    for network in NETWORKS:
        variants(network, study.recipe, study.vary)  # refuses what cannot be trained
    held = _held(study.out)
    other = [key for key, value in _identity(study).items() if held and held[key] != value]
    if other:
        raise StudyError(
            f"{study.out} holds a study of other {', '.join(other)}: name another folder with "
            f"--out (in a notebook: out), or delete {study.out / 'data'} to begin anew"
        )
    return study


def save_study(study: Study) -> None:
    """Record which study the folder holds, and tell the notebooks beside this one where it is.

    Writes `data/study.json` in the study's folder, and `current_study.txt` in the current one.
    """
    vary = {key: list(values) for key, values in study.vary.items()}
    document = {**_identity(study), "resume": study.resume, "vary": vary}
    write_json(study.out / "data" / "study.json", document)
    write_bytes(POINTER, f"{study.out.resolve()}\n".encode())


def load_study(out: str = "") -> Study:
    """Open the study that notebook 01 began.

    Args:
        out: its folder; by default the one that notebook 01 began last in the current folder.

    Raises:
        StudyError: if there is none, or its record is damaged.
    """
    if not out:
        try:
            out = Path(POINTER).read_text("utf-8").strip()
        except OSError:
            raise StudyError("no study begun here: run notebook 01 first") from None
    held = _held(Path(out))
    if held is None:
        raise StudyError(f"{out}: no study begun there; run notebook 01 first")
    recipe = dict(held.pop("recipe"))
    held["vary"] = {key: tuple(values) for key, values in held["vary"].items()}
    return _study(recipe=choose_recipe(recipe.pop("name"), recipe), out=Path(out), **held)


def _study(data: str, target: str, labels: list[str], out: Path, **others) -> Study:
    folder = Path(data) if data else out / "data" / PHANTOMS
    declared = [label.strip().casefold() for label in (target, *labels) if label.strip()]
    if not target.strip():
        raise StudyError("target is empty: name the label to segment, such as pneumonia")
    names = tuple(dict.fromkeys(declared))
    return Study(folder, declared[0], names, out=out, title=folder.resolve().name, **others)


def _identity(study: Study) -> dict:
    """What makes it another study: everything but `resume` and `vary`."""
    return {
        "data": "" if study.is_phantoms else str(study.data.resolve()),
        "target": study.target,
        "labels": list(study.labels),
        "recipe": study.recipe.as_json(),
        "layout": study.layout,
        "normals": study.normals,
    }


def _held(out: Path) -> dict | None:
    """What `data/study.json` says, None where there is none."""
    path = out / "data" / "study.json"
    if not path.exists():
        return None
    try:
        held = json.loads(path.read_text("utf-8"))
        keys = ("data", "target", "labels", "recipe", "layout", "normals", "resume", "vary")
        return {key: held[key] for key in keys}
    except (ValueError, KeyError, TypeError):
        raise StudyError(f"{path}: not readable; delete it if the folder is no study") from None
