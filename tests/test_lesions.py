"""Lesions and detection: by hand, held to SciPy, scikit-image and scikit-learn."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.measure import label
from sklearn.metrics import roc_auc_score

from pneumo_keras.evaluation.scores.film_level import detection_scores
from pneumo_keras.evaluation.scores.lesions import lesion_scores, lesion_summary

masks = arrays(bool, (8, 8), elements=st.booleans())


def film(*boxes, shape=(256, 256)):
    """A mask with boxes given as top, left, height, width."""
    mask = np.zeros(shape, bool)
    for top, left, height, width in boxes:
        mask[top : top + height, left : left + width] = True
    return mask


def found(scores):
    return [scores[name] for name in ("lesions", "lesions_found_10", "lesions_found_50")]


def false(scores):
    return [scores[name] for name in ("lesions_predicted", "false_lesions_10", "false_lesions_50")]


# === By hand ===


def test_one_found_one_half_found_one_missed_one_made_up():
    truth = film((10, 10, 20, 20), (10, 100, 20, 20), (100, 10, 20, 20))
    predicted = film((10, 10, 20, 20), (10, 110, 20, 20), (200, 200, 10, 10))
    scores = lesion_scores(truth, predicted)  # the second overlaps by 200 of 600: IoU 1/3
    assert found(scores) == [3, 2, 1] and false(scores) == [3, 1, 2]


def test_the_limit_itself_is_not_enough():
    truth, predicted = film((0, 0, 10, 15)), film((0, 5, 10, 15))  # 100 of 200
    assert found(lesion_scores(truth, predicted)) == [1, 1, 0]
    assert found(lesion_scores(truth, predicted | film((0, 0, 1, 5)))) == [1, 1, 1]


def test_pieces_of_a_lesion_find_it_once_and_a_bridge_finds_both():
    truth = film((0, 0, 20, 100))
    pieces = film((0, 0, 20, 30), (0, 40, 20, 30))
    scores = lesion_scores(truth, pieces)
    assert found(scores) == [1, 1, 0] and false(scores) == [2, 0, 2]
    scores = lesion_scores(pieces, truth)
    assert found(scores) == [2, 2, 0] and false(scores) == [1, 0, 1]


def test_corners_connect():
    truth = film((0, 0, 10, 10), (10, 10, 10, 10))
    assert lesion_scores(truth, truth)["lesions"] == 1


def test_specks_are_no_lesions():
    """Less than 10 pixels at 256×256, 40 at 512×512."""
    nine, ten, nothing = film((0, 0, 3, 3)), film((0, 0, 2, 5)), film()
    assert found(lesion_scores(nine, nothing))[0] == false(lesion_scores(nothing, nine))[0] == 0
    assert found(lesion_scores(ten, nothing))[0] == false(lesion_scores(nothing, ten))[0] == 1
    large = film((0, 0, 3, 13), shape=(512, 512))
    assert lesion_scores(large, large)["lesions"] == 0


def test_a_lesion_predicted_on_a_true_speck_is_not_false():
    nine, ten = film((0, 0, 3, 3)), film((0, 0, 3, 4))
    scores = lesion_scores(nine, ten)
    assert found(scores) == [0, 0, 0] and false(scores) == [1, 0, 0]


@pytest.mark.parametrize("truth, predicted", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_empty_and_full_masks(truth, predicted):
    scores = lesion_scores(np.full((64, 64), truth, bool), np.full((64, 64), predicted, bool))
    both = truth * predicted
    assert found(scores) == [truth, both, both]
    assert false(scores) == [predicted, predicted - both, predicted - both]


def test_lesions_of_all_films_together():
    """7 lesions on 3 films, 4 found, 2 false: F1 = 8 / (8 + 2 + 3)."""
    table = pd.DataFrame(
        {
            "lesions": [4, 3, 0],
            "lesions_found_10": [3, 1, 0],
            "lesions_found_50": [0, 0, 0],
            "false_lesions_10": [0, 0, 2],
            "false_lesions_50": [3, 1, 2],
        }
    )
    scores = lesion_summary(table)
    assert scores["lesion_count"] == 7
    assert scores["lesion_f1_10"] == pytest.approx(8 / 13)
    assert scores["lesion_sensitivity_10"] == pytest.approx(4 / 7)
    assert scores["lesion_false_per_film_10"] == pytest.approx(2 / 3)
    assert scores["lesion_f1_50"] == 0 and scores["lesion_false_per_film_50"] == 2
    none = lesion_summary(0 * table)
    assert math.isnan(none["lesion_f1_10"]) and math.isnan(none["lesion_sensitivity_10"])


# === Held to others ===


@settings(max_examples=100, deadline=None)
@given(masks, masks)
def test_lesions_are_those_of_scipy_and_scikit_image(truth, predicted):
    scores = lesion_scores(truth, predicted)  # at 8×8 one pixel is a lesion
    of_truth, count = ndimage.label(truth, np.ones((3, 3)))
    of_predicted = label(predicted, connectivity=2)
    assert (scores["lesions"], scores["lesions_predicted"]) == (count, of_predicted.max())
    iou = np.zeros((count, of_predicted.max()))
    for i, j in np.ndindex(iou.shape):
        one, other = of_truth == i + 1, of_predicted == j + 1
        iou[i, j] = (one & other).sum() / (one | other).sum()
    for suffix, limit in (("10", 0.1), ("50", 0.5)):
        assert scores[f"lesions_found_{suffix}"] == (iou > limit).any(axis=1).sum()
        assert scores[f"false_lesions_{suffix}"] == (~(iou > limit).any(axis=0)).sum()


@settings(max_examples=100, deadline=None)
@given(masks, masks, st.sampled_from(["10", "50"]), st.data())
def test_losing_what_found_a_lesion_never_improves_lesion_scores(truth, predicted, suffix, data):
    labels, count = ndimage.label(predicted, np.ones((3, 3)))
    of_truth, _ = ndimage.label(truth, np.ones((3, 3)))
    limit = int(suffix) / 100
    matching = [
        number
        for number in range(1, count + 1)
        for other in np.unique(of_truth[(labels == number) & truth])
        if ((labels == number) & (of_truth == other)).sum()
        > limit * ((labels == number) | (of_truth == other)).sum()
    ]
    lost = data.draw(st.sets(st.sampled_from(matching))) if matching else set()
    less = predicted & ~np.isin(labels, list(lost))
    before, after = (
        lesion_summary(pd.DataFrame([lesion_scores(truth, marked)])) for marked in (predicted, less)
    )
    for name in (f"lesion_f1_{suffix}", f"lesion_sensitivity_{suffix}"):
        assert not after[name] > before[name]


# === Detection ===


def test_detection_is_that_of_scikit_learn():
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "truth_share": random.choice([0, 0.1], 60),
            "predicted_share": random.choice([0, 0.01, 0.02, 0.3], 60),
            "lesions_predicted": random.integers(0, 2, 60),
            "peak": random.random(60),
        }
    )
    target = table["truth_share"] > 0
    scores = detection_scores(table)
    assert scores["detection_auroc_area"] == roc_auc_score(target, table["predicted_share"])
    assert scores["detection_auroc_peak"] == roc_auc_score(target, table["peak"])
    called = table["lesions_predicted"] > 0
    assert scores["detection_sensitivity"] == (called & target).sum() / target.sum()
    assert scores["detection_specificity"] == (~called & ~target).sum() / (~target).sum()


@pytest.mark.parametrize("share, absent", [(0.0, "sensitivity"), (0.2, "specificity")])
def test_detection_needs_films_with_the_target_and_without(share, absent):
    """No AUROC with films of one kind only; and no warning about it."""
    table = pd.DataFrame(
        {"truth_share": share, "predicted_share": [0, 0.1], "lesions_predicted": 1, "peak": 0.5}
    )
    scores = detection_scores(table)
    missing = {name for name, value in scores.items() if math.isnan(value)}
    assert missing == {"detection_auroc_area", "detection_auroc_peak", f"detection_{absent}"}
