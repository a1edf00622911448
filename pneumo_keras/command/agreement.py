"""Compares two annotators who marked the same films."""

from __future__ import annotations

from argparse import Namespace

from pneumo_keras.dataset.files import write_csv
from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.agreement import agreement_by_film, agreement_summary, unpaired

LOWEST = 5


def agreement(options: Namespace) -> None:
    """Runs `python -m pneumo_keras agreement DIR DIR`.

    Prints the summary and the films they agree least on; `--out` takes the scores of all.

    Raises:
        StudyError: if the folders cannot be compared, or the file is there already.
    """
    if options.out and options.out.exists():
        raise StudyError(f"{options.out} is already there: name a new file with --out")
    films = agreement_by_film(options.first, options.second, options.label)
    only_first, only_second = unpaired(options.first, options.second)
    neither = int(films["dice"].isna().sum())
    print(
        f"{len(films)} films in both folders, {neither} of them marked by neither; "
        f"{len(only_first)} only in {options.first}, {len(only_second)} only in {options.second}\n"
    )
    print(agreement_summary(films).round(3).to_string(), end="\n\n")
    print("Least agreement:")
    print(films.nsmallest(LOWEST, "dice")[["name", "dice", "iou"]].round(3).to_string(index=False))
    if options.out:
        write_csv(options.out, films)
        print(f"\nAll films: {options.out}")
