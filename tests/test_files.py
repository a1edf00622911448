"""Atomic writes."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest

from pneumo_keras import files
from pneumo_keras.errors import StudyError
from pneumo_keras.files import atomic_write, write_csv, write_json


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
