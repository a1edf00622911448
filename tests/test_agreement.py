"""Two annotators of the same films."""

import numpy as np
import pytest

from pneumo_keras.dataset.films import write_png
from pneumo_keras.dataset.labelme import Shape, write_annotation
from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.agreement import agreement_by_film, agreement_summary, unpaired


def mask(*marked, size=(4, 5)):
    array = np.zeros(size, bool)
    array.ravel()[list(marked)] = True
    return array


@pytest.fixture
def folders(tmp_path):
    pairs = {
        "half": (mask(0, 1, 2), mask(1, 2, 3, 4, 5)),  # 2 in both, 6 in either
        "same": (mask(7), mask(7)),
        "one": (mask(3), mask()),
        "none": (mask(), mask()),
    }
    for name, both in pairs.items():
        for folder, array in zip("ab", both):
            write_png(tmp_path / folder / f"{name}.png", array)
    write_png(tmp_path / "a" / "alone.png", mask())
    return tmp_path / "a", tmp_path / "b"


def test_scores_by_hand(folders):
    films = agreement_by_film(*folders).set_index("name")
    assert films["dice"].drop("none").to_dict() == {"half": 0.5, "same": 1, "one": 0}
    assert films["iou"].drop("none").to_dict() == {"half": 1 / 3, "same": 1, "one": 0}
    assert films.loc["none", ["dice", "iou"]].isna().all()
    assert films.loc["half", ["first_share", "second_share"]].tolist() == [3 / 20, 5 / 20]
    summary = agreement_summary(films)
    assert summary.loc["dice"].drop("sd").tolist() == [3, 0.5, 0.5, 0, 1]
    assert summary.loc["dice", "sd"] == pytest.approx(0.5)
    assert unpaired(*folders) == (["alone"], [])


def test_annotators_may_change_places(folders):
    one = agreement_by_film(*folders)
    other = agreement_by_film(*folders[::-1])
    assert one[["name", "dice", "iou"]].equals(other[["name", "dice", "iou"]])


def test_annotations_against_masks(tmp_path):
    """A LabelMe rectangle over columns 0 to 1 and rows 0 to 3: 8 pixels, 4 of them in the mask."""
    box = Shape("Lung", "rectangle", np.array([[0.0, 0.0], [1.0, 3.0]]))
    write_png(tmp_path / "a" / "film.png", np.ones((4, 5), bool))  # the film, not a mask
    write_annotation(tmp_path / "a" / "film.json", "film.png", [box], 4, 5)
    write_png(tmp_path / "b" / "film.png", mask(0, 5, 10, 15))
    films = agreement_by_film(tmp_path / "a", tmp_path / "b", "lung")
    assert films["dice"].tolist() == [pytest.approx(8 / 12)]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: write_png(a / "half.png", mask(size=(5, 4))), "half.png has 4×5 pixels"),
        (lambda a: write_png(a / "same.bmp", mask()), "have one name"),
        (lambda a: [path.unlink() for path in a.iterdir()], "neither masks nor"),
        (
            lambda a: [path.rename(a / f"x{path.name}") for path in list(a.iterdir())],
            "no file name in common",
        ),
        (lambda a: (a / "half.png").write_bytes(b""), "half.png is empty"),
    ],
)
def test_what_cannot_be_compared_is_refused(folders, spoil, message):
    spoil(folders[0])
    with pytest.raises(StudyError, match=message) as error:
        agreement_by_film(*folders)
    assert "\n" not in str(error.value)


def test_two_readers_of_real_lungs(real_data):
    """The README of the films states a mean Dice of 0.94 on 44 of them."""
    folder = real_data / "covid_opacities"
    films = agreement_by_film(folder / "lungs", folder / "lungs_second_reader")
    summary = agreement_summary(films)
    assert summary.loc["dice", "films"] == 44
    assert round(summary.loc["dice", "mean"], 2) == 0.94
