"""Segmenting images with a saved model: loading, sizes, thresholds, outlines, the command."""

import json
import re
import zipfile
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from PIL import Image

from pneumo_keras.__main__ import main
from pneumo_keras.config import choose_recipe
from pneumo_keras.dataset.arrays import Arrays
from pneumo_keras.dataset.images import read_image, read_mask, write_png
from pneumo_keras.dataset.labelme import Annotation, rasterize
from pneumo_keras.dataset.resize import resize_image
from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.predict import (
    Segmenter,
    load_segmenter,
    predict_file,
    predict_images,
    write_marked,
    write_predictions,
)
from pneumo_keras.models.layers import InputScaling, image_input

SIZE = 64
RUN = {"threshold": 0.3, "target": "lung"}


def grey_network(size=SIZE):
    """Its probability is the grey of the image over 255: what comes out is known beforehand."""
    image = image_input(size, 32, "test")
    third = keras.initializers.Constant(1 / 3)
    grey = layers.Conv2D(1, 1, use_bias=False, kernel_initializer=third)
    return keras.Model(image, grey(InputScaling("unit")(image)))


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter(grey_network(), 0.5, "pneumonia")


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "best.keras"
    grey_network().save(path)
    return path


@pytest.fixture
def trained(tmp_path, model_file):
    """Makes the folder of a finished training, with this content of run.json."""

    def make(run):
        (tmp_path / "best.keras").write_bytes(model_file.read_bytes())
        (tmp_path / "run.json").write_text(run if isinstance(run, str) else json.dumps(run))
        return tmp_path

    return make


def blobs(height, width, *ellipses):
    """Bright ellipses (row, column, radii) on a dark image."""
    rows, columns = np.indices((height, width))
    inside = np.zeros((height, width), bool)
    for row, column, tall, wide in ellipses:
        inside |= ((rows - row) / tall) ** 2 + ((columns - column) / wide) ** 2 < 1
    return inside


def iou(first, second):
    return (first & second).sum() / (first | second).sum()


def rasterized(shapes, mask):
    annotation = Annotation(Path("a.json"), "a.png", None, *mask.shape, tuple(shapes))
    return rasterize(annotation, "pneumonia", *mask.shape)


# === Loading ===


def test_threshold_and_target_come_from_the_run(trained):
    folder = trained(RUN)
    for path in (folder, str(folder), folder / "best.keras"):
        loaded = load_segmenter(path)
        assert (loaded.threshold, loaded.target, loaded.size) == (0.3, "lung", SIZE)
        assert (loaded.clahe, loaded.letterbox, loaded.status) == (False, False, "")
    (folder / "run.json").unlink()
    alone = load_segmenter(folder)
    assert (alone.threshold, alone.target, alone.status) == (0.5, "pneumonia", "")


def test_resizing_comes_from_the_recipe_in_the_run(trained):
    for clahe, letterbox in ((True, False), (False, True)):
        recipe = choose_recipe("quick", {"clahe": clahe, "letterbox": letterbox}).as_json()
        loaded = load_segmenter(trained(RUN | {"recipe": recipe}))
        assert (loaded.clahe, loaded.letterbox) == (clahe, letterbox)
    image = np.random.default_rng(0).integers(90, 130, (SIZE, SIZE), dtype=np.uint8)
    equalised = Segmenter(loaded.model, 0.5, "lung", clahe=True).probability(image)
    np.testing.assert_allclose(equalised, resize_image(image, SIZE, clahe=True) / 255, atol=1e-5)


def test_what_went_wrong_in_training_is_carried_along(trained):
    good = {"diverged": False, "predicts": "", "validation_dice": 0.4}
    good |= {"validation_baseline_dice": 0.3}
    assert load_segmenter(trained(RUN | good)).status == ""
    assert "diverged" in load_segmenter(trained(RUN | good | {"diverged": True})).status
    assert "everything" in load_segmenter(trained(RUN | good | {"predicts": "everything"})).status
    assert "baseline" in load_segmenter(trained(RUN | good | {"validation_dice": 0.2})).status


@pytest.mark.parametrize(
    "run",
    [
        *("{", "[]", "null", '{"threshold": NaN, "target": "lung"}'),
        *(RUN | {"threshold": wrong} for wrong in (None, "high", True, -0.1, 1.1, [0.5])),
        *(RUN | {"target": wrong} for wrong in ("", "  ", None, 3)),
        *(RUN | {"recipe": []}, RUN | {"diverged": False}),
    ],
)
def test_a_damaged_run_is_refused(trained, run):
    with pytest.raises(StudyError, match=r"run\.json"):
        load_segmenter(trained(run))


@pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built")
def test_foreign_models_are_refused(tmp_path):
    grey, other = keras.Input((32, 32, 1)), keras.Input((32, 32, 1))
    models = {
        "flat": keras.Sequential([keras.Input((8,)), layers.Dense(1)]),
        "classes": keras.Sequential([grey, layers.Conv2D(3, 1)]),
        "colour": keras.Sequential([keras.Input((32, 32, 3)), layers.Conv2D(1, 1)]),
        "any size": keras.Sequential([keras.Input((None, None, 1)), layers.Conv2D(1, 1)]),
        "smaller": keras.Sequential([grey, layers.Conv2D(1, 1, strides=2)]),
        "two inputs": keras.Model([grey, other], layers.Add()([grey, other])),
        "two outputs": keras.Model(grey, [layers.ReLU()(grey), layers.ReLU()(grey)]),
        "unbuilt": keras.Sequential([layers.Conv2D(1, 1)]),
    }
    for name, model in models.items():
        path = tmp_path / f"{name}.keras"
        model.save(path)
        with pytest.raises(StudyError, match=re.escape(f"{path}: a model from")):
            load_segmenter(path)


def test_what_is_no_model_is_refused(tmp_path, model_file):
    (tmp_path / "text.keras").write_text("no model")
    (tmp_path / "cut.keras").write_bytes(model_file.read_bytes()[:500])
    (tmp_path / "model.txt").write_text("no model")
    for name in ("missing.keras", "text.keras", "cut.keras", "model.txt", ""):
        with pytest.raises(StudyError, match=re.escape(str(tmp_path / name))) as error:
            load_segmenter(tmp_path / name)
        assert "\n" not in str(error.value)


# === What a file brings is never run ===


def hostile_models(folder, code):
    """Models that run `code` when trusted: as a layer, in both formats, a function and a class."""
    image = keras.Input((32, 32, 1))
    marked = layers.Lambda(eval(f"lambda x: [exec({code!r}), x][1]"), (32, 32, 1))(image)
    keras.Model(image, marked).save(folder / "lambda.keras")
    keras.Model(image, marked).save(folder / "lambda.h5")
    plain = keras.Model(image, layers.Conv2D(1, 1, name="head")(image))
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
    names = ("lambda.keras", "lambda.h5", "function.keras", "class.keras")
    return [folder / name for name in names]


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_hostile_models_are_refused_in_one_line_and_run_nothing(tmp_path, capsys):
    trace = tmp_path / "trace"
    write_png(tmp_path / "image.png", np.zeros((32, 32), np.uint8))
    models = hostile_models(tmp_path, f"open({str(trace)!r}, 'w').close()")
    trace.unlink(missing_ok=True)  # building them has run it
    for path in models:
        arguments = [str(path), str(tmp_path / "image.png"), "--out", str(tmp_path / "o")]
        assert main(["predict", *arguments]) == 2
        said = capsys.readouterr()
        assert str(path) in said.err and len(said.err.splitlines()) == 1 and not said.out
        assert not trace.exists() and not (tmp_path / "o").exists()
    keras.models.load_model(models[0], safe_mode=False)(np.zeros((1, 32, 32, 1)))
    assert trace.exists()  # it would have


# === Masks ===


@pytest.mark.parametrize("shape", [(64, 64), (100, 150), (257, 200), (40, 50), (64, 300)])
def test_the_mask_has_the_images_own_size_and_place(segmenter, shape, tmp_path):
    height, width = shape
    bright = blobs(height, width, (0.4 * height, 0.6 * width, 0.25 * height, 0.2 * width))
    image = np.where(bright, 240, 10).astype(np.uint8)
    probability, mask = segmenter.probability(image), segmenter.mask(image)
    strict = Segmenter(segmenter.model, 0.9, "pneumonia").mask(image)
    assert probability.shape == mask.shape == shape
    assert probability.dtype == np.float32 and mask.dtype == bool
    assert iou(mask, bright) > 0.9
    np.testing.assert_array_equal(mask, probability >= 0.5)
    np.testing.assert_array_equal(strict, probability >= 0.9)
    write_png(tmp_path / "a.png", image)
    read, predicted = predict_file(segmenter, tmp_path / "a.png")
    assert (read == image).all() and (predicted == mask).all()


def test_a_letterboxed_image_is_marked_in_its_own_frame(segmenter):
    bright = blobs(60, 180, (30, 140, 15, 25))
    letterboxed = Segmenter(segmenter.model, 0.5, "pneumonia", letterbox=True)
    assert iou(letterboxed.mask(np.where(bright, 255, 0).astype(np.uint8)), bright) > 0.9
    white = letterboxed.probability(np.full((60, 180), 255, np.uint8))
    assert white.shape == (60, 180) and white[5:-5].min() > 0.99  # no black from beside it


def test_images_of_arrays_are_predicted_in_the_order_asked_for_and_in_batches():
    images = np.broadcast_to(np.arange(11, dtype=np.uint8)[:, None, None] * 20, (11, SIZE, SIZE))
    arrays = Arrays(images, np.zeros_like(images), pd.DataFrame({"name": range(11)}))
    model, lengths = grey_network(), []

    def predict(batches, **_):
        given = [batch for batch, _masks in batches]
        lengths.extend(map(len, given))
        return np.concatenate([model(batch) for batch in given])

    rows = np.array([9, 0, 3, 4, 5, 6, 7, 8, 2, 1])
    for one in (model, SimpleNamespace(predict=predict)):
        probabilities = predict_images(Segmenter(one, 0.5, "pneumonia"), arrays, rows)
        assert probabilities.shape == (10, SIZE, SIZE) and probabilities.dtype == np.float32
        np.testing.assert_allclose(probabilities[:, 0, 0], rows * 20 / 255, rtol=1e-5)
    assert sum(lengths) == 10 and max(lengths) <= 8


# === What is written ===


def test_mask_and_overlay_are_written_and_keep_the_grey_of_what_is_not_marked(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (40, 30), dtype=np.uint8)
    mask = np.zeros((40, 30), bool)
    mask[10:20, 5:15] = True
    write_marked(image, mask, "a", tmp_path / "new")
    np.testing.assert_array_equal(read_image(tmp_path / "new" / "a_mask.png"), 255 * mask)
    picture = np.asarray(Image.open(tmp_path / "new" / "a_overlay.png"))
    np.testing.assert_array_equal(picture[~mask], np.repeat(image[~mask][:, None], 3, axis=1))
    inside, rim = (slice(11, 19), slice(6, 14)), (10, slice(5, 15))
    expected = np.floor(0.55 * image[inside][..., None] + 0.45 * np.array([0, 158, 115]))
    np.testing.assert_allclose(picture[inside], expected, atol=1)
    assert (picture[rim] == [0, 158, 115]).all()


def test_predictions_are_written_at_the_images_own_size(tmp_path):
    write_png(tmp_path / "a.png", np.zeros((40, 80), np.uint8))
    images = pd.DataFrame({"name": ["A"], "image": ["a.png"]})
    probability = np.zeros((1, SIZE, SIZE), np.float32)
    probability[0, : SIZE // 2] = 0.8
    for threshold, rows in ((0.4, 20), (0.9, 0)):
        write_predictions(probability, threshold, images, tmp_path, tmp_path)
        mask = read_mask(tmp_path / "A_mask.png")
        assert mask.shape == (40, 80)
        assert mask[:rows].all() and not mask[rows:].any()
    probability[0] = 0
    probability[0, 16:48, :32] = 1  # letterboxed, the image takes rows 16 to 47: its left half
    write_predictions(probability, 0.5, images, tmp_path, tmp_path, letterbox=True)
    mask = read_mask(tmp_path / "A_mask.png")
    assert mask[:, :40].all() and not mask[:, 40:].any()


# === Outlines ===


@settings(max_examples=30, deadline=None)
@given(
    st.integers(100, 260),
    st.integers(100, 260),
    st.lists(
        st.tuples(*[st.floats(0.1, 0.9)] * 2, *[st.floats(0.12, 0.3)] * 2), min_size=1, max_size=3
    ),
)
def test_outlines_rasterized_again_are_the_mask(segmenter, height, width, ellipses):
    scale = np.array([height, width, height, width])
    mask = blobs(height, width, *(scale * ellipse for ellipse in ellipses))
    shapes = segmenter.outlines(mask)
    assert all((shape.label, shape.shape_type) == ("pneumonia", "polygon") for shape in shapes)
    assert iou(rasterized(shapes, mask), mask) >= 0.9
    assert all(3 <= len(shape.points) <= 80 for shape in shapes)


def test_nothing_marked_has_no_outline_and_specks_are_left_out(segmenter):
    assert segmenter.outlines(np.zeros((50, 60), bool)) == []
    speck = np.zeros((256, 256), bool)  # a pixel of the network's input is 4 by 4 here
    speck[10:17, 10:17] = True  # 36 within the rim's centres, of the 4 x 16 that it takes
    assert segmenter.outlines(speck) == []
    speck[100:110, 100:110] = True  # 81
    (shape,) = segmenter.outlines(speck)
    assert sorted(shape.points.tolist()) == [[100, 100], [100, 109], [109, 100], [109, 109]]
