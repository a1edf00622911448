"""Variations: which trainings they mean, and what their folders are called."""

import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumo_keras.config import NETWORKS, PAPER, RECIPES
from pneumo_keras.errors import StudyError
from pneumo_keras.study import begin_study
from pneumo_keras.training import experiments
from pneumo_keras.variants import parse_variation, variants


def keys(network, vary, recipe=PAPER):
    return [variant.key for variant in variants(network, recipe, vary)]


@pytest.mark.parametrize("recipe", RECIPES.values())
@pytest.mark.parametrize("network", NETWORKS)
def test_without_variations_there_is_one_training(network, recipe):
    (only,) = variants(network, recipe, {})
    assert only.key == network and only.recipe == recipe and only.label == NETWORKS[network]


def test_every_combination_is_trained_and_what_differs_is_named():
    found = variants("segnet", PAPER, {"learning_rate": ("0.01", "1e-3"), "seed": ("1", "7")})
    settings = [(one.recipe.learning_rate, one.recipe.seed) for one in found]
    assert settings == [(0.01, 1), (0.01, 7), (1e-3, 1), (1e-3, 7)]
    base, seed, rate, both = [one.key for one in found]
    assert base == "segnet" and "seed-7" in seed and "learning_rate-1e-3" in rate
    assert both == f"{rate}-seed-7"
    assert found[0].label == found[1].label != found[2].label == found[3].label
    assert "seed" not in found[3].label and "1e-3" in found[3].label


@pytest.mark.parametrize("network", NETWORKS)
def test_loss_and_weights_mean_those_of_each_network(network):
    """Both networks under both losses of the paper: for each, one is its own recipe."""
    losses = ("binary_crossentropy", "hybrid_published")
    found = variants(network, PAPER, {"loss": losses, "weights": ("imagenet", "none")})
    assert [one.recipe.of(network, "loss") for one in found] == [x for x in losses for _ in "ab"]
    assert [one.recipe.of(network, "weights") for one in found] == ["imagenet", None] * 2
    assert [one.recipe == PAPER for one in found].count(True) == 1
    assert [one.recipe for one in found if one.key == network] == [PAPER]
    for one in found:  # the other network's settings stay
        changed = {key for key in vars(PAPER) if vars(PAPER)[key] != vars(one.recipe)[key]}
        assert changed <= {f"{network}_loss", f"{network}_weights"}


def test_settings_of_the_other_network_and_equal_values_are_left_out():
    vary = {"deeplabv3_loss": ("hybrid_corrected", "crossentropy_dice")}
    assert keys("segnet", vary) == ["segnet"] and len(keys("deeplabv3", vary)) == 2
    assert len(keys("segnet", {"learning_rate": ("0.001", "1e-3"), "dropout": ("0.5", ".5")})) == 1


def some(strategy):
    return st.lists(strategy, min_size=1, max_size=3, unique=True)


settings = {
    "learning_rate": some(st.floats(1e-6, 1).map(str)),
    "seed": some(st.integers(0, 99).map(str)),
    "weights": some(st.text(min_size=1, max_size=30).filter(str.strip)),
    "atrous_rates": some(st.sampled_from(["3 6 9", "6 12 18", "3,6,9"])),
    "loss": some(st.sampled_from(["binary_crossentropy", "hybrid_corrected"])),
    "segnet_loss": some(st.just("crossentropy_dice")),
}


@given(st.fixed_dictionaries({}, optional=settings), st.sampled_from([*NETWORKS]))
def test_keys_are_unique_and_safe_as_folder_names(vary, network):
    found = variants(network, PAPER, {key: tuple(values) for key, values in vary.items()})
    names = [variant.key for variant in found]
    assert len(set(names)) == len(names) == len({variant.recipe for variant in found})
    assert len({*found}) == len(found)  # they can be keys of a dictionary
    for variant in found:
        assert (variant.key == network) == (variant.recipe == PAPER)
        assert re.fullmatch(r"[\w.+-]+", variant.key) and variant.key.startswith(network)
        assert len(variant.key) < 200


@pytest.mark.parametrize(
    ("vary", "named"),
    [
        ({"split_by": ("patient", "image")}, "split_by"),
        ({"phantoms": ("20", "40")}, "phantoms"),
        ({"devices": ("all",)}, "devices"),
        ({"epoch": ("3",)}, "did you mean epochs"),
        ({"learning_rate": ("fast",)}, "learning_rate=fast"),
        ({"name": ("quick",)}, "no setting 'name'"),
    ],
)
def test_what_cannot_be_varied_is_refused_before_anything_is_trained(tmp_path, vary, named):
    with pytest.raises(StudyError, match=named):
        begin_study("", "pneumonia", "quick", str(tmp_path / "out"), vary=vary)
    assert not (tmp_path / "out").exists()


def test_the_command_lines_texts_are_read():
    texts = ["seed=1, 2,1", "atrous_rates=3 6 9,6 12 18"]
    assert parse_variation(texts) == {"seed": ("1", "2"), "atrous_rates": ("3 6 9", "6 12 18")}
    for wrong in (["seed"], ["=1"], ["seed="], ["seed=,"], ["seed=1", "seed=2"]):
        with pytest.raises(StudyError, match="--vary"):
            parse_variation(wrong)


def test_all_variants_are_trained_but_the_study_s_own(tmp_path, monkeypatch):
    trained = []

    def train(network, recipe, arrays, split, folder, target, resume):
        trained.append((folder.name, recipe.seed, recipe.size, arrays, resume))

    monkeypatch.setattr(experiments, "train", train)
    monkeypatch.setattr(experiments, "arrays_for", lambda study, recipe: f"{recipe.size} pixels")
    vary = {"seed": ("1", "2"), "size": ("96", "64")}
    study = begin_study("", "pneumonia", "quick", str(tmp_path), vary=vary, resume=True)
    names = experiments.train_variants("segnet", study, pd.Series())
    assert names == ["segnet", "segnet-size-64", "segnet-seed-2", "segnet-seed-2-size-64"]
    assert trained == [
        ("segnet-size-64", 1, 64, "64 pixels", True),
        ("segnet-seed-2", 2, 96, "96 pixels", True),
        ("segnet-seed-2-size-64", 2, 64, "64 pixels", True),
    ]
