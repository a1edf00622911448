"""The recipes: Table 1, what may be changed, and how it is read."""

import dataclasses
import json

import pytest

from pneumo_keras.config import PAPER, QUICK, RECIPES, TUNED, Recipe, change, choose_recipe
from pneumo_keras.errors import StudyError

# Table 1 of the paper and section 4.
TABLE_1 = {"size": 256, "test_share": 0.25, "split_by": "image", "scaling": "unit", "width": 1.0}
TABLE_1 |= {"optimizer": "adam", "learning_rate": 0.01, "batch_size": 8, "weight_decay": 1e-4}
TABLE_1 |= {"segnet_loss": "binary_crossentropy", "deeplabv3_loss": "hybrid_published"}
TABLE_1 |= {"segnet_weights": "imagenet", "deeplabv3_weights": "imagenet", "dropout": 0.5}
TABLE_1 |= {"backbone": "resnet50", "output_stride": 16, "atrous_rates": (6, 12, 18)}
TABLE_1 |= {"decoder": False, "augment": False, "schedule": "constant", "threshold": "0.5"}


def test_the_paper_recipe_is_table_1():
    assert {field: getattr(PAPER, field) for field in TABLE_1} == TABLE_1
    assert not PAPER.random_if_unavailable and PAPER.patience is None


def test_quick_needs_no_download_and_tuned_can_do_without():
    assert QUICK.segnet_weights is None and QUICK.deeplabv3_weights is None
    assert TUNED.random_if_unavailable and TUNED.segnet_loss == TUNED.deeplabv3_loss
    assert QUICK.split_by == TUNED.split_by == "patient"


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


def test_text_is_read_by_the_type_of_the_setting():
    texts = {"epochs": "3", "learning_rate": "1e-4", "augment": "true", "patience": "none"}
    texts |= {"segnet_weights": "vgg.weights.h5", "atrous_rates": "2 4", "output_stride": "8"}
    values = (3, 1e-4, True, None, "vgg.weights.h5", (2, 4), 8)
    recipe = choose_recipe("tuned", texts)
    for key, value in zip(texts, values, strict=True):
        read = getattr(recipe, key)
        assert read == value and type(read) is type(value), key


def test_loss_and_weights_are_those_of_both_networks():
    recipe = change(PAPER, {"loss": "crossentropy_dice", "weights": "none"})
    for network in ("segnet", "deeplabv3"):
        assert recipe.of(network, "loss") == "crossentropy_dice"
        assert recipe.of(network, "weights") is None
    assert PAPER.of("segnet", "loss") != PAPER.of("deeplabv3", "loss")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": 3}, "no setting 'epoch' .* did you mean epochs?"),
        ({"zzz": 3}, "no setting 'zzz' .* there are phantoms, size"),
        ({"name": "mine"}, "no setting 'name'"),
        ({"epochs": "many"}, "epochs=many"),
        ({"epochs": None}, "epochs=None"),
        ({"augment": "perhaps"}, "augment=perhaps"),
        ({"atrous_rates": "6;12"}, "atrous_rates=6;12"),
        ({"optimizer": "sgd"}, "optimizer=sgd: .*adam, adamw"),
        ({"output_stride": 32}, "output_stride=32: .*8, 16"),
        ({"split_by": "film"}, "split_by=film: .*patient, image, official"),
        ({"loss": "focal"}, "segnet_loss=focal: .*binary_crossentropy, "),
        ({"epochs": 0}, "epochs=0"),
        ({"learning_rate": "nan"}, "learning_rate=nan"),
        ({"clip_norm": 0}, "clip_norm=0.0"),
        ({"seed": -1}, "seed=-1"),
        ({"validation_share": 1}, "validation_share=1.0"),
        ({"size": 100}, "size=100: .*multiples of 32"),
        ({"segnet_weights": "imagenet"}, "segnet_weights=imagenet: .*width=1"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(changes, message):
    with pytest.raises(StudyError, match=message) as error:
        choose_recipe("quick", changes)
    assert "\n" not in str(error.value)
    with pytest.raises(StudyError, match="'fast': choose one of quick, paper, tuned"):
        choose_recipe("fast", changes)


def test_the_label_names_what_was_changed_and_only_that():
    assert choose_recipe("tuned").label == "tuned"
    assert choose_recipe("tuned", {"seed": 1}).label == "tuned"  # as it is anyway
    assert choose_recipe("tuned", {"seed": 2, "size": 128}).label == "tuned (size=128, seed=2)"
