"""From a data folder to masks: bad input ends in its own error, and leaves the good alone."""

import hashlib
import io
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from image_files import dicom_bytes, png_header
from PIL import Image

from pneumo_keras.dataset.images import write_png
from pneumo_keras.dataset.labelme import write_annotation
from pneumo_keras.dataset.layouts import find_images
from pneumo_keras.dataset.masks import write_masks
from pneumo_keras.dataset.records import EmptyReference, LabelMeFile, MaskFiles
from pneumo_keras.dataset.shapes import Shape
from pneumo_keras.errors import StudyError

MAX_SECONDS = 60  # on a busy machine; most take some milliseconds
SIZE = (40, 48)
SQUARE = [[8, 8], [30, 8], [30, 30], [8, 30]]
GOOD = ["fine", "sound"]


def add(folder, name):
    """An image with its annotation, both valid."""
    image = np.random.default_rng(len(name)).integers(0, 255, SIZE, dtype=np.uint8)
    write_png(folder / f"{name}.png", image)
    shape = Shape("pneumonia", "polygon", np.array(SQUARE, float))
    write_annotation(folder / f"{name}.json", f"{name}.png", [shape], *SIZE, overwrite=True)


@pytest.fixture
def data(tmp_path):
    for name in (*GOOD, "bad"):
        add(tmp_path / "data", name)
    return tmp_path / "data"


def masks(data, out, allow_outside=False, **options):
    records = find_images(data, allow_outside=allow_outside)
    return write_masks(records, out, "pneumonia", ["lung"], data=data, progress=False, **options)


# --- A corpus of bad input: each kind spoils bad.png or bad.json, or puts others in their place.


def encoded(kind, mode="L", size=SIZE, **options):
    noise = np.random.default_rng(0).integers(0, 255, size, dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def several(kind):
    return encoded(kind, save_all=True, append_images=[Image.new("L", SIZE[::-1])] * 2)


def change(folder, **entries):
    path = folder / "bad.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def image(content, name="bad.png"):
    """Put other bytes in place of the image."""

    def spoil(folder):
        (folder / "bad.png").unlink()
        (folder / name).write_bytes(content)
        change(folder, imagePath=name)

    return spoil


def no_image(put=lambda folder: None, **entries):
    """Remove the image, do something in the folder, and change entries of the annotation."""

    def spoil(folder):
        (folder / "bad.png").unlink()
        put(folder)
        change(folder, **entries)

    return spoil


def two_elsewhere(folder):
    for grey, place in enumerate(("one", "two")):
        write_png(folder / place / "bad.png", np.full(SIZE, grey, np.uint8))


def one_outside(folder):
    write_png(folder.parent / "else.png", np.zeros(SIZE, np.uint8))
    change(folder, imagePath=str(folder.parent / "else.png"))


def page(**entries):
    return lambda folder: change(folder, **entries)


def shape(**entries):
    polygon = {"label": "pneumonia", "shape_type": "polygon", "points": SQUARE}
    return page(shapes=[polygon | entries])


def text(content):
    return lambda folder: (folder / "bad.json").write_bytes(content)


def unreadable(name):
    return lambda folder: os.chmod(folder / name, 0)


def dicom(**elements):
    return image(dicom_bytes(GREY, **elements), "bad.dcm")


GREY = np.random.default_rng(0).integers(0, 4096, SIZE).astype(np.uint16)
POINTS = np.random.default_rng(0).integers(0, 40, (20_000, 2)).tolist()
STAR = [[24 + 15 * np.sin(a), 20 + 15 * np.cos(a)] for a in np.arange(5) * 0.8 * np.pi]
BROKEN_CRC = encoded("PNG")[:18] + b"\xff" + encoded("PNG")[19:]
BAD = {
    "zero bytes": (image(b""), "is empty"),
    "text named PNG": (image(b"a note\n"), "damaged"),
    "text named DICOM": (image(b"a note\n", "bad.dcm"), "damaged"),
    "GIF named PNG": (image(encoded("GIF")), "damaged"),
    "truncated PNG": (image(encoded("PNG")[:900]), "damaged"),
    "truncated JPEG": (image(encoded("JPEG")[:900], "bad.jpg"), "damaged"),
    "truncated TIFF": (image(encoded("TIFF")[:900], "bad.tif"), "damaged"),
    "truncated BMP": (image(encoded("BMP")[:900], "bad.bmp"), "damaged"),
    "PNG with a broken checksum": (image(BROKEN_CRC), "damaged"),
    "CMYK": (image(encoded("JPEG", "CMYK"), "bad.jpg"), "CMYK"),
    "animated PNG": (image(several("PNG")), "holds 3 images"),
    "one pixel": (image(encoded("PNG", size=(1, 1))), "1×1 pixels"),
    "PNG of 20,000×20,000": (image(png_header(20_000, 20_000)), "million pixels"),
    "floating point": (image(encoded("TIFF", "F"), "bad.tif"), "floating point"),
    "no image": (no_image(), "not there"),
    "two images of the name elsewhere": (no_image(two_elsewhere), "2 files of that name"),
    "folder for an image": (no_image(lambda folder: (folder / "bad.png").mkdir()), "not there"),
    "link to itself": (
        no_image(lambda folder: (folder / "bad.png").symlink_to("bad.png")),
        "symbolic links",
    ),
    "image that may not be read": (unreadable("bad.png"), "Permission denied"),
    "image outside": (no_image(one_outside), "--allow-outside"),
    "DICOM without pixels": (dicom(PixelData=None, Rows=None, Columns=None), "without pixels"),
    "DICOM cut short": (image(dicom_bytes(GREY)[:-500], "bad.dcm"), "bytes of pixels|damaged"),
    "DICOM of too many rows": (dicom(Rows=60), "bytes of pixels"),
    "DICOM of too few columns": (dicom(Columns=40), "bytes of pixels"),
    "DICOM of two frames": (dicom(NumberOfFrames=2), "2 frames"),
    "DICOM in colour": (dicom(PhotometricInterpretation="RGB"), "in colour"),
    "DICOM of 32 bits": (dicom(BitsAllocated=32, BitsStored=32), "32 bits"),
    "DICOM of 20,000×20,000": (dicom(Rows=20_000, Columns=20_000), "million pixels"),
    "DICOM of no window's width": (dicom(WindowCenter=1, WindowWidth=0), "Window Width"),
    "empty annotation": (text(b""), "not valid JSON"),
    "truncated annotation": (text(b'{"shapes": ['), "not valid JSON"),
    "list": (text(b"[1, 2]"), "LabelMe"),
    "UTF-16": (text('{"shapes": []}'.encode("utf-16")), "UTF-8"),
    "deep nesting": (text(b'{"shapes":' * 100_000), "not valid JSON"),
    "doubled key": (text(b'{"shapes": [1], "shapes": []}'), "twice"),
    "masses of points": (shape(points=POINTS * 3), "more than 50,000"),
    "annotation that may not be read": (unreadable("bad.json"), "Permission denied"),
    "another size": (page(imageHeight=48, imageWidth=40), "image of 40×48"),
    "embedded image of broken base64": (no_image(imageData="%%%"), "base64"),
    "embedded image that is none": (no_image(imageData="YSBub3Rl"), "embedded in .* damaged"),
    "negative coordinates": (shape(points=[*SQUARE, [-20, 20]]), "20 pixels beyond"),
    "beyond the image": (shape(points=[[x + 60, y] for x, y in SQUARE]), "beyond"),
    "bow": (shape(points=[SQUARE[k] for k in (0, 2, 1, 3)]), "crosses itself"),
    "star": (shape(points=STAR), "crosses itself"),
    "scribble": (shape(points=POINTS), "crosses itself"),
    "point": (shape(shape_type="point", points=[[9, 9]]), "encloses nothing"),
}


def hashes(folder):
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and os.access(path, os.R_OK)
    }


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
    assert time.perf_counter() - start < MAX_SECONDS


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["truncated JPEG", "DICOM of two frames", "doubled key"])
def test_run_ends_with_status_2_and_one_line(data, tmp_path, kind):
    BAD[kind][0](data)
    before = hashes(data)
    command = [sys.executable, "-m", "pneumo_keras", "run", "--data", data]
    command += ["--out", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("pneumo_keras: ") and "bad." in last and "Traceback" not in done.stderr
    assert hashes(data) == before
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


@pytest.mark.skipif(sys.platform != "linux", reason="file names elsewhere are Unicode")
def test_name_that_is_no_text(data, tmp_path):
    try:
        (data / os.fsdecode(b"b\xe4d.png")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes Unicode only")
    with pytest.raises(StudyError, match="not UTF-8"):
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
        add(data, name)
    masks(data, tmp_path / "masks")
    report = masks(data, tmp_path / "masks")  # from the index that the first wrote
    assert report.kept == len(NAMES) + 3
    assert set(report.index["name"]) == {*NAMES, *GOOD, "bad"}
    for name in NAMES:
        (data / f"{name}.png").write_bytes(b"")
    problems = masks(data, tmp_path / "masks", skip_bad=True).refused["reason"]
    assert len(problems) == len(NAMES) and all(len(line.splitlines()) == 1 for line in problems)


def test_links_byte_order_marks_and_wrong_suffixes_do_no_harm(data, tmp_path):
    (data / "more").mkdir()
    (data / "more" / "back").symlink_to(data)
    (data / "back").symlink_to(data / "more")
    (data / "bad.json").write_bytes(b"\xef\xbb\xbf" + (data / "bad.json").read_bytes())
    (data / "bad.png").write_bytes(encoded("JPEG"))
    assert len(masks(data, tmp_path / "masks").index) == 3


def test_image_outside_is_read_where_that_is_allowed(data, tmp_path):
    no_image(one_outside)(data)
    report = masks(data, tmp_path / "masks", allow_outside=True)
    assert report.index.set_index("name").loc["else", "image"] == "../else.png"


# --- The forms of references.


def test_a_labelme_file_is_parsed_again_once_it_was_modified(data):
    record = next(record for record in find_images(data) if record.name == "bad")
    before = record.reference.label_masks(record.image, ["pneumonia"], SIZE)
    shape(points=[[0, 0], [5, 0], [5, 5]], label="Lung")(data)
    os.utime(data / "bad.json", ns=(1, 1))
    for reference in (record.reference, LabelMeFile(data / "bad.json")):
        after = reference.label_masks(record.image, ["pneumonia", "lung"], SIZE)
        assert before.masks["pneumonia"].any() and not after.masks["pneumonia"].any()
        assert (after.masks["lung"].sum(), after.labels, after.unknown) == (21, ["Lung"], [])
        undeclared = reference.label_masks(record.image, ["pneumonia"], SIZE)
        assert undeclared.unknown == ["Lung"]
    (data / "bad.json").unlink()
    with pytest.raises(StudyError, match=r"bad\.json cannot be read"):
        record.reference.label_masks(record.image, ["pneumonia"], SIZE)


def test_shapes_without_area_matter_only_for_the_target(data):
    shape(shape_type="point", points=[[9, 9]], label="lung")(data)
    reference = LabelMeFile(data / "bad.json")
    found = reference.label_masks(data / "bad.png", ["pneumonia", "lung"], SIZE)
    assert found.masks.keys() == {"pneumonia"} and found.shapes == 1
    with pytest.raises(StudyError, match="encloses nothing"):
        reference.label_masks(data / "bad.png", ["lung"], SIZE)


def test_mask_files_of_a_label_unite_and_keep_the_size_of_the_image(tmp_path):
    for name, mask in (("a", np.eye(4)), ("b", np.eye(4)[::-1]), ("small", np.eye(2))):
        write_png(tmp_path / f"{name}.png", mask.astype(bool))
    a, b, small = (tmp_path / f"{name}.png" for name in ("a", "b", "small"))
    reference = MaskFiles({"Lung": (a, b), "pneumonia": (a,)})
    found = reference.label_masks(tmp_path / "x.png", ["lung", "heart"], (4, 4))
    assert np.array_equal(found.masks["lung"], np.eye(4) + np.eye(4)[::-1] > 0)
    assert found.masks.keys() == {"lung"} and found.shapes == 3
    with pytest.raises(StudyError, match=r"small\.png .*2×2 .*x\.png has 4×4"):
        MaskFiles({"lung": (small,)}).label_masks(tmp_path / "x.png", ["lung"], (4, 4))
    found = MaskFiles({"lung": (small,)}, resize=True).label_masks(small, ["lung"], (4, 4))
    assert np.array_equal(found.masks["lung"], np.kron(np.eye(2), np.ones((2, 2))))
    assert not EmptyReference().label_masks(a, ["lung"], (4, 4)).masks["lung"].any()
