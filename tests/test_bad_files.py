"""Every bad input ends in its own error, and the good films beside it are left as they are."""

import hashlib
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from bad_files import BAD, SIZE, encoded, good_film
from film_headers import png_header
from PIL import Image

from pneumo_keras.dataset.arrays import write_arrays
from pneumo_keras.dataset.films import read_mask, write_png
from pneumo_keras.dataset.masks import write_masks
from pneumo_keras.dataset.sources import find_films
from pneumo_keras.errors import StudyError

LONGEST = 60  # seconds, on a busy machine; most take some milliseconds
GOOD = ["fine", "sound"]


def masks(data, out, **options):
    films = find_films(data, **{key: options.pop(key) for key in {*options} & {"allow_outside"}})
    return write_masks(films, out, "pneumonia", ["lung"], data=data, progress=False, **options)


def hashes(folder):
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and os.access(path, os.R_OK)
    }


@pytest.fixture
def data(tmp_path):
    for name in (*GOOD, "bad"):
        good_film(tmp_path / "data", name)
    return tmp_path / "data"


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_ends_in_its_own_error(data, tmp_path, kind):
    spoil, words = BAD[kind]
    if "may not be read" in kind and os.geteuid() == 0:
        pytest.skip("root may read everything")
    spoil(data)
    before, start = hashes(data), time.perf_counter()
    with pytest.raises(StudyError, match=words) as error:
        masks(data, tmp_path / "masks")
    assert "bad." in str(error.value) and "\n" not in str(error.value)
    assert ":" in str(error.value).split("bad.", 1)[1]  # the way out follows
    assert hashes(data) == before and not (tmp_path / "masks").exists()

    report = masks(data, tmp_path / "masks", skip_bad=True)
    assert report.index["name"].tolist() == GOOD
    assert report.refused["annotation"].tolist() == ["bad.json"]
    assert report.refused["reason"].tolist() == [str(error.value)]
    assert hashes(data) == before
    assert time.perf_counter() - start < LONGEST


# --- Masks.


def mask_kinds():
    steps = np.arange(40 * 48).reshape(SIZE) % 3 * 100
    red = np.zeros((*SIZE, 3), np.uint8)
    red[5:9, 5:9] = (200, 30, 30)
    return {
        "not binary": (Image.fromarray(steps.astype(np.uint8)), "several values"),
        "in colour": (Image.fromarray(red), "in colour"),
    }


@pytest.mark.parametrize("kind", mask_kinds())
def test_bad_mask(tmp_path, kind):
    picture, words = mask_kinds()[kind]
    picture.save(tmp_path / "bad.png")
    with pytest.raises(StudyError, match=rf"bad\.png .*{words}.* save it as"):
        read_mask(tmp_path / "bad.png")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"a note", "damaged"),
        (encoded("JPEG"), "several values"),
        (png_header(20_000, 20_000), "million pixels"),
    ],
)
def test_bad_bytes_for_a_mask(tmp_path, content, words):
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(StudyError, match=rf"bad\.png .*{words}"):
        read_mask(tmp_path / "bad.png")


def test_mask_and_film_of_different_size(data, tmp_path):
    report = masks(data, tmp_path / "masks")
    write_png(tmp_path / "masks" / "bad.png", np.zeros((48, 40), bool))
    with pytest.raises(StudyError, match=r"bad\.png is 48x40 but its mask bad\.png 40x48: "):
        write_arrays(report.index, data, tmp_path / "masks", tmp_path / "arrays", 32)
    assert not (tmp_path / "arrays" / "films.npy").exists()


# --- Folders.


def test_two_annotations_of_one_film_name_both(data, tmp_path):
    (data / "again.json").write_bytes((data / "bad.json").read_bytes())
    with pytest.raises(StudyError, match=r"again\.json and .*bad\.json both annotate"):
        masks(data, tmp_path / "masks")


@pytest.mark.skipif(sys.platform != "linux", reason="file names elsewhere are Unicode")
def test_name_that_is_no_text(data, tmp_path):
    try:
        (data / os.fsdecode(b"b\xe4d.png")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes Unicode only")
    with pytest.raises(StudyError, match="not UTF-8: rename it"):
        masks(data, tmp_path / "masks")


# --- What looks bad and is not.

NAMES = [
    "two words",
    "qu'ote\"d",
    "Ünïcödé",
    "line\nbreak",
    "return\rhere",
    "a,b;c",
    " edge ",
    "#%",
]


def test_names_of_every_kind_are_kept(data, tmp_path):
    for name in NAMES:
        good_film(data, name)
    masks(data, tmp_path / "masks")
    report = masks(data, tmp_path / "masks")  # from the index that the first wrote
    assert report.kept == len(NAMES) + 3
    assert set(report.index["name"]) == {*NAMES, *GOOD, "bad"}
    arrays = write_arrays(report.index, data, tmp_path / "masks", tmp_path / "arrays", 32)
    assert set(arrays.index["name"]) == set(report.index["name"])


@pytest.mark.parametrize("name", NAMES)
def test_an_error_is_one_line_whatever_the_name(data, tmp_path, name):
    good_film(data, name)
    (data / f"{name}.png").write_bytes(b"")
    with pytest.raises(StudyError, match="is empty") as error:
        masks(data, tmp_path / "masks")
    assert len(str(error.value).splitlines()) == 1
    assert name.split("\n")[0].split("\r")[0] in str(error.value)


def test_links_in_a_circle_end(data, tmp_path):
    (data / "more").mkdir()
    (data / "more" / "back").symlink_to(data)
    (data / "back").symlink_to(data / "more")
    assert len(masks(data, tmp_path / "masks").index) == 3


def test_two_films_of_one_stem_get_names_of_their_own(data, tmp_path):
    good_film(data / "other", "bad")
    assert set(masks(data, tmp_path / "masks").index["name"]) == {*GOOD, "bad", "other__bad"}


def test_byte_order_mark_and_another_suffix_do_no_harm(data, tmp_path):
    path = data / "bad.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    (data / "bad.png").write_bytes(encoded("JPEG"))
    assert len(masks(data, tmp_path / "masks").index) == 3


def test_film_outside_is_read_where_that_is_allowed(data, tmp_path):
    BAD["film outside, by .."][0](data)
    report = masks(data, tmp_path / "masks", allow_outside=True)
    assert report.index.set_index("name").loc["else", "film"] == "../else.png"
    assert write_arrays(
        report.index, data, tmp_path / "masks", tmp_path / "arrays", 32
    ).films.shape == (3, 32, 32)


# --- The command line.


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["truncated JPEG", "DICOM of two frames", "star", "doubled key"])
def test_run_ends_with_status_2_and_one_line(data, tmp_path, kind):
    BAD[kind][0](data)
    before = hashes(data)
    command = [
        sys.executable,
        "-m",
        "pneumo_keras",
        "run",
        "--data",
        data,
        "--out",
        tmp_path / "out",
    ]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("pneumo_keras: ") and "bad." in last and "Traceback" not in done.stderr
    assert hashes(data) == before
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
