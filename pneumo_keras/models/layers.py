"""The layers that Keras does not have: pooling with indices, its inverse, and film scaling."""

from __future__ import annotations

import keras
from keras import ops

PACKAGE = "pneumo_keras"

# keras.applications.imagenet_utils, as constants: "caffe" is what VGG16 and ResNet were trained
# with (BGR, means subtracted), "tf" what MobileNetV2 and Xception were. "unit" is the paper's.
_CAFFE_MEANS_BGR = (103.939, 116.779, 123.68)
SCALINGS = ("caffe", "tf", "unit")


@keras.saving.register_keras_serializable(PACKAGE)
class FilmScaling(keras.layers.Layer):
    """Turns films of any channel count into the three scaled channels a backbone expects.

    Films are grey, so the channels of an RGB film are averaged before the grey is repeated.
    Living inside the model, the scaling travels with every saved file.

    Args:
        scaling: `"caffe"` (BGR, ImageNet means subtracted), `"tf"` (to -1..1) or `"unit"`
            (to 0..1, as section 4 of the paper has it).

    Input: (batch, height, width, channels), values 0..255. Output: the same with 3 channels.

    Raises:
        ValueError: if `scaling` is none of the three.

    Example:
        >>> float(FilmScaling("tf")(255 * keras.ops.ones((1, 2, 2, 1)))[0, 0, 0, 0])
        1.0
    """

    def __init__(self, scaling: str, **kwargs):
        super().__init__(**kwargs)
        if scaling not in SCALINGS:
            raise ValueError(f"scaling must be one of {', '.join(SCALINGS)}; got {scaling!r}")
        self.scaling = scaling

    def call(self, films):
        grey = ops.mean(films, axis=-1, keepdims=True)
        if self.scaling == "caffe":
            return ops.concatenate([grey - mean for mean in _CAFFE_MEANS_BGR], axis=-1)
        grey = grey / 127.5 - 1.0 if self.scaling == "tf" else grey / 255.0
        return ops.repeat(grey, 3, axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 3)

    def get_config(self):
        return {**super().get_config(), "scaling": self.scaling}


@keras.saving.register_keras_serializable(PACKAGE)
class MaxPoolingWithIndices2D(keras.layers.Layer):
    """2x2 max pooling that also says which of the four pixels won (SegNet, section 3.2).

    Written as an argmax within each window rather than with
    `tf.nn.max_pool_with_argmax`, which XLA cannot compile, and whose flat indices mix up the
    films of a batch unless asked not to. The index is 0..3 within the window, so it is exact
    for any batch and film size. Ties go to the first pixel in reading order, value and gradient.

    Input: (batch, height, width, channels), height and width even.
    Output: the maxima, (batch, height/2, width/2, channels), and their indices, int32, same shape.

    Example:
        >>> window = keras.ops.reshape(keras.ops.array([1.0, 4.0, 2.0, 3.0]), (1, 2, 2, 1))
        >>> maximum, index = MaxPoolingWithIndices2D()(window)
        >>> float(maximum[0, 0, 0, 0]), int(index[0, 0, 0, 0])
        (4.0, 1)
    """

    def call(self, features):
        # Not -1 for the batch: a device that is left without films gets an empty one.
        batch, height, width, channels = ops.shape(features)
        windows = ops.reshape(features, (batch, height // 2, 2, width // 2, 2, channels))
        windows = ops.transpose(windows, (0, 1, 3, 2, 4, 5))
        windows = ops.reshape(windows, (batch, height // 2, width // 2, 4, channels))
        indices = ops.argmax(windows, axis=3)
        # Not ops.max: it would spread the gradient over ties, and the unpooling would not.
        winners = ops.one_hot(indices, 4, axis=3, dtype=windows.dtype)
        return ops.sum(windows * winners, axis=3), ops.cast(indices, "int32")

    def compute_output_spec(self, features):
        batch, height, width, channels = features.shape
        shape = (batch, height // 2, width // 2, channels)
        return keras.KerasTensor(shape, self.compute_dtype), keras.KerasTensor(shape, "int32")


@keras.saving.register_keras_serializable(PACKAGE)
class MaxUnpooling2D(keras.layers.Layer):
    """Puts each value back where `MaxPoolingWithIndices2D` found it, zero elsewhere.

    Input: values (batch, height, width, channels) and their indices, int32 0..3, same shape.
    Output: (batch, 2 height, 2 width, channels).

    Example:
        >>> values, indices = keras.ops.full((1, 1, 1, 1), 4.0), keras.ops.full((1, 1, 1, 1), 1)
        >>> keras.ops.convert_to_numpy(MaxUnpooling2D()(values, indices)).ravel().tolist()
        [0.0, 4.0, 0.0, 0.0]
    """

    def call(self, values, indices):
        batch, height, width, channels = ops.shape(values)
        windows = ops.expand_dims(values, 3) * ops.one_hot(indices, 4, axis=3, dtype=values.dtype)
        windows = ops.reshape(windows, (batch, height, width, 2, 2, channels))
        windows = ops.transpose(windows, (0, 1, 3, 2, 4, 5))
        return ops.reshape(windows, (batch, 2 * height, 2 * width, channels))

    def compute_output_spec(self, values, indices):
        batch, height, width, channels = values.shape
        return keras.KerasTensor((batch, 2 * height, 2 * width, channels), self.compute_dtype)


@keras.saving.register_keras_serializable(PACKAGE)
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's own BatchNormalization, trained in one pass over the features on TensorFlow.

    Keras computes moments and normalisation as separate passes, which on a CPU take as long as
    the convolution before them; TensorFlow's fused operation takes a third of that. Arguments,
    weights, results and, on other backends, the code are Keras's. Channels come last.

    Where `tf.distribute` shares a batch between devices, its statistics are those of the whole
    batch, as they are on JAX, not of each device's part.

    Example:
        >>> layer = BatchNormalization(momentum=0.9)
        >>> normalised = layer(keras.ops.array([[[[1.0]], [[3.0]]]]), training=True)
        >>> [round(float(value), 3) for value in keras.ops.reshape(normalised, (2,))]
        [-1.0, 1.0]
    """

    def call(self, inputs, training=None, mask=None):
        if keras.backend.backend() != "tensorflow" or not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        shared = tf.distribute.get_strategy().num_replicas_in_sync > 1
        outputs, mean, variance = (self._shared if shared else self._fused)(inputs)
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + batch * (1 - self.momentum))
        return outputs

    def _fused(self, inputs):
        import tensorflow as tf

        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma.value,
            offset=self.beta.value,
            mean=[],
            variance=[],
            epsilon=self.epsilon,
            is_training=True,
        )
        # The operation divides by n - 1, Keras by n.
        pixels = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), variance.dtype)
        return outputs, mean, variance * (pixels - 1) / pixels

    def _shared(self, inputs):
        import tensorflow as tf

        def over_devices(values):
            per_device = tf.reduce_mean(values, axis=tf.range(tf.rank(values) - 1))
            replica = tf.distribute.get_replica_context()
            return replica.all_reduce(tf.distribute.ReduceOp.MEAN, per_device)

        features = tf.cast(inputs, tf.float32)
        mean = over_devices(features)
        variance = over_devices(tf.square(features - mean))
        outputs = tf.nn.batch_normalization(
            features, mean, variance, self.beta.value, self.gamma.value, self.epsilon
        )
        return tf.cast(outputs, inputs.dtype), mean, variance


def film_input(size: int, multiple: int, network: str) -> keras.KerasTensor:
    """The input of a network: films of any channel count, values 0..255.

    Args:
        size: side of the square films, pixels.
        multiple: what `size` must be divisible by, for the network's poolings to fit.
        network: its name, for the error.

    Raises:
        ValueError: if `size` is not a positive multiple of `multiple`.

    Example:
        >>> film_input(64, 32, "SegNet").shape
        (None, 64, 64, None)
    """
    if size < multiple or size % multiple:
        raise ValueError(
            f"{network} takes films whose side is a multiple of {multiple}; got {size}"
        )
    return keras.Input((size, size, None), name="film")
