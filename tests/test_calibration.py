"""Calibration, precision and recall, and the sweep, compared with scikit-learn and by counting."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.calibration import (
    HISTOGRAM_BINS,
    MAX_LOGIT,
    calibration_error,
    pixel_histogram,
    precision_recall,
    probability_scores,
    reliability_curve,
    threshold_sweep,
)
from pneumo_keras.evaluation.metrics import count_pixels, image_scores, pooled_scores


def predicted(seed=0, images=3, side=64):
    """Probabilities of which the square is the true share, so that they are overconfident."""
    random = np.random.default_rng(seed)
    probabilities = random.random((images, side, side)) ** 2
    reference = random.random(probabilities.shape) < probabilities**2
    return probabilities.astype(np.float32), reference


def one_per_bin(seed=0, count=1500):
    """At most one pixel a bin, so that the histogram loses nothing."""
    random = np.random.default_rng(seed)
    bins = (random.permutation(HISTOGRAM_BINS)[:count] + 0.5) / HISTOGRAM_BINS
    probabilities = expit(MAX_LOGIT * (2 * bins - 1))
    return probabilities.reshape(1, 30, -1), (random.random(count) < 0.3).reshape(1, 30, -1)


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_scikit_learn(seed):
    probabilities, reference = predicted(seed)
    scores = probability_scores(pixel_histogram(probabilities, reference))
    y, p = reference.ravel(), probabilities.ravel().astype(float)
    assert scores["pooled_brier"] == pytest.approx(sk.brier_score_loss(y, p), rel=1e-12)
    assert scores["pooled_target_share"] == y.mean()
    expected = sk.average_precision_score(y, p)
    assert scores["pooled_average_precision"] == pytest.approx(expected, abs=1e-3)
    # Sure of every pixel: all probabilities below 0.0001 still rank them.
    sure = probability_scores(pixel_histogram(probabilities * 1e-4, reference))
    assert sure["pooled_average_precision"] == pytest.approx(expected, abs=1e-3)
    sure = probability_scores(pixel_histogram([[[0.0, 1.0]]], [[[0, 1]]]))
    assert sure["pooled_brier"] == 0 and sure["pooled_average_precision"] == 1
    probabilities, reference = one_per_bin(seed)
    scores = probability_scores(pixel_histogram(probabilities, reference))
    expected = sk.average_precision_score(reference.ravel(), probabilities.ravel())
    assert scores["pooled_average_precision"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_reliability_is_that_of_scikit_learn(seed):
    probabilities, reference = one_per_bin(seed)
    curve = reliability_curve(pixel_histogram(probabilities, reference))
    observed, mean = calibration_curve(
        reference.ravel(), probabilities.ravel(), n_bins=15, strategy="quantile"
    )
    assert curve["pixels"].tolist() == [100] * 15
    np.testing.assert_allclose(curve["predicted"], mean)
    np.testing.assert_allclose(curve["observed"], observed)
    assert calibration_error(curve) == pytest.approx(np.abs(observed - mean).mean())


def test_a_constant_prediction_with_and_without_the_target():
    """0.3 everywhere, a quarter marked: off by 0.05, average precision the share itself."""
    reference = np.array([[[1, 0], [0, 0]]], bool)
    histogram = pixel_histogram(np.full((1, 2, 2), 0.3), reference)
    assert len(reliability_curve(histogram)) == 1
    scores = probability_scores(histogram)
    assert scores["pooled_calibration_error"] == pytest.approx(0.05)
    assert scores["pooled_average_precision"] == 0.25
    assert scores["pooled_brier"] == pytest.approx((0.49 + 3 * 0.09) / 4)
    empty = pixel_histogram(np.full((1, 2, 2), 0.3), ~reference & reference)
    assert np.isnan(probability_scores(empty)["pooled_average_precision"])
    with pytest.raises(StudyError, match="target"):
        precision_recall(empty)


def test_precision_and_recall_are_those_at_the_threshold():
    probabilities, reference = one_per_bin()
    curve = precision_recall(pixel_histogram(probabilities, reference))
    y, p = reference.ravel(), probabilities.ravel()
    for row in curve.iloc[::97].itertuples():
        assert row.precision == pytest.approx(sk.precision_score(y, p >= row.threshold))
        assert row.recall == pytest.approx(sk.recall_score(y, p >= row.threshold))


# === The sweep ===


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, (3, 4, 4), elements=st.sampled_from([0, 0.1, 0.15, 0.3, 0.45, 0.7, 1])),
    arrays(bool, (3, 4, 4), elements=st.booleans()),
    st.sampled_from([np.float32, np.float64]),
)
def test_the_sweep_is_the_scores_at_each_threshold(probabilities, reference, dtype):
    """Pixels exactly at a threshold are marked there, as the segmenter marks them."""
    probabilities = probabilities.astype(dtype)
    for row in threshold_sweep(probabilities, reference, [0.1, 0.15, 0.3, 0.5, 1]).itertuples():
        counts = count_pixels(reference, probabilities >= float(row.threshold))
        pooled = pooled_scores(counts)
        expected = [image_scores(counts)["dice"].mean()]
        expected += [pooled[name] for name in ("dice", "iou", "sensitivity", "precision")]
        np.testing.assert_allclose(list(row)[2:], expected)


@pytest.mark.parametrize("thresholds", [[], [0.5, 0.5], [0.6, 0.4], [0, 0.5]])
def test_thresholds_that_do_not_rise_are_refused(thresholds):
    with pytest.raises(StudyError, match="threshold"):
        threshold_sweep(*predicted(images=1), thresholds)


@pytest.mark.parametrize("function", [pixel_histogram, lambda p, y: threshold_sweep(p, y, [0.5])])
def test_bad_probabilities_are_refused(function):
    probabilities, reference = predicted()
    for wrong in (np.nan, 1.01, -0.01):
        broken = probabilities.copy()
        broken[1, 2, 3] = wrong
        with pytest.raises(StudyError, match="number 2"):
            function(broken, reference)
    with pytest.raises(StudyError, match="number 1"):
        function(probabilities[:, 1:], reference)
    with pytest.raises(StudyError, match="2 predictions"):
        function(probabilities[:2], reference)
