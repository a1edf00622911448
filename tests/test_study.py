"""Where a study is, and that two never mix."""

import json

import pytest

from pneumo_keras.errors import StudyError
from pneumo_keras.study import keep_study, load_study, open_study


def opened(out, data="", target="pneumonia", recipe="quick", settings=None, **others):
    return open_study(data, target, recipe, str(out), settings or {"phantoms": 1}, **others)


def test_what_is_kept_is_loaded_again(tmp_path):
    study = opened(tmp_path, settings={"phantoms": 1, "atrous_rates": "3,6", "patience": "none"})
    keep_study(study)
    assert load_study(str(tmp_path)) == study
    assert study.recipe.atrous_rates == (3, 6)


def test_resume_is_kept_for_the_notebooks_and_makes_no_other_study(tmp_path):
    keep_study(opened(tmp_path))
    assert not load_study(str(tmp_path)).resume
    keep_study(opened(tmp_path, resume=True))
    assert load_study(str(tmp_path)).resume
    path = tmp_path / "data" / "study.json"
    older = json.loads(path.read_text())
    del older["resume"]
    path.write_text(json.dumps(older))
    assert not load_study(str(tmp_path)).resume
    assert not opened(tmp_path).resume


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "out").write_text("a file")
    for out in (tmp_path / "out", tmp_path / "out" / "below"):
        with pytest.raises(StudyError, match="out.* cannot be written .*choose another folder"):
            opened(out)
    assert (tmp_path / "out").read_text() == "a file"


def test_a_study_on_phantoms_can_be_moved(tmp_path):
    keep_study(opened(tmp_path / "here"))
    (tmp_path / "here").rename(tmp_path / "there")
    assert load_study(str(tmp_path / "there")).data == tmp_path / "there" / "data" / "phantoms"


def test_an_opened_study_that_was_not_kept_leaves_no_claim(tmp_path):
    films = tmp_path / "films"
    films.mkdir()
    opened(tmp_path / "out", data=str(films))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"target": "lung"}, "target"),
        ({"settings": {"phantoms": 1, "epochs": 3}}, "recipe"),
        ({"recipe": "tuned"}, "recipe"),
        ({"labels": "heart"}, "labels"),
    ],
)
def test_another_study_in_the_same_folder_is_refused(tmp_path, change, named):
    keep_study(opened(tmp_path))
    with pytest.raises(StudyError, match=rf"other .*{named}.*--out"):
        opened(tmp_path, **change)


def test_other_data_in_the_same_folder_are_refused(tmp_path):
    keep_study(opened(tmp_path / "out"))
    (tmp_path / "films").mkdir()
    with pytest.raises(StudyError, match="other data"):
        opened(tmp_path / "out", data=str(tmp_path / "films"))


def test_captions_name_data_target_and_changed_recipe(tmp_path):
    study = opened(tmp_path, settings={"phantoms": 1, "epochs": 3})
    assert study.caption() == "phantoms, target pneumonia, recipe quick (phantoms=1, epochs=3)"


def test_labels_are_compared_without_case_and_spaces(tmp_path):
    study = opened(tmp_path, target=" Pneumonia ", labels="Lung,, pneumonia")
    assert study.labels == ("pneumonia", "lung")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data": "no/such/folder"}, "no/such/folder: no such folder"),
        ({"recipe": "fast"}, "no recipe 'fast'"),
        ({"settings": {"epoch": 1}}, "did you mean epochs"),
        ({"settings": {"size": 100}}, "multiples of 32"),
        ({"target": " "}, "target is empty"),
    ],
)
def test_bad_input_is_refused_and_nothing_written(tmp_path, arguments, message):
    with pytest.raises(StudyError, match=message):
        opened(tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_notebooks_after_the_first_ask_for_it(tmp_path):
    with pytest.raises(StudyError, match="run notebook 01 first"):
        load_study(str(tmp_path))


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "study.json").write_text(json.dumps({"data": ""}))
    with pytest.raises(StudyError, match="study.json: not readable"):
        load_study(str(tmp_path))
