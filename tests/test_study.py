"""Where a study is, and that two never mix."""

import json
from pathlib import Path

import pytest

from pneumo_keras.errors import StudyError
from pneumo_keras.study import begin_study, load_study, save_study


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A current folder, as that of the notebooks."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def begin(out, data="", target="pneumonia", recipe="quick", settings=None, **others):
    return begin_study(data, target, recipe, str(out), settings or {"phantoms": 1}, **others)


def test_what_is_saved_is_loaded_again(tmp_path):
    (tmp_path / "images").mkdir()
    study = begin(
        tmp_path / "out",
        data=str(tmp_path / "images"),
        settings={"atrous_rates": "3,6", "patience": "none"},
        layout="labelme",
        normals=True,
        resume=True,
        vary={"seed": [1, 2], "loss": ["binary_crossentropy"]},
    )
    save_study(study)
    assert load_study(str(tmp_path / "out")) == study
    assert study.recipe.atrous_rates == (3, 6) and study.vary["seed"] == ("1", "2")
    assert (study.layout, study.normals, study.title) == ("labelme", True, "images")
    assert not study.is_phantoms


def test_notebooks_find_the_study_that_was_begun_last(tmp_path):
    for name in ("first", "last"):
        study = begin(tmp_path / name)
        assert study.is_phantoms and not study.out.exists()  # nothing is written before
        save_study(study)
    assert load_study() == study


def test_resume_and_variations_make_no_other_study(tmp_path):
    save_study(begin(tmp_path / "out"))
    study = begin(tmp_path / "out", resume=True, vary={"seed": ["1", "2"]})
    save_study(study)
    assert load_study().resume and load_study().vary == {"seed": ("1", "2")}
    save_study(begin(tmp_path / "out"))
    assert not load_study().resume and not load_study().vary


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "out").write_text("a file")
    for out in (tmp_path / "out", tmp_path / "out" / "below"):
        with pytest.raises(StudyError, match="out.* cannot be written"):
            save_study(begin(out))
    assert (tmp_path / "out").read_text() == "a file" and not any(Path.cwd().iterdir())


def test_a_study_of_phantoms_can_be_moved(tmp_path):
    save_study(begin(tmp_path / "before"))
    (tmp_path / "before").rename(tmp_path / "after")
    study = load_study(str(tmp_path / "after"))
    assert study.data == tmp_path / "after" / "data" / "phantoms" and study.is_phantoms


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"target": "lung"}, "target"),
        ({"settings": {"phantoms": 1, "epochs": 3}}, "recipe"),
        ({"recipe": "tuned"}, "recipe"),
        ({"labels": "heart"}, "labels"),
        ({"layout": "coco"}, "layout"),
        ({"normals": True}, "normals"),
        ({"data": ".."}, "data"),
    ],
)
def test_another_study_in_the_same_folder_is_refused(tmp_path, change, named):
    save_study(begin(tmp_path / "out"))
    with pytest.raises(StudyError, match=rf"other .*{named}.*--out"):
        begin(tmp_path / "out", **change)


def test_captions_name_data_target_and_changed_recipe_and_labels_are_made_alike(tmp_path):
    study = begin(tmp_path, target=" Pneumonia ", labels="Lung,, pneumonia", settings={"epochs": 3})
    assert study.caption() == "phantoms, target pneumonia, recipe quick (epochs=3)"
    assert study.labels == ("pneumonia", "lung")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data": "no/such/folder"}, "no/such/folder: no such folder"),
        ({"recipe": "fast"}, "no recipe 'fast'"),
        ({"settings": {"epoch": 1}}, "did you mean epochs"),
        ({"settings": {"size": 100}}, "multiples of 32"),
        ({"target": " "}, "target is empty"),
        ({"vary": {"epoch": ["1"]}}, "did you mean epochs"),
    ],
)
def test_bad_input_is_refused_and_nothing_written(tmp_path, arguments, message):
    with pytest.raises(StudyError, match=message):
        begin(tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_a_study_that_was_not_begun_or_is_damaged_is_named(tmp_path):
    for out in ("", str(tmp_path)):
        with pytest.raises(StudyError, match="run notebook 01 first"):
            load_study(out)
    (tmp_path / "data").mkdir()
    for content in ("", "[]", "{", json.dumps({"data": ""})):
        (tmp_path / "data" / "study.json").write_text(content)
        for opening in (load_study, begin):
            with pytest.raises(StudyError, match=r"study.json"):
                opening(str(tmp_path))
