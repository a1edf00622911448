"""Two networks compared, seeds, designs and subgroups: by hand, against SciPy and statsmodels."""

import gc
import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.scores import film_scores
from pneumo_keras.evaluation.statistics import (
    compare,
    mean_interval,
    seed_difference,
    seed_table,
    subgroup_table,
    sweep_table,
    two_way_table,
)
from pneumo_keras.evaluation.statistics.comparison import holm, sign_flip_test, signed_rank
from pneumo_keras.evaluation.statistics.subgroups import size_thirds

NAMES = ("DeepLabV3", "SegNet")


@pytest.fixture(scope="module", autouse=True)
def little_to_collect():
    """Holm's correction in statsmodels collects garbage, slow where TensorFlow is loaded."""
    gc.freeze()
    yield
    gc.unfreeze()


def network(quality, seed=0, films=40, per_patient=2, normal=0):
    """Scores of a network that finds about a share `quality` of each lesion."""
    random = np.random.default_rng(seed)
    lesion = np.random.default_rng(99).integers(50, 900, films)
    lesion[:normal] = 0
    tp = (lesion * random.uniform(quality - 0.1, quality + 0.1, films)).astype(int)
    fp = random.integers(0, 100, films)
    counts = {"tp": tp, "fp": fp, "fn": lesion - tp, "tn": 4096 - lesion - fp}
    who = {
        "name": [f"film{number:03d}" for number in range(films)],
        "patient": [f"p{number // per_patient}" for number in range(films)],
    }
    return film_scores(pd.DataFrame(who | counts))


def row(comparison, score, average="per film"):
    chosen = comparison[(comparison["score"] == score) & (comparison["average"] == average)]
    return chosen.iloc[0]


def test_a_comparison_by_hand():
    """Three patients, differences 0.2 and 0.4 (one patient), −0.1, 0: 2 films of the first."""
    second = pd.DataFrame(
        {"name": list("abcd"), "patient": list("1123"), "tp": 5, "fp": 0, "fn": 5, "tn": 90}
    ).assign(dice=0.5)
    first = second.assign(dice=[0.7, 0.9, 0.4, 0.5])
    one = row(compare(first, second, NAMES, ("dice",)), "dice")
    assert one["difference"] == pytest.approx((0.2 + 0.4 - 0.1 + 0) / 4)
    assert (one["wins"], one["ties"], one["losses"]) == (1, 1, 1)
    assert (one["films"], one["patients"]) == (4, 3)
    # Ranks of 0.3 and -0.1 are 2 and 1: (2 - 1) / 3.
    assert one["effect"] == pytest.approx(1 / 3)
    # Sums 0.6, -0.1, 0: |±0.6 ± 0.1| is at least 0.5 in all eight ways.
    assert one["p_permutation"] == 1


def test_the_tests_are_those_of_scipy_on_patients():
    first, second = network(0.8, 1), network(0.7, 2)
    one = row(compare(first, second, NAMES), "dice")
    gap = (first["dice"] - second["dice"]).groupby(first["patient"])
    assert one["p_wilcoxon"] == pytest.approx(stats.wilcoxon(gap.mean()).pvalue)
    # Two films for each patient, so that sums and means give one and the same test.
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
    assert sign_flip_test(sums) == pytest.approx(expected)


@given(st.lists(st.integers(-50, 50).filter(bool), min_size=1, max_size=20, unique_by=abs))
@settings(max_examples=30, deadline=None)
def test_the_effect_size_is_the_ranks_of_wins_less_those_of_losses(differences):
    differences = np.array(differences, float)
    ranks = stats.rankdata(abs(differences))
    expected = (ranks[differences > 0].sum() - ranks[differences < 0].sum()) / ranks.sum()
    assert signed_rank(differences)[1] == pytest.approx(expected)


def test_holm_over_the_scores_is_that_of_statsmodels_and_by_hand():
    assert holm(pd.Series([0.01, 0.04, 0.03])).tolist() == pytest.approx([0.03, 0.06, 0.06])
    table = compare(network(0.8, 1), network(0.76, 2), NAMES, ("dice", "iou", "accuracy"))
    there = table["average"] == "per film"
    expected = multipletests(table["p_wilcoxon"][there], method="holm")[1]
    assert table["p_wilcoxon_holm"][there].tolist() == pytest.approx(expected.tolist())
    assert table["p_wilcoxon_holm"][~there].isna().all()


def test_exchanging_the_networks_turns_the_signs_and_nothing_else():
    first, second = network(0.8, 1, normal=5), network(0.75, 2, normal=5)
    there, back = compare(first, second, NAMES), compare(second, first, NAMES[::-1])
    assert there["difference"].tolist() == pytest.approx((-back["difference"]).tolist())
    assert there["low"].tolist() == pytest.approx((-back["high"]).tolist())
    assert there["wins"].dropna().tolist() == back["losses"].dropna().tolist()
    assert there["p_wilcoxon"].dropna().tolist() == pytest.approx(
        back["p_wilcoxon"].dropna().tolist()
    )


def test_the_order_of_films_does_not_matter():
    first, second = network(0.8, 1), network(0.75, 2)
    shuffled = second.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(compare(first, second, NAMES), compare(first, shuffled, NAMES))


def test_a_network_does_not_differ_from_itself():
    one = network(0.8, 1)
    same = row(compare(one, one, NAMES), "dice")
    assert (same["difference"], same["low"], same["high"]) == (0, 0, 0)
    assert (same["p_wilcoxon"], same["p_permutation"], same["effect"]) == (1, 1, 0)
    assert (same["wins"], same["ties"], same["losses"]) == (0, 20, 0)


def test_of_distances_the_smaller_one_wins():
    first = network(0.8, 1).assign(hd95=3.0)
    second = network(0.8, 1).assign(hd95=5.0)
    one = row(compare(first, second, NAMES), "hd95")
    assert one["difference"] == -2 and (one["wins"], one["losses"]) == (20, 0)
    assert one["effect"] == -1


def test_pooled_scores_have_an_interval_and_no_test():
    one = row(compare(network(0.8, 1), network(0.6, 2), NAMES), "iou", "pooled")
    assert 0 < one["low"] < one["difference"] < one["high"]
    assert np.isnan(one["p_wilcoxon"]) and one["reason"].startswith("pooled")


def test_one_patient_is_compared_without_interval_and_test():
    first, second = network(0.8, 1, per_patient=99), network(0.6, 2, per_patient=99)
    one = row(compare(first, second, NAMES), "dice")
    assert one["difference"] > 0 and np.isnan(one["low"]) and np.isnan(one["p_wilcoxon"])
    assert one["reason"] == "one patient only"


def test_without_a_positive_film_dice_is_not_compared_but_accuracy_is():
    first, second = network(0.8, 1, normal=40), network(0.6, 2, normal=40)
    table = compare(first, second, NAMES)
    assert row(table, "dice")["reason"] == "no film with the target"
    assert np.isnan(row(table, "dice")["difference"])
    assert row(table, "accuracy")["p_wilcoxon"] <= 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t[t["name"] != "film007"], "film007 is scored for DeepLabV3 but not for SegNet"),
        (lambda t: pd.concat([t, t.iloc[[3]]]), "SegNet: film film003 is listed twice"),
        (lambda t: t.assign(patient="x"), "film000 has another patient"),
        (lambda t: t.assign(fn=t["fn"] + 1, tn=t["tn"] - 1), "film000 has another mask"),
        (lambda t: t.assign(tn=t["tn"] * 4), "film000 has another mask or size"),
        (lambda t: t.assign(dice=t["dice"].where(t["name"] != "film002")), "film002 has no dice"),
        (lambda t: t.assign(hd95=[np.nan] + [1.0] * 39), "hd95: film film000 has a value for one"),
    ],
)
def test_tables_that_do_not_match_are_refused_with_the_film_named(change, words):
    first, second = network(0.8, 1).assign(hd95=2.0), network(0.7, 2).assign(hd95=2.0)
    with pytest.raises(StudyError, match=words):
        compare(first, change(second), NAMES, ("dice", "hd95"))


def test_a_film_missing_from_the_first_network_is_named_too():
    with pytest.raises(StudyError, match="film001 is scored for SegNet but not for DeepLabV3"):
        compare(network(0.8, 1).drop(index=1), network(0.7, 2), NAMES)


def test_subgroups_by_hand():
    films = pd.DataFrame(
        {
            "name": list("abcdefg"),
            "patient": list("1223456"),
            "group": ["virus", "virus", "bacteria", "", "bacteria", "bacteria", "normal"],
            "source": ["x"] * 3 + ["y"] * 4,
            "tp": [10, 20, 30, 40, 50, 60, 0],
            "fp": [0] * 6 + [5],
            "fn": [0] * 7,
        }
    )
    films["tn"] = 100 - films["tp"] - films["fp"]
    films["dice"] = [0.2, 0.4, 0.6, 0.8, 1.0, 0.1, np.nan]
    table = subgroup_table({"SegNet": films}).set_index(["by", "subgroup"])
    assert table.loc[("group", "virus"), ["value", "films", "patients"]].tolist() == pytest.approx(
        [0.3, 2, 2]
    )
    assert table.loc[("group", "normal"), "reason"] == "no film with the target"
    assert table.loc[("group", "not stated"), "reason"] == "one patient only"
    sizes = table.loc["lesion size"]
    assert sizes["films"].tolist() == [2, 2, 2]
    assert sizes["value"].tolist() == pytest.approx([0.3, 0.7, 0.55])
    assert [size.split()[0] for size in sizes.index] == ["small", "medium", "large"]
    assert table.loc["source"]["films"].tolist() == [3, 3]
    assert size_thirds(films).isna().tolist() == [False] * 6 + [True]


def test_seeds_by_hand():
    one = network(0.8, 1)
    runs = [one.assign(dice=value) for value in (0.5, 0.6, 0.7)]
    table = seed_table({"SegNet": runs, "DeepLabV3": runs[:1]})
    first, second = table.iloc[0], table.iloc[1]
    assert first["mean"] == pytest.approx(0.6) and first["sd"] == pytest.approx(0.1)
    assert (first["lowest"], first["highest"]) == pytest.approx((0.5, 0.7))
    # All films alike: all spread is the seeds'; one draw of 27 is 0.5 thrice.
    assert (first["low_patients"], first["high_patients"]) == pytest.approx((0.6, 0.6))
    assert (first["low"], first["high"]) == pytest.approx((0.5, 0.7))
    assert np.isnan(second["sd"]) and second["reason"].startswith("one seed")


def test_one_seed_has_the_interval_of_its_patients():
    one = network(0.8, 1, normal=6)
    table = seed_table({"SegNet": [one]}).iloc[0]
    plain = mean_interval(one, "dice")
    assert (table["mean"], table["low"], table["high"]) == pytest.approx(
        (plain.value, plain.low, plain.high)
    )


def test_a_difference_over_seeds_is_wider_than_that_of_single_runs():
    first = [network(quality, 1) for quality in (0.8, 0.7, 0.75)]
    second = [network(quality, 2) for quality in (0.7, 0.65, 0.6)]
    over_seeds = seed_difference(first, second, NAMES)
    single = row(compare(first[0], second[0], NAMES), "dice")
    means = [np.mean([run["dice"].mean() for run in runs]) for runs in (first, second)]
    assert over_seeds.value == pytest.approx(means[0] - means[1])
    assert over_seeds.high - over_seeds.low > single["high"] - single["low"]


def test_a_difference_of_one_seed_each_is_the_paired_comparison():
    first, second = network(0.8, 1), network(0.7, 2)
    single = row(compare(first, second, NAMES), "dice")
    one = seed_difference([first], [second], NAMES)
    assert (one.value, one.low, one.high) == pytest.approx(
        (single["difference"], single["low"], single["high"])
    )


def test_seeds_of_other_films_are_refused():
    runs = [network(0.8, 1), network(0.8, 2).iloc[1:]]
    with pytest.raises(StudyError, match="film000 is scored for SegNet, run 1 but not for SegNet"):
        seed_table({"SegNet": runs})
    with pytest.raises(StudyError, match="no run"):
        seed_table({"SegNet": []})


def test_two_way_effects_by_hand():
    base = network(0.8, 1)
    dice = {("A", "x"): 0.5, ("A", "y"): 0.6, ("B", "x"): 0.7, ("B", "y"): 0.9}
    # Given out of order on purpose.
    cells = {cell: [base.assign(dice=dice[cell])] for cell in sorted(dice, key=lambda c: c[1])}
    table = two_way_table(cells).set_index("name")
    assert table.loc["network: B − A", "value"] == pytest.approx((0.2 + 0.3) / 2)
    assert table.loc["loss: y − x", "value"] == pytest.approx((0.1 + 0.2) / 2)
    assert table.loc["interaction", "value"] == pytest.approx(0.2 - 0.1)
    assert table.loc["B, y", "value"] == pytest.approx(0.9)


def test_patients_are_paired_over_the_cells_of_the_design():
    """Hard films are hard for all: effects are surer than cells."""
    base = network(0.8, 1)
    hard = np.random.default_rng(0).uniform(0.1, 0.7, len(base))
    shift = {("A", "x"): 0, ("A", "y"): 0.1, ("B", "x"): 0.2, ("B", "y"): 0.3}
    table = two_way_table({cell: [base.assign(dice=hard + up)] for cell, up in shift.items()})
    width = (table["high"] - table["low"]).tolist()
    assert min(width[:4]) > 0.05 and max(width[4:]) == pytest.approx(0, abs=1e-9)


def test_an_incomplete_design_is_refused():
    cells = {("A", "x"): [network(0.8)], ("B", "y"): [network(0.8)]}
    with pytest.raises(StudyError, match="two networks and two losses"):
        two_way_table(cells)


def test_a_sweep_flags_runs_that_came_to_nothing():
    run = {
        "recipe": {"learning_rate": 0.01},
        "weights": "random",
        "epochs_run": 3,
        "best_epoch": 1,
        "best_validation_dice": 0.0,
        "diverged": False,
        "collapsed": False,
    }
    runs = {"good": run, "flat": run | {"collapsed": True}, "nan": run | {"diverged": True}}
    table = sweep_table(runs, dict.fromkeys(runs, network(0.8)))
    assert [words.split(":")[0] for words in table["outcome"]] == [
        "trained",
        "collapsed",
        "diverged",
    ]
    with pytest.raises(StudyError, match="nan was trained but not scored"):
        sweep_table(runs, {"good": network(0.8), "flat": network(0.8)})
