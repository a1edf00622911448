"""The split: who is in which part, and what is refused."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pneumo_keras.dataset.splits import (
    crossing_copies,
    crossing_patients,
    read_or_split,
    read_split,
    split_images,
)
from pneumo_keras.errors import StudyError


@st.composite
def studies(draw):
    """Images of 20 to 60 patients in up to three groups, with 1 to 6 images a patient."""
    group = st.sampled_from(["bacteria", "virus", "normal"])
    patients = draw(st.lists(st.tuples(st.integers(1, 6), group), min_size=20, max_size=60))
    rows = [
        {
            "name": f"p{number}_{image}",
            "patient": str(number),
            "group": group,
            "target_share": 0.0 if group == "normal" else 0.1,
        }
        for number, (images, group) in enumerate(patients)
        for image in range(images)
    ]
    return pd.DataFrame(rows)


def study(patients=40, each=3):
    numbers = np.arange(patients * each)
    names = [f"image{number:03d}" for number in numbers]
    owners = (numbers // each).astype(str)
    return pd.DataFrame({"name": names, "patient": owners, "group": "virus", "target_share": 0.1})


@settings(max_examples=40, deadline=None)
@given(studies(), st.integers(0, 5), st.sampled_from(["patient", "image"]))
def test_shares_are_met_without_dividing_patients_whatever_the_order_of_rows(index, seed, split_by):
    split = split_images(index, split_by, seed=seed)
    assert sorted(split.index) == sorted(index["name"]) and split.index.is_unique
    assert set(split) == {"train", "validation", "test"}
    shuffled = split_images(index.sample(frac=1, random_state=seed), split_by, seed=seed)
    pd.testing.assert_series_equal(split, shuffled)
    patients = index["name"].map(split).groupby(index["patient"])
    sizes = patients.size() if split_by == "patient" else pd.Series([1])
    if split_by == "patient":
        assert (patients.nunique() == 1).all() and crossing_patients(split, index).empty
    # Groups are whole, so that each stratum may be off by its largest patient.
    slack = sizes.max() * index["group"].nunique()
    tested = (split == "test").sum()
    assert abs(tested - 0.25 * len(split)) <= slack
    assert abs((split == "validation").sum() - 0.2 * (len(split) - tested)) <= slack


def test_even_groups_are_split_exactly():
    index = study(patients=80, each=1)
    index["group"] = ["bacteria", "virus", "virus", "normal"] * 20
    index["target_share"] = np.where(index["group"] == "normal", 0, 0.1)
    split = split_images(index)
    assert split.value_counts().to_dict() == {"train": 48, "test": 20, "validation": 12}
    groups = index["group"][(split == "test").to_numpy()].value_counts().to_dict()
    assert groups == {"virus": 10, "bacteria": 5, "normal": 5}
    assert not split.equals(split_images(index, seed=2))


@pytest.mark.parametrize("shares", [(0.5, 0.1), (0.3, 0.33), (0.01, 0.02), (0.9, 0.5)])
def test_other_shares(shares):
    counts = split_images(study(200, 1), "patient", *shares).value_counts()
    rest = counts["train"] + counts["validation"]
    assert (counts["test"] / 200, counts["validation"] / rest) == pytest.approx(shares, abs=0.05)


def test_a_rare_group_does_not_stop_the_split():
    index = study(40, 1)
    index.loc[0, "group"] = "fungus"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert split_images(index).value_counts()["test"] == 10


@pytest.mark.parametrize(("split_by", "what"), [("patient", "patients"), ("image", "images")])
def test_too_few_are_refused(split_by, what):
    with pytest.raises(StudyError, match=f"3 {what} .* at least 4 {what}"):
        split_images(study(3, 1), split_by)


# === What a random split of images leaks ===


def test_crossing_patients_and_copies_by_hand():
    index = pd.DataFrame({"name": list("abcdefgh"), "patient": list("11122334")})
    parts = ["train", "test", "test", "test", "test", "train", "validation", "test"]
    split = pd.Series(parts, index=list("abcdefgh"))
    # Patient 1: two of three images in test; 2 and 4: all; 3: none, only train and validation.
    assert crossing_patients(split, index).to_dict() == {"1": 2}
    split["g"] = "test"
    assert crossing_patients(split, index).to_dict() == {"1": 2, "3": 1}
    index = pd.DataFrame({"name": list("abcdef"), "content_hash": list("xxyyzz")})
    parts = ["train", "validation", "test", "test", "test", "train"]
    assert crossing_copies(pd.Series(parts, list("abcdef")), index) == [["f", "e"]]
    index = study(patients=20, each=6)
    assert len(crossing_patients(split_images(index, "image"), index)) > 10


# === The official split ===


def official(parts):
    return study(patients=len(parts), each=2).assign(part=np.repeat(parts, 2))


def test_an_official_split_is_kept_and_validation_drawn_by_patient():
    index = official(["test"] * 10 + ["train"] * 20)
    split = split_images(index, "official", test_share=0.9)
    assert set(split[split == "test"].index) == set(index["name"][index["part"] == "test"])
    assert split.value_counts().to_dict() == {"train": 32, "test": 20, "validation": 8}
    assert (index["name"].map(split).groupby(index["patient"]).nunique() == 1).all()
    index = official(["train", "validation", "test", "train"])
    assert split_images(index, "official").tolist() == index["part"].tolist()


def test_patients_who_cross_an_official_split_are_named(tmp_path):
    index = official(["train"] * 10 + ["test"] * 4)
    index.loc[index["name"].isin(["image020", "image022"]), "patient"] = ["0", "1"]
    message = r"2 image\(s\) of 2 patient\(s\).*: 0, 1$"
    with pytest.warns(UserWarning, match=message):
        first = read_or_split(tmp_path / "split.csv", index, "official")
    with pytest.warns(UserWarning, match=message):
        assert read_or_split(tmp_path / "split.csv", index, "official").equals(first)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (official(["train", "", "test"]), r"2 image\(s\), the first image002"),
        (official(["train", "validation"]), "no test image"),
        (official(["test", "validation"]), "no train image"),
        (study(), r"120 image\(s\), the first image000"),
    ],
)
def test_an_incomplete_official_split_is_refused(index, message):
    with pytest.raises(StudyError, match=f"{message}.*split_by=patient"):
        split_images(index, "official")


# === The file ===


SPLIT = {"007": "train", "NA": "train", "c": "test", "d": "validation", "e": "test", "f": "train"}


def write(path, split, encoding="utf-8"):
    path.write_text("name,part\n" + "".join(f"{n},{p}\n" for n, p in split.items()), encoding)
    return path


@pytest.fixture
def index():
    columns = {"name": list(SPLIT), "patient": list("112345"), "content_hash": list("uvwxyz")}
    return pd.DataFrame({**columns, "group": "virus", "target_share": 0.1})


def test_a_new_split_is_written_and_read_back(tmp_path):
    index, path = study(), tmp_path / "new" / "split.csv"
    first = read_or_split(path, index, "patient", seed=3)
    assert path.read_text().splitlines()[:2] == ["name,part", f"image000,{first['image000']}"]
    shuffled = index.sample(frac=1, random_state=0)
    assert read_or_split(path, shuffled, "patient", seed=4).equals(first)
    assert first.equals(split_images(index, "patient", seed=3))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_somebody_elses_split_is_used(tmp_path, index, encoding):
    path = write(tmp_path / "split.csv", {**SPLIT, "not ours": "test"}, encoding)
    assert read_or_split(path, index, "patient").to_dict() == SPLIT


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"c": None, "d": None}, r"2 image\(s\), the first c"),
        ({"c": "testing"}, "'testing' is none of train, validation, test"),
        ({"c": ""}, "'' is none of"),
        ({"c": "train", "e": "train"}, "no test image"),
        ({"d": "train"}, "no validation image"),
        ({"007": "test", "NA": "test", "f": "test"}, "no train image"),
        ({"NA": "test"}, "patient 1 .*split_by=image"),
    ],
)
def test_a_split_that_does_not_fit_is_refused(tmp_path, index, changes, message):
    changed = {name: part for name, part in {**SPLIT, **changes}.items() if part is not None}
    path = write(tmp_path / "split.csv", changed)
    with pytest.raises(StudyError, match=message) as error:
        read_or_split(path, index, "patient")
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    if "patient" in message:
        assert read_or_split(path, index, "image")["NA"] == "test"


def test_a_part_without_target_is_refused(tmp_path, index):
    index.loc[index["name"] == "d", "target_share"] = 0
    with pytest.raises(StudyError, match=r"split\.csv.*validation"):
        read_or_split(write(tmp_path / "split.csv", SPLIT), index, "patient")
    with pytest.raises(StudyError, match=r"new\.csv"):
        read_or_split(tmp_path / "new.csv", study().assign(target_share=0.0), "patient")
    assert not (tmp_path / "new.csv").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "name, part"),
        (b"name;part\na;train\n", "name, part"),
        (b"film,part\na,train\n", "name, part"),
        (b"name,part\na,train,1\nb,test,2,3\n", "name, part"),
        (b"\xff\xfe\x00name", "name, part"),
        (b"name,part\nc,train\nc,test\n", "image c"),
    ],
)
def test_a_file_that_is_no_split_is_refused(tmp_path, index, content, message):
    path = tmp_path / "split.csv"
    path.write_bytes(content)
    with pytest.raises(StudyError, match=message) as error:
        read_or_split(path, index, "patient")
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert path.read_bytes() == content
    with pytest.raises(StudyError, match="notebook 02"):
        read_split(tmp_path / "nowhere.csv")


# === Images of identical content ===


@settings(max_examples=25, deadline=None)
@given(studies(), st.data(), st.sampled_from(["patient", "image"]))
def test_no_copy_crosses_whoever_it_is_said_to_be_of(index, data, split_by):
    picked = st.lists(st.sampled_from(range(len(index))), min_size=2, max_size=4, unique=True)
    without = split_images(index, split_by)
    index["content_hash"] = index["name"]
    assert split_images(index, split_by).equals(without)
    index.loc[data.draw(picked), "content_hash"] = "copy"
    index.loc[data.draw(picked), "content_hash"] = "other copy"
    split = split_images(index, split_by)
    for _, copies in index.groupby("content_hash"):
        assert split[copies["name"]].nunique() == 1
    assert crossing_copies(split, index) == []
    if split_by == "patient":
        assert crossing_patients(split, index).empty


def test_a_split_that_tests_on_a_copy_is_refused(tmp_path, index):
    index["content_hash"] = list("xyxzwv")  # 007 trains, c tests
    path = write(tmp_path / "split.csv", SPLIT)
    with pytest.raises(StudyError, match="007 and c.*split_by=image"):
        read_or_split(path, index, "patient")
    assert read_or_split(path, index, "image").to_dict() == SPLIT
