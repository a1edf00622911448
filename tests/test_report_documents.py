"""Model cards and the CLAIM checklist: from the run's own files, and open where they are silent."""

import hashlib
import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumo_keras.dataset.splits import split_films
from pneumo_keras.errors import StudyError
from pneumo_keras.report.documents.cards import model_card, write_model_card
from pneumo_keras.report.documents.claim import claim_checklist, write_claim
from pneumo_keras.report.documents.claimanswers import OPEN, Evidence, answers
from pneumo_keras.report.documents.claimitems import SECTIONS
from pneumo_keras.report.markdown import markdown_table, plain
from pneumo_keras.report.tables import write_table
from pneumo_keras.training.recipes import PAPER, QUICK

SCORES = pd.DataFrame(
    {"Score": ["Dice per film"], "Mean": [0.7209], "95 % interval": ["0.69–0.75"]}
)


def run(network: str = "segnet", recipe=QUICK, **changes) -> dict:
    facts = {
        "network": network,
        "target": "pneumonia",
        "recipe": recipe.as_json(),
        "weights": "random",
        "parameters": 1849089,
        "films": {"train": 4, "validation": 2, "test": 2},
        "epochs_run": 10,
        "best_epoch": 8,
        "best_validation_dice": 0.7094,
        "diverged": False,
        "collapsed": False,
        "threshold": 0.5,
        "seconds": 170.7,
        "peak_memory_gb": 1.3,
        "python": "3.11.7",
        "system": "Linux x86_64",
        "backend": "tensorflow",
        "device": "CPU, 2 cores",
        "versions": {"pneumo_keras": "0.1.0", "keras": "3.15.1"},
    }
    return {**facts, **changes}


INDEX = pd.DataFrame(
    {
        "name": list("abcdefgh"),
        "patient": list("11223344"),
        "group": ["virus", "virus", "virus", "virus", "normal", "normal", "virus", "virus"],
        "target_share": [0.1, 0.1, 0.1, 0.1, 0, 0, 0.1, 0.1],
    }
)
SPLIT = pd.Series(
    dict(zip("abcdefgh", ["train"] * 4 + ["validation"] * 2 + ["test"] * 2, strict=True))
)


def evidence(**changes) -> Evidence:
    facts = {
        "source": "phantoms",
        "phantoms": True,
        "runs": {"segnet": run(), "deeplabv3": run("deeplabv3")},
        "index": INDEX,
        "split": SPLIT,
        "refused": 0,
        "results": SCORES,
    }
    return Evidence(**{**facts, **changes})


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_plain_text_keeps_its_words_and_has_no_markup(text):
    escaped = plain(text)
    assert not re.search(r"(?<!\\)(\\\\)*[<>|`\[*_]", escaped.replace("\\\\", ""))
    assert re.sub(r"\\(.)", r"\1", escaped) == " ".join(text.split())
    assert "\n" not in escaped


def test_markdown_tables_show_numbers_and_gaps():
    table = pd.DataFrame({"a|b": ["x|y", "<b>"], "n": [1, 2], "v": [0.12345, None]})
    assert markdown_table(table).split("\n") == [
        r"| a\|b  |   n |     v |",
        "| ----- | --: | ----: |",
        r"| x\|y  |   1 | 0.123 |",
        r"| \<b\> |   2 |     – |",
    ]


def test_tables_are_written_with_even_decimals_and_escaped(tmp_path):
    table = pd.DataFrame({"Network": ["SegNet", "a_b"], "IoU, %": [0.7, None], "n": [250, 3]})
    write_table(table, "table_9", "50 % of A&B_c {x}", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "table_9.csv",
        "table_9.md",
        "table_9.tex",
    ]
    markdown = (tmp_path / "table_9.md").read_text("utf-8")
    assert "| SegNet  |  0.700 | 250 |" in markdown and r"| a\_b    |      – |   3 |" in markdown
    latex = (tmp_path / "table_9.tex").read_text("utf-8")
    assert r"\caption{50 \% of A\&B\_c \{x\}}" in latex
    assert r"\begin{tabular}{lrr}" in latex
    assert r"Network & IoU, \% & n \\" in latex
    assert r"SegNet & 0.700 & 250 \\" in latex and r"a\_b & – & 3 \\" in latex
    assert pd.read_csv(tmp_path / "table_9.csv")["n"].tolist() == [250, 3]


def test_card_says_data_recipe_scores_and_digest(tmp_path):
    (tmp_path / "best.keras").write_bytes(b"weights")
    path = write_model_card(tmp_path, run(), "phantoms", True, SCORES)
    assert path == tmp_path / "MODEL_CARD.md"
    card = path.read_text("utf-8")
    assert hashlib.sha256(b"weights").hexdigest() in card
    for said in (
        "# Model card: SegNet, pneumonia",
        "not for diagnosis",
        "**phantoms**: drawn by a program",
        "4 trained on, 2 validated on, 2 tested on; split by patient, seed 1",
        "0.003, cosine",
        "| Dice per film | 0.721 | 0.69–0.75     |",
        "what reaches 0.5 is marked",
        "Trained from random weights",
        "171 s on CPU, 2 cores",
    ):
        assert said in card, said


def test_card_without_its_model_is_refused_and_not_written(tmp_path):
    with pytest.raises(StudyError, match="best.keras: no such model"):
        write_model_card(tmp_path, run(), "phantoms", True, SCORES)
    assert list(tmp_path.iterdir()) == []


def test_card_of_real_films_does_not_speak_of_phantoms_and_escapes_them():
    card = model_card(run(), "lungs <b>|x", False, SCORES, "0" * 64)
    assert "phantom" not in card.casefold()
    assert r"lungs \<b\>\|x" in card
    assert "not on external data" in card


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"collapsed": True}, "marks the same on every film"),
        ({"diverged": True}, "the loss is not a number"),
        ({"recipe": PAPER}, "The split is by image"),
    ],
)
def test_card_warns_of_a_failed_run_and_of_a_leaking_split(changes, said):
    assert said in model_card(run(**changes), "x", False, SCORES, "")
    assert said not in model_card(run(), "x", False, SCORES, "")


def test_checklist_has_all_44_items_once_and_in_order():
    numbers = [number for items in SECTIONS.values() for number in items]
    assert numbers == list(range(1, 45)) == list(answers(evidence()))
    rows = re.findall(
        r"^\| (\d+) \| ([^|]+) \| (.+) \|$", claim_checklist(evidence()), re.MULTILINE
    )
    assert [int(number) for number, _, _ in rows] == numbers
    assert all(answer.strip() for _, _, answer in rows)


def test_of_real_films_the_checklist_invents_nothing():
    given_items = answers(evidence(phantoms=False, source="clinic"))
    # Provenance, ethics, readers, demography, trial, availability, funding: the run knows none.
    for number in (1, 2, 5, 11, 13, 15, 16, 18, 30, 34, 38, 44):
        assert given_items[number].startswith(OPEN), number
    for number in (7, 14, 17, 21, 36, 40, 41, 43):
        assert OPEN in given_items[number], number
    assert not any("phantom" in answer.casefold() for answer in given_items.values())
    assert all(
        number in (1, 2, 44) or not answer.startswith(OPEN)
        for number, answer in answers(evidence()).items()
        if number not in (29, 30, 38)
    )


def test_what_was_measured_closes_an_item():
    without, told = (
        answers(evidence()),
        answers(
            evidence(statistics="Bootstrap over patients.", robustness="Three seeds, Table 3.")
        ),
    )
    assert OPEN in without[29] and OPEN in without[30] and OPEN in without[37]
    assert (told[29], told[30]) == ("Bootstrap over patients.", "Three seeds, Table 3.")
    assert OPEN not in told[37]


def test_checklist_counts_films_patients_and_groups_by_part():
    given_items = answers(evidence(refused=3))
    assert (
        "8 films of 4 patients (patients by part: 2 train, 1 validation, 1 test); 3"
        in (given_items[35])
    )
    assert "train: 4 virus; 4 with target" in given_items[36]
    assert "validation: 2 normal; 0 with target" in given_items[36]
    assert "4 train, 2 validation, 2 test films" in given_items[19]
    assert "(`data/masks/refused.csv`)" in given_items[8]


def test_checklist_finds_patients_on_both_sides_of_the_split():
    assert "0 of 1 patients tested on" in answers(evidence())[20]
    leaking = SPLIT.copy()
    leaking["b"] = "test"
    assert "1 of 2 patients tested on" in answers(evidence(split=leaking))[20]


def test_checklist_tells_a_drawn_split_from_one_that_was_given():
    drawn = split_films(INDEX, "patient", QUICK.test_share, 0.33, QUICK.seed)
    recipe = {**QUICK.as_json(), "validation_share": 0.33}
    runs = {"segnet": run(recipe=QUICK) | {"recipe": recipe}}
    assert answers(evidence(runs=runs, split=drawn))[19].startswith("At random, seed 1")
    swapped = drawn.map({"train": "train", "test": "validation", "validation": "test"})
    assert OPEN in answers(evidence(runs=runs, split=swapped))[19]


def test_counts_at_the_top_are_those_of_the_answers(tmp_path):
    counts = write_claim(tmp_path / "claim.md", evidence(phantoms=False))
    text = (tmp_path / "claim.md").read_text("utf-8")
    items = list(answers(evidence(phantoms=False)).values())
    assert sum(counts.values()) == 44
    assert counts["open"] == sum(answer.startswith(OPEN) for answer in items)
    assert f"answers {counts['answered']}, {counts['part']} in part; {counts['open']} are" in text
    assert "10.1148/ryai.240300" in text
