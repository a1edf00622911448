"""Tables: the numbers are those that were computed, and text from data cannot act as markup."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_study import run

from pneumo_keras.config import BACKBONES, LOSSES, PAPER, QUICK, TUNED, change
from pneumo_keras.dataset.records import ImageRecord
from pneumo_keras.evaluation.comparison import compare
from pneumo_keras.evaluation.intervals import mean_interval, pooled_interval
from pneumo_keras.evaluation.metrics import score_images, summary
from pneumo_keras.report import tables
from pneumo_keras.report.results import (
    comparison_table,
    parameter_table,
    readable,
    results_table,
    run_table,
    score_table,
)

NAMES = ("DeepLabV3", "SegNet")


def scored(quality: float, images: int = 30, normal: int = 5) -> pd.DataFrame:
    """Scores of squares whose lower part, a share of about `quality`, is predicted."""
    random = np.random.default_rng(int(100 * quality))
    reference = np.zeros((images, 32, 32), bool)
    probabilities = random.uniform(0, 0.4, reference.shape)
    sides = np.random.default_rng(1).integers(6, 20, images)
    for image, side in enumerate(sides[normal:], normal):
        reference[image, 4 : 4 + side, 4 : 4 + side] = True
        found = round(side * random.uniform(quality - 0.1, quality + 0.1))
        probabilities[image, 4 : 4 + found, 4 : 4 + side] = 0.9
    names = [f"image{number:03d}" for number in range(images)]
    listed = pd.DataFrame({"name": names, "patient": names, "group": "virus"})
    return score_images(probabilities, reference, 0.5, listed)


@pytest.fixture(scope="module")
def scores():
    return {"SegNet": scored(0.6), "DeepLabV3": scored(0.8)}


@pytest.fixture(scope="module")
def comparison(scores):
    return compare(*(scores[name] for name in NAMES), NAMES)


def test_table_2_holds_intervals_numbers_and_the_paper(scores):
    table = results_table(scores).set_index("Architecture")
    dice, iou = mean_interval(scores["SegNet"], "dice"), pooled_interval(scores["SegNet"], "iou")
    row = table.loc["SegNet"]
    assert row["Dice per image, low"] == pytest.approx(dice.low, abs=1e-6)
    assert row["Test IoU, high"] == pytest.approx(iou.high, abs=1e-6)
    assert row["IoU per image"] == pytest.approx(scores["SegNet"]["iou"].mean(), abs=1e-6)
    counts = ["Images", "Patients", "Images with target", "Patients with target"]
    assert row[counts].tolist() == [30, 30, 25, 25]
    printed = table[table.index.str.startswith("SegNet,")].iloc[0]
    assert printed["Test IoU"] == 0.70 and printed["Test accuracy"] == 0.81
    assert printed.drop(["Test IoU", "Test accuracy"]).isna().all()


def test_a_table_is_written_as_numbers_and_as_text(scores, tmp_path):
    table = results_table(scores)
    tables.write_table(readable(table), "table_2", "95 % intervals", tmp_path, numbers=table)
    read = pd.read_csv(tmp_path / "table_2.csv")
    assert read["Dice per image, low"].tolist()[:2] == table["Dice per image, low"].tolist()[:2]
    ends = table.loc[0, ["Dice per image", "Dice per image, low", "Dice per image, high"]]
    text = "{:.3f} [{:.3f}, {:.3f}]".format(*ends)
    markdown = (tmp_path / "table_2.md").read_text("utf-8")
    assert text in markdown.replace("\\", "") and text in (tmp_path / "table_2.tex").read_text()
    assert "nan" not in markdown.lower() and "NA" not in markdown


def test_readable_keeps_what_is_no_interval():
    numbers = {"x": ["a"], "mean": [0.5], "low": [np.nan], "high": [np.nan], "n": [3], "reason": ""}
    shown = readable(pd.DataFrame(numbers)).to_dict("list")
    assert shown == {"x": ["a"], "mean": ["0.500"], "n": [3]}


def test_latex_escapes_what_comes_from_data(tmp_path):
    table = pd.DataFrame({"a_b %": ["<0.001 & {x}", None], "n": [0.12345, np.nan]})
    tables.write_table(table, "t", "50 % of A&B_c ~ ^ \\ #1 $", tmp_path)
    latex = (tmp_path / "t.tex").read_text("utf-8")
    caption = re.search(r"\\caption\{(.*)\}\n", latex)[1]
    assert caption.startswith(r"50 \% of A\&B\_c \textasciitilde{} ")
    assert r"\textless{}0.001 \& \{x\} & 0.123 \\" in latex and "– & – \\\\" in latex
    assert "<" not in latex and r"a\_b \% & n \\" in latex


@given(st.lists(st.text(), min_size=1, max_size=3), st.text(min_size=2))
def test_text_from_data_cannot_break_a_markdown_table(cells, head):
    lines = tables.markdown_table(pd.DataFrame({head: cells, "n": 1})).split("\n")
    assert len(lines) == len(cells) + 2
    for line in lines:
        bars = re.findall(r"(?<!\\)(?:\\\\)*\|", line)
        assert len(bars) == 3, line
        assert not re.search(r"(?<!\\)(?:\\\\)*[<*`\[]", line)


def test_table_4_says_what_was_compared(scores, comparison):
    table = comparison_table(comparison, NAMES, "px").set_index("Score")
    row = comparison.set_index("score").loc["sensitivity"]
    shown = table.loc["Sensitivity, per image"]
    difference = f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
    assert shown["Difference"] == difference
    assert shown["p, Wilcoxon (Holm)"] == "<0.001 (<0.001)"
    assert shown["Wins/ties/losses"] == f"{row['wins']}/{row['ties']}/{row['losses']}"
    assert (shown["Images"], shown["Patients"]) == (25, 25)
    pooled = table.loc["IoU, pooled"]
    tests = ["p, Wilcoxon (Holm)", "p, permutation (Holm)", "Rank-biserial", "Wins/ties/losses"]
    assert pooled[tests].tolist() == ["–"] * 4
    assert "HD95 (px), per image" in table.index
    p_values = {"p_permutation": 0.0049, "p_permutation_holm": 0.012}
    changed = comparison_table(comparison.assign(**p_values), NAMES)
    assert changed["p, permutation (Holm)"].iloc[-1] == "0.005 (0.012)"
    # One patient has no interval.
    one = [scores[name].assign(patient="a") for name in NAMES]
    table = comparison_table(compare(*one, NAMES, ("dice",)), NAMES)
    assert all(re.fullmatch(r"[+-]0\.\d{3}", text) for text in table["Difference"])


def test_table_3_holds_the_scores_of_each_network(scores):
    reference = np.zeros((2, 4, 4), int)
    reference[0, :2] = 1
    probabilities = {"SegNet": np.where(reference, 0.9, 0.1), "DeepLabV3": reference * 1.0}
    table = score_table(scores, probabilities, reference).set_index("Score")
    values = summary(scores["SegNet"])
    assert table.loc["Dice, pooled", "SegNet"] == round(values["pooled_dice"], 3)
    assert table.loc["Brier score, pixels"].tolist() == [0.01, 0]  # 0.1 squared
    distances = [name for name in table.index if "HD95" in name]
    assert distances and "(px)" in distances[0]
    assert table.loc[distances[0], "SegNet"] == round(values["image_hd95"], 3)


@pytest.mark.parametrize("recipe", [QUICK, PAPER, TUNED], ids=lambda recipe: recipe.name)
def test_table_1_shows_the_settings_of_the_runs(recipe):
    networks = ("segnet", "deeplabv3")
    runs = {network: run(network, recipe, weights="ImageNet") for network in networks}
    runs["deeplabv3"]["diverged"] = True
    table = parameter_table(runs).set_index("Parameter")
    assert list(table) == ["SegNet", "DeepLabV3"]
    assert table.loc["Parameters"].tolist() == ["1,849,089"] * 2
    assert table.loc["Batch size", "SegNet"] == str(recipe.batch_size)
    assert f"{recipe.learning_rate:g}" in table.loc["Learning rate", "SegNet"]
    assert ("frozen" in table.loc["Learning rate", "SegNet"]) == (recipe is TUNED)
    rates = ", ".join(map(str, recipe.atrous_rates))
    assert rates in table.loc["Atrous spatial pyramid", "DeepLabV3"]
    assert table.loc["Image size", "SegNet"] == f"{recipe.size}×{recipe.size}"
    assert table.loc["Status", "SegNet"] == "trained"
    assert table.loc["Status", "DeepLabV3"].startswith("diverged")


def test_table_1_knows_every_loss_and_backbone():
    def shown(row, **changes):
        table = parameter_table({"deeplabv3": run("deeplabv3", change(QUICK, changes))})
        return table.set_index("Parameter").loc[row, "DeepLabV3"]

    assert len({shown("Loss function", loss=loss) for loss in LOSSES}) == len(LOSSES)
    assert all(name in shown("Encoder", backbone=key) for key, name in BACKBONES.items())


def test_run_table_shows_how_a_training_ended():
    table = run_table(run("segnet"))[""]
    assert table["Images"] == "2 train, 2 validation, 4 test"
    assert table["Best validation Dice"] == "0.709"
    assert (table["Duration"], table["Threshold"]) == ("171 s", "0.5")


def test_tables_of_images_shares_and_split(tmp_path):
    path = tmp_path / "a.png"
    pairs = [("a", "1", "virus"), ("b", "1", "virus"), ("c", "2", "normal")]
    records = [ImageRecord(name, path, path, *rest) for name, *rest in pairs]
    images = tables.image_table(records)
    assert images.to_dict("index") == {
        "normal": {"images": 1, "patients": 1},
        "virus": {"images": 2, "patients": 1},
        "all": {"images": 3, "patients": 2},
    }
    index = pd.DataFrame(pairs, columns=["name", "patient", "group"])
    index = index.assign(target_share=[0.1, 0.4, 0.0], target_share_in_lung=[0.2, 0.6, np.nan])
    shares = tables.share_table(index).loc["virus"]
    assert shares.tolist() == [2, 0, 25.0, 25.0, 40.0, 40.0]
    assert tables.share_table(index).loc["normal", "without target"] == 1
    split = tables.split_table(index, pd.Series({"a": "test", "b": "train", "c": "train"}))
    assert split.index.tolist() == ["train", "test"]
    assert split.loc["train"].tolist() == [2, 2, 1, 20.0]
