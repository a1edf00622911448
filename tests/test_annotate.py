"""The command that opens labelme, with a stand-in for it."""

import os
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from pneumo_keras.command.annotate import annotate
from pneumo_keras.dataset.images import write_png
from pneumo_keras.errors import StudyError


@pytest.fixture
def labelme(tmp_path, monkeypatch):
    """A program that notes its arguments and ends with the status in the file `status`."""
    program = tmp_path / "bin" / "labelme"
    program.parent.mkdir()
    script = 'cd "$(dirname "$0")"\necho "$@" > arguments\nexit $(cat status)\n'
    program.write_text(f"#!/bin/sh\n{script}")
    program.chmod(0o755)
    (program.parent / "status").write_text("0")
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "empty" / "python"))
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DISPLAY", ":0")
    return program.parent


@pytest.fixture
def images(tmp_path):
    write_png(tmp_path / "images" / "chest.png", np.zeros((4, 4), np.uint8))
    return tmp_path / "images"


def run(folder):
    annotate(Namespace(folder=Path(folder), labels="pneumonia, lung"))


def test_labelme_is_started_with_the_labels(labelme, images):
    run(images)
    expected = [str(images), "--labels", "pneumonia,lung", "--validatelabel", "exact"]
    assert (labelme / "arguments").read_text().split() == expected
    (labelme / "status").write_text("3")
    with pytest.raises(StudyError, match="status 3"):
        run(images)


def test_what_is_missing_is_named(labelme, images, tmp_path, monkeypatch):
    with pytest.raises(StudyError, match="nowhere"):
        run(images / "nowhere")
    (tmp_path / "empty" / "a.dcm").write_bytes(bytes(128) + b"DICM")
    with pytest.raises(StudyError, match="DICOM.*PNG"):
        run(tmp_path / "empty")
    with pytest.raises(StudyError, match="bin"):
        run(labelme)
    if sys.platform.startswith("linux"):
        monkeypatch.delenv("DISPLAY")
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        with pytest.raises(StudyError, match="display.*--labels pneumonia,lung"):
            run(images)
    monkeypatch.setenv("PATH", str(images))
    with pytest.raises(StudyError, match="pip install labelme"):
        run(images)
    assert not (labelme / "arguments").exists()
