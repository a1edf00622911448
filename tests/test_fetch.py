"""Fetching data sets with clients that are stood in for: there is no network here."""

import subprocess
import sys
from argparse import Namespace
from types import ModuleType

import numpy as np
import pytest

from pneumo_keras.command import fetch as fetching
from pneumo_keras.dataset.films import write_png
from pneumo_keras.dataset.releases import RELEASES
from pneumo_keras.dataset.sources import SOURCES
from pneumo_keras.errors import StudyError

PIXELS = np.zeros((4, 4), np.uint8)


def fetch(name, out):
    fetching.fetch(Namespace(release=name, out=out))


def put_qata(out):
    for folder, prefix in (("Images", ""), ("Ground-truths", "mask_")):
        path = out / "QaTa-COV19" / "QaTa-COV19-v2" / "Train Set" / folder / f"{prefix}covid_1.png"
        write_png(path, PIXELS)


@pytest.fixture
def kaggle(monkeypatch):
    """A kagglehub whose `put` is called with the folder it is to cache in."""
    client = ModuleType("kagglehub")
    client.calls, client.put = [], lambda out: None

    def dataset_download(handle):
        import os
        from pathlib import Path

        client.calls.append(handle)
        client.put(Path(os.environ["KAGGLEHUB_CACHE"]))

    client.dataset_download = dataset_download
    monkeypatch.setitem(sys.modules, "kagglehub", client)
    return client


def test_licence_and_size_are_shown_first_and_what_arrived_last(kaggle, tmp_path, capsys):
    def put(out):
        shown = capsys.readouterr().out
        assert "licence: not known here" in shown and "9,258 films" in shown
        put_qata(out)

    kaggle.put = put
    fetch("qata", tmp_path / "q")
    assert kaggle.calls == ["aysendegerli/qatacov19-dataset"]
    said = capsys.readouterr().out
    assert "recognised as qata: 1 film" in said and f"--data {tmp_path / 'q'}" in said


def test_what_is_there_is_not_fetched_again(kaggle, tmp_path, capsys):
    put_qata(tmp_path)
    fetch("qata", tmp_path)
    assert kaggle.calls == [] and "has it already" in capsys.readouterr().out


def test_what_was_broken_off_is_fetched_on(kaggle, tmp_path):
    put_qata(tmp_path)
    archive = tmp_path / "datasets" / "1.archive"
    archive.parent.mkdir()
    archive.touch()
    kaggle.put = lambda out: archive.unlink()
    fetch("qata", tmp_path)
    assert len(kaggle.calls) == 1


def test_without_network_it_says_where_to_get_the_files(kaggle, tmp_path):
    def put(out):
        raise ConnectionError("no route\nto host")

    kaggle.put = put
    with pytest.raises(StudyError, match=r"ConnectionError: no route\)") as error:
        fetch("covid-qu-ex", tmp_path / "c")
    assert f"by hand from {RELEASES['covid-qu-ex'].page} and unpack it into" in str(error.value)
    assert str(tmp_path / "c") in str(error.value) and "\n" not in str(error.value)


def test_without_the_client_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(StudyError, match="kagglehub is not installed: download it by hand"):
        fetch("kermany", tmp_path)


def test_what_arrived_is_checked(kaggle, tmp_path):
    kaggle.put = lambda out: out.mkdir()
    with pytest.raises(StudyError, match="is not laid out as qata"):
        fetch("qata", tmp_path / "q")
    kaggle.put = lambda out: write_png(out / "train" / "NORMAL" / "IM-0001-0001.jpeg.png", PIXELS)
    with pytest.raises(StudyError, match=r"holds 0 of 5,856 films: download it by hand"):
        fetch("kermany", tmp_path / "k")


def test_kermany_is_counted_once_though_nested_twice(tmp_path, monkeypatch, capsys):
    for top in ("chest_xray", "chest_xray/chest_xray"):
        for part in ("train", "test"):
            folder = tmp_path / top / part / "NORMAL"
            folder.mkdir(parents=True)
            (folder / "IM-0001-0001.jpeg").touch()
    with pytest.raises(StudyError, match="holds 2 of 5,856 films"):
        fetching._check(RELEASES["kermany"], tmp_path)


@pytest.fixture
def origin(tmp_path, monkeypatch):
    """A repository of this machine in the place of General Blockchain's."""
    origin = tmp_path / "origin"
    write_png(origin / "images" / "a.png", PIXELS)
    write_png(origin / "masks" / "m.png", PIXELS)
    (origin / "structure.csv").write_text(
        "Class,Filename,Mask,Resolution,Top,Left,Width,Height\n"
        "COVID-19 Consolidation,a.png,masks/m.png,4x4,0,0,4,4\n"
    )
    for step in (
        ["init", "--quiet"],
        ["add", "."],
        ["-c", "user.name=x", "-c", "user.email=x@y", "commit", "--quiet", "-m", "x"],
    ):
        subprocess.run(["git", *step], cwd=origin, check=True)
    release = RELEASES["general-blockchain"]
    changed = {**vars(release), "address": str(origin)}
    monkeypatch.setitem(RELEASES, "general-blockchain", type(release)(**changed))
    return origin


def test_git_clones_continues_and_keeps_what_is_the_users(origin, tmp_path, capsys):
    out = tmp_path / "g"
    fetch("general-blockchain", out)
    assert "recognised as general_blockchain: 1 film" in capsys.readouterr().out
    (out / "masks" / "m.png").unlink()
    (out / "structure.csv").write_text((out / "structure.csv").read_text() + "\n")
    (out / "a.json").write_text("the user's")
    before = (out / "structure.csv").read_bytes()
    fetch("general-blockchain", out)
    assert (out / "masks" / "m.png").exists() and (out / "a.json").read_text() == "the user's"
    assert (out / "structure.csv").read_bytes() == before


def test_git_goes_on_after_an_empty_start(origin, tmp_path):
    out = tmp_path / "g"
    out.mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=out, check=True)
    subprocess.run(["git", "remote", "add", "origin", str(origin)], cwd=out, check=True)
    fetch("general-blockchain", out)
    assert (out / "structure.csv").exists()


def test_git_touches_nothing_else(origin, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("the user's")
    with pytest.raises(StudyError, match="mine holds something else"):
        fetch("general-blockchain", tmp_path / "mine")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path / "mine", check=True)
    with pytest.raises(StudyError, match="mine is another git repository"):
        fetch("general-blockchain", tmp_path / "mine")
    with pytest.raises(StudyError, match="thesis.txt is a file"):
        fetch("general-blockchain", tmp_path / "mine" / "thesis.txt")


def test_git_that_fails_says_where_to_get_the_files(origin, tmp_path):
    (origin / ".git").rename(origin / "gone")
    with pytest.raises(StudyError, match=r"git ended with status \d+\): download it by hand from"):
        fetch("general-blockchain", tmp_path / "g")


def test_every_release_is_read_by_a_known_source():
    assert all(release.source in ("", *SOURCES) for release in RELEASES.values())
    assert all(release.page.startswith("https://") for release in RELEASES.values())
