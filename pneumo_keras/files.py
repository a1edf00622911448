"""Atomic writes: a file is complete or absent, whatever interrupts the program."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd

from pneumo_keras.errors import StudyError


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
    """Write a table as CSV, without its row index.

    Example:
        >>> from tempfile import mkdtemp
        >>> path = Path(mkdtemp()) / "table.csv"
        >>> write_csv(path, pd.DataFrame({"name": ["a"], "dice": [0.5]}))
        >>> path.read_text().split()
        ['name,dice', 'a,0.5']
    """
    content = table.to_csv(index=False)
    if "\r" in content:  # pandas quotes \r only where it is part of the line ending
        content = table.to_csv(index=False, lineterminator="\r\n")
    write_bytes(path, content.encode())


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
