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
    followers = {
        id(layer.input): layer for layer in whole.layers if not isinstance(layer.input, list)
    }
    for convolution in convolutions(whole)[:-1]:
        norm = followers[id(convolution.output)]
        assert isinstance(norm, layers.BatchNormalization) and norm.momentum == 0.9
        assert isinstance(followers[id(norm.output)], layers.ReLU)
    after_head = followers[id(whole.get_layer("head").output)]
    assert after_head.activation is keras.activations.sigmoid


def test_five_unpoolings_take_the_indices_of_their_own_block(whole):
    pools = [layer for layer in whole.layers if isinstance(layer, MaxPoolingWithIndices2D)]
    unpools = [layer for layer in whole.layers if isinstance(layer, MaxUnpooling2D)]
    assert len(pools) == len(unpools) == 5
    for pool, unpool in zip(pools, reversed(unpools), strict=True):
        assert unpool.input[1] is pool.output[1]
    assert not any("UpSampling" in type(layer).__name__ for layer in whole.layers)


def test_dropout_follows_the_three_deepest_blocks_each_way(whole):
    dropouts = {
        layer.name: layer.rate for layer in whole.layers if isinstance(layer, layers.Dropout)
    }
    blocks = [f"{way}{number}_dropout" for way in ("block", "decoder") for number in (3, 4, 5)]
    assert dropouts == dict.fromkeys(blocks, 0.5)


def test_l2_is_on_every_kernel_and_on_nothing_else(whole):
    by_hand = sum(
        1e-4 * (layer.kernel.numpy() ** 2).sum(dtype=float) for layer in convolutions(whole)
    )
    assert len(whole.losses) == 26
    np.testing.assert_allclose(sum(float(loss) for loss in whole.losses), by_hand, rtol=1e-4)


def test_encoder_has_the_weights_of_a_file(whole, vgg16):
    for our, their in zip(encoder_layers(whole), convolutions(vgg16[0]), strict=True):
        for array, expected in zip(our.get_weights(), their.get_weights(), strict=True):
            np.testing.assert_array_equal(array, expected)


def test_sizes_and_widths_that_do_not_fit_are_refused(vgg16):
    for size in (0, 16, 100):
        with pytest.raises(ValueError, match="SegNet .*32"):
            segnet(size, width=0.05)
    with pytest.raises(ValueError, match="width 0.5"):
        segnet(32, width=0.5, weights=str(vgg16[1]))


def test_the_decoder_puts_values_where_the_encoder_found_them(narrow):
    """Cut at the indices: the same give the same output, others move every unpooled value."""
    numbers = range(1, 6)
    pools = [narrow.get_layer(f"block{number}_pool") for number in numbers]
    unpools = [narrow.get_layer(f"decoder{number}_unpool") for number in numbers]
    encoder = keras.Model(narrow.input, [pools[-1].output[0], *[pool.output[1] for pool in pools]])
    decoder = keras.Model(encoder.outputs, [narrow.output, *[unpool.output for unpool in unpools]])
    images = random_images(2)
    deepest, *indices = [np.asarray(part) for part in encoder(images)]
    output, *unpooled = [np.asarray(part) for part in decoder([deepest, *indices])]
    np.testing.assert_allclose(output, narrow(images), atol=1e-6)

    def windows(maps):
        count, height, width, channels = maps.shape
        maps = maps.reshape(count, height // 2, 2, width // 2, 2, channels)
        return maps.transpose(0, 1, 3, 5, 2, 4).reshape(count, height // 2, width // 2, channels, 4)

    for index, maps in zip(indices, unpooled, strict=True):
        filled = windows(maps) != 0
        assert filled.any() and (filled.sum(axis=-1) <= 1).all()
        np.testing.assert_array_equal(filled.argmax(axis=-1)[filled.any(-1)], index[filled.any(-1)])

    for number in numbers:
        others = list(indices)
        others[number - 1] = 3 - others[number - 1]
        moved = np.asarray(decoder([deepest, *others])[0])
        assert np.abs(moved - output).max() > 1e-6, f"indices of block {number} do nothing"


def test_permuting_a_batch_permutes_its_masks(narrow):
    images = random_images(3, seed=1)
    np.testing.assert_allclose(
        narrow(images[[2, 0, 1]]), narrow(images).numpy()[[2, 0, 1]], atol=1e-6
    )


def test_grey_and_rgb_images_give_one_probability_per_pixel(narrow):
    images = random_images(2, seed=2)
    grey, rgb = narrow(images).numpy(), narrow(np.repeat(images, 3, axis=-1)).numpy()
    assert grey.shape == (2, 64, 64, 1) and grey.dtype == np.float32
    assert 0 <= grey.min() < grey.max() <= 1
    np.testing.assert_array_equal(grey, rgb)
