"""Mask PNGs and their index."""

import base64
import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest

from pneumo_keras.dataset.images import read_image, read_mask, write_png
from pneumo_keras.dataset.labelme import rasterize, read_annotation, write_annotation
from pneumo_keras.dataset.layouts import find_images
from pneumo_keras.dataset.mask_index import read_mask_index
from pneumo_keras.dataset.masks import write_masks
from pneumo_keras.dataset.shapes import Shape
from pneumo_keras.errors import StudyError

LABELS = ["pneumonia", "lung"]
VERSIONS = ("v3.16.7", "v4.5.13", "v5.4.1", "v6.3.1", "v7.1.0")


def box(label, left, top, right, bottom):
    return Shape(label, "rectangle", np.array([[left, top], [right, bottom]], float))


LUNG = box("lung", 0, 0, 9, 9)  # 100 of 20 × 30 pixels
OPACITY = box("pneumonia", 5, 0, 14, 4)  # 50 pixels, 25 of them in the lung


def add(data, name, *shapes, height=20, width=30):
    rng = np.random.default_rng(len(name))
    write_png(data / f"{name}.png", rng.integers(0, 256, (20, 30), dtype=np.uint8))
    write_annotation(data / f"{name}.json", f"{name}.png", shapes, height, width, overwrite=True)


def run(data, folder=None, target="pneumonia", labels=LABELS, **options):
    folder = folder or data / "masks"
    records = find_images(data, target=target)
    return write_masks(records, folder, target, labels, data=data, progress=False, **options)


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
    assert (report.written, report.kept, report.removed) == (3, 0, 0)
    (unknown,) = report.notes
    assert "patient of 1 image" in unknown and ": other" in unknown
    expected = np.zeros((20, 30), np.uint8)
    expected[0:5, 5:15] = 255
    assert np.array_equal(read_image(data / "masks" / "person7_virus_1.png"), expected)
    assert not read_mask(data / "masks" / "other.png").any()
    index = report.index.set_index("name")
    row = index.loc["person7_virus_1"]
    assert (row["image"], row["mask"]) == ("person7_virus_1.png",) * 2
    assert (row["annotation"], row["patient"]) == ("person7_virus_1.json", "virus:7")
    assert (row["height"], row["width"], row["shapes"], row["group"]) == (20, 30, 2, "virus")
    assert row["target_share"] == pytest.approx(50 / 600, abs=1e-6)
    assert row["share_lung"] == pytest.approx(100 / 600, abs=1e-6)
    assert row["target_share_in_lung"] == 0.25
    assert index.loc["IM-0001-0001", "target_share_in_lung"] == 0
    assert np.isnan(index.loc["other", "target_share_in_lung"])
    names = {path.name for path in (data / "masks").iterdir()}
    assert names == {"index.csv", *report.index["mask"]}


def test_only_what_changed_is_drawn_again(data):
    run(data)
    before = snapshot(data / "masks")
    report = run(data)
    assert (report.written, report.kept) == (0, 3)
    after = snapshot(data / "masks")
    assert after.keys() == before.keys()
    for name, (content, time) in before.items():
        assert after[name] == (content, time if name.endswith(".png") else after[name][1])
    add(data, "other", box("pneumonia", 0, 0, 29, 19))
    report = run(data)
    assert (report.written, report.kept) == (1, 2)
    assert read_mask(data / "masks" / "other.png").all()
    os.utime(data / "IM-0001-0001.png", (1, 1))
    assert run(data).written == 1
    (data / "masks" / "other.png").unlink()
    assert run(data).written == 1
    (data / "index.csv").write_text("image,patient\nother.png,42\n")
    report = run(data)  # a new patient needs no new mask
    assert report.written == 0 and report.index.set_index("name").loc["other", "patient"] == "42"
    assert run(data, target="lung").written == 3
    assert run(data, target="lung", labels=[*LABELS, "tube"]).written == 3


def test_masks_without_image_are_removed_and_other_files_kept(data):
    run(data)
    (data / "masks" / "mine.png").write_bytes(b"the user's")
    (data / "other.json").unlink()
    report = run(data)
    assert report.removed == 1 and len(report.index) == 2
    assert not (data / "masks" / "other.png").exists()
    assert (data / "masks" / "mine.png").read_bytes() == b"the user's"


BAD = {
    "damaged annotation": lambda data: (data / "other.json").write_text("{"),
    "missing image": lambda data: (data / "other.png").unlink(),
    "damaged image": lambda data: (data / "other.png").write_bytes(b"none"),
    "another size": lambda data: add(data, "other", height=30, width=20),
    "a point": lambda data: add(data, "other", Shape("pneumonia", "point", np.ones((1, 2)))),
}


@pytest.mark.parametrize("harm", BAD.values(), ids=BAD)
def test_a_bad_image_stops_all_or_is_left_out(data, harm):
    run(data)
    add(data, "IM-0001-0001", LUNG, OPACITY)  # would be drawn again
    harm(data)
    before = snapshot(data / "masks")
    with pytest.raises(StudyError, match="other") as error:
        run(data)
    assert "\n" not in str(error.value)
    assert snapshot(data / "masks") == before
    report = run(data, skip_bad=True)
    assert list(report.index["name"]) == ["IM-0001-0001", "person7_virus_1"]
    refused = pd.read_csv(data / "masks" / "refused.csv")
    assert refused.to_numpy().tolist() == [["other.json", str(error.value)]]
    assert not (data / "masks" / "other.png").exists()
    add(data, "other")
    assert run(data).written == 1
    assert not (data / "masks" / "refused.csv").exists()


def test_the_first_bad_image_is_named_and_the_others_counted(data):
    for path in data.glob("*.png"):
        path.write_bytes(b"")
    for skip_bad in (False, True):  # nothing is left
        with pytest.raises(StudyError, match=r"IM-0001-0001\.png .*2 more"):
            run(data, skip_bad=skip_bad)
    assert not (data / "masks").exists()


def test_labels_that_do_not_fit_are_listed_all_at_once(data):
    with pytest.raises(StudyError, match=r"'opacity'.*'lung' \(2 file.*'pneumonia' \(1 file"):
        run(data, target="opacity")
    add(data, "other", box("lnug", 0, 0, 1, 1), box("lnug", 0, 0, 1, 1))
    add(data, "IM-0001-0001", box("lnug", 0, 0, 1, 1), box("tube", 0, 0, 1, 1))
    with pytest.raises(StudyError, match=r"'lnug' \(2 file.*'tube' \(1 file"):
        run(data, skip_bad=True)
    for target in ("", " ", "_background_"):
        with pytest.raises(StudyError, match="target"):
            write_masks(find_images(data), data / "masks", target, LABELS, data=data)
    assert not (data / "masks").exists()


def test_any_name_can_be_a_label_and_any_text_a_patient(data):
    for name in ("007", "NA"):
        add(data, name, OPACITY)
    (data / "index.csv").write_text("image,patient\n007.png,0012\nNA.png,1e3\n")
    for _ in range(2):
        report = run(data, labels=[*LABELS, 'left, "upper"\nlobe'])
        patients = report.index.set_index("name").loc[["007", "NA"], "patient"]
        assert patients.tolist() == ["0012", "1e3"]
    assert report.kept == 5


def test_what_is_read_otherwise_than_written_is_noted(data):
    line = Shape("tube", "line", np.array([[0.0, 0], [9, 9]]))
    add(data, "other", box("Pneumonia ", 0, 0, 29, 9), line)
    add(data, "outside", box("pneumonia", 31, 5, 31, 9))  # as far as a rounding tool strays
    report = run(data, labels=[*LABELS, "tube"])
    index = report.index.set_index("name")
    assert index.loc["other", "target_share"] == 0.5 and index.loc["outside", "target_share"] == 0
    assert np.isnan(index.loc["other", "share_tube"]) and index.loc["outside", "share_tube"] == 0
    _, spelling, empty, outside = report.notes  # and that patients are unknown
    assert "'Pneumonia '" in spelling and "'tube'" in empty and "outside.png" in outside
    assert run(data, labels=[*LABELS, "tube"]).notes == report.notes  # for kept masks as well


def test_an_embedded_image_is_extracted(data):
    image = read_image(data / "other.png")
    page = json.loads((data / "other.json").read_text())
    page["imageData"] = base64.b64encode((data / "other.png").read_bytes()).decode()
    (data / "other.json").write_text(json.dumps(page))
    (data / "other.png").unlink()
    row = run(data).index.set_index("name").loc["other"]
    assert row["image"] == "masks/images/other.png"
    assert np.array_equal(read_image(data / row["image"]), image)
    assert run(data).kept == 3
    (data / "other.json").unlink()
    run(data)
    assert not (data / "masks" / "images" / "other.png").exists()


def test_other_files_are_not_overwritten_nor_a_damaged_index_used(data, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "other.png").write_bytes(b"the user's")
    for folder in (data, mine, mine / "other.png"):
        with pytest.raises(StudyError, match="another folder"):
            run(data, folder=folder)
    (mine / "index.csv").write_text("name,patient\n")
    before = snapshot(mine)
    with pytest.raises(StudyError, match=r"index\.csv"):
        run(data, folder=mine)
    with pytest.raises(StudyError, match=r"index\.csv"):
        read_mask_index(mine)
    assert snapshot(mine) == before
    run(data)
    (data / "masks" / "new.png").write_bytes(b"the user's")
    add(data, "new")
    with pytest.raises(StudyError, match=r"masks/new\.png"):
        run(data)
    path = data / "masks" / "index.csv"  # damaged
    path.write_text(path.read_text().replace(",20,30,", ",x,30,"))
    with pytest.raises(StudyError, match=r"index\.csv"):
        run(data)


@pytest.mark.parametrize("calls", range(1, 10))
def test_an_interrupted_run_is_completed_by_the_next(data, tmp_path, monkeypatch, calls):
    """Whichever file operation it stops at, and though it changes the target of a former run."""
    run(data, target="lung")
    run(data, folder=tmp_path / "fresh")
    expected = {path.name: path.read_bytes() for path in (tmp_path / "fresh").glob("*.png")}
    replace, left = os.replace, [calls]

    def stop(*paths):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        replace(*paths)

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", stop)
        try:
            run(data)
        except KeyboardInterrupt:
            pass
    run(data)
    assert {path.name: path.read_bytes() for path in (data / "masks").glob("*.png")} == expected
    assert not list((data / "masks").glob(".*"))


# === Real images ===


@pytest.mark.parametrize("version", VERSIONS)
def test_rotated_image_of_every_labelme_version(real_data, tmp_path, version):
    source, data = real_data / "labelme_versions" / version, tmp_path / "files"
    shutil.copytree(source / "images", data / "images")
    (data / "ann").mkdir()
    for name in ("exif6", "windows_path"):
        shutil.copy(source / "ann" / f"{name}.json", data / "ann")
    row = run(data, target="lung", labels=[]).index.set_index("name").loc["exif6"]
    assert (row["height"], row["width"], row["image"]) == (180, 224, "images/exif6.jpg")
    expected = np.zeros((180, 224), bool)
    expected[30:151, 20:91] = True
    assert np.array_equal(read_mask(data / "masks" / "exif6.png"), expected)
    data = tmp_path / "embedded"
    data.mkdir()
    shutil.copy(source / "ann" / "exif6_embedded.json", data)
    run(data, target="lung", labels=[])
    image = read_image(data / "masks" / "images" / "exif6_embedded.png")
    shown = read_image(source / "images" / "exif6.jpg")
    assert image.shape == shown.shape == (180, 224)
    assert np.corrcoef(image.ravel(), shown.ravel())[0, 1] > 0.99  # a JPEG of a JPEG


def test_images_outlined_by_radiologists(real_data, tmp_path):
    source = real_data / "covid_opacities"
    index = run(source, folder=tmp_path / "masks").index.set_index("image")
    listed = pd.read_csv(source / "index.csv").set_index("image").loc[index.index]
    assert len(index) == 70 and (index["target_share"] == 0).sum() == 5
    assert np.abs(index["target_share"] - listed["pneumonia_fraction"]).max() < 0.02
    assert np.abs(index["share_lung"] - listed["lung_fraction"]).max() < 0.02
    annotation = read_annotation(source / index["annotation"].iloc[0])
    mask = read_mask(tmp_path / "masks" / index["mask"].iloc[0])
    assert np.array_equal(mask, rasterize(annotation, "pneumonia", *mask.shape))
