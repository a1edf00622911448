"""Marking films with a saved model: loading, sizes, thresholds, outlines."""

import json
import re
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from pneumo_keras.__main__ import main
from pneumo_keras.dataset.arrays import Arrays
from pneumo_keras.dataset.films import write_png
from pneumo_keras.dataset.labelme import Annotation, paint, read_annotation, write_annotation
from pneumo_keras.dataset.shapes import Shape
from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.predict import Segmenter, at_size, load_segmenter, predict_file
from pneumo_keras.evaluation.testing import predict_films
from pneumo_keras.models.layers import FilmScaling, film_input
from pneumo_keras.models.segnet import segnet

SIZE = 64


def grey_network(size=SIZE):
    """Its probability is the grey of the film over 255: what comes out is known beforehand."""
    film = film_input(size, 32, "test")
    grey = layers.Conv2D(
        1, 1, use_bias=False, kernel_initializer=keras.initializers.Constant(1 / 3)
    )
    return keras.Model(film, grey(FilmScaling("unit")(film)))


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter(grey_network(), 0.5, "pneumonia")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The folder of a finished training."""
    folder = tmp_path_factory.mktemp("segnet")
    grey_network().save(folder / "best.keras")
    (folder / "run.json").write_text(json.dumps({"threshold": 0.3, "target": "lung"}))
    return folder


def blobs(height, width, *ellipses):
    """Bright ellipses (row, column, radii) on a dark film."""
    rows, columns = np.indices((height, width))
    inside = np.zeros((height, width), bool)
    for row, column, tall, wide in ellipses:
        inside |= ((rows - row) / tall) ** 2 + ((columns - column) / wide) ** 2 < 1
    return inside


def iou(first, second):
    return (first & second).sum() / (first | second).sum()


def rasterised(shapes, mask, label="pneumonia"):
    height, width = mask.shape
    annotation = Annotation(Path("a.json"), "a.png", None, height, width, tuple(shapes))
    return paint(annotation, label, height, width)


# === Loading ===


def test_threshold_and_target_come_from_the_run(saved):
    for path in (saved, str(saved), saved / "best.keras"):
        loaded = load_segmenter(path)
        assert (loaded.threshold, loaded.target, loaded.size) == (0.3, "lung", SIZE)


def test_a_model_alone_has_the_default_threshold_and_target(tmp_path, saved):
    (tmp_path / "other.keras").write_bytes((saved / "best.keras").read_bytes())
    loaded = load_segmenter(tmp_path / "other.keras")
    assert (loaded.threshold, loaded.target) == (0.5, "pneumonia")


def test_a_loaded_segnet_predicts_what_it_did(tmp_path):
    model = segnet(32, width=0.05)
    model.save(tmp_path / "best.keras")
    film = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    expected = model(film[None, ..., None].astype("float32")).numpy()[0, ..., 0]
    np.testing.assert_allclose(load_segmenter(tmp_path).probability(film), expected, atol=1e-5)


def foreign_models():
    flat = keras.Sequential([keras.Input((8,)), layers.Dense(1)])
    classes = keras.Sequential([keras.Input((32, 32, 1)), layers.Conv2D(3, 1)])
    colour = keras.Sequential([keras.Input((32, 32, 3)), layers.Conv2D(1, 1)])
    any_size = keras.Sequential([keras.Input((None, None, 1)), layers.Conv2D(1, 1)])
    smaller = keras.Sequential([keras.Input((32, 32, 1)), layers.Conv2D(1, 1, strides=2)])
    two = [keras.Input((32, 32, 1)), keras.Input((32, 32, 1))]
    added = keras.Model(two, layers.Add()(two))
    unbuilt = keras.Sequential([layers.Conv2D(1, 1)])
    return {
        "flat": flat,
        "classes": classes,
        "colour": colour,
        "any_size": any_size,
        "smaller": smaller,
        "two inputs": added,
        "unbuilt": unbuilt,
    }


@pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built")
def test_foreign_models_are_refused(tmp_path):
    for name, model in foreign_models().items():
        path = tmp_path / f"{name}.keras"
        model.save(path)
        with pytest.raises(StudyError, match=re.escape(str(path))) as error:
            load_segmenter(path)
        assert "\n" not in str(error.value) and "not from films to masks" in str(error.value)


def test_what_is_no_model_is_refused_in_one_line(tmp_path, saved):
    text = tmp_path / "text.keras"
    text.write_text("no model")
    cut = tmp_path / "cut.keras"
    cut.write_bytes((saved / "best.keras").read_bytes()[:500])
    named_otherwise = tmp_path / "model.txt"
    named_otherwise.write_text("no model")
    for path, message in (
        (tmp_path / "missing.keras", "no such model"),
        (tmp_path, "best.keras: no such model"),
        (text, "not a model that can be loaded"),
        (cut, "not a model that can be loaded"),
        (named_otherwise, "not a model that can be loaded"),
    ):
        with pytest.raises(StudyError, match=message) as error:
            load_segmenter(path)
        assert "\n" not in str(error.value) and str(path) in str(error.value)


# === What a file brings is never run ===


def hostile_models(folder, code):
    """Models that run `code` when Keras trusts them: as a Lambda layer, in today's and the older
    format, and as a function and a class that their configuration names."""
    film = keras.Input((32, 32, 1))
    marked = layers.Lambda(eval(f"lambda x: [exec({code!r}), x][1]"), (32, 32, 1))(film)
    keras.Model(film, marked).save(folder / "lambda.keras")
    keras.Model(film, marked).save(folder / "lambda.h5")
    plain = keras.Model(film, layers.Conv2D(1, 1, name="head")(film))
    plain.save(folder / "plain.keras")
    function = {"module": "builtins", "class_name": "function", "config": "exec"}
    popen = {"module": "subprocess", "class_name": "Popen", "config": {"args": ["sh", "-c", code]}}
    for name, attack in (("function", function), ("class", popen)):
        with (
            zipfile.ZipFile(folder / "plain.keras") as source,
            zipfile.ZipFile(folder / f"{name}.keras", "w") as target,
        ):
            for part in source.namelist():
                content = source.read(part)
                if part == "config.json":
                    config = json.loads(content)
                    head = config["config"]["layers"][-1]["config"]
                    assert head["name"] == "head"
                    head["activation"] = {**attack, "registered_name": attack["config"]}
                    content = json.dumps(config)
                target.writestr(part, content)
    return [
        folder / name for name in ("lambda.keras", "lambda.h5", "function.keras", "class.keras")
    ]


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_hostile_models_are_refused_in_one_line_and_run_nothing(tmp_path, capsys):
    trace = tmp_path / "trace"
    write_png(tmp_path / "film.png", np.zeros((32, 32), np.uint8))
    models = hostile_models(tmp_path, f"open({str(trace)!r}, 'w').close()")
    trace.unlink(missing_ok=True)  # building them has run it
    for path in models:
        arguments = ["predict", str(path), str(tmp_path / "film.png"), "--out", str(tmp_path / "o")]
        assert main(arguments) == 2
        said = capsys.readouterr()
        assert said.err.startswith(f"pneumo_keras: {path}: not a model that can be loaded (")
        assert len(said.err.splitlines()) == 1 and not said.out
        assert not trace.exists() and not (tmp_path / "o").exists()
    keras.models.load_model(models[0], safe_mode=False)(np.zeros((1, 32, 32, 1)))
    assert trace.exists()  # it would have


@pytest.mark.parametrize("content", ["{", "[]", '{"threshold": null}', '{"threshold": "high"}'])
def test_a_damaged_run_is_refused(tmp_path, saved, content):
    (tmp_path / "best.keras").write_bytes((saved / "best.keras").read_bytes())
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(StudyError, match=r"run\.json: damaged"):
        load_segmenter(tmp_path)


# === Masks ===


@pytest.mark.parametrize("shape", [(64, 64), (100, 150), (257, 200), (40, 50), (64, 300)])
def test_the_mask_has_the_films_own_size_and_place(segmenter, shape):
    height, width = shape
    truth = blobs(height, width, (0.4 * height, 0.6 * width, 0.25 * height, 0.2 * width))
    film = np.where(truth, 240, 10).astype(np.uint8)
    probability, mask = segmenter.probability(film), segmenter.mask(film)
    assert probability.shape == mask.shape == shape
    assert probability.dtype == np.float32 and mask.dtype == bool
    assert iou(mask, truth) > 0.9
    np.testing.assert_array_equal(mask, probability >= 0.5)


def test_the_threshold_is_kept_to():
    ramp = np.repeat(np.arange(SIZE, dtype=np.uint8)[None] * 4, SIZE, axis=0)
    for threshold in (0.25, 0.5, 0.9):
        mask = Segmenter(grey_network(), threshold, "pneumonia").mask(ramp)
        first = next(grey for grey in range(SIZE) if 4 * grey / 255 >= threshold)
        assert not mask[:, :first].any() and mask[:, first:].all()


def test_flat_probabilities_stay_flat_at_any_size():
    for shape in ((3, 5), (64, 64), (301, 17)):
        enlarged = at_size(np.full((16, 16), 0.25, np.float32), shape)
        assert enlarged.shape == shape and (enlarged == 0.25).all()


def test_enlarging_is_centred():
    """A film twice the size: each pixel of the map is the middle of its four."""
    small = np.zeros((8, 8), np.float32)
    small[3, 5] = 1
    rows, columns = np.indices((16, 16))
    weights = at_size(small, (16, 16))
    centre = [(axis * weights).sum() / weights.sum() for axis in (rows, columns)]
    np.testing.assert_allclose(centre, [6.5, 10.5], atol=1e-5)


def test_a_film_is_read_and_marked(tmp_path, segmenter):
    truth = blobs(90, 120, (40, 60, 20, 30))
    write_png(tmp_path / "a.png", np.where(truth, 255, 0).astype(np.uint8))
    film, mask = predict_file(segmenter, tmp_path / "a.png")
    np.testing.assert_array_equal(film, 255 * truth)
    assert iou(mask, truth) > 0.9
    (tmp_path / "b.png").write_text("no film")
    with pytest.raises(StudyError, match="b.png is damaged"):
        predict_file(segmenter, tmp_path / "b.png")


def test_films_of_arrays_are_predicted_in_the_order_asked_for(segmenter):
    films = np.repeat(np.arange(0, 220, 20, dtype=np.uint8), SIZE * SIZE).reshape(-1, SIZE, SIZE)
    rows = np.array([9, 0, 3, 4, 5, 6, 7, 8, 2, 1])  # more than one batch
    probabilities = predict_films(segmenter, Arrays(films, films, None), rows)
    assert probabilities.shape == (10, SIZE, SIZE)
    np.testing.assert_allclose(probabilities[:, 0, 0], rows * 20 / 255, rtol=1e-5)


# === Outlines ===


@settings(max_examples=40, deadline=None)
@given(
    st.integers(100, 260),
    st.integers(100, 260),
    st.lists(
        st.tuples(*[st.floats(0.1, 0.9)] * 2, *[st.floats(0.12, 0.3)] * 2), min_size=1, max_size=3
    ),
)
def test_outlines_painted_again_are_the_mask(segmenter, height, width, ellipses):
    mask = blobs(
        height,
        width,
        *[
            (row * height, column * width, tall * height, wide * width)
            for row, column, tall, wide in ellipses
        ],
    )
    shapes = segmenter.outlines(mask)
    assert all((shape.label, shape.shape_type) == ("pneumonia", "polygon") for shape in shapes)
    assert iou(rasterised(shapes, mask), mask) >= 0.9


def test_outlines_of_predictions_are_simple_and_true(segmenter):
    truth = blobs(500, 400, (150, 120, 80, 60), (350, 280, 90, 50))
    mask = segmenter.mask(np.where(truth, 255, 0).astype(np.uint8))
    shapes = segmenter.outlines(mask)
    assert len(shapes) == 2
    assert all(3 <= len(shape.points) <= 80 for shape in shapes)  # of some 500 pixels of rim
    assert iou(rasterised(shapes, mask), mask) >= 0.95


def test_nothing_marked_has_no_outline_and_specks_are_left_out(segmenter):
    assert segmenter.outlines(np.zeros((50, 60), bool)) == []
    speck = np.zeros((256, 256), bool)  # a pixel of the network's input is 4 by 4 here
    speck[10:17, 10:17] = True  # 36 within the rim's centres, of the 4 x 16 that it takes
    assert segmenter.outlines(speck) == []
    speck[100:110, 100:110] = True  # 81
    (shape,) = segmenter.outlines(speck)
    np.testing.assert_array_equal(
        sorted(shape.points.tolist()), [[100, 100], [100, 109], [109, 100], [109, 109]]
    )


def test_outlines_survive_a_labelme_file(tmp_path, segmenter):
    mask = blobs(120, 160, (60, 80, 30, 40))
    write_annotation(tmp_path / "a.json", "a.png", segmenter.outlines(mask), *mask.shape)
    annotation = read_annotation(tmp_path / "a.json")
    assert all(isinstance(shape, Shape) for shape in annotation.shapes)
    assert iou(paint(annotation, "pneumonia", *mask.shape), mask) >= 0.95
