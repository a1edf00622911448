"""Pooling indices as most SegNets have them, for reference: TensorFlow's argmax, and scattering."""

from __future__ import annotations

import keras
import tensorflow as tf

from benchmarks.machine import FEATURES

BLOCKS = (*FEATURES, (16, 512))  # side and channels of what SegNet pools


class ArgmaxPooling(keras.layers.Layer):
    """2x2 max pooling and where in the batch each maximum was, as flat indices."""

    def call(self, features):
        return tf.nn.max_pool_with_argmax(features, 2, 2, "SAME", include_batch_in_index=True)

    def compute_output_spec(self, features):
        batch, height, width, channels = features.shape
        shape = (batch, height // 2, width // 2, channels)
        return keras.KerasTensor(shape, self.compute_dtype), keras.KerasTensor(shape, "int64")


class ScatterUnpooling(keras.layers.Layer):
    """Puts each value back where its flat index says."""

    def call(self, values, indices):
        batch, height, width, channels = tf.unstack(tf.shape(values))
        shape = tf.stack([batch, 2 * height, 2 * width, channels])
        flat = tf.scatter_nd(
            tf.reshape(indices, (-1, 1)),
            tf.reshape(values, (-1,)),
            tf.cast(tf.reduce_prod(shape)[None], tf.int64),
        )
        return tf.reshape(flat, shape)

    def compute_output_spec(self, values, indices):
        batch, height, width, channels = values.shape
        return keras.KerasTensor((batch, 2 * height, 2 * width, channels), self.compute_dtype)


def pool_and_unpool(pooling: keras.layers.Layer, unpooling: keras.layers.Layer, batch: int):
    """SegNet's five poolings and unpoolings with nothing between them, and their gradients.

    Returns:
        A function without arguments.
    """
    features = [tf.random.normal((batch, side, side, channels)) for side, channels in BLOCKS]

    @tf.function
    def differentiate(block):
        with tf.GradientTape() as tape:
            tape.watch(block)
            outputs = unpooling(*pooling(block))
        return outputs, tape.gradient(outputs, block, output_gradients=block)

    def of_all():
        for block in features:
            differentiate(block)

    return of_all
