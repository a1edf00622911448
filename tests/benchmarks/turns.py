"""Contenders that take turns: each in a process of its own, one at work at a time.

A machine's speed drifts, so a ratio is taken within one round, in which every contender has had
its turn; and what libraries keep in memory, or do with threads, stays with the one that uses them.
"""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tqdm import tqdm

from pneumo_keras.training.environment import peak_memory_gb

PEAK = "peak memory"  # asked for like a work, at the end


@dataclass(frozen=True)
class Work:
    """Something that a contender does once a turn.

    Attributes:
        do: does it, and returns when it is done.
        films: how many films it handles.
        operations: floating-point operations of its convolutions or matrix products, 0 where
            there are none to speak of.
    """

    do: Callable[[], object]
    films: int = 0
    operations: float = 0.0


@dataclass(frozen=True)
class Contender:
    """One way to do some works.

    Attributes:
        name: as the table calls it.
        prepare: called in the contender's own process, which must be able to import it; returns
            its works by name. A library that is not
            installed keeps it from taking part.
    """

    name: str
    prepare: Callable[[], dict[str, Work]]


@dataclass
class Measured:
    """What was measured of one contender.

    Attributes:
        seconds: of each work, one a round.
        films: of each work.
        operations: of each work.
        peak_memory_gb: the most main memory its process held.
        absent: why it took no part, None if it did.
    """

    seconds: dict[str, list[float]] = field(default_factory=dict)
    films: dict[str, int] = field(default_factory=dict)
    operations: dict[str, float] = field(default_factory=dict)
    peak_memory_gb: float | None = None
    absent: str | None = None


def take_turns(contenders: Sequence[Contender], rounds: int, title: str) -> dict[str, Measured]:
    """Has contenders do their works in turn, after each has done them once uncounted.

    Args:
        contenders: in the order of their turns.
        rounds: how many times.
        title: of the progress bar.

    Returns:
        What was measured, by contender.

    Raises:
        RuntimeError: with the traceback of a contender that failed.

    Example:
        >>> measured = take_turns([Contender("nothing", dict)], 1, "example")
        >>> measured["nothing"].seconds
        {}
    """
    context = multiprocessing.get_context("spawn")
    results, workers = {}, {}
    bar = tqdm(total=len(contenders) * (rounds + 1), desc=title, unit="turn")
    try:
        for contender in contenders:
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, contender.prepare), daemon=True)
            process.start()
            theirs.close()
            workers[contender.name] = (process, ours)
        for name, (_, connection) in workers.items():  # they get ready side by side
            bar.set_postfix_str(f"getting ready: {name}")
            results[name] = _answer(name, connection)
            bar.update()
        for _ in range(rounds):
            for name, result in results.items():
                bar.set_postfix_str(name)
                for work in result.seconds:
                    result.seconds[work].append(_answer(name, workers[name][1], work))
                bar.update()
        for name, (_, connection) in workers.items():
            if not results[name].absent:
                results[name].peak_memory_gb = _answer(name, connection, PEAK)
    finally:
        bar.close()
        for process, _ in workers.values():
            process.terminate()
    return results


def _answer(name: str, connection, question: str | None = None):
    try:
        if question is not None:
            connection.send(question)
        answer = connection.recv()
    except (EOFError, OSError):
        raise RuntimeError(
            f"{name}: its process was ended, most likely for want of memory"
        ) from None
    if isinstance(answer, BaseException):
        raise RuntimeError(f"{name} failed:\n{answer}") from None
    return answer


def _serve(connection, prepare: Callable[[], dict[str, Work]]) -> None:
    """The life of a contender's process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what libraries log is no news here
    try:
        try:
            works = prepare()
        except ModuleNotFoundError as error:
            if (error.name or "").startswith(("pneumo_keras", "benchmarks")):
                raise
            connection.send(Measured(absent=str(error)))
            return
        for work in works.values():
            work.do()
        connection.send(
            Measured(
                seconds={name: [] for name in works},
                films={name: work.films for name, work in works.items()},
                operations={name: work.operations for name, work in works.items()},
            )
        )
        while (name := connection.recv()) != PEAK:
            start = time.perf_counter()
            works[name].do()
            connection.send(time.perf_counter() - start)
        connection.send(peak_memory_gb())
    except Exception:
        connection.send(RuntimeError(traceback.format_exc()))
