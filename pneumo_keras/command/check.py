"""Reports what a data folder holds, and whether `run` would accept it."""

from __future__ import annotations

import tempfile
from argparse import Namespace
from pathlib import Path

import pandas as pd

from pneumo_keras.command.run import parse_settings
from pneumo_keras.dataset.checking import Examination, examine
from pneumo_keras.dataset.files import write_csv, write_whole
from pneumo_keras.errors import StudyError
from pneumo_keras.report.checkpage import refuse_foreign, report_page
from pneumo_keras.report.checktext import report_text, verdict
from pneumo_keras.study import open_study

REPORTS = Path(__file__).resolve().parents[2] / "data" / "check"
FILES = ("report.html", "findings.csv", "films.csv")


def check(options: Namespace) -> None:
    """Runs `python -m pneumo_keras check DIR`.

    Prints the report and writes it to `report.html`, with pictures, beside `findings.csv` and
    `films.csv`. The data folder stays as it is; where it holds no study, nothing is written.

    Raises:
        StudyError: if `run` would refuse the folder, or the report cannot be written.
    """
    out: Path = options.out or REPORTS / options.data.resolve().name
    refuse_foreign(out, FILES)
    with tempfile.TemporaryDirectory(prefix="pneumo_keras-") as scratch:
        settings = parse_settings(options)
        study = open_study(
            str(options.data),
            options.target,
            options.recipe,
            scratch,
            settings,
            options.labels,
            options.source,
            options.normals,
        )
        recipe = study.recipe
        examination = examine(
            study.data,
            study.masks,
            study.target,
            study.labels,
            recipe.split_by,
            source=study.source,
            normals=study.normals,
            allow_outside=options.allow_outside,
            skip_bad=options.skip_bad,
            test_share=recipe.test_share,
            validation_share=recipe.validation_share,
            seed=recipe.seed,
        )
        print(report_text(examination), end="\n\n")
        if examination.films:
            _write(examination, out)
            print(f"With pictures: {out / FILES[0]}")
    if examination.refusals:
        raise StudyError(verdict(examination))
    print(verdict(examination))


def _write(examination: Examination, out: Path) -> None:
    page, findings, films = (out / name for name in FILES)
    write_whole(page, report_page(examination).encode())
    rows = [
        (
            finding.kind,
            "yes" if finding.refused else "no",
            " | ".join(finding.files),
            finding.message,
        )
        for finding in examination.findings
    ]
    write_csv(findings, pd.DataFrame(rows, columns=["kind", "refused", "files", "message"]))
    write_csv(films, examination.index.drop(columns=["stamp", "mask"], errors="ignore"))
