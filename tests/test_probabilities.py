"""Calibration, precision and recall, and the sweep: held to scikit-learn and to plain counting."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    precision_score,
    recall_score,
)

from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.scores import count_pixels, film_scores, pooled_scores
from pneumo_keras.evaluation.scores.probabilities import (
    CELLS,
    REACH,
    calibration_error,
    pixel_cells,
    precision_recall,
    probability_scores,
    reliability_curve,
    threshold_sweep,
)
from pneumo_keras.training.outcome import CANDIDATES, choose_threshold


def predicted(seed=0, films=3, side=64, dtype=np.float32):
    """Probabilities of which the square is the true share, so that they are overconfident."""
    random = np.random.default_rng(seed)
    probabilities = random.random((films, side, side)) ** 2
    return probabilities.astype(dtype), random.random(probabilities.shape) < probabilities**2


def on_cells(seed=0, count=1500):
    """One pixel a cell at most, so that the cells lose nothing."""
    random = np.random.default_rng(seed)
    cells = (random.permutation(CELLS)[:count] + 0.5) / CELLS
    probabilities = expit(REACH * (2 * cells - 1))
    return probabilities.reshape(1, 30, -1), (random.random(count) < 0.3).reshape(1, 30, -1)


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_scikit_learn(seed):
    probabilities, truth = predicted(seed)
    scores = probability_scores(pixel_cells(probabilities, truth))
    y, p = truth.ravel(), probabilities.ravel().astype(float)
    assert scores["pooled_brier"] == pytest.approx(brier_score_loss(y, p), rel=1e-12)
    assert scores["pooled_target_share"] == y.mean()
    expected = average_precision_score(y, p)
    assert scores["pooled_average_precision"] == pytest.approx(expected, abs=1e-3)
    probabilities, truth = on_cells(seed)
    scores = probability_scores(pixel_cells(probabilities, truth))
    expected = average_precision_score(truth.ravel(), probabilities.ravel())
    assert scores["pooled_average_precision"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_reliability_is_that_of_scikit_learn(seed):
    probabilities, truth = on_cells(seed)
    curve = reliability_curve(pixel_cells(probabilities, truth), bins=15)
    observed, mean = calibration_curve(
        truth.ravel(), probabilities.ravel(), n_bins=15, strategy="quantile"
    )
    assert curve["pixels"].tolist() == [100] * 15
    np.testing.assert_allclose(curve["predicted"], mean)
    np.testing.assert_allclose(curve["observed"], observed)
    assert calibration_error(curve) == pytest.approx(np.abs(observed - mean).mean())


def test_a_network_that_is_sure_of_every_pixel_is_ranked_as_finely():
    """All probabilities below 0.0001: they still tell the target from the rest."""
    probabilities, truth = predicted(2)
    expected = average_precision_score(truth.ravel(), probabilities.ravel())
    scores = probability_scores(pixel_cells(probabilities * 1e-4, truth))
    assert scores["pooled_average_precision"] == pytest.approx(expected, abs=1e-3)


def test_calibration_error_of_many_pixels_is_that_of_sorted_pixels():
    probabilities, truth = predicted(films=8)
    order = np.argsort(probabilities, axis=None)
    bins = zip(
        np.array_split(probabilities.ravel()[order].astype(float), 15),
        np.array_split(truth.ravel()[order], 15),
        strict=True,
    )
    expected = sum(len(p) * abs(y.mean() - p.mean()) for p, y in bins) / truth.size
    curve = reliability_curve(pixel_cells(probabilities, truth))
    assert calibration_error(curve) == pytest.approx(expected, abs=1e-3)
    assert expected > 0.1  # truth is rarer than said


def test_calibrated_probabilities_lie_on_the_diagonal():
    random = np.random.default_rng(0)
    probabilities = random.random((4, 128, 128))
    truth = random.random(probabilities.shape) < probabilities
    assert calibration_error(reliability_curve(pixel_cells(probabilities, truth))) < 0.01


def test_a_constant_prediction_is_one_bin():
    """0.3 everywhere, a quarter marked: off by 0.05, average precision the share itself."""
    truth = np.array([[[1, 0], [0, 0]]], bool)
    cells = pixel_cells(np.full((1, 2, 2), 0.3), truth)
    assert len(reliability_curve(cells)) == 1
    scores = probability_scores(cells)
    assert scores["pooled_calibration_error"] == pytest.approx(0.05)
    assert scores["pooled_average_precision"] == 0.25
    assert scores["pooled_brier"] == pytest.approx((0.49 + 3 * 0.09) / 4)


def test_zero_and_one_are_probabilities():
    scores = probability_scores(pixel_cells(np.array([[[0.0, 1.0]]]), np.array([[[0, 1]]])))
    assert scores["pooled_brier"] == scores["pooled_calibration_error"] == 0
    assert scores["pooled_average_precision"] == 1


def test_precision_and_recall_are_those_at_the_threshold():
    probabilities, truth = on_cells()
    curve = precision_recall(pixel_cells(probabilities, truth))
    y, p = truth.ravel(), probabilities.ravel()
    for row in curve.iloc[::97].itertuples():
        marked = p >= row.threshold
        assert row.precision == pytest.approx(precision_score(y, marked))
        assert row.recall == pytest.approx(recall_score(y, marked))


def test_without_the_target_average_precision_is_missing_and_the_curve_refused():
    cells = pixel_cells(np.full((1, 4, 4), 0.2), np.zeros((1, 4, 4), bool))
    assert np.isnan(probability_scores(cells)["pooled_average_precision"])
    with pytest.raises(StudyError, match="no film has the target"):
        precision_recall(cells)


# === The sweep ===


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, (3, 4, 4), elements=st.sampled_from([0, 0.1, 0.15, 0.3, 0.45, 0.7, 1])),
    arrays(bool, (3, 4, 4), elements=st.booleans()),
    st.sampled_from([np.float32, np.float64]),
)
def test_the_sweep_is_the_scores_at_each_threshold(probabilities, truth, dtype):
    """Pixels exactly at a threshold are marked there, as the segmenter marks them."""
    probabilities = probabilities.astype(dtype)
    sweep = threshold_sweep(probabilities, truth, [0.1, 0.15, 0.3, 0.5, 1])
    for row in sweep.itertuples():
        counts = count_pixels(truth, probabilities >= float(row.threshold))
        pooled = pooled_scores(counts)
        expected = [film_scores(counts)["dice"].mean()]
        expected += [pooled[name] for name in ("dice", "iou", "sensitivity", "precision")]
        np.testing.assert_allclose(list(row)[2:], expected)


def test_the_threshold_chosen_on_validation_is_the_best_of_the_sweep():
    probabilities, truth = predicted(1)
    sweep = threshold_sweep(probabilities, truth, CANDIDATES)
    best = sweep.loc[sweep["film_dice"].idxmax(), "threshold"]
    assert choose_threshold(probabilities, truth, "validation") == pytest.approx(best)


@pytest.mark.parametrize("thresholds", [[], [0.5, 0.5], [0.6, 0.4], [0, 0.5]])
def test_thresholds_that_do_not_rise_are_refused(thresholds):
    with pytest.raises(StudyError, match="threshold"):
        threshold_sweep(*predicted(films=1), thresholds)


@pytest.mark.parametrize("function", [pixel_cells, lambda p, y: threshold_sweep(p, y, [0.5])])
def test_bad_probabilities_are_refused(function):
    probabilities, truth = predicted()
    for wrong in (np.nan, 1.01, -0.01):
        broken = probabilities.copy()
        broken[1, 2, 3] = wrong
        with pytest.raises(StudyError, match="number 2"):
            function(broken, truth)
    with pytest.raises(StudyError, match="number 1.*differ"):
        function(probabilities[:, 1:], truth)
    with pytest.raises(StudyError, match="2 predictions for 3 masks"):
        function(probabilities[:2], truth)


def test_cells_of_two_sets_of_films_are_those_of_both():
    """No pixel is lost: counts add up to the films' size."""
    probabilities, truth = predicted()
    cells = pixel_cells(probabilities, truth)
    assert cells["target"].sum() == truth.sum()
    assert cells["target"].sum() + cells["other"].sum() == truth.size
    assert isinstance(cells, pd.DataFrame) and cells["probability"].is_monotonic_increasing
