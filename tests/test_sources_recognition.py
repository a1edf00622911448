"""Which source a folder is recognised as, and the real films through three adapters."""

import numpy as np
import pandas as pd
import pytest

from pneumo_keras.dataset.films import read_mask, write_png
from pneumo_keras.dataset.labelme import write_annotation
from pneumo_keras.dataset.masks import write_masks
from pneumo_keras.dataset.sources import SOURCES, find_films, recognition_line
from pneumo_keras.dataset.splits import crossing_patients, split_films
from pneumo_keras.errors import StudyError

FILM = np.zeros((9, 9), np.uint8)
COCO = '{"images": [], "annotations": [], "categories": []}'


def put(data, *paths):
    for path in paths:
        write_png(data / path, FILM)


def sources(data, **options):
    return {film.source for film in find_films(data, **options)}


def test_an_empty_folder_names_every_source(tmp_path):
    put(tmp_path, "a.png", "images/b.png")
    with pytest.raises(StudyError, match="holds 2 films, but no annotation") as error:
        find_films(tmp_path)
    assert all(name in str(error.value) for name in SOURCES)
    assert "--source NAME" in str(error.value) and "\n" not in str(error.value)


def test_two_sources_are_not_chosen_among(tmp_path):
    put(tmp_path, "chest_xray/train/NORMAL/IM-0001-0001.jpeg", "lung_masks/IM-0001-0001.png")
    assert sources(tmp_path) == {"kermany_lungs"}
    annotation = tmp_path / "IM-0001-0001.json"
    write_annotation(annotation, "chest_xray/train/NORMAL/IM-0001-0001.jpeg", [], 9, 9)
    with pytest.raises(StudyError, match=r"\(labelme, kermany_lungs\): choose one with --source"):
        find_films(tmp_path)
    assert sources(tmp_path, source="labelme") == {"labelme"}
    assert sources(tmp_path, source="kermany_lungs") == {"kermany_lungs"}


def test_labelme_files_beside_plain_folders_win_as_ever(tmp_path):
    put(tmp_path, "images/a.png", "masks/a.png")
    assert sources(tmp_path) == {"folders"}
    write_annotation(tmp_path / "annotations" / "a.json", "../images/a.png", [], 9, 9)
    assert sources(tmp_path) == {"labelme"}
    assert sources(tmp_path, source="folders") == {"folders"}


def test_masks_and_coco_are_two_sources(tmp_path):
    put(tmp_path, "images/a.png", "masks/a.png")
    (tmp_path / "coco.json").write_text(COCO)
    with pytest.raises(StudyError, match=r"\(coco, folders\)"):
        find_films(tmp_path)


def test_two_pairs_of_folders_are_no_plain_folders(tmp_path):
    put(tmp_path, "one/images/a.png", "one/masks/a.png", "two/images/a.png", "two/masks/a.png")
    with pytest.raises(StudyError, match="none of the known layouts"):
        find_films(tmp_path)


@pytest.mark.parametrize("source", ["qata", "coco", "general_blockchain"])
def test_a_source_that_is_not_there_is_refused(tmp_path, source):
    put(tmp_path, "images/a.png", "masks/a.png")
    with pytest.raises(StudyError, match=f"not laid out as {source}, which has "):
        find_films(tmp_path, source)


def test_an_unknown_source_names_all(tmp_path):
    with pytest.raises(StudyError, match="no source 'kaggle': choose auto or one of labelme, "):
        find_films(tmp_path, "kaggle")


def test_normals_are_refused_where_there_are_none(tmp_path):
    put(tmp_path, "chest_xray/train/NORMAL/IM-0001-0001.jpeg", "lung_masks/IM-0001-0001.png")
    with pytest.raises(StudyError, match="kermany_lungs has no normal films without annotation"):
        find_films(tmp_path, normals=True)


def test_masks_written_by_a_run_are_not_taken_for_a_source(tmp_path):
    put(tmp_path, "images/a.png")
    write_png(tmp_path / "masks" / "a.png", np.ones((9, 9), bool))
    films = find_films(tmp_path)
    write_masks(films, tmp_path / "made", "pneumonia", [], data=tmp_path, progress=False)
    assert len(find_films(tmp_path)) == 1


def test_the_line_says_source_films_licence_and_what_cannot_be_used(tmp_path):
    put(tmp_path, "images/a.png", "images/b.png", "images/c.png", "masks/a.png", "masks/b.png")
    (tmp_path / "index.csv").write_text("image,license\nimages/a.png,CC0\n")
    assert recognition_line(find_films(tmp_path)) == (
        "recognised as folders: 2 films and 1 that cannot be used, licences CC0 (1), not stated (1)"
    )
    put(tmp_path / "q", "Images/covid_1.png", "Ground-truths/mask_covid_1.png")
    assert recognition_line(find_films(tmp_path / "q")) == (
        "recognised as qata: 1 film, licence not stated "
        "(see https://www.kaggle.com/datasets/aysendegerli/qatacov19-dataset)"
    )


# === The real films ===


def iou(one, other):
    union = (one | other).sum()
    return (one & other).sum() / union if union else 1.0


def made(data, folder, films, target):
    report = write_masks(films, folder, target, ["pneumonia", "lung"], data=data, progress=False)
    return report.index.set_index("name")


@pytest.mark.parametrize(
    ("source", "target", "given", "least"),
    [
        ("auto", "pneumonia", "masks", 0.97),
        ("folders", "pneumonia", "masks", 1.0),
        ("folders", "lung", "lungs", 1.0),
    ],
)
def test_real_opacities(real_data, tmp_path, source, target, given, least):
    data = real_data / "covid_opacities"
    films = find_films(data, source, target)
    assert {film.source for film in films} == {"labelme" if source == "auto" else source}
    listed = pd.read_csv(data / "index.csv", dtype=str)
    assert {film.film.name for film in films} == {path[7:] for path in listed["image"]}
    known = listed.dropna(subset="patient_id")
    assert len({film.patient for film in films}) == (
        known["patient_id"].nunique() + len(listed) - len(known)
    )
    groups = pd.Series([film.group for film in films]).value_counts().to_dict()
    assert groups == listed["finding"].value_counts().to_dict()
    index = made(data, tmp_path / "out", films, target)
    masks = {name: read_mask(tmp_path / "out" / file) for name, file in index["mask"].items()}
    agreement = [iou(mask, read_mask(data / given / f"{name}.png")) for name, mask in masks.items()]
    assert len(agreement) == 70 and np.mean(agreement) >= least
    if target == "pneumonia":
        assert (index["target_share"] == 0).sum() == 5
        assert index["target_share_in_lung"].notna().all()


@pytest.fixture(scope="module")
def kermany():
    from conftest import SHARED

    data = SHARED / "data" / "kermany_lungs"
    if not data.is_dir():
        pytest.skip("no real films beside this checkout (../shared/data)")
    return data, find_films(data), pd.read_csv(data / "index.csv", dtype=str)


def test_real_lungs_are_all_found_with_patients_classes_and_parts(kermany):
    data, films, listed = kermany
    found = {film.film.relative_to(data).as_posix(): film for film in films}
    assert found.keys() == set(listed["image"]) and len(found) == 4551
    assert not any(film.problem for film in films)
    for row in listed.itertuples():
        film = found[row.image]
        assert film.truth.files == (data / row.mask,)
        assert (film.group, film.part) == (row.subtype, row.release_split)
    patients = listed.groupby(["subtype", "patient_number"]).ngroups
    assert len({film.patient for film in films}) == patients


def test_real_lungs_are_identical_to_those_given(kermany, tmp_path):
    data, films, _ = kermany
    some = [films[number] for number in np.random.default_rng(0).choice(len(films), 40, False)]
    index = made(data, tmp_path / "out", some, "lung")
    for film in some:
        given = read_mask(data / "lung_masks" / f"{film.film.stem}.png")
        assert np.array_equal(read_mask(tmp_path / "out" / index.loc[film.name, "mask"]), given)


def test_real_splits_keep_patients_together_and_spread_the_classes(kermany):
    _, films, _ = kermany
    index = pd.DataFrame(
        [(f.name, f.patient, f.group, f.part, 0.3) for f in films],
        columns=["name", "patient", "group", "part", "target_share"],
    )
    index = index[::3].reset_index(drop=True)  # for speed
    split = split_films(index, "patient")
    assert crossing_patients(split, index).empty
    assert split.eq("test").mean() == pytest.approx(0.25, abs=0.01)
    groups = index.set_index("name")["group"]
    for part in ("train", "validation", "test"):
        shares = groups[split[split == part].index].value_counts(normalize=True)
        assert (shares - groups.value_counts(normalize=True)).abs().max() < 0.02
    official = split_films(index, "official")  # a warning would be an error here
    tested = index.loc[index["part"] == "test", "name"]
    assert set(official[official == "test"].index) == set(tested)
