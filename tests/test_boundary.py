"""Boundary scores: by hand, by brute force with SciPy, and beside other libraries."""

import math

import numpy as np
import pytest
import surface_distance
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from pneumo_keras.evaluation.boundary import boundary_scores

# surface-distance uses names that SciPy 2 will not have.
pytestmark = pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")

masks = arrays(bool, (9, 7), elements=st.booleans())


def square(rows, columns, shape=(256, 256)):
    mask = np.zeros(shape, bool)
    mask[slice(*rows), slice(*columns)] = True
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
    mask, whole = square((10, 40), (20, 90)), np.ones((256, 256), bool)
    perfect = {"hd95": 0, "assd": 0, "surface_dice": 1, "boundary_iou": 1}
    assert boundary_scores(mask, mask) == perfect
    scores = boundary_scores(square((10, 11), (10, 11)), square((13, 14), (14, 15)))
    assert scores == {"hd95": 5, "assd": 5, "surface_dice": 0, "boundary_iou": 0}
    assert boundary_scores(whole, square((0, 256), (0, 128)))["hd95"] == 128


@pytest.mark.parametrize("shift", [1, 2, 3, 10])
def test_offset_squares_by_hand(shift):
    """A square of side 100, moved sideways: its left and right sides lie `shift` away.

    Each has 4 × 99 boundary pixels. Of top and bottom, only the outer `shift` pixels, corner
    included, are off the other's: 1, 2, ... `shift`. Of the 98 rows between, the side that sticks
    out is `shift` from the other's, and the one within is so too, if top or bottom is no nearer.
    """
    reference = square((50, 150), (50, 150))
    scores = boundary_scores(reference, square((50, 150), (50 + shift, 150 + shift)))
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
    reference = square((0, 100), (0, 100))
    speck, bar = square((200, 201), (99, 100)), square((199, 200), (40, 80))
    assert boundary_scores(reference, reference | speck)["hd95"] == 0
    assert boundary_scores(reference, reference | bar)["hd95"] == 100
    assert boundary_scores(reference | bar, reference)["hd95"] == 100


def test_boundary_iou_by_hand():
    """At 256×256 the rim is round(0.02 × 362.04) = 7 pixels wide."""
    reference, predicted = square((50, 150), (50, 150)), square((50, 150), (50, 151))
    rim, wider = 100**2 - 86**2, 100 * 101 - 86 * 87
    # Moving the right side by one: of its 7 columns 6 stay, 86 rows high, and the new column of
    # the rim at top and bottom adds nothing to what both share.
    shared = rim - 86
    scores = boundary_scores(reference, predicted)
    assert scores["boundary_iou"] == pytest.approx(shared / (rim + wider - shared))


def test_tolerance_scales_with_the_image():
    """A line 3 pixels away: beyond 2 pixels at 256×256, within 4 at 512×512."""
    for side, expected in ((256, 0), (512, 1)):
        lines = [square((row, row + 1), (0, side), (side, side)) for row in (100, 103)]
        assert boundary_scores(*lines)["surface_dice"] == expected


# === Empty masks ===


def test_nothing_predicted_is_the_worst_there_is():
    reference = square((3, 9), (3, 9), (30, 40))
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


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.7, 1.4)])
def test_large_masks_by_brute_force_and_both_ways_alike(seed, spacing):
    reference, predicted = blobs(seed)
    scores = boundary_scores(reference, predicted, spacing)
    assert scores == pytest.approx(brute_force(reference, predicted, spacing), abs=1e-12)
    assert boundary_scores(predicted, reference, spacing) == pytest.approx(scores)


@pytest.mark.parametrize("seed", range(6))
def test_surface_distance_agrees_within_a_pixel_or_so(seed):
    """Its boundary runs between pixels and is weighted by length: near, never the same."""
    reference, predicted = blobs(seed)
    scores = boundary_scores(reference, predicted)
    theirs = surface_distance.compute_surface_distances(reference, predicted, (1, 1))
    average = surface_distance.compute_average_surface_distance(theirs)
    hausdorff = surface_distance.compute_robust_hausdorff(theirs, 95)
    tolerance = 2 / 256 * math.sqrt(96 * 128)
    dice = surface_distance.compute_surface_dice_at_tolerance(theirs, tolerance)
    assert scores["hd95"] == pytest.approx(hausdorff, abs=1.5)
    assert scores["assd"] == pytest.approx(sum(average) / 2, abs=0.3)
    assert scores["surface_dice"] == pytest.approx(dice, abs=0.06)
