"""A tiny network on images of squares, for the tests that train; also a program:

    python small_training.py FOLDER DEVICES...

It leaves a training in FOLDER/DEVICES for each of DEVICES (one, all), and its weights beside it.
With `TF_CONFIG` two processes train together, of which the second may write nothing.
test_backends.py starts it.
"""

import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from keras import layers

from pneumo_keras.config import choose_recipe
from pneumo_keras.dataset.arrays import Arrays
from pneumo_keras.models import layers as own
from pneumo_keras.training import build
from pneumo_keras.training.devices import choose_devices
from pneumo_keras.training.losses import LOSSES, hybrid_ssim
from pneumo_keras.training.metrics import training_metrics
from pneumo_keras.training.train import train

SIZE = 32


def squares(count=19):
    """Images with a bright square at a random place, and the squares as masks."""
    random = np.random.default_rng(0)
    images = random.integers(30, 90, (count, SIZE, SIZE), dtype=np.uint8)
    masks = np.zeros_like(images)
    for number, (row, column) in enumerate(random.integers(2, 16, (count, 2))):
        images[number, row : row + 14, column : column + 14] += 120
        masks[number, row : row + 14, column : column + 14] = 1
    return Arrays(images, masks, pd.DataFrame({"name": [f"image{n}" for n in range(count)]}))


ARRAYS = squares()
# With batches of 4: two steps an epoch, one image left over, and two unequal validation batches.
SPLIT = pd.Series(["train"] * 9 + ["validation"] * 7 + ["test"] * 3, index=ARRAYS.index["name"])
SETTINGS = {"size": SIZE, "width": 0.1, "batch_size": 4, "epochs": 2, "dropout": 0}
SETTINGS |= {"optimizer": "adam", "learning_rate": 0.01, "schedule": "constant", "weight_decay": 0}


def small_recipe(**changes):
    return choose_recipe("quick", SETTINGS | {"threshold": "0.5"} | changes)


def small_network(network, recipe, weights):
    """A network of this package's layers whose first ones are called its backbone."""
    image = keras.Input((SIZE, SIZE, None), name="image")
    inner = keras.Input((SIZE, SIZE, 3))
    features = layers.Conv2D(4, 3, padding="same", use_bias=False, name="convolution")(inner)
    features = layers.ReLU()(own.BatchNormalization(momentum=0.5, name="norm")(features))
    x = keras.Model(inner, features, name="backbone")(own.InputScaling("unit")(image))
    x, indices = own.MaxPoolingWithIndices2D()(x)
    x = own.AtrousConv2D(4, 3, padding="same", dilation_rate=2, activation="relu")(x)
    x = layers.Dropout(recipe.dropout)(own.MaxUnpooling2D()(x, indices))
    x = layers.Conv2D(1, 3, padding="same", name="head")(x)
    model = keras.Model(image, layers.Activation("sigmoid", dtype="float32")(x))
    random = np.random.default_rng(0)  # the same on every backend
    for weight in model.trainable_weights:
        if weight.name == "kernel":
            weight.assign(random.normal(0, 0.3, weight.shape))
    return model


def train_small(folder, resume=False, network="deeplabv3", arrays=ARRAYS, split=SPLIT, **changes):
    return train(network, small_recipe(**changes), arrays, split, folder, "square", resume)


@contextmanager
def eagerly():
    """Without tracing graphs, which takes longer than the few steps of these trainings."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


# === As a program ===


def train_by_descent(folder, devices):
    """Two epochs of plain gradient descent: Adam would hide a gradient of another size."""
    build.build_network = small_network
    keras.optimizers.Adam = lambda rate, clipnorm: keras.optimizers.SGD(rate, clipnorm=clipnorm)
    settings = {"augment": True, "learning_rate": 0.1, "loss": "hybrid_corrected"}
    train_small(folder, devices=devices, **settings)
    return keras.models.load_model(folder / "last.keras").get_weights()


def losses():
    """Every loss and metric for the same masks and probabilities."""
    masks = ARRAYS.masks[:4, ..., None].astype("float32")
    noise = np.random.default_rng(1).normal(0, 0.1, masks.shape)
    pair = masks, np.clip(0.1 + 0.7 * masks + noise, 0, 1).astype("float32")
    values = {name: float(loss()(*pair)) for name, loss in LOSSES.items()}
    for variant in ("published", "corrected"):
        for image, value in enumerate(keras.ops.convert_to_numpy(hybrid_ssim(*pair, variant))):
            values[f"ssim {variant} {image}"] = float(value)
        for metric in training_metrics(f"hybrid_{variant}"):
            metric.update_state(*pair)
            values[f"{metric.name} {variant}"] = float(metric.result())
    return values


def refused(call):
    try:
        call()
    except (ValueError, TypeError, AttributeError, NotImplementedError):
        return True
    return False


def uneven_batches():
    """Images per device of batches of 7 and 8, and whether Keras alone refuses the 7."""

    def share(images, distribution):
        batch = np.zeros((images, SIZE, SIZE, 1))
        layout = distribution.get_data_layout(batch.shape)
        placed = keras.distribution.distribute_tensor(batch, layout)
        return [len(shard.data) for shard in placed.addressable_shards]

    ours, theirs = choose_devices("all").distribution, keras.distribution.DataParallel()
    return share(7, ours), share(8, ours), refused(lambda: share(7, theirs))


def reduced_pair():
    """A scalar and a vector summed over hosts, and whether TensorFlow alone refuses the pair."""
    import tensorflow as tf

    strategy, add = choose_devices("all").strategy, tf.distribute.ReduceOp.SUM
    pair = strategy.run(lambda: (tf.ones(()), tf.ones((2, 3))))
    scalar, vector = strategy.reduce(add, pair, axis=0)
    theirs = super(type(strategy), strategy).reduce
    return float(scalar), vector.numpy().tolist(), refused(lambda: theirs(add, pair, axis=0))


def forbid_writing(folder):
    def hook(event, arguments):
        writes = event in ("os.mkdir", "os.rename", "os.remove", "os.link") or (
            event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        )
        if writes and str(arguments[0]).startswith(str(folder)):
            raise RuntimeError(f"{event} {arguments[0]}: not by this process")

    sys.addaudithook(hook)


def main(folder, *choices):
    backend, hosts = keras.backend.backend(), os.environ.get("TF_CONFIG")
    assert backend == os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend == "tensorflow" and not hosts:
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        halves = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, halves)
    writes = not hosts or json.loads(hosts)["task"]["index"] == 0
    if not writes:
        forbid_writing(folder)
    for devices in choices:
        weights = train_by_descent(folder / devices, devices)
        if writes:
            np.savez(folder / f"{devices}.npz", *weights)
    results = {} if hosts else {"losses": losses()}
    if hosts or backend == "jax":
        results["override"] = reduced_pair() if hosts else uneven_batches()
    if writes:
        (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
