"""Reading, rasterising and writing LabelMe annotations."""

import base64
import io
import itertools
import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import SHARED
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pneumo_keras.dataset.labelme import (
    Annotation,
    rasterize,
    read_annotation,
    refuse_unsound,
    write_annotation,
)
from pneumo_keras.dataset.shapes import Shape, crosses_itself
from pneumo_keras.errors import StudyError

SQUARE = [[20, 20], [30, 20], [30, 30], [20, 30]]
MAX_SECONDS = 30  # on a busy machine


def annotation(*shapes):
    return Annotation(Path("a.json"), "a.png", None, 60, 60, shapes)


def shape(kind, points, label="x", mask=None):
    return Shape(label, kind, np.array(points, float), None if mask is None else np.array(mask))


def drawn(*shapes, label="x"):
    return rasterize(annotation(*shapes), label, 60, 60)


def entry(**changes):
    return {"label": "x", "points": SQUARE, "shape_type": "polygon"} | changes


def document(*shapes, **changes):
    content = {"version": "5.4.1", "flags": {}, "shapes": list(shapes), "imagePath": "a.png"}
    return content | {"imageData": None, "imageHeight": 60, "imageWidth": 60} | changes


def written(folder, content):
    path = folder / "a.json"
    path.write_text(json.dumps(content), encoding="utf-8")
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
        # Clipped to the image.
        ("polygon", [[-40, -40], [9, -40], [9, 9], [-40, 9]], 100),
        ("rectangle", [[50, 50], [500, 500]], 100),
        ("circle", [[-30, -30], [-20, -30]], 0),
    ],
)
def test_golden_areas(kind, points, pixels):
    region = drawn(shape(kind, points))
    assert region.sum() == pixels
    if pixels == 121:  # the outline belongs to the region
        assert region[20:31, 20:31].all()


STAMP = np.array([[1, 0, 1], [0, 1, 1]], bool)


@pytest.mark.parametrize(
    ("version", "points", "corner"),  # the latter two as x, y
    [
        ("6.3.1", [[4.4, 6.6], [6.4, 7.6]], (4, 6)),  # truncated
        ("5.4.1", [[4.5, 7.5], [6.5, 8.5]], (4, 7)),
        ("6.3.1", [[5.99, 6], [7.99, 7]], (5, 6)),
        ("7.0.4", [[5.5, 6.5], [7.5, 7.5]], (5, 6)),
        ("3.2.1", [[5.5, 6.5], [7.5, 7.5]], (5, 6)),
        ("7.1.0", [[4.4, 6.6], [6.4, 7.6]], (4, 7)),  # rounded, halves to the even number
        ("7.1.0", [[4.5, 7.5], [6.5, 8.5]], (4, 8)),
        ("7.1", [[5.5, 6.5], [7.5, 7.5]], (6, 6)),
        ("7.10.0", [[5.5, 6], [7.5, 7]], (6, 6)),
        ("10.0.0", [[5.7, 6.7], [7.7, 7.7]], (6, 7)),
        (None, [[5.7, 6.7], [7.7, 7.7]], (5, 6)),
    ],
)
def test_mask_at_a_fraction_of_a_pixel(tmp_path, version, points, corner):
    mask = entry(shape_type="mask", points=points, mask=png(STAMP))
    found = read_annotation(written(tmp_path, document(mask, version=version)))
    region = rasterize(found, "x", 60, 60)
    x, y = corner
    assert np.array_equal(region[y : y + 2, x : x + 3], STAMP) and region.sum() == 4


def test_mask_is_clipped():
    stamp = STAMP
    cut = drawn(shape("mask", [[-1, 59], [1, 60]], mask=stamp))
    assert np.array_equal(np.argwhere(cut), [[59, 1]])  # labelme 6 would wrap to the other side


@given(st.lists(st.tuples(*[st.floats(-30, 90)] * 2), min_size=3, max_size=9))
@settings(max_examples=60, deadline=None)
def test_linestrip_is_closed_and_filled(points):
    assert np.array_equal(drawn(shape("linestrip", points)), drawn(shape("polygon", points)))


def random_shape(random):
    kind = random.choice(["polygon", "rectangle", "circle", "oriented_rectangle", "mask"])
    count = {"polygon": random.integers(3, 12), "oriented_rectangle": 4}.get(kind, 2)
    points = np.round(random.uniform(-20, 80, (count, 2)), random.integers(0, 4))
    if kind != "mask":
        return shape(kind, points)
    points = np.sort(random.integers(0, 60, (2, 2)), axis=0)  # inside: 6.3.1 wraps and raises
    width, height = points[1] - points[0] + 1
    points = points + random.choice([0, 0.25, 0.5, 0.75], 2)  # as after moving it
    return shape(kind, points, mask=random.random((height, width)) > 0.5)


def test_same_pixels_as_labelme():
    labelme = pytest.importorskip("labelme", reason="labelme 6 is not installed")
    if not labelme.__version__.startswith("6."):
        pytest.skip(f"labelme {labelme.__version__} is not 6.x, whose rasteriser is the standard")
    from labelme.utils import shapes_to_label

    random = np.random.default_rng(0)
    for _ in range(500):
        one = random_shape(random)
        theirs = entry(shape_type=one.shape_type, points=one.points.tolist(), mask=one.mask)
        theirs |= {"group_id": None, "flags": {}, "description": ""}
        expected, _ = shapes_to_label((60, 60), [theirs], {"x": 1})
        assert np.array_equal(drawn(one), expected == 1), one


# --- Labels, overlaps, holes.


def test_labels_have_masks_of_their_own_and_ignore_case_and_outer_spaces():
    lung, opacity = shape("polygon", SQUARE, " Lung"), shape("circle", [[25, 25], [28, 25]])
    assert drawn(lung, opacity, label="LUNG ").sum() == 121
    assert drawn(lung, opacity).sum() == drawn(opacity).sum()
    assert not drawn(lung).any() and not drawn(lung, label="lungs").any()


def test_background_cuts_a_hole_in_what_came_before():
    body, hole = shape("polygon", SQUARE), shape("rectangle", [[23, 23], [24, 24]], "_background_")
    later = shape("rectangle", [[24, 24], [24, 24]])
    assert drawn(body, hole).sum() == 121 - 4
    assert drawn(hole, body).sum() == 121
    assert drawn(body, hole, later).sum() == 121 - 3


corners = st.tuples(st.integers(-5, 65), st.integers(-5, 65))


@given(st.lists(st.lists(corners, min_size=3, max_size=6), min_size=1, max_size=5), st.randoms())
@settings(max_examples=50, deadline=None)
def test_union_has_no_order(outlines, random):
    shapes = [shape("polygon", points) for points in outlines]
    union = drawn(*shapes)
    assert np.array_equal(union, np.any([drawn(one) for one in shapes], axis=0))
    random.shuffle(shapes)
    assert np.array_equal(drawn(*shapes), union)


OPEN = {"line": SQUARE[:2], "point": SQUARE[:1], "points": SQUARE[:3], "linestrip": SQUARE[:2]}


@pytest.mark.parametrize("kind", OPEN)
@pytest.mark.parametrize("label", ["x", "_background_", "marker"])
def test_what_encloses_nothing_is_refused_under_the_label(kind, label):
    shapes = shape("polygon", SQUARE), shape(kind, OPEN[kind], label)
    if label == "marker":
        assert drawn(*shapes).sum() == 121
    else:
        with pytest.raises(StudyError, match=rf"a\.json: shape 2 \('{label}'\) .*encloses nothing"):
            drawn(*shapes)


# --- Outlines that do not say what they enclose.


def test_crossing_outlines_are_told_from_simple_ones():
    random = np.random.default_rng(0)
    turn = np.sort(random.uniform(0, 2 * np.pi, (40, 12)), axis=1)
    for angles in turn:  # star-shaped about the centre, so simple
        radius = random.uniform(20, 60, 12)
        outline = np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1)
        assert not crosses_itself(outline)
    assert crosses_itself(np.array(SQUARE, float)[[0, 2, 1, 3]])


@pytest.mark.parametrize("label", ["x", "_background_", "other"])
def test_shapes_may_leave_the_image_by_two_pixels(label):
    near, far = (
        annotation(shape("rectangle", [[-beyond, 5], [20, 60 + beyond]], label))
        for beyond in (2, 4)
    )
    refuse_unsound(near, ["x"], 60, 60)
    if label == "other":
        refuse_unsound(far, ["x"], 60, 60)
    else:
        with pytest.raises(StudyError, match="beyond"):
            refuse_unsound(far, ["x"], 60, 60)


# --- Reading.


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_read_with_or_without_byte_order_mark(tmp_path, encoding):
    content = document(entry(label="Lungenentzündung"))
    (tmp_path / "a.json").write_text(json.dumps(content, ensure_ascii=False), encoding=encoding)
    found = read_annotation(tmp_path / "a.json")
    assert found.shapes[0].label == "Lungenentzündung"
    assert (found.image, found.embedded, found.height, found.width) == ("a.png", None, 60, 60)
    assert found.shapes[0].points.dtype == np.float64


def test_first_releases_wrote_neither_kind_nor_size(tmp_path):
    content = {"shapes": [{"label": "x", "points": SQUARE}], "imagePath": "a.png"}
    found = read_annotation(written(tmp_path, content))
    assert (found.height, found.width, found.shapes[0].shape_type) == (None, None, "polygon")


@pytest.mark.parametrize("inside", [1, 255])
def test_read_mask_shape(tmp_path, inside):
    stamp = np.array([[0, 1, 1], [1, 0, 0]])
    mask = entry(shape_type="mask", points=[[4, 6], [6, 7]], mask=png(stamp * inside))
    found = read_annotation(written(tmp_path, document(mask)))
    assert rasterize(found, "x", 60, 60)[6:8, 4:7].tolist() == stamp.astype(bool).tolist()


BOX = {"shape_type": "mask", "points": [[0, 0], [1, 1]]}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        *(
            (entry(points=[[1, 1], point, [3, 3]]), "point 2")
            for point in ([2, float("nan")], [2, float("inf")], [2, 10**400], [2, "2"], [2, True])
        ),
        (entry(points=[[1, 1], [2, 2, 2], [3, 3]]), "point 2"),
        (entry(points=[[1, 1], [2, 2]]), "2 points instead of at least 3"),
        (entry(points="none"), "points"),
        (entry(shape_type="rectangle", points=SQUARE[:3]), "3 points instead of 2"),
        (entry(shape_type="rotation", points=SQUARE[:3]), "3 points instead of 4"),
        (entry(shape_type="oriented_rectangle", points=SQUARE[:3]), "3 points instead of 4"),
        (entry(shape_type="star"), "star"),
        (entry(shape_type=["polygon"]), "polygon"),
        (entry(**BOX), "base64"),
        (entry(**BOX, mask="%%%"), "base64"),
        (entry(**BOX, mask="AAAA"), "PNG"),
        (entry(**BOX, mask=png([[1]])), "1×1 .* 2×2"),
    ],
)
def test_bad_shape_is_named_where_its_label_is_asked_for(tmp_path, bad, reason):
    found = read_annotation(written(tmp_path, document(entry(), bad)))
    for use in (rasterize, lambda *given: refuse_unsound(given[0], [given[1]], *given[2:])):
        with pytest.raises(StudyError, match=rf"a\.json: shape 2 \('x'\).*{reason}") as error:
            use(found, "x", 60, 60)
        assert "\n" not in str(error.value) and "in labelme" not in str(error.value)
    found = read_annotation(written(tmp_path, document(entry(), bad | {"label": "marker"})))
    refuse_unsound(found, ["x"], 60, 60)
    assert rasterize(found, "x", 60, 60).sum() == 121
    assert [one.label for one in found.shapes] == ["x", "marker"]


def test_points_of_other_labels_are_not_limited(tmp_path):
    many = entry(label="marker", points=RANDOM[:60_000].tolist())
    found = read_annotation(written(tmp_path, document(entry(), many)))
    refuse_unsound(found, ["x"], 60, 60)
    assert rasterize(found, "x", 60, 60).sum() == 121
    with pytest.raises(StudyError, match=r"a\.json.* 60,000 points"):
        rasterize(found, "marker", 60, 60)


# --- X-AnyLabeling.


@pytest.mark.parametrize("order", [*itertools.permutations(range(4))])
def test_four_axis_parallel_corners_in_any_order_are_the_rectangle(tmp_path, order):
    corners = np.array([[20.2, 10], [30.7, 10], [30.7, 15.5], [20.2, 15.5]])[list(order)]
    corners += np.random.default_rng(0).uniform(0, 1e-6, (4, 2))
    one = entry(shape_type="rectangle", points=corners.tolist())
    found = rasterize(read_annotation(written(tmp_path, document(one))), "x", 60, 60)
    assert np.array_equal(found, drawn(shape("rectangle", [[20.2, 10], [30.7, 15.5]])))


OBLIQUE = [[30, 10], [50, 30], [30, 50], [10, 30]]


@pytest.mark.parametrize(
    ("kind", "points"),
    [("rectangle", OBLIQUE), ("rectangle", [[5, 5], [15, 3], [17, 13], [7, 15]])]
    + [("rotation", OBLIQUE), ("rotation", SQUARE)],
)
def test_four_oblique_corners_are_a_polygon(tmp_path, kind, points):
    one = entry(shape_type=kind, points=points, direction=0.3)
    found = read_annotation(written(tmp_path, document(one)))
    assert np.array_equal(rasterize(found, "x", 60, 60), drawn(shape("polygon", points)))
    crossed = entry(shape_type=kind, points=[points[i] for i in (0, 2, 1, 3)])
    found = read_annotation(written(tmp_path, document(crossed)))
    with pytest.raises(StudyError, match="crosses itself"):
        refuse_unsound(found, ["x"], 60, 60)


def test_x_anylabeling_files():
    rectangle = read_case("xanylabeling-rectangle-4")
    assert rectangle[40:111, 50:121].all() and rectangle.sum() == 71 * 71
    assert read_case("xanylabeling-rotation-other-label").any()


def read_case(name):
    path = SHARED / "cases" / name / "data" / "f0.json"
    if not path.exists():
        pytest.skip("no cases beside this checkout (../shared/cases)")
    found = read_annotation(path)
    refuse_unsound(found, ["pneumonia", "lung"], found.height, found.width)
    return rasterize(found, "pneumonia", found.height, found.width)


@pytest.mark.parametrize(
    "content",
    [
        *([], None, "text", {"images": [], "annotations": []}),
        *(document(shapes=shapes) for shapes in ({}, None, ["shape"], [{"points": SQUARE}])),
        *(document(imagePath=path) for path in (None, 7, "a\0.png")),
        *(document(imageData=data) for data in ("not base64", 7)),
        *(document(imageHeight=height) for height in ("60", 0, 1.5, float("nan"), True, 10**9)),
        *(document(entry(label=label)) for label in (None, "  ", "\ud800")),
    ],
)
def test_bad_document_is_named(tmp_path, content):
    with pytest.raises(StudyError, match=r"a\.json: "):
        read_annotation(written(tmp_path, content))


# --- Writing.

places = st.tuples(st.floats(-80, 140, allow_nan=False), st.floats(-80, 140, allow_nan=False))
valid_shapes = st.one_of(
    st.builds(lambda p: shape("polygon", p), st.lists(places, min_size=3, max_size=7)),
    st.builds(lambda p: shape("rectangle", p), st.tuples(places, places)),
    st.builds(lambda p: shape("circle", p, " X"), st.tuples(places, places)),
    st.builds(
        lambda x, y, bits: shape("mask", [[x, y], [x + 1, y + 1]], mask=[bits[:2], bits[2:]]),
        st.integers(-5, 60),
        st.integers(-5, 60),
        st.lists(st.booleans(), min_size=4, max_size=4),
    ),
)


@given(st.lists(valid_shapes, max_size=4))
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_back(tmp_path_factory, shapes):
    path = tmp_path_factory.getbasetemp() / "round.json"
    write_annotation(path, "..\\images\\a.png", shapes, height=60, width=50, overwrite=True)
    found = read_annotation(path)
    assert (found.image, found.height, found.width) == ("../images/a.png", 60, 50)
    assert np.array_equal(rasterize(found, "x", 60, 60), drawn(*shapes))
    content = json.loads(path.read_text("utf-8"))
    assert content["imageData"] is None and {"version", "flags"} <= content.keys()
    keys = {"label", "points", "group_id", "description", "shape_type", "flags", "mask"}
    assert all(set(one) == keys for one in content["shapes"])  # as labelme wants them


def test_nothing_is_overwritten_or_half_written(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("the user's")
    with pytest.raises(StudyError, match=r"a\.json exists"):
        write_annotation(path, "a.png", [], 60, 60)
    with pytest.raises(ValueError, match="2 points"):
        write_annotation(path, "a.png", [shape("polygon", SQUARE[:2])], 60, 60, overwrite=True)
    assert path.read_text() == "the user's"
    write_annotation(path, "a.png", [], 60, 60, overwrite=True)
    assert read_annotation(path).shapes == ()


def test_the_name_of_the_image_must_be_text(tmp_path):
    with pytest.raises(StudyError, match=r"R\\udcf6\.png' .*rename it"):
        write_annotation(tmp_path / "a.json", "R\udcf6.png", [], 60, 60)
    assert not (tmp_path / "a.json").exists()


# --- Real files.

VERSIONS = ["v3.16.7", "v4.5.13", "v5.4.1", "v6.3.1", "v7.1.0"]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_release_gives_the_same_masks(real_data, version):
    folder = real_data / "labelme_versions"
    newest = folder / VERSIONS[-1] / "ann"
    for path in sorted((folder / version / "ann").glob("*.json")):
        found, reference = read_annotation(path), read_annotation(newest / path.name)
        assert (found.height, found.width) == (reference.height, reference.width)
        mask = rasterize(found, "lung", found.height, found.width)
        assert np.array_equal(mask, rasterize(reference, "lung", *mask.shape))
        assert mask.any() == (path.stem != "empty")
        assert (found.embedded is not None) == ("embedded" in path.stem)
    found = read_annotation(folder / version / "ann" / "all_shapes_relative.json")
    mask = rasterize(found, "pneumonia", found.height, found.width)
    assert mask[140:201, 100:151].all()  # the rectangle, its corners truncated
    assert mask[90, 40:81].all() and not mask[90, 38]  # the circle of radius 20.5 at (60, 90)
    kinds = {one.shape_type for one in found.shapes if one.label == "pneumonia"}
    assert ("mask" in kinds) == (version not in VERSIONS[:2])  # 3 and 4 knew no masks


def test_radiologists_masks(real_data):
    folder = real_data / "covid_opacities"
    overlaps = []
    for path in sorted((folder / "annotations").glob("*.json")):
        given_mask = np.asarray(Image.open(folder / "masks" / f"{path.stem}.png")) > 0
        mask = rasterize(read_annotation(path), "pneumonia", *given_mask.shape)
        if given_mask.any():
            overlaps.append((mask & given_mask).sum() / (mask | given_mask).sum())
        else:
            assert not mask.any()
    assert len(overlaps) == 65 and np.mean(overlaps) >= 0.97


# --- Anything: a result or a StudyError of one line, in bounded time.


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "a.json"


def read_or_refuse(path):
    """What a run does with an annotation; returns it, or None if it is refused."""
    start = time.perf_counter()
    try:
        found = read_annotation(path)
        height, width = (min(side or 60, 200) for side in (found.height, found.width))
        for label in {"pneumonia", *(one.label for one in found.shapes)}:
            refuse_unsound(found, [label], height, width)
            mask = rasterize(found, label, height, width)
            assert mask.shape == (height, width) and mask.dtype == bool
    except StudyError as error:
        assert "a.json" in str(error) and len(str(error).splitlines()) == 1
        found = None
    assert time.perf_counter() - start < MAX_SECONDS
    return found


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.binary(max_size=60) | anything.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=250, deadline=None)
def test_any_bytes_and_any_json_are_refused(path, content):
    path.write_bytes(content)
    assert read_or_refuse(path) is None  # no such value is an annotation


def small_annotations():
    """Texts of valid annotations with few points each, made here and of each LabelMe release."""
    square, mask = entry(points=SQUARE), entry(**BOX, mask=png(np.eye(2)))
    circle = entry(shape_type="circle", points=SQUARE[:2])
    texts = [json.dumps(document(square, mask, circle))]
    for path in sorted((SHARED / "data" / "labelme_versions").rglob("*.json")):
        page = json.loads(path.read_text("utf-8-sig"))
        if isinstance(page, dict) and page.get("shapes"):
            for one in page["shapes"]:
                one["points"] = one["points"][:8]
            texts.append(json.dumps(page))
    return [text for text in texts if len(text) < 20_000]


ANNOTATIONS = small_annotations()
PART = re.compile(
    r'-?\d+(\.\d+)?|"[^"]*"|null|false|\[[^][{}]*\]|\{\}'
)  # in JSON: a value or a key
OTHERS = [
    "null",
    "[]",
    "{}",
    "true",
    "7",
    "-1e308",
    "1e999",
    "NaN",
    '""',
    '"x"',
    '"\\ud800\\u0000"',
]


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_annotations_with_parts_or_bytes_changed(path, data):
    text = data.draw(st.sampled_from(ANNOTATIONS))
    for _ in range(data.draw(st.integers(0, 3))):
        start, end = data.draw(st.sampled_from([part.span() for part in PART.finditer(text)]))
        other = data.draw(st.sampled_from([*OTHERS, f"[{text[start:end]}]", text[start:end] * 2]))
        text = text[:start] + other + text[end:]
    content = bytearray(text.encode())
    for _ in range(data.draw(st.sampled_from([0, 0, 1, 4]))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    read_or_refuse(path)


RANDOM = np.random.default_rng(0).integers(0, 60, (900_000, 2))
TURN = np.linspace(0, 2 * np.pi, 49_999)
CIRCLE = np.stack([30 + 20 * np.cos(TURN), 30 + 20 * np.sin(TURN)], axis=1)


@pytest.mark.parametrize(
    ("outlines", "accepted"),
    [
        ([RANDOM], False),  # 10 MB
        (RANDOM.reshape(-1, 100, 2), False),
        ([RANDOM[:50_000]], False),  # as many points as are read
        ([CIRCLE], True),
        (RANDOM[:48_000].reshape(-1, 3, 2), True),
    ],
    ids=["10 MB in one polygon", "10 MB in many", "random", "circle", "triangles"],
)
def test_masses_of_points_take_bounded_time(path, outlines, accepted):
    shapes = [{"label": "pneumonia", "points": points.tolist()} for points in outlines]
    path.write_text(json.dumps({"shapes": shapes, "imagePath": "a.png"}))
    assert (read_or_refuse(path) is not None) == accepted


@pytest.mark.parametrize("opening", ["[", '{"shapes":', '{"shapes": [{"points": ['])
def test_deep_nesting_takes_bounded_time(path, opening):
    path.write_text(opening * (2_000_000 // len(opening)))
    assert read_or_refuse(path) is None
