"""Mask PNGs and their index."""

import base64
import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pneumo_keras.dataset.films import read_film, read_mask, write_png
from pneumo_keras.dataset.labelme import Shape, paint, read_annotation, write_annotation
from pneumo_keras.dataset.maskfolder import read_mask_index
from pneumo_keras.dataset.masks import write_masks
from pneumo_keras.dataset.sources import find_films
from pneumo_keras.errors import StudyError

LABELS = ["pneumonia", "lung"]


def box(label, left, top, right, bottom):
    return Shape(label, "rectangle", np.array([[left, top], [right, bottom]], float))


LUNG = box("lung", 0, 0, 9, 9)  # 100 of 20 × 30 pixels
OPACITY = box("pneumonia", 5, 0, 14, 4)  # 50 pixels, 25 of them in the lung


def add(data, name, *shapes, height=20, width=30):
    random = np.random.default_rng(len(name))
    write_png(data / f"{name}.png", random.integers(0, 256, (20, 30), dtype=np.uint8))
    write_annotation(data / f"{name}.json", f"{name}.png", shapes, height, width, overwrite=True)


def run(data, folder=None, target="pneumonia", labels=LABELS, **options):
    folder = folder or data / "masks"
    return write_masks(
        find_films(data), folder, target, labels, data=data, progress=False, **options
    )


def snapshot(folder):
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def data(tmp_path):
    data = tmp_path / "data"
    add(data, "person7_virus_1", LUNG, OPACITY)
    add(data, "IM-0001-0001", LUNG)
    add(data, "other")
    return data


def test_masks_and_index(data):
    report = run(data)
    assert (report.painted, report.kept, report.removed, report.notes) == (3, 0, 0, ())
    expected = np.zeros((20, 30), np.uint8)
    expected[0:5, 5:15] = 255
    written = np.asarray(Image.open(data / "masks" / "person7_virus_1.png"))
    assert written.dtype == np.uint8 and np.array_equal(written, expected)
    assert not read_mask(data / "masks" / "other.png").any()
    index = report.index.set_index("name")
    row = index.loc["person7_virus_1"]
    assert (row["film"], row["mask"]) == ("person7_virus_1.png",) * 2
    assert (row["annotation"], row["patient"]) == ("person7_virus_1.json", "virus:7")
    assert (row["height"], row["width"], row["shapes"], row["group"]) == (20, 30, 2, "virus")
    assert row["target_share"] == pytest.approx(50 / 600, abs=1e-6)
    assert row["share_lung"] == pytest.approx(100 / 600, abs=1e-6)
    assert row["target_share_in_lung"] == 0.25
    assert index.loc["IM-0001-0001", "target_share_in_lung"] == 0
    assert np.isnan(index.loc["other", "target_share_in_lung"])
    assert {path.name for path in (data / "masks").iterdir()} == {
        "index.csv", *report.index["mask"]
    }  # fmt: skip


def test_index_keeps_text_as_text(data):
    for name in ("007", "NA"):
        add(data, name, OPACITY)
    (data / "index.csv").write_text("image,patient\n007.png,0012\nNA.png,1e3\n")
    run(data)
    index = read_mask_index(data / "masks").set_index("name")
    assert index.loc["007", "patient"] == "0012" and index.loc["NA", "patient"] == "1e3"


def test_second_run_changes_nothing(data):
    run(data)
    before = snapshot(data / "masks")
    report = run(data)
    assert (report.painted, report.kept) == (0, 3)
    after = snapshot(data / "masks")
    assert {name: content for name, (content, _) in before.items()} == {
        name: content for name, (content, _) in after.items()
    }
    assert all(after[name] == before[name] for name in before if name.endswith(".png"))


def test_only_what_changed_is_painted_again(data):
    run(data)
    add(data, "other", box("pneumonia", 0, 0, 29, 19))
    report = run(data)
    assert (report.painted, report.kept) == (1, 2)
    assert read_mask(data / "masks" / "other.png").all()
    os.utime(data / "IM-0001-0001.png", (1, 1))
    assert run(data).painted == 1
    (data / "masks" / "other.png").unlink()
    assert run(data).painted == 1
    assert run(data, target="lung").painted == 3
    assert run(data, target="lung", labels=[*LABELS, "tube"]).painted == 3


def test_new_patients_need_no_painting(data):
    run(data)
    (data / "index.csv").write_text("image,patient\nother.png,42\n")
    report = run(data)
    assert report.painted == 0
    assert report.index.set_index("name").loc["other", "patient"] == "42"


def test_masks_of_films_that_are_gone_go_too(data):
    run(data)
    (data / "masks" / "mine.png").write_bytes(b"the user's")
    (data / "other.json").unlink()
    report = run(data)
    assert report.removed == 1 and len(report.index) == 2
    assert not (data / "masks" / "other.png").exists()
    assert (data / "masks" / "mine.png").read_bytes() == b"the user's"


BAD = {
    "damaged annotation": lambda data: (data / "other.json").write_text("{"),
    "missing film": lambda data: (data / "other.png").unlink(),
    "damaged film": lambda data: (data / "other.png").write_bytes(b"none"),
    "another size": lambda data: add(data, "other", height=30, width=20),
    "a point": lambda data: add(data, "other", Shape("pneumonia", "point", np.ones((1, 2)))),
}


@pytest.mark.parametrize("harm", BAD.values(), ids=BAD)
def test_bad_film_stops_all_or_is_left_out(data, harm):
    run(data)
    add(data, "IM-0001-0001", LUNG, OPACITY)  # would be painted again
    harm(data)
    before = snapshot(data / "masks")
    with pytest.raises(StudyError, match="other") as error:
        run(data)
    assert "\n" not in str(error.value)
    assert snapshot(data / "masks") == before
    report = run(data, skip_bad=True)
    assert list(report.index["name"]) == ["IM-0001-0001", "person7_virus_1"]
    refused = pd.read_csv(data / "masks" / "refused.csv")
    assert list(refused["annotation"]) == ["other.json"]
    assert list(refused["reason"]) == [str(error.value)]
    assert not (data / "masks" / "other.png").exists()
    add(data, "other")
    assert run(data).painted == 1
    assert not (data / "masks" / "refused.csv").exists()


def test_first_bad_film_says_how_many_more(data):
    for name in ("IM-0001-0001", "other"):
        (data / f"{name}.png").write_bytes(b"")
    with pytest.raises(StudyError, match=r"IM-0001-0001\.png is empty.*\(and 1 more film\)"):
        run(data)
    assert not (data / "masks").exists()


def test_all_bad_is_an_error_even_when_skipping(data):
    for path in data.glob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(StudyError, match="is empty"):
        run(data, skip_bad=True)


def test_size_error_names_both(data):
    add(data, "other", height=30, width=20)
    with pytest.raises(StudyError, match=r"other\.json .* 20×30 pixels.*other\.png has 30×20"):
        run(data)


def test_unknown_labels_are_listed_all_at_once(data):
    add(data, "other", box("lnug", 0, 0, 1, 1), box("lnug", 0, 0, 1, 1))
    add(data, "IM-0001-0001", box("lnug", 0, 0, 1, 1), box("tube", 0, 0, 1, 1))
    with pytest.raises(StudyError, match=r"'lnug' \(2 files\), 'tube' \(1 file\)"):
        run(data, skip_bad=True)
    assert not (data / "masks").exists()


def test_no_target_lists_the_labels_seen(data):
    with pytest.raises(StudyError, match=r"'opacity'; labels seen: 'lung' \(2 files\), 'pn"):
        run(data, target="opacity")


def test_any_label_can_be_a_column(data):
    for _ in range(2):
        report = run(data, labels=[*LABELS, 'left, "upper"\nlobe'])
    assert report.kept == 3


@pytest.mark.parametrize("target", ["", " ", "_background_"])
def test_target_must_be_a_label(data, target):
    with pytest.raises(StudyError, match="cannot be the target"):
        run(data, target=target)


def test_spelling_is_normalised_and_said(data):
    add(data, "other", box("Pneumonia ", 0, 0, 29, 9))
    report = run(data)
    assert report.index.set_index("name").loc["other", "target_share"] == 0.5
    assert report.notes == ("'Pneumonia ' is read as 'pneumonia' in 1 file",)
    assert run(data).notes == report.notes  # kept masks are told of as well


def test_line_under_another_label_leaves_its_share_empty(data):
    add(data, "other", OPACITY, Shape("tube", "line", np.array([[0.0, 0], [9, 9]])))
    report = run(data, labels=[*LABELS, "tube"])
    shares = report.index.set_index("name")["share_tube"]
    assert np.isnan(shares["other"]) and shares["IM-0001-0001"] == 0
    assert "'tube' encloses nothing in 1 file" in report.notes[0]


def test_target_off_the_film_is_said(data):
    add(data, "other", box("pneumonia", 31, 5, 31, 9))  # as far as a rounding tool strays
    assert run(data).notes == ("other.png: nothing of its 'pneumonia' is left on the film",)


def test_embedded_film_is_written_out(data):
    film = read_film(data / "other.png")
    page = json.loads((data / "other.json").read_text())
    page["imageData"] = base64.b64encode((data / "other.png").read_bytes()).decode()
    (data / "other.json").write_text(json.dumps(page))
    (data / "other.png").unlink()
    row = run(data).index.set_index("name").loc["other"]
    assert row["film"] == "masks/films/other.png"
    assert np.array_equal(read_film(data / row["film"]), film)
    assert run(data).kept == 3
    (data / "other.json").unlink()
    run(data)
    assert not (data / "masks" / "films" / "other.png").exists()


def test_nothing_of_the_user_is_overwritten(data, tmp_path):
    with pytest.raises(StudyError, match="holds films or annotations"):
        run(data, folder=data)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "other.png").write_bytes(b"the user's")
    with pytest.raises(StudyError, match=r"other\.png is not ours"):
        run(data, folder=mine)
    (mine / "index.csv").write_text("name,patient\n")
    with pytest.raises(StudyError, match=r"index\.csv is not ours"):
        run(data, folder=mine)
    with pytest.raises(StudyError, match="is a file"):
        run(data, folder=mine / "other.png")
    assert (mine / "other.png").read_bytes() == b"the user's"
    assert (mine / "index.csv").read_text() == "name,patient\n"


@pytest.mark.parametrize("calls", range(1, 10))
def test_a_run_broken_off_is_completed_by_the_next(data, tmp_path, monkeypatch, calls):
    """Whichever file operation it stops at, and though it changes the target of a former run."""
    run(data, target="lung")
    run(data, folder=tmp_path / "fresh")
    expected = {path.name: path.read_bytes() for path in (tmp_path / "fresh").glob("*.png")}
    replace, left = os.replace, [calls]

    def stops(*paths):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        replace(*paths)

    with monkeypatch.context() as patch:
        patch.setattr("pneumo_keras.dataset.maskfolder.os.replace", stops)
        try:
            run(data)
        except KeyboardInterrupt:
            pass
    run(data)
    assert {path.name: path.read_bytes() for path in (data / "masks").glob("*.png")} == expected
    assert not list((data / "masks").glob(".*"))


def test_damaged_index_is_named(data):
    run(data)
    path = data / "masks" / "index.csv"
    path.write_text(path.read_text().replace(",20,30,", ",x,30,"))
    with pytest.raises(StudyError, match=r"index\.csv is damaged"):
        run(data)
    with pytest.raises(StudyError, match="make the masks first"):
        read_mask_index(data)


def test_rotated_film_of_every_release(real_data, tmp_path):
    for version in ("v3.16.7", "v4.5.13", "v5.4.1", "v6.3.1", "v7.1.0"):
        source, data = real_data / "labelme_versions" / version, tmp_path / version
        shutil.copytree(source / "images", data / "images")
        (data / "ann").mkdir()
        for name in ("exif6", "windows_path"):
            shutil.copy(source / "ann" / f"{name}.json", data / "ann")
        report = run(data, target="lung", labels=[])
        row = report.index.set_index("name").loc["exif6"]
        assert (row["height"], row["width"], row["film"]) == (180, 224, "images/exif6.jpg")
        mask = read_mask(data / "masks" / "exif6.png")
        expected = np.zeros((180, 224), bool)
        expected[30:151, 20:91] = True
        assert np.array_equal(mask, expected)


def test_embedded_rotated_film_of_every_release(real_data, tmp_path):
    for version in ("v3.16.7", "v4.5.13", "v5.4.1", "v6.3.1", "v7.1.0"):
        data = tmp_path / version
        data.mkdir()
        source = real_data / "labelme_versions" / version
        shutil.copy(source / "ann" / "exif6_embedded.json", data)
        run(data, target="lung", labels=[])
        film = read_film(data / "masks" / "films" / "exif6_embedded.png")
        shown = read_film(source / "images" / "exif6.jpg")
        assert film.shape == shown.shape == (180, 224)
        assert np.corrcoef(film.ravel(), shown.ravel())[0, 1] > 0.99  # a JPEG of a JPEG


def test_radiologists_films(real_data, tmp_path):
    source = real_data / "covid_opacities"
    report = run(source, folder=tmp_path / "masks")
    index = report.index.set_index("film")
    listed = pd.read_csv(source / "index.csv").set_index("image").loc[index.index]
    assert len(index) == 70 and (index["target_share"] == 0).sum() == 5
    assert np.abs(index["target_share"] - listed["pneumonia_fraction"]).max() < 0.02
    assert np.abs(index["share_lung"] - listed["lung_fraction"]).max() < 0.02
    name = index["name"].iloc[0]
    found = read_annotation(source / index["annotation"].iloc[0])
    mask = read_mask(tmp_path / "masks" / f"{name}.png")
    assert np.array_equal(mask, paint(found, "pneumonia", *mask.shape))
