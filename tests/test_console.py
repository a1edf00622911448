"""Consoles and settings of other languages: a letter that they lack stops nothing."""

import os
import subprocess
import sys

import pandas as pd
import pytest
from conftest import SHARED
from image_files import SIZE, add_image

from pneumo_keras.dataset.labelme import write_annotation
from pneumo_keras.dataset.shapes import Shape


def check(data, out, **environment):
    """Run `check` as a user whose console is set like this, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "pneumo_keras", "check", str(data), "--out", str(out)],
        capture_output=True,
        env={**os.environ, **environment},
        check=False,
    )
    print(done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))
    assert b"Traceback" not in done.stderr
    return done


@pytest.fixture
def data(tmp_path):
    """Ten annotated images with names in Chinese, the patients in Russian."""
    folder = tmp_path / "data"
    square = Shape("pneumonia", "rectangle", [[2, 2], [9, 9]])
    for number in range(10):
        image = folder / f"肺炎 é{number}.png"
        add_image(image, (SIZE[0] + number, SIZE[1]))
        write_annotation(
            image.with_suffix(".json"), image.name, [square], SIZE[0] + number, SIZE[1]
        )
    rows = [f"肺炎 é{number}.png,Пациент {number}" for number in range(10)]
    (folder / "index.csv").write_text("\n".join(["image,patient", *rows]), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "cp1252"},
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C"},
    ],
    ids=str,
)
def test_check_on_a_console_without_the_letters(tmp_path, data, environment):
    done = check(data, tmp_path / "out", **environment)
    assert done.returncode == 0 and b"10 usable images" in done.stdout
    images = pd.read_csv(tmp_path / "out" / "images.csv")
    assert images["name"].tolist() == [f"肺炎 é{number}" for number in range(10)]
    assert images["patient"].tolist() == [f"Пациент {number}" for number in range(10)]


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text there")
@pytest.mark.parametrize("encoding", ["utf-8", "cp1251"])
def test_a_latin_1_file_name_is_refused(tmp_path, data, encoding):
    path = os.fsencode(data) + b"/R\xf6ntgen.png"
    with open(path, "wb") as file:
        file.write((data / "肺炎 é0.png").read_bytes())
    done = check(data, tmp_path / "out", PYTHONIOENCODING=encoding)
    assert done.returncode == 2 and b"not UTF-8: rename it" in done.stdout


def test_the_case(tmp_path):
    folder = SHARED / "cases" / "stdout-cp1251-traceback" / "data"
    if not folder.is_dir():
        pytest.skip("no cases beside this checkout (../shared/cases)")
    done = check(folder, tmp_path / "out", PYTHONIOENCODING="cp1251")
    assert done.returncode == 0 and "width ? height" in done.stdout.decode("cp1251")
