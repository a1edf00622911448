"""Pooling with indices and its inverse, input scaling, batch normalisation, atrous convolution."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from pneumo_keras.models.layers import (
    AtrousConv2D,
    BatchNormalization,
    InputScaling,
    MaxPoolingWithIndices2D,
    MaxUnpooling2D,
    image_input,
)

SHAPE = (3, 8, 6, 5)


def tie_free(shape=SHAPE, seed=0):
    """Integers as float32, no two alike, so that every maximum is one pixel and sums are exact."""
    values = np.random.default_rng(seed).permutation(np.prod(shape)) - np.prod(shape) // 2
    return tf.constant(values.reshape(shape), tf.float32)


def normal(shape=SHAPE, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(3, 2, shape), tf.float32)


def assert_all_close(ours, theirs, tolerance=0.0):
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our, their, rtol=tolerance, atol=tolerance)


def pool_and_unpool(features):
    values, indices = MaxPoolingWithIndices2D()(features)
    return values, MaxUnpooling2D()(values, indices)


def reference_pool_and_unpool(features):
    """TensorFlow's own, with indices that count through the whole batch."""
    values, flat = tf.nn.max_pool_with_argmax(features, 2, 2, "VALID", include_batch_in_index=True)
    scattered = tf.scatter_nd(
        tf.reshape(flat, (-1, 1)), tf.reshape(values, (-1,)), [tf.size(features, tf.int64)]
    )
    return values, tf.reshape(scattered, features.shape)


def outputs_and_gradient(function, features):
    """The outputs, and the gradient of a sum that weights every output value differently."""
    with tf.GradientTape() as tape:
        tape.watch(features)
        outputs = function(features)
        total = sum(tf.reduce_sum(part * tie_free(part.shape, seed=7)) for part in outputs)
    return [*outputs, tape.gradient(total, features)]


@pytest.mark.parametrize("xla", [False, True])
def test_pool_and_unpool_are_bit_equal_to_argmax_and_scatter_nd(xla):
    ours = tf.function(lambda x: outputs_and_gradient(pool_and_unpool, x), jit_compile=xla)
    theirs = outputs_and_gradient(reference_pool_and_unpool, tie_free())
    assert_all_close(ours(tie_free()), theirs)


def test_a_window_worked_by_hand():
    features = tf.reshape(tf.constant([3.0, 1.0, 5.0, 7.0, 2.0, 4.0, 8.0, 6.0]), (1, 2, 4, 1))
    values, indices = MaxPoolingWithIndices2D()(features)
    assert values.numpy().ravel().tolist() == [4.0, 8.0]
    assert indices.numpy().ravel().tolist() == [3, 2]
    unpooled = MaxUnpooling2D()(values, indices).numpy()[0, ..., 0]
    assert unpooled.tolist() == [[0, 0, 0, 0], [0, 4, 8, 0]]


@pytest.mark.parametrize(
    ("window", "index"),
    [([5, 5, 5, 5], 0), ([0, 5, 5, 5], 1), ([0, 0, 5, 5], 2), ([-5, -9, -5, -5], 0)],
)
def test_ties_go_to_the_first_pixel_in_value_and_gradient(window, index):
    features = tf.reshape(tf.constant(window, tf.float32), (1, 2, 2, 1))
    with tf.GradientTape() as tape:
        tape.watch(features)
        values, indices = MaxPoolingWithIndices2D()(features)
    gradient = tape.gradient(values, features).numpy().ravel()
    assert (values.numpy().item(), indices.numpy().item()) == (max(window), index)
    assert gradient.tolist() == np.eye(4)[index].tolist()


def test_mixed_float16_keeps_values_and_indices_exact():
    policy = keras.DTypePolicy("mixed_float16")
    pool, unpool = MaxPoolingWithIndices2D(dtype=policy), MaxUnpooling2D(dtype=policy)
    features = tie_free((2, 4, 4, 3))  # whole numbers below 2048, exact in 16 bits
    values, indices = pool(features)
    unpooled = unpool(values, indices)
    assert (values.dtype, indices.dtype, unpooled.dtype) == (tf.float16, tf.int32, tf.float16)
    symbolic = pool(keras.KerasTensor((None, 4, 4, 3)))
    dtypes = [part.dtype for part in (*symbolic, unpool(*symbolic))]
    assert dtypes == ["float16", "int32", "float16"]
    assert_all_close((values, unpooled), pool_and_unpool(features))


# === Input ===


@pytest.mark.parametrize(
    ("scaling", "preprocess"),
    [
        ("caffe", keras.applications.vgg16.preprocess_input),
        ("tf", keras.applications.mobilenet_v2.preprocess_input),
        ("tf", keras.applications.xception.preprocess_input),
    ],
)
def test_input_scaling_is_that_of_keras_applications(scaling, preprocess):
    grey = np.random.default_rng(0).uniform(0, 255, (2, 5, 4, 1)).astype("float32")
    expected = preprocess(np.repeat(grey, 3, axis=-1).copy())
    np.testing.assert_allclose(InputScaling(scaling)(grey), expected, atol=1e-4)


def test_colour_is_averaged_and_the_paper_scales_to_one():
    image = np.array([30, 60, 90], "float32").reshape(1, 1, 1, 3)
    np.testing.assert_allclose(InputScaling("unit")(image)[0, 0, 0], [60 / 255] * 3, rtol=1e-6)


def test_unknown_scaling_and_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="imagenet"):
        InputScaling("imagenet")
    for size in (0, 16, 100):
        with pytest.raises(ValueError, match=f"SegNet .*32.*{size}"):
            image_input(size, 32, "SegNet")


# === BatchNormalization ===


def normalisations(policy="float32", trainable=True):
    """Ours and Keras's, with the same scale, shift and statistics."""
    settings = {"momentum": 0.9, "epsilon": 1e-5, "dtype": policy, "trainable": trainable}
    both = [kind(**settings) for kind in (BatchNormalization, keras.layers.BatchNormalization)]
    random = np.random.default_rng(0)
    initial = [random.uniform(0.5, 2, 5).astype("float32") for _ in range(4)]
    for layer in both:
        layer.build(SHAPE)
        layer.set_weights(initial)
    return both


def normalised_and_gradients(layer, features):
    with tf.GradientTape() as tape:
        tape.watch(features)
        outputs = layer(features, training=True)
        total = tf.reduce_sum(outputs * normal(seed=99))
    return outputs, *tape.gradient(total, [features, layer.gamma.value, layer.beta.value])


@pytest.mark.parametrize("xla", [False, True])
def test_batch_norm_trains_as_keras_does(xla):
    """Outputs, gradients and moving statistics of three steps, by TensorFlow's fused operation."""
    ours, theirs = normalisations()
    step = tf.function(lambda x: normalised_and_gradients(ours, x), jit_compile=xla)
    for seed in range(3):
        features = normal(seed=seed)
        assert_all_close(step(features), normalised_and_gradients(theirs, features), 1e-3)
    assert_all_close(ours.get_weights(), theirs.get_weights(), 1e-5)


@pytest.mark.parametrize(("trainable", "training"), [(True, False), (False, True)])
def test_batch_norm_is_constant_in_inference_and_when_frozen(trainable, training):
    ours, theirs = normalisations(trainable=trainable)
    before = ours.get_weights()
    assert_all_close(ours(normal(), training=training), theirs(normal(), training=training))
    assert_all_close(ours.get_weights(), before)


def test_batch_norm_in_mixed_precision_keeps_single_precision_statistics():
    ours, theirs = normalisations("mixed_float16")
    our, their = ours(normal(), training=True), theirs(normal(), training=True)
    assert our.dtype == tf.float16
    assert_all_close(our, their, 0.02)
    assert {weight.dtype for weight in ours.get_weights()} == {np.dtype("float32")}
    assert_all_close(ours.get_weights(), theirs.get_weights(), 1e-3)


def test_batch_norm_of_a_single_pixel_is_its_shift():
    """As where DeepLabV3 pools one image to one pixel: no variance, and no division by zero."""
    ours, theirs = normalisations()
    pixel = tf.constant([1.0, -2.0, 3.0, 0.0, 9.0], shape=(1, 1, 1, 5))
    np.testing.assert_allclose(ours(pixel, training=True)[0, 0, 0], ours.beta, atol=1e-5)
    theirs(pixel, training=True)
    assert_all_close(ours.get_weights(), theirs.get_weights(), 1e-5)


@pytest.mark.parametrize(
    ("shape", "settings"),
    [((6, 4), {}), (SHAPE, {"axis": 1}), (SHAPE, {"scale": False}), (SHAPE, {"center": False})],
)
def test_batch_norm_of_other_inputs_and_settings_is_keras_s(shape, settings):
    layers = (BatchNormalization(**settings), keras.layers.BatchNormalization(**settings))
    our, their = (layer(normal(shape), training=True) for layer in layers)
    np.testing.assert_array_equal(our, their)


# === AtrousConv2D ===


def convolved_and_gradients(layer, features):
    with tf.GradientTape() as tape:
        tape.watch(features)
        output = layer(features)
        loss = tf.reduce_sum(output**2)
    return [output, *tape.gradient(loss, [features, layer.kernel.value, layer.bias.value])]


def assert_convolves_as_keras(features, **settings):
    settings = {"kernel_size": 3, "activation": "relu", "padding": "same"} | settings
    ours, theirs = AtrousConv2D(4, **settings), keras.layers.Conv2D(4, **settings)
    for layer in (ours, theirs):
        layer.build(features.shape)
        layer.set_weights([ours.get_weights()[0], np.linspace(-1, 1, 4)])
    results = convolved_and_gradients(ours, features)
    assert_all_close(results, convolved_and_gradients(theirs, features), 1e-3)
    return results


@pytest.mark.parametrize("rate", [1, 2, 3, 5, 6, 9])
def test_atrous_convolution_is_keras_s_at_any_rate(rate):
    """On 6x4 features; taps that always fall on padding get no gradient."""
    features = normal((2, 6, 4, 3))
    _, _, kernel_gradient, _ = assert_convolves_as_keras(features, dilation_rate=rate)
    assert (np.abs(kernel_gradient[0, 0]).max() == 0) == (rate >= 4)


@pytest.mark.parametrize("kernel_size", [1, 2, 4, 5, (3, 5), (1, 3)])
def test_atrous_convolution_takes_any_kernel(kernel_size):
    for rate, padding in itertools.product((1, 2, 5, 8), ("same", "valid")):
        size = 5 if padding == "same" else 40
        settings = {"kernel_size": kernel_size, "dilation_rate": rate, "padding": padding}
        assert_convolves_as_keras(normal((2, size, size, 3)), **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"strides": 2},
        {"strides": (2, 1), "padding": "valid"},
        {"dilation_rate": (7, 2)},
        {"dilation_rate": 2, "groups": 2},
    ],
)
def test_atrous_convolution_takes_strides_padding_and_groups(settings):
    assert_convolves_as_keras(normal((2, 6, 6, 4)), **settings)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_atrous_convolution_trains_compiled_in_any_precision(precision):
    """TensorFlow has no gradients of dilated convolutions in float16 on a CPU."""
    layer = AtrousConv2D(2, 3, padding="same", dilation_rate=2, dtype=precision)
    model = keras.Sequential([keras.Input((8, 8, 3)), layer])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    before = layer.kernel.numpy().copy()
    loss = model.train_on_batch(np.ones((2, 8, 8, 3)), np.zeros((2, 8, 8, 2)))
    assert np.isfinite(loss)
    assert not np.allclose(layer.kernel.numpy(), before)
