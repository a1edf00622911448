"""Measures everything on this machine, prints the table, and writes it."""

from __future__ import annotations

import argparse
import platform
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from benchmarks import films, machine, networks, usual
from benchmarks.films import ARRAYS, BATCHES, CONVERT, EXPORT, MASKS, SCORES
from benchmarks.machine import FORWARD, PRODUCT, WITH_GRADIENTS
from benchmarks.networks import POOL, PREDICT, TRAIN
from benchmarks.table import Row, readable, table
from benchmarks.turns import Contender, take_turns
from pneumo_keras.report.tables import write_table
from pneumo_keras.training.environment import environment

FILMS = 96  # phantoms
MACHINE, SEGNET, ARGMAX = "this machine", "SegNet", "argmax and scatter"
DEEPLABV3, PAPER = "DeepLabV3", "DeepLabV3 under the hybrid loss"
SMP, HUB = (
    "segmentation-models-pytorch's, one convolution more",
    "keras-hub's, backbone to conv4 only",
)
TRAINED, PREDICTED = (MACHINE, WITH_GRADIENTS), (MACHINE, FORWARD)  # limits
INPUT, OURS = "augmented batches", "this study"
LABELME, OPENCV, LIBRARIES = "labelme", "a loop over OpenCV", "scikit-learn, surface-distance"


@dataclass(frozen=True)
class Group:
    """Contenders that take turns with one another, and the lines of the table they fill."""

    title: str
    rounds: int
    contenders: tuple[Contender, ...]
    rows: tuple[Row, ...]

    def table(self) -> pd.DataFrame:
        return table(self.rows, take_turns(self.contenders, self.rounds, self.title))


def segnets() -> Group:
    return Group(
        "SegNet",
        3,
        (
            Contender(MACHINE, machine.machine),
            Contender(SEGNET, networks.segnet),
            Contender(ARGMAX, networks.segnet_with_argmax),
        ),
        (
            Row("product of 2048x2048 matrices", MACHINE, PRODUCT),
            Row("3x3 convolutions, SegNet's sizes", MACHINE, FORWARD),
            Row("the same with their gradients", MACHINE, WITH_GRADIENTS),
            Row("SegNet, training step", SEGNET, TRAIN, (ARGMAX, TRAIN), 1.3, TRAINED, 0.8),
            Row("SegNet, pooling and unpooling alone", SEGNET, POOL, (ARGMAX, POOL)),
            Row("SegNet, prediction", SEGNET, PREDICT, (ARGMAX, PREDICT), limit=PREDICTED),
        ),
    )


def deeplabs(folder: Path) -> Group:
    return Group(
        "DeepLabV3",
        5,
        (
            Contender(MACHINE, machine.machine),
            Contender(DEEPLABV3, networks.deeplabv3),
            Contender(SMP, networks.deeplabv3_of_smp),
            Contender(HUB, networks.deeplabv3_of_keras_hub),
            Contender(PAPER, networks.deeplabv3_of_the_paper),
            Contender(INPUT, partial(films.batches, folder)),
        ),
        (
            Row("DeepLabV3, training step", DEEPLABV3, TRAIN, (SMP, TRAIN), 1.0, TRAINED),
            Row("DeepLabV3, training step", DEEPLABV3, TRAIN, (HUB, TRAIN)),
            Row("DeepLabV3, prediction", DEEPLABV3, PREDICT, (SMP, PREDICT), limit=PREDICTED),
            Row("DeepLabV3, prediction", DEEPLABV3, PREDICT, (HUB, PREDICT)),
            Row(f"{PAPER}, training step", PAPER, TRAIN),
            Row("augmented batches, to train it on", INPUT, BATCHES, (DEEPLABV3, TRAIN), 5.0),
        ),
    )


def works_on_films(folder: Path) -> Group:
    return Group(
        "films",
        5,
        (
            Contender(OURS, partial(films.ours, folder)),
            Contender(LABELME, partial(usual.labelme, folder)),
            Contender(OPENCV, partial(usual.opencv, folder)),
            Contender(LIBRARIES, partial(usual.libraries, folder)),
        ),
        (
            Row("LabelMe annotations to masks", OURS, CONVERT, (LABELME, EXPORT), 5.0),
            Row("the same", OURS, CONVERT, (LABELME, CONVERT)),
            Row("notebook 01: masks, and all it notes", OURS, MASKS, (LABELME, EXPORT)),
            Row("films and masks to arrays", OURS, ARRAYS, (OPENCV, ARRAYS)),
            Row("augmented batches", OURS, BATCHES, (OPENCV, BATCHES)),
            Row("scores of each film", OURS, SCORES, (LIBRARIES, SCORES)),
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pneumo_keras bench")
    parser.add_argument("out", type=Path, help="folder of the table")
    out = parser.parse_args().out
    with TemporaryDirectory() as folder:
        films.draw(Path(folder), FILMS)
        groups = (works_on_films(Path(folder)), segnets(), deeplabs(Path(folder)))
        lines = pd.concat([group.table() for group in groups], ignore_index=True)
    caption = describe()
    write_table(readable(lines), "benchmark", caption, out, numbers=lines)
    print(f"\n{caption}\n\n{readable(lines).to_string(index=False)}")


def describe() -> str:
    """What was measured on what, for the caption."""
    system, versions = environment(), {}
    for package in (*system["versions"], "keras-hub", "torch", "segmentation-models-pytorch"):
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return (
        f"Speed on {processor()} ({system['device']}), {system['system']}, Python "
        f"{system['python']}, {', '.join(f'{name} {number}' for name, number in versions.items())}. "
        f"Films of 256x256 pixels, 8 a batch, 32 bit, random weights; works on films with {FILMS} "
        "phantoms of about 1400x1100 pixels. Medians, and in brackets the lowest and highest, over "
        "rounds in which all took turns"
    )


def processor() -> str:
    """The processor's name, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
