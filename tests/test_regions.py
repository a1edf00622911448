"""Boundaries, lesions and detection: by hand, by brute force, and beside other libraries."""

import math

import numpy as np
import pandas as pd
import pytest
import surface_distance
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.measure import label
from sklearn import metrics as sk

from pneumo_keras.evaluation.regions import (
    boundary_scores,
    detection_scores,
    lesion_scores,
    lesion_summary,
)

# surface-distance uses names that SciPy 2 will not have.
pytestmark = pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")

masks = arrays(bool, (9, 7), elements=st.booleans())
small = arrays(bool, (8, 8), elements=st.booleans())


def boxes(*boxes, shape=(256, 256)):
    """A mask with boxes given as top, left, height, width."""
    mask = np.zeros(shape, bool)
    for top, left, height, width in boxes:
        mask[top : top + height, left : left + width] = True
    return mask


def blobs(seed, shape=(96, 128)):
    random = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(random.standard_normal((2, *shape)), (0, 6, 6))
    return smooth[0] > 0.02, smooth[0] + 0.6 * smooth[1] > 0.02


def brute_force(reference, predicted, spacing):
    """All four scores by erosions and distance transforms of SciPy."""
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (reference, predicted)]
    to = [ndimage.distance_transform_edt(~edge, sampling=spacing) for edge in edges]
    there, back = to[1][edges[0]], to[0][edges[1]]
    both = np.concatenate([there, back])
    side = math.sqrt(reference.shape[0] * spacing[0] * reference.shape[1] * spacing[1])
    steps = max(1, round(0.02 * math.hypot(*reference.shape)))
    rims = [
        mask & ~ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=steps)
        for mask in (reference, predicted)
    ]
    return {
        "hd95": max(np.percentile(there, 95), np.percentile(back, 95)),
        "assd": both.mean(),
        "surface_dice": (both <= side * 2 / 256 + 1e-9).mean(),
        "boundary_iou": (rims[0] & rims[1]).sum() / (rims[0] | rims[1]).sum(),
    }


# === By hand ===


def test_equal_masks_one_pixel_and_the_border_by_hand():
    mask, whole = boxes((10, 20, 30, 70)), np.ones((256, 256), bool)
    perfect = {"hd95": 0, "assd": 0, "surface_dice": 1, "boundary_iou": 1}
    assert boundary_scores(mask, mask) == perfect
    scores = boundary_scores(boxes((10, 10, 1, 1)), boxes((13, 14, 1, 1)))
    assert scores == {"hd95": 5, "assd": 5, "surface_dice": 0, "boundary_iou": 0}
    assert boundary_scores(whole, boxes((0, 0, 256, 128)))["hd95"] == 128


@pytest.mark.parametrize("shift", [1, 2, 3, 10])
def test_offset_squares_by_hand(shift):
    """A square of side 100, moved sideways: its left and right sides lie `shift` away.

    Each has 4 × 99 boundary pixels. Of top and bottom, only the outer `shift` pixels, corner
    included, are off the other's: 1, 2, ... `shift`. Of the 98 rows between, the side that sticks
    out is `shift` from the other's, and the one within is so too, if top or bottom is no nearer.
    """
    reference = boxes((50, 50, 100, 100))
    scores = boundary_scores(reference, boxes((50, 50 + shift, 100, 100)))
    assert scores["hd95"] == shift
    within = [min(shift, row, 99 - row) for row in range(1, 99)]
    off = within + 98 * [shift] + 2 * list(range(1, shift + 1))
    assert scores["assd"] == pytest.approx(sum(off) / 396)
    beyond = sum(distance > 2 for distance in off)
    assert scores["surface_dice"] == pytest.approx(1 - beyond / 396)


def test_hd95_is_the_larger_of_two_directed_percentiles():
    """A speck far away from a large mask that is found exactly.

    It is 1 of the 397 boundary pixels predicted, so that the 95th percentile forgives it; 40 of 436
    it does not, though they are less than 5 % of the boundary pixels of both masks.
    """
    reference = boxes((0, 0, 100, 100))
    speck, bar = boxes((200, 99, 1, 1)), boxes((199, 40, 1, 40))
    assert boundary_scores(reference, reference | speck)["hd95"] == 0
    assert boundary_scores(reference, reference | bar)["hd95"] == 100
    assert boundary_scores(reference | bar, reference)["hd95"] == 100


def test_boundary_iou_by_hand():
    """At 256×256 the rim is round(0.02 × 362.04) = 7 pixels wide."""
    reference, predicted = boxes((50, 50, 100, 100)), boxes((50, 50, 100, 101))
    rim, wider = 100**2 - 86**2, 100 * 101 - 86 * 87
    # Moving the right side by one: of its 7 columns 6 stay, 86 rows high, and the new column of
    # the rim at top and bottom adds nothing to what both share.
    shared = rim - 86
    scores = boundary_scores(reference, predicted)
    assert scores["boundary_iou"] == pytest.approx(shared / (rim + wider - shared))


def test_tolerance_scales_with_the_image():
    """A line 3 pixels away: beyond 2 pixels at 256×256, within 4 at 512×512."""
    for side, expected in ((256, 0), (512, 1)):
        lines = [boxes((row, 0, 1, side), shape=(side, side)) for row in (100, 103)]
        assert boundary_scores(*lines)["surface_dice"] == expected


# === Empty masks ===


def test_nothing_predicted_is_the_worst_there_is():
    reference = boxes((3, 3, 6, 6), shape=(30, 40))
    scores = boundary_scores(reference, np.zeros_like(reference))
    assert scores == {"hd95": 50, "assd": 50, "surface_dice": 0, "boundary_iou": 0}
    in_mm = boundary_scores(reference, np.zeros_like(reference), (0.2, 0.2))
    assert in_mm["hd95"] == in_mm["assd"] == pytest.approx(10)
    for marked in (reference, ~reference & reference):
        scores = boundary_scores(np.zeros_like(reference), marked)
        assert all(math.isnan(score) for score in scores.values())


# === Compared with others ===


@settings(max_examples=100, deadline=None)
@given(masks, masks, st.sampled_from([(1.0, 1.0), (0.143, 0.143), (0.5, 1.25)]))
def test_scores_are_those_of_brute_force(reference, predicted, spacing):
    if reference.any() and predicted.any():
        scores = boundary_scores(reference, predicted, spacing)
        assert scores == pytest.approx(brute_force(reference, predicted, spacing), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_large_masks_by_brute_force_and_as_surface_distance(seed):
    """Boundaries of surface-distance run between pixels and are weighted by length: only near."""
    reference, predicted = blobs(seed)
    for spacing in ((0.7, 1.4), (1.0, 1.0)):
        scores = boundary_scores(reference, predicted, spacing)
        assert scores == pytest.approx(brute_force(reference, predicted, spacing), abs=1e-12)
        assert boundary_scores(predicted, reference, spacing) == pytest.approx(scores)
    theirs = surface_distance.compute_surface_distances(reference, predicted, (1, 1))
    average = surface_distance.compute_average_surface_distance(theirs)
    hausdorff = surface_distance.compute_robust_hausdorff(theirs, 95)
    tolerance = 2 / 256 * math.sqrt(96 * 128)
    dice = surface_distance.compute_surface_dice_at_tolerance(theirs, tolerance)
    assert scores["hd95"] == pytest.approx(hausdorff, abs=1.5)
    assert scores["assd"] == pytest.approx(sum(average) / 2, abs=0.3)
    assert scores["surface_dice"] == pytest.approx(dice, abs=0.06)


# === Lesions and detection ===


def found(scores):
    return [scores[name] for name in ("lesions", "lesions_found_10", "lesions_found_50")]


def false(scores):
    return [scores[name] for name in ("lesions_predicted", "false_lesions_10", "false_lesions_50")]


def test_lesions_by_hand():
    reference = boxes((10, 10, 20, 20), (10, 100, 20, 20), (100, 10, 20, 20))
    predicted = boxes((10, 10, 20, 20), (10, 110, 20, 20), (200, 200, 10, 10))
    scores = lesion_scores(reference, predicted)  # the second overlaps by 200 of 600: IoU 1/3
    assert found(scores) == [3, 2, 1] and false(scores) == [3, 1, 2]
    half = lesion_scores(boxes((0, 0, 10, 15)), boxes((0, 5, 10, 15)))  # the limit is not enough
    assert found(half) == [1, 1, 0]


def test_specks_are_no_lesions_but_excuse_what_is_predicted_on_them():
    """Less than 10 pixels at 256×256, 40 at 512×512."""
    nine, ten, nothing = boxes((0, 0, 3, 3)), boxes((0, 0, 2, 5)), boxes()
    assert found(lesion_scores(nine, nothing))[0] == false(lesion_scores(nothing, nine))[0] == 0
    assert found(lesion_scores(ten, nothing))[0] == false(lesion_scores(nothing, ten))[0] == 1
    large = boxes((0, 0, 3, 13), shape=(512, 512))
    assert lesion_scores(large, large)["lesions"] == 0
    assert false(lesion_scores(nine, boxes((0, 0, 3, 4)))) == [1, 0, 0]


@settings(max_examples=80, deadline=None)
@given(small, small)
def test_lesions_are_those_of_scipy_and_scikit_image(reference, predicted):
    scores = lesion_scores(reference, predicted)  # at 8×8 one pixel is a lesion
    labels, count = ndimage.label(reference, np.ones((3, 3)))
    of_predicted = label(predicted, connectivity=2)
    assert (scores["lesions"], scores["lesions_predicted"]) == (count, of_predicted.max())
    iou = np.zeros((count, of_predicted.max()))
    for i, j in np.ndindex(iou.shape):
        one, other = labels == i + 1, of_predicted == j + 1
        iou[i, j] = (one & other).sum() / (one | other).sum()
    for suffix, limit in (("10", 0.1), ("50", 0.5)):
        assert scores[f"lesions_found_{suffix}"] == (iou > limit).any(axis=1).sum()
        assert scores[f"false_lesions_{suffix}"] == (~(iou > limit).any(axis=0)).sum()


def test_lesions_of_all_images_together():
    """7 lesions on 3 images, 4 found, 2 false: F1 = 8 / (8 + 2 + 3)."""
    table = pd.DataFrame({"lesions": [4, 3, 0], "lesions_found_10": [3, 1, 0]})
    table = table.assign(lesions_found_50=0, false_lesions_10=[0, 0, 2], false_lesions_50=[3, 1, 2])
    scores = lesion_summary(table)
    assert scores["lesion_count"] == 7
    assert scores["lesion_f1_10"] == pytest.approx(8 / 13)
    assert scores["lesion_sensitivity_10"] == pytest.approx(4 / 7)
    assert scores["lesion_false_per_image_10"] == pytest.approx(2 / 3)
    assert scores["lesion_f1_50"] == 0 and scores["lesion_false_per_image_50"] == 2
    none = lesion_summary(0 * table)
    assert math.isnan(none["lesion_f1_10"]) and math.isnan(none["lesion_sensitivity_10"])


def test_detection_is_that_of_scikit_learn():
    random = np.random.default_rng(0)
    table = pd.DataFrame({"reference_share": random.choice([0, 0.1], 60)})
    table = table.assign(peak=random.random(60), lesions_predicted=random.integers(0, 2, 60))
    table["predicted_share"] = random.choice([0, 0.01, 0.02, 0.3], 60)
    target, called = table["reference_share"] > 0, table["lesions_predicted"] > 0
    scores = detection_scores(table)
    assert scores["detection_auroc_area"] == sk.roc_auc_score(target, table["predicted_share"])
    assert scores["detection_auroc_peak"] == sk.roc_auc_score(target, table["peak"])
    assert scores["detection_sensitivity"] == sk.recall_score(target, called)
    assert scores["detection_specificity"] == sk.recall_score(~target, ~called)
