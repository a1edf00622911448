"""The LabelMe reader fed with anything: a result or its own error, in bounded time."""

import copy
import json
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pneumo_keras.dataset.labelme import Annotation, paint, read_annotation
from pneumo_keras.dataset.outlines import refuse_unsound
from pneumo_keras.errors import StudyError

LONGEST = 30  # seconds, on a busy machine


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "a.json"


def read_or_refuse(path):
    """What a run does with an annotation; returns it, or None where it is refused."""
    try:
        annotation = read_annotation(path)
        height, width = (min(side or 60, 200) for side in (annotation.height, annotation.width))
        for label in {"pneumonia", *(shape.label for shape in annotation.shapes)}:
            refuse_unsound(annotation, [label], height, width)
            mask = paint(annotation, label, height, width)
            assert mask.shape == (height, width) and mask.dtype == bool
    except StudyError as error:
        assert "a.json" in str(error) and len(str(error).splitlines()) == 1
        return None
    assert isinstance(annotation, Annotation)
    return annotation


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(anything)
@settings(max_examples=150, deadline=None)
def test_any_json(path, value):
    path.write_text(json.dumps(value), encoding="utf-8")
    assert read_or_refuse(path) is None  # no such value is an annotation


@given(
    st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "ignore"))
)
@settings(max_examples=100, deadline=None)
def test_any_bytes(path, content):
    path.write_bytes(content)
    assert read_or_refuse(path) is None


def ways(value, way=()):
    """The way to each part of a JSON value."""
    yield way
    inner = value.items() if isinstance(value, dict) else ()
    for key, part in enumerate(value) if isinstance(value, list) else inner:
        yield from ways(part, (*way, key))


def changed(value, way, change):
    value = copy.deepcopy(value)
    if not way:
        return change(value)
    holder = value
    for key in way[:-1]:
        holder = holder[key]
    holder[way[-1]] = change(holder[way[-1]])
    return value


CHANGES = [
    lambda value: None,
    lambda value: [value],
    lambda value: {"x": value},
    lambda value: str(value),
    lambda value: -1e308,
    lambda value: float("nan"),
    lambda value: 10**400,
    lambda value: value * 2 if isinstance(value, (list, str, int, float)) else value,
    lambda value: value[:-1] if isinstance(value, (list, str)) else True,
    lambda value: value[::-1] if isinstance(value, (list, str)) else "",
    lambda value: "\ud800\0\n",
]


@given(st.data())
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_real_annotations_with_parts_changed(path, real_pages, data):
    page = real_pages[data.draw(st.integers(0, len(real_pages) - 1))]
    for _ in range(data.draw(st.integers(1, 3))):
        way = data.draw(st.sampled_from(list(ways(page))))
        page = changed(page, way, data.draw(st.sampled_from(CHANGES)))
    path.write_text(json.dumps(page))
    read_or_refuse(path)


@given(st.data())
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_real_annotations_with_bytes_changed(path, real_pages, data):
    page = real_pages[data.draw(st.integers(0, len(real_pages) - 1))]
    content = bytearray(json.dumps(page).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    read_or_refuse(path)


@pytest.fixture
def real_pages(real_data):
    """Annotations of the releases of LabelMe, and of radiologists, with few points each."""
    paths = sorted((real_data / "labelme_versions").rglob("*.json"))
    paths += sorted((real_data / "covid_opacities").rglob("*.json"))[:5]
    pages = [json.loads(path.read_text("utf-8-sig")) for path in paths]
    pages = [page for page in pages if isinstance(page, dict) and page.get("shapes")]
    for page in pages:
        for shape in page["shapes"]:
            if shape["shape_type"] in ("polygon", "linestrip"):
                shape["points"] = shape["points"][:8]
    return [page for page in pages if len(json.dumps(page)) < 20_000]


# --- Bounded time.

RANDOM = np.random.default_rng(0).integers(0, 60, (900_000, 2))
TURN = np.linspace(0, 2 * np.pi, 49_999)
LARGE = {
    "10 MB in one polygon": [RANDOM.tolist()],
    "10 MB in many polygons": RANDOM.reshape(-1, 100, 2).tolist(),
    "as many points as are read, at random": [RANDOM[:50_000].tolist()],
    "as many points as are read, in a circle": [
        np.stack([30 + 20 * np.cos(TURN), 30 + 20 * np.sin(TURN)], axis=1).tolist()
    ],
    "as many as are read, in triangles": RANDOM[:48_000].reshape(-1, 3, 2).tolist(),
}


@pytest.mark.parametrize("kind", LARGE)
def test_masses_of_points_take_bounded_time(path, kind):
    shapes = [{"label": "pneumonia", "points": points} for points in LARGE[kind]]
    path.write_text(json.dumps({"shapes": shapes, "imagePath": "a.png"}))
    start = time.perf_counter()
    read = read_or_refuse(path)
    assert time.perf_counter() - start < LONGEST
    assert (read is None) == (kind in list(LARGE)[:3])


@pytest.mark.parametrize("opening", ["[", '{"shapes":', '{"shapes": [{"points": [', "[[["])
def test_deep_nesting_takes_bounded_time(path, opening):
    path.write_text(opening * (2_000_000 // len(opening)))
    start = time.perf_counter()
    assert read_or_refuse(path) is None
    assert time.perf_counter() - start < LONGEST
