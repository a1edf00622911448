"""Scores: by hand, compared with scikit-learn, and the policy on empty masks."""

import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sk

from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.metrics import (
    array_spacing,
    baseline_predictions,
    count_pixels,
    empty_mask_note,
    image_scores,
    pooled_scores,
    score_images,
    score_masks,
    summary,
)
from pneumo_keras.evaluation.regions import boundary_scores, lesion_scores

BETTER_HIGH = ["iou", "dice", "sensitivity", "precision", "surface_dice", "boundary_iou"]
BETTER_LOW = ["hd95", "assd"]
pairs = st.integers(1, 4).flatmap(
    lambda images: st.tuples(*[arrays(bool, (images, 4, 5), elements=st.booleans())] * 2)
)


def counts(*rows):
    return pd.DataFrame(rows, columns=["tp", "fp", "fn", "tn"])


def listed(count):
    names = [f"image {i}" for i in range(count)]
    return pd.DataFrame({"name": names, "patient": "7", "group": "virus"})


def example(count=4, size=32):
    """Probabilities and masks; the first image is without the target."""
    reference = np.zeros((count, size, size), bool)
    reference[1:, 5:20, 8:18] = True
    noise = 0.4 * np.random.default_rng(0).random(reference.shape)
    return np.clip(0.7 * reference + noise, 0, 1).astype(np.float32), reference


# === Overlap ===


def test_scores_by_hand_of_an_image_and_pooled():
    scores = image_scores(counts((6, 2, 4, 88))).loc[0]
    assert (scores["accuracy"], scores["iou"], scores["dice"]) == (0.94, 0.5, 12 / 18)
    shares = scores[["reference_share", "predicted_share", "area_error"]]
    assert shares.tolist() == pytest.approx([0.1, 0.08, -0.02])
    both = summary(counts((90, 0, 0, 10), (0, 0, 10, 90)))  # a large lesion found, a small missed
    assert (both["pooled_iou"], both["image_iou"]) == (0.9, 0.5)
    assert (both["pooled_accuracy"], both["pooled_dice"]) == (0.95, 180 / 190)


def test_scores_are_those_of_scikit_learn():
    random = np.random.default_rng(0)
    reference, predicted = random.random((5, 9, 7)) < 0.3, random.random((5, 9, 7)) < 0.4
    table = count_pixels(reference, predicted)
    rows = [*image_scores(table).to_dict("records"), pooled_scores(table)]
    for row, y, p in zip(rows, [*reference, reference], [*predicted, predicted], strict=True):
        y, p = y.ravel(), p.ravel()
        assert row["iou"] == pytest.approx(sk.jaccard_score(y, p))
        assert row["dice"] == pytest.approx(sk.f1_score(y, p))
        assert row["accuracy"] == pytest.approx(sk.accuracy_score(y, p))
        assert row["sensitivity"] == pytest.approx(sk.recall_score(y, p))
        assert row["specificity"] == pytest.approx(sk.recall_score(~y, ~p))
        assert row["precision"] == pytest.approx(sk.precision_score(y, p))


# === The table ===


def test_each_row_is_what_its_image_alone_says():
    probabilities, reference = example()
    images = listed(4).set_index(pd.Index([9, 3, 5, 1]))
    table = score_images(probabilities, reference, 0.75, images)
    assert table["name"].tolist() == images["name"].tolist()
    assert table.index.tolist() == [0, 1, 2, 3]
    rows = zip(table.to_dict("records"), probabilities, reference, strict=True)
    for row, probability, mask in rows:
        marked = probability >= 0.75
        for name, value in (boundary_scores(mask, marked) | lesion_scores(mask, marked)).items():
            assert row[name] == pytest.approx(value, nan_ok=True), name
        assert row["tp"] == (mask & marked).sum() and row["fp"] == (~mask & marked).sum()
        assert row["peak"] == probability.max() and row["unit"] == "px"
        y, p = mask.ravel(), probability.ravel().astype(float)
        assert row["brier"] == pytest.approx(sk.brier_score_loss(y, p, labels=[0, 1]))
    at_threshold = np.full((1, 2, 2), 0.3, np.float32)
    assert score_images(at_threshold, at_threshold > 0, 0.3, listed(1))["tp"].tolist() == [4]
    masks = score_masks(probabilities >= 0.75, reference.astype(np.uint8), images)
    assert masks[["brier", "peak"]].isna().all(axis=None)
    pd.testing.assert_frame_equal(masks.iloc[:, :-2], table.iloc[:, :-2])


def test_distances_are_in_millimetres_where_the_spacing_is_known():
    reference = example()[1]
    shifted = np.roll(reference, 3, axis=1)
    spacing = np.array([[1.0, 1.0], [0.5, 0.5], [2.0, 0.1], [1.0, 1.0]])
    pixels = score_masks(shifted, reference, listed(4))
    in_mm = score_masks(shifted, reference, listed(4), spacing)
    assert summary(in_mm)["unit"] == "mm" and summary(pixels)["unit"] == "px"
    assert pixels["hd95"].tolist()[1:] == [3, 3, 3]
    assert in_mm["hd95"].tolist()[1:] == [1.5, 6, 3]  # 3 pixels down, each as high as given
    with pytest.raises(StudyError, match="mm and px"):
        summary(pd.concat([pixels, in_mm]))


def test_spacing_of_the_arrays_is_that_of_the_image_times_how_much_it_shrank():
    index = pd.DataFrame({"height": [1000, 500], "width": [800, 500]})
    index = index.assign(spacing_row_mm=[0.1, 0.2], spacing_column_mm=[0.1, 0.3])
    assert array_spacing(index, 100) == pytest.approx(np.array([[1.0, 0.8], [1.0, 1.5]]))
    assert array_spacing(index, 100, True) == pytest.approx(np.array([[1.0, 1.0], [1.0, 1.5]]))
    assert array_spacing(index.assign(spacing_row_mm=[0.1, np.nan]), 100) is None


def wrong_at_image_2(value):
    probabilities, reference = example()
    probabilities[2, 3, 4] = value
    return probabilities, reference, 0.5, listed(4)


P, Y = example()
SPACING = np.array([[1, 1], [1, 1], [np.nan, 1], [1, 1]])


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        *(("image 2", wrong_at_image_2(value)) for value in (1.5, -0.1, np.nan)),
        ("image 0", (np.full(Y.shape, 255, np.uint8), Y, 0.5, listed(4))),
        ("image 1", (P, Y * 255, 0.5, listed(4))),
        ("image 0", (P, Y[:, 1:], 0.5, listed(4))),
        ("image 3", (P, [*Y[:3], Y[3][:, :9]], 0.5, listed(4))),
        ("image 0", (P[..., None], Y[..., None], 0.5, listed(4))),
        ("image 1 is listed twice", (P, Y, 0.5, listed(4).replace("image 3", "image 1"))),
        ("3 predictions", (P[:3], Y, 0.5, listed(4))),
        ("2 masks", (P, Y[:2], 0.5, listed(4))),
        ("3 images", (P, Y, 0.5, listed(3))),
        ("no image", (P[:0], Y[:0], 0.5, listed(0))),
        ("image 0 has no patient", (P, Y, 0.5, listed(4).assign(patient=None))),
        ("group", (P, Y, 0.5, listed(4).drop(columns="group"))),
        *(("threshold", (P, Y, limit, listed(4))) for limit in (0.0, -1.0, 1.1, np.nan)),
        ("image 2", (P, Y, 0.5, listed(4), SPACING)),
        ("spacing", (P, Y, 0.5, listed(4), SPACING[:2])),
    ],
)
def test_what_cannot_be_scored_is_refused(words, arguments):
    with pytest.raises(StudyError, match=words):
        score_images(*arguments)


# === Empty masks ===


def test_empty_masks_by_the_stated_policy():
    table = counts(
        (10, 0, 10, 80),  # found: IoU 1/2, Dice 2/3
        (0, 0, 20, 80),  # missed
        (0, 5, 20, 75),  # marked elsewhere: 0, but not missed
        (0, 0, 0, 100),  # rightly left alone
        (0, 30, 0, 70),  # falsely marked
    )
    result = summary(table)
    assert result["image_iou"] == pytest.approx(0.5 / 3)
    assert result["image_dice"] == pytest.approx(2 / 3 / 3)
    assert result["image_precision"] == pytest.approx(1 / 3)
    assert (result["images"], result["images_with_target"], result["missed"]) == (5, 3, 1)
    assert (result["images_without_target"], result["falsely_marked"]) == (2, 1)
    assert result["false_share"] == pytest.approx(0.15)
    assert result["all_images_iou"] == pytest.approx(1.5 / 5)
    assert result["all_images_dice"] == pytest.approx((2 / 3 + 1) / 5)
    assert result["image_area_error"] == pytest.approx((-0.1 - 0.2 - 0.15 + 0 + 0.3) / 5)
    assert result["pooled_iou"] == pytest.approx(10 / (10 + 35 + 50))
    said = empty_mask_note(table).split("Here")[1]
    assert re.findall(r"\d+", said) == ["3", "1", "2", "1"]


def test_scores_are_missing_where_they_are_undefined():
    scores = image_scores(counts((0, 0, 0, 9), (0, 9, 0, 0), (0, 0, 9, 0)))
    for name in ("iou", "dice", "sensitivity", "precision"):
        assert scores[name].isna().tolist() == [True, True, False]
    assert scores["precision"].tolist()[2] == 0  # nothing predicted: 0, not left out
    assert scores["accuracy"].tolist() == [1, 0, 0]
    assert scores["specificity"].isna().tolist() == [False, False, True]
    assert math.isnan(summary(counts((1, 1, 1, 1)))["false_share"])


def test_without_any_target_the_means_are_missing_and_the_rest_is_there():
    reference = np.zeros((3, 16, 16), bool)
    scores = summary(score_masks(reference, reference, listed(3)))
    assert {name for name, value in scores.items() if pd.isna(value)} == {
        *("pooled_iou", "pooled_dice", "pooled_sensitivity", "pooled_precision", "image_brier"),
        *(f"image_{name}" for name in BETTER_HIGH + BETTER_LOW),
        *("lesion_f1_10", "lesion_f1_50", "lesion_sensitivity_10", "lesion_sensitivity_50"),
        *("detection_auroc_area", "detection_auroc_peak", "detection_sensitivity"),
    }
    assert scores["all_images_dice"] == scores["pooled_accuracy"] == 1
    assert scores["detection_specificity"] == 1 and scores["false_share"] == 0


@settings(max_examples=60, deadline=None)
@given(pairs, st.data())
def test_missing_a_lesion_never_improves_a_mean(masks, data):
    reference, predicted = masks
    missed = data.draw(st.integers(0, len(reference) - 1))
    nothing = predicted.copy()
    nothing[missed] = False
    images = listed(len(reference))
    before = summary(score_masks(predicted, reference, images))
    after = summary(score_masks(nothing, reference, images))
    for names, sign in ((BETTER_HIGH, 1), (BETTER_LOW, -1)):
        for name in names:
            one, other = before[f"image_{name}"], after[f"image_{name}"]
            assert np.isnan(one) == np.isnan(other)
            assert not sign * other > sign * one + 1e-9, name


# === Baselines ===


def test_baselines_by_hand():
    """Of four training images: pixel 0 marked in all, 1 in three, 2 in one, 3 in none.

    The best fixed mask by pooled IoU is [0]: 4/8, [0, 1]: 7/(8+1), [0, 1, 2]: 8/(8+4).
    """
    training = np.array([[[1, 1, 0, 0]], [[1, 1, 0, 0]], [[1, 1, 0, 0]], [[1, 0, 1, 0]]], np.uint8)
    baselines = baseline_predictions(training, 2)
    assert baselines["nothing"].tolist() == [[[False] * 4]] * 2
    assert baselines["everything"].tolist() == [[[True] * 4]] * 2
    assert baselines["mean training mask"].tolist() == [[[True, True, False, False]]] * 2


@settings(max_examples=40, deadline=None)
@given(arrays(bool, (4, 3, 3), elements=st.booleans()))
def test_no_threshold_on_the_mean_mask_beats_the_baseline_on_the_training_images(masks):
    def pooled(predicted):
        return pooled_scores(count_pixels(masks, np.broadcast_to(predicted, masks.shape)))["iou"]

    baseline = baseline_predictions(masks, 1)["mean training mask"][0]
    assert baseline.any() == masks.any()
    if masks.any():
        best = max(pooled(masks.mean(axis=0) >= share) for share in (0.25, 0.5, 0.75, 1))
        assert pooled(baseline) >= best - 1e-12
