"""Which films a data folder holds, and of whom."""

import base64
import os
import shutil

import numpy as np
import pytest

from pneumo_keras.dataset.films import write_png
from pneumo_keras.dataset.labelme import read_annotation, write_annotation
from pneumo_keras.dataset.patients import patient_from_name
from pneumo_keras.dataset.sources import film_of, find_films
from pneumo_keras.errors import StudyError

FILM = np.zeros((9, 9), np.uint8)


def add(data, film, annotation=None, image_path=None):
    """A film and its annotation; the annotation lies beside the film unless told otherwise."""
    path = data / film
    write_png(path, FILM)
    path_json = data / annotation if annotation else path.with_suffix(".json")
    image_path = image_path or os.path.relpath(path, path_json.parent)
    write_annotation(path_json, image_path, [], 9, 9)
    return path_json


def embed(path, film):
    text = path.read_text().replace(
        '"imageData": null', f'"imageData": "{base64.b64encode(film.read_bytes()).decode()}"'
    )
    path.write_text(text)


def found(data):
    return [film.film.relative_to(data).as_posix() for film in find_films(data)]


@pytest.mark.parametrize(
    "image_path",
    [
        "../images/a.png",
        "..\\images\\a.png",
        "C:\\Users\\me\\study\\a.png",
        "/home/someone/a.png",
        "a.png",
        "\\\\server\\share\\a.png",
    ],
)
def test_film_is_found_however_its_path_is_written(tmp_path, image_path):
    add(tmp_path, "images/a.png", "ann/a.json", image_path)
    assert found(tmp_path) == ["images/a.png"]


def test_absolute_path_in_the_folder(tmp_path):
    add(tmp_path, "images/b.png", "ann/a.json", str(tmp_path / "images" / "b.png"))
    assert found(tmp_path) == ["images/b.png"]


@pytest.mark.parametrize("beside", ["named.png", "named.jpg", "a.PNG", "a.tif"])
def test_film_beside_the_annotation(tmp_path, beside):
    write_annotation(tmp_path / "a.json", "gone/named.png", [], 9, 9)
    write_png(tmp_path / beside, FILM)
    assert found(tmp_path) == [beside]


def test_path_written_comes_before_the_film_beside(tmp_path):
    add(tmp_path, "images/a.png", "ann/a.json")
    write_png(tmp_path / "ann" / "a.png", FILM)
    assert found(tmp_path) == ["images/a.png"]


def test_missing_film_says_what_to_do(tmp_path):
    path = add(tmp_path, "a.png")
    (tmp_path / "a.png").unlink()
    with pytest.raises(StudyError, match=r"a\.json names film 'a\.png', which is not there: copy"):
        film_of(read_annotation(path), tmp_path)
    assert "which is not there" in find_films(tmp_path)[0].problem


def test_two_candidates_are_no_film(tmp_path):
    write_annotation(tmp_path / "a.json", "gone/named.png", [], 9, 9)
    for grey, folder in enumerate(("one", "two")):
        write_png(tmp_path / folder / "named.png", FILM + grey)
    with pytest.raises(StudyError, match="2 files of that name lie elsewhere"):
        film_of(read_annotation(tmp_path / "a.json"), tmp_path)


@pytest.mark.parametrize("absolute", [False, True])
def test_film_outside_is_refused(tmp_path, absolute):
    data, outside = tmp_path / "data", tmp_path / "other" / "a.png"
    write_png(outside, FILM)
    write_annotation(data / "a.json", str(outside) if absolute else "../other/a.png", [], 9, 9)
    with pytest.raises(StudyError, match=r"outside .*data: copy the film beside .*or add --allow-"):
        film_of(read_annotation(data / "a.json"), data)
    (film,) = find_films(data, allow_outside=True)
    assert film.film.samefile(outside) and film.name == "a" and not film.problem
    shutil.copy(outside, data)
    assert found(data) == ["a.png"]


def test_folder_of_films_may_be_a_link(tmp_path):
    write_png(tmp_path / "disk" / "a.png", FILM)
    write_annotation(tmp_path / "data" / "ann" / "a.json", "../images/a.png", [], 9, 9)
    (tmp_path / "data" / "images").symlink_to(tmp_path / "disk")
    assert found(tmp_path / "data") == ["images/a.png"]


def test_embedded_film_stands_in_for_a_missing_one(tmp_path):
    path = add(tmp_path, "a.png")
    embed(path, tmp_path / "a.png")
    assert found(tmp_path) == ["a.png"]
    (tmp_path / "a.png").unlink()
    assert found(tmp_path) == ["a.json"]


def test_only_labelme_files_are_taken(tmp_path):
    add(tmp_path, "b/a.png")
    add(tmp_path, ".ipynb_checkpoints/c.png")
    add(tmp_path, "b/._a.png")
    (tmp_path / "phantoms.json").write_text('{"seed": 1}')
    (tmp_path / "coco.json").write_text('{"images": [], "annotations": []}')
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "notes.json").write_text("no json at all")
    assert found(tmp_path) == ["b/a.png"]


@pytest.mark.parametrize("content", ['{"shapes": [', ""])
def test_damaged_annotation_is_not_passed_over(tmp_path, content):
    add(tmp_path, "a.png").write_text(content)
    (film,) = find_films(tmp_path)
    assert "a.json is no sound JSON" in film.problem


def test_circular_links_end(tmp_path):
    add(tmp_path, "sub/a.png")
    (tmp_path / "sub" / "again").symlink_to(tmp_path)
    assert found(tmp_path) == ["sub/a.png"]


def test_no_folder_and_no_annotation(tmp_path):
    with pytest.raises(StudyError, match="none is not a folder"):
        find_films(tmp_path / "none")
    with pytest.raises(StudyError, match="python -m pneumo_keras annotate DIR"):
        find_films(tmp_path)


def test_two_annotations_of_one_film(tmp_path):
    add(tmp_path, "a.png")
    write_annotation(tmp_path / "ann" / "a.json", "../a.png", [], 9, 9)
    with pytest.raises(StudyError, match=r"a\.json and .*a\.json both annotate .*a\.png"):
        find_films(tmp_path)


def test_names_are_stems_unless_these_collide(tmp_path):
    for film in ("b/c.png", "x/a.png", "y/A.png"):
        add(tmp_path, film)
    assert [film.name for film in find_films(tmp_path)] == ["c", "x__a", "y__A"]
    add(tmp_path, "b/c.tif", "b/other.json")
    names = [film.name for film in find_films(tmp_path)]
    assert sorted(names) == ["b__c_png", "b__c_tif", "x__a", "y__A"]


@pytest.mark.parametrize(
    ("stem", "patient", "group"),
    [
        ("person447_virus_921_1", "virus:447", "virus"),
        ("person0017_bacteria_54", "bacteria:17", "bacteria"),
        ("PERSON17_BACTERIA_54", "bacteria:17", "bacteria"),
        ("IM-0017-0001", "im:17", "normal"),
        ("NORMAL2-IM-0017-0001-0002", "normal2:17", "normal"),
        ("person17_fungus_1", "", ""),
        ("my_person17_virus_1", "", ""),
        ("IM-17-1", "", ""),
    ],
)
def test_kermany_names(stem, patient, group):
    assert patient_from_name(stem) == (patient, group)


def test_kermany_names_cover_the_real_set(real_data):
    folder = real_data / "kermany_lungs" / "chest_xray"
    groups = {"NORMAL": ("normal",), "PNEUMONIA": ("bacteria", "virus")}
    paths = list(folder.rglob("*.jpeg"))
    assert len(paths) == 4551
    for path in paths:
        assert patient_from_name(path.stem)[1] in groups[path.parent.name], path


def who(data):
    return {film.name: (film.patient, film.group) for film in find_films(data)}


def test_patient_from_index_then_name_then_film_itself(tmp_path):
    for film in ("images/a.png", "images/b.png", "images/person3_virus_1.png", "images/d.png"):
        add(tmp_path, film)
    (tmp_path / "index.csv").write_text(
        "image,annotation,patient_id,finding\n"
        "images\\a.png,,007,SARS\n"
        ",images/b.json,,COVID-19\n"
        ",images/other.json,9,x\n",
        encoding="utf-8-sig",
    )
    assert who(tmp_path) == {
        "a": ("007", "SARS"),
        "b": ("b", "COVID-19"),
        "person3_virus_1": ("virus:3", "virus"),
        "d": ("d", "unknown"),
    }


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"image,patient\na.png,1\na.png,2\n", "lists a.png twice"),
        (b"image,patient\n\xff\xfe,1\n", "no sound CSV"),
        (b"image,patient\n" + b"a" * 200_000 + b",1\n", "no sound CSV"),
    ],
)
def test_bad_index_is_named(tmp_path, content, reason):
    add(tmp_path, "a.png")
    (tmp_path / "index.csv").write_bytes(content)
    with pytest.raises(StudyError, match=rf"index\.csv.*{reason}"):
        find_films(tmp_path)


def test_real_folder_with_index(real_data):
    films = find_films(real_data / "covid_opacities")
    assert len(films) == len({film.name for film in films}) == 70
    assert not any(film.problem for film in films)
    assert len({film.patient for film in films}) < 70
    assert {"COVID-19", "SARS", "Pneumocystis"} <= {film.group for film in films}


@pytest.mark.parametrize("version", ["v3.16.7", "v4.5.13", "v5.4.1", "v6.3.1", "v7.1.0"])
def test_real_paths_of_every_release(real_data, version):
    data = real_data / "labelme_versions" / version
    for path in sorted((data / "ann").glob("*.json")):
        film = film_of(read_annotation(path), data)
        expected = "exif6" if path.stem.startswith("exif6") else "person100_bacteria_475"
        assert film == data / "images" / f"{expected}.jpg"
    with pytest.raises(StudyError, match="both annotate"):
        find_films(data)
