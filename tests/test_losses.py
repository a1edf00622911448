"""The losses: golden numbers, the same in NumPy, gradients that stay finite."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.signal import correlate2d

from pneumo_keras.training import losses
from pneumo_keras.training.losses import LOSSES, HybridLoss, hybrid_focal, structural_similarity

TERMS = (hybrid_focal, losses.hybrid_ssim, losses.hybrid_jaccard)
SMALL = (2, 12, 12, 1)
each_variant = pytest.mark.parametrize("variant", ["published", "corrected"])
each_loss = pytest.mark.parametrize("loss", list(LOSSES))


def square():
    """An image of 64x64 pixels, a centred quarter of which is marked."""
    mask = np.zeros((1, 64, 64, 1), "float32")
    mask[:, 16:48, 16:48] = 1
    return mask


def random_masks(seed, shape=SMALL):
    random = np.random.default_rng(seed)
    reference = (random.random(shape) < 0.4).astype("float32")
    return reference, random.random(shape).astype("float32")


# === Golden numbers ===


@pytest.mark.parametrize(
    ("probability", "published", "corrected"),
    [
        (square(), (0, 0, 0), (0, 0, 0)),
        (0 * square() + 1, (62.17, 0.82, 0.86), (0.75 * -np.log(1e-7), 0.81, 0.75)),
        (0 * square(), (20.72, 0.56, 0.40), (0.25 * -np.log(1e-7), 0.57, 1.00)),
        (0 * square() + 0.5, (0.69, 0.75, 0.67), (0.25 * np.log(2), 0.85, 0.80)),
    ],
    ids=["perfect", "everything", "nothing", "half"],
)
def test_golden_values_of_focal_ssim_and_jaccard(probability, published, corrected):
    for variant, golden in (("published", published), ("corrected", corrected)):
        measured = [float(term(square(), probability, variant)[0]) for term in TERMS]
        np.testing.assert_allclose(measured, golden, atol=0.0051)


def test_predicting_every_pixel_costs_nothing_in_one_channel_as_the_function_is_published():
    """Why there are two classes: y log p alone, without the background's half."""
    mask, everything = square(), np.ones_like(square())
    one_channel = np.mean(mask * -np.log(everything + 1e-9) * (1 - everything) ** 2 * 4)
    assert one_channel == pytest.approx(0, abs=1e-6)
    assert float(hybrid_focal(mask, everything, "published")[0]) > 60
    assert float(hybrid_focal(mask, everything, "corrected")[0]) > 10


@each_variant
def test_hybrid_is_the_unweighted_sum_of_its_terms(variant):
    pair, loss = random_masks(0), HybridLoss(variant)
    total = sum(np.asarray(term(*pair, variant)) for term in TERMS)
    np.testing.assert_allclose(loss.call(*pair), total, rtol=1e-6)
    assert float(loss(*pair)) == pytest.approx(total.mean(), rel=1e-6)


# === The same in NumPy ===

probabilities = arrays(np.float32, SMALL, elements=st.floats(0, 1, width=32))
masks = arrays(np.float32, SMALL, elements=st.sampled_from([0.0, 1.0]))


def both_classes(foreground):
    # In float32, as the loss sees it: 1 - p of a p next to 1 is another number in 64 bits.
    return np.concatenate([np.float32(1) - foreground, foreground], axis=-1).astype(float)


def of_class(reference, probability):
    """The probability of the reference class at each pixel (images, height, width)."""
    return np.where(reference == 1, probability, np.float32(1) - probability)[..., 0].astype(float)


def overlap_and_sum(reference, probability):
    y, p = reference.astype(float), probability.astype(float)
    return (y * p).sum(axis=(1, 2, 3)), (y + p).sum(axis=(1, 2, 3))


@settings(max_examples=40, deadline=None)
@given(masks, probabilities)
def test_focal_jaccard_and_crossentropy_dice_are_the_same_in_numpy(reference, probability):
    # Published focal: over one-hot classes, the largest over the channels, then the mean.
    y, p = both_classes(reference), both_classes(probability)
    published = (y * -np.log(p + 1e-9) * y * (1 - p - 1e-9) ** 2 * 4).max(axis=-1)
    clipped = np.clip(of_class(reference, probability), 1e-7, 1 - 1e-7)
    corrected = (1 - clipped) ** 2 * -np.log(clipped)
    for variant, pixels in (("published", published), ("corrected", corrected)):
        measured = hybrid_focal(reference, probability, variant)
        np.testing.assert_allclose(measured, pixels.mean(axis=(1, 2)), rtol=2e-3, atol=1e-5)

    for variant, change in (("published", both_classes), ("corrected", np.asarray)):
        overlap, total = overlap_and_sum(change(reference), change(probability))
        jaccard = 1 - (overlap + 1) / (total - overlap + 1)
        measured = losses.hybrid_jaccard(reference, probability, variant)
        np.testing.assert_allclose(measured, jaccard, atol=2e-5)

    # Cross-entropy is clipped in 32 bits, where the largest number below 1 is 1.2e-7 away from it.
    clipped = np.clip(probability, np.float32(1e-7), np.float32(1) - np.float32(1e-7))
    crossentropy = -np.log(of_class(reference, clipped)).mean(axis=(1, 2))
    expected = crossentropy + 1 - (2 * overlap + 1) / (total + 1)
    measured = losses.CrossentropyDiceLoss().call(reference, probability)
    np.testing.assert_allclose(measured, expected, rtol=2e-3, atol=1e-4)


# === SSIM ===


def scipy_ssim(first, second):
    """SSIM of one channel by Wang et al., in 64 bits."""
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def mean(values):
        return correlate2d(values, window, "valid")

    a, b = mean(first), mean(second)
    var_a, var_b = mean(first**2) - a**2, mean(second**2) - b**2
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * a * b + c1) * (2 * (mean(first * second) - a * b) + c2)
    return (top / ((a**2 + b**2 + c1) * (var_a + var_b + c2))).mean()


CHECKER = (np.indices((24, 24)).sum(axis=0)[None, ..., None] % 2).astype("float32")
SSIM_PAIRS = [random_masks(seed, (2, 20, 17, 1 + seed % 2)) for seed in range(4)]
SSIM_PAIRS += [(CHECKER, other) for other in (0 * CHECKER, 0 * CHECKER + 1, CHECKER, 1 - CHECKER)]


@pytest.mark.parametrize(("reference", "probability"), SSIM_PAIRS)
def test_ssim_is_tensorflows_and_scipys(reference, probability):
    tensorflows = tf.image.ssim(reference, probability, max_val=1.0)
    np.testing.assert_array_equal(losses.ssim_loss(reference, probability), 1 - tensorflows)
    ours = structural_similarity(reference, probability)
    np.testing.assert_allclose(ours, tensorflows, atol=1e-4)
    channels = (np.moveaxis(part.astype(float), -1, 1) for part in (reference, probability))
    expected = [np.mean([*map(scipy_ssim, *image)]) for image in zip(*channels, strict=True)]
    np.testing.assert_allclose(tensorflows, expected, atol=1e-4)


# === What must not break ===


def gradient(loss, reference, values, activation=tf.identity):
    values = tf.convert_to_tensor(values)
    with tf.GradientTape() as tape:
        tape.watch(values)
        value = loss(reference, activation(values))
    return value, tape.gradient(value, values)


@each_loss
def test_loss_and_gradients_are_finite_however_sure_and_wrong(loss):
    empty = np.zeros((1, 16, 16, 1), "float32")
    block = empty.copy()
    block[:, 4:12, 4:12] = 1
    for reference in (empty, empty + 1, block):
        sure = 200 * reference - 100
        for logits in (empty - 100, empty + 100, sure, -sure, empty):
            value, by_logits = gradient(LOSSES[loss](), reference, logits, tf.sigmoid)
            assert np.isfinite(value) and value > -1e-6 and np.isfinite(by_logits).all()
            exact = (logits > 0).astype("float32")
            assert np.isfinite(gradient(LOSSES[loss](), reference, exact)[1]).all()


@each_loss
def test_xla_computes_the_same_loss_and_gradient(loss):
    """What Keras asks for on a GPU, SSIM included."""
    loss, (reference, probability) = LOSSES[loss](), random_masks(8)
    values = tf.constant(0.1 + 0.8 * probability)
    compiled = tf.function(lambda values: gradient(loss, reference, values), jit_compile=True)
    for one, other in zip(gradient(loss, reference, values), compiled(values), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-6)


@each_variant
def test_masks_may_be_integers_and_predictions_of_half_precision(variant):
    reference, probability = random_masks(3)
    probability[:, :4], probability[:, 8:] = 0, 1
    half, loss = probability.astype("float16"), HybridLoss(variant)
    value = loss(reference.astype("float16"), tf.constant(half))
    assert value.dtype == tf.float32
    expected = float(loss(reference, half.astype("float32")))
    assert float(value) == pytest.approx(expected, rel=1e-5)
    for term in TERMS:
        integers = term(reference.astype("uint8"), probability, variant)
        np.testing.assert_array_equal(integers, term(reference, probability, variant))


@pytest.mark.parametrize("loss", [name for name in LOSSES if name != "binary_crossentropy"])
def test_each_image_has_the_value_it_has_alone(loss):
    reference, probability = random_masks(5, (3, 16, 16, 1))
    loss = LOSSES[loss]()
    together = np.asarray(loss.call(reference, probability))
    parts = [(reference[i : i + 1], probability[i : i + 1]) for i in range(3)]
    alone = [float(loss.call(*part)[0]) for part in parts]
    assert together.shape == (3,) and len(set(alone)) == 3
    np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_a_loss_is_rebuilt_from_its_configuration_and_an_unknown_variant_refused():
    pair = random_masks(7)
    for loss in (HybridLoss("corrected"), losses.CrossentropyDiceLoss()):
        again = keras.losses.deserialize(keras.losses.serialize(loss))
        assert type(again) is type(loss) and float(again(*pair)) == float(loss(*pair))
    with pytest.raises(ValueError, match="published, corrected"):
        HybridLoss("fixed")
