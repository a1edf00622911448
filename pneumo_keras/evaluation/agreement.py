"""Two annotators of the same films: how far they agree, the ceiling to read scores against.

Dice = 2 |A ∩ B| / (|A| + |B|) and IoU = |A ∩ B| / |A ∪ B| of each film; neither annotator is the
truth, and exchanging them changes nothing. A film on which only one of them marks anything scores
0; one on which neither does enters no mean and is counted apart.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from pneumo_keras.dataset.films import FILM_SUFFIXES, read_mask
from pneumo_keras.dataset.labelme import paint, read_annotation
from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.scores import count_pixels


def agreement_by_film(
    first: str | Path, second: str | Path, label: str = "pneumonia"
) -> pd.DataFrame:
    """Dice and IoU of two annotators, film by film.

    Args:
        first: Folder of masks, or of LabelMe annotations. Files of both folders belong together
            if they have one name but for the suffix.
        second: That of the other annotator.
        label: Which to compare, where a folder holds annotations; masks have no labels.

    Returns:
        One row for each film that both have, by name: `name`, `dice`, `iou` (NaN where neither
        marks anything), and `first_share` and `second_share`, the share of the film that each
        marks, 0 to 1.

    Raises:
        StudyError: A folder holds no masks, the two have no film in common, a file cannot be
            read, or two masks of a film differ in size.

    Example:
        >>> import tempfile
        >>> from pneumo_keras.dataset.films import write_png
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_png(folder / "a" / "1.png", np.array([[True, True, False, False]]))
        >>> write_png(folder / "b" / "1.png", np.array([[False, True, True, False]]))
        >>> agreement_by_film(folder / "a", folder / "b")[["name", "dice"]].values.tolist()
        [['1', 0.5]]
    """
    firsts, seconds = _files(Path(first)), _files(Path(second))
    names = sorted(firsts.keys() & seconds.keys())
    if not names:
        raise StudyError(f"{first} and {second} have no file name in common: name them alike")
    return pd.DataFrame(_row(name, firsts[name], seconds[name], label) for name in names)


def agreement_summary(films: pd.DataFrame) -> pd.DataFrame:
    """Mean, median, standard deviation and extremes over the films that either annotator marks.

    Args:
        films: Of `agreement_by_film`.

    Returns:
        The rows `dice` and `iou`; the columns films, mean, median, sd (of a sample), smallest and
        largest.

    Example:
        >>> films = pd.DataFrame({"dice": [0.5, 1.0, np.nan], "iou": [0.4, 1.0, np.nan]})
        >>> agreement_summary(films).loc["dice", ["films", "mean", "smallest"]].tolist()
        [2.0, 0.75, 0.5]
    """
    statistics = {
        "films": "count",
        "mean": "mean",
        "median": "median",
        "sd": "std",
        "smallest": "min",
        "largest": "max",
    }
    table = films[["dice", "iou"]].agg(list(statistics.values())).T
    return table.set_axis(list(statistics), axis=1).astype({"films": int})


def unpaired(first: str | Path, second: str | Path) -> tuple[list[str], list[str]]:
    """The films that only the first, and that only the second annotator has.

    Raises:
        StudyError: A folder holds no masks.
    """
    firsts, seconds = _files(Path(first)), _files(Path(second))
    return sorted(firsts.keys() - seconds.keys()), sorted(seconds.keys() - firsts.keys())


def _files(folder: Path) -> dict[str, Path]:
    """Masks or annotations by name; annotations where there are any, films lie beside them."""
    if not folder.is_dir():
        raise StudyError(f"{folder} is no folder: check the path")
    files = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    annotations = [path for path in files if path.suffix.lower() == ".json"]
    chosen = annotations or [path for path in files if path.suffix.lower() in FILM_SUFFIXES]
    if not chosen:
        raise StudyError(f"{folder} holds neither masks nor LabelMe annotations: check the path")
    by_name: dict[str, Path] = {}
    for path in chosen:
        if by_name.setdefault(path.stem, path) != path:
            raise StudyError(f"{by_name[path.stem]} and {path} have one name: remove one of them")
    return by_name


def _row(name: str, first: Path, second: Path, label: str) -> dict[str, str | float]:
    one, other = _mask(first, label), _mask(second, label)
    if one.shape != other.shape:
        raise StudyError(
            f"{first} has {one.shape[1]}×{one.shape[0]} pixels, {second} "
            f"{other.shape[1]}×{other.shape[0]}: both must be of the size of the film"
        )
    counts = count_pixels(one[None], other[None]).iloc[0]
    both, either = counts["tp"], counts["tp"] + counts["fp"] + counts["fn"]
    return {
        "name": name,
        "dice": 2 * both / (both + either) if either else np.nan,
        "iou": both / either if either else np.nan,
        "first_share": one.mean(),
        "second_share": other.mean(),
    }


def _mask(path: Path, label: str) -> np.ndarray:
    if path.suffix.lower() != ".json":
        return read_mask(path)
    annotation = read_annotation(path)
    if not (annotation.height and annotation.width):
        raise StudyError(f"{path} does not say the size of its film: save it again with labelme")
    return paint(annotation, label, annotation.height, annotation.width)
