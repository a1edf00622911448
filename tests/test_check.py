"""The report on a data folder: what is found, and that `run` says the same."""

import base64
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pneumo_keras.dataset.checking import examine
from pneumo_keras.dataset.checking.leaks import given_split
from pneumo_keras.dataset.films import read_film, write_png
from pneumo_keras.dataset.labelme import Shape, write_annotation
from pneumo_keras.dataset.masks import write_masks
from pneumo_keras.dataset.sources import find_films
from pneumo_keras.dataset.splits import read_or_split
from pneumo_keras.errors import StudyError
from pneumo_keras.report.checkpage import refuse_foreign, report_page
from pneumo_keras.report.checktext import MOST, report_text, verdict

LABELS = ["pneumonia", "lung"]
SETTINGS = {"test_share": 0.25, "validation_share": 0.2, "seed": 1}
SQUARE = Shape("pneumonia", "rectangle", np.array([[4.0, 4.0], [20.0, 30.0]]))
SIZE = (48, 40)


def add(data, name, shapes=(SQUARE,), size=SIZE, seed=None):
    """A film of noise, like no other, and its annotation."""
    seed = zlib.crc32(name.encode()) if seed is None else seed
    pixels = np.random.default_rng(seed).integers(0, 256, SIZE, dtype=np.uint8)
    path = data / f"{name}.png"
    write_png(path, pixels)
    write_annotation(path.with_suffix(".json"), path.name, shapes, *size)
    return path


def look_at(data, masks, **options):
    return examine(data, masks, "pneumonia", LABELS, progress=False, **SETTINGS, **options)


def found(examination):
    return {(f.kind, frozenset(f.files), f.refused) for f in examination.findings}


@pytest.fixture
def good(tmp_path):
    data = tmp_path / "data"
    for number in range(12):
        add(data, f"person{number}_virus_{number}", seed=number)
    return data


# === What is planted is found, and nothing else ===


def test_planted_among_500_films(tmp_path):
    data = tmp_path / "data"
    for number in range(500):
        folder = "test" if number % 5 == 0 else "train"
        add(data / folder, f"person{number}_bacteria_1", seed=number)
    copied = read_film(data / "train" / "person7_bacteria_1.png")
    write_png(data / "train" / "person8_bacteria_1.png", copied)
    (data / "train" / "person21_bacteria_1.png").rename(data / "train" / "person20_bacteria_2.png")
    (data / "train" / "person21_bacteria_1.json").unlink()
    write_annotation(
        data / "train" / "person20_bacteria_2.json", "person20_bacteria_2.png", [SQUARE], *SIZE
    )
    (data / "train" / "person33_bacteria_1.png").unlink()
    (data / "train" / "person34_bacteria_1.json").unlink()
    write_annotation(
        data / "test" / "person50_bacteria_1.json",
        "person50_bacteria_1.png",
        [SQUARE],
        SIZE[0],
        SIZE[1] + 1,
        overwrite=True,
    )
    examination = look_at(data, tmp_path / "masks")
    copies = {"train/person7_bacteria_1.png", "train/person8_bacteria_1.png"}
    leak = {"test/person20_bacteria_1.png", "train/person20_bacteria_2.png"}
    assert found(examination) == {
        ("same film", frozenset(copies), False),
        ("patient", frozenset(leak), False),
        ("film", frozenset({"train/person33_bacteria_1.json"}), True),  # has no film
        ("no annotation", frozenset({"train/person34_bacteria_1.png"}), False),
        ("film", frozenset({"test/person50_bacteria_1.json"}), True),  # drawn on another size
    }
    assert len(examination.index) == 497 and len(examination.films) == 499
    for finding in examination.findings:
        assert "\n" not in finding.message
        assert all(Path(file).name in finding.message for file in finding.files)
    messages = " ".join(finding.message for finding in examination.findings)
    assert "of patients bacteria:7 and bacteria:8" in messages
    assert "patient bacteria:20 is on both sides of the split of the folders" in messages
    assert "drawn on a film of 41×48 pixels" in messages


def test_a_clean_folder_has_no_findings(good, tmp_path):
    examination = look_at(good, tmp_path / "masks")
    assert list(examination.findings) == []
    assert examination.labels == {"pneumonia": 12}
    assert verdict(examination).endswith("run would accept it, with 12 films")


def test_altered_copies_look_the_same_and_others_do_not(good, tmp_path):
    """A copy at half the size, saved as JPEG, with a letter burnt into its corner."""
    smooth = np.random.default_rng(5).integers(0, 256, (12, 12), dtype=np.uint8)
    film = np.asarray(Image.fromarray(smooth).resize((400, 400), Image.Resampling.BICUBIC))
    write_png(good / "one.png", film)
    marked = film.copy()
    marked[8:40, 8:30] = 255
    Image.fromarray(marked).resize((200, 200)).save(good / "other.jpg", quality=60)
    write_annotation(good / "one.json", "one.png", [SQUARE], 400, 400)
    write_annotation(good / "other.json", "other.jpg", [SQUARE], 200, 200)
    examination = look_at(good, tmp_path / "masks")
    assert found(examination) == {("similar films", frozenset({"one.png", "other.jpg"}), False)}
    assert "of patients one and other" in examination.findings[0].message


def test_copies_cross_the_folders_and_never_the_split_of_run(tmp_path):
    data = tmp_path / "data"
    for number in range(20):
        add(data / ("test" if number % 4 == 0 else "train"), f"film{number}", seed=number // 2)
    examination = look_at(data, tmp_path / "masks")
    messages = [f.message for f in examination.findings if f.kind == "same film"]
    assert len(messages) == 10
    assert sum("both sides of the split of the folders" in text for text in messages) == 5
    assert not any("the split that run draws" in text for text in messages)


def test_a_random_split_is_said_to_leak_but_not_refused(tmp_path):
    data = tmp_path / "data"
    for number in range(24):
        add(data, f"person{number % 3}_virus_{number}", seed=number)
    examination = look_at(data, tmp_path / "masks", split_by="image")
    assert {(f.kind, f.refused) for f in examination.findings} == {("patient", False)}
    assert "both sides of the split that run draws" in examination.findings[0].message


def test_a_film_that_is_only_embedded_goes_by_its_annotation(good, tmp_path):
    embed(good)
    add(good, "again", seed=1)
    (finding,) = look_at(good, tmp_path / "masks").findings
    assert finding.message.startswith("again.png and person1_virus_1.json are the same picture")


def test_folders_of_which_nothing_takes_part_are_named_once(good, tmp_path):
    for number in range(3):
        write_png(good / "lungs" / f"{number}.png", np.zeros(SIZE, np.uint8))
    (finding,) = look_at(good, tmp_path / "masks").findings
    assert finding.message == "lungs: 3 pictures, none of them annotated, take no part"


@pytest.mark.parametrize(
    ("films", "parts"),
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
def test_the_split_that_folders_tell(films, parts):
    index = pd.DataFrame({"name": [str(n) for n in range(len(films))], "film": films})
    sides = given_split(index)
    assert (None if sides is None else sides.parts.tolist()) == parts


def test_the_split_of_the_source_comes_before_that_of_the_folders():
    index = pd.DataFrame({"name": ["a", "b"], "film": ["train/a.png", "test/b.png"]})
    sides = given_split(index.assign(part=["test", "train"]))
    assert (sides.called, sides.parts.tolist()) == ("the official split", ["test", "train"])
    assert given_split(index.assign(part=["", ""])).called == "the split of the folders"


# === Check and run agree ===


def run_accepts(data, out, skip_bad):
    """Does what notebooks 01 and 02 do with a data folder."""
    try:
        report = write_masks(
            find_films(data),
            out / "masks",
            "pneumonia",
            LABELS,
            data=data,
            skip_bad=skip_bad,
            progress=False,
        )
        read_or_split(out / "split.csv", report.index, "patient", **SETTINGS)
    except StudyError:
        return False
    return True


def unlink_all(data, pattern):
    for path in data.glob(pattern):
        path.unlink()


def embed(data):
    path = data / "person1_virus_1.png"
    text = path.with_suffix(".json").read_text()
    pixels = base64.b64encode(path.read_bytes()).decode()
    path.with_suffix(".json").write_text(
        text.replace('"imageData": null', f'"imageData": "{pixels}"')
    )
    path.unlink()


def only(data, *shapes):
    for path in data.glob("*.json"):
        write_annotation(path, f"{path.stem}.png", shapes, *SIZE, overwrite=True)


FOLDERS = {
    "as it is": (lambda data: None, True),
    "film without annotation": (lambda data: write_png(data / "x.png", np.ones(SIZE, bool)), True),
    "film embedded": (embed, True),
    "film twice": (lambda data: add(data, "again", seed=3), True),
    "nothing marked on one": (lambda data: add(data, "person90_virus_1", []), True),
    "annotation cut short": (lambda data: (data / "a.json").write_text('{"shapes": ['), False),
    "annotation of no film": (lambda data: unlink_all(data, "person1_*.png"), False),
    "film of 0 bytes": (lambda data: (data / "person1_virus_1.png").write_bytes(b""), False),
    "film cut short": (
        lambda data: (data / "person1_virus_1.png").write_bytes(
            (data / "person2_virus_2.png").read_bytes()[:500]
        ),
        False,
    ),
    "film of another size": (lambda data: add(data, "x", size=(9, 9)), False),
    "label not declared": (
        lambda data: add(data, "x", [Shape("heart", "point", np.ones((1, 2)))]),
        False,
    ),
    "target nowhere": (lambda data: only(data), False),
    "target on one": (lambda data: (only(data), add(data, "x")), False),
    "all the same film": (
        lambda data: [write_png(path, np.ones(SIZE, np.uint8)) for path in data.glob("*.png")],
        False,
    ),
    "too few": (lambda data: unlink_all(data, "person[1-9]*"), False),
    "nothing": (lambda data: unlink_all(data, "*"), False),
    "no annotations": (lambda data: unlink_all(data, "*.json"), False),
    "all films gone": (lambda data: unlink_all(data, "*.png"), False),
    "two annotations of a film": (
        lambda data: write_annotation(data / "b.json", "person1_virus_1.png", [SQUARE], *SIZE),
        False,
    ),
    "index.csv contradicts itself": (
        lambda data: (data / "index.csv").write_text("image,patient\na.png,1\na.png,2\n"),
        False,
    ),
}


@pytest.mark.parametrize("skip_bad", [False, True])
@pytest.mark.parametrize("case", FOLDERS)
def test_check_refuses_what_run_refuses(good, tmp_path, case, skip_bad):
    spoil, accepted = FOLDERS[case]
    spoil(good)
    refusals = look_at(good, tmp_path / "looked", skip_bad=skip_bad).refusals
    assert bool(refusals) != run_accepts(good, tmp_path / "out", skip_bad)
    if not skip_bad:
        assert bool(refusals) != accepted
    for finding in refusals:
        assert "\n" not in finding.message
        assert str(good) in finding.message or finding.kind == "labels"


def test_every_bad_film_is_a_line(good, tmp_path):
    for number in (1, 4, 7):
        (good / f"person{number}_virus_{number}.png").write_bytes(b"")
    examination = look_at(good, tmp_path / "masks")
    assert [f.files for f in examination.refusals] == [
        (f"person{number}_virus_{number}.json",) for number in (1, 4, 7)
    ]
    assert verdict(examination).endswith("run would refuse it, for 3 reasons")
    assert report_text(examination).count("REFUSED") == 3


def test_an_undeclared_label_names_a_file(good, tmp_path):
    add(good, "x", [SQUARE, Shape("heart", "rectangle", np.array([[1.0, 1.0], [5.0, 5.0]]))])
    (finding,) = look_at(good, tmp_path / "masks").refusals
    assert "'heart' (1 file), the first in x.json; declared are pneumonia, lung" in finding.message


def test_nothing_in_the_data_folder_changes(good, tmp_path):
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in good.rglob("*")}
    look_at(good, tmp_path / "masks")
    assert before == {
        path: (path.stat().st_mtime_ns, path.read_bytes()) for path in good.rglob("*")
    }


# === The report ===


class Page(HTMLParser):
    """The sources of pictures, links and the text of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.outside, self.pictures, self.words = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name == "src" and value.startswith("data:image/jpeg;base64,"):
                self.pictures.append(base64.b64decode(value.split(",")[1]))
            elif name in ("src", "href", "srcset", "action"):
                self.outside.append(value)

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_holds_its_pictures_and_escapes_names(good, tmp_path):
    add(good, "<b>x & y", seed=3)  # a copy of another film
    examination = look_at(good, tmp_path / "masks")
    html = report_page(examination)
    page = Page(html)
    assert page.outside == [] and "script" not in page.tags and "b" not in page.tags
    assert not re.search(r"url\(|@import|https?:", html)
    assert "<b>x & y.png and person3_virus_3.png are the same picture" in " ".join(page.words)
    # The two copies, and the least, median and most marked of both groups, one of a single film.
    assert len(page.pictures) == 2 + 3 + 1
    assert all(picture[:3] == b"\xff\xd8\xff" for picture in page.pictures)


def test_the_page_of_a_folder_without_usable_films(good, tmp_path):
    unlink_all(good, "*.png")
    examination = look_at(good, tmp_path / "masks")
    assert "for 12 reasons" in report_page(examination)
    assert report_text(examination).count("REFUSED") == 12


def test_many_remarks_are_cut_short_and_counted(good, tmp_path):
    for number in range(MOST + 5):
        write_png(good / f"extra{number:02}.png", np.ones(SIZE, bool))
    text = report_text(look_at(good, tmp_path / "masks"))
    assert text.count("has no annotation") == MOST
    assert "no annotation: and 5 more, listed in findings.csv" in text


def test_a_file_of_the_user_is_not_replaced(good, tmp_path):
    files = ("report.html", "films.csv")
    out = tmp_path / "out"
    refuse_foreign(out, files)
    out.mkdir()
    (out / "films.csv").write_text("mine")
    with pytest.raises(StudyError, match=r"films\.csv is there and no report of ours"):
        refuse_foreign(out, files)
    (out / "report.html").write_text(report_page(look_at(good, tmp_path / "masks")))
    refuse_foreign(out, files)
    (out / "report.html").write_text("<html>mine</html>")
    with pytest.raises(StudyError, match=r"report\.html is there"):
        refuse_foreign(out, files)


# === Real films ===


def test_real_films_hold_one_exposure_twice(real_data, tmp_path):
    examination = look_at(real_data / "covid_opacities", tmp_path / "masks")
    assert examination.refusals == []
    (similar,) = [f for f in examination.findings if f.kind == "similar films"]
    assert {Path(file).stem[:8] for file in similar.files} == {"E63574A7", "F4341CE7"}
    idle = {f.files for f in examination.findings if f.kind == "no annotation"}
    assert idle == {("lungs",), ("lungs_second_reader",), ("masks",)}
    assert len(examination.findings) == 4
