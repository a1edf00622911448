"""Figures of the probabilities: what they draw is what was computed."""

import numpy as np
import pytest

from pneumo_keras.evaluation.scores.probabilities import (
    calibration_error,
    pixel_cells,
    probability_scores,
    reliability_curve,
    threshold_sweep,
)
from pneumo_keras.report.charts.probability import (
    precision_recall_figure,
    reliability_figure,
    threshold_figure,
)
from pneumo_keras.report.style import save_figure

DATA = "phantoms, 6 test films, recipe quick"
THRESHOLDS = {"SegNet": 0.35, "DeepLabV3": 0.6}


def by_gid(figure, gid):
    (artist,) = figure.findobj(lambda artist: artist.get_gid() == gid)
    return artist


def words(figure):
    return {text.get_text() for legend in figure.legends for text in legend.get_texts()}


@pytest.fixture(scope="module")
def predicted():
    random = np.random.default_rng(3)
    probabilities = {
        name: random.random((6, 32, 32)) ** power
        for name, power in (("SegNet", 2), ("DeepLabV3", 1))
    }
    truth = random.random((6, 32, 32)) < probabilities["SegNet"]
    return probabilities, truth


@pytest.fixture(scope="module")
def cells(predicted):
    probabilities, truth = predicted
    return {name: pixel_cells(of_network, truth) for name, of_network in probabilities.items()}


def test_reliability_shows_curve_and_error_of_each_network(cells):
    figure = reliability_figure(cells, DATA)
    for name, counted in cells.items():
        curve = reliability_curve(counted)
        line = by_gid(figure, f"reliability:{name}")
        np.testing.assert_array_equal(line.get_xdata(), curve["predicted"])
        np.testing.assert_array_equal(line.get_ydata(), curve["observed"])
        assert f"{name}, calibration error {calibration_error(curve):.3f}" in words(figure)
    for steps in figure.axes[1].patches:
        assert steps.get_data().values.sum() == pytest.approx(1)


def test_precision_and_recall_at_the_chosen_threshold_are_marked(cells, predicted):
    probabilities, truth = predicted
    figure = precision_recall_figure(cells, THRESHOLDS, DATA)
    for name, threshold in THRESHOLDS.items():
        point = by_gid(figure, f"chosen:{name}")
        marked = probabilities[name] >= threshold
        both = (marked & truth).sum()
        # Within the pixels of one cell of probability.
        assert point.get_xdata()[0] == pytest.approx(both / truth.sum(), abs=2e-3)
        assert point.get_ydata()[0] == pytest.approx(both / marked.sum(), abs=2e-3)
        average = probability_scores(cells[name])["pooled_average_precision"]
        assert f"{name}, average precision {average:.3f}" in words(figure)
        assert f"{name} at its threshold, {threshold}" in words(figure)
    assert f"without a look at the film, {truth.mean():.3f}" in words(figure)


def test_the_sweep_is_drawn_with_the_threshold_chosen_on_validation(predicted):
    probabilities, truth = predicted
    limits = np.arange(1, 10) / 10
    sweeps = {name: threshold_sweep(p, truth, limits) for name, p in probabilities.items()}
    figure = threshold_figure(sweeps, THRESHOLDS, DATA)
    for name, sweep in sweeps.items():
        for measure in ("film_dice", "pooled_iou", "sensitivity", "precision"):
            line = by_gid(figure, f"{measure}:{name}")
            np.testing.assert_array_equal(line.get_ydata(), sweep[measure])
            np.testing.assert_array_equal(line.get_xdata(), limits)
        assert by_gid(figure, f"chosen:{name}").get_xdata() == [THRESHOLDS[name]] * 2
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["SegNet, threshold 0.35", "DeepLabV3, threshold 0.6"]


def test_nothing_is_cut_off_and_no_text_lies_on_another(cells, predicted):
    probabilities, truth = predicted
    sweeps = {name: threshold_sweep(p, truth, [0.2, 0.8]) for name, p in probabilities.items()}
    figures = [
        reliability_figure(cells, DATA),
        precision_recall_figure(cells, THRESHOLDS, DATA),
        threshold_figure(sweeps, THRESHOLDS, DATA),
    ]
    for figure in figures:
        figure.draw_without_rendering()
        page = figure.get_tightbbox()
        width, height = figure.get_size_inches()
        assert page.x0 >= 0 and page.y0 >= 0 and page.x1 <= width and page.y1 <= height
        (legend,) = figure.legends
        for axes in figure.axes:
            assert not legend.get_window_extent().overlaps(axes.get_tightbbox())


def test_the_same_probabilities_give_the_same_files(cells, tmp_path):
    for folder in ("a", "b"):
        figure = precision_recall_figure(cells, THRESHOLDS, DATA)
        save_figure(figure, "curve", "Precision and recall.", tmp_path / folder)
    for suffix in ("png", "svg"):
        first, second = (tmp_path / folder / f"curve.{suffix}" for folder in "ab")
        assert first.read_bytes() == second.read_bytes()
