"""Who a film is of: patient and group, from index.csv or from the file names of the Kermany set.

Patients matter because films of one patient must not fall on both sides of a split; groups because
results are told apart by them. The Kermany set names its films `person17_bacteria_54.jpeg` or
`NORMAL2-IM-0017-0001.jpeg`. Its person numbers start again for each kind, so that films with the
same number but of different kinds are no more alike than any two films; hence a patient is
`bacteria:17`, not 17.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pneumo_keras.errors import StudyError

_PNEUMONIA = re.compile(r"person(?P<number>\d+)_(?P<kind>bacteria|virus)_\d+(_\d+)?", re.IGNORECASE)
_NORMAL = re.compile(r"(?P<second>NORMAL2-)?IM-(?P<number>\d{4})-\d{4}(-\d{4})?", re.IGNORECASE)
_FILE_COLUMNS = ("annotation", "image", "film", "file")
_PATIENT_COLUMNS = ("patient_id", "patient")
_GROUP_COLUMNS = ("group", "subtype", "finding", "class")
_LICENCE_COLUMNS = ("licence", "license")


class Listed(NamedTuple):
    """What an index.csv says of one film; empty where it says nothing."""

    patient: str = ""
    group: str = ""
    licence: str = ""


def patient_from_name(stem: str) -> tuple[str, str]:
    """Patient and group that a file name of the Kermany set tells; both empty for other names.

    Args:
        stem: File name without suffix.

    Example:
        >>> patient_from_name("person17_bacteria_54")
        ('bacteria:17', 'bacteria')
        >>> patient_from_name("NORMAL2-IM-0017-0001")
        ('normal2:17', 'normal')
    """
    if match := _PNEUMONIA.fullmatch(stem):
        kind = match["kind"].lower()
        return f"{kind}:{int(match['number'])}", kind
    if match := _NORMAL.fullmatch(stem):
        series = "normal2" if match["second"] else "im"
        return f"{series}:{int(match['number'])}", "normal"
    return "", ""


def read_index(path: Path) -> dict[str, Listed]:
    """Patient, group and licence of each file that an index.csv lists.

    Args:
        path: CSV with a header. Files stand in the columns `annotation`, `image`, `film` or `file`,
            the patient in `patient_id` or `patient`, the group in `group`, `subtype`, `finding` or
            `class`, the licence in `licence` or `license`; other columns are left alone.

    Returns:
        By file, as written, what is said of it; nothing without the file.

    Raises:
        StudyError: The file is no CSV, or lists a file twice with different entries.
    """
    if not path.is_file():
        return {}
    listed: dict[str, Listed] = {}
    for row in read_rows(path):
        columns = (_PATIENT_COLUMNS, _GROUP_COLUMNS, _LICENCE_COLUMNS)
        entry = Listed(*(_first(row, names) for names in columns))
        for column in _FILE_COLUMNS:
            file = (row.get(column) or "").strip().replace("\\", "/")
            if file and listed.setdefault(file, entry) != entry:
                raise StudyError(f"{path} lists {file} twice, and differently: remove one row")
    return listed


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file with a header, UTF-8 with or without byte order mark.

    Raises:
        StudyError: The file cannot be read or is no CSV.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            return list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise StudyError(f"{path} is no sound CSV file ({error}): mend or remove it") from None


def _first(row: Mapping[str, str | None], columns: tuple[str, ...]) -> str:
    return next((row[column].strip() for column in columns if row.get(column)), "")
