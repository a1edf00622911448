"""Figures: what they say is what was computed, and they are written alike every time."""

import keras
import numpy as np
import pandas as pd
import pytest
from figure_checks import assert_readable, by_gid, words
from matplotlib.colors import to_rgb

from pneumo_keras.evaluation.overlay import OPACITY
from pneumo_keras.models.deeplabv3 import deeplab_v3
from pneumo_keras.models.layers import MaxPoolingWithIndices2D
from pneumo_keras.models.segnet import segnet
from pneumo_keras.report import style
from pneumo_keras.report.charts.exploration import (
    history_figure,
    intensity_figure,
    leak_figure,
    prevalence_figure,
)
from pneumo_keras.report.charts.results import accuracy_figure, iou_figure
from pneumo_keras.report.diagrams.architecture import segnet_figure
from pneumo_keras.report.diagrams.flowcharts import testing_flowchart as figure_4
from pneumo_keras.report.diagrams.flowcharts import training_flowchart as figure_3
from pneumo_keras.report.diagrams.pyramid import deeplabv3_figure
from pneumo_keras.report.films.panels import (
    Example,
    annotation_figure,
    augmentation_figure,
    error_overlay,
    segmentation_figure,
)
from pneumo_keras.report.style import drawing, save_figure
from pneumo_keras.training.recipes import PAPER, QUICK, TUNED

DATA = "phantoms, 2 test films, recipe quick"


@pytest.fixture(scope="module")
def small_segnet():
    return segnet(128, width=0.25)


@pytest.fixture(scope="module", params=[16, 8])
def small_deeplab(request):
    """16x16 features at either output stride; the last rate reaches beyond them."""
    size = 16 * request.param
    return deeplab_v3(
        size, width=0.05, output_stride=request.param, atrous_rates=(3, 15, 16), decoder=True
    )


def test_figure_1_says_size_and_channels_of_every_block(small_segnet):
    said = {
        number: text.get_text()
        for number, text in by_gid(segnet_figure(small_segnet), "size:").items()
    }
    # Worked out by hand: VGG16's channels quartered, films halved at each pooling.
    assert list(said.values()) == [
        "128×128\n×16",
        "64×64\n×32",
        "32×32\n×64",
        "16×16\n×128",
        "8×8\n×128",
        "8×8\n×128",
        "16×16\n×128→64",
        "32×32\n×64→32",
        "64×64\n×32→16",
        "128×128\n×16",
        "128×128\n×1",
    ]


def test_figure_1_draws_every_layer_once(small_segnet):
    figure = segnet_figure(small_segnet)
    drawn = {artist.get_gid() for artist in figure.findobj()}
    for layer in small_segnet.layers:
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dropout)):
            assert layer.name in drawn
    assert "Encoder: 13 convolutions" in words(figure)
    assert "Decoder: 12 convolutions" in words(figure)
    assert f"{small_segnet.count_params():,} parameters" in words(figure)


def test_figure_1_carries_the_indices_of_each_pooling_to_its_unpooling(small_segnet):
    arrows = by_gid(segnet_figure(small_segnet), "indices:")
    pools = [layer for layer in small_segnet.layers if isinstance(layer, MaxPoolingWithIndices2D)]
    assert len(arrows) == len(pools) == 5
    assert set(arrows) == {f"block{block}_pool:decoder{block}_unpool" for block in range(1, 6)}


def test_figure_1_without_dropout_has_none_in_its_legend():
    without, with_it = (segnet_figure(segnet(32, width=0.1, dropout=rate)) for rate in (0, 0.3))
    assert not any("dropout" in text for text in words(without))
    assert "dropout 0.3" in words(with_it)


def test_figure_2_says_the_rates_of_the_layers(small_deeplab):
    figure = deeplabv3_figure(small_deeplab)
    said = {name: text.get_text() for name, text in by_gid(figure, "rate:").items()}
    backbone = small_deeplab.get_layer("backbone")
    for stage, units in (("conv4", 6), ("conv5", 3)):
        layers = [backbone.get_layer(f"{stage}_block{unit}_2_conv") for unit in range(1, units + 1)]
        rates = [layer.dilation_rate[0] for layer in layers]
        rates = rates if len(set(rates)) > 1 else rates[:1]
        assert said[stage].rstrip("*") == ", ".join(map(str, rates))
    stride = small_deeplab.input_shape[1] // 16
    expected = {16: {"conv4": "1", "conv5": "2, 4, 8"}, 8: {"conv4": "2", "conv5": "4, 8, 16*"}}
    assert {stage: said[stage] for stage in ("conv4", "conv5")} == expected[stride]
    strides = {name: text.get_text() for name, text in by_gid(figure, "stride:").items()}
    assert strides["conv5"] == str(stride)


def test_figure_2_says_where_only_the_centre_tap_meets_a_feature(small_deeplab):
    said = words(deeplabv3_figure(small_deeplab))
    # Features are 16x16: the outer taps of rate 15 still reach from one border to the other.
    assert [text for text in said if "rate" in text and "3×3, " in text] == [
        "3×3, rate 3",
        "3×3, rate 15",
        "3×3, rate 16",
    ]
    assert said.count("centre tap only*") == 1
    assert any(text.startswith("* rate ≥ size") for text in said)


@pytest.mark.parametrize("recipe", [QUICK, PAPER, TUNED], ids=lambda recipe: recipe.name)
def test_flow_charts_say_the_recipe(recipe):
    training, testing = words(figure_3(recipe)), words(figure_4(recipe))
    assert f"Resize to {recipe.size}×{recipe.size}" in training
    assert f"Resize to {recipe.size}×{recipe.size}" in testing
    assert any(f"last of {recipe.epochs}" in text for text in training)
    assert any(f"learning rate {recipe.learning_rate:g}" in text for text in training)
    assert ("Split by image" in training) == (recipe is PAPER)
    assert ("0.5" in testing) == (recipe is PAPER)


def test_error_overlay_colours_right_wrong_and_missed_pixels():
    film = np.full((4, 4), 51, np.uint8)
    truth, predicted = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    truth[0, 0] = truth[1, 1] = predicted[0, 0] = predicted[2, 2] = True
    shown = error_overlay(film, truth, predicted)
    for pixel, colour in (
        ((0, 0), style.TRUE_POSITIVE),
        ((2, 2), style.FALSE_POSITIVE),
        ((1, 1), style.FALSE_NEGATIVE),
    ):
        expected = 51 * (1 - OPACITY) + 255 * np.array(to_rgb(colour)) * OPACITY
        assert shown[pixel] == pytest.approx(expected, abs=0.5)
    assert shown[3, 3].tolist() == [51, 51, 51]


def examples() -> list[Example]:
    """Films of different shapes; the last with nothing to find."""
    made = []
    for name, height, width, dice in (
        ("a", 40, 60, 0.9),
        ("b" * 60, 60, 40, 0.5),
        ("c", 50, 50, None),
    ):
        truth = np.zeros((height, width), bool)
        truth[10:20, 5:30] = dice is not None
        made.append(Example(name, "best", np.zeros((height, width), np.uint8), truth, truth, dice))
    return made


def test_segmentations_keep_the_shape_of_each_film():
    figure = segmentation_figure(examples(), "SegNet", DATA)
    page = figure.get_size_inches()
    shapes = [axes.get_position().size * page for axes in figure.axes[::4]]
    assert [height / width for width, height in shapes] == pytest.approx([40 / 60, 1.5, 1])
    assert {"Dice 0.90", "Dice 0.50", "nothing to find"} <= set(words(figure))


# SegNet: 2+0 right of 2+1+1 in the union, 16 pixels; nothing to find on the third film.
COUNTS = {
    "SegNet": pd.DataFrame({"tp": [2, 0, 0], "fp": [1, 0, 2], "fn": [0, 1, 0], "tn": [1, 3, 6]}),
    "nothing": pd.DataFrame({"tp": [0] * 3, "fp": [0] * 3, "fn": [2, 1, 0], "tn": [2, 3, 8]}),
}


def test_figure_7_is_the_accuracy_of_all_pixels():
    figure = accuracy_figure(COUNTS, {"SegNet": 0.81}, DATA)
    bars, dots = by_gid(figure, "pooled:"), by_gid(figure, "films:")
    assert {name: bar.get_height() for name, bar in bars.items()} == pytest.approx(
        {"SegNet": 12 / 16, "nothing": 13 / 16}
    )
    assert dots["SegNet"].get_ydata() == pytest.approx([3 / 4, 3 / 4, 6 / 8])
    assert by_gid(figure, "published:")["SegNet"].get_ydata() == [0.81]


def test_figure_8_has_no_dot_for_films_with_nothing_to_find():
    figure = iou_figure(COUNTS, {"SegNet": 0.70}, DATA)
    bars, dots = by_gid(figure, "pooled:"), by_gid(figure, "films:")
    assert bars["SegNet"].get_height() == pytest.approx(2 / 6)
    assert dots["SegNet"].get_ydata() == pytest.approx([2 / 3, 0])
    assert "SegNet\nn = 2" in words(figure)
    assert "paper (its own data, n not stated)" in words(figure)


def test_median_share_is_of_the_marked_films():
    index = pd.DataFrame({"group": list("aabb"), "target_share": [0, 0.1, 0.2, 0.6]})
    line = by_gid(prevalence_figure(index, DATA), "median:")["target_share"]
    assert line.get_xdata() == pytest.approx([20, 20])


def test_history_marks_the_best_epoch_and_shows_the_terms():
    names = ["loss", "dice", "iou", "focal", "ssim", "jaccard"]
    history = pd.DataFrame(
        {prefix + name: [0.9, 0.4, 0.5] for name in names for prefix in ("", "val_")}
    )
    figure = history_figure(history, 2, "DeepLabV3", DATA)
    assert len(figure.axes) == 3
    assert by_gid(figure, "val_jaccard")[""].get_ydata().tolist() == [0.9, 0.4, 0.5]
    assert all(line.get_xdata() == [2, 2] for line in by_gid(figure, "best").values())
    assert (
        len(
            history_figure(
                history.drop(
                    columns=["focal", "ssim", "jaccard"] + ["val_focal", "val_ssim", "val_jaccard"]
                ),
                2,
                "SegNet",
                DATA,
            ).axes
        )
        == 2
    )


def measured_figures() -> dict:
    mask = examples()[0].truth
    film = np.zeros(mask.shape, np.uint8)
    index = pd.DataFrame(
        {"group": ["a", "b"], "target_share": [0, 0.1], "target_share_in_lung": [0, 0.3]}
    )
    history = pd.DataFrame(
        {name: [0.5, 0.4] for name in ("loss", "val_loss", "dice", "val_dice", "iou", "val_iou")}
    )
    return {
        "segmentation": lambda data: segmentation_figure(examples(), "SegNet", data),
        "annotation": lambda data: annotation_figure(
            [("normal", film, {}), ("x", film, {"lung": mask, "pneumonia": mask})],
            "pneumonia",
            data,
        ),
        "augmentation": lambda data: augmentation_figure([[(film, mask)] * 3], data),
        "accuracy": lambda data: accuracy_figure(COUNTS, {"SegNet": 0.81}, data),
        "iou": lambda data: iou_figure(COUNTS, {"SegNet": 0.7}, data),
        "intensity": lambda data: intensity_figure([film], [mask], data),
        "prevalence": lambda data: prevalence_figure(index, data),
        "leak": lambda data: leak_figure(0, 1, 2, data),
        "history": lambda data: history_figure(history, 1, "SegNet", data),
    }


@pytest.mark.parametrize("name", measured_figures())
@pytest.mark.parametrize("data", [DATA, "phantoms, target pneumonia, " * 8], ids=["short", "long"])
def test_every_measured_figure_says_its_data_and_is_readable(name, data):
    figure = measured_figures()[name](data)
    note = by_gid(figure, "data")[""].get_text().replace("\n", " ")
    assert note == f"Data: {data}".strip()
    assert_readable(figure)


def test_architectures_and_flow_charts_are_readable(small_segnet, small_deeplab):
    for figure in (
        segnet_figure(small_segnet),
        deeplabv3_figure(small_deeplab),
        *(chart(recipe) for chart in (figure_3, figure_4) for recipe in (QUICK, PAPER, TUNED)),
    ):
        assert_readable(figure)


def test_saving_twice_gives_the_same_bytes(tmp_path):
    figure = segmentation_figure(examples(), "SegNet", DATA)
    assert save_figure(figure, "figure_5", "Segmentations.", tmp_path / "one") is figure
    save_figure(figure, "figure_5", "Segmentations.", tmp_path / "two")
    again = segmentation_figure(examples(), "SegNet", DATA)
    save_figure(again, "figure_5", "Segmentations.", tmp_path / "three")
    written = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert written == ["figure_5.png", "figure_5.svg", "figure_5.txt"]
    for name in written:
        first = (tmp_path / "one" / name).read_bytes()
        assert first == (tmp_path / "two" / name).read_bytes()
        assert first == (tmp_path / "three" / name).read_bytes()
    assert (tmp_path / "one" / "figure_5.txt").read_text() == "Segmentations.\n"
    assert ">true positive</text>" in (tmp_path / "one" / "figure_5.svg").read_text("utf-8")


def test_a_figure_that_cannot_be_drawn_leaves_no_files(tmp_path):
    with drawing(1, 1) as figure:
        figure.text(0.5, 0.5, "$\\frac$")
    with pytest.raises(ValueError):
        save_figure(figure, "broken", "Broken.", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_figures_show_themselves_and_leave_settings_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    figure = leak_figure(0, 1, 2, DATA)
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert dict(matplotlib.rcParams) == before
