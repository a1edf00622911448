"""How far the outline of what is predicted lies from the true one.

The boundary of a mask is made of its own pixels that touch, by a side, a pixel outside it; the
border of the film counts as outside. Distances are Euclidean, between the centres of boundary
pixels, exact (k-d tree, float64): in millimetres where the size of a pixel is known, otherwise in
pixels of the array that is scored.

Implementations differ (arXiv 2410.02630 finds differences above 100 mm between tools), so:

- HD95 is the larger of the two directed 95th percentiles (linear interpolation), as in Metrics
  Reloaded. Tools that take one percentile of both directions together give less or the same.
- ASSD is the mean over the boundary pixels of both masks together.
- Surface Dice (Nikolov et al. 2021) is the share of the boundary pixels of both masks that lie
  within `TOLERANCE` of the other boundary.
- Boundary IoU (Cheng et al. 2021) is the IoU of the two rims of `RIM` of the film's diagonal.

The package surface-distance runs its boundary between pixels and weights it by length; ours counts
boundary pixels alike. On ragged masks the HD95 of the two differs by a pixel or so.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.spatial import KDTree

TOLERANCE = 2 / 256  # of the film's side: 2 pixels at 256×256
RIM = 0.02  # of the film's diagonal, as Cheng et al.
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
_SQUARE = np.ones((3, 3), np.uint8)


def boundary_scores(
    truth: np.ndarray, predicted: np.ndarray, spacing: tuple[float, float] = (1.0, 1.0)
) -> dict[str, float]:
    """Scores of the boundary of one film.

    A film with the target on which nothing is predicted has the diagonal of the film, the largest
    distance there is, as HD95 and ASSD, and 0 for the two overlaps. A film without the target has
    NaN throughout, whatever is predicted.

    Args:
        truth: (height, width) bool.
        predicted: the same shape.
        spacing: height and width of a pixel, mm; 1 and 1 for distances in pixels.

    Returns:
        `hd95` and `assd`, in the unit of `spacing`, 0 at best; `surface_dice` and
        `boundary_iou`, 0..1, 1 at best.

    Example:
        >>> truth, predicted = np.zeros((2, 16, 16), bool)
        >>> truth[4:8, 4:8] = True
        >>> predicted[4:8, 7:11] = True
        >>> scores = boundary_scores(truth, predicted)
        >>> scores["hd95"], scores["assd"]
        (3.0, 1.5)
    """
    if not truth.any():
        return dict.fromkeys(("hd95", "assd", "surface_dice", "boundary_iou"), float("nan"))
    if not predicted.any():
        diagonal = float(np.hypot(*np.multiply(truth.shape, spacing)))
        return {"hd95": diagonal, "assd": diagonal, "surface_dice": 0.0, "boundary_iou": 0.0}
    from_truth, from_predicted = surface_distances(truth, predicted, spacing)
    both = np.concatenate([from_truth, from_predicted])
    # Distances in millimetres carry rounding errors.
    within = both <= surface_tolerance(truth.shape, spacing) * (1 + 1e-9)
    return {
        "hd95": float(max(np.percentile(from_truth, 95), np.percentile(from_predicted, 95))),
        "assd": float(both.mean()),
        "surface_dice": float(within.mean()),
        "boundary_iou": boundary_iou(truth, predicted),
    }


def boundary_pixels(mask: np.ndarray) -> np.ndarray:
    """The pixels of a mask that touch, by a side, a pixel outside it or the border of the film.

    Args:
        mask: (height, width) bool.

    Returns:
        The same shape, bool.

    Example:
        >>> int(boundary_pixels(np.ones((4, 4), bool)).sum())
        12
    """
    return mask & ~_eroded(mask, _CROSS, 1)


def surface_distances(
    truth: np.ndarray, predicted: np.ndarray, spacing: tuple[float, float] = (1.0, 1.0)
) -> tuple[np.ndarray, np.ndarray]:
    """From each boundary pixel of one mask to the nearest of the other, both ways.

    Args:
        truth: (height, width) bool, not empty.
        predicted: the same shape, not empty.
        spacing: height and width of a pixel.

    Returns:
        float64, one value a boundary pixel of `truth`, and one a boundary pixel of `predicted`.

    Example:
        >>> masks = np.eye(4, dtype=bool)[:2, None]
        >>> [distances.tolist() for distances in surface_distances(*masks, (1, 0.5))]
        [[0.5], [0.5]]
    """
    points = [
        np.argwhere(boundary_pixels(mask)) * np.asarray(spacing) for mask in (truth, predicted)
    ]
    # Points on a grid: a tree that is not balanced by medians is built faster and asked as fast.
    trees = [KDTree(of_mask, balanced_tree=False, compact_nodes=False) for of_mask in points]
    return trees[1].query(points[0])[0], trees[0].query(points[1])[0]


def surface_tolerance(shape: tuple[int, int], spacing: tuple[float, float] = (1.0, 1.0)) -> float:
    """The distance that surface Dice forgives, in the unit of `spacing`.

    `TOLERANCE` of the film's side, or of the geometric mean of its sides where they differ.

    Example:
        >>> surface_tolerance((512, 512)), surface_tolerance((256, 256), (0.5, 0.5))
        (4.0, 1.0)
    """
    height, width = np.multiply(shape, spacing)
    return float(TOLERANCE * np.sqrt(height * width))


def boundary_iou(truth: np.ndarray, predicted: np.ndarray) -> float:
    """IoU of the rims of two masks (Cheng et al., CVPR 2021).

    The rim is what an erosion takes away: as many steps of 3×3 as `RIM` of the film's diagonal
    has pixels, at least one. The size of pixels in millimetres does not enter.

    Args:
        truth: (height, width) bool, not empty.
        predicted: the same shape.

    Example:
        >>> truth = np.pad(np.ones((3, 3), bool), 2)
        >>> boundary_iou(truth, np.pad(np.ones((1, 1), bool), 3))
        0.0
    """
    steps = max(1, round(RIM * float(np.hypot(*truth.shape))))
    rims = [mask & ~_eroded(mask, _SQUARE, steps) for mask in (truth, predicted)]
    union = np.count_nonzero(rims[0] | rims[1])
    return float(np.count_nonzero(rims[0] & rims[1]) / union)


def _eroded(mask: np.ndarray, element: np.ndarray, steps: int) -> np.ndarray:
    """Eroded `steps` times; beyond the film there is nothing."""
    # OpenCV's own border never erodes.
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    return cv2.erode(padded, element, iterations=steps)[1:-1, 1:-1].astype(bool)
