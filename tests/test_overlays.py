"""Figures of images: the ones they choose, the colours they mark errors in, the rates they draw."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from figure_checks import assert_printable, by_gid, words
from matplotlib.colors import to_rgb
from skimage.color import deltaE_ciede2000, rgb2lab

from pneumo_keras.dataset.arrays import Arrays
from pneumo_keras.dataset.images import write_png
from pneumo_keras.dataset.labelme import Shape, write_annotation
from pneumo_keras.dataset.layouts import find_images
from pneumo_keras.dataset.masks import write_masks
from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.predict import tinted
from pneumo_keras.report import examples, overlays, style

DATA = "phantoms, 5 test images, recipe quick"
LONG = "phantoms, target pneumonia, " * 8
NAN = float("nan")
# Machado, Oliveira & Fernandes (2009): what a deuteranope sees, in linear RGB.
DEUTERANOPIA = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)
ERRORS = (style.TRUE_POSITIVE, style.FALSE_POSITIVE, style.FALSE_NEGATIVE)


def tested(name: str, height: int, width: int, dice: float) -> examples.TestedImage:
    """Two bars that overlap: five rows each of false negatives, true and false positives."""
    reference, predicted = np.zeros((2, height, width), bool)
    reference[5:15, 5:15] = not np.isnan(dice)
    predicted[10:20, 5:15] = True
    image = np.full((height, width), 51, np.uint8)
    of_network = {"SegNet": predicted}, {"SegNet": dice}
    return examples.TestedImage(name, "", "virus", image, reference, *of_network)


def panel(axes) -> np.ndarray:
    return np.asarray(axes.images[-1].get_array())


def test_errors_are_marked_in_their_colours_and_the_reference_is_outlined():
    figure = overlays.segmentation_figure({"best": tested("a", 30, 40, 0.5)}, "SegNet", DATA)
    image, reference, predicted, errors = map(panel, figure.axes)
    assert (image == 51).all()
    assert reference[7, 7] and predicted[17, 7] and not reference[17, 7] and not predicted[7, 7]
    for row, colour in zip((12, 17, 7), ERRORS, strict=True):
        expected = tinted(np.full((1, 1), 51, np.uint8), [(np.ones((1, 1), bool), colour)])
        assert errors[row, 7].tolist() == expected[0, 0].tolist()
    assert errors[25, 7].tolist() == [51, 51, 51]
    (lines,) = figure.axes[3].collections
    assert to_rgb(style.REFERENCE) == tuple(lines.get_edgecolor()[0][:3])
    (path,) = lines.get_paths()
    assert path.vertices.min(axis=0) == pytest.approx([4.5, 4.5])
    assert path.vertices.max(axis=0) == pytest.approx([14.5, 14.5])


def _seen_by(colours: np.ndarray, deuteranope: bool) -> np.ndarray:
    """CIELAB of sRGB colours (N, 3), 0..1, as a deuteranope or a trichromat sees them."""
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ DEUTERANOPIA.T, 0, 1) if deuteranope else linear
    return rgb2lab(np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055))


@pytest.mark.parametrize("grey", range(0, 256, 51))
@pytest.mark.parametrize("deuteranope", [False, True], ids=["trichromat", "deuteranope"])
def test_errors_and_image_differ_for_all_readers(grey, deuteranope):
    pixel, everything = np.full((1, 1), grey, np.uint8), np.ones((1, 1), bool)
    shown = [tinted(pixel, [(everything, colour)])[0, 0] / 255 for colour in ERRORS]
    seen = _seen_by(np.array([*shown, np.full(3, grey / 255)]), deuteranope)
    _, false_positive, false_negative, _ = seen
    for one, other in combinations(seen, 2):
        assert deltaE_ciede2000(one, other) > 10
    assert deltaE_ciede2000(false_positive, false_negative) > 40


@pytest.mark.parametrize("data", [DATA, LONG], ids=["short", "long"])
def test_segmentations_keep_the_proportions_of_each_image(data):
    shown = {
        "best": tested("a", 40, 60, 0.9),
        "typical": tested("b" * 60, 60, 40, 0.5),
        "worst": tested("person1946_bacteria_4874", 50, 50, NAN),
    }
    figure = overlays.segmentation_figure(shown, "SegNet", data)
    page = figure.get_size_inches()
    shapes = [axes.get_position().size * page for axes in figure.axes[::4]]
    assert [height / width for width, height in shapes] == pytest.approx([40 / 60, 1.5, 1])
    titles = [axes.get_title(loc="left")[:3] for axes in figure.axes[:4]]
    assert titles == ["(a)", "(b)", "(c)", "(d)"]
    labels = [axes.get_ylabel() for axes in figure.axes[::4]]
    assert labels[0] == "Best\nDice 0.90\na"
    assert "person1946_\nbacteria_4874" in labels[2] and "nan" not in labels[2]
    assert any("SegNet" in text for text in words(figure))
    assert_printable(figure)


@pytest.mark.parametrize("data", [DATA, LONG], ids=["short", "long"])
def test_error_figure_names_every_image(data):
    shown = {
        "worst": [tested("a", 60, 60, 0.0), tested("x" * 80, 90, 60, 0.1)],
        "median": [tested("b", 40, 60, 0.5), tested("person1946_bacteria_4874", 60, 60, 0.5)],
        "best": [tested("c", 60, 60, 0.9), tested("d", 200, 60, 0.95)],
    }
    figure = overlays.error_figure(shown, "SegNet", data)
    assert len(figure.axes) == 12
    labels = [axes.get_xlabel() for axes in figure.axes[:6]]
    assert labels == ["a", "Dice 0.00", "b", "Dice 0.50", "c", "Dice 0.90"]
    for note in shown:
        assert any(note in text and "SegNet" in text for text in words(figure))
    assert_printable(figure)


def test_annotations_and_augmentation_are_printable():
    mask, image = np.zeros((40, 60), bool), np.zeros((40, 60), np.uint8)
    mask[10:20, 5:30] = True
    images = [("normal", image, {}), ("x", image, {"lung": mask, "pneumonia": mask})]
    figure = overlays.annotation_figure(images, "pneumonia", DATA)
    assert {"pneumonia", "lung"} <= set(words(figure))
    assert (panel(figure.axes[6]) == mask).all() and not panel(figure.axes[2]).any()
    assert "10.4 %" in figure.axes[4].get_ylabel()  # 250 of 2400 pixels
    assert_printable(figure)
    assert_printable(overlays.augmentation_figure([[(image, mask)] * 5] * 2, DATA))


def test_extremes_are_of_images_with_target():
    table = pd.DataFrame({"dice": [0.9, NAN, 0.1, 0.5, 0.3, 0.7, NAN, 0.2]}, index=range(40, 48))
    # Ranked: rows 2, 7, 4, 3, 5, 0; the two in the middle of six are the third and the fourth.
    assert examples.choose_extremes(table) == {"worst": [2, 7], "median": [4, 3], "best": [5, 0]}
    assert examples.choose_extremes(table, count=1) == {"worst": [2], "median": [3], "best": [0]}
    one = pd.DataFrame({"dice": [NAN, 0.4]})
    assert examples.choose_extremes(one) == {"worst": [1], "median": [1], "best": [1]}


def test_examples_are_chosen_by_both_networks_together():
    dice = {"SegNet": [0.2, 0.9, NAN, 0.5], "DeepLabV3": [0.9, 0, NAN, 0.5]}
    scores = {name: pd.DataFrame({"dice": values}) for name, values in dice.items()}
    chosen = examples.choose_examples(scores)  # sums 1.1, 0.9, none, 1.0
    assert chosen == {"best": 0, "typical": 3, "worst": 1}
    with pytest.raises(StudyError):
        examples.choose_examples({"SegNet": pd.DataFrame({"dice": [NAN]})})


def test_chosen_images_are_read_at_their_own_size(tmp_path):
    """A letterboxed image twice as wide as high: its rows are the middle half of the square."""
    image, mask = np.full((4, 8), 7, np.uint8), np.zeros((4, 8), bool)
    mask[:, 2:4] = True
    write_png(tmp_path / "a.png", image)
    write_png(tmp_path / "masks" / "a.png", mask)
    listed = {"name": ["a"], "patient": [np.nan], "group": ["virus"]}
    images = pd.DataFrame(listed | {"image": ["a.png"], "mask": ["a.png"]})
    probability = np.zeros((1, 8, 8))
    probability[0, 2:6] = np.tile(mask[0], (4, 1))
    scores = {"SegNet": pd.DataFrame({"dice": [1.0]})}
    predictions = ({"SegNet": probability}, {"SegNet": 0.5}, scores)
    places = (images, tmp_path, tmp_path / "masks", *predictions)
    (one,) = examples.segmented_images({"best": 0}, *places, letterbox=True).values()
    assert (one.name, one.patient, one.dice) == ("a", "", {"SegNet": 1.0})
    assert np.array_equal(one.image, image) and np.array_equal(one.reference, mask)
    assert np.array_equal(one.predicted["SegNet"], mask)
    (stretched,) = examples.extreme_images({"best": [0]}, *places)["best"]
    assert not np.array_equal(stretched.predicted["SegNet"], mask)


def test_masks_and_labelme_outlines_are_shown_alike(tmp_path):
    opacity, lung = np.zeros((9, 9), bool), np.zeros((9, 9), bool)
    opacity[2:5, 2:5], lung[1:8, 1:8] = True, True
    write_png(tmp_path / "m" / "images" / "a.png", np.full((9, 9), 7, np.uint8))
    write_png(tmp_path / "m" / "masks" / "a.png", opacity)
    write_png(tmp_path / "m" / "lungs" / "a.png", lung)
    write_png(tmp_path / "l" / "a.png", np.full((9, 9), 7, np.uint8))
    corners = (("pneumonia", [[2, 2], [4, 4]]), ("lung", [[1, 1], [7, 7]]))
    shapes = [Shape(label, "rectangle", np.array(points, float)) for label, points in corners]
    write_annotation(tmp_path / "l" / "a.json", "a.png", shapes, 9, 9)
    for data in (tmp_path / "m", tmp_path / "l"):
        records, out = find_images(data), tmp_path / f"out {data.name}"
        report = write_masks(records, out, "pneumonia", ["lung"], data=data, progress=False)
        labels = ("pneumonia", "lung")
        ((title, image, masks),) = examples.annotated_images(report.index, data, labels, 4, records)
        assert title == "a (unknown)" and (image == 7).all()
        assert np.array_equal(masks["pneumonia"], opacity)
        assert np.array_equal(masks["lung"], lung)


def test_augmented_are_the_training_images_with_most_target():
    masks = np.zeros((4, 32, 32), np.uint8)
    for number, side in enumerate((4, 30, 12, 8)):
        masks[number, :side, :side] = 1
    images = np.arange(4, dtype=np.uint8)[:, None, None] * 10 + masks
    arrays = Arrays(images, masks, pd.DataFrame({"name": list("abcd")}))
    split = pd.Series({"a": "train", "b": "test", "c": "train", "d": "train"})
    rows = examples.augmented_images(arrays, split, count=2, variants=3, seed=1)
    assert [row[0][0][-1, -1] for row in rows] == [20, 30]  # c and d, the originals first
    assert all(len(row) == 4 for row in rows)
    again = examples.augmented_images(arrays, split, count=2, variants=3, seed=1)
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(rows[0], again[0], strict=True))


def test_error_maps_draw_shares_of_all_images_over_their_mean():
    images = np.stack([np.full((8, 8), 0, np.uint8), np.full((8, 8), 100, np.uint8)])
    reference = np.zeros((2, 8, 8), bool)
    reference[0, :4] = True
    predicted = {"SegNet": ~reference, "DeepLabV3": reference}
    figure = overlays.error_map_figure(images, reference, predicted, DATA)
    panels = [axes for axes in figure.axes if len(axes.images) == 2]
    means = np.stack([axes.images[0].get_array() for axes in panels])
    assert (means == means[0, 0, 0]).all() and 0 < means[0, 0, 0] <= 50 / 255
    marked, false_positive, false_negative, *right = map(panel, panels)
    assert marked[0, 0] == 0.5 and marked[7, 7] == 0
    assert false_positive[0, 0] == 0.5 and false_positive[7, 7] == 1
    assert false_negative[0, 0] == 0.5 and false_negative[7, 7] == 0
    assert not np.any(right)
    assert {axes.images[1].get_clim() for axes in panels[1:]} == {(0, 1)}  # one scale
    assert "% of 2 images" in words(figure) and by_gid(figure, "data")
    bare = panels[1].images[1].to_rgba(np.zeros((1, 1)))
    assert bare[0, 0, 3] == 0  # no error leaves the image bare
    assert_printable(figure)
    assert_printable(overlays.error_map_figure(images, reference, {"SegNet": reference}, LONG))
