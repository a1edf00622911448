"""DeepLabV3: atrous backbones, pyramid, decoder, weights."""

import functools
import re
import sys
import urllib.request
from urllib.error import HTTPError, URLError

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from pneumo_keras import config
from pneumo_keras.models import backbones
from pneumo_keras.models.backbones import WeightsUnavailable, atrous_backbone, pretrained
from pneumo_keras.models.deeplabv3 import deeplab_v3
from pneumo_keras.models.segnet import segnet


def random_weights(build, path, size):
    """A backbone with random weights, BatchNorm's included, and the file they are saved in."""
    model = build(include_top=False, weights=None, input_shape=(size, size, 3))
    random = np.random.default_rng(0)
    for weight in model.weights:
        if len(weight.shape) == 1:
            weight.assign(weight.numpy() + random.uniform(0, 0.1, weight.shape))
    model.save_weights(path)
    return model


@pytest.fixture(scope="module")
def resnet50(tmp_path_factory):
    path = tmp_path_factory.mktemp("resnet50") / "resnet50.weights.h5"
    return random_weights(keras.applications.ResNet50, path, 64), str(path)


@pytest.fixture(scope="module")
def whole(resnet50):
    """DeepLabV3 at full width, with those weights."""
    return deeplab_v3(64, weights=resnet50[1])


@pytest.fixture(scope="module")
def narrow():
    """At 256 pixels and a tenth of the width, by output stride."""
    return {stride: deeplab_v3(256, width=0.1, output_stride=stride) for stride in (8, 16)}


def random_images(channels, size, count=1):
    images = np.random.default_rng(0).uniform(0, 255, (count, size, size, channels))
    return images.astype("float32")


def outputs_of(model, names, inputs):
    outputs = [model.get_layer(name).output for name in names]
    return [np.asarray(part) for part in keras.Model(model.inputs, outputs)([inputs])]


def matching(model, pattern):
    return [layer for layer in model.layers if re.fullmatch(pattern, layer.name)]


def test_parameters(whole):
    assert whole.count_params() == 39_126_145
    assert sum(int(np.prod(weight.shape)) for weight in whole.trainable_weights) == 39_069_953
    assert whole.get_layer("backbone").count_params() == 23_587_712
    assert sum(layer.count_params() for layer in matching(whole, "pyramid.*")) == 15_538_176
    assert whole.get_layer("head").count_params() == 257


def test_backbones_are_those_of_the_recipes():
    assert backbones.BACKBONES.keys() == config.BACKBONES.keys()


def test_rates_and_feature_sizes(narrow):
    for stride, conv4, conv5, side in ((16, 1, [2, 4, 8], 16), (8, 2, [4, 8, 16], 32)):
        trunk = narrow[stride].get_layer("backbone")
        for block, rates in ((3, [1] * 4), (4, [conv4] * 6), (5, conv5)):
            convolutions = matching(trunk, rf"conv{block}_block\d+_2_conv")
            assert [layer.dilation_rate[0] for layer in convolutions] == rates
        assert [output.shape[1:3] for output in trunk.outputs] == [(64, 64), (side, side)]
        assert narrow[stride].output_shape == (None, 256, 256, 1)


def test_pyramid_is_the_published_one(whole):
    branches = ["1x1", "rate6", "rate12", "rate18", "pooling_conv", "projection"]
    pyramid = [whole.get_layer(f"pyramid_{name}") for name in branches]
    assert [layer.filters for layer in pyramid] == [256] * 6
    assert [layer.kernel_size[0] for layer in pyramid] == [1, 3, 3, 3, 1, 1]
    assert [layer.dilation_rate[0] for layer in pyramid] == [1, 6, 12, 18, 1, 1]
    assert not any(layer.use_bias for layer in pyramid)
    assert whole.get_layer("pyramid_concatenation").output.shape[-1] == 1280
    dropout, before = whole.get_layer("pyramid_dropout"), whole.get_layer("pyramid_projection_relu")
    assert dropout.rate == 0.5 and dropout.input is before.output
    assert whole.get_layer("head").kernel_size == (1, 1) and whole.get_layer("head").use_bias


def test_backbone_has_the_weights_of_a_file(whole, resnet50):
    ours, theirs = whole.get_layer("backbone").get_weights(), resnet50[0].get_weights()
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(our, their)


@pytest.mark.parametrize(("stride", "steps"), [(16, (1, 1, 2)), (8, (1, 2, 4))])
def test_atrous_resnet_computes_the_original_features_more_densely(resnet50, stride, steps):
    """Those of a block's first atrous unit, at every second pixel, are what its stride gave."""
    trunk = atrous_backbone("resnet50", 64, output_stride=stride, weights=resnet50[1])
    names = ["conv3_block4_out", "conv4_block6_out", "conv5_block1_out"]
    images = random_images(3, 64, count=2) - 120
    dense, strided = (outputs_of(model, names, images) for model in (trunk, resnet50[0]))
    assert dense[2].shape[1] == 64 // stride
    for step, our, their in zip(steps, dense, strided, strict=True):
        tolerance = 1e-5 if step == 1 else 1e-3
        np.testing.assert_allclose(our[:, ::step, ::step], their, tolerance, tolerance)


def test_atrous_mobilenet_computes_the_original_features_more_densely(tmp_path):
    """Keras pads its strided convolutions below and right: the original is at the last pixels."""
    path = tmp_path / "mobilenet_v2.weights.h5"
    original = random_weights(keras.applications.MobileNetV2, path, 96)
    trunk = atrous_backbone("mobilenet_v2", 96, output_stride=8, weights=str(path))
    image = random_images(3, 96) / 127.5 - 1
    dense, expected = trunk([image])[1].numpy(), original(image).numpy()
    assert expected.std() > 0.01
    np.testing.assert_allclose(dense[:, 3::4, 3::4], expected, atol=1e-4)


@pytest.mark.parametrize("name", sorted({*config.BACKBONES} - {"resnet50"}))  # see above
@pytest.mark.parametrize("stride", [8, 16])
def test_every_other_backbone_has_the_right_feature_sizes(name, stride):
    low_level, deep = atrous_backbone(name, 96, output_stride=stride, width=0.05).outputs
    assert deep.shape[1:3] == (96 // stride, 96 // stride)
    assert abs(low_level.shape[1] - 24) <= 1  # Xception's first convolutions are not padded


def test_random_residual_units_start_as_the_identity(narrow, whole):
    """Their last BatchNorm multiplies by zero; with weights from a file it does not."""
    ends = matching(narrow[16].get_layer("backbone"), r"conv\d_block\d+_3_bn")
    assert len(ends) == 16
    assert all(np.all(layer.gamma.numpy() == 0) for layer in ends)
    loaded = whole.get_layer("backbone").get_layer("conv2_block1_3_bn")
    assert np.all(loaded.gamma.numpy() >= 1)


def test_only_the_centre_tap_of_rate_18_is_alive_at_16_by_16(narrow):
    """Taps of each branch that a gradient reaches, of 9, at 256 pixels: facts of the geometry."""
    for stride, expected in ((16, [9, 9, 1]), (8, [9, 9, 9])):
        branches = matching(narrow[stride], r"pyramid_rate\d+")
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(narrow[stride](random_images(1, 256)))
        gradients = tape.gradient(total, [branch.kernel.value for branch in branches])
        live = [np.any(gradient, axis=(2, 3)) for gradient in gradients]
        assert [int(taps.sum()) for taps in live] == expected
        assert live[2][1, 1]


def test_logits_are_upsampled_bilinearly_and_half_pixel_centred(narrow):
    logits = np.zeros((1, 16, 16, 1), "float32")
    logits[0, 8, 8] = 1
    upsampled = np.asarray(narrow[16].get_layer("upsampling")(logits))
    assert np.argwhere(upsampled[0, :, :, 0] > 0.93).mean(axis=0).tolist() == [135.5, 135.5]


def test_the_decoder_makes_it_v3_plus(whole):
    plus = deeplab_v3(64, width=0.5, decoder=True)
    assert (whole.name, plus.name) == ("deeplab_v3", "deeplab_v3_plus")
    assert not matching(whole, "decoder.*")
    low_level = plus.get_layer("decoder_low_level")
    assert (low_level.filters, low_level.kernel_size) == (24, (1, 1))  # half of 48
    assert plus.get_layer("decoder_concatenation").output.shape[1:] == (16, 16, 128 + 24)
    for name in ("decoder_conv1", "decoder_conv2"):
        assert plus.get_layer(name).filters == 128 and plus.get_layer(name).kernel_size == (3, 3)
    assert plus.output_shape == whole.output_shape == (None, 64, 64, 1)


def test_calling_the_model_is_inference():
    """Keras calls `Resizing` with training=True, which must not reach the layers behind it."""
    model = deeplab_v3(32, width=0.05, decoder=True)
    images, before = random_images(1, 32, count=2), model.get_weights()
    np.testing.assert_array_equal(model(images), model(images, training=False))
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_scaling_is_that_of_the_backbone_unless_given(narrow):
    mobilenet = deeplab_v3(32, width=0.05, backbone="mobilenet_v2")
    given = deeplab_v3(32, width=0.05, scaling="unit")
    for model, scaling in ((narrow[16], "caffe"), (mobilenet, "tf"), (given, "unit")):
        assert model.get_layer("input_scaling").scaling == scaling


def test_l2_is_on_every_kernel():
    model = deeplab_v3(32, width=0.05, l2=0.5)
    parts = [*model.layers, *model.get_layer("backbone").layers]
    kernels = [layer.kernel.numpy() for layer in parts if isinstance(layer, layers.Conv2D)]
    # ResNet50's 53, five branches, projection, head.
    assert len(model.losses) == len(kernels) == 53 + 7
    by_hand = sum(0.5 * (kernel**2).sum(dtype=float) for kernel in kernels)
    np.testing.assert_allclose(sum(float(loss) for loss in model.losses), by_hand, rtol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 100}, "DeepLabV3 .*16.*100"),
        ({"size": 72, "output_stride": 16}, "16"),
        ({"output_stride": 32}, "output_stride .*32"),
        ({"backbone": "vgg16"}, "resnet50.*vgg16"),
        ({"weights": "imagenet", "width": 0.5}, "width 0.5"),
    ],
)
def test_what_does_not_fit_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        deeplab_v3(**{"size": 64, "width": 0.05} | settings)


# === ImageNet weights without a network ===


@pytest.mark.parametrize(
    "failure",
    [
        URLError("no such name"),
        HTTPError("https://example.org", 503, "unavailable", None, None),
        TimeoutError("timed out"),
        ConnectionResetError("reset"),
    ],
    ids=lambda failure: type(failure).__name__,
)
@pytest.mark.parametrize("build", [segnet, deeplab_v3])
def test_a_failed_download_has_its_own_error(monkeypatch, tmp_path, build, failure):
    """Known by the exceptions that Keras's own download raises, not by its words."""

    def fail(*_, **__):
        raise failure

    download = functools.partial(keras.utils.get_file, cache_dir=tmp_path)  # nothing is cached
    monkeypatch.setattr(sys.modules[keras.utils.get_file.__module__], "get_file", download)
    monkeypatch.setattr(urllib.request, "urlopen", fail)
    with pytest.raises(WeightsUnavailable):
        build(32, weights="imagenet")


@pytest.mark.parametrize("failure", [MemoryError("no room"), ValueError("URL fetch failure")])
def test_another_failure_is_not_taken_for_a_failed_download(failure):
    def build(**_):
        raise failure

    with pytest.raises(type(failure)):
        pretrained(build, "imagenet")
