"""Figures 1 to 4 say what the models and the recipes are."""

import pytest
from figure_checks import PRINTED, SMALLEST, assert_readable, by_gid, words
from keras import layers
from matplotlib.text import Text

from pneumo_keras.config import LOSSES, PAPER, RECIPES, TUNED, change
from pneumo_keras.models.deeplabv3 import deeplab_v3
from pneumo_keras.models.segnet import segnet
from pneumo_keras.report.architecture import deeplabv3_figure, segnet_figure
from pneumo_keras.report.flowcharts import testing_flowchart as figure_4
from pneumo_keras.report.flowcharts import training_flowchart as figure_3


@pytest.fixture(scope="module")
def small_segnet():
    return segnet(128, width=0.25)


@pytest.fixture(scope="module", params=[16, 8])
def small_deeplab(request):
    """16x16 features at either output stride; the last rate is not below their side."""
    size = 16 * request.param
    return deeplab_v3(
        size, width=0.05, output_stride=request.param, atrous_rates=(3, 15, 16), decoder=True
    )


def said(figure, prefix):
    return {name: text.get_text() for name, text in by_gid(figure, prefix).items()}


def test_figure_1_says_size_and_channels_of_every_block(small_segnet):
    # Worked out by hand: VGG16's channels quartered, images halved at each pooling.
    sizes = (
        "128 16, 64 32, 32 64, 16 128, 8 128, 8 128, 16 128→64, 32 64→32, 64 32→16, 128 16, 128 1"
    )
    expected = [size.split() for size in sizes.split(", ")]
    labels = said(segnet_figure(small_segnet), "size:").values()
    assert list(labels) == [f"{side}×{side}\n×{channels}" for side, channels in expected]


def test_figure_1_draws_every_layer_once(small_segnet):
    figure = segnet_figure(small_segnet)
    drawn = [artist.get_gid() for artist in figure.findobj()]
    for layer in small_segnet.layers:
        if isinstance(layer, (layers.Conv2D, layers.Dropout)):
            assert drawn.count(layer.name) == 1
    assert "Encoder: 13 convolutions" in words(figure)
    assert "Decoder: 12 convolutions" in words(figure)
    assert f"{small_segnet.count_params():,} parameters" in words(figure)


def test_figure_1_carries_the_indices_of_each_pooling_to_its_unpooling(small_segnet):
    arrows = by_gid(segnet_figure(small_segnet), "indices:")
    assert set(arrows) == {f"block{block}_pool:decoder{block}_unpool" for block in range(1, 6)}


def test_figure_1_without_dropout_has_none_in_its_legend():
    without, with_it = (segnet_figure(segnet(32, width=0.1, dropout=rate)) for rate in (0, 0.3))
    assert not any("dropout" in text for text in words(without))
    assert "dropout 0.3" in words(with_it)


def test_figure_2_says_the_rates_of_the_layers(small_deeplab):
    figure = deeplabv3_figure(small_deeplab)
    rates, stride = said(figure, "rate:"), said(figure, "stride:")["conv5"]
    expected = {"16": ("1", "2, 4, 8"), "8": ("2", "4, 8, 16*")}
    assert (rates["conv4"], rates["conv5"]) == expected[stride]
    assert int(stride) == small_deeplab.input_shape[1] // 16
    assert said(figure, "units:")["conv4"] == "6"


def test_figure_2_says_where_only_the_centre_tap_is_alive(small_deeplab):
    lines = words(deeplabv3_figure(small_deeplab))
    # Features are 16x16: the outer taps of rate 15 still reach from one border to the other.
    rates = [line for line in lines if line.startswith("3×3, rate")]
    assert rates == ["3×3, rate 3", "3×3, rate 15", "3×3, rate 16"]
    assert lines.count("centre tap only*") == 1
    assert any(line.startswith("* rate ≥ side") for line in lines)


def test_figure_2_shows_the_path_to_the_output(small_deeplab):
    drawn = {artist.get_gid() for artist in deeplabv3_figure(small_deeplab).findobj()}
    kinds = (layers.Conv2D, layers.Concatenate, layers.Resizing, layers.Dropout, layers.Activation)
    assert {layer.name for layer in small_deeplab.layers if isinstance(layer, kinds)} <= drawn


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_flow_charts_say_the_recipe(recipe):
    training, testing = words(figure_3(recipe)), words(figure_4(recipe))
    assert f"Resize to {recipe.size}×{recipe.size}" in training
    assert f"Resize to {recipe.size}×{recipe.size}" in testing
    assert any(text.startswith(str(recipe.epochs)) for text in training)
    assert any(f"learning rate {recipe.learning_rate:g}" in text for text in training)
    assert {LOSSES[recipe.segnet_loss], LOSSES[recipe.deeplabv3_loss]} <= set(training)
    assert ("Split by image" in training) == (recipe is PAPER)
    assert ("0.5" in testing) == (recipe is PAPER)


def test_all_four_figures_are_readable_in_print(small_segnet, small_deeplab):
    changes = {"decoder": True, "letterbox": True, "clahe": True, "loss": "hybrid_published"}
    recipes = (*RECIPES.values(), change(TUNED, changes))
    many_stages = deeplab_v3(256, width=0.05, backbone="mobilenet_v2")
    for figure in (
        *map(segnet_figure, (small_segnet, segnet(256))),
        *map(deeplabv3_figure, (small_deeplab, many_stages)),
        *map(figure_3, recipes),
        *map(figure_4, recipes),
    ):
        assert_readable(figure)
        shrink = min(1, PRINTED / figure.get_size_inches()[0])
        assert all(text.get_fontsize() * shrink >= SMALLEST for text in figure.findobj(Text))
