"""A study: which films, which target, which recipe, and where its files are.

Every notebook opens the same study and finds there what the one before it left.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pneumo_keras.dataset.files import write_json
from pneumo_keras.dataset.phantoms import write_phantoms
from pneumo_keras.errors import StudyError
from pneumo_keras.training.recipes import Recipe, choose_recipe

PHANTOMS = "phantoms"


@dataclass(frozen=True)
class Study:
    """One run of the study, and the places of its files.

    Attributes:
        data: folder of films and annotations.
        target: LabelMe label of what is segmented.
        labels: labels that may occur in the annotations, the target among them.
        recipe: every decision about the run.
        out: folder that everything is written below.
        source: what the films are, for captions: `phantoms`, or the name of the data folder.
        resume: whether trainings that were stopped go on, and finished ones are kept.
    """

    data: Path
    target: str
    labels: tuple[str, ...]
    recipe: Recipe
    out: Path
    source: str
    resume: bool = False

    @property
    def masks(self) -> Path:
        """Mask PNGs and their index (notebook 01)."""
        return self.out / "data" / "masks"

    @property
    def arrays(self) -> Path:
        """Resized films and masks (notebook 02)."""
        return self.out / "data" / "arrays"

    @property
    def split(self) -> Path:
        """The split as CSV (notebook 02), read if it is there already."""
        return self.out / "data" / "split.csv"

    @property
    def scores(self) -> Path:
        """Counts of pixels, film by film (notebook 05)."""
        return self.out / "data" / "scores"

    @property
    def predictions(self) -> Path:
        """Predicted masks and overlays at the films' own size (notebook 05)."""
        return self.out / "data" / "predictions"

    @property
    def figures(self) -> Path:
        """Figures with their captions, and tables."""
        return self.out / "figures"

    def model(self, network: str) -> Path:
        """The folder of a training (notebooks 03 and 04)."""
        return self.out / "data" / "models" / network

    def caption(self, split: pd.Series | None = None) -> str:
        """What a figure or table was made from: data, target, n and recipe.

        Args:
            split: part by film name; without it the number of films is left out.
        """
        parts = [self.source, f"target {self.target}"]
        if split is not None:
            n = split.value_counts()
            parts.append(
                f"{n['train']} training, {n['validation']} validation, {n['test']} test films"
            )
        return ", ".join([*parts, f"recipe {self.recipe.label}"])


def open_study(
    data: str,
    target: str,
    recipe: str,
    out: str,
    settings: dict | None = None,
    labels: str = "pneumonia, lung",
    resume: bool = False,
) -> Study:
    """Opens a study, drawing its phantoms where no data are given.

    Args:
        data: folder of films and LabelMe annotations; "" for phantoms.
        target: label of what is to be segmented.
        recipe: quick, paper or tuned.
        out: folder to write below; it may hold an earlier run of the same study, nothing else's.
        settings: changes to the recipe.
        labels: labels that may occur beside the target, separated by commas.
        resume: go on with trainings that were stopped, and keep finished ones, instead of
            training anew.

    Raises:
        StudyError: for a folder that is not there, an unknown recipe or setting, or an `out` that
            holds another study.

    Example:
        >>> from tempfile import mkdtemp
        >>> study = open_study("", "pneumonia", "quick", mkdtemp(), {"phantoms": 1})
        >>> study.source, sorted(path.name for path in study.data.iterdir())
        ('phantoms', ['PHANTOMS.txt', 'chest_xray', 'phantoms.json'])
    """
    if data and not Path(data).is_dir():
        raise StudyError(f"{data}: no such folder; --data takes a folder of films and annotations")
    chosen = choose_recipe(recipe, settings)
    study = _study(data, target, labels.split(","), chosen, Path(out), resume)
    _refuse_other_study(study)
    if not data:
        write_phantoms(study.data, study.recipe.phantoms, study.recipe.seed)
    return study


def keep_study(study: Study) -> None:
    """Notes in `data/study.json` which study the folder holds from now on.

    Called once the films have been read without complaint, so that a run that was refused leaves
    nothing behind.
    """
    write_json(study.out / "data" / "study.json", {**_identity(study), "resume": study.resume})


def load_study(out: str) -> Study:
    """The study that notebook 01 began in a folder.

    Args:
        out: the folder written below.

    Raises:
        StudyError: if none was begun there.
    """
    held = _held(Path(out))
    if held is None:
        raise StudyError(f"{out}: no study begun there; run notebook 01 first")
    recipe = dict(held["recipe"])
    chosen = choose_recipe(recipe.pop("name"), recipe)
    return _study(held["data"], held["target"], held["labels"], chosen, Path(out), held["resume"])


def _study(
    data: str, target: str, labels: list[str], recipe: Recipe, out: Path, resume: bool
) -> Study:
    folder = Path(data) if data else out / "data" / PHANTOMS
    declared = [label.strip().casefold() for label in (target, *labels) if label.strip()]
    if not target.strip():
        raise StudyError("target is empty: name the label to segment, such as pneumonia")
    return Study(
        data=folder,
        target=declared[0],
        labels=tuple(dict.fromkeys(declared)),
        recipe=recipe,
        out=out,
        source=folder.resolve().name,
        resume=resume,
    )


def _identity(study: Study) -> dict:
    drawn = study.data == study.out / "data" / PHANTOMS
    return {
        "data": "" if drawn else str(study.data.resolve()),
        "target": study.target,
        "labels": list(study.labels),
        "recipe": study.recipe.as_json(),
    }


def _held(out: Path) -> dict | None:
    """What `data/study.json` says, None where there is none."""
    path = out / "data" / "study.json"
    if not path.exists():
        return None
    try:
        held = json.loads(path.read_text("utf-8"))
        keys = ("data", "target", "labels", "recipe")
        return {key: held[key] for key in keys} | {"resume": held.get("resume", False)}
    except (ValueError, KeyError, TypeError):
        raise StudyError(f"{path}: not readable; delete it if the folder is no study") from None


def _refuse_other_study(study: Study) -> None:
    held = _held(study.out)
    differing = [key for key, value in _identity(study).items() if held and held[key] != value]
    if differing:
        raise StudyError(
            f"{study.out} holds a study of other {', '.join(differing)}: name another folder with "
            f"--out (in a notebook: out), or delete {study.out / 'data'} to begin anew"
        )
