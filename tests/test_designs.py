"""Tables of designs from score tables made by hand."""

import pandas as pd
import pytest

from pneumo_keras.evaluation.designs import design_tables
from pneumo_keras.report.conclusion import score_table
from pneumo_keras.training.networks import NETWORKS
from pneumo_keras.training.recipes import choose_recipe
from pneumo_keras.training.variants import variants


def scored(dice):
    """Two films of two patients, both with this Dice."""
    return pd.DataFrame(
        {
            "name": ["a", "b"],
            "patient": ["1", "2"],
            "group": "virus",
            **{"tp": 1, "fp": 0, "fn": 1, "tn": 2},
            "iou": 0.5,
            "dice": dice,
        }
    )


def trained(recipe, dice):
    """Every training of a recipe with the Dice that `dice` gives its key."""
    every = [variant for network in NETWORKS for variant in variants(network, recipe)]
    return {variant: scored(dice(variant)) for variant in every}


def test_one_training_of_each_needs_no_table():
    assert design_tables(choose_recipe("quick"), {}, {}) == {}


def test_seeds_are_averaged_by_network():
    recipe = choose_recipe("quick", {"seeds": 3})
    scores = trained(recipe, lambda variant: variant.recipe.seed / 10)
    table = design_tables(recipe, {}, scores)["seeds"]
    dice = table[table["score"] == "dice"]
    assert dice["network"].tolist() == ["SegNet", "DeepLabV3"]
    assert dice["mean"].tolist() == pytest.approx([0.2, 0.2])
    assert dice["sd"].tolist() == pytest.approx([0.1, 0.1])


def test_two_by_two_tells_network_from_loss():
    recipe = choose_recipe("quick", {"design": "2x2", "seeds": 2})
    better = {"segnet": 0.2, "deeplabv3": 0.3}

    def dice(variant):
        return better[variant.network] + 0.4 * (variant.loss == "hybrid_corrected")

    tables = design_tables(recipe, {}, trained(recipe, dice))
    table = tables["two_way"].query("score == 'dice'").set_index("name")["value"]
    assert table["network: DeepLabV3 − SegNet"] == pytest.approx(0.1)
    assert table["loss: hybrid_corrected − binary_crossentropy"] == pytest.approx(0.4)
    assert table["interaction"] == pytest.approx(0)
    arms = tables["seeds"].query("score == 'dice'")
    assert len(arms) == 4 and (arms["seeds"] == 2).all()


def test_rates_flag_what_collapsed():
    recipe = choose_recipe("quick", {"design": "rates"})
    scores = trained(recipe, lambda variant: 0.5)
    run = {"weights": "random", "epochs_run": 1, "best_epoch": 1, "best_validation_dice": 0.1}
    runs = {
        variant: run
        | {"recipe": variant.recipe.as_json(), "diverged": False}
        | {"collapsed": variant.recipe.learning_rate == 0.01}
        for variant in scores
    }
    table = design_tables(recipe, runs, scores)["rates"]
    assert len(table) == 8  # 0.003 of the recipe, 0.01, 0.001, 0.0001 of both networks
    collapsed = table[table["outcome"].str.startswith("collapsed")]
    assert (collapsed["learning_rate"] == 0.01).all() and len(collapsed) == 2


def test_all_scores_say_what_they_are_taken_over():
    from pneumo_keras.evaluation.scores import score_films

    truth = scored(0.5).index.to_numpy()[:, None, None] * [[1, 0], [0, 0]]  # on the second film
    probability = truth * 0.9
    table = score_films(probability, truth > 0, 0.5, scored(0.5)[["name", "patient", "group"]])
    of_all = score_table({"SegNet": table}, {"SegNet": probability}, truth)
    values = of_all.set_index("Score")["SegNet"]
    assert values["Dice, pooled"] == values["Dice, mean over films with target"] == 1
    assert values["Brier score, pixels"] == pytest.approx(0.01 / 8, abs=1e-3)
