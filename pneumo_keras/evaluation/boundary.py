"""Boundary scores: distances between the outlines of two masks.

The boundary of a mask is its pixels that share a side with a pixel outside it; beyond the border
of the image is outside. Distances are between the centres of boundary pixels, in millimetres where
the pixel size is known, else in pixels. Implementations differ (arXiv 2410.02630), so:

- HD95 is the larger of the two directed 95th percentiles (linear interpolation), as in Metrics
  Reloaded; one percentile over both directions, as in other tools, is smaller or the same.
- ASSD is the mean over the boundary pixels of both masks together.
- Surface Dice (Nikolov et al. 2021) is the share of the boundary pixels of both masks within
  `TOLERANCE` of the side of the image (geometric mean of its sides) of the other boundary.
- Boundary IoU (Cheng et al., CVPR 2021) is the IoU of the rims that an erosion by 3×3 removes, in
  as many steps as `RIM` of the diagonal of the image has pixels, at least one.
"""

import cv2
import numpy as np
from scipy.spatial import KDTree

TOLERANCE = 2 / 256  # of the side of the image: 2 pixels at 256×256
RIM = 0.02  # of the diagonal of the image, as Cheng et al.
CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
SQUARE = np.ones((3, 3), np.uint8)


def boundary_scores(
    reference: np.ndarray, predicted: np.ndarray, spacing: tuple[float, float] = (1.0, 1.0)
) -> dict[str, float]:
    """Compute the boundary scores of one image.

    Args:
        reference: (height, width) bool.
        predicted: the same shape.
        spacing: height and width of a pixel, mm; 1 and 1 for distances in pixels.

    Returns:
        `hd95` and `assd`, in the unit of `spacing`; `surface_dice` and `boundary_iou`, 0..1. If
        nothing is predicted, the distances are the diagonal of the image and the overlaps 0.
        Without the target, all are NaN, whatever is predicted.

    Example:
        >>> reference, predicted = np.zeros((2, 16, 16), bool)
        >>> reference[4:8, 4:8] = predicted[4:8, 7:11] = True
        >>> boundary_scores(reference, predicted)["hd95"]
        3.0
    """
    names = ("hd95", "assd", "surface_dice", "boundary_iou")
    height, width = np.multiply(reference.shape, spacing)
    if not reference.any():
        return dict.fromkeys(names, float("nan"))
    if not predicted.any():
        diagonal = float(np.hypot(height, width))
        return dict(zip(names, (diagonal, diagonal, 0.0, 0.0), strict=True))
    masks = reference, predicted
    points = [np.argwhere(_rim(mask, CROSS, 1)) * np.asarray(spacing) for mask in masks]
    # Points on a grid: an unbalanced tree is built faster, and queried as fast.
    trees = [KDTree(of_mask, balanced_tree=False, compact_nodes=False) for of_mask in points]
    directed = [trees[1].query(points[0])[0], trees[0].query(points[1])[0]]
    both = np.concatenate(directed)
    # Distances in millimetres carry rounding errors.
    tolerance = float(TOLERANCE * np.sqrt(height * width)) * (1 + 1e-9)
    steps = max(1, round(RIM * float(np.hypot(*reference.shape))))
    first, second = (_rim(mask, SQUARE, steps) for mask in masks)
    return {
        "hd95": float(max(np.percentile(distances, 95) for distances in directed)),
        "assd": float(both.mean()),
        "surface_dice": float((both <= tolerance).mean()),
        "boundary_iou": float(np.count_nonzero(first & second) / np.count_nonzero(first | second)),
    }


def _rim(mask: np.ndarray, element: np.ndarray, steps: int) -> np.ndarray:
    """Return the pixels that an erosion removes; outside the image nothing is marked."""
    padded = np.pad(mask, 1).astype(np.uint8)  # unlike OpenCV's own border, which never erodes
    return mask & ~cv2.erode(padded, element, iterations=steps)[1:-1, 1:-1].astype(bool)
