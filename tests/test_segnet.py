"""SegNet: layers, counts, weights, and what its pooling indices do."""

import keras
import numpy as np
import pytest
from keras import layers

from pneumo_keras.models.layers import MaxPoolingWithIndices2D, MaxUnpooling2D
from pneumo_keras.models.segnet import encoder_layers, segnet

# SegNet-Tutorial/Models/segnet_train.prototxt: conv1_1 to conv5_3, conv5_3_D to conv1_2_D, head.
FILTERS = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
FILTERS += [512, 512, 512, 512, 512, 256, 256, 256, 128, 128, 64, 64, 1]


@pytest.fixture(scope="module")
def vgg16(tmp_path_factory):
    """VGG16 without top with random weights, and the file they are in."""
    model = keras.applications.VGG16(include_top=False, weights=None)
    for layer in model.layers:  # initial biases are zero, which would hide that they are not loaded
        if isinstance(layer, layers.Conv2D):
            layer.bias.assign(np.random.default_rng(0).normal(size=layer.bias.shape))
    path = tmp_path_factory.mktemp("vgg16") / "vgg16.weights.h5"
    model.save_weights(path)
    return model, path


@pytest.fixture(scope="module")
def whole(vgg16):
    """SegNet at full width, with those weights."""
    return segnet(32, weights=str(vgg16[1]), l2=1e-4)


@pytest.fixture(scope="module")
def narrow():
    return segnet(64, width=0.05, dropout=0.0)


def convolutions(model):
    return [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]


def random_images(count, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (count, 64, 64, 1)).astype("float32")


def test_parameters(whole):
    assert whole.count_params() == 29_459_457
    assert sum(int(np.prod(w.shape)) for w in whole.trainable_weights) == 29_443_585
    assert sum(layer.count_params() for layer in encoder_layers(whole)) == 14_714_688


def test_convolutions_are_those_of_the_original(whole):
    assert [layer.filters for layer in convolutions(whole)] == FILTERS
    assert {layer.kernel_size for layer in convolutions(whole)} == {(3, 3)}
    assert all(layer.use_bias and layer.padding == "same" for layer in convolutions(whole))


def test_every_convolution_but_the_head_has_batch_norm_then_relu(whole):
    for convolution in convolutions(whole)[:-1]:
        norm = whole.get_layer(f"{convolution.name}_bn")
        assert norm.input is convolution.output and norm.momentum == 0.9
        assert whole.get_layer(f"{convolution.name}_relu").input is norm.output
    sigmoid = whole.layers[-1]
    assert sigmoid.input is whole.get_layer("head").output
    assert sigmoid.activation is keras.activations.sigmoid


def test_five_unpoolings_take_the_indices_of_their_own_block(whole):
    pools = [layer for layer in whole.layers if isinstance(layer, MaxPoolingWithIndices2D)]
    unpools = [layer for layer in whole.layers if isinstance(layer, MaxUnpooling2D)]
    assert len(pools) == len(unpools) == 5
    for pool, unpool in zip(pools, reversed(unpools), strict=True):
        assert unpool.input[1] is pool.output[1]


def test_dropout_follows_the_three_deepest_blocks_each_way(whole):
    dropouts = [layer for layer in whole.layers if isinstance(layer, layers.Dropout)]
    blocks = [f"{way}{number}_dropout" for way in ("block", "decoder") for number in (3, 4, 5)]
    assert {layer.name: layer.rate for layer in dropouts} == dict.fromkeys(blocks, 0.5)


def test_l2_is_on_every_kernel_and_on_nothing_else(whole):
    kernels = [layer.kernel.numpy() for layer in convolutions(whole)]
    by_hand = sum(1e-4 * (kernel**2).sum(dtype=float) for kernel in kernels)
    assert len(whole.losses) == 26
    np.testing.assert_allclose(sum(float(loss) for loss in whole.losses), by_hand, rtol=1e-4)


def test_encoder_has_the_weights_of_a_file(whole, vgg16):
    loaded = [array for layer in encoder_layers(whole) for array in layer.get_weights()]
    for array, expected in zip(loaded, vgg16[0].get_weights(), strict=True):
        np.testing.assert_array_equal(array, expected)


def test_sizes_and_widths_that_do_not_fit_are_refused(vgg16):
    for size in (0, 16, 100):
        with pytest.raises(ValueError, match="SegNet .*32"):
            segnet(size, width=0.05)
    with pytest.raises(ValueError, match="width 0.5"):
        segnet(32, width=0.5, weights=str(vgg16[1]))


def test_the_decoder_puts_values_where_the_encoder_found_them(narrow):
    """Cut at the indices: the same give the same output, others move every unpooled value."""
    pools = [narrow.get_layer(f"block{number}_pool") for number in range(1, 6)]
    unpools = [narrow.get_layer(f"decoder{number}_unpool") for number in range(1, 6)]
    encoder = keras.Model(narrow.input, [pools[-1].output[0], *[pool.output[1] for pool in pools]])
    decoder = keras.Model(encoder.outputs, [narrow.output, *[unpool.output for unpool in unpools]])
    images = random_images(2)
    deepest, *indices = [np.asarray(part) for part in encoder(images)]
    output, *unpooled = [np.asarray(part) for part in decoder([deepest, *indices])]
    np.testing.assert_allclose(output, narrow(images), atol=1e-6)
    for level, (index, maps) in enumerate(zip(indices, unpooled, strict=True)):
        corners = [maps[:, row::2, column::2] != 0 for row in (0, 1) for column in (0, 1)]
        assert np.any(corners)
        for number, filled in enumerate(corners):  # in reading order, as the indices
            assert (index[filled] == number).all()
        others = [3 - part if part is index else part for part in indices]
        moved = np.asarray(decoder([deepest, *others])[0])
        assert np.abs(moved - output).max() > 1e-6, f"indices of block {level + 1} do nothing"


def test_permuting_a_batch_permutes_its_masks(narrow):
    images, order = random_images(3, seed=1), [2, 0, 1]
    np.testing.assert_allclose(narrow(images[order]), narrow(images).numpy()[order], atol=1e-6)


def test_grey_and_rgb_images_give_one_probability_per_pixel(narrow):
    images = random_images(2, seed=2)
    grey, rgb = narrow(images).numpy(), narrow(np.repeat(images, 3, axis=-1)).numpy()
    assert grey.shape == (2, 64, 64, 1) and grey.dtype == np.float32
    assert 0 <= grey.min() < grey.max() <= 1
    np.testing.assert_array_equal(grey, rgb)
