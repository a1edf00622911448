"""Whose an image is: index.csv, names and DICOM headers; and the image that an annotation means."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from image_files import SIZE, add_image, add_mask, written
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from pneumo_keras.dataset.check import examine
from pneumo_keras.dataset.dicom import patient_id
from pneumo_keras.dataset.labelme import write_annotation
from pneumo_keras.dataset.layouts import find_images
from pneumo_keras.dataset.patients import patient_from_name
from pneumo_keras.dataset.shapes import Shape
from pneumo_keras.errors import StudyError

CASES = Path(__file__).resolve().parents[1] / "../shared/cases"
SQUARE = Shape("pneumonia", "rectangle", np.array([[2.0, 2.0], [7.0, 7.0]]))


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def case(name):
    if not (CASES / name).is_dir():
        pytest.skip("no such case here")
    return CASES / name / "data"


def add(data, image, annotation=None, image_path=None, shapes=(SQUARE,)):
    """An image and its annotation, beside it by default."""
    if image:
        add_image(data / image)
    path = data / (annotation or Path(image).with_suffix(".json"))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_annotation(path, image_path or Path(image).name, shapes, *SIZE)


def index(data, text, encoding="utf-8"):
    (data / "index.csv").write_bytes(text.encode(encoding))


def patients(data, **options):
    return {record.name: record.patient for record in find_images(data, **options)}


def notes(data):
    return written(data, find_images(data), "pneumonia", skip_bad=True).notes


# === Names ===


@pytest.mark.parametrize(
    ("stem", "patient"),
    [
        ("BACTERIA-1135262-0001", "bacteria:1135262"),
        ("VIRUS-0000017-0002", "virus:17"),
        ("normal-1135262-0001", "normal:1135262"),
        ("0000000a-person17_virus_3", "virus:17"),
        ("a1b2c3d4-NORMAL2-IM-0017-0001", "normal2:17"),
        ("person17_bacteria_54_jpeg.rf.0123456789abcdef0123456789abcdef", "bacteria:17"),
        ("IM-0017-0001_png.rf.Ab3xYz", "im:17"),
        ("0000000a-VIRUS-17-0002-1-_jpg.rf.5e0c", "virus:17"),
        ("person17_virus_3 (1)", "virus:17"),
        ("person17_virus_3(2)_lung", "virus:17"),
        ("BACTERIA-17-0001.jpeg", "bacteria:17"),
        ("person17_virus_3 - Copy", "virus:17"),
        ("0000000-person17_virus_3", ""),
        ("BACTERIA-17", ""),
        ("scan_jpeg.rf.5e0c", ""),
        ("xVIRUS-17-1", ""),
    ],
)
def test_names_of_mendeley_and_what_tools_add(stem, patient):
    assert patient_from_name(stem)[0] == patient
    kinds = {"im": "normal", "normal2": "normal"}
    kind = patient.partition(":")[0]
    assert patient_from_name(stem)[1] == kinds.get(kind, kind)


def test_case_of_mendeley():
    records = find_images(case("mendeley-names"))
    assert len(records) == 40 and len({r.patient for r in records}) == 10
    assert {r.group for r in records} == {"bacteria"} and all(r.patient_known for r in records)


# === index.csv ===


@pytest.mark.parametrize("name", ["index-semicolon", "index-header-names"])
def test_case_of_an_index(name, tmp_path):
    data = case(name)
    assert set(patients(data).values()) == {"p0", "p1"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize(
    "header", ["image,patient_id", "File Name,Patient ID", " IMAGE ,PatientID", "filename,patient"]
)
def test_headers_and_separators(data, encoding, separator, header):
    add(data, "f0.png")
    index(data, f"{header},group\r\nf0.png,7,covid\r\n".replace(",", separator), encoding)
    (record,) = find_images(data)
    assert (record.patient, record.group) == ("7", "covid")
    assert not notes(data)


def test_first_line_of_excel(data):
    add(data, "f0.png")
    index(data, 'sep=;\n"image";"patient_id"\n"f0.png";"Smith, J"\n')
    assert patients(data) == {"f0": "Smith, J"}


@pytest.mark.parametrize("image", ["f0.png", "images/f0.png", "images/sub/F0.png"])
@pytest.mark.parametrize(
    "file", ["f0", "./f0.png", "C:\\data\\f0.png", "F0.PNG", "/home/me/f0.jpg", "f0.dcm", "{}"]
)
def test_ways_to_write_an_image(data, image, file):
    add(data, image)
    add(data, "1.2.840.png")
    index(data, f"image,patient_id\n{file.format(image)},7\n1.2.840,8\n")
    assert sorted(patients(data).values()) == ["7", "8"]
    assert not notes(data)


def test_paths_in_folders_of_patients_are_told_apart(data):
    for folder in ("P1", "P2", "P3"):
        add(data, f"{folder}/1.png")
    rows = "image,patient_id\nC:\\study\\P1\\1.png,one\nC:\\study\\P2\\1.png,two\n"
    index(data, f"{rows}P9/1.png,nine\n")
    assert patients(data) == {"P1__1": "one", "P2__1": "two", "P3__1": "P3__1"}
    left, unlisted, unknown = notes(data)
    assert "P9/1.png" in left and "P3__1" in unlisted and "P3__1" in unknown


def test_a_name_of_two_images_is_neither(data):
    for folder in ("a", "b"):
        add(data, f"{folder}/1.png")
    index(data, "image,patient_id\n1.png,7\n")
    assert set(patients(data).values()) == {"a__1", "b__1"}
    assert "row(s) that fit no image, or several: 1.png" in notes(data)[0]


def test_a_row_about_an_image_without_annotation_is_about_no_other(data):
    add(data, "x/1.png")
    add_image(data / "y" / "1.png")
    add_image(data / "z" / "2.png")
    index(data, "image,patient_id\ny/1.png,7\n2.png,8\n")
    assert patients(data) == {"1": "1"}
    unlisted, unknown = notes(data)  # and no row that fits nothing
    assert "no row for 1 image(s): 1" in unlisted and "is unknown: 1" in unknown


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("scan,patient_id\nf0.png,7\n", ("images", "scan, patient_id")),
        ("image,pat\nf0.png,7\n", ("patients", "image, pat")),
        ("image|patient_id\nf0.png|7\n", ("images", "image|patient_id")),
        ("", ("images", "none")),
        ("image,patient_id\na,f0.png,7\n", ("more cells", "row 2")),
        ("image,patient_id\nf0.png,7\n./f0.png,8\n", ("lists f0.png twice",)),
    ],
)
def test_an_index_that_cannot_be_used_is_refused(data, text, words):
    add(data, "f0.png")
    index(data, text)
    with pytest.raises(StudyError, match=r"index\.csv") as error:
        find_images(data)
    assert all(word in str(error.value) for word in words) and "\n" not in str(error.value)


def test_an_index_without_patients_is_used_and_said_to_have_none(data):
    add(data, "f0.png")
    index(data, "image,class\nf0.png,covid\n")
    (record,) = find_images(data)
    assert (record.patient, record.group, record.patient_known) == ("f0", "covid", False)
    assert "names no patients (columns seen: image, class)" in notes(data)[0]


def test_check_says_what_a_run_says(data, tmp_path):
    for number in range(6):
        add(data, f"f{number}.png")
    index(data, "image,patient_id\nf0.png,7\nf9.png,8\n")
    found = examine(data, tmp_path / "m", "pneumonia", [], progress=False, test_share=0.2)
    messages = [f.message for f in found.findings]
    assert len(notes(data)) == 3 and set(notes(data)) <= set(messages)
    assert "no row for 5 image(s): f1, f2, f3 and 2 more" in notes(data)[1]
    assert "patient of 5 image(s) is unknown" in notes(data)[2]
    assert notes(data) == notes(data)  # and again, where masks are kept


def test_normal_images_by_a_row_that_is_certain(data):
    for size, image in enumerate(("p/x.png", "a/1.png", "b/1.png", "c/2.png")):
        add_image(data / image, (SIZE[0], SIZE[1] + size))
    write_annotation(data / "p" / "x.json", "x.png", [SQUARE], *SIZE)
    index(data, "image,class\n1.png,normal\n2,normal\n")
    assert [r.name for r in find_images(data, normals=True)] == ["x", "2"]


# === DICOM ===


def dicom(path, identifier):
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = SIZE
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = bytes(range(SIZE[0] * SIZE[1]))
    if identifier is not None:
        dataset.PatientID = identifier
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


def test_patients_of_dicom_are_pseudonyms_and_come_last(data):
    identifiers = {"a": "MRN-17", "b": "MRN-17 ", "c": "MRN-18", "d": None, "e": " "}
    identifiers |= {"person3_virus_1": "MRN-17", "listed": "MRN-17"}
    for name, identifier in identifiers.items():
        dicom(data / "images" / f"{name}.dcm", identifier)
        add_mask(data / "masks" / f"{name}.png")
    index(data, "image,patient_id\nlisted.dcm,7\n")
    first = f"dicom:{hashlib.sha256(b'MRN-17').hexdigest()[:10]}"
    found = patients(data)
    assert found["a"] == found["b"] == first != found["c"] and found["c"].startswith("dicom:")
    rest = {name: found[name] for name in ("d", "e", "person3_virus_1", "listed")}
    assert rest == {"d": "d", "e": "e", "person3_virus_1": "virus:3", "listed": "7"}
    report = written(data, find_images(data), "pneumonia")
    assert "MRN" not in report.index.to_csv() + "".join(report.notes)
    assert "3 image(s)" in report.notes[-2] and "2 image(s) is unknown: d and e" in report.notes[-1]


def test_one_patient_id_in_all_headers_is_a_placeholder(data):
    for name in ("a", "b", "c"):
        dicom(data / "images" / f"{name}.dcm", "ANONYMOUS")
        add_mask(data / "masks" / f"{name}.png")
    assert patients(data) == {"a": "a", "b": "b", "c": "c"}
    assert "3 image(s) is unknown" in written(data, find_images(data), "pneumonia").notes[-1]


def test_files_without_a_patient_have_none(tmp_path):
    add_image(tmp_path / "a.png")
    (tmp_path / "b.dcm").write_bytes(b"no DICOM")
    assert [patient_id(tmp_path / name) for name in ("a.png", "b.dcm", "none.dcm")] == [""] * 3


# === The image that an annotation means ===


def problems(data):
    return [record.problem for record in find_images(data) if record.problem]


def test_case_of_another_patients_image():
    data = case("film-of-another-patient")
    (problem,) = problems(data)
    assert "A/1.json" in problem and "B/1.png" in problem and len(find_images(data)) == 9


@pytest.mark.parametrize(
    ("others", "lost", "image_path"),
    [
        (["P2/2.png"], "P1/1.json", "1.png"),  # images lie beside their annotations
        (["P1/2.png"], "P1/1.json", "../P1/1.png"),
        (["2.png"], "1.json", "1.png"),
        (["ann/P1/2.json P1/2.png ../../P1/2.png"], "ann/P9/1.json", "../../P9/1.png"),
        (["ann/2.json P1/2.png ../P1/2.png"], "ann/1.json", "../P9/1.png"),
        (["ann/P1/2.json images/P1/2.png 2.png"], "ann/P9/1.json", "1.png"),  # folders as images
        (["ann/2.json images/P1/2.png C:\\P1\\2.png"], "ann/1.json", "C:\\P9\\1.png"),
    ],
)
def test_an_image_of_the_same_name_is_not_taken(data, others, lost, image_path):
    for other in others:
        annotation, *image = other.split()
        if image:
            add(data, image[0], annotation, image[1])
        else:
            add(data, other)
    folder = "images/B" if "images" in others[0] else "B"
    add_image(data / folder / "1.png")
    add(data, None, lost, image_path)
    (problem,) = problems(data)
    assert lost in problem and f"{folder}/1.png" in problem


@pytest.mark.parametrize(
    "annotations",
    [
        {"ann/a.json": "a.png", "ann/b.json": "b.png"},
        {"ann/a.json": "../images/a.png", "ann/b.json": "b.png"},
        {"ann/a.json": "../images/a.png", "ann/b.json": "C:\\me\\images\\b.png"},
        {"ann/a.json": "C:\\me\\a.png", "ann/b.json": "/home/you/images/b.png"},
        {"one/a.json": "../images/a.png", "two/b.json": "b.png"},
        {"a.json": "a.png", "b.json": "old/b.png"},
    ],
)
def test_annotations_apart_from_the_images_find_them_by_name(data, annotations):
    for path, image in annotations.items():
        add(data, f"images/{Path(path).stem}.png", path, image)
    images = [r.image.relative_to(data).as_posix() for r in find_images(data)]
    assert sorted(images) == ["images/a.png", "images/b.png"]


def test_masks_of_other_sub_folders_are_not_taken(data):
    for folder in ("P1", "P2", "P3"):
        add_image(data / "images" / folder / "1.png")
        add_mask(data / "masks" / folder / "1.png")
    assert not problems(data) and len(find_images(data)) == 3
    (data / "images" / "P1" / "1.png").unlink()
    (data / "masks" / "P2" / "1.png").unlink()
    alone, stray = problems(data)
    assert "P2/1.png has no mask" in alone and "P1/1.png is the mask of no image" in stray


def test_a_mask_fits_one_of_different_images_of_its_name(data):
    add_image(data / "images" / "P1" / "1.png")
    add_image(data / "images" / "P2" / "1.png", (20, 20))
    add_mask(data / "masks" / "1.png")
    assert len(problems(data)) == 3
    (data / "images" / "P2" / "1.png").unlink()
    assert not problems(data)


# === Folders that cannot be read ===


def test_a_folder_that_cannot_be_read_is_named(data, monkeypatch):
    add(data, "a.png")
    (data / "closed").mkdir()
    scandir = os.scandir

    def refuse(path="."):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(StudyError, match="data/closed cannot be read"):
        find_images(data)


def test_a_link_to_a_folder_that_is_gone_is_named(data):
    add(data, "a.png")
    (data / "images").symlink_to(data.parent / "disk")
    with pytest.raises(StudyError, match="data/images is a link to .*disk"):
        find_images(data)
