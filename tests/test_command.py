"""The command line, as a user types it: each command in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
import zlib

import numpy as np
import pandas as pd
import pytest

from pneumo_keras.dataset.images import read_image, read_mask, write_png
from pneumo_keras.dataset.labelme import read_annotation, write_annotation
from pneumo_keras.dataset.shapes import Shape
from pneumo_keras.models.segnet import segnet

pytestmark = pytest.mark.slow  # a process for every command

SQUARE = Shape("pneumonia", "rectangle", np.array([[8.0, 8.0], [30.0, 30.0]]))
TINY = ("size=32", "width=0.05", "epochs=1", "batch_size=4")


def command(*arguments, cwd=None, **environment):
    return subprocess.run(
        [sys.executable, "-m", "pneumo_keras", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **environment},
        check=False,
    )


def settings(*pairs):
    return [word for pair in pairs for word in ("--set", pair)]


def image(path, shapes=None, size=(40, 48)):
    """An image, annotated unless `shapes` is None."""
    pixels = np.random.default_rng(zlib.crc32(path.name.encode())).integers(0, 255, size, np.uint8)
    write_png(path, pixels)
    if shapes is not None:
        write_annotation(path.with_suffix(".json"), path.name, shapes, *size)
    return path


def ten_patients(folder):
    """Two images each of ten patients, all with a square."""
    for patient in range(10):
        for number in range(2):
            group = "virus" if patient % 2 else "bacteria"
            image(folder / f"person{patient}_{group}_{number}.png", [SQUARE])
    return folder


def assert_refused(done, *words):
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("pneumo_keras: ")
    for word in words:
        assert word in last


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An untrained network: what it predicts does not matter here."""
    path = tmp_path_factory.mktemp("model") / "best.keras"
    segnet(32, width=0.05).save(path)
    return path


def test_help_names_the_commands():
    done = command("--help")
    assert done.returncode == 0
    words = ("run", "train", "check", "annotate", "predict", "download", "agreement", "audit")
    assert all(word in done.stdout for word in words)


def test_train_needs_a_study_and_several_hosts_need_train(tmp_path):
    assert_refused(command("train", "segnet", "--out", tmp_path), "notebook 01")
    done = command("run", "--devices", "all", "--out", tmp_path, TF_CONFIG="{}")
    assert_refused(done, "pneumo_keras train NETWORK")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--data", "images"], "images: no such folder"),
        (["--set", "epoch=3"], "epochs?"),
        (["--set", "epochs"], "KEY=VALUE"),
        (["--set", "epochs=1", "--set", "epochs=2"], "epochs"),
        (["--vary", "loss"], "KEY=VALUE"),
        (["--vary", "loss=cross"], "segnet_loss=cross"),
        (["--vary", "split_by=patient,image"], "split_by"),
    ],
)
def test_run_refuses_bad_arguments_and_writes_nothing(tmp_path, arguments, word):
    assert_refused(command("run", *arguments, cwd=tmp_path), word)
    assert list(tmp_path.iterdir()) == []


def test_run_names_the_bad_annotation_and_leaves_nothing(tmp_path):
    image(tmp_path / "images" / "good.png", [SQUARE])
    image(tmp_path / "images" / "bad.png")
    (tmp_path / "images" / "bad.json").write_text('{"shapes": [')
    done = command("run", "--data", tmp_path / "images", "--out", tmp_path / "out")
    assert_refused(done, "bad.json")
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("*.*"))


def test_predict_writes_mask_overlay_and_outlines_that_are_read_back(tmp_path, model):
    source = image(tmp_path / "images" / "chest.png")
    out = tmp_path / "out"
    done = command("predict", model, source, "--out", out)
    assert done.returncode == 0, done.stderr
    mask = read_mask(out / "chest_mask.png")
    assert mask.shape == read_image(source).shape
    assert f"{mask.mean():.1%}" in done.stdout
    annotation = read_annotation(out / "chest.json")
    assert (annotation.height, annotation.width) == mask.shape
    assert (out / annotation.image).resolve() == source.resolve()
    assert (out / "chest_overlay.png").exists()


def test_predict_never_replaces_corrected_outlines_unasked(tmp_path, model):
    source = image(tmp_path / "chest.png")
    corrected = tmp_path / "out" / "chest.json"
    corrected.parent.mkdir()
    corrected.write_text("corrected by hand")
    assert_refused(command("predict", model, source, "--out", tmp_path / "out"), "--overwrite")
    assert corrected.read_text() == "corrected by hand"
    assert [path.name for path in corrected.parent.iterdir()] == ["chest.json"]


def test_predict_refuses_bad_input(tmp_path, model):
    source = image(tmp_path / "a" / "chest.png")
    image(tmp_path / "b" / "chest.png")
    out = tmp_path / "out"
    assert_refused(command("predict", tmp_path / "no.keras", source, "--out", out), "no.keras")
    assert_refused(
        command("predict", model, tmp_path / "a", tmp_path / "b", "--out", out), "one name"
    )
    (tmp_path / "text.png").write_text("not an image")
    assert_refused(command("predict", model, tmp_path / "text.png", "--out", out), "text.png")
    assert not out.exists()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole study of tiny networks, varied over two seeds, with one bad annotation."""
    folder = tmp_path_factory.mktemp("study")
    ten_patients(folder / "images")
    (folder / "images" / "broken.json").write_text('{"shapes": [')
    done = command(
        *("run", "--data", "images", "--out", "out", "--skip-bad", "--vary", "seed=1,2"),
        *settings(*TINY),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return folder, done


def test_the_whole_study_on_a_user_s_own_images(finished):
    folder, done = finished
    out = folder / "out"
    assert "Table 2. images, target pneumonia, recipe quick (size=32" in done.stdout
    table = pd.read_csv(out / "figures" / "table_2.csv").set_index("Architecture")
    counts = pd.read_csv(out / "data" / "scores" / "SegNet.csv")
    split = pd.read_csv(out / "data" / "split.csv")
    assert table.loc["SegNet", "Images"] == len(counts) == (split["part"] == "test").sum()
    iou = counts["tp"].sum() / counts[["tp", "fp", "fn"]].sum().sum()
    assert table.loc["SegNet", "Test IoU"] == pytest.approx(iou, abs=5e-4)
    assert all((out / "figures" / f"figure_{number}.png").exists() for number in range(1, 9))
    refused = pd.read_csv(out / "data" / "masks" / "refused.csv")
    assert refused["annotation"].tolist() == ["broken.json"]


def test_a_run_ends_by_naming_what_exists(finished):
    folder, done = finished
    for line in done.stdout.splitlines()[-5:]:
        for word in line.replace(",", " ").split():
            if word.startswith("out/"):
                assert (folder / word).exists(), line
    assert "predict out/data/models/deeplabv3" in done.stdout.splitlines()[-1]


def test_every_combination_of_varied_settings_is_trained_and_compared(finished):
    folder, _ = finished
    models = folder / "out" / "data" / "models"
    keys = {"segnet", "segnet-seed-2", "deeplabv3", "deeplabv3-seed-2"}
    assert {path.name for path in models.iterdir()} == keys
    seeds = [
        json.loads((models / key / "run.json").read_text())["recipe"]["seed"]
        for key in sorted(keys)
    ]
    assert seeds == [1, 2, 1, 2]
    table = pd.read_csv(folder / "out" / "figures" / "variations_dice.csv")
    assert table["seeds"].tolist() == [2, 2]


def test_a_network_that_came_to_nothing_is_said_so_by_predict(finished, tmp_path):
    folder, _ = finished
    model = folder / "out" / "data" / "models" / "deeplabv3"
    done = command("predict", model, folder / "images", "--out", tmp_path / "predicted")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "predicted").glob("*_mask.png"))) == 20
    run = json.loads((model / "run.json").read_text())
    better = (run["validation_dice"] or 0) > (run["validation_baseline_dice"] or 0)
    assert ("WARNING" in done.stdout) == (bool(run["predicts"]) or not better)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to a process group")
def test_an_interrupted_run_says_in_one_line_how_to_continue(tmp_path):
    images = ten_patients(tmp_path / "images")
    arguments = ["run", "--data", str(images), "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        [sys.executable, "-m", "pneumo_keras", *arguments, *settings(*TINY[:2], "epochs=500")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    partial = tmp_path / "out" / "data" / "models" / "segnet.training" / "history.csv"
    deadline = time.time() + 120
    while not partial.exists() and time.time() < deadline and process.poll() is None:
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert errors.strip().splitlines()[-1].endswith("epochs=500 --resume")
    assert partial.exists()


def test_agreement_of_two_folders(tmp_path):
    for folder, columns in (("a", 10), ("b", 20)):
        mask = np.zeros((40, 48), bool)
        mask[:, :columns] = True
        write_png(tmp_path / folder / "image.png", mask)
    table = tmp_path / "images.csv"
    done = command("agreement", tmp_path / "a", tmp_path / "b", "--out", table)
    assert done.returncode == 0, done.stderr
    assert pd.read_csv(table)["dice"].tolist() == pytest.approx([2 / 3])
    assert_refused(
        command("agreement", tmp_path / "a", tmp_path / "b", "--out", table), "already there"
    )


def test_download_shows_the_licence_and_refuses_a_folder_of_the_user(tmp_path):
    (tmp_path / "thesis.txt").write_text("the user's")
    done = command("download", "general-blockchain", "--out", tmp_path)
    assert_refused(done, str(tmp_path))
    assert "CC BY 4.0" in done.stdout
    assert_refused(command("download", "kermani"), "kermany")
