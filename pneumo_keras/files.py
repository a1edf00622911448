"""Atomic writes: a file is complete or absent, whatever interrupts the program."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from pneumo_keras.errors import StudyError

# Spreadsheets calculate such a cell, unless it is a number.
_FORMULA = re.compile(r"(?![+-]?\d+(\.\d*)?\Z)'*[=+\-@\t\r]", re.DOTALL)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to, and move it into place when the block succeeds.

    Args:
        path: file to write; its folder is created.

    Yields:
        A temporary path in the same folder, with the same suffix.

    Raises:
        StudyError: if the file cannot be written.

    Example:
        >>> from tempfile import mkdtemp
        >>> path = Path(mkdtemp()) / "note.txt"
        >>> with atomic_write(path) as temporary:
        ...     _ = temporary.write_text("whole")
        >>> path.read_text(), len(list(path.parent.iterdir()))
        ('whole', 1)
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())  # otherwise the name may reach the disk before the content
        os.replace(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def remove_partial(folder: Path) -> None:
    """Remove temporary files that killed processes left in a folder.

    Example:
        >>> from tempfile import mkdtemp
        >>> folder = Path(mkdtemp())
        >>> _ = (folder / ".images.1234.partial.npy").write_bytes(b"half")
        >>> remove_partial(folder)
        >>> list(folder.iterdir())
        []
    """
    for path in folder.glob(".*.partial.*"):
        path.unlink(missing_ok=True)


def cannot_write(path: str | Path, error: OSError) -> StudyError:
    """The error for a file or folder that cannot be written.

    Example:
        >>> print(cannot_write("run.json", OSError(28, "No space left on device")))
        run.json cannot be written (No space left on device): free the disk or choose another folder
    """
    reason = error.strerror or str(error).strip().splitlines()[0]
    return StudyError(
        f"{path} cannot be written ({reason}): free the disk or choose another folder"
    )


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file atomically, replacing it if it exists.

    Args:
        path: file to write; its folder is created.
        content: its bytes.

    Raises:
        StudyError: if the file cannot be written.
    """
    with atomic_write(Path(path)) as temporary:
        temporary.write_bytes(content)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, without its row index; `read_csv` reads it back.

    Texts that a spreadsheet would take for a formula, such as the file name `=A1.png`, get an
    apostrophe in front; numbers do not.

    Example:
        >>> from tempfile import mkdtemp
        >>> path = Path(mkdtemp()) / "table.csv"
        >>> write_csv(path, pd.DataFrame({"name": ["a"], "dice": [0.5]}))
        >>> path.read_text().split()
        ['name,dice', 'a,0.5']
    """
    write_bytes(path, csv_bytes(table))


def csv_bytes(table: pd.DataFrame) -> bytes:
    """The content of the file that `write_csv` writes.

    Example:
        >>> csv_bytes(pd.DataFrame({"name": ["=A1.png", "-5.png", "-5"], "dice": [0.5, 1, -1]}))
        b"name,dice\\n'=A1.png,0.5\\n'-5.png,1.0\\n-5,-1.0\\n"
    """
    table = table.copy()
    for place, dtype in enumerate(table.dtypes):
        if not is_numeric_dtype(dtype):
            cells = map(_as_text, table.iloc[:, place])
            table.isetitem(place, pd.Series([*cells], table.index, dtype=object))
    content = table.to_csv(index=False)
    if "\r" in content:  # pandas quotes \r only where it is part of the line ending
        content = table.to_csv(index=False, lineterminator="\r\n")
    return content.encode()


def read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV file, all columns as text, without the apostrophes of `write_csv`.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is not valid CSV.
    """
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return table.map(without_apostrophe, na_action="ignore")


def _as_text(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def without_apostrophe(cell: str) -> str:
    """A cell of a CSV file without the apostrophe that `write_csv` put in front.

    Example:
        >>> [without_apostrophe(cell) for cell in ("'=A1.png", "''=A1.png", "'5", "-5.png")]
        ['=A1.png', "'=A1.png", "'5", '-5.png']
    """
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell


def write_json(path: Path, content: dict) -> None:
    """Write a dictionary as indented UTF-8 JSON.

    Example:
        >>> from tempfile import mkdtemp
        >>> path = Path(mkdtemp()) / "run.json"
        >>> write_json(path, {"images": 2})
        >>> json.loads(path.read_text())
        {'images': 2}
    """
    write_bytes(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
