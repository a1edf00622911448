"""The audit: its numbers, its formulas against counted pixels, and its words."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pneumo_keras.__main__ import main
from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.audit import (
    DEFINITIONS,
    LUNGS_PUBLISHED,
    TABLE_2,
    definition_table,
    error_shares,
    foreground_share,
    implied_accuracy,
    largest_iou,
    overlap,
    trivial_accuracy,
)
from pneumo_keras.evaluation.audit import definitions as formulas
from pneumo_keras.evaluation.audit.identity import Box
from pneumo_keras.evaluation.audit.remarks import (
    failing_films,
    grey_share,
    iou_of_dice,
    largest_two_class,
    precision_of,
    soft_lower_share,
    spread_needed,
)
from pneumo_keras.evaluation.audit.table import shares_in_box

LETTERS = {definition.letter: definition for definition in DEFINITIONS}
DEEPLAB, SEGNET = (0.844, 0.81), (0.81, 0.70)
ROWS = [DEEPLAB, SEGNET]


@pytest.fixture(scope="module")
def table():
    """Table 2 of the paper against every definition, by letter."""
    return definition_table(TABLE_2).set_index("letter")


def near(ends, expected, digits=3):
    """Equal to as many digits as were printed."""
    assert ends == pytest.approx(expected, abs=0.5001 * 10**-digits)


def test_the_equations_as_printed():
    expected = {
        ("DeepLabV3", "exact"): (0.665, 0.821),
        ("DeepLabV3", "rounded"): (0.642, 0.846),
        ("DeepLabV3", "truncated"): (0.661, 0.867),
        ("SegNet", "exact"): (0.443, 0.633),
        ("SegNet", "rounded"): (0.422, 0.661),
        ("SegNet", "truncated"): (0.420, 0.655),
    }
    for (name, digits), ends in expected.items():
        near(foreground_share(*TABLE_2[name], digits), ends)


def test_both_rows_together():
    exact, rounded, truncated = (
        [foreground_share(*row, digits) for row in TABLE_2.values()]
        for digits in ("exact", "rounded", "truncated")
    )
    assert overlap(*exact) is None and overlap(*truncated) is None
    near(exact[0][0] - exact[1][1], 0.032)
    sliver = overlap(*rounded)
    near(sliver, (0.642, 0.661))
    near(error_shares(*TABLE_2["DeepLabV3"], sliver)["false positives"][0], 0.88, 2)
    near(error_shares(*TABLE_2["SegNet"], sliver)["false negatives"][0], 0.90, 2)


def test_published_lung_segmentations_pass():
    expected = [(0.364, 0.387), (0.312, 0.331), (0.380, 0.400)]
    for row, ends in zip(LUNGS_PUBLISHED.values(), expected, strict=True):
        near(foreground_share(*row), ends)


def test_what_measured_shares_would_imply():
    near(implied_accuracy(0.81, 0.132), (0.969, 0.975))
    near(implied_accuracy(0.70, 0.132), (0.943, 0.960))
    near(implied_accuracy(0.81, 0.334), (0.922, 0.937), 2)
    near(implied_accuracy(0.70, 0.334), (0.857, 0.900))
    assert trivial_accuracy(0.132)["nothing"] == pytest.approx(0.868)
    assert trivial_accuracy(0.334)["nothing"] == pytest.approx(0.666)
    near([largest_iou(a, 0.132) for a, _ in ROWS], [0.458, 0.410])
    near([largest_iou(a, 0.334) for a, _ in ROWS], [0.682, 0.637])


@pytest.mark.parametrize(
    ("letter", "deeplab", "segnet", "together"),
    [
        ("A", [(0.665, 0.821)], [(0.443, 0.633)], "none"),
        ("B", [(0.179, 0.335)], [(0.367, 0.557)], "none"),
        ("C", [], [], "none"),
        ("D", [], [], "none"),
        ("F", [(0.333, 0.489)], [(0.222, 0.412)], "0.333–0.412"),
        ("G", [(0.333, 1)], [(0.222, 1)], "0.333–1.000"),
        ("H", [(0, 1)], [(0, 1)], "any"),
        ("I", [(0.571, 1)], [(0.470, 1)], "0.571–1.000"),
        ("M", [(0.126, 0.156)], [(0.133, 0.190)], "0.133–0.156"),
        ("N", [(0, 1)], [(0, 1)], "any"),
        ("O", [(0.665, 0.821)], [(0.443, 0.633)], "none"),
        ("P", [(0, 1)], [(0, 1)], "any"),
        ("Q", [(0, 1)], [(0, 1)], "any"),
    ],
)
def test_each_definition(letter, deeplab, segnet, together, table):
    for row, expected in ((DEEPLAB, deeplab), (SEGNET, segnet)):
        found = LETTERS[letter].shares(*row)
        assert len(found) == len(expected)
        for ends, printed in zip(found, expected, strict=True):
            near(ends, printed)
    assert table.loc[letter, "common"] == together


def test_the_sliver_of_the_background(table):
    assert table.loc["B", "common, rounded"] == "0.339–0.358"


def test_frequency_weighted_iou(table):
    """Found for an accuracy as printed and an IoU within half a last digit, to about 0.001."""
    expected = {
        "DeepLabV3": (Box((0.844, 0.844), (0.805, 0.815)), [(0.035, 0.051), (0.948, 0.965)]),
        "SegNet": (Box((0.81, 0.81), (0.695, 0.705)), [(0.13, 0.29), (0.71, 0.87)]),
    }
    for pair, shares in expected.values():
        found = shares_in_box(LETTERS["E"], pair)
        assert np.array(found) == pytest.approx(np.array(shares), abs=0.004)
    assert table.loc["E", "common, rounded"] == "none"


def test_what_else_the_definitions_would_need():
    near([largest_two_class(a) for a, _ in ROWS], [0.730, 0.681])
    near([largest_two_class(a) for a in (0.8445, 0.815)], [0.731, 0.688])
    near([iou_of_dice(j) for _, j in ROWS], [0.681, 0.538])
    near(soft_lower_share(*DEEPLAB), (0.333, 0.411))
    near(soft_lower_share(*SEGNET), (0.222, 0.317))
    near(grey_share(*DEEPLAB, 0.334), (0.078, 0.093))
    near(grey_share(*SEGNET, 0.334), (0.047, 0.090))
    near([precision_of(*row) for row in ROWS], [0.953, 0.838])
    near([spread_needed(*row) for row in ROWS], [0.25, 0.13], 2)
    deeplab = failing_films(0.844, (0.805, 0.815), 0.132)
    near(deeplab["films"], (0.19, 0.23), 2)
    near(deeplab["error"], (0.67, 0.84), 2)
    segnet = failing_films(0.81, (0.695, 0.705), 0.132)
    near(segnet["films"], (0.30, 0.39), 2)
    near(segnet["error"], (0.49, 0.64), 2)


def test_which_readings_survive(table):
    verdicts = table["verdict"]
    for letter in "CD":
        assert verdicts[letter].startswith("incompatible")
    assert verdicts["E"] == "each row possible, but not on one test set"
    for letter in "ABO":
        assert verdicts[letter].startswith("possible only with rounding")
    assert verdicts["F"].endswith("fits lungs") and verdicts["G"].endswith("fits lungs")
    assert verdicts["M"].endswith("fits opacities")
    assert verdicts["I"].endswith("neither lungs nor opacities")
    assert verdicts["K"].endswith("neither lungs nor opacities")
    assert all(verdicts[letter] == "possible at any share" for letter in "HNPQ")
    assert not verdicts.str.contains("honest|wrong|fraud|impossible").any()


pixels = st.tuples(*[st.integers(1, 400)] * 4)


@given(pixels)
@settings(max_examples=60, deadline=None)
def test_counted_pixels_lie_within_what_their_scores_imply(counts):
    """Any TP, FP, FN, TN, scored by each definition, has its own share among those allowed."""
    tp, fp, fn, tn = np.array(counts) / sum(counts)
    a, t = tp + tn, tp + fn
    j, background = tp / (tp + fp + fn), tn / (tn + fp + fn)
    sensitivity, specificity = tp / (tp + fn), tn / (tn + fp)
    printed = {
        "A": (a, j),
        "B": (a, background),
        "C": (a, (j + background) / 2),
        "D": (a, (tp + tn) / (tp + tn + 2 * (fp + fn))),
        "E": (a, t * j + (1 - t) * background),
        "F": (a, 2 * tp / (2 * tp + fp + fn)),
        "G": (a, j),
        "I": ((sensitivity + specificity) / 2, j),
        "M": (tn, j),
        "N": (sensitivity, j),
    }
    for letter, (accuracy, iou) in printed.items():
        allowed = LETTERS[letter].shares(accuracy, iou)
        assert any(low - 1e-4 <= t <= high + 1e-4 for low, high in allowed), letter


@given(st.floats(0.5, 0.99), st.floats(0.02, 0.98), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_every_share_in_the_interval_can_be_reached(a, j, where):
    assume(j < a)
    (low, high) = formulas.pooled(a, j)[0]
    t = low + where * (min(high, 1) - low)
    tp = j * (1 - a) / (1 - j)
    fn = t - tp
    fp, tn = 1 - a - fn, a - tp
    assert min(fn, fp, tn) > -1e-9
    assert tp / (tp + fp + fn) == pytest.approx(j)


@pytest.mark.parametrize("row", [("1.00", "1.00"), ("0.9", "1.0"), ("0.3", "0.9"), ("0.5", "0.00")])
def test_extreme_rows_have_a_table_too(row):
    assert len(definition_table({"row": row})) == len(DEFINITIONS)


def test_an_iou_above_the_accuracy_fits_no_share():
    assert foreground_share("0.80", "0.90") is None
    assert foreground_share("0.90", "0.90") == (pytest.approx(0.9), 1.0)


@pytest.mark.parametrize("text", ["84.4", "-0.1", "x", "", "nan", "84%"])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(StudyError, match="between 0 and 1"):
        foreground_share(text, "0.5")


def test_the_command_audits_any_paper(capsys):
    assert main(["audit", "0.844", "0.81", "--beside", "0.81", "0.70"]) == 0
    said = capsys.readouterr().out
    assert "digits exact: 0.665 to 0.821" in said and "possible only with rounding" in said
    assert main(["audit", "84.4", "0.81"]) == 2
    assert "between 0 and 1" in capsys.readouterr().err
