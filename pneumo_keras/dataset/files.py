"""Files written whole or not at all, whatever stops the writing: an error, a kill, a power cut."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd

from pneumo_keras.errors import StudyError


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary name to write to, which takes the real one's place when all went well.

    Args:
        path: the file to write; its folder is made.

    Yields:
        The temporary path, in the same folder and with the same suffix.

    Raises:
        StudyError: if it cannot be written.

    Example:
        >>> from tempfile import mkdtemp
        >>> path = Path(mkdtemp()) / "note.txt"
        >>> with written_whole(path) as temporary:
        ...     _ = temporary.write_text("whole")
        >>> path.read_text(), len(list(path.parent.iterdir()))
        ('whole', 1)
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())  # or the name might reach the disk before the content
        os.replace(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def remove_partial(folder: Path) -> None:
    """Removes the temporary files that killed processes left in a folder.

    Example:
        >>> from tempfile import mkdtemp
        >>> folder = Path(mkdtemp())
        >>> _ = (folder / ".films.1234.partial.npy").write_bytes(b"half")
        >>> remove_partial(folder)
        >>> list(folder.iterdir())
        []
    """
    for path in folder.glob(".*.partial.*"):
        path.unlink(missing_ok=True)


def cannot_write(path: str | Path, error: OSError) -> StudyError:
    """What to tell the user where a file or folder cannot be written.

    Example:
        >>> print(cannot_write("run.json", OSError(28, "No space left on device")))
        run.json cannot be written (No space left on device): free the disk or choose another folder
    """
    reason = error.strerror or str(error).strip().splitlines()[0]
    return StudyError(
        f"{path} cannot be written ({reason}): free the disk or choose another folder"
    )


def write_whole(path: str | Path, content: bytes) -> None:
    """Writes a file whole or not at all.

    Args:
        path: the file, replaced if it exists; its folder is made.
        content: all of its bytes.

    Raises:
        StudyError: if it cannot be written.
    """
    with written_whole(Path(path)) as temporary:
        temporary.write_bytes(content)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Writes a table as CSV, without its row index.

    Example:
        >>> from tempfile import mkdtemp
        >>> path = Path(mkdtemp()) / "table.csv"
        >>> write_csv(path, pd.DataFrame({"film": ["a"], "dice": [0.5]}))
        >>> path.read_text().split()
        ['film,dice', 'a,0.5']
    """
    write_whole(path, table.to_csv(index=False).encode())


def write_json(path: Path, content: dict) -> None:
    """Writes a dictionary as indented JSON, UTF-8.

    Example:
        >>> from tempfile import mkdtemp
        >>> path = Path(mkdtemp()) / "run.json"
        >>> write_json(path, {"films": 2})
        >>> json.loads(path.read_text())
        {'films': 2}
    """
    write_whole(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
