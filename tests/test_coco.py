"""COCO files: polygons and run lengths, and what is invalid in them."""

import json

import numpy as np
import pytest
from conftest import SHARED
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
        *({"categories": [{}]}, {"images": 5}, {"annotations": [5]}),
        {"annotations": [{"image_id": 1}]},
        {"images": [{"id": 1, "file_name": "a.png"}]},
        {"images": [{"id": [], "file_name": "a.png", "height": 12, "width": 16}]},
    ],
)
def test_a_damaged_file_is_named(data, changes):
    coco(data, [(1, BOX)], **changes)
    with pytest.raises(StudyError, match=r"annotations\.json is not a valid COCO file"):
        find_images(data, target="pneumonia")


IMAGES = [{"id": n, "file_name": f"{n}.png", "height": 12, "width": 16} for n in range(1, 5)]
OUTLINE = {"id": 5, "image_id": 1, "category_id": 1, "segmentation": BOX}
LUNG = {"id": 7, "name": "lung"}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"images": [*IMAGES, {**IMAGES[1], "id": 1}]}, r"images .* 1 \(1\.png and 2\.png\)"),
        ({"images": [*IMAGES, {**IMAGES[3], "id": "2"}]}, r"'2' \(2\.png and 4\.png\)"),
        ({"images": [*IMAGES, IMAGES[2].copy()]}, r"images .* 3 \(3\.png and 3\.png\)"),
        ({"annotations": [OUTLINE, {**OUTLINE, "image_id": 2}]}, r" 5 \(1\.png and 2\.png\)"),
        ({"annotations": [OUTLINE, {**OUTLINE, "id": "5"}]}, r"annotations .* '5'"),
        ({"categories": [LUNG, {"id": 7, "name": "heart"}]}, r"categories .* 7 \(lung and heart\)"),
        ({"annotations": [OUTLINE, {**OUTLINE, "id": 8, "image_id": 9}]}, r" 1 annot.* 8 .*_id 9"),
        ({"annotations": [{**OUTLINE, "category_id": 3}]}, r"1 annot.* 5 .*category_id 3"),
        (
            {"annotations": [{**OUTLINE, "image_id": "x", "id": n} for n in range(9)]},
            "9 annot.*'x'",
        ),
        ({"annotations": [{**OUTLINE, "image_id": "01"}]}, "1 annot.*'01'"),
    ],
)
def test_ids_that_repeat_or_lead_nowhere_are_named(data, changes, named):
    coco(data, [], **{"images": IMAGES, **changes})
    with pytest.raises(StudyError, match=rf"annotations\.json.*{named}"):
        find_images(data, target="lung")


def test_ids_may_be_numbers_here_and_texts_there(data):
    coco(data, [(1, BOX), (7, BOX)])
    expected = masks_of(data, find_images(data, target="pneumonia"), "pneumonia")["a"]
    texts = [{**OUTLINE, "image_id": "1", "category_id": category} for category in ("1", 7.0)]
    coco(data, [], annotations=[{**entry, "id": None} for entry in texts])
    (record,) = find_images(data, target="pneumonia")
    found = record.reference.label_masks(record.image, ["pneumonia", "lung"], SIZE).masks
    assert np.array_equal(found["pneumonia"], expected) and np.array_equal(found["lung"], expected)


@pytest.mark.parametrize("flat", [BOX[0], list(map(float, BOX[0])), [0, 0, 9, 0, 0, 9]])
def test_flat_polygon(data, flat):
    assert np.array_equal(rasterize_coco(flat, *SIZE), rasterize_coco([flat], *SIZE))
    coco(data, [(1, flat)])
    assert masks_of(data, find_images(data, target="pneumonia"), "pneumonia")["a"].any()


def test_names_that_fit_several_images_are_refused(data):
    coco(data, [(1, BOX)])
    add_image(data / "more" / "a.png")
    (record,) = find_images(data, target="pneumonia")
    assert "2 files" in record.problem and "images/a.png" in record.problem
    images = [{**IMAGES[0], "file_name": "more/a.png"}]
    (data / "again").mkdir()
    coco(data, [(1, BOX)], images=images)
    assert find_images(data, target="pneumonia")[0].image == data / "more" / "a.png"
    (data / "annotations.json").rename(data / "again" / "annotations.json")
    assert find_images(data, target="pneumonia")[0].image == data / "more" / "a.png"


def test_one_name_for_two_images_is_refused(data):
    images = [{**image, "file_name": "a.png"} for image in IMAGES[:2]]
    coco(data, [(1, BOX)], images=images)
    assert "'a.png' 2 times" in find_images(data, target="pneumonia")[0].problem


@pytest.mark.parametrize("listed", [["A/a.png", "images/b.png"], ["A/a.png", "B/a.png"]])
def test_an_image_of_another_folder_is_not_taken_for_it(data, listed):
    images = [{**image, "file_name": name} for image, name in zip(IMAGES, listed)]
    coco(data, [(1, BOX)], images=images)
    assert "'A/a.png', which is not there" in find_images(data, target="pneumonia")[0].problem


def test_folders_of_another_machine_do_not_matter(data):
    coco(data, [(1, BOX)], images=[{**IMAGES[0], "file_name": "C:\\films\\a.png"}])
    assert find_images(data, target="pneumonia")[0].image == data / "images" / "a.png"


def test_cases():
    folder = SHARED / "cases"
    if not folder.is_dir():
        pytest.skip("no cases beside this checkout (../shared/cases)")
    with pytest.raises(StudyError, match=r"id 0 \(f0\.png and f1\.png\)"):
        find_images(folder / "coco-duplicate-image-id" / "data")
    for record in find_images(folder / "coco-flat-polygon" / "data"):
        found = record.reference.label_masks(record.image, ["pneumonia"], (200, 240))
        assert found.masks["pneumonia"].sum() > 1000


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
