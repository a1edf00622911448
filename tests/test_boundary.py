"""Boundary scores: by hand, by brute force with SciPy, and beside other libraries."""

import math

import numpy as np
import pytest
import surface_distance
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.metrics import hausdorff_distance
from skimage.segmentation import find_boundaries

from pneumo_keras.evaluation.scores.boundary import (
    boundary_iou,
    boundary_pixels,
    boundary_scores,
    surface_distances,
    surface_tolerance,
)

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


def brute_force(truth, predicted, spacing):
    """HD95, ASSD and surface Dice by erosion and distance transform, nothing of ours."""
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (truth, predicted)]
    to = [ndimage.distance_transform_edt(~edge, sampling=spacing) for edge in edges]
    there, back = to[1][edges[0]], to[0][edges[1]]
    both = np.concatenate([there, back])
    side = math.sqrt(truth.shape[0] * spacing[0] * truth.shape[1] * spacing[1])
    return {
        "hd95": max(np.percentile(there, 95), np.percentile(back, 95)),
        "assd": both.mean(),
        "surface_dice": (both <= side * 2 / 256 + 1e-9).mean(),
    }


# === By hand ===


def test_equal_masks_are_perfect():
    mask = square((10, 40), (20, 90))
    expected = {"hd95": 0, "assd": 0, "surface_dice": 1, "boundary_iou": 1}
    assert boundary_scores(mask, mask) == expected


@pytest.mark.parametrize("shift", [1, 2, 3, 10])
def test_offset_squares_by_hand(shift):
    """A square of side 100, moved sideways: its left and right sides lie `shift` away.

    Each has 4 × 99 boundary pixels. Of top and bottom, only the outer `shift` pixels, corner
    included, are off the other's: 1, 2, ... `shift`. Of the 98 rows between, the side that sticks
    out is `shift` from the other's, and the one within is so too, if top or bottom is no nearer.
    """
    truth, predicted = square((50, 150), (50, 150)), square((50, 150), (50 + shift, 150 + shift))
    scores = boundary_scores(truth, predicted)
    assert scores["hd95"] == shift
    within = [min(shift, row, 99 - row) for row in range(1, 99)]
    off = within + 98 * [shift] + 2 * list(range(1, shift + 1))
    assert scores["assd"] == pytest.approx(sum(off) / 396)
    beyond = sum(distance > 2 for distance in off)
    assert scores["surface_dice"] == pytest.approx(1 - beyond / 396)


def test_one_pixel_against_one_pixel_is_their_distance():
    truth, predicted = square((10, 11), (10, 11)), square((13, 14), (14, 15))
    scores = boundary_scores(truth, predicted)
    assert scores == {"hd95": 5, "assd": 5, "surface_dice": 0, "boundary_iou": 0}


def test_hd95_is_the_larger_of_two_directed_percentiles():
    """A speck far away from a large mask that is found exactly.

    It is 1 of the 397 boundary pixels predicted, so that the 95th percentile forgives it; with 40
    pixels of 436 it does not, and no true boundary pixel is far from what is predicted.
    """
    truth = square((0, 100), (0, 100))
    assert boundary_scores(truth, truth | square((200, 201), (99, 100)))["hd95"] == 0
    far = truth | square((199, 200), (40, 80))
    there, back = surface_distances(truth, far)
    assert there.max() == 0 and np.percentile(back, 95) == 100
    assert np.percentile(np.concatenate([there, back]), 95) == 0  # what pooled tools would say
    assert boundary_scores(truth, far)["hd95"] == 100
    assert boundary_scores(far, truth)["hd95"] == 100


def test_the_border_of_the_film_is_a_boundary():
    assert boundary_pixels(np.ones((5, 6), bool)).sum() == 18
    whole, half = np.ones((256, 256), bool), square((0, 256), (0, 128))
    assert boundary_scores(whole, half)["hd95"] == 128


def test_boundary_iou_by_hand():
    """At 256×256 the rim is round(0.02 × 362.04) = 7 pixels wide."""
    truth, predicted = square((50, 150), (50, 150)), square((50, 150), (50, 151))
    rim, wider = 100**2 - 86**2, 100 * 101 - 86 * 87
    # Moving the right side by one: of its 7 columns 6 stay, 86 rows high, and the new column of
    # the rim at top and bottom adds nothing to what both share.
    shared = rim - 86
    assert boundary_iou(truth, predicted) == pytest.approx(shared / (rim + wider - shared))


def test_tolerance_scales_with_the_film():
    assert surface_tolerance((256, 256)) == 2
    assert surface_tolerance((1024, 1024)) == 8
    assert surface_tolerance((128, 512)) == 2
    truth, predicted = square((50, 150), (50, 150)), square((50, 150), (54, 154))
    large = [np.kron(mask, np.ones((2, 2), bool)) for mask in (truth, predicted)]
    assert boundary_scores(truth, predicted)["surface_dice"] < 1
    assert boundary_scores(*large)["hd95"] == 2 * boundary_scores(truth, predicted)["hd95"]


# === Empty masks ===


def test_nothing_predicted_is_the_worst_there_is():
    truth = square((3, 9), (3, 9), (30, 40))
    scores = boundary_scores(truth, np.zeros_like(truth))
    assert scores == {"hd95": 50, "assd": 50, "surface_dice": 0, "boundary_iou": 0}
    in_mm = boundary_scores(truth, np.zeros_like(truth), (0.2, 0.2))
    assert in_mm["hd95"] == in_mm["assd"] == pytest.approx(10)


@pytest.mark.parametrize("marked", [0, 1])
def test_films_without_the_target_have_no_boundary_scores(marked):
    scores = boundary_scores(np.zeros((5, 5), bool), np.full((5, 5), marked, bool))
    assert all(math.isnan(score) for score in scores.values())


@settings(max_examples=150, deadline=None)
@given(masks, masks)
def test_no_prediction_is_worse_than_none(truth, predicted):
    if truth.any():
        scores = boundary_scores(truth, predicted)
        nothing = boundary_scores(truth, np.zeros_like(truth))
        assert scores["hd95"] <= nothing["hd95"] and scores["assd"] <= nothing["assd"]
        assert scores["surface_dice"] >= 0 and scores["boundary_iou"] >= 0


# === Held to others ===


@settings(max_examples=150, deadline=None)
@given(masks, masks, st.sampled_from([(1.0, 1.0), (0.143, 0.143), (0.5, 1.25)]))
def test_distances_are_those_of_brute_force(truth, predicted, spacing):
    if truth.any() and predicted.any():
        scores = boundary_scores(truth, predicted, spacing)
        for name, value in brute_force(truth, predicted, spacing).items():
            assert scores[name] == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.7, 1.4)])
def test_large_masks_by_brute_force_and_both_ways_alike(seed, spacing):
    truth, predicted = blobs(seed)
    scores = boundary_scores(truth, predicted, spacing)
    for name, value in brute_force(truth, predicted, spacing).items():
        assert scores[name] == pytest.approx(value, abs=1e-12), name
    assert boundary_scores(predicted, truth, spacing) == pytest.approx(scores)


@pytest.mark.parametrize("seed", range(4))
def test_boundaries_and_greatest_distance_are_those_of_scikit_image(seed):
    truth, predicted = blobs(seed)
    edges = [
        find_boundaries(np.pad(mask, 1), connectivity=1, mode="inner")[1:-1, 1:-1]
        for mask in (truth, predicted)
    ]
    np.testing.assert_array_equal(boundary_pixels(truth), edges[0])
    greatest = max(distances.max() for distances in surface_distances(truth, predicted))
    assert greatest == pytest.approx(hausdorff_distance(*edges))


@pytest.mark.parametrize("seed", range(4))
def test_boundary_iou_is_that_of_scipy(seed):
    truth, predicted = blobs(seed)
    steps = round(0.02 * math.hypot(*truth.shape))
    rims = [
        mask & ~ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=steps)
        for mask in (truth, predicted)
    ]
    expected = (rims[0] & rims[1]).sum() / (rims[0] | rims[1]).sum()
    assert boundary_iou(truth, predicted) == expected


@pytest.mark.parametrize("seed", range(6))
def test_surface_distance_agrees_within_a_pixel_or_so(seed):
    """Its boundary runs between pixels and is weighted by length: near, never the same."""
    truth, predicted = blobs(seed)
    scores = boundary_scores(truth, predicted)
    theirs = surface_distance.compute_surface_distances(truth, predicted, (1, 1))
    there, back = surface_distance.compute_average_surface_distance(theirs)
    hausdorff = surface_distance.compute_robust_hausdorff(theirs, 95)
    dice = surface_distance.compute_surface_dice_at_tolerance(theirs, surface_tolerance((96, 128)))
    assert scores["hd95"] == pytest.approx(hausdorff, abs=1.5)
    assert scores["assd"] == pytest.approx((there + back) / 2, abs=0.3)
    assert scores["surface_dice"] == pytest.approx(dice, abs=0.06)


@pytest.mark.parametrize("shift", [1, 4, 9])
def test_surface_distance_has_the_same_hd95_of_offset_squares(shift):
    truth, predicted = square((50, 150), (50, 150)), square((50, 150), (50 + shift, 150 + shift))
    theirs = surface_distance.compute_surface_distances(truth, predicted, (1, 1))
    hausdorff = surface_distance.compute_robust_hausdorff(theirs, 95)
    assert boundary_scores(truth, predicted)["hd95"] == hausdorff == shift
