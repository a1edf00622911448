"""What stands on both sides of a split: the one that `run` draws, or the one that the films come with."""

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


def given_split(index: pd.DataFrame) -> Sides | None:
    """The split that the films come with: that of their source, or that which folders tell.

    Args:
        index: One row a film, with `name`, `film` and, where the source has a split of its own,
            `part`. Without it, the part is read from the folders of the film: train, Train Set,
            val, Test_Folder, ...

    Returns:
        None unless each film has a part, and some are in test, some not.

    Example:
        >>> index = pd.DataFrame({"name": ["a", "b"], "film": ["train/a.png", "Test Set/x/b.png"]})
        >>> sides = given_split(index)
        >>> sides.called, sides.parts.to_dict()
        ('the split of the folders', {'a': 'train', 'b': 'test'})
    """
    candidates = {"the split of the folders": index["film"].map(_part)}
    if "part" in index:
        candidates = {"the official split": index["part"], **candidates}
    for called, said in candidates.items():
        if (said != "").all() and (said == "test").nunique() > 1:
            return Sides(called, pd.Series(said.to_numpy(), index=index["name"].to_numpy()))
    return None


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
