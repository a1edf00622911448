"""What the machine can do: its rate of matrix products and of convolutions, in TensorFlow."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
MATRIX = 2048
# Side and channels of SegNet's blocks, whose 3x3 convolutions take equally many operations each.
FEATURES = ((256, 64), (128, 128), (64, 256), (32, 512))
BATCH = 8
PRODUCT, FORWARD, WITH_GRADIENTS = (
    "matrix product",
    "convolutions",
    "convolutions and their gradients",
)


def machine(features: tuple = FEATURES, side: int = MATRIX):
    """A product of square matrices; 3x3 convolutions of features, without and with gradients."""
    import tensorflow as tf

    from benchmarks.turns import Work

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

    def of_each(function):
        for pair in zip(maps, kernels, strict=True):
            function(*pair)

    forward = sum(2 * 9 * channels**2 * size**2 * BATCH for size, channels in features)
    return {
        PRODUCT: Work(multiply, operations=2 * side**3),
        FORWARD: Work(lambda: of_each(convolve), operations=forward),
        WITH_GRADIENTS: Work(lambda: of_each(differentiate), operations=3 * forward),
    }
