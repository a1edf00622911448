"""The losses of Table 1: binary cross-entropy, and the hybrid of focal, SSIM and Jaccard.

`unet3p_hybrid_loss` is the name of a function for UNet 3+ (Huang et al., 2020) that adds the
three terms over softmax classes. With one sigmoid channel its focal term would be zero on every
background pixel, so that predicting every pixel costs nothing; hence the two classes [1 - p, p]
of the published variant, and the corrected variant beside it.

All losses take masks and probabilities (batch, height, width, 1), 0..1, and return one float32
value per image, so that a smaller batch counts only as many images as it has.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from pneumo_keras import PACKAGE

# Constants of the published function: focal weight, the smoothing of its Jaccard term, and the
# epsilon inside the logarithm.
FOCAL_ALPHA, JACCARD_SMOOTH, PUBLISHED_EPSILON = 4.0, 1.0, 1e-9
CLIP = 1e-7
# Wang et al. (2004), with the values of tf.image.ssim for images 0..1.
SSIM_WINDOW, SSIM_SIGMA, SSIM_C1, SSIM_C2 = 11, 1.5, 0.01**2, 0.03**2
HYBRID_VARIANTS = ("published", "corrected")


def two_classes(foreground):
    """Foreground values (..., 1) as background and foreground (..., 2).

    Example:
        >>> ops.convert_to_numpy(two_classes(ops.array([[0.25]]))).tolist()
        [[0.75, 0.25]]
    """
    return ops.concatenate([1.0 - foreground, foreground], axis=-1)


def focal_loss(reference, probability, alpha: float = 1.0, epsilon: float | None = None):
    """Focal loss of both classes: mean of -alpha (1 - p_t)^2 log p_t, p_t of the reference class.

    Args:
        reference: masks (batch, height, width, 1), 0 or 1.
        probability: predictions of the same shape, 0..1.
        alpha: factor on all pixels; the published function has 4.
        epsilon: added to p_t as in the published function; by default p_t is clipped to
            1e-7..1 - 1e-7.

    Example:
        >>> half = ops.full((1, 12, 12, 1), 0.5)
        >>> round(float(focal_loss(ops.ones((1, 12, 12, 1)), half)[0]), 4)  # 0.25 ln 2
        0.1733
    """
    of_class = reference * probability + (1.0 - reference) * (1.0 - probability)
    if epsilon is None:
        of_class = ops.clip(of_class, CLIP, 1.0 - CLIP)
    else:
        of_class = of_class + epsilon
    per_pixel = -alpha * ops.square(1.0 - of_class) * ops.log(of_class)
    return ops.mean(per_pixel, axis=(1, 2, 3))


def ssim_loss(reference, probability):
    """1 - SSIM, averaged over pixels and channels, with an 11x11 Gaussian window.

    Single-scale, as the published function despite its name: the gradients of the multi-scale
    one are not finite where mask and prediction are anti-correlated.

    Args:
        reference: (batch, height, width, channels), 0..1, at least 11 pixels a side.
        probability: the same.

    Example:
        >>> mask = ops.ones((1, 12, 12, 1))
        >>> float(ssim_loss(mask, mask)[0])
        0.0
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return 1.0 - tf.image.ssim(reference, probability, max_val=1.0)
    return 1.0 - structural_similarity(reference, probability)


def structural_similarity(first, second):
    """SSIM per image by the formula of `tf.image.ssim`, for other backends than TensorFlow.

    Args:
        first: (batch, height, width, channels), 0..1, float32.
        second: the same.

    Returns:
        (batch,), -1..1.

    Example:
        >>> mask = ops.ones((1, 12, 12, 1))
        >>> float(structural_similarity(mask, mask)[0])
        1.0
    """
    channels = first.shape[-1]
    offsets = np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * SSIM_SIGMA**2))
    window = np.tile((window / window.sum())[:, :, None, None], (1, 1, channels, 1))
    window = ops.convert_to_tensor(window.astype("float32"))

    def blur(values):
        return ops.depthwise_conv(values, window, padding="valid")

    product = blur(first) * blur(second)
    squares = ops.square(blur(first)) + ops.square(blur(second))
    luminance = (2 * product + SSIM_C1) / (squares + SSIM_C1)
    covariance = blur(first * second) - product
    variances = blur(ops.square(first) + ops.square(second)) - squares
    structure = (2 * covariance + SSIM_C2) / (variances + SSIM_C2)
    return ops.mean(luminance * structure, axis=(1, 2, 3))


def jaccard_loss(reference, probability):
    """1 - soft Jaccard of each image over all its channels, smoothed by 1.

    Example:
        >>> mask = ops.ones((1, 12, 12, 1))
        >>> float(jaccard_loss(mask, mask)[0]), round(float(jaccard_loss(mask, 0 * mask)[0]), 4)
        (0.0, 0.9931)
    """
    intersection = ops.sum(reference * probability, axis=(1, 2, 3))
    total = ops.sum(reference, axis=(1, 2, 3)) + ops.sum(probability, axis=(1, 2, 3))
    smoothed = intersection + JACCARD_SMOOTH
    return 1.0 - smoothed / (total - intersection + JACCARD_SMOOTH)


@keras.saving.register_keras_serializable(PACKAGE)
def hybrid_focal(reference, probability, variant: str = "published"):
    """The focal term of `HybridLoss`, per image.

    Example:
        >>> nothing = ops.zeros((1, 12, 12, 1))
        >>> round(float(hybrid_focal(ops.ones((1, 12, 12, 1)), nothing)[0]), 2)  # -4 ln 1e-9
        82.89
    """
    reference = ops.cast(reference, "float32")
    if variant == "published":
        return focal_loss(reference, probability, FOCAL_ALPHA, PUBLISHED_EPSILON)
    return focal_loss(reference, probability)


@keras.saving.register_keras_serializable(PACKAGE)
def hybrid_ssim(reference, probability, variant: str = "published"):
    """The SSIM term of `HybridLoss`, per image.

    Example:
        >>> mask = ops.ones((1, 12, 12, 1))
        >>> float(hybrid_ssim(mask, mask)[0])
        0.0
    """
    return ssim_loss(*_channels(reference, probability, variant))


@keras.saving.register_keras_serializable(PACKAGE)
def hybrid_jaccard(reference, probability, variant: str = "published"):
    """The Jaccard term of `HybridLoss`, per image.

    Example:
        >>> mask = ops.ones((1, 12, 12, 1))
        >>> float(hybrid_jaccard(mask, mask)[0])
        0.0
    """
    return jaccard_loss(*_channels(reference, probability, variant))


def _channels(reference, probability, variant: str):
    reference = ops.cast(reference, "float32")
    if variant == "published":
        return two_classes(reference), two_classes(probability)
    return reference, probability


@keras.saving.register_keras_serializable(PACKAGE)
class HybridLoss(keras.losses.Loss):
    """`unet3p_hybrid_loss`: focal + SSIM + Jaccard, unweighted.

    `published`: over the two classes [1 - p, p], focal with weight 4, exponent 2 and 1e-9 inside
    the logarithm. `corrected`: focal without that weight and clipped, SSIM and Jaccard of the
    foreground alone, so that an empty prediction gets no credit for the background.

    Args:
        variant: `"published"` or `"corrected"`.

    Raises:
        ValueError: for another variant.

    Example:
        >>> mask = ops.ones((1, 12, 12, 1))
        >>> float(HybridLoss("published")(mask, mask))
        0.0
    """

    def __init__(self, variant: str = "published", name: str = "unet3p_hybrid_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        if variant not in HYBRID_VARIANTS:
            raise ValueError(
                f"variant must be one of {', '.join(HYBRID_VARIANTS)}; got {variant!r}"
            )
        self.variant = variant

    def call(self, reference, probability):
        terms = (hybrid_focal, hybrid_ssim, hybrid_jaccard)
        return sum(term(reference, probability, self.variant) for term in terms)

    def get_config(self):
        return {**super().get_config(), "variant": self.variant}


@keras.saving.register_keras_serializable(PACKAGE)
class CrossentropyDiceLoss(keras.losses.Loss):
    """Binary cross-entropy plus soft Dice loss of each image, smoothed by 1.

    The loss of the `tuned` recipe for both networks.

    Example:
        >>> mask = ops.ones((1, 12, 12, 1))
        >>> round(float(CrossentropyDiceLoss()(mask, mask)), 4)
        0.0
    """

    def __init__(self, name: str = "crossentropy_dice_loss", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, reference, probability):
        crossentropy = ops.mean(ops.binary_crossentropy(reference, probability), axis=(1, 2, 3))
        intersection = ops.sum(reference * probability, axis=(1, 2, 3))
        total = ops.sum(reference, axis=(1, 2, 3)) + ops.sum(probability, axis=(1, 2, 3))
        return crossentropy + 1.0 - (2 * intersection + 1.0) / (total + 1.0)


LOSSES = {
    "binary_crossentropy": keras.losses.BinaryCrossentropy,
    "hybrid_published": lambda: HybridLoss("published"),
    "hybrid_corrected": lambda: HybridLoss("corrected"),
    "crossentropy_dice": CrossentropyDiceLoss,
}
