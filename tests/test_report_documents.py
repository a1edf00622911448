"""Model cards and the CLAIM checklist: from the run's own files, and open where they are silent."""

import dataclasses
import hashlib
import re

import pandas as pd
import pytest
from report_study import make_study

from pneumo_keras.config import PAPER, QUICK, change
from pneumo_keras.dataset.splits import split_images
from pneumo_keras.errors import StudyError
from pneumo_keras.report.documents import OPEN, count_answers, write_cards, write_checklist


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("phantoms"))


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("real"), real="lungs <b>|x")


def answers(made, findings=None, split=None) -> dict[int, str]:
    """The answers of the checklist by number."""
    split = made.split if split is None else split
    write_checklist(made.study, findings or made.findings, split)
    text = (made.study.figures / "claim.md").read_text("utf-8")
    found = re.findall(r"^\| (\d+) \| [^|]+ \| (.+) \|$", text, re.MULTILINE)
    return {int(number): answer for number, answer in found}


def with_changes(made, **changes):
    """The findings of a study with changes to both `run.json`."""
    runs = {network: run | changes for network, run in made.findings.runs.items()}
    return dataclasses.replace(made.findings, runs=runs)


def test_card_has_data_scores_conclusion_and_digest(phantoms):
    paths = write_cards(phantoms.study, phantoms.findings)
    assert paths[1] == phantoms.study.model("deeplabv3") / "MODEL_CARD.md"
    card = paths[0].read_text("utf-8")
    assert hashlib.sha256(b"weights").hexdigest() in card
    dice = phantoms.findings.scores["SegNet"]["dice"].mean()
    for said in (
        "# Model card: SegNet, pneumonia",
        "not for diagnosis",
        "phantoms",
        "2 for training, 2 for validation, 4 for testing; split by patient, seed 1",
        "0.003, cosine",
        f"| Dice per image | {dice:.3f} ",
        "Trained from random weights",
        "171 s on CPU, 2 cores",
        "Warning: SegNet is no better than the best baseline",
    ):
        assert said in " ".join(card.split()), said
    assert "Do not use this model" not in card


def test_card_without_its_model_is_refused(phantoms, tmp_path):
    study = dataclasses.replace(phantoms.study, out=tmp_path)
    with pytest.raises(StudyError, match=r"segnet.best\.keras"):
        write_cards(study, phantoms.findings)
    assert list(tmp_path.iterdir()) == []


def test_card_of_real_images_does_not_mention_phantoms_and_is_escaped(real):
    card = write_cards(real.study, real.findings)[0].read_text("utf-8")
    assert "phantom" not in card.casefold() and "not on external data" in card
    assert r"lungs \<b\>\|x" in card and "<b>" not in card


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"diverged": True}, "Do not use this model"),
        ({"recipe": PAPER.as_json()}, "The split is by image"),
    ],
)
def test_failed_runs_and_leaking_splits_are_said(phantoms, changes, said):
    findings = with_changes(phantoms, **changes)
    assert said in write_cards(phantoms.study, findings)[0].read_text("utf-8")
    assert answers(phantoms, findings)[40].count(said) == 1
    assert said not in answers(phantoms)[40]


def test_checklist_has_all_44_items_and_counts_them(real):
    counts = write_checklist(real.study, real.findings, real.split)
    text = (real.study.figures / "claim.md").read_text("utf-8")
    items = answers(real)
    assert list(items) == list(range(1, 45)) and all(items.values())
    opened = sum(answer.startswith(OPEN) for answer in items.values())
    assert counts == count_answers(text) and sum(counts.values()) == 44
    assert counts["open"] == opened and counts["answered"] == 44 - text.count(OPEN)
    assert f"{counts['answered']} in full and {counts['part']} in part; {opened} are open" in text
    assert "10.1148/ryai.240300" in text and "| SegNet |" in text


def test_checklist_of_real_images_invents_nothing(phantoms, real):
    given = answers(real)
    # Provenance, ethics, readers, demography, trial, availability, funding: the run knows none.
    for number in (1, 2, 5, 11, 13, 15, 16, 18, 34, 38, 44):
        assert given[number].startswith(OPEN), number
    for number in (3, 4, 7, 8, 14, 17, 21, 36, 40, 41, 42, 43):
        assert OPEN in given[number], number
    assert not any("phantom" in answer.casefold() for answer in given.values())
    given = answers(phantoms)
    assert [number for number, one in given.items() if one.startswith(OPEN)] == [1, 2, 38, 44]


def test_checklist_counts_images_patients_and_groups_by_part(tmp_path):
    made = make_study(tmp_path)
    pd.DataFrame({"name": ["x", "y", "z"]}).to_csv(made.study.masks / "refused.csv", index=False)
    given = answers(made)
    said = "8 images of 4 patients (patients by part: 1 train, 1 validation, 2 test); 3"
    assert said in given[35]
    assert "train: 2 virus, 2 with target" in given[36]
    assert "test: 3 virus, 1 normal, 3 with target" in given[36]
    assert "2 train, 2 validation, 4 test images" in given[19]
    assert "(8); 3 excluded as unusable (`data/masks/refused.csv`)" in given[8]
    assert "three seeds" in given[30] and "10,000 resamples" in given[29]


def test_checklist_distinguishes_a_drawn_split_from_one_that_was_given(phantoms):
    findings = with_changes(phantoms, recipe=change(QUICK, {"validation_share": 0.33}).as_json())
    drawn = split_images(phantoms.index, "patient", 0.25, 0.33, 1)
    assert answers(phantoms, findings, drawn)[19].startswith("At random, seed 1, 25 %")
    swapped = drawn.map({"train": "train", "test": "validation", "validation": "test"})
    assert OPEN in answers(phantoms, findings, swapped)[19]


def test_checklist_finds_patients_on_both_sides_of_the_split(phantoms):
    assert "0 of 2 test patients" in answers(phantoms)[20]
    leaking = phantoms.split.copy()
    leaking["b"] = "test"
    assert "1 of 3 test patients" in answers(phantoms, split=leaking)[20]
