"""COCO files: polygons and run lengths, and what is invalid in them."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import SIZE, add_image, masks_of, written
from pycocotools import mask as coco_mask

from pneumo_keras.dataset.coco import rasterize_coco
from pneumo_keras.dataset.layouts import find_images
from pneumo_keras.dataset.shapes import Malformed
from pneumo_keras.errors import StudyError

BOX = [[1, 1, 5, 1, 5, 4, 1, 4]]


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def coco(data, shapes, **changes):
    """A file of two images: a is annotated, b is not."""
    for name in ("a", "b"):
        add_image(data / "images" / f"{name}.png")
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


def encoded(mask):
    """The compressed run lengths of a mask."""
    return coco_mask.encode(np.asfortranarray(mask, np.uint8))["counts"].decode()


def test_polygons_and_run_lengths(data):
    lungs = np.random.default_rng(3).random(SIZE) < 0.4
    compressed = encoded(lungs)
    runs = [{"size": list(SIZE), "counts": counts} for counts in (compressed, [3, 2, 187])]
    coco(data, [(1, BOX), (7, runs[0]), (7, runs[1])])
    (record,) = records = find_images(data, target="pneumonia")
    assert (record.name, record.layout) == ("a", "coco")
    expected = np.zeros(SIZE, bool)
    expected[1:4, 1:5] = True  # from (1, 1) to (5, 4), both in pixel edges
    assert np.array_equal(masks_of(data, records, "pneumonia")["a"], expected)
    lungs[3:5, 0] = True  # the second run, down the first column
    assert np.array_equal(masks_of(data, records, "lung")["a"], lungs)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 99))
def test_run_lengths_are_read_back_as_they_were_encoded(height, width, share, seed):
    mask = np.random.default_rng(seed).random((height, width)) < share
    columns = np.append(mask.ravel(order="F"), ~mask[-1, -1])  # so that the last run ends
    counts = np.diff([0, *np.flatnonzero(np.diff(columns, prepend=False))]).tolist()
    for form in (encoded(mask), counts):
        found = rasterize_coco({"size": [height, width], "counts": form}, height, width)
        assert np.array_equal(found, mask)


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["size", "counts"]), inner),
    )
    | st.text().map(lambda text: {"size": [3, 4], "counts": text})
    | st.lists(st.integers(-1, 12)).map(lambda counts: {"size": [3, 4], "counts": counts})
)
def test_any_segmentation_is_a_mask_or_malformed(segmentation):
    try:
        assert rasterize_coco(segmentation, 3, 4).shape == (3, 4)
    except Malformed:
        pass


def test_image_with_other_categories_only_is_empty(data):
    coco(data, [(7, BOX)])
    (record,) = find_images(data, target="pneumonia")
    found = record.reference.label_masks(record.image, ["pneumonia"], SIZE)
    assert not found.masks["pneumonia"].any()
    with pytest.raises(StudyError, match="lung, pneumonia, not heart"):
        find_images(data, target="heart")


@pytest.mark.parametrize(
    "segmentation",
    [
        *([], None, [[1, 1, 2, 2]], [[1, 1, 2, 2, 3]], [[1, 1, 2, 2, "x", 3]]),
        [[1, 1, 2, 2, 1e9, 3]],
        {"size": [12, 15], "counts": [180]},
        *({"size": [12, 16], "counts": runs} for runs in ([1, 2], [193], "zzz", "\u00e9", "")),
        {"size": [12, 16]},
    ],
)
def test_invalid_shapes_are_refused(data, segmentation):
    coco(data, [(1, segmentation)])
    with pytest.raises(StudyError, match=r"annotations\.json.*a\.png"):
        masks_of(data, find_images(data, target="pneumonia"), "pneumonia")


@pytest.mark.parametrize(
    "changes",
    [
        *({"categories": []}, {"images": 5}, {"annotations": [5]}),
        {"annotations": [{"image_id": 1}]},
        {"images": [{"id": 1, "file_name": "a.png"}]},
        {"images": [{"id": [], "file_name": "a.png", "height": 12, "width": 16}]},
    ],
)
def test_a_damaged_file_is_named(data, changes):
    coco(data, [(1, BOX)], **changes)
    with pytest.raises(StudyError, match=r"annotations\.json is not a valid COCO file"):
        find_images(data, target="pneumonia")


def test_an_image_that_is_missing_or_of_another_size_or_listed_twice_is_named(data):
    coco(data, [(1, BOX)])
    add_image(data / "images" / "a.png", (5, 5))
    with pytest.raises(StudyError, match=r"16×12 pixels, but .*a\.png has 5×5"):
        masks_of(data, find_images(data, target="pneumonia"), "pneumonia")
    (data / "more.json").write_bytes((data / "annotations.json").read_bytes())
    with pytest.raises(StudyError, match=r"annotations\.json and .*more\.json both"):
        find_images(data, target="pneumonia")
    (data / "more.json").unlink()
    (data / "images" / "a.png").unlink()
    (record,) = find_images(data, target="pneumonia")
    assert "'a.png', which is not there" in record.problem


def test_only_the_mask_whose_shapes_changed_is_drawn_again(data):
    coco(data, [(1, BOX)])
    assert written(data, find_images(data, target="pneumonia"), "pneumonia").written == 1
    content = json.loads((data / "annotations.json").read_text())
    (data / "annotations.json").write_text(json.dumps({**content, "info": {"year": 2026}}))
    assert written(data, find_images(data, target="pneumonia"), "pneumonia").written == 0
    content["annotations"][0]["segmentation"][0][0] = 2
    (data / "annotations.json").write_text(json.dumps(content))
    assert written(data, find_images(data, target="pneumonia"), "pneumonia").written == 1
