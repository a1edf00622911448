"""Trains a small network of this project's layers; started by test_backends.py, one process each.

    python small_training.py FOLDER DEVICES...

Leaves a training in FOLDER/DEVICES for each of DEVICES (one, all), and its weights beside it.
With `KERAS_BACKEND=jax` importing TensorFlow is an error; with `TF_CONFIG` two processes train
together, of which the second may write nothing.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd

SIZE = 32


class NoTensorFlow:
    """An import hook."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ImportError(f"{name} was imported")


def forbid_writing(folder):
    def hook(event, arguments):
        writes = event in ("os.mkdir", "os.rename", "os.remove") or (
            event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        )
        if writes and str(arguments[0]).startswith(str(folder)):
            raise RuntimeError(f"{event} {arguments[0]}: not by this process")

    sys.addaudithook(hook)


def small_network(network, recipe):
    import keras
    from keras import layers

    from pneumo_keras.models import layers as own
    from pneumo_keras.models.atrous import AtrousConv2D
    from pneumo_keras.training.networks import Network

    film = keras.Input((SIZE, SIZE, None))
    x = own.FilmScaling("unit")(film)
    x = layers.Conv2D(4, 3, padding="same", use_bias=False)(x)
    x = layers.ReLU()(own.BatchNormalization(momentum=0.9)(x))
    x, indices = own.MaxPoolingWithIndices2D()(x)
    x = AtrousConv2D(4, 3, padding="same", dilation_rate=2, activation="relu")(x)
    x = own.MaxUnpooling2D()(x, indices)
    x = layers.Conv2D(1, 3, padding="same")(x)
    model = keras.Model(film, layers.Activation("sigmoid", dtype="float32")(x))
    random = np.random.default_rng(0)  # the same on every backend
    for weight in model.trainable_weights:
        if weight.name == "kernel":
            weight.assign(random.normal(0, 0.3, weight.shape))
    return Network(model, (), "random")


def squares(count=19):
    """Films with a bright square at a random place, and the squares."""
    random = np.random.default_rng(0)
    films = random.integers(30, 90, (count, SIZE, SIZE), dtype=np.uint8)
    masks = np.zeros_like(films)
    for number, (row, column) in enumerate(random.integers(2, 16, (count, 2))):
        films[number, row : row + 14, column : column + 14] += 120
        masks[number, row : row + 14, column : column + 14] = 1
    return films, masks


def patch(set_attribute):
    """Puts the small network in the place of SegNet, and plain gradient descent in Adam's."""
    import keras

    from pneumo_keras.training import fit

    def descent(rate, clipnorm):
        return keras.optimizers.SGD(rate, clipnorm=clipnorm)

    set_attribute(fit, "build_network", small_network)
    # Adam would hide a gradient of another size.
    set_attribute(keras.optimizers, "Adam", descent)


def train(folder, **changes):
    """One training of two epochs of two steps; the weights it ends with, in order."""
    import keras

    from pneumo_keras.dataset.arrays import Arrays
    from pneumo_keras.training import fit
    from pneumo_keras.training.recipes import choose_recipe

    films, masks = squares()
    names = [f"film{number}" for number in range(len(films))]
    split = pd.Series(["train"] * 9 + ["validation"] * 7 + ["test"] * 3, index=names)
    settings = {
        "size": SIZE,
        "batch_size": 4,
        "epochs": 2,
        "augment": True,
        "optimizer": "adam",
        "schedule": "constant",
        "learning_rate": 0.1,
        "segnet_loss": "hybrid_corrected",
    }
    recipe = choose_recipe("quick", settings | changes)
    arrays = Arrays(films, masks, pd.DataFrame({"name": names}))
    run = fit.train("segnet", recipe, arrays, split, folder, "square")
    assert run == fit.load_run(folder)
    return keras.models.load_model(folder / "last.keras").get_weights()


def losses():
    """What each loss and metric makes of the same masks and probabilities."""
    import keras
    from keras import ops

    from pneumo_keras.training.losses import LOSSES, hybrid_ssim
    from pneumo_keras.training.metrics import training_metrics

    random = np.random.default_rng(1)
    masks = squares(4)[1][..., None].astype("float32")
    probability = np.clip(0.1 + 0.7 * masks + random.normal(0, 0.1, masks.shape), 0, 1)
    pair = masks, probability.astype("float32")
    values = {name: float(loss()(*pair)) for name, loss in LOSSES.items()}
    for variant in ("published", "corrected"):
        for film, value in enumerate(ops.convert_to_numpy(hybrid_ssim(*pair, variant))):
            values[f"ssim {variant} {film}"] = float(value)
        for metric in training_metrics(f"hybrid_{variant}"):
            metric.update_state(*pair)
            values[f"{metric.name} {variant}"] = float(metric.result())
    assert keras.backend.backend() == os.environ.get("KERAS_BACKEND", "tensorflow")
    return values


def main(folder, *choices):
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend == "jax":
        sys.meta_path.insert(0, NoTensorFlow())  # torch asks for it by itself
        import jax

        assert jax.device_count() == 2
    elif backend == "tensorflow" and "TF_CONFIG" not in os.environ:
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        halves = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, halves)
    host = json.loads(os.environ.get("TF_CONFIG", '{"task": {"index": 0}}'))["task"]["index"]
    if host:
        forbid_writing(folder)
    patch(setattr)
    for devices in choices:
        weights = train(folder / devices, devices=devices)
        if not host:
            np.savez(folder / f"{devices}.npz", *weights)
    if "TF_CONFIG" not in os.environ:
        (folder / "losses.json").write_text(json.dumps(losses()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
