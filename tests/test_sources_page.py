"""The page on sources: its example runs, and its table lists what there is."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest

from pneumo_keras.dataset.films import read_mask, write_png
from pneumo_keras.dataset.masks import write_masks
from pneumo_keras.dataset.sources import SOURCES, find_films, recognition_line
from pneumo_keras.errors import StudyError

PAGE = (Path(__file__).resolve().parents[1] / "data" / "SOURCES.md").read_text("utf-8")


@pytest.fixture
def ward(monkeypatch, tmp_path):
    """The adapter of the page, put into the list."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "ward.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(SOURCES, "ward", importlib.import_module("ward").SOURCE)


def test_the_example_reads_its_layout(ward, tmp_path):
    data, given = tmp_path / "data", np.eye(6, dtype=bool)
    for name in ("004-1", "004-2", "017-1"):
        write_png(data / "ward3" / "scans" / f"{name}.png", np.zeros((6, 6), np.uint8))
        write_png(data / "ward3" / "drawn" / f"{name}_opacity.png", given)
    films = find_films(data)
    assert recognition_line(films) == "recognised as ward: 3 films, licence of the hospital"
    assert [film.patient for film in films] == ["004", "004", "017"]
    write_masks(films, tmp_path / "out", "pneumonia", [], data=data, progress=False)
    assert np.array_equal(read_mask(tmp_path / "out" / "017-1.png"), given)
    (data / "ward3" / "drawn" / "004-1_opacity.png").rename(data / "ward3" / "drawn" / "x.png")
    problems = [film.problem for film in find_films(data) if film.problem]
    assert "004-1.png has no outline" in problems[0] and "nobody's outline" in problems[1]
    with pytest.raises(StudyError, match="ward outlines pneumonia, not lung"):
        find_films(data, target="lung")


def test_the_table_lists_every_source():
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == [
        name for name in SOURCES if name != "ward"
    ]
