"""The losses: golden numbers, independent twins, gradients that stay finite."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.signal import correlate2d

from pneumo_keras.training.losses import (
    LOSSES,
    CrossentropyDiceLoss,
    HybridLoss,
    focal_loss,
    hybrid_focal,
    hybrid_jaccard,
    hybrid_ssim,
    jaccard_loss,
    ssim_loss,
    structural_similarity,
    two_classes,
)

TERMS = (hybrid_focal, hybrid_ssim, hybrid_jaccard)
SMALL = (2, 12, 12, 1)


def square():
    """A film of 64x64 pixels, a centred quarter of which is marked."""
    mask = np.zeros((1, 64, 64, 1), "float32")
    mask[:, 16:48, 16:48] = 1
    return mask


def predictions():
    mask = square()
    return {"perfect": mask, "all": 0 * mask + 1, "nothing": 0 * mask, "half": 0 * mask + 0.5}


def random_masks(seed, shape=SMALL):
    random = np.random.default_rng(seed)
    truth = (random.random(shape) < 0.4).astype("float32")
    return truth, random.random(shape).astype("float32")


def terms(variant, probability, truth=None):
    truth = square() if truth is None else truth
    return [float(term(truth, probability, variant)[0]) for term in TERMS]


# === Golden numbers ===


@pytest.mark.parametrize(
    ("prediction", "focal", "ssim", "jaccard"),
    [
        ("perfect", 0, 0, 0),
        ("all", 62.17, 0.82, 0.86),
        ("nothing", 20.72, 0.56, 0.40),
        ("half", 0.69, 0.75, 0.67),
    ],
)
def test_published_values_of_two_classes(prediction, focal, ssim, jaccard):
    measured = terms("published", predictions()[prediction])
    np.testing.assert_allclose(measured, [focal, ssim, jaccard], atol=0.0051)


@pytest.mark.parametrize(
    ("prediction", "focal", "ssim", "jaccard"),
    [
        ("perfect", 0, 0, 0),
        ("all", 0.75 * -np.log(1e-7), 0.81, 0.75),
        ("nothing", 0.25 * -np.log(1e-7), 0.57, 1.00),
        ("half", 0.25 * np.log(2), 0.85, 0.80),
    ],
)
def test_corrected_values_of_the_foreground(prediction, focal, ssim, jaccard):
    measured = terms("corrected", predictions()[prediction])
    np.testing.assert_allclose(measured, [focal, ssim, jaccard], atol=0.0051)


def test_painting_everything_costs_nothing_in_one_channel_as_the_function_stands():
    """Why there are two classes: y log p alone, without the background's half."""
    mask, everything = square(), predictions()["all"]
    one_channel = np.mean(mask * -np.log(everything + 1e-9) * (1 - everything) ** 2 * 4)
    assert one_channel == pytest.approx(0, abs=1e-6)
    assert terms("published", everything)[0] > 60
    assert terms("corrected", everything)[0] > 10


@pytest.mark.parametrize("variant", ["published", "corrected"])
def test_hybrid_is_the_unweighted_sum_of_its_terms(variant):
    truth, probability = random_masks(0)
    parts = [term(truth, probability, variant) for term in TERMS]
    loss = HybridLoss(variant)
    np.testing.assert_allclose(
        loss.call(truth, probability), sum(map(np.asarray, parts)), rtol=1e-6
    )
    assert float(loss(truth, probability)) == pytest.approx(
        np.mean(sum(map(np.asarray, parts))), rel=1e-6
    )


# === Independent twins ===

probabilities = arrays(np.float32, SMALL, elements=st.floats(0, 1, width=32))
masks = arrays(np.float32, SMALL, elements=st.sampled_from([0.0, 1.0]))


def published_focal(truth, probability):
    """Literally: over one-hot classes, the largest over the channels, then the mean."""
    y, p = two_classes_numpy(truth), two_classes_numpy(probability)
    per_channel = y * -np.log(p + 1e-9) * y * (1 - p - 1e-9) ** 2 * 4
    return per_channel.max(axis=-1).mean(axis=(1, 2))


def two_classes_numpy(foreground):
    # In float32, as the loss sees it: 1 - p of a p next to 1 is another number in 64 bits.
    return np.concatenate([np.float32(1) - foreground, foreground], axis=-1).astype(float)


@settings(max_examples=40, deadline=None)
@given(masks, probabilities)
def test_published_focal_is_its_numpy_twin(truth, probability):
    np.testing.assert_allclose(
        hybrid_focal(truth, probability), published_focal(truth, probability), rtol=2e-3, atol=1e-5
    )


@settings(max_examples=40, deadline=None)
@given(masks, probabilities)
def test_corrected_focal_is_its_numpy_twin(truth, probability):
    true_class = np.where(truth == 1, probability, np.float32(1) - probability).astype(float)
    true_class = np.clip(true_class, 1e-7, 1 - 1e-7)
    twin = ((1 - true_class) ** 2 * -np.log(true_class)).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(
        hybrid_focal(truth, probability, "corrected"), twin, rtol=2e-3, atol=1e-5
    )


@settings(max_examples=40, deadline=None)
@given(masks, probabilities, st.sampled_from(["published", "corrected"]))
def test_jaccard_is_its_numpy_twin(truth, probability, variant):
    y, p = truth.astype(float), probability.astype(float)
    if variant == "published":
        y, p = two_classes_numpy(truth), two_classes_numpy(probability)
    overlap = (y * p).sum(axis=(1, 2, 3))
    union = y.sum(axis=(1, 2, 3)) + p.sum(axis=(1, 2, 3)) - overlap
    twin = 1 - (overlap + 1) / (union + 1)
    np.testing.assert_allclose(hybrid_jaccard(truth, probability, variant), twin, atol=2e-5)


@settings(max_examples=40, deadline=None)
@given(masks, probabilities)
def test_crossentropy_dice_is_its_numpy_twin(truth, probability):
    y, p = truth.astype(float), probability.astype(float)
    # Clipped in 32 bits, where the largest number below 1 is 1.2e-7 away from it.
    clipped = np.clip(probability, np.float32(1e-7), np.float32(1) - np.float32(1e-7))
    true_class = np.where(truth == 1, clipped, np.float32(1) - clipped).astype(float)
    crossentropy = -np.log(true_class).mean(axis=(1, 2, 3))
    dice = (2 * (y * p).sum(axis=(1, 2, 3)) + 1) / (y + p).sum(axis=(1, 2, 3), initial=1)
    np.testing.assert_allclose(
        CrossentropyDiceLoss().call(truth, probability),
        crossentropy + 1 - dice,
        rtol=2e-3,
        atol=1e-4,
    )


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_focal_is_cross_entropy_times_its_weight_and_focus(p):
    """Where p is the same everywhere, focal = alpha (1 - p_t)^2 CE: without both it is plain CE."""
    truth = np.ones((1, 12, 12, 1), "float32")
    crossentropy = float(keras.losses.BinaryCrossentropy()(truth, p * truth))
    assert float(focal_loss(truth, p * truth)[0]) / (1 - p) ** 2 == pytest.approx(
        crossentropy, rel=1e-4
    )
    assert float(focal_loss(truth, p * truth, alpha=4.0)[0]) == pytest.approx(
        4 * (1 - p) ** 2 * crossentropy, rel=1e-4
    )
    empty = 0 * truth
    assert float(focal_loss(empty, p * truth)[0]) == pytest.approx(
        -(p**2) * np.log(1 - p), rel=1e-4
    )


def scipy_ssim(first, second):
    """SSIM of two channels by Wang et al., in 64 bits."""
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def mean(values):
        return correlate2d(values, window, "valid")

    a, b = mean(first), mean(second)
    var_a, var_b = mean(first**2) - a**2, mean(second**2) - b**2
    covariance = mean(first * second) - a * b
    c1, c2 = 0.01**2, 0.03**2
    return (
        (2 * a * b + c1) * (2 * covariance + c2) / ((a**2 + b**2 + c1) * (var_a + var_b + c2))
    ).mean()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_ssim_is_tensorflows_and_scipys(seed, channels):
    truth, probability = random_masks(seed, (2, 20, 17, channels))
    tensorflows = tf.image.ssim(truth, probability, max_val=1.0)
    np.testing.assert_allclose(ssim_loss(truth, probability), 1 - tensorflows, atol=1e-6)
    np.testing.assert_allclose(structural_similarity(truth, probability), tensorflows, atol=1e-4)
    twin = [
        np.mean(
            [scipy_ssim(t[..., c].astype(float), p[..., c].astype(float)) for c in range(channels)]
        )
        for t, p in zip(truth, probability, strict=True)
    ]
    np.testing.assert_allclose(tensorflows, twin, atol=1e-4)


def test_both_forms_of_ssim_agree_on_flat_and_inverted_masks():
    checker = np.indices((24, 24)).sum(axis=0) % 2
    cases = {
        "zeros": 0 * checker,
        "ones": 0 * checker + 1,
        "checker": checker,
        "inverse": 1 - checker,
    }
    cases = {name: values[None, ..., None].astype("float32") for name, values in cases.items()}
    for first in cases.values():
        for second in cases.values():
            np.testing.assert_allclose(
                structural_similarity(first, second), tf.image.ssim(first, second, 1.0), atol=1e-4
            )
    inverted = float(ssim_loss(cases["checker"], cases["inverse"])[0])
    assert inverted > 1.9  # of at most 2


# === What must not break ===


def edge_cases():
    empty = np.zeros((1, 16, 16, 1), "float32")
    block = empty.copy()
    block[:, 4:12, 4:12] = 1
    truths = {"empty": empty, "full": empty + 1, "block": block}
    return [
        (truth, logits)
        for truth in truths.values()
        for logits in (empty - 100, empty + 100, 200 * truth - 100, 100 - 200 * truth, empty)
    ]


@pytest.mark.parametrize("loss", list(LOSSES))
def test_loss_and_gradient_are_finite_however_sure_and_wrong(loss):
    loss = LOSSES[loss]()
    for truth, logits in edge_cases():
        logits = tf.constant(logits)
        with tf.GradientTape() as tape:
            tape.watch(logits)
            probability = tf.sigmoid(logits)
            value = loss(truth, probability)
        assert np.isfinite(float(value)) and float(value) > -1e-6
        assert np.isfinite(tape.gradient(value, logits)).all()


@pytest.mark.parametrize("loss", list(LOSSES))
def test_xla_computes_the_same_loss_and_gradient(loss):
    """What Keras asks for on a GPU, SSIM included."""
    loss, (truth, probability) = LOSSES[loss](), random_masks(8)

    def value_and_gradient(probability):
        with tf.GradientTape() as tape:
            tape.watch(probability)
            value = loss(truth, probability)
        return value, tape.gradient(value, probability)

    compiled = tf.function(value_and_gradient, jit_compile=True)
    probability = tf.constant(0.1 + 0.8 * probability)
    for plain, under_xla in zip(
        value_and_gradient(probability), compiled(probability), strict=True
    ):
        np.testing.assert_allclose(under_xla, plain, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("loss", list(LOSSES))
def test_gradient_with_respect_to_exact_zeros_and_ones_is_finite(loss):
    loss = LOSSES[loss]()
    for truth, logits in edge_cases():
        probability = tf.constant((logits > 0).astype("float32"))
        with tf.GradientTape() as tape:
            tape.watch(probability)
            value = loss(truth, probability)
        assert np.isfinite(tape.gradient(value, probability)).all()


@pytest.mark.parametrize("variant", ["published", "corrected"])
def test_half_precision_predictions_give_a_finite_single_precision_loss(variant):
    truth, probability = random_masks(3)
    probability[:, :4], probability[:, 8:] = 0, 1
    value = HybridLoss(variant)(truth.astype("float16"), tf.constant(probability, tf.float16))
    assert value.dtype == tf.float32
    half = np.float16(probability).astype("float32")
    assert float(value) == pytest.approx(float(HybridLoss(variant)(truth, half)), rel=1e-5)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "binary_crossentropy"])
def test_each_film_has_the_value_it_has_alone(name):
    truth, probability = random_masks(5, (3, 16, 16, 1))
    loss = LOSSES[name]()
    together = np.asarray(loss.call(truth, probability))
    alone = [np.asarray(loss.call(truth[i : i + 1], probability[i : i + 1]))[0] for i in range(3)]
    assert together.shape == (3,) and len(set(alone)) == 3
    np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_integer_masks_are_taken():
    truth, probability = random_masks(6)
    for variant in ("published", "corrected"):
        for term in TERMS:
            np.testing.assert_array_equal(
                term(truth.astype("uint8"), probability, variant), term(truth, probability, variant)
            )


def test_jaccard_by_hand():
    truth = np.array([1, 1, 0, 0], "float32").reshape(1, 2, 2, 1)
    probability = np.array([1, 0.5, 0.5, 0], "float32").reshape(1, 2, 2, 1)
    # Overlap 1.5, union 2 + 2 - 1.5; both plus 1.
    assert float(jaccard_loss(truth, probability)[0]) == pytest.approx(1 - 2.5 / 3.5)
    both = two_classes(truth), two_classes(probability)
    # Two classes, all pixels: overlap 3, union 4 + 4 - 3; both plus 1.
    assert float(jaccard_loss(*both)[0]) == pytest.approx(1 - 4 / 6)


def test_unknown_variant_is_refused():
    with pytest.raises(ValueError, match="published, corrected"):
        HybridLoss("fixed")


@pytest.mark.parametrize("loss", [HybridLoss("corrected"), CrossentropyDiceLoss()])
def test_a_loss_is_rebuilt_from_its_configuration(loss):
    truth, probability = random_masks(7)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(again) is type(loss)
    assert float(again(truth, probability)) == float(loss(truth, probability))
