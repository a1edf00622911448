"""Model cards and the CLAIM 2024 checklist, from a study's own files; the text is in templates.

What a run cannot know is marked as open in the checklist; nothing is guessed.

References:
    Mitchell et al., Model Cards for Model Reporting, FAT* 2019, arXiv 1810.03993.
    Tejani et al., Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 Update,
    Radiology: Artificial Intelligence 2024;6(4):e240300, doi 10.1148/ryai.240300.
"""

import hashlib
import re
from pathlib import Path

import pandas as pd

from pneumo_keras.config import NETWORKS
from pneumo_keras.dataset.masks import read_mask_index
from pneumo_keras.dataset.splits import PARTS, split_images
from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.intervals import RESAMPLES
from pneumo_keras.files import write_bytes
from pneumo_keras.report.conclusion import Findings
from pneumo_keras.report.results import parameter_table, readable
from pneumo_keras.report.tables import markdown_table
from pneumo_keras.report.templates import render
from pneumo_keras.runs import status
from pneumo_keras.study import Study

OPEN = "**OPEN: to be filled in by the authors:**"


def write_cards(study: Study, findings: Findings) -> list[Path]:
    """Write `MODEL_CARD.md` beside the model of each network, and return the paths.

    Raises:
        StudyError: if a model is missing or a card cannot be written.
    """
    results = readable(findings.table_2).set_index("Architecture")
    paths = []
    for key, name in NETWORKS.items():
        run, model = findings.runs[key], study.model(key) / "best.keras"
        if not model.is_file():
            raise StudyError(f"{model}: no such model; train it with notebooks 03 and 04")
        scores = results.loc[name].rename_axis("Score").rename("Value").reset_index()
        card = render(
            "model_card.md",
            run=run,
            network=name,
            status=status(run),
            source=study.title,
            phantoms=study.is_phantoms,
            digest=hashlib.sha256(model.read_bytes()).hexdigest(),
            parameters=markdown_table(parameter_table({key: run})),
            scores=markdown_table(scores),
            conclusion=findings.conclusion,
            limits=_limits(study, run),
        )
        paths.append(model.with_name("MODEL_CARD.md"))
        write_bytes(paths[-1], card.encode())
    return paths


def _limits(study: Study, run: dict) -> list[str]:
    text = render("limits.md", run=run, status=status(run), phantoms=study.is_phantoms)
    return [line for line in text.splitlines() if line]


def write_checklist(study: Study, findings: Findings, split: pd.Series) -> dict[str, int]:
    """Write the CLAIM checklist, `claim.md` among the figures, and count its answers.

    The index of masks and the list of refused images are read; `split` is the part by image name.
    """
    index = read_mask_index(study.masks)
    refused = study.masks / "refused.csv"
    runs = {NETWORKS[key]: run for key, run in findings.runs.items()}
    run = next(iter(runs.values()))
    limits = [limit for one in runs.values() for limit in _limits(study, one)]
    parts = {part: index[index["name"].map(split) == part] for part in PARTS}
    patients = {part: set(images["patient"]) for part, images in parts.items()}
    text = render(
        "claim.md",
        OPEN=OPEN,
        source=study.title,
        phantoms=study.is_phantoms,
        runs=runs,
        run=run,
        recipe=run["recipe"],
        statuses={name: status(one) for name, one in runs.items()},
        index=index,
        parts=parts,
        patients=patients,
        shared=len(patients["test"] & (patients["train"] | patients["validation"])),
        refused=len(pd.read_csv(refused)) if refused.exists() else 0,
        drawn=_is_drawn(index, split, run["recipe"]),
        resamples=RESAMPLES,
        variations=list(findings.variations),
        limits=list(dict.fromkeys(limits)),
        results=markdown_table(readable(findings.table_2)),
        count=count_answers,
    )
    write_bytes(study.figures / "claim.md", text.encode())
    return count_answers(text)


def count_answers(checklist: str) -> dict[str, int]:
    """Count the items of a checklist, `| number | item | answer |`, by how they are answered.

    Example:
        >>> count_answers(f"| 1 | Title | Yes. |\\n| 2 | Aims | Partly. {OPEN} the rest |\\n")
        {'answered': 1, 'part': 1, 'open': 0}
    """
    answers = re.findall(r"^\| \d+ \| .*? \| (.*) \|$", checklist, re.MULTILINE)
    opened = sum(answer.startswith(OPEN) for answer in answers)
    answered = sum(OPEN not in answer for answer in answers)
    return {"answered": answered, "part": len(answers) - answered - opened, "open": opened}


def _is_drawn(index: pd.DataFrame, split: pd.Series, recipe: dict) -> bool:
    """Whether the split is the one that the recipe draws, and not one given beforehand."""
    settings = ("split_by", "test_share", "validation_share", "seed")
    try:
        drawn = split_images(index, **{key: recipe[key] for key in settings})
    except StudyError:  # too few patients to draw any
        return False
    return drawn.to_dict() == split.to_dict()
