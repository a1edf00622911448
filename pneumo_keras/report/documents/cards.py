"""A model card for each saved model: what it is, on what it was measured, what it is not for.

Sections after Mitchell et al., Model Cards for Model Reporting (FAT* 2019, arXiv 1810.03993).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd

from pneumo_keras.dataset.files import write_whole
from pneumo_keras.errors import StudyError
from pneumo_keras.report.markdown import markdown_table, plain
from pneumo_keras.report.tables import parameter_table
from pneumo_keras.training.networks import NETWORKS

NAME = "MODEL_CARD.md"
WARNING = "**Research only. Not a medical device, not for diagnosis.**"
PHANTOMS = (
    "The films are **phantoms**: drawn by a program, of no patient. The scores show that the "
    "study works; they say nothing about patients."
)


def write_model_card(
    folder: Path, run: dict, source: str, phantoms: bool, scores: pd.DataFrame
) -> Path:
    """Writes `MODEL_CARD.md` beside a saved model.

    Args:
        folder: of the training, with `best.keras`.
        run: its `run.json`.
        source: what the films are, `phantoms` or the name of their folder.
        phantoms: whether they are phantoms.
        scores: of this network on the test films, with intervals; a row a score.

    Returns:
        Where it was written.

    Raises:
        StudyError: if the model is not there.
    """
    model = Path(folder) / "best.keras"
    if not model.is_file():
        raise StudyError(f"{model}: no such model; notebooks 03 and 04 train it")
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    path = Path(folder) / NAME
    write_whole(path, model_card(run, source, phantoms, scores, digest).encode())
    return path


def model_card(run: dict, source: str, phantoms: bool, scores: pd.DataFrame, digest: str) -> str:
    """The model card as Markdown.

    Args:
        run, source, phantoms, scores: see `write_model_card`.
        digest: SHA-256 of the model's file, in hexadecimal.
    """
    network, recipe = NETWORKS[run["network"]], run["recipe"]
    target, size = plain(run["target"]), recipe["size"]
    films = run["films"]
    data = (
        PHANTOMS
        if phantoms
        else (
            "Whose films they are, how they were acquired and who outlined them is not recorded "
            "here; see the data's own documentation."
        )
    )
    sections = {
        "What it is": (
            f"{network}, trained to mark {target} in frontal chest films. It takes a grey film, "
            f"0 to 255, resized to {size}×{size} pixels, and gives each pixel a probability; what "
            f"reaches {run['threshold']:g} is marked. File `best.keras`, SHA-256 `{digest}`. "
            f"Made by pneumo_keras {plain(run['versions']['pneumo_keras'])}."
        ),
        "Intended use": (
            f"{WARNING} For comparing segmentation methods, for teaching, and for drafting outlines "
            "that a qualified reader corrects. Not for deciding about a patient, not for triage, "
            "not for measuring the course of a disease."
        ),
        "Data": (
            f"Films: {plain(source)}. {films['train']} trained on, {films['validation']} "
            f"validated on, {films['test']} tested on; split by {recipe['split_by']}, "
            f"seed {recipe['seed']}. {data}"
        ),
        "Training": (
            markdown_table(parameter_table({run["network"]: run}))
            + f"\n\n{run['seconds']:.0f} s on {plain(run['device'])} ({plain(run['system'])}), "
            f"Python {plain(run['python'])}, Keras {plain(run['versions']['keras'])} on "
            f"{plain(run['backend'])}. All settings are in `run.json`."
        ),
        f"Scores on the {films['test']} test films": (
            markdown_table(scores)
            + "\n\nIoU and Dice per film are means over films with something to find; a film on "
            "which nothing was found counts 0. Pooled values sum the pixels of all films."
        ),
        "Limits": "\n".join(f"- {limit}" for limit in limits(run, phantoms)),
    }
    body = "\n\n".join(f"## {head}\n\n{text}" for head, text in sections.items())
    return f"# Model card: {network}, {target}\n\n{WARNING}\n\n{body}\n"


def limits(run: dict, phantoms: bool) -> list[str]:
    """What a reader must know before trusting a model, as far as its run tells.

    Args:
        run: its `run.json`.
        phantoms: whether the films are phantoms.

    Returns:
        Sentences.
    """
    recipe = run["recipe"]
    said = []
    if run["diverged"]:
        said.append("**The training diverged: the loss is not a number. Do not use this model.**")
    if run["collapsed"]:
        said.append("**The model marks the same on every film. Do not use this model.**")
    said.append(
        "Trained and tested on phantoms only: nothing is known of it on films of patients."
        if phantoms
        else "Tested on films of the same source as it was trained on; not on external data."
    )
    if recipe["split_by"] == "image":
        said.append(
            "The split is by image: films of one patient may be on both sides, which flatters "
            "the scores."
        )
    if run["weights"].startswith("random"):
        said.append("Trained from random weights, not from pretrained ones.")
    if recipe["width"] != 1:
        said.append(f"Channels cut to {recipe['width']:g} of the published network's.")
    said += [
        f"At {recipe['size']}×{recipe['size']} pixels, small and faint opacities may be lost.",
        "Its probabilities are of pixels and are given as the network makes them, not recalibrated.",
        f"One training, seed {recipe['seed']}: another seed gives another model.",
    ]
    return said
