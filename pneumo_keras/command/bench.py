"""Measures how fast the study is on this machine's CPU, each work beside the same work done otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

from pneumo_keras.errors import StudyError

TESTS = Path(__file__).resolve().parents[2] / "tests"


def bench(options: Namespace) -> None:
    """Runs `python -m pneumo_keras bench`.

    Raises:
        StudyError: without a clone, which holds the benchmarks, or if they fail.
    """
    if not (TESTS / "benchmarks").is_dir():
        raise StudyError(f"{TESTS}: no benchmarks; run from a clone of the repository")
    out = str(options.out.resolve())
    # A program of its own: what it measures starts processes that import it. Those would quarrel
    # over a GPU, and not all of them would use it.
    on_cpu = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow"}
    command = [sys.executable, "-m", "benchmarks", out]
    done = subprocess.run(command, cwd=TESTS, env=on_cpu, check=False)
    if done.returncode:
        raise StudyError("the benchmark failed, as said above; nothing was written")
