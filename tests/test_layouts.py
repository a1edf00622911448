"""Layouts: how a folder is recognised; its images, their patients and their masks."""

import base64
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from image_files import SIZE, add_image, add_mask, masks_of, written

from pneumo_keras.dataset.images import read_mask, write_png
from pneumo_keras.dataset.labelme import write_annotation
from pneumo_keras.dataset.layout_rules import Layout
from pneumo_keras.dataset.layouts import LAYOUTS, find_images, recognition_line
from pneumo_keras.dataset.patients import patient_from_name
from pneumo_keras.dataset.shapes import Shape
from pneumo_keras.errors import StudyError

SQUARE = Shape("pneumonia", "rectangle", np.array([[2.0, 2.0], [7.0, 7.0]]))
COCO = '{"images": [], "annotations": [], "categories": []}'


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def add(data, image, annotation=None, image_path=None):
    """An image and its annotation, beside it by default."""
    add_image(data / image)
    path = data / annotation if annotation else (data / image).with_suffix(".json")
    write_annotation(path, image_path or os.path.relpath(data / image, path.parent), [], *SIZE)
    return path


def put(data, *paths):
    for path in paths:
        add_image(data / path)


def found(data, **options):
    return [r.image.relative_to(data).as_posix() for r in find_images(data, **options)]


def by_name(records, *fields):
    return {r.name: tuple(getattr(r, field) for field in fields) for r in records}


def layouts(data, **options):
    return {record.layout for record in find_images(data, **options)}


def problems(data, **options):
    return [record.problem for record in find_images(data, **options) if record.problem]


def same(masks, expected):
    return masks.keys() == expected.keys() and all(
        np.array_equal(masks[name], expected[name]) for name in expected
    )


# === LabelMe: the image of an annotation ===


@pytest.mark.parametrize(
    "image_path",
    [
        "../images/a.png",
        "..\\images\\a.png",
        "C:\\Users\\me\\study\\a.png",
        "\\\\server\\share\\a.png",
        "/home/someone/a.png",
        "{data}/images/a.png",
        "a.png",
    ],
)
def test_image_is_found_however_its_path_is_written(data, image_path):
    add(data, "images/a.png", "ann/a.json", image_path.format(data=data.resolve()))
    assert found(data) == ["images/a.png"]


@pytest.mark.parametrize("beside", ["named.png", "named.jpg", "a.PNG", "a.tif"])
def test_image_beside_the_annotation_unless_it_is_where_the_path_says(data, beside):
    write_annotation(data / "a.json", "gone/named.png", [], *SIZE)
    put(data, beside)
    assert found(data) == [beside]
    put(data, "gone/named.png")
    assert found(data) == ["gone/named.png"]


def test_of_images_elsewhere_only_copies_may_have_one_name(data):
    write_annotation(data / "a.json", "gone/named.png", [], *SIZE)
    for size, folder in enumerate(("one", "two"), start=4):
        add_image(data / folder / "named.png", (size, size))
    assert "2 files of that name" in problems(data)[0]
    shutil.copy(data / "one" / "named.png", data / "two" / "named.png")
    assert found(data) == ["one/named.png"]


@pytest.mark.parametrize("absolute", [False, True])
def test_image_outside_is_refused(data, tmp_path, absolute):
    outside = tmp_path / "other" / "a.png"
    add_image(outside)
    write_annotation(data / "a.json", str(outside) if absolute else "../other/a.png", [], *SIZE)
    assert "outside" in problems(data)[0] and "--allow-outside" in problems(data)[0]
    (record,) = find_images(data, allow_outside=True)
    assert record.image.samefile(outside) and record.name == "a" and not record.problem
    shutil.copy(outside, data)
    assert found(data) == ["a.png"]


def test_folder_of_images_may_be_a_link(data, tmp_path):
    put(tmp_path / "disk", "a.png")
    write_annotation(data / "ann" / "a.json", "../images/a.png", [], *SIZE)
    (data / "images").symlink_to(tmp_path / "disk")
    assert found(data) == ["images/a.png"]


def test_embedded_image_stands_in_for_a_missing_one(data):
    path = add(data, "a.png")
    content = base64.b64encode((data / "a.png").read_bytes()).decode()
    path.write_text(path.read_text().replace('"imageData": null', f'"imageData": "{content}"'))
    assert found(data) == ["a.png"]
    (data / "a.png").unlink()
    (record,) = find_images(data)
    assert record.embedded and record.image == path


def test_only_labelme_files_are_taken(data):
    for image in ("b/a.png", ".ipynb_checkpoints/c.png", "b/._a.png"):
        add(data, image)
    others = '{"nested": {"shapes": []}}', '{"images": [], "annotations": []}', "[1]", "no JSON"
    for number, content in enumerate(others):
        (data / f"{number}.json").write_text(content)
    (data / "again").symlink_to(data)
    assert found(data) == ["b/a.png"]


def test_two_annotations_of_one_image(data):
    add(data, "a.png")
    write_annotation(data / "ann" / "a.json", "../a.png", [], *SIZE)
    with pytest.raises(StudyError, match=r"a\.json and .*a\.json both annotate .*a\.png"):
        find_images(data)


@pytest.mark.parametrize("version", ["v3.16.7", "v4.5.13", "v5.4.1", "v6.3.1", "v7.1.0"])
def test_real_paths_of_every_release(real_data, tmp_path, version):
    folder = real_data / "labelme_versions" / version
    shutil.copytree(folder / "images", tmp_path / "images")
    (tmp_path / "ann").mkdir()
    for path in sorted((folder / "ann").glob("*.json")):
        copy = shutil.copy(path, tmp_path / "ann")
        image = "exif6" if path.stem.startswith("exif6") else "person100_bacteria_475"
        assert found(tmp_path) == [f"images/{image}.jpg"]
        os.unlink(copy)
    with pytest.raises(StudyError, match="both annotate"):
        find_images(folder)


# === Names, patients, groups ===


def test_names_are_stems_unless_these_collide(data):
    for image in ("b/c.png", "x/a.png", "y/A.png"):
        add(data, image)
    assert [record.name for record in find_images(data)] == ["c", "x__a", "y__A"]
    add(data, "b/c.tif", "b/other.json")
    names = [record.name for record in find_images(data)]
    assert sorted(names) == ["b__c_png", "b__c_tif", "x__a", "y__A"]


@pytest.mark.parametrize(
    ("stem", "patient", "group"),
    [
        ("person447_virus_921_1", "virus:447", "virus"),
        ("PERSON0017_BACTERIA_54", "bacteria:17", "bacteria"),
        ("IM-0017-0001", "im:17", "normal"),
        ("NORMAL2-IM-0017-0001-0002", "normal2:17", "normal"),
        *((name, "", "") for name in ("person17_fungus_1", "my_person17_virus_1", "IM-17-1")),
    ],
)
def test_kermany_names(stem, patient, group):
    assert patient_from_name(stem) == (patient, group)


def test_patient_from_index_then_name_then_the_image_itself(data):
    for name in ("a", "b", "person3_virus_1", "d"):
        add(data, f"images/{name}.png")
    (data / "index.csv").write_text(
        "image,annotation,patient_id,finding,license\n"
        "images\\a.png,,007,SARS,CC0\n"
        ",images/b.json,,COVID-19,\n"
        ",images/other.json,9,x,\n",
        encoding="utf-8-sig",
    )
    assert by_name(find_images(data), "patient", "group", "licence") == {
        "a": ("007", "SARS", "CC0"),
        "b": ("b", "COVID-19", ""),
        "person3_virus_1": ("virus:3", "virus", ""),
        "d": ("d", "unknown", ""),
    }


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (b"a.png,1\na.png,2\n", "lists a.png twice"),
        (b"\xff\xfe,1\n", "not a valid CSV"),
        (b"a" * 200_000 + b",1\n", "not a valid CSV"),
    ],
)
def test_bad_index_is_named(data, rows, reason):
    add(data, "a.png")
    (data / "index.csv").write_bytes(b"image,patient\n" + rows)
    with pytest.raises(StudyError, match=rf"index\.csv.*{reason}"):
        find_images(data)


# === Recognition ===


def test_an_unknown_folder_names_every_layout(data):
    with pytest.raises(StudyError, match="data is not a folder"):
        find_images(data)
    kermany(data / "chest_xray")
    with pytest.raises(StudyError, match=r"Kermany set: 6\).*annotate DIR") as error:
        find_images(data)
    assert all(name in str(error.value) for name in LAYOUTS) and "\n" not in str(error.value)
    put(data, "one/images/a.png", "one/masks/a.png", "two/images/a.png", "two/masks/a.png")
    with pytest.raises(StudyError, match="none of the known layouts"):
        find_images(data)  # which of the two pairs?


def test_two_layouts_are_not_chosen_among(data):
    image = "chest_xray/train/NORMAL/IM-0001-0001.jpeg"
    put(data, image, "lung_masks/IM-0001-0001.png")
    assert layouts(data) == {"kermany_lungs"}
    write_annotation(data / "IM-0001-0001.json", image, [], *SIZE)
    with pytest.raises(StudyError, match=r"\(labelme, kermany_lungs\).*--layout"):
        find_images(data)
    for layout in ("labelme", "kermany_lungs"):
        assert layouts(data, layout=layout) == {layout}


def test_labelme_covers_plain_folders_and_coco_does_not(data):
    put(data, "images/a.png", "masks/a.png")
    assert layouts(data) == {"folders"}
    (data / "coco.json").write_text(COCO)
    with pytest.raises(StudyError, match=r"\(coco, folders\)"):
        find_images(data)
    (data / "coco.json").unlink()
    write_annotation(data / "annotations" / "a.json", "../images/a.png", [], *SIZE)
    assert layouts(data) == {"labelme"}
    assert layouts(data, layout="folders") == {"folders"}


def test_a_layout_that_is_not_there_is_refused(data):
    put(data, "images/a.png", "masks/a.png")
    for layout in ("qata", "coco", "general_blockchain", "labelme"):
        with pytest.raises(StudyError, match=f"not laid out as {layout}"):
            find_images(data, layout)
    with pytest.raises(StudyError, match="'kaggle': choose auto or one of labelme, "):
        find_images(data, "kaggle")


def test_normals_and_targets_are_refused_where_there_are_none(data):
    put(data, "chest_xray/train/NORMAL/IM-0001-0001.jpeg", "lung_masks/IM-0001-0001.png")
    with pytest.raises(StudyError, match="kermany_lungs .*--normals"):
        find_images(data, normals=True)
    with pytest.raises(StudyError, match="lung, not pneumonia"):
        find_images(data, target="pneumonia")
    with pytest.raises(StudyError, match="normal images show lungs"):
        find_images(labelme_kermany(data.parent / "other"), target="lung", normals=True)


def test_masks_written_by_a_run_are_not_taken_for_a_layout(data):
    put(data, "images/a.png", "masks/a.png")
    write_png(data / "masks" / "a.png", np.ones(SIZE, bool))
    written(data / "x", find_images(data), "pneumonia")  # into the data folder
    assert len(find_images(data)) == 1


def test_the_line_says_layout_number_licence_and_what_cannot_be_used(data):
    put(data, "images/a.png", "images/b.png", "images/c.png", "masks/a.png", "masks/b.png")
    (data / "index.csv").write_text("image,license\nimages/a.png,CC0\n")
    line = recognition_line(find_images(data))
    assert line.startswith("recognised as folders: 2 images and 1 that cannot be used")
    assert line.endswith("CC0 (1), not stated (1)")
    put(data / "q", "Images/covid_1.png", "Ground-truths/mask_covid_1.png")
    assert "1 image, licence not stated (see http" in recognition_line(find_images(data / "q"))


def test_a_layout_is_added_by_a_few_rules(data, monkeypatch):
    ward = Layout(
        "ward",
        "scans/X.png with drawn/X_opacity.png",
        beside=("scans", "drawn"),
        masks={"pneumonia": ("drawn",)},
        mask_names=("{}_opacity",),
        complete="everywhere",
        patient=r"(\d+)-",
        licence="of the hospital",
    )
    monkeypatch.setitem(LAYOUTS, "ward", ward)
    put(data, *(f"ward3/scans/{name}.png" for name in ("004-1", "004-2", "x")))
    expected = {n: add_mask(data / f"ward3/drawn/{n}_opacity.png") for n in ("004-1", "x")}
    records = find_images(data)
    assert problems(data)[0].count("004-2") == 2
    assert by_name(records, "patient")["x"] == ("x",)
    assert by_name(records, "patient")["004-1"] == ("004",)
    assert same(masks_of(data, records, "pneumonia", skip_bad=True), expected)


def test_the_page_lists_every_layout():
    page = Path(__file__).resolve().parents[1] / "data" / "SOURCES.md"
    assert re.findall(r"^\| `(\w+)` \|", page.read_text("utf-8"), re.MULTILINE) == [*LAYOUTS]


# === Kermany, annotated with LabelMe, and with lung masks ===


def kermany(root, parts=("train", "val", "test")):
    for part in parts:
        add_image(root / part / "PNEUMONIA" / f"person{len(part)}_virus_1.jpeg")
        add_image(root / part / "NORMAL" / f"IM-{len(part):04}-0001.jpeg")
    return root


def labelme_kermany(data, image="person5_virus_1"):
    kermany(data / "chest_xray")
    write_annotation(data / "a.json", f"{image}.jpeg", [SQUARE], *SIZE)
    return data


@pytest.mark.parametrize("parts", [("train", "val", "test"), ("train", "test")])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("beside", [True, False])
def test_kermany_in_every_form(data, parts, nested, beside):
    root = kermany(data / "chest_xray", parts)
    if nested:
        kermany(root / "chest_xray", parts)
    folder = root / "train" / "PNEUMONIA" if beside else data / "annotations"
    write_annotation(folder / "person5_virus_1.json", "person5_virus_1.jpeg", [SQUARE], *SIZE)
    (record,) = find_images(data)
    assert record.image == root / "train" / "PNEUMONIA" / "person5_virus_1.jpeg"
    assert (record.patient, record.group, record.part) == ("virus:5", "virus", "train")
    records = find_images(data, normals=True)
    normals = {f"IM-{len(p):04}-0001": ("test" if p == "test" else "train",) for p in parts}
    assert by_name([r for r in records if r.group == "normal"], "part") == normals
    masks = masks_of(data, records, "pneumonia")
    assert masks["person5_virus_1"].sum() == 36 and len(masks) == len(normals) + 1
    assert not any(masks[name].any() for name in normals)


def test_masks_and_annotated_images_are_no_normal_ones(data):
    labelme_kermany(data, "IM-0005-0001")
    add_mask(data / "lung_masks" / "IM-0099-0001.png")
    add_mask(data / "normal" / "masks" / "a.png")
    records = find_images(data, "labelme", normals=True)
    assert len(records) == 3 and all("chest_xray" in r.image.parts for r in records)
    assert masks_of(data, records, "pneumonia")["IM-0005-0001"].sum() == 36


def test_kermany_lungs(data):
    kermany(data / "chest_xray")
    names = ("person5_virus_1", "IM-0004-0001", "person3_virus_1")
    expected = {n: add_mask(data / "lung_masks" / f"{n}.png", len(n)) for n in names}
    records = find_images(data)
    assert by_name(records, "layout", "part", "patient") == {
        "person5_virus_1": ("kermany_lungs", "train", "virus:5"),
        "IM-0004-0001": ("kermany_lungs", "test", "im:4"),
        "person3_virus_1": ("kermany_lungs", "train", "virus:3"),  # of val, which is too small
    }
    assert same(masks_of(data, records, "lung"), expected)
    add_mask(data / "lung_masks" / "person77_virus_1.png")
    assert "person77_virus_1.png is the mask of no image" in problems(data)[0]


# === QaTa-COV19 ===


def qata(root):
    names = ("covid_1", "sub-S09345_ses-E18065_run-1_bp-chest_vp-ap_dx", "sub-S09345_ses-E2_x")
    expected = {}
    for part, name in zip(("Train Set", "Train Set", "Test Set"), names, strict=True):
        add_image(root / part / "Images" / f"{name}.png")
        path = root / part / "Ground-truths" / f"mask_{name}.png"
        expected[name] = add_mask(path, len(name))
    return expected


def test_qata_version_2_is_taken_where_both_are(data):
    expected = qata(data / "QaTa-COV19" / "QaTa-COV19-v2")
    first = data / "QaTa-COV19" / "QaTa-COV19-v1"
    put(first, "Images/covid_1.png", "Ground-truths/mask_covid_1.png", "Control_Group/normal.png")
    records = find_images(data, target="pneumonia")
    assert by_name(records, "part", "patient", "group") == {
        "covid_1": ("train", "covid_1", "COVID-19"),
        "sub-S09345_ses-E18065_run-1_bp-chest_vp-ap_dx": ("train", "sub-S09345", "COVID-19"),
        "sub-S09345_ses-E2_x": ("test", "sub-S09345", "COVID-19"),
    }
    assert same(masks_of(data, records, "pneumonia"), expected)
    assert by_name(find_images(first), "layout", "part") == {"covid_1": ("qata", "")}
    (first / "Ground-truths" / "mask_covid_1.png").rename(first / "Ground-truths" / "mask_2.png")
    (alone, stray) = problems(first)
    assert "covid_1.png has no mask" in alone and "mask_2.png is the mask of no" in stray


# === COVID-QU-Ex ===


def covid_qu_ex(root, infection=("COVID-19",)):
    """Both parts of the release in its doubled folders; one image a part and class."""
    given = {"lung": {}, "pneumonia": {}}
    for kind in ("Infection", "Lung"):
        top = root / f"{kind} Segmentation Data" / f"{kind} Segmentation Data"
        for part in ("Train", "Val", "Test"):
            for group in ("COVID-19", "Non-COVID", "Normal"):
                name, folder = f"{kind}_{part}_{group}".lower(), top / part / group
                add_image(folder / "images" / f"{name}.png")
                given["lung"][name] = add_mask(folder / "lung masks" / f"{name}.png", 1)
                if kind == "Infection" and group in infection:
                    path = folder / "infection masks" / f"{name}.png"
                    given["pneumonia"][name] = add_mask(path, 2)
    return given


def test_covid_qu_ex_infection(data):
    given = covid_qu_ex(data)
    records = find_images(data, target="pneumonia")
    assert by_name(records, "part", "group") == {
        "infection_train_covid-19": ("train", "covid-19"),
        "infection_val_covid-19": ("validation", "covid-19"),
        "infection_test_covid-19": ("test", "covid-19"),
    }
    assert same(masks_of(data, records, "pneumonia"), given["pneumonia"])
    for row in written(data, records, "pneumonia").index.itertuples():
        infection, lung = given["pneumonia"][row.name], given["lung"][row.name]
        assert row.share_lung == pytest.approx(lung.mean(), abs=1e-6)
        assert row.target_share_in_lung == pytest.approx(infection[lung].mean(), abs=1e-6)
    next(data.rglob("infection_val_covid-19.png")).with_name("extra.png").touch()
    assert len(problems(data)) == 1


def test_covid_qu_ex_normals_only_on_request_and_other_pneumonia_never(data):
    covid_qu_ex(data)
    records = find_images(data, target="pneumonia", normals=True)
    assert sorted({record.group for record in records}) == ["covid-19", "normal"]
    masks = masks_of(data, records, "pneumonia")
    assert not masks["infection_train_normal"].any() and len(masks) == 6
    covid_qu_ex(data, infection=("COVID-19", "Non-COVID", "Normal"))
    assert len(find_images(data, target="pneumonia")) == 9


def test_covid_qu_ex_lungs(data):
    given = covid_qu_ex(data)
    expected = {name: mask for name, mask in given["lung"].items() if name.startswith("lung")}
    assert same(masks_of(data, find_images(data, target="lung"), "lung"), expected)
    shutil.rmtree(data / "Lung Segmentation Data")
    names = [record.name for record in find_images(data, target="lung")]
    assert len(names) == 9 and all(name.startswith("infection_") for name in names)


# === Lungs of other sets ===


def test_covid_radiography_masks_are_smaller_and_in_three_channels(data):
    for group in ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia"):
        add_image(data / group / "images" / f"{group}-1.png", (6, 6))
        small = np.zeros((2, 2, 3), np.uint8)
        small[0, 0] = 255
        write_png(data / group / "masks" / f"{group}-1.png", small)
    records = find_images(data)
    assert [r.group for r in records] == ["covid", "lung_opacity", "normal", "viral pneumonia"]
    expected = np.zeros((6, 6), bool)
    expected[:3, :3] = True
    assert all(np.array_equal(m, expected) for m in masks_of(data, records, "lung").values())


def test_montgomery_and_shenzhen(data):
    root = data / "Lung Segmentation"
    put(root, *(f"CXR_png/{n}.png" for n in ("CHNCXR_0001_0", "CHNCXR_0002_1", "MCUCXR_0001_0")))
    expected = {
        "CHNCXR_0001_0": add_mask(root / "masks" / "CHNCXR_0001_0_mask.png", 1),
        "MCUCXR_0001_0": add_mask(root / "masks" / "MCUCXR_0001_0.png", 2),
    }
    records = find_images(data)
    assert by_name(records, "group") == dict.fromkeys(expected, ("normal",))
    assert same(masks_of(data, records, "lung"), expected)
    put(data / "set", "CXR_png/MCUCXR_0104_1.png")
    left, right = (
        add_mask(data / "set" / "ManualMask" / f"{side}Mask" / "MCUCXR_0104_1.png", seed)
        for seed, side in enumerate(("left", "right"))
    )
    records = find_images(data / "set")
    assert records[0].group == "tuberculosis"
    assert same(masks_of(data / "set", records, "lung"), {"MCUCXR_0104_1": left | right})


# === Plain folders ===


@pytest.mark.parametrize("form", ["{}.png", "mask_{}.png", "{}_mask.png", "{}.bmp"])
def test_folders_match_by_stem(data, form):
    put(data, "images/a b.jpg", "images/ü.png")
    expected = {}
    for seed, name in enumerate(("a b", "ü")):
        expected[name] = add_mask(data / "masks" / form.format(name), seed)
    before = {path: path.read_bytes() for path in data.rglob("*.*")}
    assert same(masks_of(data, find_images(data), "pneumonia"), expected)
    assert {path: path.read_bytes() for path in data.rglob("*.*")} == before


def test_folders_name_what_has_no_counterpart(data):
    put(data, "images/a.png", "images/b.png")
    for name in ("a.png", "a.bmp", "a.bmp.png", "c.png"):  # two masks have one stem
        add_mask(data / "masks" / name)
    alone, *strays = problems(data)
    assert "b.png has no mask" in alone and "b_mask" in alone
    assert len(strays) == 3 and all("mask of no image" in stray for stray in strays)
    with pytest.raises(StudyError, match=r"b\.png has no mask.*\(and 3 more"):
        masks_of(data, find_images(data), "pneumonia")
    made = masks_of(data, find_images(data), "pneumonia", skip_bad=True)
    assert list(made) == ["images__a"]  # since masks have that stem as well


def test_folders_know_normals_from_the_index(data):
    put(data, "images/a.png", "images/b.png")
    add_mask(data / "masks" / "a.png")
    (data / "index.csv").write_text(
        "image,patient_id,class,licence\nimages/a.png,7,virus,CC0\nimages/b.png,8,normal,CC0\n"
    )
    records = find_images(data, normals=True)
    assert by_name(records, "patient", "group", "licence") == {
        "a": ("7", "virus", "CC0"),
        "b": ("8", "normal", "CC0"),
    }
    assert not masks_of(data, records, "pneumonia")["b"].any()


def test_masks_show_what_the_target_says_and_lungs_the_lungs(data):
    put(data, "images/a.png")
    mask = add_mask(data / "masks" / "a.png", 1)
    for target in ("lung", "pneumonia", "effusion"):
        assert same(masks_of(data, find_images(data, target=target), target), {"a": mask})
    assert np.isnan(written(data, find_images(data), "pneumonia").index["share_lung"]).all()
    lungs = add_mask(data / "lungs" / "a.png", 2)
    assert same(masks_of(data, find_images(data, target="lung"), "lung"), {"a": lungs})
    with pytest.raises(StudyError, match="pneumonia, lung, not effusion"):
        find_images(data, target="effusion")


# === Real images ===


@pytest.mark.parametrize(
    ("layout", "target", "given", "least"),
    [
        ("auto", "pneumonia", "masks", 0.97),
        ("folders", "pneumonia", "masks", 1.0),
        ("folders", "lung", "lungs", 1.0),
    ],
)
def test_real_opacities(real_data, tmp_path, layout, target, given, least):
    data = real_data / "covid_opacities"
    records = find_images(data, layout, target)
    assert {r.layout for r in records} == {"labelme" if layout == "auto" else layout}
    listed = pd.read_csv(data / "index.csv", dtype=str)
    assert {record.image.name for record in records} == {path[7:] for path in listed["image"]}
    known = listed["patient_id"].dropna()
    assert len({record.patient for record in records}) == known.nunique() + 70 - len(known)
    groups = pd.Series([record.group for record in records]).value_counts().to_dict()
    assert groups == listed["finding"].value_counts().to_dict()
    overlaps = []
    for record in records:
        expected = read_mask(data / given / f"{record.name}.png")
        mask = record.reference.label_masks(record.image, [target], expected.shape).masks[target]
        assert mask.any() == expected.any()
        overlaps += [(mask & expected).sum() / (mask | expected).sum()] if mask.any() else []
    assert len(overlaps) == (65 if target == "pneumonia" else 70)
    assert np.mean(overlaps) >= least


def test_real_lungs_are_all_found_with_patients_classes_and_parts(real_data):
    data = real_data / "kermany_lungs"
    records = find_images(data)
    listed = pd.read_csv(data / "index.csv", dtype=str)
    by_path = {record.image.relative_to(data).as_posix(): record for record in records}
    assert by_path.keys() == set(listed["image"]) and len(by_path) == 4551
    for row in listed.itertuples():
        record = by_path[row.image]
        assert record.reference.files == (data / row.mask,) and not record.problem
        assert (record.group, record.part) == (row.subtype, row.release_split)
    patients = listed.groupby(["subtype", "patient_number"]).ngroups
    assert len({record.patient for record in records}) == patients
    for record in records[::200]:
        expected = read_mask(data / "lung_masks" / f"{record.image.stem}.png")
        found = record.reference.label_masks(record.image, ["lung"], expected.shape)
        assert np.array_equal(found.masks["lung"], expected)
