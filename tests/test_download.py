"""Download of data sets, with stand-ins for the clients: no network is needed."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pneumo_keras.dataset.download import RELEASES, download
from pneumo_keras.dataset.images import write_png
from pneumo_keras.dataset.layouts import LAYOUTS
from pneumo_keras.errors import StudyError

PIXELS = np.zeros((4, 4), np.uint8)


def put_qata(out):
    for folder, prefix in (("Images", ""), ("Ground-truths", "mask_")):
        path = out / "QaTa-COV19" / "QaTa-COV19-v2" / "Train Set" / folder / f"{prefix}covid_1.png"
        write_png(path, PIXELS)


@pytest.fixture
def kaggle(monkeypatch):
    """A kagglehub whose `put` is called with the folder of its cache."""
    client = ModuleType("kagglehub")
    client.calls, client.put = [], lambda out: None

    def dataset_download(handle):
        client.calls.append(handle)
        client.put(Path(os.environ["KAGGLEHUB_CACHE"]))

    client.dataset_download = dataset_download
    monkeypatch.setitem(sys.modules, "kagglehub", client)
    return client


def test_licence_and_size_are_printed_first_and_what_arrived_last(kaggle, tmp_path, capsys):
    def put(out):
        printed = capsys.readouterr().out
        assert "licence: not known here" in printed and "9,258" in printed
        put_qata(out)

    kaggle.put = put
    download("qata", tmp_path / "q")
    assert kaggle.calls == ["aysendegerli/qatacov19-dataset"]
    assert "KAGGLEHUB_CACHE" not in os.environ
    printed = capsys.readouterr().out
    assert "recognised as qata: 1 image" in printed and f"--data {tmp_path / 'q'}" in printed


def test_what_is_there_is_not_downloaded_again(kaggle, tmp_path):
    put_qata(tmp_path)
    download("qata", tmp_path)
    assert kaggle.calls == []
    archive = tmp_path / "datasets" / "1.archive"  # of an interrupted download
    archive.parent.mkdir()
    archive.touch()
    kaggle.put = lambda out: archive.unlink()
    download("qata", tmp_path)
    assert len(kaggle.calls) == 1


def test_without_network_or_client_it_says_where_to_get_the_files(kaggle, tmp_path, monkeypatch):
    def put(out):
        raise ConnectionError("no route\nto host")

    kaggle.put = put
    out, page = tmp_path / "c", RELEASES["covid-qu-ex"].page
    with pytest.raises(StudyError, match="ConnectionError: no route") as error:
        download("covid-qu-ex", out)
    assert page in str(error.value) and str(out) in str(error.value)
    assert "\n" not in str(error.value)
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(StudyError, match=f"kagglehub.*{page}"):
        download("covid-qu-ex", out)


def test_what_arrived_is_checked(kaggle, tmp_path):
    kaggle.put = lambda out: out.mkdir()
    with pytest.raises(StudyError, match="qata"):
        download("qata", tmp_path / "q")
    with pytest.raises(StudyError, match=r"0 of 5,856 images.*by hand"):
        download("kermany", tmp_path / "k")
    for top in ("chest_xray", "chest_xray/chest_xray"):  # nested twice, counted once
        for part in ("train", "test"):
            folder = tmp_path / "k" / top / part / "NORMAL"
            folder.mkdir(parents=True)
            (folder / "IM-0001-0001.jpeg").touch()
    kaggle.put = lambda out: None
    with pytest.raises(StudyError, match="2 of 5,856 images"):
        download("kermany", tmp_path / "k")


def git(folder, *arguments):
    folder.mkdir(exist_ok=True)
    subprocess.run(["git", *arguments], cwd=folder, check=True)


@pytest.fixture
def origin(tmp_path, monkeypatch):
    """A repository of this machine in place of General Blockchain's."""
    origin = tmp_path / "origin"
    write_png(origin / "images" / "a.png", PIXELS)
    write_png(origin / "masks" / "m.png", PIXELS)
    (origin / "structure.csv").write_text(
        "Class,Filename,Mask,Resolution,Top,Left,Width,Height\n"
        "COVID-19 Consolidation,a.png,masks/m.png,4x4,0,0,4,4\n"
    )
    git(origin, "init", "--quiet")
    git(origin, "add", ".")
    git(origin, "-c", "user.name=x", "-c", "user.email=x@y", "commit", "--quiet", "-m", "x")
    release = replace(RELEASES["general-blockchain"], page=str(origin))
    monkeypatch.setitem(RELEASES, "general-blockchain", release)
    return origin


def test_git_clones_continues_and_keeps_the_users_files(origin, tmp_path, capsys):
    out = tmp_path / "g"
    download("general-blockchain", out)
    assert "recognised as general_blockchain: 1 image" in capsys.readouterr().out
    (out / "masks" / "m.png").unlink()
    (out / "structure.csv").write_text((out / "structure.csv").read_text() + "\n")
    (out / "a.json").write_text("the user's")
    before = (out / "structure.csv").read_bytes()
    download("general-blockchain", out)
    assert (out / "masks" / "m.png").exists() and (out / "a.json").read_text() == "the user's"
    assert (out / "structure.csv").read_bytes() == before


def test_git_continues_after_an_interrupted_start(origin, tmp_path):
    out = tmp_path / "g"
    git(out, "init", "--quiet")
    git(out, "remote", "add", "origin", str(origin.rename(f"{origin}.git")))
    download("general-blockchain", out)
    assert (out / "structure.csv").exists()


def test_git_leaves_other_folders_alone_and_says_why_it_fails(origin, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("the user's")
    for repository in (False, True):
        if repository:
            git(mine, "init", "--quiet")
        with pytest.raises(StudyError, match="mine .*--out"):
            download("general-blockchain", mine)
    with pytest.raises(StudyError, match="thesis.txt .*--out"):
        download("general-blockchain", mine / "thesis.txt")
    (origin / ".git").rename(origin / "gone")
    with pytest.raises(StudyError, match="git.*by hand"):
        download("general-blockchain", tmp_path / "g")


def test_every_release_has_a_known_layout_and_a_page():
    assert all(release.layout in ("", *LAYOUTS) for release in RELEASES.values())
    assert all(release.page.startswith("https://") for release in RELEASES.values())
    with pytest.raises(StudyError, match="kermany, qata"):
        download("kermany2")
