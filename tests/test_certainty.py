"""Tables with intervals and their figures: they say what was computed."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from pneumo_keras.evaluation.audit import TABLE_2, foreground_share
from pneumo_keras.evaluation.scores import film_scores
from pneumo_keras.evaluation.statistics import compare, mean_interval, pooled_interval
from pneumo_keras.report.certainty import certainty_table, comparison_table, readable
from pneumo_keras.report.charts.audit import audit_figure
from pneumo_keras.report.charts.differences import differences_figure
from pneumo_keras.report.style import NETWORK_COLOURS, save_figure
from pneumo_keras.report.tables import write_table

NAMES = ("DeepLabV3", "SegNet")


def network(quality, films=30, normal=5):
    random = np.random.default_rng(int(100 * quality))
    lesion = np.random.default_rng(1).integers(50, 900, films)
    lesion[:normal] = 0
    tp = (lesion * random.uniform(quality - 0.1, quality + 0.1, films)).astype(int)
    names = [f"film{number:03d}" for number in range(films)]
    counts = {"tp": tp, "fp": random.integers(0, 100, films), "fn": lesion - tp}
    table = pd.DataFrame({"name": names, "patient": names, **counts})
    return film_scores(table.assign(tn=4096 - lesion - table["fp"]))


@pytest.fixture(scope="module")
def scores():
    return {"SegNet": network(0.6), "DeepLabV3": network(0.8)}


@pytest.fixture(scope="module")
def comparison(scores):
    with_distance = {
        name: table.assign(hd95=8 * (1 - table["dice"])) for name, table in scores.items()
    }
    return compare(*(with_distance[name] for name in NAMES), NAMES)


def by_gid(figure, prefix):
    found = figure.findobj(lambda artist: str(artist.get_gid() or "-").startswith(prefix))
    return {artist.get_gid().removeprefix(prefix): artist for artist in found}


def test_table_2_holds_the_intervals(scores):
    table = certainty_table(scores).set_index("Architecture")
    dice, iou = mean_interval(scores["SegNet"], "dice"), pooled_interval(scores["SegNet"], "iou")
    row = table.loc["SegNet"]
    assert row["Dice per film, low"] == pytest.approx(dice.low, abs=1e-4)
    assert row["Test IoU, high"] == pytest.approx(iou.high, abs=1e-4)
    assert row[["Films", "Patients", "Films with target", "Patients with target"]].tolist() == [
        30,
        30,
        25,
        25,
    ]
    printed = table.loc["SegNet, as the paper prints it"]
    assert printed["Test IoU"] == 0.70 and pd.isna(printed["Test IoU, low"])


def test_it_is_written_with_numbers_for_machines_and_text_for_readers(scores, tmp_path):
    table = certainty_table(scores)
    write_table(readable(table), "table_2", "Table, 95 % intervals", tmp_path, numbers=table)
    read = pd.read_csv(tmp_path / "table_2.csv")
    assert read["Dice per film, low"].tolist()[:2] == table["Dice per film, low"].tolist()[:2]
    row = table.iloc[0]
    text = "{:.3f} [{:.3f}, {:.3f}]".format(
        *row[["Dice per film", "Dice per film, low", "Dice per film, high"]]
    )
    for suffix in ("md", "tex"):
        # Markdown may have its brackets escaped.
        assert text in (tmp_path / f"table_2.{suffix}").read_text("utf-8").replace(
            "\\[", "["
        ).replace("\\]", "]")
    assert "nan" not in (tmp_path / "table_2.md").read_text("utf-8").lower()


def test_the_comparison_to_be_read(comparison, tmp_path):
    table = comparison_table(comparison, NAMES)
    write_table(table, "comparison", "Comparison", tmp_path, numbers=comparison)
    dice = table.set_index("Score").loc["Dice, per film"]
    row = comparison[comparison["score"] == "dice"].iloc[0]
    assert dice["Difference"].startswith(f"{row['difference']:+.3f} [{row['low']:+.3f}")
    assert dice["p, Wilcoxon (Holm)"] == "<0.001 (<0.001)"
    assert dice["Wins/ties/losses"] == f"{row['wins']}/{row['ties']}/{row['losses']}"
    assert table.iloc[0]["p, Wilcoxon (Holm)"] == "–"
    latex = (tmp_path / "comparison.tex").read_text("utf-8")
    assert "<" not in latex and r"\textless{}0.001" in latex
    assert len(pd.read_csv(tmp_path / "comparison.csv")) == len(comparison)


def test_the_forest_shows_each_difference_in_the_colour_of_whom_it_favours(comparison, tmp_path):
    figure = differences_figure(comparison, NAMES, "phantoms")
    drawn = by_gid(figure, "difference:")
    assert set(drawn) == {
        f"{score}, {average}"
        for score, average in zip(comparison["score"], comparison["average"], strict=True)
    }
    for row in comparison.to_dict("records"):
        point = drawn[f"{row['score']}, {row['average']}"]
        assert point.get_xdata()[0] == pytest.approx(row["difference"])
        apart = row["low"] > 0 or row["high"] < 0
        assert (to_hex(point.get_markerfacecolor()) != "#ffffff") == apart
    # The distance is smaller, the overlap greater: both favour DeepLabV3.
    for name in ("dice, per film", "hd95, per film"):
        assert to_hex(drawn[name].get_color()).upper() == NETWORK_COLOURS["DeepLabV3"]
    assert len(figure.axes) == 2
    save_figure(figure, "differences", "Differences.", tmp_path)


def test_the_forest_of_one_patient_has_points_without_intervals(scores):
    one = {name: table.assign(patient="a") for name, table in scores.items()}
    comparison = compare(*(one[name] for name in NAMES), NAMES, ("dice",))
    figure = differences_figure(comparison, NAMES, "one")
    assert len(by_gid(figure, "difference:")) == 3


def test_the_audit_shows_what_rows_imply_and_what_was_measured(tmp_path):
    shares = np.array([0.0, 0.1, 0.2, 0.3])
    figure = audit_figure(shares, 0.15, "pneumonia", "phantoms, 4 test films")
    for name, row in TABLE_2.items():
        for digits in ("exact", "rounded", "truncated"):
            bar = by_gid(figure, f"{name}:{digits}")[""]
            ends = bar.get_x(), bar.get_x() + bar.get_width()
            assert ends == pytest.approx(foreground_share(*row, digits))
    assert by_gid(figure, "films")[""].get_xdata().tolist() == [0.1, 0.2, 0.3]
    assert list(by_gid(figure, "pooled")[""].get_xdata()) == [0.15, 0.15]
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert "this run: pneumonia (3 films)" in labels and "SegNet: 0.81, 0.70" in labels
    save_figure(figure, "audit", "Audit.", tmp_path)
