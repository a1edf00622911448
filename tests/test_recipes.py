"""The recipes: Table 1, what may be changed, and how it is read."""

import dataclasses
import json
import typing

import pytest

from pneumo_keras.errors import StudyError
from pneumo_keras.training.recipes import PAPER, QUICK, RECIPES, TUNED, Recipe, choose_recipe

# Table 1 of the paper and section 4, as (setting, value).
TABLE_1 = {
    "size": 256,
    "test_share": 0.25,
    "optimizer": "adam",
    "learning_rate": 0.01,
    "batch_size": 8,
    "weight_decay": 1e-4,
    "dropout": 0.5,
    "segnet_loss": "binary_crossentropy",
    "deeplabv3_loss": "hybrid_published",
    "segnet_weights": "imagenet",
    "deeplabv3_weights": "imagenet",
    "backbone": "resnet50",
    "output_stride": 16,
    "atrous_rates": (6, 12, 18),
    "decoder": False,
    "width": 1.0,
    "split_by": "image",
    "scaling": "unit",
    "threshold": "0.5",
    "augment": False,
    "schedule": "constant",
}


def test_paper_recipe_is_table_1():
    assert {field: getattr(PAPER, field) for field in TABLE_1} == TABLE_1
    assert not PAPER.random_if_unavailable and PAPER.patience is None


def test_quick_needs_nothing_from_the_network_and_tuned_can_do_without():
    assert QUICK.segnet_weights is None and QUICK.deeplabv3_weights is None
    assert TUNED.random_if_unavailable
    assert QUICK.split_by == TUNED.split_by == "patient"
    assert TUNED.segnet_loss == TUNED.deeplabv3_loss


def test_a_recipe_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        QUICK.epochs = 1


@pytest.mark.parametrize("name", list(RECIPES))
def test_every_setting_survives_json_and_text(name):
    recipe = RECIPES[name]
    content = json.loads(json.dumps(recipe.as_json()))
    assert content.pop("name") == name
    assert set(content) == {field.name for field in dataclasses.fields(Recipe)} - {"name"}
    assert choose_recipe(name, content) == recipe
    as_text = {
        key: ",".join(map(str, value)) if isinstance(value, list) else str(value)
        for key, value in content.items()
    }
    assert choose_recipe(name, as_text) == recipe


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("epochs", "3", 3),
        ("learning_rate", "1e-4", 1e-4),
        ("augment", "False", False),
        ("augment", "true", True),
        ("patience", "none", None),
        ("patience", "7", 7),
        ("segnet_weights", "None", None),
        ("segnet_weights", "vgg.weights.h5", "vgg.weights.h5"),
        ("atrous_rates", "2,4", (2, 4)),
        ("output_stride", "8", 8),
        ("clip_norm", "0.5", 0.5),
    ],
)
def test_text_is_read_by_the_type_of_the_setting(key, text, value):
    read = getattr(choose_recipe("paper", {key: text}), key)
    assert read == value and type(read) is type(value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": 3}, "no setting 'epoch' .* did you mean epochs?"),
        ({"zzz": 3}, "no setting 'zzz' .* there are phantoms, size"),
        ({"name": "mine"}, "no setting 'name'"),
        ({"epochs": "many"}, "epochs=many: not a value of type int"),
        ({"epochs": 2.5}, "epochs=2.5: not a value of type int"),
        ({"epochs": None}, "epochs=None: not a value of type int"),
        ({"augment": "perhaps"}, "augment=perhaps: not a value of type bool"),
        ({"atrous_rates": "6;12"}, "atrous_rates=6;12: not a value of type list of int"),
        ({"optimizer": "sgd"}, "optimizer=sgd: choose one of adam, adamw"),
        ({"output_stride": 32}, "output_stride=32: choose one of 8, 16"),
        ({"split_by": "film"}, "split_by=film: choose one of patient, image, official"),
        ({"segnet_loss": "focal"}, "segnet_loss=focal: choose one of binary_crossentropy, "),
        ({"epochs": 0}, "epochs=0: it must be above zero"),
        ({"learning_rate": "-1"}, "learning_rate=-1.0: it must be above zero"),
        ({"learning_rate": "nan"}, "learning_rate=nan: it must be above zero"),
        ({"clip_norm": 0}, "clip_norm=0.0: it must be above zero"),
        ({"weight_decay": -1e-4}, "weight_decay=-0.0001: it must not be below zero"),
        ({"seed": -1}, "seed=-1: it must not be below zero"),
        ({"test_share": 0}, "test_share=0.0: it must be above zero"),
        ({"validation_share": 1}, "validation_share=1.0: it must be below 1"),
        ({"dropout": 1}, "dropout=1.0: it must be below 1"),
        ({"size": 100}, "size=100: .* multiples of 32"),
        ({"segnet_weights": "imagenet"}, "segnet_weights=imagenet: .*width=1"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(changes, message):
    with pytest.raises(StudyError, match=message) as error:
        choose_recipe("quick", changes)
    assert "\n" not in str(error.value)


def test_unknown_recipe_is_refused():
    with pytest.raises(StudyError, match="no recipe 'fast': choose one of quick, paper, tuned"):
        choose_recipe("fast")


def test_label_names_what_was_changed_and_only_that():
    assert choose_recipe("tuned").label == "tuned"
    assert choose_recipe("tuned", {"seed": 1}).label == "tuned"  # as it is anyway
    assert choose_recipe("tuned", {"seed": 2, "size": 128}).label == "tuned (size=128, seed=2)"


def test_settings_of_each_network():
    assert PAPER.of("segnet", "loss") == "binary_crossentropy"
    assert PAPER.of("deeplabv3", "loss") == "hybrid_published"


def test_defaults_are_of_their_types():
    for name, kind in typing.get_type_hints(Recipe).items():
        for recipe in RECIPES.values():
            value, kinds = getattr(recipe, name), typing.get_args(kind) or (kind,)
            if typing.get_origin(kind) is not tuple:
                assert type(value) in kinds, name
