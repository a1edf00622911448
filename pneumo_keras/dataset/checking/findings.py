"""One thing that the user should know of the data folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

KINDS = (
    "folder",  # as a whole
    "film",  # it or its annotation cannot be used
    "labels",
    "split",
    "same film",
    "similar films",
    "patient",  # on both sides of a split
    "no annotation",
    "no film",
    "note",
)


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Attributes:
        kind: One of `KINDS`.
        files: What it is about, paths seen from the data folder.
        message: One line that names them.
        refused: `run` would stop at it.
    """

    kind: str
    files: tuple[str, ...]
    message: str
    refused: bool = False


def listed(words: Iterable[str], most: int = 4) -> str:
    """Words as a sentence lists them, a long list cut short.

    Example:
        >>> listed(["a", "b", "c"]), listed("abcdefg")
        ('a, b and c', 'a, b, c and 4 more')
    """
    words = list(words)
    if len(words) > most:
        words = [*words[: most - 1], f"{len(words) - most + 1} more"]
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
