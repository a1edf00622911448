"""Reading, painting and writing LabelMe annotations."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pneumo_keras.dataset.labelme import (
    Annotation,
    Shape,
    paint,
    read_annotation,
    unknown_labels,
    write_annotation,
)
from pneumo_keras.errors import StudyError

SQUARE = [[20, 20], [30, 20], [30, 30], [20, 30]]


def annotation(*shapes):
    return Annotation(Path("a.json"), "a.png", None, 60, 60, shapes)


def shape(kind, points, label="x", mask=None):
    return Shape(label, kind, np.array(points, float), mask)


def painted(*shapes, label="x"):
    return paint(annotation(*shapes), label, 60, 60)


def entry(**changes):
    return {"label": "x", "points": SQUARE, "shape_type": "polygon"} | changes


def document(*shapes, **changes):
    page = {"version": "5.4.1", "flags": {}, "shapes": list(shapes), "imagePath": "a.png"}
    return page | {"imageData": None, "imageHeight": 60, "imageWidth": 60} | changes


def written(folder, page):
    path = folder / "a.json"
    path.write_text(json.dumps(page), encoding="utf-8")
    return path


def png(mask):
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(mask, np.uint8)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


# --- Areas measured with labelme 6.3.1.


@pytest.mark.parametrize(
    ("kind", "points", "pixels"),
    [
        ("polygon", SQUARE, 121),
        ("polygon", [[x + 0.25, y + 0.25] for x, y in SQUARE], 121),
        ("polygon", [[x + 0.99, y + 0.99] for x, y in SQUARE], 121),
        ("polygon", [[10, 10], [20, 10], [30, 10]], 21),
        ("oriented_rectangle", SQUARE, 121),
        ("rectangle", [[20, 20], [30, 30]], 121),
        ("rectangle", [[30, 20], [20, 30]], 121),
        ("circle", [[30, 30], [40, 30]], 349),
        ("circle", [[30, 30], [30, 20]], 349),
        ("linestrip", SQUARE, 121),
    ],
)
def test_golden_areas(kind, points, pixels):
    assert painted(shape(kind, points)).sum() == pixels


def test_outline_belongs_to_the_region():
    expected = np.zeros((60, 60), bool)
    expected[20:31, 20:31] = True
    assert np.array_equal(painted(shape("polygon", SQUARE)), expected)


def test_vertices_outside_are_clipped():
    assert painted(shape("polygon", [[-40, -40], [9, -40], [9, 9], [-40, 9]])).sum() == 100
    assert painted(shape("rectangle", [[50, 50], [500, 500]])).sum() == 100
    assert not painted(shape("circle", [[-30, -30], [-20, -30]])).any()


def test_mask_is_pasted_at_its_box_rounded_and_clipped():
    stamp = np.array([[1, 0, 1], [0, 1, 1]], bool)
    region = painted(shape("mask", [[4.4, 6.6], [6.4, 7.6]], mask=stamp))
    assert np.array_equal(region[7:9, 4:7], stamp) and region.sum() == 4
    cut = painted(shape("mask", [[-1, 59], [1, 60]], mask=stamp))
    assert np.array_equal(np.argwhere(cut), [[59, 1]])  # labelme 6 would wrap to the other side


@given(st.lists(st.tuples(*[st.floats(-30, 90, allow_nan=False)] * 2), min_size=3, max_size=9))
@settings(max_examples=60, deadline=None)
def test_linestrip_is_closed_and_filled(points):
    assert np.array_equal(painted(shape("linestrip", points)), painted(shape("polygon", points)))


# --- Labels, overlaps, holes.


def test_labels_are_layers_of_their_own():
    lung, opacity = shape("polygon", SQUARE, "lung"), shape("circle", [[25, 25], [28, 25]])
    assert painted(lung, opacity, label="lung").sum() == 121
    assert painted(lung, opacity).sum() == painted(opacity).sum()
    assert not painted(lung).any()


def test_labels_ignore_case_and_outer_spaces():
    assert painted(shape("polygon", SQUARE, " Pneumonia"), label="PNEUMONIA ").sum() == 121
    assert not painted(shape("polygon", SQUARE, "pneumonias"), label="pneumonia").any()


def test_background_cuts_a_hole_in_what_came_before():
    body, hole = shape("polygon", SQUARE), shape("rectangle", [[23, 23], [24, 24]], "_background_")
    later = shape("rectangle", [[24, 24], [24, 24]])
    assert painted(body, hole).sum() == 121 - 4
    assert painted(hole, body).sum() == 121
    assert painted(body, hole, later).sum() == 121 - 3


polygons = st.lists(
    st.lists(st.tuples(st.integers(-5, 65), st.integers(-5, 65)), min_size=3, max_size=6),
    min_size=1,
    max_size=5,
)


@given(polygons, st.randoms())
@settings(max_examples=50, deadline=None)
def test_union_has_no_order(points, random):
    shapes = [shape("polygon", corners) for corners in points]
    union = painted(*shapes)
    assert np.array_equal(union, np.any([painted(one) for one in shapes], axis=0))
    random.shuffle(shapes)
    assert np.array_equal(painted(*shapes), union)


@pytest.mark.parametrize(
    ("kind", "points"),
    [
        ("line", [[1, 1], [9, 9]]),
        ("point", [[5, 5]]),
        ("points", [[1, 1], [5, 5], [9, 1]]),
        ("linestrip", [[1, 1], [9, 9]]),
    ],
)
@pytest.mark.parametrize("label", ["x", "_background_"])
def test_what_encloses_nothing_is_refused(kind, points, label):
    bad = shape(kind, points, label)
    with pytest.raises(StudyError, match=rf"a\.json: shape 2 \('{label}'\) is a {kind}.*encloses"):
        painted(shape("polygon", SQUARE), bad)


def test_what_encloses_nothing_is_no_matter_under_another_label():
    assert painted(shape("point", [[5, 5]], "marker"), shape("polygon", SQUARE)).sum() == 121


def test_unknown_labels_are_listed_once():
    found = annotation(*(shape("point", [[1, 1]], label) for label in ("A ", "b", "c", "b")))
    assert unknown_labels(found, ["a"]) == ["b", "c"]
    assert unknown_labels(annotation(shape("polygon", SQUARE, "_background_")), []) == []


# --- Reading.


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_read_with_or_without_byte_order_mark(tmp_path, encoding):
    page = document(entry(label="Lungenentzündung"))
    (tmp_path / "a.json").write_text(json.dumps(page, ensure_ascii=False), encoding=encoding)
    found = read_annotation(tmp_path / "a.json")
    assert found.shapes[0].label == "Lungenentzündung"
    assert (found.film, found.embedded, found.height, found.width) == ("a.png", None, 60, 60)
    assert found.shapes[0].points.dtype == np.float64


def test_first_releases_wrote_neither_kind_nor_size(tmp_path):
    page = document({"label": "x", "points": SQUARE})
    del page["imageHeight"], page["imageWidth"]
    found = read_annotation(written(tmp_path, page))
    assert (found.height, found.width, found.shapes[0].shape_type) == (None, None, "polygon")


@pytest.mark.parametrize("inside", [1, 255])
def test_read_mask_shape(tmp_path, inside):
    stamp = np.array([[0, 1, 1], [1, 0, 0]])
    points = [[4, 6], [6, 7]]
    page = document(entry(shape_type="mask", points=points, mask=png(stamp * inside)))
    found = read_annotation(written(tmp_path, page))
    assert np.array_equal(found.shapes[0].mask, stamp.astype(bool))
    assert paint(found, "x", 60, 60)[6:8, 4:7].tolist() == stamp.astype(bool).tolist()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (entry(points=[[1, 1], [2, float("nan")], [3, 3]]), "point 2"),
        (entry(points=[[1, 1], [2, float("inf")], [3, 3]]), "point 2"),
        (entry(points=[[1, 1], [2, 10**400], [3, 3]]), "point 2"),
        (entry(points=[[1, 1], [2, "2"], [3, 3]]), "point 2"),
        (entry(points=[[1, 1], [2, True], [3, 3]]), "point 2"),
        (entry(points=[[1, 1], [2, 2, 2], [3, 3]]), "point 2"),
        (entry(points=[[1, 1], [2, 2]]), "2 points instead of at least 3"),
        (entry(points=[]), "0 points"),
        (entry(points="none"), "no list of points"),
        (entry(shape_type="rectangle"), "4 points instead of 2"),
        (entry(shape_type="circle"), "4 points instead of 2"),
        (entry(shape_type="oriented_rectangle", points=SQUARE[:3]), "3 points instead of 4"),
        (entry(shape_type="star"), "unknown kind 'star'"),
        (entry(shape_type=["polygon"]), "unknown kind"),
        (entry(shape_type="mask", points=[[0, 0], [1, 1]]), "its mask is no sound base64"),
        (entry(shape_type="mask", points=[[0, 0], [1, 1]], mask="%%%"), "base64"),
        (entry(shape_type="mask", points=[[0, 0], [1, 1]], mask="AAAA"), "no sound PNG"),
        (entry(shape_type="mask", points=[[0, 0], [1, 1]], mask=png([[1]])), "1×1 .* 2×2"),
    ],
)
def test_bad_shape_is_named(tmp_path, bad, reason):
    path = written(tmp_path, document(entry(), bad))
    with pytest.raises(StudyError, match=rf"a\.json: shape 2 \('x'\).*{reason}") as error:
        read_annotation(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "page",
    [
        [],
        None,
        "text",
        {"images": [], "annotations": []},
        document() | {"shapes": {}},
        document() | {"shapes": None},
        document() | {"imagePath": None},
        document() | {"imagePath": "a\0.png"},
        document() | {"imageData": "not base64"},
        document() | {"imageData": 7},
        document() | {"imageHeight": "60"},
        document() | {"imageHeight": 0},
        document() | {"imageWidth": 1.5},
        document() | {"imageWidth": float("nan")},
        document() | {"imageWidth": True},
        document("shape"),
        document({"points": SQUARE}),
        document(entry(label=None)),
        document(entry(label="  ")),
        document(entry(label="\ud800")),
    ],
)
def test_bad_document_is_named(tmp_path, page):
    with pytest.raises(StudyError, match=r"a\.json: "):
        read_annotation(written(tmp_path, page))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe{\0}\0", b'{"shapes": "\xe9"}', b"[" * 100_000]
)
def test_no_json_is_named(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(StudyError, match=r"a\.json"):
        read_annotation(path)
    with pytest.raises(StudyError, match="none.json cannot be read"):
        read_annotation(tmp_path / "none.json")


def mutations(value):
    """The value as it should be, or anything at all."""
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["label", "points", "mask"]), inner, max_size=3)
        ),
        max_leaves=6,
    )
    return st.one_of(value, value, value, anything)


coordinates = mutations(st.lists(mutations(st.floats(-99, 99)), min_size=2, max_size=2))
entries = st.fixed_dictionaries(
    {},
    optional={
        "label": mutations(st.sampled_from(["x", "y", "_background_"])),
        "shape_type": mutations(
            st.sampled_from(["polygon", "circle", "rectangle", "mask", "point", "linestrip"])
        ),
        "points": mutations(st.lists(coordinates, max_size=5)),
        "mask": mutations(st.sampled_from([None, png([[1]]), "AAAA"])),
    },
)
pages = mutations(
    st.fixed_dictionaries(
        {"shapes": mutations(st.lists(mutations(entries), max_size=3))},
        optional={
            "imagePath": mutations(st.just("a.png")),
            "imageData": mutations(st.none()),
            "imageHeight": mutations(st.integers(1, 99)),
            "imageWidth": mutations(st.integers(1, 99)),
        },
    )
)


@given(pages)
@settings(max_examples=300, deadline=None)
def test_any_json_is_read_and_painted_or_refused(tmp_path_factory, page):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(page))
    try:
        assert paint(read_annotation(path), "x", 20, 30).shape == (20, 30)
    except StudyError as error:
        assert str(path) in str(error) and "\n" not in str(error)


# --- Writing.

places = st.tuples(st.floats(-80, 140, allow_nan=False), st.floats(-80, 140, allow_nan=False))
sound_shapes = st.one_of(
    st.builds(lambda p: shape("polygon", p), st.lists(places, min_size=3, max_size=7)),
    st.builds(lambda p: shape("rectangle", p), st.tuples(places, places)),
    st.builds(lambda p: shape("circle", p, " X"), st.tuples(places, places)),
    st.builds(
        lambda x, y, seed: shape(
            "mask",
            [[x, y], [x + 6, y + 3]],
            mask=np.random.default_rng(seed).random((4, 7)) > 0.5,
        ),
        st.integers(-5, 60),
        st.integers(-5, 60),
        st.integers(0, 9),
    ),
)


@given(st.lists(sound_shapes, max_size=4))
@settings(max_examples=60, deadline=None)
def test_what_is_written_paints_the_same(tmp_path_factory, shapes):
    path = tmp_path_factory.getbasetemp() / "round.json"
    write_annotation(path, "../films/a.png", shapes, height=60, width=60, overwrite=True)
    found = read_annotation(path)
    assert (found.film, found.height, found.width) == ("../films/a.png", 60, 60)
    assert np.array_equal(paint(found, "x", 60, 60), painted(*shapes))


def test_written_file_has_the_keys_that_labelme_wants(tmp_path):
    path = tmp_path / "new" / "a.json"
    write_annotation(path, "..\\a.png", [shape("polygon", SQUARE)], 60, 50)
    page = json.loads(path.read_text(encoding="utf-8"))
    assert page["imageData"] is None and page["imagePath"] == "../a.png"
    assert (page["imageHeight"], page["imageWidth"]) == (60, 50)
    assert {"version", "flags"} <= set(page)
    assert set(page["shapes"][0]) == {
        "label", "points", "group_id", "description", "shape_type", "flags", "mask",
    }  # fmt: skip


def test_nothing_is_overwritten_or_half_written(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("the user's")
    with pytest.raises(StudyError, match=r"a\.json exists already"):
        write_annotation(path, "a.png", [], 60, 60)
    with pytest.raises(ValueError, match="2 points instead of at least 3"):
        write_annotation(path, "a.png", [shape("polygon", SQUARE[:2])], 60, 60, overwrite=True)
    assert path.read_text() == "the user's"
    write_annotation(path, "a.png", [], 60, 60, overwrite=True)
    assert read_annotation(path).shapes == ()


# --- LabelMe itself, and its real files.


def random_shape(random):
    kind = random.choice(["polygon", "rectangle", "circle", "oriented_rectangle", "mask"])
    count = {"polygon": random.integers(3, 12), "oriented_rectangle": 4}.get(kind, 2)
    points = np.round(random.uniform(-20, 80, (count, 2)), random.integers(0, 4))
    if kind != "mask":
        return shape(kind, points)
    points = np.sort(random.integers(0, 60, (2, 2)), axis=0)  # inside: 6.3.1 wraps and raises
    width, height = points[1] - points[0] + 1
    return shape(kind, points, mask=random.random((height, width)) > 0.5)


def test_same_pixels_as_labelme():
    labelme = pytest.importorskip("labelme", reason="labelme 6 is not installed")
    if not labelme.__version__.startswith("6."):
        pytest.skip(f"labelme {labelme.__version__} is not 6.x, whose rasteriser is the standard")
    from labelme.utils import shapes_to_label

    random = np.random.default_rng(0)
    for _ in range(500):
        one = random_shape(random)
        theirs, _ = shapes_to_label(
            (60, 60),
            [
                {
                    "label": "x",
                    "points": one.points.tolist(),
                    "shape_type": one.shape_type,
                    "group_id": None,
                    "flags": {},
                    "description": "",
                    "mask": one.mask,
                }
            ],
            {"x": 1},
        )
        assert np.array_equal(painted(one), theirs == 1), one


VERSIONS = ["v3.16.7", "v4.5.13", "v5.4.1", "v6.3.1", "v7.1.0"]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_release_gives_the_same_masks(real_data, version):
    folder = real_data / "labelme_versions"
    newest = folder / VERSIONS[-1] / "ann"
    for path in sorted((folder / version / "ann").glob("*.json")):
        found, reference = read_annotation(path), read_annotation(newest / path.name)
        assert (found.height, found.width) == (reference.height, reference.width)
        size = (found.height, found.width)
        assert np.array_equal(paint(found, "lung", *size), paint(reference, "lung", *size))
        assert paint(found, "lung", *size).any() == (path.stem != "empty")
        assert (found.embedded is not None) == ("embedded" in path.stem)


@pytest.mark.parametrize("version", VERSIONS)
def test_pneumonia_of_every_release(real_data, version):
    found = read_annotation(
        real_data / "labelme_versions" / version / "ann" / "all_shapes_relative.json"
    )
    kinds = {one.shape_type for one in found.shapes if one.label == "pneumonia"}
    region = paint(found, "pneumonia", found.height, found.width)
    assert region[140:201, 100:151].all()  # the rectangle, its corners truncated
    assert region[90, 40:81].all() and not region[90, 38]  # the circle of radius 20.5 at (60, 90)
    assert ("mask" in kinds) == (version not in VERSIONS[:2])  # 3 and 4 knew no masks
    for label in ("marker", "catheter"):
        with pytest.raises(StudyError, match=f"'{label}'.* encloses nothing"):
            paint(found, label, found.height, found.width)


def test_radiologists_masks(real_data):
    folder = real_data / "covid_opacities"
    overlaps = []
    for path in sorted((folder / "annotations").glob("*.json")):
        truth = np.asarray(Image.open(folder / "masks" / f"{path.stem}.png")) > 0
        region = paint(read_annotation(path), "pneumonia", *truth.shape)
        if truth.any():
            overlaps.append((region & truth).sum() / (region | truth).sum())
        else:
            assert not region.any()
    assert len(overlaps) == 65 and np.mean(overlaps) >= 0.97
