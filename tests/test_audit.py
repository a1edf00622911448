"""The audit: its numbers, its readings against counted pixels, and its command."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.audit import (
    LUNGS_PUBLISHED,
    READINGS,
    TABLE_2,
    audit_table,
    foreground_share,
    largest_iou,
    print_audit,
)

SHARES = {definition: shares for definition, _, shares in READINGS}


@pytest.fixture(scope="module")
def table():
    return audit_table(TABLE_2).set_index("definition")


def near(ends, expected):
    assert ends == pytest.approx(expected, abs=0.5001e-3)


def test_the_equations_as_printed_here_and_for_lungs():
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
    lungs = [(0.364, 0.387), (0.312, 0.331), (0.380, 0.400)]
    for row, ends in zip(LUNGS_PUBLISHED.values(), lungs, strict=True):
        near(foreground_share(*row), ends)


@pytest.mark.parametrize(
    ("definition", "deeplab", "segnet", "common", "rounded", "verdict"),
    [
        ("pooled", "0.665–0.821", "0.443–0.633", "none", "0.642–0.661", "only with rounding"),
        ("IoU of the b", "0.179–0.335", "0.367–0.557", "none", "0.339–0.358", "only with rounding"),
        ("mean IoU of both", "none", "none", "none", "none", "incompatible"),
        ("Dice", "0.333–0.489", "0.222–0.412", "0.333–0.412", "0.321–0.428", "fits lungs"),
        ("soft IoU", "0.333–1.000", "0.222–1.000", "0.333–1.000", "0.321–1.000", "fits lungs"),
        ("means over images", "any", "any", "any", "any", "any share"),
        ("means over images, one", "any", "any", "any", "any", "any share"),
        ("balanced", "0.571–1.000", "0.470–1.000", "0.571–1.000", "0.562–1.000", "fits neither"),
        ("accuracy credits", "0.126–0.156", "0.133–0.190", "0.133–0.156", "0.129–0.156", "opacit"),
        ("recall", "any", "any", "any", "any", "any share"),
        ("different", "any", "any", "any", "any", "any share"),
    ],
)
def test_each_reading(definition, deeplab, segnet, common, rounded, verdict, table):
    row = table[table.index.str.startswith(definition)].iloc[0]
    assert row[["DeepLabV3", "SegNet"]].tolist() == [deeplab, segnet]
    assert row[["common", "common, rounded"]].tolist() == [common, rounded]
    assert verdict in row["verdict"]


@given(st.tuples(*[st.integers(1, 400)] * 4))
@settings(max_examples=60, deadline=None)
def test_counted_pixels_lie_within_what_their_scores_imply(counts):
    """Any TP, FP, FN, TN, scored by each reading, has its own share among those allowed."""
    tp, fp, fn, tn = np.array(counts) / sum(counts)
    a, j, background = tp + tn, tp / (tp + fp + fn), tn / (tn + fp + fn)
    sensitivity, specificity = tp / (tp + fn), tn / (tn + fp)
    printed = {
        "pooled, as the equations say": (a, j),
        "IoU of the background": (a, background),
        "mean IoU of both classes, pooled": (a, (j + background) / 2),
        "Dice printed as IoU": (a, 2 * tp / (2 * tp + fp + fn)),
        "soft IoU, accuracy at 0.5": (a, j),
        "balanced accuracy": ((sensitivity + specificity) / 2, j),
        "accuracy credits background only": (tn, j),
        "recall or precision as accuracy": (sensitivity, j),
    }
    for definition, row in printed.items():
        allowed = SHARES[definition](*row)
        assert any(low - 1e-4 <= tp + fn <= high + 1e-4 for low, high in allowed), definition


@given(st.floats(0.5, 0.99), st.floats(0.02, 0.98), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_every_share_in_the_interval_can_be_reached(a, j, where):
    assume(j < a)
    (low, high) = SHARES["pooled, as the equations say"](a, j)[0]
    t = low + where * (min(high, 1) - low)
    tp = j * (1 - a) / (1 - j)
    fn = t - tp
    fp, tn = 1 - a - fn, a - tp
    assert min(fn, fp, tn) > -1e-9
    assert tp / (tp + fp + fn) == pytest.approx(j)


def test_extreme_rows_and_the_largest_iou():
    for row in (("1.00", "1.00"), ("0.9", "1.0"), ("0.3", "0.9"), ("0.5", "0.00")):
        assert len(audit_table({"row": row})) == len(READINGS)
    assert foreground_share("0.80", "0.90") is None
    assert foreground_share("0.90", "0.90") == (pytest.approx(0.9), 1.0)
    near([largest_iou(0.844, share) for share in (0.132, 0.334)], [0.458, 0.682])


@pytest.mark.parametrize("text", ["84.4", "-0.1", "x", "", "nan", "84%"])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(StudyError, match="between 0 and 1"):
        foreground_share(text, "0.5")


def test_the_audit_of_any_paper_is_printed(capsys):
    print_audit("0.844", "0.81", beside=["0.81", "0.70"])
    said = capsys.readouterr().out
    assert all(number in said for number in ("0.665 to 0.821", "0.443–0.633", "0.458", "0.637"))
    assert all(definition in said for definition in SHARES)
