"""Report what a data folder holds, and whether `run` would accept it."""

import tempfile
from argparse import Namespace
from pathlib import Path

from pneumo_keras.command.run import parse_settings
from pneumo_keras.dataset.check import examine
from pneumo_keras.errors import StudyError
from pneumo_keras.report.check_page import refuse_other_files, report_text, verdict, write_reports
from pneumo_keras.study import begin_study


def check(options: Namespace) -> None:
    """Run `python -m pneumo_keras check DIR`: print the report, and write it with pictures.

    Raises:
        StudyError: if `run` would refuse the folder, or the report cannot be written.
    """
    out = options.out or Path("results", "check", options.data.resolve().name)
    refuse_other_files(out)
    with tempfile.TemporaryDirectory(prefix="pneumo_keras-") as scratch:
        study = begin_study(
            *(str(options.data), options.target, options.recipe, scratch),
            *(parse_settings(options), options.labels, options.layout, options.normals),
        )
        split_settings = ("split_by", "test_share", "validation_share", "seed")
        examination = examine(
            *(study.data, study.masks, study.target, study.labels),
            layout=study.layout,
            normals=study.normals,
            allow_outside=options.allow_outside,
            skip_bad=options.skip_bad,
            **{key: getattr(study.recipe, key) for key in split_settings},
        )
        print(report_text(examination), end="\n\n")
        if examination.records:
            print(f"With pictures: {write_reports(examination, out)}")
    if examination.refusals:
        raise StudyError(verdict(examination))
    print(verdict(examination))
