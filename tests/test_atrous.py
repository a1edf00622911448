"""The atrous convolution against Keras's own, each of the ways it may be done."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pneumo_keras.models import atrous
from pneumo_keras.models.atrous import AtrousConv2D


def output_and_gradients(layer, features):
    with tf.GradientTape() as tape:
        tape.watch(features)
        output = layer(features)
        loss = tf.reduce_sum(output**2)
    return [output, *tape.gradient(loss, [features, layer.kernel.value, layer.bias.value])]


@pytest.mark.parametrize("native", [True, False], ids=["native", "as Keras does it"])
@pytest.mark.parametrize("rate", [1, 2, 3, 5, 6, 9])
def test_output_and_gradients_are_keras_s_at_any_rate(rate, native, monkeypatch):
    """On 6x4 features; the taps that meet no feature get no gradient."""
    if native and not atrous._tensorflow_has_gradients("float32"):
        pytest.skip("this TensorFlow has no gradients of dilated convolutions")
    monkeypatch.setattr(atrous, "_tensorflow_has_gradients", lambda dtype: native)
    features = tf.constant(np.random.default_rng(0).standard_normal((2, 6, 4, 3)), tf.float32)
    settings = {"padding": "same", "dilation_rate": rate, "activation": "relu"}
    ours, keras_s = AtrousConv2D(5, 3, **settings), keras.layers.Conv2D(5, 3, **settings)
    for layer in (ours, keras_s):
        layer.build(features.shape)
        layer.set_weights([ours.get_weights()[0], np.linspace(-1, 1, 5)])
    results = output_and_gradients(ours, features)
    for one, other in zip(results, output_and_gradients(keras_s, features), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    corner = np.abs(results[2][0, 0]).max()
    assert (corner == 0) == (rate >= 4)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_a_training_step_is_compiled_in_any_precision(precision):
    """TensorFlow has no gradients of dilated convolutions in float16 on a CPU."""
    layer = AtrousConv2D(2, 3, padding="same", dilation_rate=2, dtype=precision)
    model = keras.Sequential([keras.Input((8, 8, 3)), layer])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    before = layer.kernel.numpy().copy()
    loss = model.train_on_batch(np.ones((2, 8, 8, 3)), np.zeros((2, 8, 8, 2)))
    assert np.isfinite(loss)
    assert not np.allclose(layer.kernel.numpy(), before)


def test_the_trial_finds_gradients_wherever_the_convolution_has_them():
    """The answer is that of a gradient taken through a model, here and now."""
    kernel = tf.Variable(tf.ones((3, 3, 1, 1)))
    with tf.GradientTape() as tape:
        output = tf.nn.conv2d(tf.ones((1, 9, 9, 1)), kernel, 1, "SAME", dilations=3)
    try:
        tape.gradient(output, kernel)
        found = True
    except tf.errors.OpError:
        found = False
    assert atrous._tensorflow_has_gradients("float32") == found
