"""The folder of masks on disk: its index read, its files changed all together or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from pneumo_keras.dataset.files import write_csv
from pneumo_keras.dataset.sources import Film, is_mask_folder
from pneumo_keras.errors import StudyError

EMBEDDED = "films"  # the subfolder of films that were only embedded in their annotations
_REFUSED = ["annotation", "reason"]


def read_mask_index(folder: str | Path) -> pd.DataFrame:
    """Reads the index.csv that `write_masks` wrote.

    Names and patients stay text, even where they look like numbers or like missing values.

    Args:
        folder: The folder of masks.

    Returns:
        One row a film; the columns are described in `masks`.

    Raises:
        StudyError: The folder holds no such index.
    """
    path = Path(folder) / "index.csv"
    if not is_mask_folder(Path(folder)):
        raise StudyError(f"{path} is no index of masks: make the masks first")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        for column in table:
            if column in ("height", "width", "shapes", "inverted"):
                table[column] = table[column].astype(int)
            elif column.startswith(("share_", "target_share", "spacing_")):
                table[column] = pd.to_numeric(table[column])
    except (OSError, ValueError) as error:
        raise StudyError(f"{path} is damaged ({error}): remove the folder {folder}") from None
    return table


def refuse_other_folder(folder: Path, films: Sequence[Film]) -> None:
    """Raises StudyError if masks written to the folder would mix with what is not ours."""
    if folder.exists() and not folder.is_dir():
        raise StudyError(f"{folder} is a file: choose a folder for the masks")
    taken = {
        path.parent
        for film in films
        for path in (film.film, film.annotation, *(film.truth.files if film.truth else ()))
    }
    if folder.resolve() in {path.resolve() for path in taken}:
        raise StudyError(f"{folder} holds films or annotations: choose another folder for masks")
    ours = set()
    if (folder / "index.csv").exists():
        if not is_mask_folder(folder):
            raise StudyError(f"{folder / 'index.csv'} is not ours: choose another folder for masks")
        ours = set(read_mask_index(folder)["mask"])
    for film in films:
        mask = f"{film.name}.png"
        if mask not in ours and (folder / mask).exists():
            raise StudyError(f"{folder / mask} is not ours: choose another folder for the masks")


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """A hidden folder inside the folder of masks, which goes away again, as does a new `folder`."""
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as scratch:
            yield Path(scratch)
    except OSError as error:
        raise StudyError(
            f"{folder} cannot be written to ({error.strerror}): choose another folder"
        ) from None
    finally:
        if new and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def store(
    folder: Path, scratch: Path, rows: Sequence[dict[str, Any]], refused: Sequence[dict[str, str]]
) -> tuple[int, int]:
    """Moves new masks into the folder, removes those of films that are gone, writes the tables.

    Stopped at any point, it leaves a folder that the next run completes: a mask is always in the
    index before it is in the folder, without a stamp as long as it may be the old one.

    Args:
        folder: The folder of masks.
        scratch: Holds the new files, laid out as in `folder`.
        rows: Of the whole index.
        refused: Of refused.csv, which is written only if there are any.

    Returns:
        How many masks were painted, and how many removed.
    """
    removed = _remove_gone(folder, {row["mask"] for row in rows})
    moves = [path.relative_to(scratch) for path in sorted(scratch.rglob("*.png"))]
    index = pd.DataFrame(rows)
    unsure = index["mask"].isin([path.as_posix() for path in moves])
    write_csv(folder / "index.csv", index.assign(stamp=index["stamp"].mask(unsure, "")))
    for path in moves:
        (folder / path).parent.mkdir(exist_ok=True)
        os.replace(scratch / path, folder / path)
    if refused:
        write_csv(folder / "refused.csv", pd.DataFrame(refused, columns=_REFUSED))
    else:
        (folder / "refused.csv").unlink(missing_ok=True)
    write_csv(folder / "index.csv", index)
    return int(unsure.sum()), removed


def _remove_gone(folder: Path, masks: set[str]) -> int:
    if not is_mask_folder(folder):
        return 0
    gone = set(read_mask_index(folder)["mask"]) - masks
    for mask in gone:
        (folder / mask).unlink(missing_ok=True)
        (folder / EMBEDDED / mask).unlink(missing_ok=True)
    return len(gone)
