"""The command line, as a user types it."""

import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pneumo_keras.dataset.films import read_film, read_mask, write_png
from pneumo_keras.dataset.labelme import Shape, paint, read_annotation, write_annotation
from pneumo_keras.models.segnet import segnet

pytestmark = pytest.mark.slow  # a process for every command

SQUARE = Shape("pneumonia", "rectangle", np.array([[8.0, 8.0], [30.0, 30.0]]))


def command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "pneumo_keras", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def film(path, shapes=None, size=(40, 48)):
    """A film, annotated unless `shapes` is None."""
    pixels = np.random.default_rng(zlib.crc32(path.name.encode())).integers(0, 255, size, np.uint8)
    write_png(path, pixels)
    if shapes is not None:
        write_annotation(path.with_suffix(".json"), path.name, shapes, *size)
    return path


def assert_refused(done, *words):
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("pneumo_keras: ")
    for word in words:
        assert word in last


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An untrained network: what it marks is no matter here."""
    path = tmp_path_factory.mktemp("model") / "best.keras"
    segnet(32, width=0.05).save(path)
    return path


def test_help_names_the_commands():
    done = command("--help")
    assert done.returncode == 0
    words = ("run", "train", "check", "annotate", "predict", "fetch", "agreement", "audit")
    assert all(word in done.stdout for word in words)


def test_fetch_shows_the_licence_and_refuses_a_folder_of_the_users(tmp_path):
    (tmp_path / "thesis.txt").write_text("the user's")
    done = command("fetch", "general-blockchain", "--out", tmp_path)
    assert_refused(done, "holds something else")
    assert "licence: CC BY 4.0" in done.stdout


def test_train_needs_a_study_and_several_hosts_need_train(tmp_path):
    assert_refused(command("train", "segnet", "--out", tmp_path), "run notebook 01 first")
    done = command("run", "--devices", "all", "--out", tmp_path, TF_CONFIG="{}")
    assert_refused(done, "pneumo_keras train NETWORK")
    assert list(tmp_path.iterdir()) == []


def test_run_refuses_what_is_not_there_and_writes_nothing(tmp_path):
    done = command("run", "--data", tmp_path / "films", "--out", tmp_path / "out")
    assert_refused(done, "films: no such folder")
    done = command("run", "--set", "epoch=3", "--out", tmp_path / "out")
    assert_refused(done, "did you mean epochs?")
    done = command("run", "--set", "epochs", "--out", tmp_path / "out")
    assert_refused(done, "KEY=VALUE")
    assert list(tmp_path.iterdir()) == []


def test_run_names_the_bad_annotation_and_leaves_nothing(tmp_path):
    film(tmp_path / "films" / "good.png", [SQUARE])
    film(tmp_path / "films" / "bad.png")
    (tmp_path / "films" / "bad.json").write_text('{"shapes": [')
    done = command("run", "--data", tmp_path / "films", "--out", tmp_path / "out")
    assert_refused(done, "bad.json")
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("*.*"))


def test_predict_writes_mask_overlay_and_outlines_that_are_read_back(tmp_path, model):
    source = film(tmp_path / "films" / "chest.png")
    out = tmp_path / "out"
    done = command("predict", model, source, "--out", out)
    assert done.returncode == 0, done.stderr
    mask = read_mask(out / "chest_mask.png")
    assert mask.shape == read_film(source).shape
    assert f"{mask.mean():.1%} of the film is marked pneumonia" in done.stdout
    annotation = read_annotation(out / "chest.json")
    assert (annotation.height, annotation.width) == mask.shape
    assert (out / annotation.film).resolve() == source.resolve()
    assert paint(annotation, "pneumonia", *mask.shape).shape == mask.shape
    assert (out / "chest_overlay.png").exists()


def test_predict_never_replaces_corrected_outlines_unasked(tmp_path, model):
    source = film(tmp_path / "chest.png")
    corrected = tmp_path / "out" / "chest.json"
    corrected.parent.mkdir()
    corrected.write_text("corrected by hand")
    assert_refused(command("predict", model, source, "--out", tmp_path / "out"), "--overwrite")
    assert corrected.read_text() == "corrected by hand"
    assert [path.name for path in corrected.parent.iterdir()] == ["chest.json"]


def test_predict_refuses_bad_input(tmp_path, model):
    source = film(tmp_path / "a" / "chest.png")
    film(tmp_path / "b" / "chest.png")
    out = tmp_path / "out"
    assert_refused(command("predict", tmp_path / "no.keras", source, "--out", out), "no.keras")
    assert_refused(
        command("predict", model, tmp_path / "a", tmp_path / "b", "--out", out), "one name"
    )
    (tmp_path / "text.png").write_text("not a film")
    assert_refused(command("predict", model, tmp_path / "text.png", "--out", out), "text.png")
    assert not out.exists()


def test_annotate_says_what_to_do_without_a_display(tmp_path):
    film(tmp_path / "chest.png")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "labelme"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    done = command("annotate", tmp_path, PATH=path, DISPLAY="", WAYLAND_DISPLAY="")
    assert_refused(done, "no display", "--labels pneumonia,lung")
    assert_refused(command("annotate", tmp_path / "bin"), "no film")


def test_annotate_starts_labelme_with_the_labels(tmp_path):
    film(tmp_path / "films" / "chest.png")
    program = Path(sys.executable).parent / "labelme"
    if program.exists():
        pytest.skip("the labelme installed here would open a window")
    program = tmp_path / "bin" / "labelme"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@" > "$(dirname "$0")/arguments"\n')
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    done = command("annotate", tmp_path / "films", PATH=path, DISPLAY=":0")
    assert done.returncode == 0, done.stderr
    given = (tmp_path / "bin" / "arguments").read_text()
    assert given.split() == [
        str(tmp_path / "films"),
        "--labels",
        "pneumonia,lung",
        "--validatelabel",
        "exact",
    ]


def test_the_whole_study_on_a_user_s_own_films(tmp_path):
    """Ten patients of two films, tiny networks: every notebook, Table 2, and a prediction."""
    for patient in range(10):
        for number in range(2):
            group = "virus" if patient % 2 else "bacteria"
            film(tmp_path / "films" / f"person{patient}_{group}_{number}.png", [SQUARE])
    (tmp_path / "films" / "broken.json").write_text('{"shapes": [')
    out = tmp_path / "out"
    tiny = {"size": 32, "width": 0.05, "epochs": 1, "batch_size": 4}
    settings = [word for key, value in tiny.items() for word in ("--set", f"{key}={value}")]
    done = command("run", "--data", tmp_path / "films", "--out", out, "--skip-bad", *settings)
    assert done.returncode == 0, done.stderr
    assert "Table 2. films, target pneumonia, recipe quick (size=32" in done.stdout
    assert "05_compare" in done.stderr
    table = pd.read_csv(out / "figures" / "table_2.csv").set_index("Architecture")
    counts = pd.read_csv(out / "data" / "scores" / "SegNet.csv")
    split = pd.read_csv(out / "data" / "split.csv")
    assert table.loc["SegNet", "Films"] == len(counts) == (split["part"] == "test").sum()
    iou = counts["tp"].sum() / counts[["tp", "fp", "fn"]].sum().sum()
    assert table.loc["SegNet", "Test IoU"] == pytest.approx(iou, abs=5e-4)
    assert all((out / "figures" / f"figure_{number}.png").exists() for number in range(1, 9))
    refused = pd.read_csv(out / "data" / "masks" / "refused.csv")
    assert refused["annotation"].tolist() == ["broken.json"]
    done = command(
        "predict",
        out / "data" / "models" / "deeplabv3",
        tmp_path / "films",
        "--out",
        tmp_path / "marked",
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "marked").glob("*_mask.png"))) == 20


def test_check_accepts_what_is_sound_and_refuses_what_is_not(tmp_path):
    films, out = tmp_path / "films", tmp_path / "out"
    for number in range(14):
        film(films / f"person{number}_virus_1.png", [SQUARE])
    done = command("check", films, "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith("run would accept it, with 14 films")
    assert {path.name for path in out.iterdir()} == {"report.html", "findings.csv", "films.csv"}
    assert len(pd.read_csv(out / "films.csv")) == 14 and pd.read_csv(out / "findings.csv").empty
    for path in sorted(films.glob("*.png"))[:2]:
        path.write_bytes(b"")
    done = command("check", films, "--out", out)
    assert_refused(done, "run would refuse it, for 2 reasons")
    refused = [line for line in done.stdout.splitlines() if line.startswith("REFUSED")]
    assert ["person0_virus_1.png is empty" in refused[0], len(refused)] == [True, 2]
    assert command("check", films, "--out", out, "--skip-bad").returncode == 0


def test_agreement_of_two_folders(tmp_path):
    for folder, columns in (("a", 10), ("b", 20)):
        mask = np.zeros((40, 48), bool)
        mask[:, :columns] = True
        write_png(tmp_path / folder / "film.png", mask)
    table = tmp_path / "films.csv"
    done = command("agreement", tmp_path / "a", tmp_path / "b", "--out", table)
    assert done.returncode == 0, done.stderr
    assert "1 films in both" in done.stdout
    assert pd.read_csv(table)["dice"].tolist() == pytest.approx([2 / 3])
    assert_refused(
        command("agreement", tmp_path / "a", tmp_path / "b", "--out", table), "already there"
    )
