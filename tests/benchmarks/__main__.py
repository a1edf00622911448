"""Measure everything on this machine, print the table, and write it."""

from __future__ import annotations

import platform
import sys
from contextlib import suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from benchmarks import images, networks
from benchmarks.images import ARRAYS, BATCHES, CONVERT, EXPORT, MASKS, SCORES
from benchmarks.networks import FORWARD, POOL, PREDICT, PRODUCT, TRAIN, WITH_GRADIENTS
from benchmarks.table import Row, readable, table
from benchmarks.torch_network import deeplabv3_of_smp
from benchmarks.turns import take_turns
from pneumo_keras.report.tables import write_table
from pneumo_keras.training.devices import environment

IMAGES = 96  # phantoms
MACHINE, SEGNET, ARGMAX = "this machine", "SegNet", "argmax and scatter"
DEEPLABV3, PAPER = "DeepLabV3", "DeepLabV3 under the hybrid loss"
SMP = "segmentation-models-pytorch's, one convolution more"
HUB = "keras-hub's, backbone to conv4 only"
INPUT, OURS = "augmented batches", "this study"
LABELME, OPENCV, LIBRARIES = "labelme", "a loop over OpenCV", "scikit-learn, surface-distance"
STEP, PREDICTION = (MACHINE, WITH_GRADIENTS), (MACHINE, FORWARD)  # limits

# The contenders that need the folder of images, and those that do not.
ON_IMAGES = {OURS: images.ours, LABELME: images.labelme, OPENCV: images.opencv}
ON_IMAGES |= {LIBRARIES: images.libraries, INPUT: images.batches}
ALONE = {MACHINE: networks.machine, SEGNET: networks.segnet, ARGMAX: networks.segnet_with_argmax}
ALONE |= {DEEPLABV3: networks.deeplabv3, PAPER: networks.deeplabv3_of_the_paper}
ALONE |= {SMP: deeplabv3_of_smp, HUB: networks.deeplabv3_of_keras_hub}

# Title, rounds, contenders that take turns with one another, and the rows that they fill.
GROUPS = (
    (
        "images",
        5,
        (OURS, LABELME, OPENCV, LIBRARIES),
        (
            Row("LabelMe annotations to masks", OURS, CONVERT, (LABELME, EXPORT), 5.0),
            Row("the same", OURS, CONVERT, (LABELME, CONVERT)),
            Row("notebook 01: masks, and all it notes", OURS, MASKS, (LABELME, EXPORT)),
            Row("images and masks to arrays", OURS, ARRAYS, (OPENCV, ARRAYS)),
            Row("augmented batches", OURS, BATCHES, (OPENCV, BATCHES)),
            Row("scores of each image", OURS, SCORES, (LIBRARIES, SCORES)),
        ),
    ),
    (
        "SegNet",
        3,
        (MACHINE, SEGNET, ARGMAX),
        (
            Row("product of 2048x2048 matrices", MACHINE, PRODUCT),
            Row("3x3 convolutions, SegNet's sizes", MACHINE, FORWARD),
            Row("the same with their gradients", MACHINE, WITH_GRADIENTS),
            Row("SegNet, training step", SEGNET, TRAIN, (ARGMAX, TRAIN), 1.3, STEP, 0.8),
            Row("SegNet, pooling and unpooling alone", SEGNET, POOL, (ARGMAX, POOL)),
            Row("SegNet, prediction", SEGNET, PREDICT, (ARGMAX, PREDICT), limit=PREDICTION),
        ),
    ),
    (
        "DeepLabV3",
        5,
        (MACHINE, DEEPLABV3, SMP, HUB, PAPER, INPUT),
        (
            Row("DeepLabV3, training step", DEEPLABV3, TRAIN, (SMP, TRAIN), 1.0, STEP),
            Row("DeepLabV3, training step", DEEPLABV3, TRAIN, (HUB, TRAIN)),
            Row("DeepLabV3, prediction", DEEPLABV3, PREDICT, (SMP, PREDICT), limit=PREDICTION),
            Row("DeepLabV3, prediction", DEEPLABV3, PREDICT, (HUB, PREDICT)),
            Row(f"{PAPER}, training step", PAPER, TRAIN),
            Row("augmented batches, to train it on", INPUT, BATCHES, (DEEPLABV3, TRAIN), 5.0),
        ),
    ),
)


def main(out: Path) -> None:
    tables = []
    with TemporaryDirectory() as folder:
        images.draw(Path(folder), IMAGES)
        ways = ALONE | {name: partial(way, Path(folder)) for name, way in ON_IMAGES.items()}
        for title, rounds, names, rows in GROUPS:
            measured = take_turns({name: ways[name] for name in names}, rounds, title)
            tables.append(table(rows, measured))
    lines, caption = pd.concat(tables, ignore_index=True), describe()
    write_table(readable(lines), "benchmark", caption, out, numbers=lines)
    print(f"\n{caption}\n\n{readable(lines).to_string(index=False)}")


def describe() -> str:
    """What was measured on what, for the caption."""
    found = environment()
    versions = dict(found["versions"])
    for package in ("keras-hub", "torch", "segmentation-models-pytorch"):
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    packages = ", ".join(f"{name} {number}" for name, number in versions.items())
    return (
        f"Speed on {processor()} ({found['device']}), {found['system']}, Python "
        f"{found['python']}, {packages}. Images of 256x256 pixels, 8 per batch, 32 bit, random "
        f"weights; work on images with {IMAGES} phantoms of about 1400x1100 pixels. Medians, and "
        "in brackets the lowest and highest, over rounds in which all took turns"
    )


def processor() -> str:
    """The processor's name, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
