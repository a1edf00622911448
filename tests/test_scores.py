"""Scores: counted by hand, held to scikit-learn, and the policy on empty masks."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    jaccard_score,
    precision_score,
    recall_score,
)

from pneumo_keras.dataset.films import read_film, read_mask, write_png
from pneumo_keras.evaluation.overlay import overlay
from pneumo_keras.evaluation.scores import (
    baseline_predictions,
    count_pixels,
    film_scores,
    pooled_scores,
    summary,
)
from pneumo_keras.evaluation.testing import (
    array_spacing,
    choose_examples,
    write_marked,
    write_predictions,
)

pairs = st.integers(1, 6).flatmap(
    lambda films: st.tuples(*[arrays(bool, (films, 4, 5), elements=st.booleans())] * 2)
)


def counts(*rows):
    return pd.DataFrame(rows, columns=["tp", "fp", "fn", "tn"])


def random_masks(films=5, seed=0):
    random = np.random.default_rng(seed)
    return random.random((films, 9, 7)) < 0.3, random.random((films, 9, 7)) < 0.4


def test_counts_by_hand():
    truth = np.array([[[1, 1, 1], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]]])
    predicted = np.array([[[1, 0, 0], [1, 1, 0]], [[0, 0, 0], [0, 0, 1]]])
    assert count_pixels(truth, predicted).values.tolist() == [[1, 2, 2, 1], [0, 1, 0, 5]]


def test_film_scores_by_hand():
    scores = film_scores(counts((6, 2, 4, 88)))
    assert scores["accuracy"].tolist() == [0.94]
    assert scores["iou"].tolist() == [0.5]
    assert scores["dice"].tolist() == [12 / 18]
    assert scores["sensitivity"].tolist() == [0.6]
    assert scores["specificity"].tolist() == [88 / 90]
    assert scores["precision"].tolist() == [0.75]
    shares = scores.loc[0, ["truth_share", "predicted_share", "area_error"]]
    assert shares.tolist() == pytest.approx([0.1, 0.08, -0.02])


def test_pooled_scores_are_not_the_mean_over_films():
    """A small lesion missed and a large one found: pooling forgives the small one."""
    both = counts((90, 0, 0, 10), (0, 0, 10, 90))
    pooled = pooled_scores(both)
    assert (pooled["accuracy"], pooled["iou"], pooled["dice"]) == (0.95, 0.9, 180 / 190)
    assert (pooled["sensitivity"], pooled["specificity"], pooled["precision"]) == (0.9, 1, 1)
    assert summary(both)["film_iou"] == 0.5
    assert summary(both)["pooled_iou"] == summary(both)["iou"] == 0.9


@pytest.mark.parametrize("seed", range(5))
def test_film_and_pooled_scores_are_those_of_scikit_learn(seed):
    truth, predicted = random_masks(seed=seed)
    scores = film_scores(count_pixels(truth, predicted))
    for row, y, p in zip(scores.itertuples(), truth, predicted, strict=True):
        y, p = y.ravel(), p.ravel()
        assert row.iou == pytest.approx(jaccard_score(y, p))
        assert row.dice == pytest.approx(f1_score(y, p))
        assert row.accuracy == pytest.approx(accuracy_score(y, p))
        assert row.sensitivity == pytest.approx(recall_score(y, p))
        assert row.specificity == pytest.approx(recall_score(~y, ~p))
        assert row.precision == pytest.approx(precision_score(y, p))
        assert [[row.tn, row.fp], [row.fn, row.tp]] == confusion_matrix(y, p).tolist()
    pooled = pooled_scores(count_pixels(truth, predicted))
    assert pooled["iou"] == pytest.approx(jaccard_score(truth.ravel(), predicted.ravel()))
    assert pooled["accuracy"] == pytest.approx(accuracy_score(truth.ravel(), predicted.ravel()))


# === Empty masks ===


def test_empty_masks_by_the_stated_policy():
    result = summary(
        counts(
            (10, 0, 10, 80),  # found: IoU 1/2, Dice 2/3
            (0, 0, 20, 80),  # missed
            (0, 5, 20, 75),  # marked elsewhere: 0, but not missed
            (0, 0, 0, 100),  # rightly left alone
            (0, 30, 0, 70),  # falsely marked
        )
    )
    assert result["film_iou"] == pytest.approx(0.5 / 3)
    assert result["film_dice"] == pytest.approx(2 / 3 / 3)
    assert (result["films"], result["films_with_target"], result["missed"]) == (5, 3, 1)
    assert (result["films_without_target"], result["falsely_marked"]) == (2, 1)
    assert result["false_share"] == pytest.approx(0.15)
    # Over all films: 1 for the film rightly left alone, 0 for the one falsely marked.
    assert result["all_films_iou"] == pytest.approx(1.5 / 5)
    assert result["all_films_dice"] == pytest.approx((2 / 3 + 1) / 5)
    assert result["film_area_error"] == pytest.approx((-0.1 - 0.2 - 0.15 + 0 + 0.3) / 5)
    assert result["film_absolute_area_error"] == pytest.approx(0.75 / 5)
    assert result["film_precision"] == pytest.approx(1 / 3)
    assert result["iou"] == pytest.approx(10 / (10 + 35 + 50))
    assert result["accuracy"] == pytest.approx((10 + 80 + 80 + 75 + 100 + 70) / 500)


def test_films_without_the_target_have_no_iou_and_no_dice():
    scores = film_scores(counts((0, 0, 0, 9), (0, 9, 0, 0), (0, 0, 9, 0)))
    assert scores["iou"].isna().tolist() == scores["dice"].isna().tolist() == [True, True, False]
    assert scores["sensitivity"].isna().tolist() == [True, True, False]
    assert scores["precision"].tolist()[2] == 0  # nothing predicted: 0, not left out
    assert scores["accuracy"].tolist() == [1, 0, 0]
    assert scores["specificity"].isna().tolist() == [False, False, True]


def test_without_any_target_the_means_are_missing_not_zero():
    result = summary(counts((0, 0, 0, 9), (0, 0, 0, 9)))
    assert all(math.isnan(result[name]) for name in ("film_iou", "film_dice", "iou"))
    assert result["accuracy"] == 1 and result["false_share"] == 0


def test_without_any_healthy_film_the_false_share_is_missing():
    assert math.isnan(summary(counts((1, 1, 1, 1)))["false_share"])


@settings(max_examples=100, deadline=None)
@given(pairs, st.data())
def test_missing_a_lesion_never_improves_the_mean(masks, data):
    """Neither all of a film's lesion nor any part of it, and whatever else is marked."""
    truth, predicted = masks
    film = data.draw(st.integers(0, len(truth) - 1))
    lost = data.draw(arrays(bool, truth[0].shape, elements=st.booleans()))
    before = summary(count_pixels(truth, predicted))
    nothing, less = predicted.copy(), predicted.copy()
    nothing[film] = False
    less[film] &= ~(lost & truth[film])
    for worse in (nothing, less):
        after = summary(count_pixels(truth, worse))
        assert after["films_with_target"] == before["films_with_target"]
        for mean in ("film_iou", "film_dice", "film_sensitivity", "film_precision"):
            assert math.isnan(after[mean]) == math.isnan(before[mean])
            assert not after[mean] > before[mean] + 1e-12


@settings(max_examples=60, deadline=None)
@given(pairs)
def test_dice_follows_from_iou_and_all_scores_are_shares(masks):
    scores = film_scores(count_pixels(*masks))
    assert (scores[["tp", "fp", "fn", "tn"]].sum(axis=1) == 20).all()
    marked = scores.dropna()
    np.testing.assert_allclose(marked["dice"], 2 * marked["iou"] / (1 + marked["iou"]))
    assert scores["accuracy"].between(0, 1).all()
    assert marked[["iou", "dice"]].ge(0).all(axis=None) and marked["dice"].le(1).all()


@pytest.mark.parametrize(
    "shapes", [((2, 3, 3), (3, 3, 3)), ((1, 3, 3), (1, 3, 4)), ((0, 3, 3),) * 2]
)
def test_shapes_that_differ_and_no_films_are_refused(shapes):
    with pytest.raises(ValueError, match="need one shape"):
        count_pixels(*(np.zeros(shape) for shape in shapes))


# === Baselines ===


def test_baselines_by_hand():
    """Of four training films: pixel 0 marked in all, 1 in three, 2 in one, 3 in none.

    The best fixed mask by pooled IoU is [0]: 4/8, [0, 1]: 7/(8+1), [0, 1, 2]: 8/(8+4).
    """
    training = np.array([[[1, 1, 0, 0]], [[1, 1, 0, 0]], [[1, 1, 0, 0]], [[1, 0, 1, 0]]], np.uint8)
    baselines = baseline_predictions(training, 2)
    assert baselines["nothing"].tolist() == [[[False] * 4]] * 2
    assert baselines["everything"].tolist() == [[[True] * 4]] * 2
    assert baselines["mean training mask"].tolist() == [[[True, True, False, False]]] * 2


@settings(max_examples=40, deadline=None)
@given(arrays(bool, (4, 3, 3), elements=st.booleans()))
def test_no_threshold_on_the_mean_mask_beats_the_baseline_on_the_training_films(masks):
    """By the scores' own pooled IoU, counted on the films themselves."""

    def pooled(predicted):
        return pooled_scores(count_pixels(masks, np.broadcast_to(predicted, masks.shape)))["iou"]

    baseline = baseline_predictions(masks, 1)["mean training mask"][0]
    if not masks.any():
        assert not baseline.any()
        return
    mean = masks.mean(axis=0)
    assert pooled(baseline) >= max(pooled(mean >= share) for share in (0.25, 0.5, 0.75, 1)) - 1e-12


# === What is written of them ===


def test_spacing_of_the_arrays_is_that_of_the_film_times_how_much_it_shrank():
    films = pd.DataFrame(
        {
            **{"height": [1000, 500], "width": [800, 500]},
            **{"spacing_row_mm": [0.1, 0.2], "spacing_column_mm": [0.1, 0.3]},
        }
    )
    assert array_spacing(films, 100) == pytest.approx(np.array([[1.0, 0.8], [1.0, 1.5]]))
    assert array_spacing(films, 100, True) == pytest.approx(np.array([[1.0, 1.0], [1.0, 1.5]]))
    assert array_spacing(films.assign(spacing_row_mm=[0.1, np.nan]), 100) is None


def test_examples_are_best_median_and_worst_of_all_networks_together():
    dice = {
        "SegNet": [0.9, 0.1, np.nan, 0.5, 0.6, 0.2],
        "DeepLabV3": [0.1, 0.3, np.nan, 0.7, 0.7, 0.3],
    }  # sums: 1.0, 0.4, -, 1.2, 1.3, 0.5
    scores = {network: pd.DataFrame({"dice": values}) for network, values in dice.items()}
    assert choose_examples(scores) == {"best": 4, "typical": 0, "worst": 1}


def test_overlay_keeps_the_grey_of_what_is_not_marked():
    film = np.random.default_rng(0).integers(0, 256, (40, 30), dtype=np.uint8)
    mask = np.zeros((40, 30), bool)
    mask[10:20, 5:15] = True
    picture = overlay(film, mask)
    np.testing.assert_array_equal(picture[~mask], np.repeat(film[~mask][:, None], 3, axis=1))
    inside, rim = (slice(11, 19), slice(6, 14)), (10, slice(5, 15))
    expected = np.floor(0.55 * film[inside][..., None] + 0.45 * np.array([0, 158, 115]))
    np.testing.assert_allclose(picture[inside], expected, atol=1)
    assert (picture[rim] == [0, 158, 115]).all()


def test_marked_film_is_written_as_black_and_white_mask_and_colour_overlay(tmp_path):
    film = np.full((20, 30), 90, np.uint8)
    mask = np.zeros((20, 30), bool)
    mask[5:9, 5:9] = True
    write_marked(film, mask, "a", tmp_path / "new")
    np.testing.assert_array_equal(read_film(tmp_path / "new" / "a_mask.png"), 255 * mask)
    from PIL import Image

    with Image.open(tmp_path / "new" / "a_overlay.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), overlay(film, mask))


def test_predictions_are_written_at_the_films_own_size(tmp_path):
    write_png(tmp_path / "a.png", np.zeros((30, 20), np.uint8))
    probability = np.zeros((1, 10, 10), np.float32)
    probability[0, :5] = 0.8
    films = pd.DataFrame({"name": ["A"], "film": ["a.png"]})
    for threshold, rows in ((0.4, 15), (0.9, 0)):
        write_predictions(probability, threshold, films, tmp_path, tmp_path)
        mask = read_mask(tmp_path / "A_mask.png")
        assert mask.shape == (30, 20)
        assert mask[:rows].all() and not mask[rows:].any()
