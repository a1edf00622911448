"""What the machine can do, and a training step and a prediction of each network in TensorFlow.

All from random weights, with Adam and binary cross-entropy, on the same random images.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from benchmarks.torch_network import BATCH, LEARNING_RATE, PREDICT, SIZE, TRAIN, random_batch
from benchmarks.turns import Work
from pneumo_keras.config import choose_recipe
from pneumo_keras.models.layers import AtrousConv2D, MaxPoolingWithIndices2D, MaxUnpooling2D
from pneumo_keras.training.build import build_network
from pneumo_keras.training.losses import LOSSES

PRODUCT, FORWARD, WITH_GRADIENTS = "matrix product", "convolutions", "with their gradients"
POOL = "pooling and unpooling"
MATRIX = 2048
# Side and channels of SegNet's blocks, whose 3x3 convolutions take equally many operations each.
FEATURES = ((256, 64), (128, 128), (64, 256), (32, 512))


def machine(features: tuple = FEATURES, side: int = MATRIX) -> dict[str, Work]:
    """A product of square matrices; 3x3 convolutions of features, without and with gradients."""
    matrix = tf.random.normal((side, side))
    maps = [tf.random.normal((BATCH, size, size, channels)) for size, channels in features]
    kernels = [tf.random.normal((3, 3, channels, channels)) for _, channels in features]

    @tf.function
    def multiply():
        return tf.matmul(matrix, matrix)

    @tf.function
    def convolve(map_, kernel):
        return tf.nn.conv2d(map_, kernel, 1, "SAME")

    @tf.function
    def differentiate(map_, kernel):
        with tf.GradientTape() as tape:
            tape.watch([map_, kernel])
            outputs = tf.nn.conv2d(map_, kernel, 1, "SAME")
        return outputs, *tape.gradient(outputs, [map_, kernel], output_gradients=map_)

    def each(function):
        for pair in zip(maps, kernels, strict=True):
            function(*pair)

    forward = sum(2 * 9 * channels**2 * size**2 * BATCH for size, channels in features)
    return {
        PRODUCT: Work(multiply, operations=2 * side**3),
        FORWARD: Work(lambda: each(convolve), operations=forward),
        WITH_GRADIENTS: Work(lambda: each(differentiate), operations=3 * forward),
    }


def segnet(size: int = SIZE) -> dict[str, Work]:
    """SegNet of the recipe `paper`, and its pooling and unpooling alone."""
    works = _works(paper_network("segnet", size), size)
    return works | _pooling_works(MaxPoolingWithIndices2D(), MaxUnpooling2D())


def segnet_with_argmax(size: int = SIZE) -> dict[str, Work]:
    """The same with TensorFlow's flat indices, as most SegNets have them."""
    works = _works(with_argmax(paper_network("segnet", size)), size)
    return works | _pooling_works(ArgmaxPooling(), ScatterUnpooling())


def deeplabv3(size: int = SIZE) -> dict[str, Work]:
    """DeepLabV3 of the recipe `paper`, but for the loss."""
    return _works(paper_network("deeplabv3", size), size)


def deeplabv3_of_the_paper(size: int = SIZE) -> dict[str, Work]:
    """DeepLabV3 of the recipe `paper`, the hybrid loss included."""
    return {TRAIN: _works(paper_network("deeplabv3", size), size, "hybrid_published")[TRAIN]}


def deeplabv3_of_keras_hub(size: int = SIZE) -> dict[str, Work]:
    """keras-hub's, whose backbone has no atrous convolutions.

    Its pyramid is on the features of conv4, for the same output stride with one block less.
    """
    import keras_hub

    backbone = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=[3, 4, 6, 3],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="bottleneck_block",
        image_shape=(size, size, 3),
    )
    pyramid = keras_hub.models.DeepLabV3Backbone(
        image_encoder=backbone,
        spatial_pyramid_pooling_key="P4",
        upsampling_size=16,
        dilation_rates=[6, 12, 18],
        image_shape=(size, size, 3),
    )
    model = keras_hub.models.DeepLabV3ImageSegmenter(pyramid, num_classes=1, activation="sigmoid")
    return _works(model, size, channels=3)


def paper_network(network: str, size: int) -> keras.Model:
    """One of the study's networks, of the recipe `paper`, with random weights."""
    recipe = choose_recipe("paper", {"weights": None, "size": size})
    return build_network(network, recipe, None)


def _works(
    model: keras.Model, size: int, loss: str = "binary_crossentropy", channels: int = 1
) -> dict[str, Work]:
    images, masks = random_batch(size, channels)
    model.compile(keras.optimizers.Adam(LEARNING_RATE), LOSSES[loss]())
    forward, step = operations(model)
    return {
        TRAIN: Work(lambda: model.train_on_batch(images, masks), BATCH, BATCH * step),
        PREDICT: Work(lambda: model.predict_on_batch(images), BATCH, BATCH * forward),
    }


# === SegNet with the indices of TensorFlow ===


class ArgmaxPooling(keras.layers.Layer):
    """2x2 max pooling, and where in the batch each maximum was, as flat indices."""

    def call(self, features):
        return tf.nn.max_pool_with_argmax(features, 2, 2, "SAME", include_batch_in_index=True)

    def compute_output_spec(self, features):
        batch, height, width, channels = features.shape
        shape = (batch, height // 2, width // 2, channels)
        return keras.KerasTensor(shape, self.compute_dtype), keras.KerasTensor(shape, "int64")


class ScatterUnpooling(keras.layers.Layer):
    """Put each value back where its flat index says."""

    def call(self, values, indices):
        batch, height, width, channels = tf.unstack(tf.shape(values))
        shape = tf.stack([batch, 2 * height, 2 * width, channels])
        size = tf.cast(tf.reduce_prod(shape)[None], tf.int64)
        flat = tf.scatter_nd(tf.reshape(indices, (-1, 1)), tf.reshape(values, (-1,)), size)
        return tf.reshape(flat, shape)

    def compute_output_spec(self, values, indices):
        batch, height, width, channels = values.shape
        return keras.KerasTensor((batch, 2 * height, 2 * width, channels), self.compute_dtype)


def with_argmax(segnet: keras.Model) -> keras.Model:
    """A SegNet with these layers for pooling and unpooling, and new weights."""
    others = {MaxPoolingWithIndices2D: ArgmaxPooling, MaxUnpooling2D: ScatterUnpooling}

    def other(layer):
        return others.get(type(layer), type(layer)).from_config(layer.get_config())

    return keras.models.clone_model(segnet, clone_function=other)


def _pooling_works(pooling: keras.layers.Layer, unpooling: keras.layers.Layer) -> dict[str, Work]:
    """SegNet's five poolings and unpoolings with nothing between them, and their gradients."""
    pooled = (*FEATURES, (16, 512))
    features = [tf.random.normal((BATCH, side, side, channels)) for side, channels in pooled]

    @tf.function
    def differentiate(block):
        with tf.GradientTape() as tape:
            tape.watch(block)
            outputs = unpooling(*pooling(block))
        return outputs, tape.gradient(outputs, block, output_gradients=block)

    return {POOL: Work(lambda: [differentiate(block) for block in features], BATCH)}


# === Operations ===


def operations(model: keras.Model) -> tuple[int, int]:
    """Floating-point operations of the convolutions, for a prediction and a training step.

    Per image; a multiplication and an addition are two. Taps that meet only padding are left out.
    A step takes three times as many, less the gradient by the image, which is not needed.

    Example:
        >>> image = keras.Input((4, 4, 3))
        >>> operations(keras.Model(image, keras.layers.Conv2D(5, 3, padding="same")(image)))
        (4320, 8640)
    """
    layers = [x for x in model._flatten_layers() if isinstance(x, keras.layers.Conv2D)]
    first = min(layers, key=lambda layer: layer.kernel.shape[2])  # the image has few channels
    forward = sum(map(_operations, layers))
    return forward, 3 * forward - _operations(first)


def _operations(layer: keras.layers.Conv2D) -> int:
    _, height, width, filters = layer.output.shape
    rows, columns, channels, _ = layer.kernel.shape
    if isinstance(layer, AtrousConv2D):
        down, right = layer.dilation_rate
        rows, columns = _live_taps(height, down), _live_taps(width, right)
    return round(2 * rows * columns * channels * filters * height * width)


def _live_taps(side: int, rate: int) -> float:
    """Of the three taps in a row, how many meet a feature and not padding, on average."""
    return sum(max(0, side - abs(tap) * rate) for tap in (-1, 0, 1)) / side
