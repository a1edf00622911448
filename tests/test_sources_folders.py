"""Plain folders of films and masks: who is matched, what is refused, what is left alone."""

import numpy as np
import pytest
from PIL import Image
from small_trees import SIZE, film, mask, painted

from pneumo_keras.dataset.films import read_mask, write_png
from pneumo_keras.dataset.masks import write_masks
from pneumo_keras.dataset.sources import find_films
from pneumo_keras.errors import StudyError


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.mark.parametrize("form", ["{}.png", "mask_{}.png", "{}_mask.png", "{}.bmp"])
def test_folders_match_by_stem(data, form):
    film(data / "images" / "a b.jpg")
    film(data / "images" / "ü.png")
    given = {}
    for seed, name in enumerate(("a b", "ü")):
        path = data / "masks" / form.format(name)
        given[name] = np.random.default_rng(seed).random(SIZE) < 0.3
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(given[name].astype(np.uint8) * 255).save(path)
    before = {path: path.read_bytes() for path in data.rglob("*.*")}
    films = find_films(data, target="pneumonia")
    masks = painted(data, films, "pneumonia")
    assert all(np.array_equal(masks[name], given[name]) for name in given)
    assert {path: path.read_bytes() for path in data.rglob("*.*")} == before


def test_folders_fail_loudly_on_what_is_unmatched(data):
    for name in ("a", "b"):
        film(data / "images" / f"{name}.png")
    mask(data / "masks" / "a.png")
    mask(data / "masks" / "c.png")
    problems = [film.problem for film in find_films(data) if film.problem]
    assert "b.png has no mask in" in problems[0] and "b_mask.png" in problems[0]
    assert "c.png is the mask of no film" in problems[1]
    with pytest.raises(StudyError, match=r"b\.png has no mask.*\(and 1 more film\)"):
        painted(data, find_films(data), "pneumonia")
    assert list(painted(data, find_films(data), "pneumonia", skip_bad=True)) == ["a"]


def test_two_masks_of_one_stem_are_not_chosen_among(data):
    film(data / "images" / "a.png")
    mask(data / "masks" / "a.bmp.png")  # another stem
    mask(data / "masks" / "a.png")
    mask(data / "masks" / "a.tif.png")
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(data / "masks" / "a.bmp")
    assert sum("mask of no film" in film.problem for film in find_films(data)) == 3


def test_folders_know_patients_groups_licences_and_normals_from_the_index(data):
    for name in ("a", "b"):
        film(data / "images" / f"{name}.png")
    mask(data / "masks" / "a.png")
    (data / "index.csv").write_text(
        "image,patient_id,class,licence\nimages/a.png,7,virus,CC0\nimages/b.png,8,normal,CC0\n"
    )
    films = find_films(data, normals=True)
    assert [(f.patient, f.group, f.licence) for f in films] == [
        ("7", "virus", "CC0"),
        ("8", "normal", "CC0"),
    ]
    assert not painted(data, films, "pneumonia")["b"].any()


def test_masks_show_what_the_target_says_and_lungs_the_lungs(data):
    film(data / "images" / "a.png")
    shown = mask(data / "masks" / "a.png", 1)
    for target in ("lung", "pneumonia", "effusion"):
        films = find_films(data, target=target)
        assert np.array_equal(painted(data, films, target, folder=target)["a"], shown)
    lungs = mask(data / "lungs" / "a.png", 2)
    made = painted(data, find_films(data, target="lung"), "lung", folder="lungs")
    assert np.array_equal(made["a"], lungs)
    with pytest.raises(StudyError, match="outlines pneumonia, lung, not effusion"):
        find_films(data, target="effusion")


def test_lungs_that_nobody_outlined_have_no_share_and_no_note(data):
    film(data / "images" / "a.png")
    mask(data / "masks" / "a.png")
    out = data.parent / "out"
    films = find_films(data)
    report = write_masks(films, out, "pneumonia", ["lung"], data=data, progress=False)
    assert np.isnan(report.index["share_lung"]).all() and report.notes == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros((16, 12), np.uint8), r"mask of 12×16 pixels, but .*a\.png has 16×12"),
        (np.arange(192, dtype=np.uint8).reshape(SIZE), "several values besides 0"),
        (np.eye(12, 16)[..., None] * [255, 0, 0] + np.eye(12, 16, 1)[..., None] * [0, 255, 0],
         "in colour, no mask"),
        (None, "damaged or no"),
    ],
)  # fmt: skip
def test_unsound_masks_are_refused_by_name(data, content, message):
    film(data / "images" / "a.png")
    path = data / "masks" / "a.png"
    path.parent.mkdir()
    if content is None:
        path.write_text("no mask")
    else:
        write_png(path, content.astype(np.uint8))
    with pytest.raises(StudyError, match=message) as error:
        painted(data, find_films(data), "pneumonia")
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_only_what_changed_is_painted_again(data):
    for name in ("a", "b"):
        film(data / "images" / f"{name}.png")
        mask(data / "masks" / f"{name}.png")
    out = data.parent / "out"

    def run():
        films = find_films(data)
        return write_masks(films, out, "pneumonia", [], data=data, progress=False)

    assert run().painted == 2 and run().painted == 0
    changed = mask(data / "masks" / "b.png", 5)
    assert run().painted == 1
    assert np.array_equal(read_mask(out / "b.png"), changed)


def test_masks_given_are_never_written_over(data):
    film(data / "images" / "a.png")
    mask(data / "masks" / "a.png")
    mask(data / "lungs" / "a.png")
    films = find_films(data)
    for folder in ("masks", "lungs"):
        with pytest.raises(StudyError, match="holds films or annotations"):
            write_masks(films, data / folder, "pneumonia", [], data=data, progress=False)
