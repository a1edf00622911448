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

from pneumo_keras.errors import StudyError

_PNEUMONIA = re.compile(r"person(?P<number>\d+)_(?P<kind>bacteria|virus)_\d+(_\d+)?", re.IGNORECASE)
_NORMAL = re.compile(r"(?P<second>NORMAL2-)?IM-(?P<number>\d{4})-\d{4}(-\d{4})?", re.IGNORECASE)
_FILE_COLUMNS = ("annotation", "image", "film", "file")
_PATIENT_COLUMNS = ("patient_id", "patient")
_GROUP_COLUMNS = ("group", "subtype", "finding", "class")


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


def read_index(path: Path) -> dict[str, tuple[str, str]]:
    """Patient and group of each file that an index.csv lists.

    Args:
        path: CSV with a header. Files stand in the columns `annotation`, `image`, `film` or `file`,
            the patient in `patient_id` or `patient`, the group in `group`, `subtype`, `finding` or
            `class`; other columns are left alone.

    Returns:
        By file, as written, its patient and group, empty where unknown; nothing without the file.

    Raises:
        StudyError: The file is no CSV, or lists a file twice with different patients or groups.
    """
    if not path.is_file():
        return {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise StudyError(f"{path} is no sound CSV file ({error}): mend or remove it") from None
    listed: dict[str, tuple[str, str]] = {}
    for row in rows:
        entry = (_first(row, _PATIENT_COLUMNS), _first(row, _GROUP_COLUMNS))
        for column in _FILE_COLUMNS:
            file = (row.get(column) or "").strip().replace("\\", "/")
            if file and listed.setdefault(file, entry) != entry:
                raise StudyError(f"{path} lists {file} twice, and differently: remove one row")
    return listed


def _first(row: Mapping[str, str | None], columns: tuple[str, ...]) -> str:
    return next((row[column].strip() for column in columns if row.get(column)), "")
