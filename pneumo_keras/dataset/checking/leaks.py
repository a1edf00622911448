"""What stands on both sides of a split: the one that `run` draws, or the official one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath

import pandas as pd

from pneumo_keras.dataset.checking.findings import Finding, listed
from pneumo_keras.dataset.splits import crossing_patients

# train, Train Set, Test_Folder, val, ...
_PART = re.compile(r"(train|val|test)(ing|idation)?([ _-]?(set|folder|data|images))?")
_PARTS = {"train": "train", "val": "validation", "test": "test"}


@dataclass(frozen=True, eq=False)
class Sides:
    """A split to check.

    Attributes:
        called: What a message calls it.
        parts: train, validation or test for each film, by its name.
    """

    called: str
    parts: pd.Series

    def crossed_by(self, names: list[str]) -> bool:
        """Whether some of these films are tested on, and others are not."""
        return (self.parts[names] == "test").nunique() > 1


def official_split(index: pd.DataFrame) -> pd.Series | None:
    """The split that the source of the films comes with.

    Args:
        index: One row a film, with `name` and `film`; where it has no column `part`, the part is
            read from the folders of the film (train, Train Set, val, Test_Folder, ...).

    Returns:
        The part of each film by its name; None unless each film has one, and some are in test,
        some not.

    Example:
        >>> index = pd.DataFrame({"name": ["a", "b"], "film": ["train/a.png", "Test Set/x/b.png"]})
        >>> official_split(index).to_dict()
        {'a': 'train', 'b': 'test'}
    """
    said = index["part"] if "part" in index else index["film"].map(_part)
    parts = pd.Series(said.to_numpy(), index=index["name"].to_numpy())
    if (parts == "").any() or (parts == "test").nunique() < 2:
        return None
    return parts


def find_crossing_patients(index: pd.DataFrame, sides: Sides) -> list[Finding]:
    """Patients whose films are both tested on and trained on.

    `run` refuses none of them: by patient it draws a split without, and the random split by image
    is the user's own choice.

    Args:
        index: One row a film, with `name`, `film` and `patient`.
        sides: The split.
    """
    findings = []
    for patient in crossing_patients(sides.parts, index).index:
        films = index[index["patient"] == patient]
        tested = films["name"].map(sides.parts) == "test"
        message = (
            f"patient {patient} is on both sides of {sides.called}: "
            f"{listed(films['film'][tested])} in test, {listed(films['film'][~tested])} not"
        )
        findings.append(Finding("patient", tuple(films["film"]), message))
    return findings


def _part(film: str) -> str:
    for folder in PurePath(film).parts[:-1]:
        if match := _PART.fullmatch(folder.casefold()):
            return _PARTS[match[1]]
    return ""
