"""Two annotators of the same images."""

import numpy as np
import pandas as pd
import pytest

from pneumo_keras.dataset.images import write_png
from pneumo_keras.dataset.labelme import write_annotation
from pneumo_keras.dataset.shapes import Shape
from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.agreement import (
    agreement_by_image,
    agreement_summary,
    print_agreement,
    unpaired,
)


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
        for folder, array in zip("ab", both, strict=True):
            write_png(tmp_path / folder / f"{name}.png", array)
    write_png(tmp_path / "a" / "alone.png", mask())
    return tmp_path / "a", tmp_path / "b"


def test_scores_by_hand(folders):
    images = agreement_by_image(*folders).set_index("name")
    assert images["dice"].drop("none").to_dict() == {"half": 0.5, "same": 1, "one": 0}
    assert images["iou"].drop("none").to_dict() == {"half": 1 / 3, "same": 1, "one": 0}
    assert images.loc["none", ["dice", "iou"]].isna().all()
    assert images.loc["half", ["first_share", "second_share"]].tolist() == [3 / 20, 5 / 20]
    summary = agreement_summary(images)
    assert summary.loc["dice"].drop("sd").tolist() == [3, 0.5, 0.5, 0, 1]
    assert summary.loc["dice", "sd"] == pytest.approx(0.5)
    assert unpaired(*folders) == (["alone"], [])
    exchanged = agreement_by_image(*folders[::-1]).set_index("name")
    assert images[["dice", "iou"]].equals(exchanged[["dice", "iou"]])


def test_annotations_against_masks(tmp_path):
    """A LabelMe rectangle over columns 0 to 1 and rows 0 to 3: 8 pixels, 4 of them in the mask."""
    box = Shape("Lung", "rectangle", np.array([[0.0, 0.0], [1.0, 3.0]]))
    write_png(tmp_path / "a" / "image.png", np.ones((4, 5), bool))  # the image, not a mask
    write_annotation(tmp_path / "a" / "image.json", "image.png", [box], 4, 5)
    write_png(tmp_path / "b" / "image.png", mask(0, 5, 10, 15))
    images = agreement_by_image(tmp_path / "a", tmp_path / "b", "lung")
    assert images["dice"].tolist() == [pytest.approx(8 / 12)]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda a: write_png(a / "half.png", mask(size=(5, 4))), "half.png"),
        (lambda a: write_png(a / "same.bmp", mask()), "one name"),
        (lambda a: [path.unlink() for path in a.iterdir()], "neither masks nor"),
        (lambda a: [path.rename(a / f"x{path.name}") for path in list(a.iterdir())], "in common"),
        (lambda a: (a / "half.png").write_bytes(b""), "half.png"),
        (lambda a: a.rename(a.with_name("c")), "no folder"),
    ],
)
def test_what_cannot_be_compared_is_refused(folders, spoil, words):
    spoil(folders[0])
    with pytest.raises(StudyError, match=words):
        agreement_by_image(*folders)


def test_agreement_is_printed_and_written_to_a_new_file(folders, tmp_path, capsys):
    out = tmp_path / "agreement.csv"
    print_agreement(*folders, "pneumonia", out)
    said = capsys.readouterr().out
    assert "0.333" in said and said.index("one") < said.rindex("half")  # least agreement first
    assert pd.read_csv(out)["name"].tolist() == ["half", "none", "one", "same"]
    with pytest.raises(StudyError, match="agreement.csv"):
        print_agreement(*folders, "pneumonia", out)


def test_two_readers_of_real_lungs(real_data):
    """The README of the images states a mean Dice of 0.94 on 44 of them."""
    folder = real_data / "covid_opacities"
    images = agreement_by_image(folder / "lungs", folder / "lungs_second_reader")
    summary = agreement_summary(images)
    assert summary.loc["dice", "images"] == 44
    assert round(summary.loc["dice", "mean"], 2) == 0.94
