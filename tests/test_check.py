"""The check of a data folder: what is found, that `run` says the same, and the report."""

import base64
import re
import zlib
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pneumo_keras.__main__ import main
from pneumo_keras.dataset.check import examine, given_split
from pneumo_keras.dataset.images import read_image, write_png
from pneumo_keras.dataset.labelme import write_annotation
from pneumo_keras.dataset.layouts import find_images
from pneumo_keras.dataset.masks import write_masks
from pneumo_keras.dataset.shapes import Shape
from pneumo_keras.dataset.splits import read_or_split
from pneumo_keras.errors import StudyError
from pneumo_keras.files import write_csv
from pneumo_keras.report.check_page import (
    MAX_LINES,
    refuse_other_files,
    report_html,
    report_text,
    write_reports,
)

LABELS = ["pneumonia", "lung"]
SETTINGS = {"test_share": 0.25, "validation_share": 0.2, "seed": 1}
SQUARE = Shape("pneumonia", "rectangle", np.array([[4.0, 4.0], [20.0, 30.0]]))
HEART = Shape("heart", "rectangle", np.array([[1.0, 1.0], [5.0, 5.0]]))
SIZE = (48, 40)


def add(data, name, shapes=(SQUARE,), size=SIZE, seed=None):
    """An image of noise, like no other, and its annotation."""
    seed = zlib.crc32(name.encode()) if seed is None else seed
    pixels = np.random.default_rng(seed).integers(0, 256, SIZE, dtype=np.uint8)
    path = data / f"{name}.png"
    write_png(path, pixels)
    write_annotation(path.with_suffix(".json"), path.name, shapes, *size, overwrite=True)
    return path


def check(data, masks, **options):
    return examine(data, masks, "pneumonia", LABELS, progress=False, **SETTINGS, **options)


def findings_of(examination):
    """All findings but that patients are unknown, since names do not tell them."""
    return [f for f in examination.findings if "is unknown" not in f.message]


def found(examination):
    return {(f.kind, frozenset(f.files), f.refused) for f in findings_of(examination)}


@pytest.fixture
def good(tmp_path):
    data = tmp_path / "data"
    for number in range(12):
        add(data, f"person{number}_virus_{number}", seed=number)
    return data


# === What is planted is found, and nothing else ===


def test_planted_among_100_images(tmp_path):
    data = tmp_path / "data"
    train, test = data / "train", data / "test"
    for number in range(100):
        add(train if number % 5 else test, f"person{number}_bacteria_1", seed=number)
    write_png(train / "person8_bacteria_1.png", read_image(train / "person7_bacteria_1.png"))
    unlink_all(train, "person21_*")
    add(train, "person20_bacteria_2", seed=21)
    unlink_all(train, "person33_*.png")
    unlink_all(train, "person34_*.json")
    add(test, "person50_bacteria_1", size=(SIZE[0], SIZE[1] + 1), seed=50)
    examination = check(data, tmp_path / "masks")
    copies = {"train/person7_bacteria_1.png", "train/person8_bacteria_1.png"}
    leak = {"test/person20_bacteria_1.png", "train/person20_bacteria_2.png"}
    assert found(examination) == {
        ("same image", frozenset(copies), False),
        ("patient", frozenset(leak), False),
        ("image", frozenset({"train/person33_bacteria_1.json"}), True),  # has no image
        ("no annotation", frozenset({"train/person34_bacteria_1.png"}), False),
        ("image", frozenset({"test/person50_bacteria_1.json"}), True),  # drawn on another size
    }
    assert len(examination.index) == 97 and len(examination.records) == 99
    for finding in examination.findings:
        assert "\n" not in finding.message
        assert all(Path(file).name in finding.message for file in finding.files)
    messages = " ".join(finding.message for finding in examination.findings)
    for words in ("bacteria:7 and bacteria:8", "patient bacteria:20", "folders", "41×48"):
        assert words in messages


def test_altered_copies_look_the_same_and_others_do_not(good, tmp_path):
    """A copy at half the size, saved as JPEG, with a letter burnt into its corner."""
    smooth = np.random.default_rng(5).integers(0, 256, (12, 12), dtype=np.uint8)
    image = np.asarray(Image.fromarray(smooth).resize((400, 400), Image.Resampling.BICUBIC))
    write_png(good / "one.png", image)
    marked = image.copy()
    marked[8:40, 8:30] = 255
    Image.fromarray(marked).resize((200, 200)).save(good / "other.jpg", quality=60)
    write_annotation(good / "one.json", "one.png", [SQUARE], 400, 400)
    write_annotation(good / "other.json", "other.jpg", [SQUARE], 200, 200)
    examination = check(good, tmp_path / "masks")
    assert found(examination) == {("similar images", frozenset({"one.png", "other.jpg"}), False)}
    assert "patients one and other" in examination.findings[0].message


def test_copies_cross_the_folders_and_never_the_split_of_run(tmp_path):
    data = tmp_path / "data"
    for number in range(20):
        add(data / ("train" if number % 4 else "test"), f"image{number}", seed=number // 2)
    examination = check(data, tmp_path / "masks")
    messages = [f.message for f in examination.findings if f.kind == "same image"]
    assert len(messages) == 10
    assert sum("split of the folders" in message for message in messages) == 5
    assert not any("split that run draws" in message for message in messages)


def test_a_random_split_is_said_to_leak_but_not_refused(tmp_path):
    for number in range(24):
        add(tmp_path / "data", f"person{number % 3}_virus_{number}", seed=number)
    examination = check(tmp_path / "data", tmp_path / "masks", split_by="image")
    assert {(f.kind, f.refused) for f in examination.findings} == {("patient", False)}
    assert "split that run draws" in examination.findings[0].message


def test_copies_are_compared_and_an_embedded_one_is_named_by_its_annotation(good, tmp_path):
    embed(good)
    add(good, "again", seed=1)
    add(good, "once more", [], seed=4)
    findings = findings_of(check(good, tmp_path / "masks"))
    assert {finding.files: "differently" in finding.message for finding in findings} == {
        ("again.png", "person1_virus_1.json"): False,
        ("once more.png", "person4_virus_4.png"): True,
    }


def test_unused_files(good, tmp_path):
    for number in range(3):
        write_png(good / "lungs" / f"{number}.png", np.zeros(SIZE, np.uint8))
    (finding,) = check(good, tmp_path / "masks").findings  # a folder not in use is named once
    assert finding.files == ("lungs",) and "3 image" in finding.message
    pairs = tmp_path / "pairs"
    for name in "abc":
        pixels = read_image(add(tmp_path, name))
        write_png(pairs / "images" / f"{name}.png", pixels)
        write_png(pairs / "masks" / f"{name}.png", pixels > 99)
    (pairs / "images" / "b.png").unlink()
    kinds = {finding.kind for finding in check(pairs, tmp_path / "pair masks").findings}
    assert kinds & {"no image", "image"}


@pytest.mark.parametrize(
    ("images", "parts"),
    [
        (["a/Train/1.png", "a/Test/2.png", "a/val/3.png"], ["train", "test", "validation"]),
        (["Train Set/1.png", "Test_Folder/2.png"], ["train", "test"]),
        (["training/1.png", "testing/2.png"], ["train", "test"]),
        (["test/1.png", "test/2.png"], None),  # all on one side
        (["train/1.png", "2.png", "test/3.png"], None),
        (["latest/1.png", "train/2.png"], None),
        (["test.png", "train.png"], None),  # no folders
    ],
)
def test_the_split_that_folders_tell(images, parts):
    names = [str(number) for number in range(len(images))]
    index = pd.DataFrame({"name": names, "image": images, "part": ""})
    splits = [split.tolist() for split in given_split(index).values()]
    assert splits == ([] if parts is None else [parts])
    official = index.assign(part=["test"] + ["train"] * (len(images) - 1))
    assert given_split(official)["the official split"].tolist() == official["part"].tolist()


# === Check and run agree ===


def run_accepts(data, out, skip_bad):
    """Whether notebooks 01 and 02 would accept a data folder."""
    options = {"data": data, "skip_bad": skip_bad, "progress": False}
    try:
        report = write_masks(find_images(data), out / "masks", "pneumonia", LABELS, **options)
        read_or_split(out / "split.csv", report.index, "patient", **SETTINGS)
    except StudyError:
        return False
    return True


def unlink_all(data, pattern):
    for path in data.glob(pattern):
        path.unlink()


def embed(data):
    path = data / "person1_virus_1.png"
    annotation = path.with_suffix(".json")
    pixels = base64.b64encode(path.read_bytes()).decode()
    text = annotation.read_text().replace('"imageData": null', f'"imageData": "{pixels}"')
    annotation.write_text(text)
    path.unlink()


def relabel(data, *shapes):
    for path in data.glob("*.json"):
        write_annotation(path, f"{path.stem}.png", shapes, *SIZE, overwrite=True)


def overwrite(data, pattern, content):
    for path in [*data.glob(pattern)] or [data / pattern]:
        path.write_bytes(content)


PNG = cv2.imencode(".png", np.eye(*SIZE, dtype=np.uint8))[1].tobytes()
ACCEPTED = {
    "as it is": lambda data: None,
    "image without annotation": lambda data: write_png(data / "x.png", np.ones(SIZE, bool)),
    "image embedded": embed,
    "image twice": lambda data: add(data, "again", seed=3),
    "nothing marked in one": lambda data: add(data, "person90_virus_1", []),
}
REFUSED = {
    "annotation cut short": lambda data: overwrite(data, "a.json", b'{"shapes": ['),
    "annotation of no image": lambda data: unlink_all(data, "person1_*.png"),
    "image of 0 bytes": lambda data: overwrite(data, "person1_virus_1.png", b""),
    "image cut short": lambda data: overwrite(data, "person1_virus_1.png", PNG[: len(PNG) // 2]),
    "image of another size": lambda data: add(data, "x", size=(9, 9)),
    "label not declared": lambda data: add(data, "x", [SQUARE, HEART]),
    "target nowhere": relabel,
    "target in one": lambda data: (relabel(data), add(data, "x")),
    "all the same image": lambda data: overwrite(data, "*.png", PNG),
    "too few": lambda data: unlink_all(data, "person[1-9]*"),
    "nothing": lambda data: unlink_all(data, "*"),
    "no annotations": lambda data: unlink_all(data, "*.json"),
    "no images": lambda data: unlink_all(data, "*.png"),
    "two annotations of an image": lambda data: (data / "b.json").write_bytes(
        (data / "person1_virus_1.json").read_bytes()
    ),
    "index.csv contradicts itself": lambda data: overwrite(
        data, "index.csv", b"image,patient\na.png,1\na.png,2\n"
    ),
}


@pytest.mark.parametrize("skip_bad", [False, True])
@pytest.mark.parametrize("case", [*ACCEPTED, *REFUSED])
def test_check_refuses_what_run_refuses(good, tmp_path, case, skip_bad):
    {**ACCEPTED, **REFUSED}[case](good)
    refusals = check(good, tmp_path / "masks", skip_bad=skip_bad).refusals
    assert bool(refusals) != run_accepts(good, tmp_path / "out", skip_bad)
    if not skip_bad:
        assert bool(refusals) == (case in REFUSED)
    for finding in refusals:
        assert "\n" not in finding.message
        assert str(good) in finding.message or finding.kind == "labels"


# === The report ===


def test_the_page_holds_its_pictures_and_escapes_names(good, tmp_path):
    add(good, "<b>x & y", seed=3)  # a copy of another image
    html = report_html(check(good, tmp_path / "masks"))
    assert not re.search(r"<b>|<script|href=|srcset=|action=|url\(|@import|https?:", html)
    assert "&lt;b&gt;x &amp; y.png and person3_virus_3.png" in html
    # The two copies, and the least, median and most marked of both groups, one of a single image.
    pictures = re.findall(' src="data:image/jpeg;base64,/9j/.*?"', html)
    assert len(pictures) == html.count(" src=") == 2 + 3 + 1


def test_the_tables_count_images(good, tmp_path):
    add(good, "person90_virus_1", [])
    text = report_text(check(good, tmp_path / "masks"))
    rows = {tuple(line.split()) for line in text.splitlines()}
    # 17 × 27 of 48 × 40 pixels are marked in 12 images: 24 %.
    assert {("nothing", "1"), ("to", "30", "%", "12"), ("40×48", "13")} <= rows
    assert {("PNG,", "8-bit", "grey", "13"), ("pneumonia", "12")} <= rows


def test_many_findings_are_cut_short_and_counted(good, tmp_path):
    for number in range(MAX_LINES + 5):
        write_png(good / f"extra{number:02}.png", np.ones(SIZE, bool))
    lines = report_text(check(good, tmp_path / "masks")).splitlines()
    lines = [line for line in lines if line.startswith("no annotation: ")]
    assert len(lines) == MAX_LINES + 1 and "5 more" in lines[-1]
    unlink_all(good, "person*.png")  # no usable image, and no refusal is cut short
    examination = check(good, tmp_path / "no masks")
    assert "12 reason" in report_html(examination)
    assert report_text(examination).count("REFUSED") == 12


def test_reports_replace_reports_but_no_file_of_the_user(good, tmp_path):
    out, examination = tmp_path / "out", check(good, tmp_path / "masks")
    write_csv(out / "images.csv", pd.DataFrame({"mine": [1]}))
    with pytest.raises(StudyError, match=r"images\.csv"):
        refuse_other_files(out)
    page = write_reports(examination, out)
    refuse_other_files(out)
    assert len(pd.read_csv(out / "images.csv")) == 12
    page.write_text("<html>mine</html>")
    with pytest.raises(StudyError, match=r"report\.html"):
        refuse_other_files(out)


def test_the_command(good, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in good.iterdir()}
    assert main(["check", str(good)]) == 0
    assert "accept it; 12 " in capsys.readouterr().out.splitlines()[-1]
    assert {path.name for path in tmp_path.iterdir()} == {"data", "results"}
    after = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in good.iterdir()}
    assert after == before
    out = tmp_path / "results" / "check" / "data"
    assert {path.name for path in out.iterdir()} == {"report.html", "findings.csv", "images.csv"}
    assert pd.read_csv(out / "findings.csv").empty
    overwrite(good, "person[01]_*.png", b"")
    add(good, "x", [SQUARE, HEART])
    assert main(["check", str(good), "--out", str(out)]) == 2
    printed = capsys.readouterr()
    assert printed.out.count("REFUSED") == 3 and "3 reason" in printed.err.splitlines()[-1]
    findings = pd.read_csv(out / "findings.csv", keep_default_na=False)
    assert findings["refused"].tolist() == ["yes"] * 3 + ["no"]
    assert findings["files"].tolist() == ["person0_virus_0.json", "person1_virus_1.json", "", ""]
    assert re.search(r"'heart' \(1 file.*x\.json", findings["message"][2])


# === Real images ===


def test_real_images_hold_one_exposure_twice(real_data, tmp_path):
    examination = check(real_data / "covid_opacities", tmp_path / "masks")
    assert examination.refusals == []
    (similar,) = [f for f in examination.findings if f.kind == "similar images"]
    assert {Path(file).stem[:8] for file in similar.files} == {"E63574A7", "F4341CE7"}
    unused = {f.files for f in examination.findings if f.kind == "no annotation"}
    assert unused == {("lungs",), ("lungs_second_reader",), ("masks",)}
    assert len(examination.findings) == 4
