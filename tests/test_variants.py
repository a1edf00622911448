"""What a recipe asks to be trained, and how the command line asks for it."""

from argparse import Namespace

import pytest

from pneumo_keras.command.run import parse_settings
from pneumo_keras.errors import StudyError
from pneumo_keras.training.networks import NETWORKS
from pneumo_keras.training.recipes import PAPER, QUICK, RECIPES, TUNED, choose_recipe
from pneumo_keras.training.variants import two_losses, variants


def keys(network, recipe="paper", **changes):
    return [variant.key for variant in variants(network, choose_recipe(recipe, changes))]


@pytest.mark.parametrize("name", list(RECIPES))
@pytest.mark.parametrize("network", list(NETWORKS))
def test_a_recipe_as_it_stands_is_one_training(name, network):
    (only,) = variants(network, RECIPES[name])
    assert only.key == network and only.recipe == RECIPES[name]
    assert only.words == NETWORKS[network]


@pytest.mark.parametrize("design", ["single", "2x2", "rates", "weights"])
@pytest.mark.parametrize("network", list(NETWORKS))
def test_the_plain_training_comes_first_and_no_folder_is_used_twice(network, design):
    recipe = choose_recipe("tuned", {"design": design, "seeds": 3})
    trainings = variants(network, recipe)
    assert trainings[0].key == network and trainings[0].recipe == recipe
    assert len({one.key for one in trainings}) == len({one.words for one in trainings})
    assert len({one.key for one in trainings}) == len(trainings)
    assert all(one.key.startswith(network) and one.network == network for one in trainings)


def test_seeds_count_from_the_recipes_own():
    assert keys("segnet", seeds=3) == ["segnet", "segnet-seed2", "segnet-seed3"]
    trainings = variants("segnet", choose_recipe("paper", {"seeds": 2, "seed": 7}))
    assert [one.recipe.seed for one in trainings] == [7, 8]
    assert [one.words for one in trainings] == ["SegNet, seed 7", "SegNet, seed 8"]


def test_two_by_two_puts_both_networks_under_both_losses():
    assert two_losses(PAPER) == ("binary_crossentropy", "hybrid_published")
    assert two_losses(QUICK) == ("binary_crossentropy", "hybrid_corrected")
    assert two_losses(TUNED) == ("crossentropy_dice", "hybrid_corrected")
    for recipe in ("paper", "quick", "tuned"):
        chosen = choose_recipe(recipe, {"design": "2x2"})
        losses = [{one.loss for one in variants(network, chosen)} for network in NETWORKS]
        assert losses[0] == losses[1] == set(two_losses(chosen)) and len(losses[0]) == 2
    assert keys("deeplabv3", design="2x2")[1] == "deeplabv3-loss-binary_crossentropy"
    assert keys("segnet", "quick", design="2x2")[1] == "segnet-loss-hybrid_corrected"
    alike = {"segnet_loss": "hybrid_corrected", "deeplabv3_loss": "hybrid_corrected"}
    assert two_losses(choose_recipe("quick", alike))[1] == "binary_crossentropy"


def test_seeds_multiply_the_design():
    assert keys("segnet", design="2x2", seeds=2) == [
        "segnet",
        "segnet-seed2",
        "segnet-loss-hybrid_published",
        "segnet-loss-hybrid_published-seed2",
    ]


def test_rates_are_those_of_the_sweep_that_are_not_the_recipes_own():
    assert keys("segnet", design="rates") == ["segnet", "segnet-rate-0.001", "segnet-rate-0.0001"]
    rates = [
        one.recipe.learning_rate
        for one in variants("segnet", choose_recipe("quick", {"design": "rates"}))
    ]
    assert rates == [3e-3, 0.01, 1e-3, 1e-4]


def test_weights_are_set_against_random_ones_and_the_other_way_round():
    trainings = variants("segnet", choose_recipe("paper", {"design": "weights"}))
    assert [one.recipe.segnet_weights for one in trainings] == ["imagenet", None]
    assert trainings[1].key == "segnet-weights-random"
    random = {"design": "weights", "width": 1, "deeplabv3_weights": None}
    assert keys("deeplabv3", "quick", **random)[1] == "deeplabv3-weights-imagenet"
    with pytest.raises(StudyError, match="design=weights: pretrained weights need width=1"):
        choose_recipe("quick", {"design": "weights"})


def test_a_variant_changes_nothing_but_its_training():
    """Split, phantoms and arrays are of the study: no variant touches what they are made by."""
    for network in NETWORKS:
        recipe = choose_recipe("paper", {"design": "2x2", "seeds": 2})
        for one in variants(network, recipe):
            changed = {key for key in vars(recipe) if vars(recipe)[key] != vars(one.recipe)[key]}
            assert changed <= {"seed", f"{network}_loss"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seeds": 0}, "seeds=0: it must be above zero"),
        ({"seeds": "two"}, "seeds=two: not a value of type int"),
        ({"seeds": 1.5}, "seeds=1.5"),
        ({"design": "3x3"}, "design=3x3: choose one of single, 2x2, rates, weights"),
    ],
)
def test_what_cannot_be_asked_for(changes, words):
    with pytest.raises(StudyError, match=words):
        choose_recipe("quick", changes)


def test_options_of_the_command_line_set_the_recipe():
    options = Namespace(settings=["epochs=3"], seeds="3", design="2x2")
    assert (
        choose_recipe("quick", parse_settings(options)).label
        == "quick (epochs=3, seeds=3, design=2x2)"
    )
    assert parse_settings(Namespace(settings=[], seeds=None, design=None)) == {}
    with pytest.raises(StudyError, match="--seeds 3 and --set seeds=2: give one"):
        parse_settings(Namespace(settings=["seeds=2"], seeds="3", design=None))
