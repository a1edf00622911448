"""The split: who is on which side, and what is refused."""

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
    split_films,
)
from pneumo_keras.errors import StudyError


@st.composite
def studies(draw):
    """Films of 20 to 60 patients in up to three groups, with 1 to 6 films a patient."""
    patients = draw(
        st.lists(
            st.tuples(st.integers(1, 6), st.sampled_from(["bacteria", "virus", "normal"])),
            min_size=20,
            max_size=60,
        )
    )
    rows = [
        {
            "name": f"p{number}_{film}",
            "patient": str(number),
            "group": group,
            "target_share": 0.0 if group == "normal" else 0.1,
        }
        for number, (films, group) in enumerate(patients)
        for film in range(films)
    ]
    return pd.DataFrame(rows)


def films(patients=40, each=3):
    names = [f"film{number:03d}" for number in range(patients * each)]
    return pd.DataFrame(
        {
            "name": names,
            "patient": [str(number // each) for number in range(len(names))],
            "group": "virus",
            "target_share": 0.1,
        }
    )


def shares(split):
    counts = split.value_counts()
    test = counts["test"] / len(split)
    return test, counts["validation"] / (len(split) - counts["test"])


@settings(max_examples=40, deadline=None)
@given(studies(), st.integers(0, 5))
def test_no_patient_is_on_both_sides_and_every_film_on_one(index, seed):
    split = split_films(index, "patient", seed=seed)
    assert sorted(split.index) == sorted(index["name"]) and split.index.is_unique
    assert set(split) == {"train", "validation", "test"}
    parts = index.groupby("patient")["name"].agg(lambda names: split[names].nunique())
    assert (parts == 1).all()
    assert crossing_patients(split, index).empty


@settings(max_examples=40, deadline=None)
@given(studies(), st.integers(0, 5), st.sampled_from(["patient", "image"]))
def test_shares_are_met_within_the_films_of_one_patient_a_stratum(index, seed, split_by):
    """Groups are whole, so that each stratum may be off by its largest patient."""
    split = split_films(index, split_by, seed=seed)
    sizes = index["patient"].value_counts() if split_by == "patient" else pd.Series([1])
    slack = sizes.max() * index["group"].nunique()
    tested = (split == "test").sum()
    assert abs(tested - 0.25 * len(split)) <= slack
    validated = (split == "validation").sum()
    assert abs(validated - 0.2 * (len(split) - tested)) <= slack


@settings(max_examples=20, deadline=None)
@given(studies(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(index, random):
    shuffled = index.sample(frac=1, random_state=random.randrange(1000))
    pd.testing.assert_series_equal(split_films(index), split_films(shuffled))


def test_even_groups_are_split_to_the_film():
    split = split_films(films(patients=40, each=3))
    assert split.value_counts().to_dict() == {"train": 72, "test": 30, "validation": 18}


def test_groups_and_findings_are_spread_over_the_parts():
    index = films(patients=80, each=1)
    index["group"] = ["bacteria", "virus", "virus", "normal"] * 20
    index["target_share"] = np.where(index["group"] == "normal", 0, 0.1)
    tested = split_films(index)[lambda split: split == "test"].index
    assert index.set_index("name").loc[tested, "group"].value_counts().to_dict() == {
        "virus": 10,
        "bacteria": 5,
        "normal": 5,
    }


def test_another_seed_is_another_split():
    index = films()
    assert not split_films(index, seed=1).equals(split_films(index, seed=2))


@pytest.mark.parametrize(
    ("test_share", "validation_share"),
    [(0.25, 0.2), (0.5, 0.1), (0.3, 0.33), (0.01, 0.02), (0.9, 0.5)],
)
def test_other_shares(test_share, validation_share):
    split = split_films(films(200, 1), "patient", test_share, validation_share)
    assert shares(split) == pytest.approx((test_share, validation_share), abs=0.05)
    assert set(split) == {"train", "validation", "test"}


def test_a_rare_group_does_not_stop_the_split():
    index = films(40, 1)
    index.loc[0, "group"] = "fungus"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert split_films(index).value_counts()["test"] == 10


@pytest.mark.parametrize(("split_by", "what"), [("patient", "patients"), ("image", "films")])
def test_too_few_are_refused(split_by, what):
    with pytest.raises(
        StudyError, match=f"3 {what} are too few to split 25% off: .* at least 4 {what}"
    ):
        split_films(films(3, 1), split_by)


# === What an image-level split leaks ===


def test_crossing_patients_by_hand():
    index = pd.DataFrame(
        {
            "name": list("abcdefgh"),
            "patient": ["1", "1", "1", "2", "2", "3", "3", "4"],
        }
    )
    split = pd.Series(
        {
            "a": "train",
            "b": "test",
            "c": "test",  # 1: two of three films tested on
            "d": "test",
            "e": "test",  # 2: all tested on
            "f": "train",
            "g": "validation",  # 3: not tested on; train and validation do not count
            "h": "test",
        }
    )
    assert crossing_patients(split, index).to_dict() == {"1": 2}
    split["g"] = "test"
    assert crossing_patients(split, index).to_dict() == {"1": 2, "3": 1}


def test_an_image_split_leaks_and_a_patient_split_does_not():
    index = films(patients=20, each=6)
    assert len(crossing_patients(split_films(index, "image"), index)) > 10
    assert crossing_patients(split_films(index, "patient"), index).empty


# === The split of the source itself ===


def official(parts):
    index = films(patients=len(parts), each=2)
    index["part"] = [part for part in parts for _ in range(2)]
    return index


def test_an_official_split_is_kept_to_and_validation_drawn_by_patient():
    index = official(["test"] * 10 + ["train"] * 20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        split = split_films(index, "official", test_share=0.9)
    assert set(split[split == "test"].index) == set(index.loc[index["part"] == "test", "name"])
    assert split.value_counts().to_dict() == {"train": 32, "test": 20, "validation": 8}
    parts = index.groupby("patient")["name"].agg(lambda names: split[names].nunique())
    assert (parts == 1).all()


def test_official_validation_films_are_used_where_there_are_any():
    index = official(["train", "validation", "test", "train"])
    assert split_films(index, "official").tolist() == index["part"].tolist()


def test_patients_on_both_sides_of_an_official_split_are_named(tmp_path):
    index = official(["train"] * 10 + ["test"] * 4)
    index.loc[index["name"].isin(["film020", "film022"]), "patient"] = ["0", "1"]
    message = r"tests on 2 film\(s\) of 2 patient\(s\) that it trains on: 0, 1$"
    with pytest.warns(UserWarning, match=message):
        first = read_or_split(tmp_path / "split.csv", index, "official")
    with pytest.warns(UserWarning, match=message):
        assert read_or_split(tmp_path / "split.csv", index, "official").equals(first)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (["train", "", "test"], r"2 film\(s\), the first film002, have no part"),
        (["train", "validation"], "has no test film"),
        (["test", "validation"], "has no train film"),
    ],
)
def test_an_official_split_that_is_not_whole_is_refused(parts, message):
    with pytest.raises(StudyError, match=message):
        split_films(official(parts), "official")
    with pytest.raises(StudyError, match="have no part"):
        split_films(films(), "official")


# === The file ===


def write(path, split, encoding="utf-8"):
    path.write_text("name,part\n" + "".join(f"{n},{p}\n" for n, p in split.items()), encoding)
    return path


@pytest.fixture
def index():
    return pd.DataFrame(
        {
            "name": ["007", "NA", "c", "d", "e", "f"],
            "patient": ["1", "1", "2", "3", "4", "5"],
            "group": "virus",
            "target_share": 0.1,
        }
    )


@pytest.fixture
def split():
    return {
        "007": "train",
        "NA": "train",
        "c": "test",
        "d": "validation",
        "e": "test",
        "f": "train",
    }


def test_a_new_split_is_written_and_read_back(tmp_path):
    index, path = films(), tmp_path / "new" / "split.csv"
    first = read_or_split(path, index, "patient", seed=3)
    assert path.read_text().splitlines()[:2] == ["name,part", f"film000,{first['film000']}"]
    assert read_or_split(path, index.sample(frac=1, random_state=0), "patient", seed=4).equals(
        first
    )
    assert first.equals(split_films(index, "patient", seed=3))


def test_somebody_elses_split_is_kept_to(tmp_path, index, split):
    path = write(tmp_path / "split.csv", {**split, "not ours": "test"})
    assert read_or_split(path, index, "patient").to_dict() == split


def test_a_byte_order_mark_does_no_harm(tmp_path, index, split):
    path = write(tmp_path / "split.csv", split, "utf-8-sig")
    assert read_or_split(path, index, "patient").to_dict() == split


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"c": None, "d": None}, r"no row for 2 film\(s\), the first c"),
        ({"c": "testing"}, "part 'testing' is none of train, validation, test"),
        ({"c": ""}, "part '' is none of"),
        ({"c": "train", "e": "train"}, "no test film"),
        ({"d": "train"}, "no validation film"),
        ({"007": "test", "NA": "test", "f": "test"}, "no train film"),
        ({"NA": "test"}, "patient 1 .*split_by=image"),
    ],
)
def test_a_split_that_does_not_fit_is_refused(tmp_path, index, split, changes, message):
    changed = {name: part for name, part in {**split, **changes}.items() if part is not None}
    path = write(tmp_path / "split.csv", changed)
    with pytest.raises(StudyError, match=message) as error:
        read_or_split(path, index, "patient")
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_an_image_split_may_part_a_patient(tmp_path, index, split):
    path = write(tmp_path / "split.csv", {**split, "NA": "test"})
    assert read_or_split(path, index, "image")["NA"] == "test"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "name, part"),
        (b"name;part\na;train\n", "name, part"),
        (b"film,part\na,train\n", "name, part"),
        (b"name,part\na,train,1\nb,test,2,3\n", "name, part"),
        (b"\xff\xfe\x00name", "name, part"),
        (b"name,part\nc,train\nc,test\n", "film c stands twice"),
    ],
)
def test_a_file_that_is_no_split_is_refused(tmp_path, index, content, message):
    path = tmp_path / "split.csv"
    path.write_bytes(content)
    with pytest.raises(StudyError, match=message) as error:
        read_or_split(path, index, "patient")
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert path.read_bytes() == content


# === Films of the same content ===


def test_copies_stay_together_with_all_films_of_their_patients():
    index = films(patients=40, each=3)
    index["content"] = index["name"]
    index.loc[[0, 60], "content"] = "twice"  # of patients 0 and 20
    index.loc[[61, 90], "content"] = "again"  # of patients 20 and 30
    for seed in range(8):
        split = split_films(index, "patient", seed=seed)
        assert split[index.loc[index["patient"].isin(["0", "20", "30"]), "name"]].nunique() == 1
        assert crossing_patients(split, index).empty and not crossing_copies(split, index)
        by_image = split_films(index, "image", seed=seed)
        assert by_image["film000"] == by_image["film060"]
        assert by_image["film061"] == by_image["film090"]
        assert len(crossing_patients(by_image, index)) > 10


@pytest.mark.parametrize("split_by", ["patient", "image"])
def test_without_copies_the_split_is_the_same_with_contents_and_without(split_by):
    index = films(patients=40, each=2)
    contents = index.assign(content=[f"{number:x}" for number in range(len(index))][::-1])
    assert split_films(index, split_by).equals(split_films(contents, split_by))


@settings(max_examples=25, deadline=None)
@given(studies(), st.data(), st.sampled_from(["patient", "image"]))
def test_no_copy_crosses_whoever_it_is_said_to_be_of(index, data, split_by):
    picked = st.lists(st.sampled_from(range(len(index))), min_size=2, max_size=4, unique=True)
    index["content"] = index["name"]
    index.loc[data.draw(picked), "content"] = "copy"
    split = split_films(index, split_by)
    assert split[index.loc[index["content"] == "copy", "name"]].nunique() == 1
    if split_by == "patient":
        assert crossing_patients(split, index).empty


def test_a_split_that_tests_on_a_copy_is_refused(tmp_path, index, split):
    index["content"] = ["x", "y", "x", "z", "w", "v"]  # 007 trains, c tests
    path = write(tmp_path / "split.csv", split)
    with pytest.raises(StudyError, match="films 007 and c are the same picture.*split_by=image"):
        read_or_split(path, index, "patient")
    assert read_or_split(path, index, "image").to_dict() == split


def test_copies_within_training_and_validation_do_not_cross():
    index = pd.DataFrame({"name": list("abcd"), "content": ["x", "x", "y", "y"]})
    split = pd.Series({"a": "train", "b": "validation", "c": "test", "d": "test"})
    assert crossing_copies(split, index) == []
