"""Pooling with indices, its inverse, and film scaling."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pneumo_keras.models.layers import (
    BatchNormalization,
    FilmScaling,
    MaxPoolingWithIndices2D,
    MaxUnpooling2D,
    film_input,
)

SHAPE = (3, 8, 6, 5)


def tie_free(shape=SHAPE, seed=0):
    """Integers as float32, no two alike, so that every maximum is one pixel and sums are exact."""
    values = np.random.default_rng(seed).permutation(np.prod(shape)) - np.prod(shape) // 2
    return tf.constant(values.reshape(shape), tf.float32)


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
    """The outputs, and the gradient of a sum that weighs every output value differently."""
    with tf.GradientTape() as tape:
        tape.watch(features)
        outputs = function(features)
        total = sum(tf.reduce_sum(part * tie_free(part.shape, seed=7)) for part in outputs)
    return [*outputs, tape.gradient(total, features)]


def test_pool_and_unpool_are_bit_equal_to_argmax_and_scatter_nd():
    ours = outputs_and_gradient(pool_and_unpool, tie_free())
    theirs = outputs_and_gradient(reference_pool_and_unpool, tie_free())
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(our, their)


def test_indices_name_the_pixels_that_argmax_names():
    features = tie_free()
    _, indices = MaxPoolingWithIndices2D()(features)
    _, flat = tf.nn.max_pool_with_argmax(features, 2, 2, "VALID", include_batch_in_index=True)
    film, row, column, channel = np.indices(indices.shape)
    _, height, width, channels = SHAPE
    window = indices.numpy()
    pixel = (film * height + 2 * row + window // 2) * width + 2 * column + window % 2
    np.testing.assert_array_equal(pixel * channels + channel, flat)


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
def test_ties_go_to_the_first_pixel_value_and_gradient(window, index):
    features = tf.reshape(tf.constant(window, tf.float32), (1, 2, 2, 1))
    with tf.GradientTape() as tape:
        tape.watch(features)
        values, indices = MaxPoolingWithIndices2D()(features)
    gradient = tape.gradient(values, features).numpy().ravel()
    assert values.numpy().item() == max(window)
    assert indices.numpy().item() == index
    assert gradient.tolist() == np.eye(4)[index].tolist()


def test_permuting_the_films_of_a_batch_permutes_the_outputs():
    features, order = tie_free(), [2, 0, 1]
    for whole, permuted in zip(
        pool_and_unpool(features), pool_and_unpool(tf.gather(features, order)), strict=True
    ):
        np.testing.assert_array_equal(permuted, tf.gather(whole, order))


def test_xla_computes_the_same_forward_and_backward():
    compiled = tf.function(lambda x: outputs_and_gradient(pool_and_unpool, x), jit_compile=True)
    for eager, under_xla in zip(
        outputs_and_gradient(pool_and_unpool, tie_free()), compiled(tie_free()), strict=True
    ):
        np.testing.assert_array_equal(eager, under_xla)


def test_mixed_float16_keeps_values_and_indices_exact():
    policy = keras.DTypePolicy("mixed_float16")
    pool, unpool = MaxPoolingWithIndices2D(dtype=policy), MaxUnpooling2D(dtype=policy)
    features = tie_free((2, 4, 4, 3))  # whole numbers below 2048, exact in 16 bits
    values, indices = pool(features)
    unpooled = unpool(values, indices)
    assert (values.dtype, indices.dtype, unpooled.dtype) == (tf.float16, tf.int32, tf.float16)
    for half, single in zip((values, unpooled), pool_and_unpool(features), strict=True):
        np.testing.assert_array_equal(tf.cast(half, tf.float32), single)


def test_symbolic_shapes_and_types_are_the_real_ones():
    for policy in ("float32", "mixed_float16"):
        pool = MaxPoolingWithIndices2D(dtype=policy)
        unpool = MaxUnpooling2D(dtype=policy)
        promised = pool(keras.KerasTensor((3, 8, 6, 5)))
        kept = pool(tie_free())
        promised = [*promised, unpool(*promised)]
        for promise, real in zip(promised, [*kept, unpool(*kept)], strict=True):
            assert (promise.shape, promise.dtype) == (tuple(real.shape), real.dtype.name)


@pytest.mark.parametrize(
    ("scaling", "preprocess"),
    [
        ("caffe", keras.applications.vgg16.preprocess_input),
        ("caffe", keras.applications.resnet50.preprocess_input),
        ("tf", keras.applications.mobilenet_v2.preprocess_input),
        ("tf", keras.applications.xception.preprocess_input),
    ],
)
def test_film_scaling_is_that_of_keras_applications(scaling, preprocess):
    grey = np.random.default_rng(0).uniform(0, 255, (2, 5, 4, 1)).astype("float32")
    expected = preprocess(np.repeat(grey, 3, axis=-1).copy())
    np.testing.assert_allclose(FilmScaling(scaling)(grey), expected, atol=1e-4)


def test_white_in_caffe_scaling():
    white = FilmScaling("caffe")(np.full((1, 1, 1, 1), 255.0, "float32"))
    np.testing.assert_allclose(white[0, 0, 0], [151.061, 138.221, 131.32], atol=1e-3)


@pytest.mark.parametrize("scaling", ["caffe", "tf", "unit"])
def test_rgb_of_equal_channels_is_grey(scaling):
    grey = np.random.default_rng(1).integers(0, 256, (2, 4, 4, 1)).astype("float32")
    np.testing.assert_array_equal(
        FilmScaling(scaling)(np.repeat(grey, 3, axis=-1)), FilmScaling(scaling)(grey)
    )


def test_colour_is_averaged_and_the_paper_scales_to_one():
    film = np.array([30, 60, 90], "float32").reshape(1, 1, 1, 3)
    np.testing.assert_allclose(FilmScaling("unit")(film)[0, 0, 0], [60 / 255] * 3, rtol=1e-6)


def test_unknown_scaling_is_refused():
    with pytest.raises(ValueError, match="caffe, tf, unit"):
        FilmScaling("imagenet")


@pytest.mark.parametrize("size", [0, 16, 100])
def test_film_input_refuses_sizes_that_do_not_fit(size):
    with pytest.raises(ValueError, match=f"SegNet .* multiple of 32; got {size}"):
        film_input(size, 32, "SegNet")


# === BatchNormalization ===


def test_batch_normalization_is_keras_s_own():
    """Output, gradients and moving statistics of three training steps, then inference."""
    random = np.random.default_rng(0)
    ours = BatchNormalization(momentum=0.9, epsilon=1e-5)
    keras_s = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
    for _ in range(3):
        features = tf.constant(3 + 2 * random.standard_normal((2, 4, 6, 5)), tf.float32)
        results = []
        for layer in (ours, keras_s):
            with tf.GradientTape() as tape:
                tape.watch(features)
                normalised = layer(features, training=True)
                loss = tf.reduce_sum(normalised**3)
            weights = [features, layer.gamma.value, layer.beta.value]
            results.append([normalised, *tape.gradient(loss, weights)])
        for one, other in zip(*results, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-3)
    for one, other in zip(ours.get_weights(), keras_s.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    np.testing.assert_allclose(ours(features), keras_s(features), rtol=1e-5, atol=1e-6)


def normalisations(policy="float32"):
    """Ours and Keras's, with the same scale, shift and statistics."""
    both = [
        kind(momentum=0.9, epsilon=1e-5, dtype=policy)
        for kind in (BatchNormalization, keras.layers.BatchNormalization)
    ]
    random = np.random.default_rng(0)
    initial = [random.uniform(0.5, 2, 5).astype("float32") for _ in range(4)]
    for layer in both:
        layer.build(SHAPE)
        layer.set_weights(initial)
    return both


def features_with_offset(seed):
    return tf.constant(np.random.default_rng(seed).normal(3, 2, SHAPE), tf.float32)


def normalised_and_gradients(layer, features, training):
    with tf.GradientTape() as tape:
        tape.watch(features)
        outputs = layer(features, training=training)
        total = tf.reduce_sum(tf.cast(outputs, tf.float32) * features_with_offset(99))
    return outputs, *tape.gradient(total, [features, layer.gamma.value, layer.beta.value])


def test_batch_norm_stands_still_in_inference_and_when_frozen():
    for frozen, training in ((False, False), (True, True)):
        ours, theirs = normalisations()
        ours.trainable = theirs.trainable = not frozen
        before = ours.get_weights()
        features = features_with_offset(0)
        np.testing.assert_array_equal(
            ours(features, training=training), theirs(features, training=training)
        )
        for now, then in zip(ours.get_weights(), before, strict=True):
            np.testing.assert_array_equal(now, then)


def test_batch_norm_in_mixed_precision_keeps_single_precision_statistics():
    ours, theirs = normalisations("mixed_float16")
    features = features_with_offset(0)
    our, their = ours(features, training=True), theirs(features, training=True)
    assert our.dtype == tf.float16
    np.testing.assert_allclose(our, their, rtol=0.02, atol=0.02)
    for our, their in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert our.dtype == np.float32
        np.testing.assert_allclose(our, their, rtol=1e-3)


def test_batch_norm_under_xla():
    ours, theirs = normalisations()
    features = features_with_offset(0)
    compiled = tf.function(lambda x: normalised_and_gradients(ours, x, True), jit_compile=True)
    for our, their in zip(
        compiled(features), normalised_and_gradients(theirs, features, True), strict=True
    ):
        np.testing.assert_allclose(our, their, rtol=1e-3, atol=1e-3)
    for our, their in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(our, their, rtol=1e-4)


def test_batch_norm_of_a_single_pixel_is_its_shift():
    """As where DeepLabV3 pools one film to one pixel; no variance, hence no division by zero."""
    ours, theirs = normalisations()
    pixel = tf.constant([1.0, -2.0, 3.0, 0.0, 9.0], shape=(1, 1, 1, 5))
    np.testing.assert_allclose(
        ours(pixel, training=True).numpy().ravel(), ours.beta.numpy(), atol=1e-5
    )
    theirs(pixel, training=True)
    for our, their in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(our, their, rtol=1e-5)
