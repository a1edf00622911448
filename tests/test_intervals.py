"""Bootstrap intervals by patient: by hand, against SciPy, and by how often they hold the truth."""

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.scores import film_scores, pooled_scores
from pneumo_keras.evaluation.statistics import mean_interval, pooled_interval
from pneumo_keras.evaluation.statistics.checks import check_scores
from pneumo_keras.evaluation.statistics.intervals import (
    POOLED,
    RESAMPLES,
    patient_weights,
    ratio_interval,
    resampled_ratios,
)


def table(counts, patients=None):
    """Scores of films, each of its own patient unless said."""
    films = pd.DataFrame(counts, columns=["tp", "fp", "fn", "tn"])
    names = [f"film{number:04d}" for number in range(len(films))]
    films.insert(0, "name", names)
    films.insert(1, "patient", names if patients is None else patients)
    return film_scores(films)


def random_table(films, seed=0, patients=None):
    random = np.random.default_rng(seed)
    counts = random.integers(1, 500, (films, 4))
    return table(counts, patients)


def test_an_interval_is_that_of_scipy_where_each_patient_has_one_film():
    scores = random_table(60)
    ours = mean_interval(scores, "dice")
    theirs = stats.bootstrap(
        (scores["dice"],), np.mean, n_resamples=RESAMPLES, method="percentile", rng=1
    ).confidence_interval
    assert ours.value == pytest.approx(scores["dice"].mean())
    # Two draws of 10,000 differ by about a hundredth of the width.
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs), abs=0.05 * (ours.high - ours.low))


def test_a_pooled_interval_is_that_of_scipy_for_a_ratio():
    scores = random_table(40, patients=[f"p{number // 2}" for number in range(40)])
    sums = scores.groupby("patient")[["tp", "fp", "fn"]].sum().to_numpy(float)
    theirs = stats.bootstrap(
        tuple(sums.T),
        lambda tp, fp, fn, axis: tp.sum(axis) / (tp + fp + fn).sum(axis),
        paired=True,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=1,
    ).confidence_interval
    ours = pooled_interval(scores, "iou")
    assert ours.patients == 20 and ours.films == 40
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs), abs=0.05 * (ours.high - ours.low))


def test_films_of_one_patient_are_no_further_evidence():
    """Every film four times over, under the same patient: the same interval, not half of it."""
    once = random_table(30)
    fourfold = pd.concat([once.assign(name=once["name"] + letter) for letter in "abcd"])
    one, four = mean_interval(once, "dice"), mean_interval(fourfold, "dice")
    assert (four.value, four.low, four.high) == pytest.approx((one.value, one.low, one.high))
    assert (four.films, four.patients) == (120, 30)
    apart = mean_interval(fourfold.assign(patient=fourfold["name"]), "dice")
    assert apart.high - apart.low < 0.6 * (one.high - one.low)


def test_intervals_hold_the_true_mean_of_clustered_films_about_as_often_as_they_say():
    """Patients of 1 to 5 films, alike within a patient; by film the interval is far too narrow."""
    random = np.random.default_rng(3)
    held, held_by_film, trials = 0, 0, 150
    ones = pd.Series(np.ones(5 * 60))
    for _ in range(trials):
        films = random.integers(1, 6, 60)
        patient = np.repeat(np.arange(60), films)
        means = random.normal(0.6, 0.15, 60)
        values = pd.Series(means[patient] + random.normal(0, 0.03, len(patient)))
        n = len(values)
        one = ratio_interval(values, ones[:n], pd.Series(patient))
        held += one.low <= 0.6 <= one.high
        half = 1.96 * values.std() / n**0.5
        held_by_film += abs(values.mean() - 0.6) <= half
    assert 0.88 <= held / trials <= 0.99
    assert held_by_film / trials < 0.85


def test_the_same_films_in_any_order_give_the_same_interval_twice():
    scores = random_table(25)
    first = mean_interval(scores, "iou")
    assert mean_interval(scores.sample(frac=1, random_state=4), "iou") == first


@given(st.integers(2, 30))
@settings(max_examples=10, deadline=None)
def test_every_resample_draws_as_many_patients_as_there_are(patients):
    weights = patient_weights(patients)
    assert weights.shape == (RESAMPLES, patients)
    assert (weights.sum(axis=1) == patients).all()
    # A patient is drawn once a resample on average: variance (n - 1) / n, five standard errors.
    error = 5 * np.sqrt((patients - 1) / patients / RESAMPLES)
    assert weights.mean(axis=0) == pytest.approx(np.ones(patients), abs=error)


@given(
    st.lists(st.tuples(*[st.integers(0, 50)] * 3, st.integers(1, 50)), min_size=2, max_size=8),
    st.sampled_from(list(POOLED)),
)
@settings(max_examples=25, deadline=None)
def test_a_value_lies_within_0_and_1_and_its_ends_around_what_patients_allow(counts, metric):
    scores = table(counts)
    one = pooled_interval(scores, metric)
    if not np.isnan(one.value):
        assert 0 <= one.low <= one.high <= 1
    pooled = pooled_scores(scores)
    if metric in pooled:
        assert one.value == pytest.approx(pooled[metric], nan_ok=True)


def test_resamples_without_a_denominator_are_left_out():
    """Two patients, of whom one has no denominator: a quarter of the resamples are 0 / 0."""
    ratios = resampled_ratios(np.array([[1.0, 2.0], [0.0, 0.0]]))[:, 0]
    assert np.isnan(ratios).mean() == pytest.approx(0.25, abs=0.03)
    assert set(ratios[~np.isnan(ratios)]) == {0.5}


def test_one_patient_has_a_value_and_no_interval():
    one = mean_interval(random_table(5, patients=["a"] * 5), "dice")
    assert one.value > 0 and np.isnan(one.low) and np.isnan(one.high)
    assert one.reason == "one patient only" and (one.films, one.patients) == (5, 1)


def test_without_a_film_with_the_target_there_is_no_mean():
    scores = table([(0, 3, 0, 7), (0, 0, 0, 10)])
    assert mean_interval(scores, "dice").reason == "no film with the target"
    assert np.isnan(mean_interval(scores, "dice").value)
    assert pooled_interval(scores, "accuracy").value == 0.85
    assert pooled_interval(scores, "sensitivity").reason == "nothing to measure it on"


def test_films_without_the_target_do_not_enter_the_mean():
    scores = table([(1, 1, 0, 8), (0, 10, 0, 0), (0, 0, 0, 10)])
    assert mean_interval(scores, "iou").value == 0.5
    assert mean_interval(scores, "iou").films == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: pd.concat([t, t.iloc[[1]]]), "film0001 is listed twice"),
        (lambda t: t.assign(patient=["a", None, "c"]), "film0001 has no patient"),
        (lambda t: t.assign(patient=["a", " ", "c"]), "film0001 has no patient"),
        (lambda t: t.assign(tp=[1, np.nan, 2]), "film0001 has counts"),
        (lambda t: t.assign(fn=[1, 2, -1]), "film0002 has counts"),
        (lambda t: t.assign(tn=[1, np.inf, 1]), "film0001 has counts"),
        (lambda t: t.assign(dice=[0.5, 0.5, np.nan]), "film0002 has no dice"),
        (lambda t: t.assign(accuracy=[np.nan, 0.5, 0.5]), "film0000 has no accuracy"),
        (lambda t: t.drop(columns="tn"), "no column tn"),
        (lambda t: t.iloc[:0], "there is no film"),
    ],
)
def test_unsound_tables_are_refused_with_the_film_named(change, words):
    sound = random_table(3)
    check_scores(sound)
    with pytest.raises(StudyError, match=words) as refusal:
        mean_interval(change(sound), "dice")
    assert "\n" not in str(refusal.value)


def test_unknown_scores_are_refused():
    with pytest.raises(StudyError, match="no column hd95"):
        mean_interval(random_table(3), "hd95")
    with pytest.raises(StudyError, match="no pooled score 'hd95'"):
        pooled_interval(random_table(3), "hd95")


def test_ten_thousand_resamples_of_a_thousand_patients_take_seconds():
    scores = random_table(1_000)
    started = time.process_time()
    mean_interval(scores, "dice")
    assert time.process_time() - started < 10
