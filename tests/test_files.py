"""Atomic writes, and CSV files that spreadsheets may open."""

import csv
import json
import os
import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import add_image, add_mask

from pneumo_keras import files
from pneumo_keras.dataset.arrays import write_arrays
from pneumo_keras.dataset.layouts import find_images
from pneumo_keras.dataset.mask_index import read_mask_index
from pneumo_keras.dataset.masks import write_masks
from pneumo_keras.dataset.splits import read_or_split
from pneumo_keras.errors import StudyError
from pneumo_keras.files import atomic_write, read_csv, write_csv, write_json


@pytest.mark.parametrize("failing", ["mkdir", "write_bytes", "replace", "fsync"])
def test_whatever_fails_is_told_in_one_line(tmp_path, monkeypatch, failing):
    path = tmp_path / "table.csv"
    write_csv(path, pd.DataFrame({"a": [1]}))

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path if failing in ("mkdir", "write_bytes") else files.os, failing, full)
    with pytest.raises(StudyError, match=r"table.csv .*\(No space left"):
        write_csv(path, pd.DataFrame({"a": [2]}))
    with pytest.raises((RuntimeError, StudyError)), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "a\n1\n"
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]


def test_a_file_is_flushed_to_the_disk_before_it_takes_its_name(tmp_path, monkeypatch):
    done, replace = [], os.replace
    monkeypatch.setattr(files.os, "fsync", lambda descriptor: done.append("flushed"))
    monkeypatch.setattr(files.os, "replace", lambda *p: (done.append("named"), replace(*p)))
    write_csv(tmp_path / "table.csv", pd.DataFrame({"a": [1]}))
    assert done == ["flushed", "named"]


def test_json_is_utf8_and_reads_back(tmp_path):
    content = {"file": "Röntgen.png", "dice": 0.5, "patience": None}
    write_json(tmp_path / "a" / "run.json", content)
    text = (tmp_path / "a" / "run.json").read_text("utf-8")
    assert json.loads(text) == content and "Röntgen" in text


FORMULAS = ["=A1.png", "-5.png", "+x", "@SUM(1)", "\tx", "-2+3", "=cmd|' /C calc'!A0"]
texts = st.text(st.sampled_from("'=+-@\t\r\n\",;.5aé "), max_size=6)


def cells(path):
    """All cells of a CSV file as they stand there, but for its header."""
    with open(path, newline="", encoding="utf-8") as file:
        return [cell for row in [*csv.reader(file)][1:] for cell in row]


def test_a_spreadsheet_finds_no_formula(tmp_path):
    table = pd.DataFrame({"name": [*FORMULAS, "a=b", "5", "-5"], "dice": -0.5})
    write_csv(tmp_path / "table.csv", table)
    written = cells(tmp_path / "table.csv")[::2]
    assert written == [f"'{text}" for text in FORMULAS] + ["a=b", "5", "-5"]
    assert pd.read_csv(tmp_path / "table.csv")["dice"].eq(-0.5).all()
    assert read_csv(tmp_path / "table.csv")["name"].tolist() == table["name"].tolist()


@given(st.lists(st.lists(texts, min_size=2, max_size=2), min_size=1, max_size=5))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    write_csv(path, pd.DataFrame([["name", *row] for row in rows], columns=list("abc")))
    assert read_csv(path)[["b", "c"]].to_numpy().tolist() == rows
    for cell in cells(path):
        assert not cell or cell[0] not in "=+-@\t\r" or re.fullmatch(r"[+-]\d+\.?\d*", cell)


def test_numbers_and_gaps_are_written_as_before(tmp_path):
    table = pd.DataFrame({"a": [-1, 2], "b": [-0.5, None], "c": [None, -3], "d": [True, False]})
    table = table.assign(e=pd.Series([1, None], dtype=object), f=["x", None])
    write_csv(tmp_path / "a.csv", table)
    assert (tmp_path / "a.csv").read_text() == table.to_csv(index=False)
    write_csv(tmp_path / "a.csv", table.iloc[:0])
    assert read_csv(tmp_path / "a.csv").columns.tolist() == list("abcdef")


NAMES = ("-5", "=A1", "+b", "@c", "'=d", "'e", "-1-2", "f")


def test_image_names_that_look_like_formulas_go_all_the_way(tmp_path):
    data, masks = tmp_path / "data", tmp_path / "masks"
    every = [*NAMES, *(f"{name}2" for name in NAMES)]
    for number, name in enumerate(every):
        add_image(data / "images" / f"{name}.png", (12, 16 + number))
        add_mask(data / "masks" / f"{name}.png", number, (12, 16 + number))
    listed = [("image", "patient"), *((f"images/{name}.png", f"={name}") for name in NAMES)]
    (data / "index.csv").write_text("\n".join(map(",".join, listed)))
    records = find_images(data, target="pneumonia")
    for written in (16, 0):  # the second time, all are known again
        report = write_masks(records, masks, "pneumonia", [], data=data, progress=False)
        assert (report.written, report.removed) == (written, 0)
    index = read_mask_index(masks)
    assert set(index["name"]) == {*every}
    assert set(index["patient"]) >= {f"={name}" for name in NAMES}
    first = read_or_split(tmp_path / "split.csv", index, "image", validation_share=0.3)
    again = read_or_split(tmp_path / "split.csv", index, "image")
    assert first.equals(again) and set(first.index) == set(index["name"])
    assert "\n-5," in (tmp_path / "split.csv").read_text()
    arrays = write_arrays(index, data, masks, tmp_path / "arrays", 8)
    assert arrays.index["name"].tolist() == index["name"].tolist()
