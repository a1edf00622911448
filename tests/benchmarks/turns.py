"""Contenders take turns, each in a process of its own, one at a time.

A machine's speed drifts, so ratios are taken within one round; and what libraries keep in memory,
or do with threads, stays with the contender that uses them.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from tqdm import tqdm


@dataclass(frozen=True)
class Work:
    """Something that a contender does once per turn: a function that returns when it is done,
    the number of images it handles, and the floating-point operations of its convolutions."""

    do: Callable[[], object]
    images: int = 0
    operations: float = 0.0


@dataclass
class Measured:
    """What was measured of one contender: seconds of each work, one value per round.

    `peak_memory_gb` is of its process, None where the system does not tell; `absent` says why it
    took no part, None if it did.
    """

    seconds: dict[str, list[float]] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)
    operations: dict[str, float] = field(default_factory=dict)
    peak_memory_gb: float | None = None
    absent: str | None = None


WORKS: dict[str, Work] = {}  # in the process of a contender


def take_turns(
    contenders: dict[str, Callable[[], dict[str, Work]]], rounds: int, title: str
) -> dict[str, Measured]:
    """Let contenders do their works in turn, after each has done them once uncounted.

    Args:
        contenders: by name, functions that return works by name. They are called in a process
            that must be able to import them; one whose library is not installed takes no part.
        rounds: number of turns of each.
        title: of the progress bar.

    Example:
        >>> take_turns({"nothing": dict}, 1, "example")["nothing"].seconds
        {}
    """
    spawn, results = multiprocessing.get_context("spawn"), {}
    pools = {name: ProcessPoolExecutor(1, spawn) for name in contenders}
    bar = tqdm(total=len(contenders) * (rounds + 1), desc=title, unit="turn")
    try:
        futures = {name: pools[name].submit(_prepare, contenders[name]) for name in contenders}
        for name, future in futures.items():  # they get ready side by side
            try:
                results[name] = future.result()
            except ModuleNotFoundError as error:
                if str(error.name).startswith(("pneumo_keras", "benchmarks")):
                    raise
                results[name] = Measured(absent=str(error))
            bar.update()
        for _ in range(rounds):
            for name, result in results.items():
                for work, seconds in result.seconds.items():
                    taken, result.peak_memory_gb = pools[name].submit(_do, work).result()
                    seconds.append(taken)
                bar.update()
    finally:
        bar.close()
        for pool in pools.values():
            pool.shutdown(wait=False)
    return results


def _prepare(prepare: Callable[[], dict[str, Work]]) -> Measured:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries log there
    WORKS.update(prepare())
    for work in WORKS.values():
        work.do()
    images = {name: work.images for name, work in WORKS.items()}
    operations = {name: work.operations for name, work in WORKS.items()}
    return Measured({name: [] for name in WORKS}, images, operations)


def _do(work: str) -> tuple[float, float | None]:
    start = time.perf_counter()
    WORKS[work].do()
    return time.perf_counter() - start, _peak_memory_gb()


def _peak_memory_gb() -> float | None:
    """As `training.devices`, which would import Keras into every process."""
    with suppress(ImportError):  # on Windows
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e9, 2)
