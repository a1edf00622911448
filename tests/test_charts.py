"""Charts: what they draw is what was computed, and every one of them can be printed."""

import itertools

import matplotlib
import numpy as np
import pandas as pd
import pytest
from figure_checks import assert_printable, by_gid, words
from matplotlib.colors import to_hex

from pneumo_keras.evaluation import calibration
from pneumo_keras.evaluation.audit import TABLE_2, foreground_share
from pneumo_keras.evaluation.comparison import compare
from pneumo_keras.report import charts, exploration, probability_charts
from pneumo_keras.report.style import NETWORK_COLOURS, drawing, save_figure

DATA = "phantoms, 2 test images, recipe quick"
NAMES = ("DeepLabV3", "SegNet")
THRESHOLDS = {"SegNet": 0.35, "DeepLabV3": 0.6}
NAN = float("nan")
# SegNet: 2 + 0 right of 2 + 1 + 1 in the union, 16 pixels; the third reference is empty.
COUNTS = {
    "SegNet": pd.DataFrame({"tp": [2, 0, 0], "fp": [1, 0, 2], "fn": [0, 1, 0], "tn": [1, 3, 6]}),
    "nothing": pd.DataFrame({"tp": [0] * 3, "fp": [0] * 3, "fn": [2, 1, 0], "tn": [2, 3, 8]}),
}


def scored(dice: list[float], names="abcdefgh", group="virus") -> pd.DataFrame:
    """Images of 100 pixels; 20 of them belong to the reference where there is a Dice."""
    empty = np.isnan(dice)
    table = pd.DataFrame({"name": list(names[: len(dice)]), "group": group, "dice": dice})
    counts = {"tp": np.where(empty, 0, 10), "fp": 0, "fn": np.where(empty, 0, 10)}
    counts |= {"tn": np.where(empty, 100, 80), "reference_share": np.where(empty, 0, 0.2)}
    return table.assign(patient=table["name"], **counts)


def compared() -> pd.DataFrame:
    """Scores of 12 images on which the first network is mostly better, with a distance."""
    random = np.random.default_rng(0)
    dice = random.uniform(0.4, 0.6, 12)
    tables = [scored(list(np.clip(dice + gain, 0, 1)), "abcdefghijkl") for gain in (0.2, 0.0)]
    tables = [t.assign(hd95=8 * (1 - t["dice"]), accuracy=t["dice"] ** 0) for t in tables]
    return compare(*tables, NAMES)


@pytest.fixture(scope="module")
def predicted():
    random = np.random.default_rng(3)
    networks = {"SegNet": 2, "DeepLabV3": 1}
    probabilities = {name: random.random((6, 32, 32)) ** power for name, power in networks.items()}
    return probabilities, random.random((6, 32, 32)) < probabilities["SegNet"]


@pytest.fixture(scope="module")
def histograms(predicted):
    probabilities, reference = predicted
    return {name: calibration.pixel_histogram(p, reference) for name, p in probabilities.items()}


@pytest.fixture(scope="module")
def sweeps(predicted):
    probabilities, reference = predicted
    sweep = calibration.threshold_sweep
    return {name: sweep(p, reference, [0.1, 0.5, 0.9]) for name, p in probabilities.items()}


def history(epochs=3, terms=("focal", "ssim", "jaccard")) -> pd.DataFrame:
    names = ["loss", "dice", "iou", *terms]
    values = np.linspace(0.9, 0.5, epochs)
    return pd.DataFrame({prefix + name: values for name in names for prefix in ("", "val_")})


def test_figure_7_is_the_accuracy_of_all_pixels():
    figure = charts.accuracy_figure(COUNTS, DATA)
    bars, dots = by_gid(figure, "pooled:"), by_gid(figure, "images:")
    heights = {name: bar.get_height() for name, bar in bars.items()}
    assert heights == pytest.approx({"SegNet": 12 / 16, "nothing": 13 / 16})
    assert dots["SegNet"].get_ydata() == pytest.approx([3 / 4, 3 / 4, 6 / 8])
    (published,) = by_gid(figure, "published:").values()
    assert float(published.get_ydata()[0]) == 0.81
    assert {"0.750", "0.812"} <= set(words(figure))


def test_figure_8_has_no_dot_for_an_empty_reference():
    figure = charts.iou_figure(COUNTS, DATA)
    assert by_gid(figure, "pooled:")["SegNet"].get_height() == pytest.approx(2 / 6)
    assert by_gid(figure, "images:")["SegNet"].get_ydata() == pytest.approx([2 / 3, 0])
    assert float(by_gid(figure, "published:")["SegNet"].get_ydata()[0]) == 0.70
    assert "SegNet\nn = 2" in words(figure)


def test_median_share_is_of_the_images_with_target():
    index = pd.DataFrame({"group": list("aabb"), "target_share": [0, 0.1, 0.2, 0.6]})
    figure = exploration.prevalence_figure(index, DATA)
    assert by_gid(figure, "median:")["target_share"].get_xdata() == pytest.approx([20, 20])
    assert sum(bar.get_height() for bar in figure.axes[0].patches) == 4
    assert {"a (n = 2)", "b (n = 2)"} <= set(words(figure))


def test_intensities_are_densities_of_marked_and_unmarked_pixels():
    random = np.random.default_rng(0)
    images, masks = random.integers(0, 256, (3, 8, 8), np.uint8), random.random((3, 8, 8)) < 0.3
    figure = exploration.intensity_figure(images, masks, DATA)
    for steps, marked in zip(figure.axes[0].patches, (False, True), strict=True):
        data = steps.get_data()
        assert (data.values * np.diff(data.edges)).sum() == pytest.approx(1)
        expected, _ = np.histogram(images[masks == marked], data.edges, density=True)
        assert data.values == pytest.approx(expected)
    assert f"marked ({masks.sum()} pixels)" in words(figure)


def test_leaks_are_counted_out_of_the_test_images():
    figure = exploration.leak_figure(0, 30, 100, DATA)
    assert [bar.get_width() for bar in figure.axes[0].patches] == [30, 0]
    assert {"30 of 100", "0 of 100"} <= set(words(figure))


def test_learning_curves_mark_the_best_epoch_and_show_the_terms():
    figure = exploration.history_figure(history(), 2, "DeepLabV3", DATA)
    assert len(figure.axes) == 3
    assert by_gid(figure, "val_jaccard")[""].get_ydata() == pytest.approx([0.9, 0.7, 0.5])
    assert all(axes.get_lines()[-1].get_xdata() == [2, 2] for axes in figure.axes)
    assert len(exploration.history_figure(history(terms=()), 2, "SegNet", DATA).axes) == 2


def test_differences_have_the_colour_of_the_network_they_favour():
    comparison = compared()
    figure = charts.differences_figure(comparison, NAMES, DATA, "mm")
    drawn = by_gid(figure, "difference:")
    assert len(drawn) == len(comparison)
    for row in comparison.to_dict("records"):
        point = drawn[f"{row['score']}, {row['average']}"]
        assert point.get_xdata()[0] == pytest.approx(row["difference"])
        apart = row["low"] > 0 or row["high"] < 0
        assert (to_hex(point.get_markerfacecolor()) != "#ffffff") == apart
    for name in ("dice, per image", "hd95, per image"):  # higher is better, lower is better
        assert to_hex(drawn[name].get_color()).upper() == NETWORK_COLOURS["DeepLabV3"]
    dice = comparison.set_index("score").loc["dice"]
    assert f"{dice['wins']}/{dice['ties']}/{dice['losses']}" in words(figure)
    assert "HD95 (mm), per image" in words(figure) and len(figure.axes) == 2


def test_agreement_pairs_images_by_name():
    one = pd.concat([scored([0.1, 0.5, 0.0]), scored([0.9, NAN], names="xy", group="bacteria")])
    other = one.assign(dice=[0.4, 0.4, 0.0, 0.95, NAN]).iloc[::-1]
    figure = charts.agreement_figure({"SegNet": one, "DeepLabV3": other}, DATA)
    points = np.concatenate([line.get_xydata() for line in figure.axes[0].lines[:2]])
    expected = [(0.9, 0.95), (0.1, 0.4), (0.5, 0.4), (0, 0)]  # bacteria, then virus
    assert sorted(map(tuple, points)) == sorted(expected)
    shares = np.concatenate([line.get_xdata() for line in figure.axes[1].lines[:2]])
    assert shares.tolist() == pytest.approx([20] * 4)
    (title,) = [text for text in words(figure) if "SegNet 1" in text]
    assert "DeepLabV3 2" in title and "equal 1" in title
    assert {"bacteria (n = 1)", "virus (n = 3)"} <= set(words(figure))


def test_the_smallest_of_many_groups_are_put_together():
    names = [[f"{group}{number}" for number in range(9)] for group in range(8)]
    many = pd.concat([scored([0.5] * (9 - g), names[g], f"g{g}") for g in range(8)])
    figure = charts.agreement_figure({"SegNet": many, "DeepLabV3": many}, DATA)
    assert set(by_gid(figure, "images:")) == {"g0", "g1", "g2", "g3", "other groups"}
    assert f"other groups (n = {5 + 4 + 3 + 2})" in words(figure)
    assert_printable(figure)


def test_the_audit_shows_what_rows_imply_and_what_was_measured():
    figure = charts.audit_figure(np.array([0.0, 0.1, 0.2, 0.3]), 0.15, "pneumonia", DATA)
    for name, digits in itertools.product(TABLE_2, ("exact", "rounded", "truncated")):
        bar = by_gid(figure, f"{name}:{digits}")[""]
        ends = bar.get_x(), bar.get_x() + bar.get_width()
        assert ends == pytest.approx(foreground_share(*TABLE_2[name], digits))
    assert by_gid(figure, "images")[""].get_xdata().tolist() == [0.1, 0.2, 0.3]
    assert list(by_gid(figure, "pooled")[""].get_xdata()) == [0.15, 0.15]
    assert any("pneumonia" in text and "n = 3" in text for text in words(figure))


def test_calibration_shows_curve_error_and_distribution(histograms):
    figure = probability_charts.reliability_figure(histograms, DATA)
    for name, histogram in histograms.items():
        curve = calibration.reliability_curve(histogram)
        line = by_gid(figure, f"reliability:{name}")[""]
        np.testing.assert_array_equal(line.get_xydata(), curve[["predicted", "observed"]])
        error = f"{calibration.calibration_error(curve):.3f}"
        assert any(name in text and error in text for text in words(figure))
    for steps in figure.axes[1].patches:
        assert steps.get_data().values.sum() == pytest.approx(100)


def test_precision_and_recall_are_marked_at_the_chosen_threshold(histograms, predicted):
    probabilities, reference = predicted
    figure = probability_charts.precision_recall_figure(histograms, THRESHOLDS, DATA)
    for name, threshold in THRESHOLDS.items():
        point = by_gid(figure, f"chosen:{name}")[""]
        marked = probabilities[name] >= threshold
        both = (marked & reference).sum()
        # Within the pixels of one bin of the histogram.
        assert point.get_xdata()[0] == pytest.approx(both / reference.sum(), abs=2e-3)
        assert point.get_ydata()[0] == pytest.approx(both / marked.sum(), abs=2e-3)
    assert any(f"{reference.mean():.3f}" in text for text in words(figure))


def test_the_sweep_is_drawn_with_the_chosen_threshold(sweeps):
    figure = probability_charts.threshold_figure(sweeps, THRESHOLDS, DATA)
    for name, sweep in sweeps.items():
        for measure in probability_charts.MEASURES:
            line = by_gid(figure, f"{measure}:{name}")[""]
            np.testing.assert_array_equal(line.get_xydata(), sweep[["threshold", measure]])
        assert by_gid(figure, f"chosen:{name}")[""].get_xdata() == [THRESHOLDS[name]] * 2


def every_chart(histograms, sweeps, data) -> dict:
    shares = {"target_share": [0, 0.1], "target_share_in_lung": [0, 0.3]}
    index = pd.DataFrame({"group": ["bacteria", "virus"], **shares})
    image, mask = np.arange(64, dtype=np.uint8).reshape(8, 8), np.eye(8)
    scores = {"SegNet": scored([0.2, 0.9, 0.5]), "DeepLabV3": scored([0.3, 0.8, 0.5])}
    one_patient = [table.assign(patient="a") for table in scores.values()]
    without_interval = compare(*one_patient, NAMES, ("dice",))
    return {
        "accuracy": charts.accuracy_figure(COUNTS, data),
        "iou": charts.iou_figure(COUNTS, data),
        "differences": charts.differences_figure(compared(), NAMES, data, "px"),
        "one patient": charts.differences_figure(without_interval, NAMES, data),
        "agreement": charts.agreement_figure(scores, data),
        "audit": charts.audit_figure(np.array([0.1, 0.3]), 0.15, "pneumonia", data),
        "prevalence": exploration.prevalence_figure(index, data),
        "without lungs": exploration.prevalence_figure(index[["group", "target_share"]], data),
        "intensity": exploration.intensity_figure([image], [mask], data),
        "leaks": exploration.leak_figure(0, 1, 2, data),
        "history": exploration.history_figure(history(150), 120, "DeepLabV3", data),
        "one epoch": exploration.history_figure(history(1, ()), 1, "SegNet", data),
        "reliability": probability_charts.reliability_figure(histograms, data),
        "curve": probability_charts.precision_recall_figure(histograms, THRESHOLDS, data),
        "threshold": probability_charts.threshold_figure(sweeps, THRESHOLDS, data),
    }


@pytest.mark.parametrize("data", [DATA, "phantoms, target pneumonia, " * 8], ids=["short", "long"])
def test_every_chart_is_printable_and_says_its_data(histograms, sweeps, data):
    for name, figure in every_chart(histograms, sweeps, data).items():
        note = by_gid(figure, "data")[""].get_text().replace("\n", " ")
        assert note == f"Data: {data}".strip(), name
        letters = [axes.get_title(loc="left")[:3] for axes in figure.axes]
        expected = [f"({letter})" for letter in "abc"[: len(letters)]] if letters[1:] else letters
        assert letters == expected, name
        assert_printable(figure)


def test_saving_twice_gives_the_same_bytes(tmp_path):
    for folder in "abc":
        if folder != "b":  # the same figure twice, and another of the same numbers
            figure = exploration.leak_figure(0, 1, 2, DATA)
        save_figure(figure, "leaks", "Leaks.", tmp_path / folder)
    for name in ("leaks.png", "leaks.svg", "leaks.txt"):
        assert len({(tmp_path / folder / name).read_bytes() for folder in "abc"}) == 1, name
    assert (tmp_path / "a" / "leaks.txt").read_text() == "Leaks.\n"
    assert ">random split</text>" in (tmp_path / "a" / "leaks.svg").read_text("utf-8")
    assert len(list((tmp_path / "a").iterdir())) == 3


def test_a_figure_that_cannot_be_drawn_leaves_no_files(tmp_path):
    with drawing(1, 1) as figure:
        figure.text(0.5, 0.5, "$\\frac$")
    with pytest.raises(ValueError):
        save_figure(figure, "broken", "Broken.", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_figures_show_themselves_and_leave_settings_alone():
    before = dict(matplotlib.rcParams)
    figure = exploration.leak_figure(0, 1, 2, DATA)
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert dict(matplotlib.rcParams) == before
