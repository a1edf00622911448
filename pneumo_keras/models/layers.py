"""Layers that Keras lacks or computes slowly, and what both networks are built with.

This module is imported while Keras itself is being imported, to register its classes: it may
depend on nothing but Keras.
"""

import functools

import keras
from keras import ops

from pneumo_keras import PACKAGE

# As in keras.applications.imagenet_utils: "caffe" is what VGG16 and ResNet were trained with (BGR,
# means subtracted), "tf" what MobileNetV2 and Xception were. "unit" is the paper's (section 4).
CAFFE_MEANS_BGR = (103.939, 116.779, 123.68)
SCALINGS = ("caffe", "tf", "unit")
BATCH_NORM_MOMENTUM = 0.9  # Keras's 0.99 needs hundreds of steps an epoch


def image_input(size: int, multiple: int, network: str) -> keras.KerasTensor:
    """Input of a network: images (batch, size, size, any channels), values 0..255.

    Raises:
        ValueError: if `size` is not a positive multiple of `multiple`; it names the network.

    Example:
        >>> image_input(64, 32, "SegNet").shape
        (None, 64, 64, None)
    """
    if size < multiple or size % multiple:
        raise ValueError(
            f"{network} takes images whose side is a multiple of {multiple}; got {size}"
        )
    return keras.Input((size, size, None), name="image")


def l2_regularizer(l2: float) -> keras.regularizers.L2 | None:
    """L2 penalty on a kernel; None for a weight of zero."""
    return keras.regularizers.L2(l2) if l2 else None


def convolution_block(
    x: keras.KerasTensor,
    filters: int,
    kernel_size: int,
    name: str,
    *,
    rate: int = 1,
    use_bias: bool = True,
    epsilon: float = 1e-3,
    l2: float = 0.0,
) -> keras.KerasTensor:
    """Convolution (`same` padding, He initialisation), batch normalisation and ReLU.

    The convolution has the given name, the other two layers add `_bn` and `_relu`. `rate` is the
    atrous rate, `epsilon` that of the batch normalisation, `l2` the weight of the kernel's penalty.

    Example:
        >>> convolution_block(keras.Input((8, 8, 3)), 4, 3, "conv").shape
        (None, 8, 8, 4)
    """
    convolution = AtrousConv2D if rate > 1 else keras.layers.Conv2D
    x = convolution(
        filters,
        kernel_size,
        padding="same",
        dilation_rate=rate,
        use_bias=use_bias,
        kernel_initializer="he_normal",
        kernel_regularizer=l2_regularizer(l2),
        name=name,
    )(x)
    x = BatchNormalization(momentum=BATCH_NORM_MOMENTUM, epsilon=epsilon, name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


@keras.saving.register_keras_serializable(PACKAGE)
class InputScaling(keras.layers.Layer):
    """Convert images, 0..255, of any channel count to the three channels a backbone expects.

    Radiographs are grey: the channels of an RGB image are averaged, and the grey value repeated.

    Args:
        scaling: `"caffe"` (BGR, ImageNet means subtracted), `"tf"` (-1..1) or `"unit"` (0..1).

    Raises:
        ValueError: if `scaling` is none of the three.

    Example:
        >>> float(InputScaling("tf")(255 * keras.ops.ones((1, 2, 2, 1)))[0, 0, 0, 0])
        1.0
    """

    def __init__(self, scaling: str, **kwargs):
        super().__init__(**kwargs)
        if scaling not in SCALINGS:
            raise ValueError(f"scaling must be one of {', '.join(SCALINGS)}; got {scaling!r}")
        self.scaling = scaling

    def call(self, images):
        grey = ops.mean(images, axis=-1, keepdims=True)
        if self.scaling == "caffe":
            return ops.concatenate([grey - mean for mean in CAFFE_MEANS_BGR], axis=-1)
        grey = grey / 127.5 - 1.0 if self.scaling == "tf" else grey / 255.0
        return ops.repeat(grey, 3, axis=-1)

    def get_config(self):
        return {**super().get_config(), "scaling": self.scaling}


@keras.saving.register_keras_serializable(PACKAGE)
class MaxPoolingWithIndices2D(keras.layers.Layer):
    """2x2 max pooling that also returns which of the four pixels was largest (SegNet, section 3.2).

    The index is 0..3 within the window, in reading order. Ties go to the first pixel, in value
    and gradient. `tf.nn.max_pool_with_argmax` does not compile under XLA.

    Input: (batch, height, width, channels), height and width even.
    Output: maxima and indices (int32), both (batch, height/2, width/2, channels).

    Example:
        >>> window = keras.ops.reshape(keras.ops.array([1.0, 4.0, 2.0, 3.0]), (1, 2, 2, 1))
        >>> maximum, index = MaxPoolingWithIndices2D()(window)
        >>> float(maximum[0, 0, 0, 0]), int(index[0, 0, 0, 0])
        (4.0, 1)
    """

    def call(self, features):
        # No -1 for the batch size: a device may be given an empty batch.
        batch, height, width, channels = ops.shape(features)
        windows = ops.reshape(features, (batch, height // 2, 2, width // 2, 2, channels))
        windows = ops.transpose(windows, (0, 1, 3, 2, 4, 5))
        windows = ops.reshape(windows, (batch, height // 2, width // 2, 4, channels))
        indices = ops.argmax(windows, axis=3)
        # Not ops.max, which spreads the gradient over ties.
        selected = ops.one_hot(indices, 4, axis=3, dtype=windows.dtype)
        return ops.sum(windows * selected, axis=3), ops.cast(indices, "int32")


@keras.saving.register_keras_serializable(PACKAGE)
class MaxUnpooling2D(keras.layers.Layer):
    """Inverse of `MaxPoolingWithIndices2D`: each value at its index, zero elsewhere.

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


@keras.saving.register_keras_serializable(PACKAGE)
class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` that trains with TensorFlow's fused operation.

    On a CPU the fused operation takes a third of the time of Keras's separate passes. Where
    `tf.distribute` divides a batch between devices, the statistics are those of the whole batch.
    Both need channels that come last; anything else, and other backends, use Keras's own code.

    Example:
        >>> layer = BatchNormalization(momentum=0.9)
        >>> normalised = layer(keras.ops.array([[[[1.0]], [[3.0]]]]), training=True)
        >>> [round(float(value), 3) for value in keras.ops.reshape(normalised, (2,))]
        [-1.0, 1.0]
    """

    def call(self, inputs, training=None, mask=None):
        tensorflow = keras.backend.backend() == "tensorflow"
        maps = len(inputs.shape) == 4 and self.axis in (-1, 3) and self.scale and self.center
        if not (tensorflow and maps and training and self.trainable and mask is None):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        scale, offset = self.gamma.value, self.beta.value
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            outputs, mean, variance = self._over_devices(inputs, scale, offset)
        else:
            outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
                inputs, scale, offset, epsilon=self.epsilon
            )
            # The operation divides by n - 1, Keras by n.
            pixels = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), variance.dtype)
            variance = variance * (pixels - 1) / pixels
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + batch * (1 - self.momentum))
        return outputs

    def _over_devices(self, inputs, scale, offset):
        """Normalise by the statistics of all devices; Keras's E[x^2] - E[x]^2 is less exact."""
        import tensorflow as tf

        def mean_over_devices(values):
            mean = tf.reduce_mean(values, axis=(0, 1, 2))
            replica = tf.distribute.get_replica_context()
            return replica.all_reduce(tf.distribute.ReduceOp.MEAN, mean)

        features = tf.cast(inputs, tf.float32)
        mean = mean_over_devices(features)
        variance = mean_over_devices(tf.square(features - mean))
        outputs = tf.nn.batch_normalization(features, mean, variance, offset, scale, self.epsilon)
        return tf.cast(outputs, inputs.dtype), mean, variance


@keras.saving.register_keras_serializable(PACKAGE)
class AtrousConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D` with a faster dilated convolution.

    Arguments, weights and results are those of Keras. Two cases, with stride 1, `same` padding
    and an odd kernel, are computed in another way:

    - Where the rate is at least the side of the features, every tap but the centre one falls on
      padding: a 1x1 convolution, for a 3x3 kernel at a ninth of the work.
    - On TensorFlow, Keras divides the features into rate x rate maps and convolves those. Where
      TensorFlow's own dilated convolution has gradients (not on every CPU), it is used instead:
      two to eight times faster.

    Example:
        >>> layer = AtrousConv2D(1, 3, padding="same", dilation_rate=4, kernel_initializer="ones")
        >>> float(keras.ops.sum(layer(keras.ops.ones((1, 4, 4, 1)))))
        16.0
    """

    def call(self, inputs):
        centred = self.padding == "same" and all(side % 2 for side in self.kernel_size)
        plain = max(self.strides) == 1 and self.groups == 1 and self.data_format == "channels_last"
        sides = inputs.shape[1:3]
        if not (centred and plain):
            return super().call(inputs)
        if None not in sides and min(self.dilation_rate) >= max(sides):
            row, column = (side // 2 for side in self.kernel_size)
            centre = self.kernel[row : row + 1, column : column + 1]
            outputs = ops.conv(inputs, centre, padding="same", data_format=self.data_format)
        elif _tensorflow_has_gradients(self.compute_dtype):
            import tensorflow as tf

            kernel = ops.convert_to_tensor(self.kernel)
            outputs = tf.nn.conv2d(inputs, kernel, 1, "SAME", dilations=self.dilation_rate)
        else:
            return super().call(inputs)
        outputs = outputs + self.bias if self.use_bias else outputs
        return self.activation(outputs)


@functools.cache
def _tensorflow_has_gradients(dtype: str) -> bool:
    """Try whether TensorFlow differentiates a dilated convolution here: nothing says so."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    with tf.init_scope():  # eagerly, even while a graph is being traced
        features = tf.ones((1, 4, 4, 1), dtype)
        try:
            tf.compat.v1.nn.conv2d_backprop_filter(
                features,
                filter_sizes=(3, 3, 1, 1),
                out_backprop=features,
                strides=[1, 1, 1, 1],
                padding="SAME",
                dilations=[1, 2, 2, 1],
            )
        except tf.errors.OpError:
            return False
    return True
