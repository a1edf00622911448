"""Bootstrap intervals by patient: by hand, against SciPy, and by how often they hold the mean."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.intervals import RESAMPLES, mean_interval, pooled_interval
from pneumo_keras.evaluation.metrics import image_scores, pooled_scores


def table(counts, patients=None):
    """Scores of images, each of its own patient unless given."""
    images = pd.DataFrame(counts, columns=["tp", "fp", "fn", "tn"])
    names = [f"image{number:04d}" for number in range(len(images))]
    return image_scores(images.assign(name=names, patient=names if patients is None else patients))


def random_table(images, seed=0, patients=None):
    return table(np.random.default_rng(seed).integers(1, 500, (images, 4)), patients)


@pytest.mark.parametrize("pooled", [False, True])
def test_intervals_are_those_of_scipy_for_a_ratio_of_sums_over_patients(pooled):
    scores = random_table(40, patients=[f"p{number // 2}" for number in range(40)])
    whole = scores["tp"] + scores["fp"] + scores["fn"] if pooled else 1
    parts = pd.DataFrame({"part": scores["tp" if pooled else "iou"], "whole": whole})
    theirs = stats.bootstrap(
        tuple(parts.groupby(scores["patient"]).sum().to_numpy(float).T),
        lambda part, whole, axis: part.sum(axis) / whole.sum(axis),
        paired=True,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=1,
    ).confidence_interval
    ours = pooled_interval(scores, "iou") if pooled else mean_interval(scores, "iou")
    assert (ours.patients, ours.images) == (20, 40)
    assert ours.value == pytest.approx(parts["part"].sum() / parts["whole"].sum())
    # Two draws of 10,000 differ by about a hundredth of the width.
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs), abs=0.05 * (ours.high - ours.low))


def test_images_of_one_patient_are_no_further_evidence():
    """Every image four times over, under the same patient: the same interval, not half of it."""
    once = random_table(30)
    fourfold = pd.concat([once.assign(name=once["name"] + letter) for letter in "abcd"])
    one, four = mean_interval(once, "dice"), mean_interval(fourfold, "dice")
    assert (four.value, four.low, four.high) == pytest.approx((one.value, one.low, one.high))
    assert (four.images, four.patients) == (120, 30)
    separate = mean_interval(fourfold.assign(patient=fourfold["name"]), "dice")
    assert separate.high - separate.low < 0.6 * (one.high - one.low)


def test_intervals_hold_the_true_mean_of_clustered_images_about_as_often_as_they_say():
    """Patients of 1 to 5 images, alike within a patient; by image the interval is too narrow."""
    random = np.random.default_rng(3)
    held, held_by_image, trials = 0, 0, 150
    for _ in range(trials):
        patient = np.repeat(np.arange(60), random.integers(1, 6, 60))
        values = random.normal(0.6, 0.15, 60)[patient] + random.normal(0, 0.03, len(patient))
        scores = table(np.ones((len(patient), 4), int), patient).assign(hd95=values)
        one = mean_interval(scores, "hd95")
        held += one.low <= 0.6 <= one.high
        held_by_image += abs(values.mean() - 0.6) <= 1.96 * values.std() / len(values) ** 0.5
    assert 0.88 <= held / trials <= 0.99
    assert held_by_image / trials < 0.85


@given(
    st.lists(st.tuples(*[st.integers(0, 50)] * 3, st.integers(1, 50)), min_size=2, max_size=8),
    st.sampled_from(["accuracy", "iou", "dice", "sensitivity", "specificity", "precision"]),
)
@settings(max_examples=25, deadline=None)
def test_a_pooled_value_is_the_pooled_score_and_its_ends_are_within_0_and_1(counts, metric):
    scores = table(counts)
    one = pooled_interval(scores, metric)
    assert one.value == pytest.approx(pooled_scores(scores)[metric], nan_ok=True)
    if not np.isnan(one.value):
        assert 0 <= one.low <= one.high <= 1


def test_one_patient_has_a_value_and_no_interval():
    one = mean_interval(random_table(5, patients=["a"] * 5), "dice")
    assert one.value > 0 and np.isnan(one.low) and np.isnan(one.high)
    assert one.reason and (one.images, one.patients) == (5, 1)
    assert str(one) == f"{one.value:.3f}"


def test_images_without_the_target_do_not_enter_the_mean():
    scores = table([(0, 3, 0, 7), (0, 0, 0, 10)])
    assert np.isnan(mean_interval(scores, "dice").value) and mean_interval(scores, "dice").reason
    assert pooled_interval(scores, "accuracy").value == 0.85
    assert np.isnan(pooled_interval(scores, "sensitivity").value)
    # A quarter of the resamples has no target: 0 / 0, left out.
    one = pooled_interval(table([(1, 0, 1, 9), (0, 0, 0, 9)]), "sensitivity")
    assert (one.value, one.low, one.high) == (0.5, 0.5, 0.5)
    scores = table([(1, 1, 0, 8), (0, 10, 0, 0), (0, 0, 0, 10)])
    assert (mean_interval(scores, "iou").value, mean_interval(scores, "iou").images) == (0.5, 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: pd.concat([t, t.iloc[[1]]]), "image0001 is listed twice"),
        (lambda t: t.assign(patient=["a", None, "c"]), "image0001 has no patient"),
        (lambda t: t.assign(patient=["a", " ", "c"]), "image0001 has no patient"),
        (lambda t: t.assign(tp=[1, np.nan, 2]), "image0001 has counts"),
        (lambda t: t.assign(fn=[1, 2, -1]), "image0002 has counts"),
        (lambda t: t.assign(tn=[1, np.inf, 1]), "image0001 has counts"),
        (lambda t: t.assign(dice=[0.5, 0.5, np.nan]), "image0002 has no dice"),
        (lambda t: t.assign(accuracy=[np.nan, 0.5, 0.5]), "image0000 has no accuracy"),
        (lambda t: t.drop(columns="tn"), "tn"),
        (lambda t: t.iloc[:0], "no image"),
    ],
)
def test_invalid_tables_are_refused_with_the_image_named(change, words):
    with pytest.raises(StudyError, match=words):
        mean_interval(change(random_table(3)), "dice")


def test_unknown_scores_are_refused():
    for interval in (mean_interval, pooled_interval):
        with pytest.raises(StudyError, match="hd95"):
            interval(random_table(3), "hd95")
