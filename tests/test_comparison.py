"""Two networks compared, and subgroups: by hand and against SciPy."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.comparison import compare, holm, subgroup_table
from pneumo_keras.evaluation.metrics import image_scores

NAMES = ("DeepLabV3", "SegNet")


def network(quality, seed=0, images=40, per_patient=2, normal=0):
    """Scores of a network that finds about a share `quality` of each lesion."""
    random = np.random.default_rng(seed)
    lesion = np.random.default_rng(99).integers(50, 900, images)
    lesion[:normal] = 0
    tp = (lesion * random.uniform(quality - 0.1, quality + 0.1, images)).astype(int)
    fp = random.integers(0, 100, images)
    table = pd.DataFrame({"tp": tp, "fp": fp, "fn": lesion - tp, "tn": 4096 - lesion - fp})
    names = [f"image{number:03d}" for number in range(images)]
    patients = [f"p{number // per_patient}" for number in range(images)]
    return image_scores(table.assign(name=names, patient=patients))


def row(comparison, score, average="per image"):
    chosen = comparison[(comparison["score"] == score) & (comparison["average"] == average)]
    return chosen.iloc[0]


def with_differences(differences):
    """Two networks whose Dice differs by these, one patient and one image each."""
    names = [f"image{number:02d}" for number in range(len(differences))]
    table = pd.DataFrame({"name": names, "patient": names, "tp": 5, "fp": 0, "fn": 5, "tn": 90})
    return table.assign(dice=np.asarray(differences, float)), table.assign(dice=0.0)


def test_a_comparison_by_hand():
    """Three patients, differences 0.2 and 0.4 (one patient), −0.1, 0: 2 images of the first."""
    second = with_differences([0, 0, 0, 0])[1].assign(patient=list("1123"), dice=0.5)
    first = second.assign(dice=[0.7, 0.9, 0.4, 0.5])
    one = row(compare(first, second, NAMES, ("dice",)), "dice")
    assert one["difference"] == pytest.approx((0.2 + 0.4 - 0.1 + 0) / 4)
    assert (one["wins"], one["ties"], one["losses"]) == (1, 1, 1)
    assert (one["images"], one["patients"]) == (4, 3)
    # Ranks of 0.3 and -0.1 are 2 and 1: (2 - 1) / 3.
    assert one["effect"] == pytest.approx(1 / 3)
    # Sums 0.6, -0.1, 0: |±0.6 ± 0.1| is at least 0.5 in all eight ways.
    assert one["p_permutation"] == 1


def test_the_tests_are_those_of_scipy_on_patients():
    first, second = network(0.8, 1), network(0.7, 2)
    one = row(compare(first, second, NAMES), "dice")
    gap = (first["dice"] - second["dice"]).groupby(first["patient"])
    assert one["p_wilcoxon"] == pytest.approx(stats.wilcoxon(gap.mean()).pvalue)
    # Two images for each patient, so that sums and means give the same test.
    theirs = stats.permutation_test(
        (gap.mean().to_numpy(),), np.mean, permutation_type="samples", n_resamples=9_999, rng=5
    )
    assert one["p_permutation"] == pytest.approx(theirs.pvalue, abs=0.01)
    assert one["difference"] == pytest.approx(first["dice"].mean() - second["dice"].mean())
    assert one["low"] < one["difference"] < one["high"]


def test_the_permutation_test_counts_all_ways_to_flip_the_signs():
    sums = np.array([0.3, 0.2, -0.1, 0.25, 0.05])
    ways = [abs(np.dot(signs, sums)) for signs in itertools.product((1, -1), repeat=5)]
    expected = np.mean([way >= abs(sums.sum()) - 1e-12 for way in ways])
    one = row(compare(*with_differences(sums), NAMES), "dice")
    assert one["p_permutation"] == pytest.approx(expected)


@given(st.lists(st.integers(-50, 50).filter(bool), min_size=2, max_size=9, unique_by=abs))
@settings(max_examples=15, deadline=None)
def test_the_effect_size_is_the_ranks_of_wins_less_those_of_losses(differences):
    differences = np.array(differences, float)
    ranks = stats.rankdata(abs(differences))
    expected = (ranks[differences > 0].sum() - ranks[differences < 0].sum()) / ranks.sum()
    one = row(compare(*with_differences(differences), NAMES), "dice")
    assert one["effect"] == pytest.approx(expected)
    assert (one["wins"], one["losses"]) == ((differences > 0).sum(), (differences < 0).sum())


def test_holm_by_hand_over_the_scores_per_image():
    """The smallest of four counts four times, and so on; never below the one before, nor above 1."""
    corrected = holm(pd.Series([0.04, 0.01, np.nan, 0.6, 0.03])).tolist()
    assert corrected == pytest.approx([0.09, 0.04, np.nan, 0.6, 0.09], nan_ok=True)
    assert holm(pd.Series([0.5, 0.9, 0.5])).tolist() == [1, 1, 1]
    assert np.isnan(holm(pd.Series([np.nan]))).all()
    table = compare(network(0.8, 1), network(0.76, 2), NAMES, ("dice", "iou", "accuracy"))
    smallest = table.loc[table["p_wilcoxon"].idxmin()]
    assert smallest["p_wilcoxon_holm"] == pytest.approx(3 * smallest["p_wilcoxon"])
    assert table["p_wilcoxon_holm"].isna().equals(table["average"] == "pooled")


def test_exchanging_the_networks_turns_the_signs_and_nothing_else():
    first, second = network(0.8, 1, normal=5), network(0.75, 2, normal=5)
    there, back = compare(first, second, NAMES), compare(second, first, NAMES[::-1])
    shuffled = compare(first, second.sample(frac=1, random_state=0), NAMES)
    pd.testing.assert_frame_equal(there, shuffled)
    assert there["difference"].tolist() == pytest.approx((-back["difference"]).tolist())
    assert there["low"].tolist() == pytest.approx((-back["high"]).tolist())
    assert there["wins"].dropna().tolist() == back["losses"].dropna().tolist()
    p = [table["p_wilcoxon"].dropna().tolist() for table in (there, back)]
    assert p[0] == pytest.approx(p[1])


def test_a_network_does_not_differ_from_itself_and_of_distances_the_smaller_one_wins():
    one = network(0.8, 1)
    same = row(compare(one, one, NAMES), "dice")
    assert same[["difference", "low", "high", "effect"]].tolist() == [0, 0, 0, 0]
    assert (same["p_wilcoxon"], same["p_permutation"]) == (1, 1)
    assert same[["wins", "ties", "losses"]].tolist() == [0, 20, 0]
    nearer = row(compare(one.assign(hd95=3.0), one.assign(hd95=5.0), NAMES), "hd95")
    assert nearer[["difference", "effect", "wins", "losses"]].tolist() == [-2, -1, 20, 0]


def test_what_is_missing_has_a_reason():
    pooled = row(compare(network(0.8, 1), network(0.6, 2), NAMES), "iou", "pooled")
    assert 0 < pooled["low"] < pooled["difference"] < pooled["high"]
    assert np.isnan(pooled["p_wilcoxon"]) and pooled["reason"]
    one_patient = [network(quality, seed, per_patient=99) for quality, seed in ((0.8, 1), (0.6, 2))]
    one = row(compare(*one_patient, NAMES), "dice")
    assert one["difference"] > 0 and np.isnan(one["low"]) and np.isnan(one["p_wilcoxon"])
    assert one["reason"] and one["patients"] == 1
    normal = compare(network(0.8, 1, normal=40), network(0.6, 2, normal=40), NAMES)
    assert np.isnan(row(normal, "dice")["difference"]) and row(normal, "dice")["reason"]
    assert row(normal, "accuracy")["p_wilcoxon"] <= 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t[t["name"] != "image007"], "DeepLabV3: image image007.*SegNet"),
        (lambda t: pd.concat([t, t.iloc[[3]]]), "SegNet: image image003 is listed twice"),
        (lambda t: t.assign(patient="x"), "image000 has another patient"),
        (lambda t: t.assign(fn=t["fn"] + 1, tn=t["tn"] - 1), "image000 has another mask"),
        (lambda t: t.assign(tn=t["tn"] * 4), "image000 has another mask or size"),
        (lambda t: t.assign(dice=t["dice"].where(t["name"] != "image002")), "image002 has no dice"),
        (lambda t: t.assign(hd95=[np.nan] + [1.0] * 39), "hd95: image image000"),
        (lambda t: t.drop(columns="hd95"), "hd95"),
    ],
)
def test_tables_that_do_not_match_are_refused_with_the_image_named(change, words):
    first, second = network(0.8, 1).assign(hd95=2.0), network(0.7, 2).assign(hd95=2.0)
    with pytest.raises(StudyError, match=words):
        compare(first, change(second), NAMES, ("dice", "hd95"))
    with pytest.raises(StudyError):
        compare(change(second), first, NAMES, ("dice", "hd95"))


def test_subgroups_by_hand():
    groups = ["virus", "virus", "bacteria", "", "bacteria", "bacteria", "normal"]
    images = pd.DataFrame({"name": list("abcdefg"), "patient": list("1223456"), "group": groups})
    images = images.assign(tp=[10, 20, 30, 40, 50, 60, 0], fp=[0] * 6 + [5], fn=0)
    images["tn"] = 100 - images["tp"] - images["fp"]
    images["dice"] = [0.2, 0.4, 0.6, 0.8, 1.0, 0.1, np.nan]
    table = subgroup_table({"SegNet": images}).set_index(["by", "subgroup"])
    virus = table.loc[("group", "virus"), ["value", "images", "patients"]]
    assert virus.tolist() == pytest.approx([0.3, 2, 2])
    assert np.isnan(table.loc[("group", "normal"), "value"])
    assert np.isnan(table.loc[("group", "not stated"), "low"])  # one patient
    sizes = table.loc["lesion size"]
    assert sizes["images"].tolist() == [2, 2, 2]
    assert sizes["value"].tolist() == pytest.approx([0.3, 0.7, 0.55])
    assert [size.split()[0] for size in sizes.index] == ["small", "medium", "large"]
    alike = subgroup_table({"SegNet": images.assign(tp=10, fp=0, tn=90, dice=0.5)})
    assert (alike["by"] == "lesion size").sum() == 1  # one third where every share is the same
