"""The table of scores: all of them a film, what it refuses, and what a missed film costs."""

from time import process_time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import binary_erosion, distance_transform_edt, gaussian_filter
from sklearn.metrics import brier_score_loss

from pneumo_keras.dataset.films import read_mask
from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.scores import (
    COLUMNS,
    EMPTY_MASK_POLICY,
    empty_mask_note,
    score_films,
    score_masks,
    summary,
)
from pneumo_keras.evaluation.scores.boundary import boundary_scores
from pneumo_keras.evaluation.scores.lesions import lesion_scores

BETTER_HIGH = ["iou", "dice", "sensitivity", "precision", "surface_dice", "boundary_iou"]
BETTER_LOW = ["hd95", "assd"]
pairs = st.integers(1, 3).flatmap(
    lambda films: st.tuples(*[arrays(bool, (films, 5, 6), elements=st.booleans())] * 2)
)


def listed(count):
    return pd.DataFrame(
        {"name": [f"film {i}" for i in range(count)], "patient": "7", "group": "virus"}
    )


def example(count=4, seed=0, size=32):
    random = np.random.default_rng(seed)
    truth = np.zeros((count, size, size), bool)
    truth[1:, 5:20, 8:18] = True
    probabilities = np.clip(0.7 * truth + 0.4 * random.random(truth.shape), 0, 1)
    return probabilities.astype(np.float32), truth


def test_the_columns_are_those_agreed_on():
    table = score_films(*example(), 0.5, listed(4).set_index(pd.Index([9, 3, 5, 1])))
    assert table.columns.tolist() == COLUMNS
    assert " ".join(COLUMNS) == (
        "name patient group tp fp fn tn accuracy iou dice sensitivity specificity precision "
        "area_error truth_share predicted_share hd95 assd surface_dice boundary_iou unit "
        "lesions lesions_predicted lesions_found_10 lesions_found_50 false_lesions_10 "
        "false_lesions_50 brier peak"
    )
    assert table["name"].tolist() == [f"film {i}" for i in range(4)]
    assert table.index.tolist() == [0, 1, 2, 3]


def test_each_row_is_what_its_film_alone_says():
    probabilities, truth = example()
    table = score_films(probabilities, truth, 0.75, listed(4))
    for row, probability, mask in zip(table.to_dict("records"), probabilities, truth, strict=True):
        marked = probability >= 0.75
        for name, value in (boundary_scores(mask, marked) | lesion_scores(mask, marked)).items():
            assert row[name] == pytest.approx(value, nan_ok=True), name
        assert row["tp"] == (mask & marked).sum() and row["fp"] == (~mask & marked).sum()
        assert row["peak"] == probability.max()
        expected = brier_score_loss(mask.ravel(), probability.ravel().astype(float), labels=[0, 1])
        assert row["brier"] == pytest.approx(expected)
    assert (table["unit"] == "px").all()


def test_a_pixel_at_the_threshold_is_marked():
    film = np.full((1, 2, 2), 0.3, np.float32)
    assert score_films(film, film > 0, 0.3, listed(1))["tp"].tolist() == [4]


def test_masks_alone_give_all_but_the_scores_of_probabilities():
    probabilities, truth = example()
    table = score_films(probabilities, truth, 0.5, listed(4))
    of_masks = score_masks(probabilities >= 0.5, truth.astype(np.uint8), listed(4))
    assert of_masks[["brier", "peak"]].isna().all(axis=None)
    both = [name for name in COLUMNS if name not in ("brier", "peak")]
    pd.testing.assert_frame_equal(of_masks[both], table[both])


def test_distances_in_millimetres_where_the_spacing_is_known():
    truth = example()[1]
    pixels = score_masks(np.roll(truth, 3, axis=1), truth, listed(4))
    spacing = np.array([[1.0, 1.0], [0.5, 0.5], [2.0, 0.1], [1.0, 1.0]])
    in_mm = score_masks(np.roll(truth, 3, axis=1), truth, listed(4), spacing)
    assert (in_mm["unit"] == "mm").all() and summary(in_mm)["unit"] == "mm"
    assert pixels["hd95"].tolist()[1:] == [3, 3, 3]
    assert in_mm["hd95"].tolist()[1:] == [1.5, 6, 3]  # 3 pixels down, each as high as given


def test_films_of_different_sizes_are_scored_each_at_its_own():
    truth = [np.ones((4, 4), bool), np.ones((8, 6), bool)]
    table = score_masks(truth, truth, listed(2))
    assert table["tp"].tolist() == [16, 48] and table["dice"].tolist() == [1, 1]


# === The policy on empty masks ===


@settings(max_examples=40, deadline=None)
@given(pairs, st.data())
def test_missing_a_film_never_improves_a_mean(masks, data):
    truth, predicted = masks
    missed = data.draw(st.integers(0, len(truth) - 1))
    nothing = predicted.copy()
    nothing[missed] = False
    before, after = (
        summary(score_masks(marked, truth, listed(len(truth)))) for marked in (predicted, nothing)
    )
    for names, sign in ((BETTER_HIGH, 1), (BETTER_LOW, -1)):
        for name in names:
            one, other = before[f"film_{name}"], after[f"film_{name}"]
            assert np.isnan(one) == np.isnan(other)
            assert not sign * other > sign * one + 1e-9, name


def test_films_without_the_target_are_in_no_mean_but_counted():
    probabilities, truth = example()
    with_normal = score_films(probabilities, truth, 0.3, listed(4))
    without = score_films(probabilities[1:], truth[1:], 0.3, listed(3))
    scores, others = summary(with_normal), summary(without)
    assert scores["falsely_marked"] == 1 and scores["false_share"] > 0
    for name in BETTER_HIGH + BETTER_LOW:
        assert scores[f"film_{name}"] == others[f"film_{name}"]
    note = empty_mask_note(with_normal)
    assert note.startswith(EMPTY_MASK_POLICY)
    assert note.endswith(
        "3 films with the target, nothing predicted on 0; 1 without it, 1 falsely marked."
    )


def test_without_any_positive_film_the_means_are_missing_and_the_rest_is_there():
    truth = np.zeros((3, 16, 16), bool)
    scores = summary(score_masks(truth, truth, listed(3)))
    missing = {name for name, value in scores.items() if pd.isna(value)}
    assert missing == {
        *("iou", "pooled_iou", "pooled_dice", "pooled_sensitivity", "pooled_precision"),
        *(f"film_{name}" for name in BETTER_HIGH + BETTER_LOW),
        *("film_brier", "lesion_f1_10", "lesion_f1_50"),
        *("lesion_sensitivity_10", "lesion_sensitivity_50"),
        *("detection_auroc_area", "detection_auroc_peak", "detection_sensitivity"),
    }
    assert scores["all_films_dice"] == scores["accuracy"] == scores["detection_specificity"] == 1


# === What is refused ===


def refused(message, probabilities, truth, films, threshold=0.5, spacing=None):
    with pytest.raises(StudyError, match=message) as error:
        score_films(probabilities, truth, threshold, films, spacing)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("wrong, words", [(1.5, "to 1.5"), (-0.1, "from -0.1"), (np.nan, "NaN")])
def test_probabilities_out_of_range_are_refused_by_film(wrong, words):
    probabilities, truth = example()
    probabilities[2, 3, 4] = wrong
    refused(f"film 2.*{words}", probabilities, truth, listed(4))


def test_logits_and_grey_levels_are_refused():
    probabilities, truth = example()
    refused("film 0.*255", np.full(truth.shape, 255, np.uint8), truth, listed(4))
    refused("film 1.*other values than 0 and 1", probabilities, truth * 255, listed(4))


def test_masks_of_another_size_are_refused_by_film():
    probabilities, truth = example()
    refused("film 0.*32×32 and mask 31×32", probabilities, truth[:, 1:], listed(4))
    mixed = [truth[0], truth[1], truth[2], truth[3][:, :9]]
    refused("film 3.*32×32 and mask 32×9", probabilities, mixed, listed(4))
    refused("film 0.*height and width", probabilities[..., None], truth, listed(4))


def test_a_film_listed_twice_or_missing_is_refused_by_name():
    probabilities, truth = example()
    twice = listed(4).replace("film 3", "film 1")
    refused("film 1 is listed twice", probabilities, truth, twice)
    refused("film 3 has no prediction", probabilities[:3], truth, listed(4))
    refused("film 2 has no mask", probabilities, truth[:2], listed(4))
    refused("4 predictions for 3 films", probabilities, truth, listed(3))
    refused("no film to score", probabilities[:0], truth[:0], listed(0))
    refused("film 0.*empty", probabilities, truth, listed(4).assign(patient=None))
    refused("no column group", probabilities, truth, listed(4).drop(columns="group"))


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.1, float("nan")])
def test_thresholds_that_mark_everything_or_nothing_are_refused(threshold):
    refused("threshold", *example(), listed(4), threshold)


def test_spacing_known_for_some_films_only_is_refused():
    spacing = np.array([[1, 1], [1, 1], [np.nan, 1], [1, 1]])
    refused("film 2.*spacing", *example(), listed(4), spacing=spacing)
    refused("spacing of shape", *example(), listed(4), spacing=spacing[:2])


def test_pixels_and_millimetres_have_no_mean():
    table = score_films(*example(), 0.5, listed(4))
    table.loc[2, "unit"] = "mm"
    with pytest.raises(StudyError, match="mm and px"):
        summary(table)


# === Real films, and time ===


def test_two_readers_of_the_same_lungs_agree_as_published(real_data):
    """44 films whose lungs two groups outlined: mean Dice 0.94, at each film's own size."""
    folder = real_data / "covid_opacities"
    files = sorted((folder / "lungs_second_reader").iterdir())
    first = [read_mask(folder / "lungs" / file.name) > 0 for file in files]
    second = [read_mask(file) > 0 for file in files]
    table = score_masks(second, first, listed(len(files)))
    scores = summary(table)
    assert round(scores["film_dice"], 2) == 0.94
    assert scores["lesion_sensitivity_50"] == scores["detection_sensitivity"] == 1
    for one, other, hd95 in list(zip(first, second, table["hd95"], strict=True))[:4]:
        edges = [mask & ~binary_erosion(mask) for mask in (one, other)]
        to = [distance_transform_edt(~edge) for edge in edges]
        directed = np.percentile(to[1][edges[0]], 95), np.percentile(to[0][edges[1]], 95)
        assert hd95 == pytest.approx(max(directed))


def test_a_thousand_films_take_less_than_a_minute_of_computing():
    """A tenth of it here: 100 films at 256×256 with several ragged lesions each."""
    random = np.random.default_rng(0)
    coarse = gaussian_filter(random.standard_normal((2, 10, 256, 256)), (0, 0, 6, 6))
    truth = np.tile(coarse[0] > 0.05, (10, 1, 1))
    probabilities = 1 / (1 + np.exp(-80 * (coarse[0] + 0.4 * coarse[1] - 0.05)))
    begun = process_time()
    score_films(np.tile(probabilities, (10, 1, 1)), truth, 0.5, listed(100))
    assert process_time() - begun < 6
