"""How many floating-point operations the convolutions of a Keras network take, a film.

A multiplication and an addition are two. What is not a convolution is left out: it costs time
but does little arithmetic, which is what a share of the machine's convolution rate shows. Of atrous
convolutions the taps that meet only padding are left out as well.
"""

from __future__ import annotations

import keras

from pneumo_keras.models.atrous import AtrousConv2D


def forward_operations(model: keras.Model) -> int:
    """Operations of one film on its way through.

    Example:
        >>> film = keras.Input((4, 4, 3))
        >>> forward_operations(keras.Model(film, keras.layers.Conv2D(5, 3, padding="same")(film)))
        4320
    """
    return sum(map(_operations, _convolutions(model)))


def step_operations(model: keras.Model) -> int:
    """Operations of one film in a training step.

    The gradients by weights and by features take as many each as the way through; the first
    convolution needs none by its features, which are the film.
    """
    convolutions = _convolutions(model)
    first = min(convolutions, key=lambda layer: layer.kernel.shape[2])  # the film's few channels
    return 3 * sum(map(_operations, convolutions)) - _operations(first)


def _convolutions(model: keras.Model) -> list[keras.layers.Conv2D]:
    return [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Conv2D)]


def _operations(layer: keras.layers.Conv2D) -> int:
    _, height, width, filters = layer.output.shape
    kernel_height, kernel_width, channels, _ = layer.kernel.shape
    taps = kernel_height * kernel_width
    if isinstance(layer, AtrousConv2D):
        down, right = layer.dilation_rate
        taps = _live_taps(height, down) * _live_taps(width, right)
    return round(2 * taps * channels * filters * height * width)


def _live_taps(side: int, rate: int) -> float:
    """Of the three taps in a row, how many meet a feature and not padding, on average."""
    return sum(max(0, side - abs(tap) * rate) for tap in (-1, 0, 1)) / side
