"""Every documented layout: small trees, who is found in them, and masks identical to those given."""

import shutil

import numpy as np
import pytest
from small_trees import SIZE, film, mask, painted

from pneumo_keras.dataset.films import read_mask, write_png
from pneumo_keras.dataset.labelme import Shape, write_annotation
from pneumo_keras.dataset.masks import write_masks
from pneumo_keras.dataset.sources import find_films
from pneumo_keras.errors import StudyError

SQUARE = Shape("pneumonia", "rectangle", np.array([[2.0, 2.0], [7.0, 7.0]]))


def by_name(films):
    return {film.name: film for film in films}


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


# === Kermany, annotated with LabelMe ===


def kermany(root, parts=("train", "val", "test")):
    for part in parts:
        film(root / part / "PNEUMONIA" / f"person{len(part)}_virus_1.jpeg")
        film(root / part / "NORMAL" / f"IM-{len(part):04}-0001.jpeg")
    return root


@pytest.mark.parametrize("parts", [("train", "val", "test"), ("train", "test")])
@pytest.mark.parametrize("nested", ["", "chest_xray"])
@pytest.mark.parametrize("beside", [True, False])
def test_kermany_in_every_form(data, parts, nested, beside):
    root = kermany(data / "chest_xray", parts)
    if nested:
        shutil.copytree(root, data / "copy")
        (data / "copy").rename(root / nested)
    folder = root / "train" / "PNEUMONIA" if beside else data / "annotations"
    write_annotation(folder / "person5_virus_1.json", "person5_virus_1.jpeg", [SQUARE], *SIZE)
    (found,) = find_films(data)
    assert found.film == root / "train" / "PNEUMONIA" / "person5_virus_1.jpeg"
    assert (found.patient, found.group, found.part) == ("virus:5", "virus", "train")
    films = by_name(find_films(data, normals=True))
    parts_of_normals = {f"IM-{len(p):04}-0001": "test" if p == "test" else "train" for p in parts}
    assert {name: f.part for name, f in films.items() if f.group == "normal"} == parts_of_normals
    assert len(films) == len(parts_of_normals) + 1
    masks = painted(data, list(films.values()), "pneumonia")
    assert masks["person5_virus_1"].sum() == 36
    assert not any(masks[name].any() for name in parts_of_normals)


def test_masks_in_the_tree_are_no_normal_films(data):
    root = kermany(data / "chest_xray")
    write_annotation(data / "a.json", "person5_virus_1.jpeg", [SQUARE], *SIZE)
    mask(data / "lung_masks" / "IM-0099-0001.png")
    mask(data / "normal" / "masks" / "a.png")
    films = find_films(data, "labelme", normals=True)
    assert len(films) == 4 and all(film.film.is_relative_to(root) for film in films)


def test_an_annotated_normal_film_is_no_empty_one(data):
    kermany(data / "chest_xray")
    write_annotation(data / "IM-0005-0001.json", "IM-0005-0001.jpeg", [SQUARE], *SIZE)
    films = find_films(data, normals=True)
    assert painted(data, films, "pneumonia")["IM-0005-0001"].sum() == 36


def test_normal_films_are_no_empty_masks_of_lungs(data):
    kermany(data / "chest_xray")
    write_annotation(data / "a.json", "IM-0005-0001.jpeg", [SQUARE], *SIZE)
    with pytest.raises(StudyError, match="normal films show lungs"):
        find_films(data, target="lung", normals=True)


def test_kermany_without_annotation_says_what_to_do(data):
    kermany(data / "chest_xray")
    with pytest.raises(
        StudyError, match=r"6 films of the Kermany set, but no annotation.*annotate"
    ):
        find_films(data)


# === Kermany with lung masks ===


def test_kermany_lungs(data):
    kermany(data / "chest_xray")
    given = {
        name: mask(data / "lung_masks" / f"{name}.png", seed)
        for seed, name in enumerate(("person5_virus_1", "IM-0004-0001", "person3_virus_1"))
    }
    films = find_films(data)
    assert {film.source for film in films} == {"kermany_lungs"}
    parts = {film.name: (film.part, film.patient) for film in films}
    assert parts == {
        "person5_virus_1": ("train", "virus:5"),
        "IM-0004-0001": ("test", "im:4"),
        "person3_virus_1": ("train", "virus:3"),  # of val, which is too small
    }
    masks = painted(data, films, "lung")
    assert all(np.array_equal(masks[name], given[name]) for name in given)
    mask(data / "lung_masks" / "person77_virus_1.png")
    (stray,) = [film for film in find_films(data) if film.problem]
    assert "person77_virus_1.png is the mask of no film" in stray.problem


# === QaTa-COV19 ===


def qata(root):
    given = {}
    names = ("covid_1", "sub-S09345_ses-E18065_run-1_bp-chest_vp-ap_dx", "sub-S09345_ses-E2_x")
    for part, name in zip(("Train Set", "Train Set", "Test Set"), names, strict=True):
        film(root / part / "Images" / f"{name}.png")
        given[name] = mask(root / part / "Ground-truths" / f"mask_{name}.png", len(name))
    return given


def test_qata_version_2_is_taken_where_both_are(data):
    given = qata(data / "QaTa-COV19" / "QaTa-COV19-v2")
    film(data / "QaTa-COV19" / "QaTa-COV19-v1" / "Images" / "covid_1.png")
    mask(data / "QaTa-COV19" / "QaTa-COV19-v1" / "Ground-truths" / "mask_covid_1.png")
    film(data / "QaTa-COV19" / "Control_Group" / "normal.png")
    films = by_name(find_films(data, target="pneumonia"))
    assert {name: (f.part, f.patient) for name, f in films.items()} == {
        "covid_1": ("train", "covid_1"),
        "sub-S09345_ses-E18065_run-1_bp-chest_vp-ap_dx": ("train", "sub-S09345"),
        "sub-S09345_ses-E2_x": ("test", "sub-S09345"),
    }
    masks = painted(data, list(films.values()), "pneumonia")
    assert all(np.array_equal(masks[name], given[name]) for name in given)


def test_qata_version_1(data):
    film(data / "QaTa-COV19-v1" / "Images" / "covid_1.png")
    mask(data / "QaTa-COV19-v1" / "Ground-truths" / "mask_covid_1.png")
    (found,) = find_films(data)
    assert (found.source, found.part, found.group) == ("qata", "", "COVID-19")


def test_qata_brings_masks_to_the_size_of_the_film_by_nearest_pixel(data):
    film(data / "Images" / "a.png", (4, 4))
    write_png(data / "Ground-truths" / "mask_a.png", np.eye(2, dtype=bool))
    made = painted(data, find_films(data), "pneumonia")["a"]
    assert made.astype(int).tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]


def test_qata_names_films_without_mask_and_masks_without_film(data):
    qata(data)
    (data / "Train Set" / "Ground-truths" / "mask_covid_1.png").rename(
        data / "Train Set" / "Ground-truths" / "mask_covid_2.png"
    )
    problems = sorted(film.problem for film in find_films(data) if film.problem)
    assert len(problems) == 2
    assert "mask_covid_2.png is the mask of no film" in problems[0]
    assert "covid_1.png has no mask mask_covid_1.png" in problems[1]


# === COVID-QU-Ex ===


def covid_qu_ex(root, infection=("COVID-19",)):
    """Both parts of the release in its doubled folders; one film a part and class."""
    given = {}
    for kind in ("Infection", "Lung"):
        top = root / f"{kind} Segmentation Data" / f"{kind} Segmentation Data"
        for part in ("Train", "Val", "Test"):
            for group in ("COVID-19", "Non-COVID", "Normal"):
                name = f"{kind}_{part}_{group}".lower()
                film(top / part / group / "images" / f"{name}.png")
                given[name, "lung"] = mask(top / part / group / "lung masks" / f"{name}.png", 1)
                if kind == "Infection" and group in infection:
                    path = top / part / group / "infection masks" / f"{name}.png"
                    given[name, "pneumonia"] = mask(path, 2)
    return given


def test_covid_qu_ex_infection(data):
    given = covid_qu_ex(data)
    films = by_name(find_films(data, target="pneumonia"))
    assert {name: (f.part, f.group) for name, f in films.items()} == {
        "infection_train_covid-19": ("train", "covid-19"),
        "infection_val_covid-19": ("validation", "covid-19"),
        "infection_test_covid-19": ("test", "covid-19"),
    }
    out = data.parent / "out"
    films = list(films.values())
    report = write_masks(films, out, "pneumonia", ["lung"], data=data, progress=False)
    for row in report.index.itertuples():
        infection, lung = given[row.name, "pneumonia"], given[row.name, "lung"]
        assert np.array_equal(read_mask(out / row.mask), infection)
        assert row.share_lung == pytest.approx(lung.mean(), abs=1e-6)
        assert row.target_share_in_lung == pytest.approx(infection[lung].mean(), abs=1e-6)


def test_covid_qu_ex_normals_only_on_request_and_other_pneumonia_never(data):
    covid_qu_ex(data)
    films = find_films(data, target="pneumonia", normals=True)
    assert sorted({film.group for film in films}) == ["covid-19", "normal"]
    masks = painted(data, films, "pneumonia")
    assert not masks["infection_train_normal"].any() and len(masks) == 6


def test_covid_qu_ex_infection_masks_of_other_classes_are_read_where_there_are_any(data):
    covid_qu_ex(data, infection=("COVID-19", "Non-COVID", "Normal"))
    assert len(find_films(data, target="pneumonia")) == 9


def test_covid_qu_ex_lungs(data):
    given = covid_qu_ex(data)
    films = find_films(data, target="lung")
    assert len(films) == 9 and all(film.name.startswith("lung_") for film in films)
    masks = painted(data, films, "lung")
    assert all(np.array_equal(made, given[name, "lung"]) for name, made in masks.items())
    shutil.rmtree(data / "Lung Segmentation Data")
    films = find_films(data, target="lung")
    assert len(films) == 9 and all(film.name.startswith("infection_") for film in films)


# === Lungs of other sets ===


def test_covid_radiography_masks_are_smaller_and_in_three_channels(data):
    for group in ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia"):
        film(data / group / "images" / f"{group}-1.png", (6, 6))
        small = np.zeros((2, 2, 3), np.uint8)
        small[0, 0] = 255
        write_png(data / group / "masks" / f"{group}-1.png", small)
    films = find_films(data)
    assert [film.group for film in films] == ["covid", "lung_opacity", "normal", "viral pneumonia"]
    expected = np.zeros((6, 6), bool)
    expected[:3, :3] = True
    assert all(np.array_equal(made, expected) for made in painted(data, films, "lung").values())


def test_montgomery_and_shenzhen(data):
    root = data / "Lung Segmentation"
    for name in ("CHNCXR_0001_0", "CHNCXR_0002_1", "MCUCXR_0001_0"):
        film(root / "CXR_png" / f"{name}.png")
    given = {
        "CHNCXR_0001_0": mask(root / "masks" / "CHNCXR_0001_0_mask.png", 1),
        "MCUCXR_0001_0": mask(root / "masks" / "MCUCXR_0001_0.png", 2),
    }
    films = find_films(data)
    assert {film.name: film.group for film in films} == dict.fromkeys(given, "normal")
    masks = painted(data, films, "lung")
    assert all(np.array_equal(masks[name], given[name]) for name in given)


def test_montgomery_unites_both_lungs(data):
    root = data / "MontgomerySet"
    film(root / "CXR_png" / "MCUCXR_0104_1.png")
    left = mask(root / "ManualMask" / "leftMask" / "MCUCXR_0104_1.png", 1)
    right = mask(root / "ManualMask" / "rightMask" / "MCUCXR_0104_1.png", 2)
    (found,) = films = find_films(data)
    assert found.group == "tuberculosis"
    assert np.array_equal(painted(data, films, "lung")["MCUCXR_0104_1"], left | right)
