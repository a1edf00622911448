"""What a run answers to each item of the CLAIM checklist, and what it leaves open.

An answer is taken from `run.json`, the index of films, the split or the result tables, or it says
that it is open. Nothing is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from pneumo_keras.dataset.splits import PARTS, split_films
from pneumo_keras.errors import StudyError
from pneumo_keras.report.documents.cards import limits
from pneumo_keras.report.markdown import plain
from pneumo_keras.training.networks import NETWORKS

OPEN = "**OPEN: to be filled in by the authors:**"


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a run left behind, as far as the checklist asks for it.

    Attributes:
        source: what the films are, `phantoms` or the name of their folder.
        phantoms: whether they are phantoms.
        runs: `run.json` of each network, keyed as in `NETWORKS`.
        index: one row a film: `name`, `patient`, `group`, `target_share`.
        split: part by film name.
        refused: how many films were left out as unusable.
        results: the scores of the test films with their intervals, as they are printed.
        statistics: how intervals and tests were made, in a sentence or two; "" if they were not.
        robustness: which subgroups, seeds or settings were compared, and where; "" if none.
    """

    source: str
    phantoms: bool
    runs: dict[str, dict]
    index: pd.DataFrame
    split: pd.Series
    refused: int
    results: pd.DataFrame
    statistics: str = ""
    robustness: str = ""


def answers(evidence: Evidence) -> dict[int, str]:
    """The answer to each item, numbered 1 to 44, as Markdown without line breaks."""
    given = {
        **_introduction(evidence),
        **_data(evidence),
        **_reference(evidence),
        **_partitions(evidence),
        **_model(evidence),
        **_evaluation(evidence),
        **_results(evidence),
        **_discussion(evidence),
    }
    return {number: given[number] for number in sorted(given)}


def _run(evidence: Evidence) -> dict:
    return next(iter(evidence.runs.values()))


def _unless_phantoms(evidence: Evidence, phantoms: str, asked: str) -> str:
    """An answer that only phantoms allow; of real films the authors are asked."""
    return phantoms if evidence.phantoms else f"{OPEN} {asked}"


def _introduction(evidence: Evidence) -> dict[int, str]:
    networks = " and ".join(NETWORKS[key] for key in evidence.runs)
    target = plain(_run(evidence)["target"])
    return {
        1: f"{OPEN} title of the paper. The method is deep learning: semantic segmentation with "
        f"{networks}.",
        2: f"{OPEN} abstract.",
        3: f"Intended use: research and teaching, not diagnosis. {OPEN} scientific and clinical "
        "background.",
        4: f"To compare {networks} in marking {target} on chest films. {OPEN} hypotheses, and "
        "the difference that would matter.",
        5: _unless_phantoms(
            evidence,
            "Neither: the films are phantoms, of no patient.",
            "whether the films were collected before or for this study.",
        ),
        6: "Development and comparison of models; exploratory, no clinical evaluation.",
    }


def _data(evidence: Evidence) -> dict[int, str]:
    recipe = _run(evidence)["recipe"]
    refused = evidence.refused
    scaling = "0 to 1" if recipe["scaling"] == "unit" else "that of each pretrained backbone"
    augmented = "rotated, shifted, scaled and re-exposed" if recipe["augment"] else "not augmented"
    return {
        7: (
            f"Phantoms, drawn by pneumo\\_keras, seed {recipe['seed']}."
            if evidence.phantoms
            else f"Folder {plain(evidence.source)}. {OPEN} where, when and by whom the films "
            "were collected; licence; ethics approval."
        ),
        8: f"Every film with an annotation is included ({len(evidence.index)}); {refused} "
        f"left out as unusable{' (`data/masks/refused.csv`)' if refused else ''}."
        + ("" if evidence.phantoms else f" {OPEN} by which criteria films came into the folder."),
        9: f"Films resized to {recipe['size']}×{recipe['size']} pixels by area, masks by nearest "
        f"pixel; scaling in the model: {scaling}; training films {augmented}.",
        10: "None chosen: every usable film is in one of the parts.",
        11: _unless_phantoms(
            evidence,
            "Not applicable: phantoms show no patient.",
            "how films and file names were de-identified.",
        ),
        12: f"No film without a readable annotation is used; {refused} were left out. A film whose "
        "patient is not known counts as a patient of its own. No value is imputed.",
        13: _unless_phantoms(
            evidence,
            "Drawn, not acquired; `data/phantoms` holds their parameters.",
            "devices, projections, exposure, positioning.",
        ),
    }


def _reference(evidence: Evidence) -> dict[int, str]:
    target = plain(_run(evidence)["target"])
    drawn = "the program that drew the opacity outlined it"
    return {
        14: f"What is annotated as {target}, filled to a mask; a film without it has nothing "
        f"to find. {_unless_phantoms(evidence, f'Phantoms: {drawn}.', 'the readers’ instructions.')}",
        15: _unless_phantoms(
            evidence,
            "Phantoms: the outline is the drawing itself.",
            "why these outlines, and which alternatives exist.",
        ),
        16: _unless_phantoms(
            evidence,
            f"Phantoms: {drawn}; no reader.",
            "who outlined, how many, their qualification and training.",
        ),
        17: "By the same annotations as the other parts."
        + ("" if evidence.phantoms else f" {OPEN} whether test films had other or more readers."),
        18: _unless_phantoms(
            evidence,
            "Not applicable: phantoms have no reader.",
            "agreement between and within readers.",
        ),
    }


def _partitions(evidence: Evidence) -> dict[int, str]:
    recipe, films = _run(evidence)["recipe"], _run(evidence)["films"]
    counts = ", ".join(f"{films[part]} {part}" for part in PARTS)
    patients = evidence.index.groupby(evidence.index["name"].map(evidence.split))["patient"]
    of_part = {part: set(names) for part, names in patients}
    shared = len(of_part["test"] & (of_part["train"] | of_part["validation"]))
    return {
        19: f"{_assignment(evidence)}: {counts} films. `data/split.csv` lists every film.",
        20: f"By {recipe['split_by']}. {shared} of {len(of_part['test'])} patients tested on are "
        "also in training or validation, as far as the patients of films are known.",
        21: f"{films['test']} test films, those there were. {OPEN} intended sample size and how it "
        "was found.",
    }


def _assignment(evidence: Evidence) -> str:
    """How the films were split: as the recipe draws them, or by a split that was handed in."""
    recipe = _run(evidence)["recipe"]
    settings = {key: recipe[key] for key in ("split_by", "test_share", "validation_share", "seed")}
    try:
        drawn = split_films(evidence.index, **settings).to_dict()
    except StudyError:  # too few patients to draw any
        drawn = None
    if drawn != evidence.split.to_dict():
        return f"As a split given beforehand has it. {OPEN} how it was made"
    return (
        f"At random, seed {recipe['seed']}, {100 * recipe['test_share']:g} % to test and "
        f"{100 * recipe['validation_share']:g} % of the rest to validate"
    )


def _model(evidence: Evidence) -> dict[int, str]:
    runs = {NETWORKS[key]: run for key, run in evidence.runs.items()}
    run = _run(evidence)
    recipe = run["recipe"]
    versions = ", ".join(f"{plain(name)} {plain(one)}" for name, one in run["versions"].items())

    def each(words: str) -> str:
        return "; ".join(f"{name}: {words.format(**one)}" for name, one in runs.items())

    threshold = (
        "chosen on validation films"
        if recipe["threshold"] == "validation"
        else f"{recipe['threshold']}, set beforehand"
    )
    return {
        22: f"Table 1, Figures 1 and 2. {each('{parameters:,} parameters')}. Input: one film; "
        "output: a probability for each pixel.",
        23: f"Python {plain(run['python'])}, {versions}; {plain(run['device'])}, "
        f"{plain(run['system'])}.",
        24: f"{plain(each('{weights}'))}.",
        25: f"Table 1 and `run.json`: loss, optimizer, learning rate, schedule, epochs. "
        f"{each('{epochs_run} epochs in {seconds:.0f} s')}. One model of each network.",
        26: f"The epoch with the best validation Dice "
        f"({each('epoch {best_epoch}, {best_validation_dice:.3f}')}); threshold {threshold}.",
        27: "None.",
    }


def _evaluation(evidence: Evidence) -> dict[int, str]:
    return {
        28: "Those of the table below. Pooled values sum the pixels of all films; IoU and Dice per film are means "
        "over films with something to find, a missed one counting 0. What is marked on the others "
        "is reported apart.",
        29: plain(evidence.statistics) or f"{OPEN} intervals and tests; this run has none.",
        30: plain(evidence.robustness) or f"{OPEN} robustness; this run has one split, one seed.",
        31: "None used. Errors are shown on the films themselves.",
        32: f"On {_run(evidence)['films']['test']} test films, kept apart from training and "
        "choice of model, of the same source.",
        33: "None: no external films were tested on.",
        34: _unless_phantoms(
            evidence,
            "Not applicable: phantoms, no trial.",
            "registration, or why there is none.",
        ),
    }


def _results(evidence: Evidence) -> dict[int, str]:
    index = evidence.index
    part = index["name"].map(evidence.split)
    patients = ", ".join(f"{index.loc[part == name, 'patient'].nunique()} {name}" for name in PARTS)
    groups = "; ".join(
        f"{name}: "
        + ", ".join(
            f"{count} {plain(group)}" for group, count in films["group"].value_counts().items()
        )
        + f"; {int((films['target_share'] > 0).sum())} with target"
        for name, films in ((name, index[part == name]) for name in PARTS)
    )
    collapsed = [
        NETWORKS[key] for key, run in evidence.runs.items() if run["collapsed"] or run["diverged"]
    ]
    return {
        35: f"{len(index)} films of {index['patient'].nunique()} patients (patients by part: "
        f"{patients}); {evidence.refused} films left out.",
        36: f"Films by group: {groups}."
        + ("" if evidence.phantoms else f" {OPEN} age, sex, severity, devices."),
        37: "The table below." + ("" if evidence.statistics else f" {OPEN} its uncertainty."),
        38: f"{OPEN} diagnostic performance; the study segments, it does not diagnose.",
        39: "Worst, median and best films of each network, maps of errors, and every test film in "
        "the HTML report."
        + (f" Collapsed or diverged: {', '.join(collapsed)}." if collapsed else ""),
    }


def _discussion(evidence: Evidence) -> dict[int, str]:
    said = dict.fromkeys(
        limit for run in evidence.runs.values() for limit in limits(run, evidence.phantoms)
    )
    return {
        40: f"{' '.join(said)} {OPEN} further limits.",
        41: f"Research only, not for diagnosis. {OPEN} implications.",
        42: f"`run.json`, the executed notebooks and the code. {OPEN} protocol, if there is one.",
        43: "Software: pneumo\\_keras, MIT licence. Models: `data/models`. "
        + _unless_phantoms(
            evidence,
            "Data: the program draws the same phantoms again from their seed.",
            "availability of models and data.",
        ),
        44: f"{OPEN} funding.",
    }
