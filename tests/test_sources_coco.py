"""COCO files: polygons and run lengths, and what is unsound in them."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from small_trees import SIZE, film, painted

from pneumo_keras.dataset.coco import region_of
from pneumo_keras.dataset.masks import write_masks
from pneumo_keras.dataset.shapes import Malformed
from pneumo_keras.dataset.sources import find_films
from pneumo_keras.errors import StudyError


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def coco(data, shapes, **changes):
    """A file of two films: a is annotated, b is not."""
    for name in ("a", "b"):
        film(data / "images" / f"{name}.png")
    height, width = SIZE
    content = {
        "images": [
            {"id": number, "file_name": f"{name}.png", "height": height, "width": width}
            for number, name in enumerate("ab", start=1)
        ],
        "categories": [{"id": 1, "name": "Pneumonia"}, {"id": 7, "name": "lung"}],
        "annotations": [
            {"id": number, "image_id": 1, "category_id": category, "segmentation": segmentation}
            for number, (category, segmentation) in enumerate(shapes)
        ],
    }
    (data / "annotations.json").write_text(json.dumps({**content, **changes}))


def test_coco_polygons_and_run_lengths(data):
    given = np.random.default_rng(3).random(SIZE) < 0.4
    compressed = coco_mask.encode(np.asfortranarray(given, np.uint8))
    runs = {"size": list(SIZE), "counts": compressed["counts"].decode()}
    coco(
        data,
        [
            (1, [[1, 1, 5, 1, 5, 4, 1, 4]]),
            (7, runs),
            (7, {"size": [12, 16], "counts": [3, 2, 187]}),
        ],
    )
    (found,) = films = find_films(data, target="pneumonia")
    assert (found.name, found.source) == ("a", "coco")
    expected = np.zeros(SIZE, bool)
    expected[1:4, 1:5] = True  # from (1, 1) to (5, 4), both in pixel edges
    assert np.array_equal(painted(data, films, "pneumonia")["a"], expected)
    given[3:5, 0] = True  # the second run, down the first column
    assert np.array_equal(painted(data, films, "lung", folder="lungs")["a"], given)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 99))
def test_run_lengths_are_read_back_as_they_were_encoded(height, width, share, seed):
    given_mask = np.random.default_rng(seed).random((height, width)) < share
    encoded = coco_mask.encode(np.asfortranarray(given_mask, np.uint8))
    columns = given_mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(columns, prepend=False, append=False)).tolist()
    if not columns[-1]:
        edges.append(len(columns))
    counts = np.diff([0, *edges]).tolist()
    for form in (encoded["counts"].decode(), counts):
        region = region_of({"size": [height, width], "counts": form}, height, width)
        assert np.array_equal(region, given_mask)


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["size", "counts"]), inner),
    )
    | st.text().map(lambda text: {"size": [3, 4], "counts": text})
    | st.lists(st.integers(-1, 12)).map(lambda counts: {"size": [3, 4], "counts": counts})
)
def test_any_segmentation_is_a_region_or_malformed(segmentation):
    try:
        assert region_of(segmentation, 3, 4).shape == (3, 4)
    except Malformed:
        pass


def test_coco_film_with_other_categories_only_is_empty(data):
    coco(data, [(7, [[1, 1, 5, 1, 5, 4, 1, 4]])])
    film_a = find_films(data, target="pneumonia")
    layers = film_a[0].truth.layers(film_a[0].film, ["pneumonia"], SIZE)
    assert not layers.regions["pneumonia"].any()
    with pytest.raises(StudyError, match="coco outlines lung, pneumonia, not heart"):
        find_films(data, target="heart")


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([], "a box only"),
        (None, "a box only"),
        ([[1, 1, 2, 2]], "fewer than three points"),
        ([[1, 1, 2, 2, 3]], "fewer than three points"),
        ([[1, 1, 2, 2, "x", 3]], "no place on a film"),
        ([[1, 1, 2, 2, 1e9, 3]], "no place on a film"),
        ({"size": [12, 15], "counts": [180]}, "another size"),
        ({"size": [12, 16], "counts": [1, 2]}, "do not fill the film"),
        ({"size": [12, 16], "counts": [193]}, "unsound run lengths"),
        ({"size": [12, 16], "counts": "zzz"}, "unsound run lengths"),
        ({"size": [12, 16], "counts": "\u00e9"}, "unsound run lengths"),
        ({"size": [12, 16], "counts": ""}, "do not fill the film"),
        ({"size": [12, 16]}, "unsound run lengths"),
    ],
)
def test_unsound_coco_shapes_are_refused(data, segmentation, message):
    coco(data, [(1, segmentation)])
    with pytest.raises(StudyError, match=message) as error:
        painted(data, find_films(data, target="pneumonia"), "pneumonia")
    assert "annotations.json" in str(error.value) and "a.png" in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"categories": []},
        {"annotations": [{"image_id": 1}]},
        {"images": [{"id": 1, "file_name": "a.png"}]},
        {"images": 5},
        {"annotations": [5]},
        {"images": [{"id": [], "file_name": "a.png", "height": 12, "width": 16}]},
    ],
)
def test_a_damaged_coco_file_is_named(data, changes):
    coco(data, [(1, [[1, 1, 5, 1, 5, 4]])], **changes)
    with pytest.raises(StudyError, match=r"annotations\.json is no sound COCO file"):
        find_films(data, target="pneumonia")


def test_a_coco_film_that_is_missing_or_of_another_size_is_named(data):
    coco(data, [(1, [[1, 1, 5, 1, 5, 4]])])
    film(data / "images" / "a.png", (5, 5))
    with pytest.raises(StudyError, match=r"a\.png as 16×12 pixels, but it has 5×5"):
        painted(data, find_films(data, target="pneumonia"), "pneumonia")
    (data / "images" / "a.png").unlink()
    (found,) = find_films(data, target="pneumonia")
    assert "names film 'a.png', which is not there" in found.problem


def test_only_the_film_whose_coco_shapes_changed_is_painted_again(data):
    shapes = [(1, [[1, 1, 5, 1, 5, 4, 1, 4]])]
    coco(data, shapes)
    out = data.parent / "out"

    def run():
        films = find_films(data, target="pneumonia")
        return write_masks(films, out, "pneumonia", [], data=data, progress=False)

    assert run().painted == 1
    coco(data, shapes, info={"year": 2026})
    assert run().painted == 1  # the films were written anew too
    (data / "annotations.json").touch()
    assert run().painted == 0
