"""The commands that need a few lines only: download, agreement, audit, bench."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

from pneumo_keras.errors import StudyError

TESTS = Path(__file__).resolve().parents[2] / "tests"


def download(options: Namespace) -> None:
    """Run `python -m pneumo_keras download NAME`."""
    from pneumo_keras.dataset.download import download

    download(options.release, options.out)


def agreement(options: Namespace) -> None:
    """Run `python -m pneumo_keras agreement DIR_A DIR_B`."""
    from pneumo_keras.evaluation.agreement import print_agreement

    print_agreement(options.first, options.second, options.label, options.out)


def audit(options: Namespace) -> None:
    """Run `python -m pneumo_keras audit ACCURACY IOU`."""
    from pneumo_keras.evaluation.audit import print_audit

    print_audit(options.accuracy, options.iou, options.beside)


def bench(options: Namespace) -> None:
    """Run `python -m pneumo_keras bench`, in a process that sees the CPU alone.

    Raises:
        StudyError: if this is not a clone of the repository, or the benchmark fails.
    """
    if not (TESTS / "benchmarks").is_dir():
        raise StudyError(f"{TESTS}: no benchmarks; run from a clone of the repository")
    on_cpu = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow"}
    command = [sys.executable, "-m", "benchmarks", str(options.out.resolve())]
    if subprocess.run(command, cwd=TESTS, env=on_cpu, check=False).returncode:
        raise StudyError("the benchmark failed, see above; nothing was written")
