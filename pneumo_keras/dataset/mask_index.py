"""The index of a folder of masks: its rows, what they tell about the labels, and its files.

A folder of masks holds `<name>.png` per image (0 outside, 255 inside, at the size of the image),
`images/<name>.png` for images that were embedded in their annotation, `refused.csv` with the images
left out and the reason, and `index.csv` with one row per image:

* `name`, `patient`, `group`; `licence`, and `part` by the official split, if there is one
* `mask`: file name in this folder; `image`, `annotation`: paths relative to the data folder
  (depending on the layout, the annotation is a mask or the image itself)
* `stamp`: hash of image, annotation, target and labels; a mask is redrawn when it changes
* `height`, `width`: pixels; `spacing_row_mm`, `spacing_column_mm`: pixel spacing, empty if unknown
* `inverted`: 1 if the file stores low values bright (DICOM MONOCHROME1 or INVERSE, TIFF
  WhiteIsZero) and was inverted
* `shapes`: number of outlines or mask files; `labels`: JSON list of their labels as written
* `target_share`: fraction of the image that is target; `target_share_in_lung`: fraction of the lung
  that is target, empty without a lung mask; `share_<label>`: fraction of the image for every other
  declared label, empty where it is not annotated or encloses nothing
"""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pneumo_keras.dataset.labelme import label_key
from pneumo_keras.dataset.tree import is_mask_folder
from pneumo_keras.errors import StudyError
from pneumo_keras.files import cannot_write, read_csv, write_csv

EMBEDDED = "images"  # subfolder for the images extracted from their annotations
NEARLY_ALL = 0.8  # share of the masks from which on a note says that they look wrong
Rows = Sequence[dict[str, Any]]


def read_mask_index(folder: str | Path) -> pd.DataFrame:
    """Read the index.csv that `write_masks` wrote; StudyError if it is missing or damaged."""
    path = Path(folder) / "index.csv"
    if not is_mask_folder(Path(folder)):
        raise StudyError(f"{path} is not an index of masks: make the masks first (notebook 01)")
    try:
        table = read_csv(path)
        for column in table:  # the others stay text, even where they look like numbers
            if column in ("height", "width", "shapes", "inverted"):
                table[column] = table[column].astype(int)
            elif column.startswith(("share_", "target_share", "spacing_")):
                table[column] = pd.to_numeric(table[column])
    except (OSError, ValueError) as error:
        raise StudyError(f"{path} is damaged ({error}): remove the folder {folder}") from None
    return table


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """Create a hidden temporary folder inside `folder`, and remove a `folder` that stayed empty."""
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as scratch:
            yield Path(scratch)
    except OSError as error:
        raise cannot_write(folder, error) from None
    finally:
        if new and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def store(folder: Path, scratch: Path, rows: Rows, refused: Rows, outdated: set[str]) -> int:
    """Move new masks into the folder, remove outdated ones and write the tables.

    If interrupted at any point, the next run completes the folder: each mask is in the index before
    it is in the folder, and its row has no stamp while the file may still be the old one. Returns
    the number of masks written.
    """
    for mask in outdated:
        (folder / mask).unlink(missing_ok=True)
        (folder / EMBEDDED / mask).unlink(missing_ok=True)
    moves = [path.relative_to(scratch) for path in sorted(scratch.rglob("*.png"))]
    index = pd.DataFrame(rows)
    moving = index["mask"].isin([path.as_posix() for path in moves])
    write_csv(folder / "index.csv", index.assign(stamp=index["stamp"].mask(moving, "")))
    for path in moves:
        (folder / path).parent.mkdir(exist_ok=True)
        os.replace(scratch / path, folder / path)
    (folder / "refused.csv").unlink(missing_ok=True)
    if refused:
        write_csv(folder / "refused.csv", pd.DataFrame(refused))
    write_csv(folder / "index.csv", index)
    return int(moving.sum())


def label_counts(rows: Rows) -> Counter[str]:
    """In how many files each label occurs, as written."""
    return Counter(label for row in rows for label in json.loads(row["labels"]))


def label_problems(rows: Rows, labels: Sequence[str], unknown: Sequence[str]) -> Iterator[str]:
    """What is wrong with the labels of all images, one line each.

    `labels` are the declared ones, the target first; `unknown` all others, once per file.
    """
    if unknown:
        files = (row["annotation"] for row in rows if {*unknown} & {*json.loads(row["labels"])})
        first = next((f", the first in {file}" for file in files), "")
        yield (
            f"labels that are not declared: {_listed(Counter(unknown))}{first}; declared are "
            f"{', '.join(labels)}: add them to the labels, or fix the annotations"
        )
    if not any(row["target_share"] > 0 for row in rows):
        seen = f"labels seen: {_listed(label_counts(rows)) or 'none'}"
        yield f"no image shows the target {labels[0]!r}; {seen}: name one of them, or annotate more"


def label_notes(rows: Rows, labels: Sequence[str]) -> Iterator[str]:
    """What the user should know about the masks, one sentence each; arguments as above."""
    spelling = {label_key(label): label for label in labels}
    for label, count in label_counts(rows).items():
        declared = spelling.get(label_key(label), label)
        if declared != label:
            yield f"{label!r} is read as {declared!r} in {count} file(s)"
    if inverted := sum(row["inverted"] for row in rows):
        yield (
            f"{inverted} image(s) stored with low values bright (DICOM MONOCHROME1 or INVERSE, or "
            "TIFF WhiteIsZero), inverted so that bone is bright"
        )
    yield from _implausible(rows, labels[0])
    keys = [{label_key(label) for label in json.loads(row["labels"])} for row in rows]
    for label in labels[1:]:
        here = [row for row, present in zip(rows, keys) if label_key(label) in present]
        if empty := sum(np.isnan(row[f"share_{label}"]) for row in here):
            yield f"{label!r} encloses nothing in {empty} file(s), and has no share there"
    for row, present in zip(rows, keys):
        if not row["target_share"] and label_key(labels[0]) in present:
            yield f"{row['image']}: its {labels[0]!r} lies outside the image"


def _implausible(rows: Rows, target: str) -> Iterator[str]:
    """Notes on masks that are probably inverted or empty by mistake.

    Images without any outline or mask file are left out, as they show nothing on purpose.
    """
    annotated = [row for row in rows if row["shapes"]]
    most = NEARLY_ALL * len(annotated)
    covered = [row for row in annotated if row["target_share"] > 0.5]
    if covered and len(covered) >= most:
        yield (
            f"{target!r} covers more than half of the image in {len(covered)} of {len(annotated)} "
            f"masks, the first of {covered[0]['image']}: check that they are not inverted"
        )
    empty = [row for row in annotated if not row["target_share"]]
    if empty and len(empty) >= most:
        yield (
            f"{target!r} marks nothing in {len(empty)} of {len(annotated)} masks, the first of "
            f"{empty[0]['image']}: check that they are the right masks"
        )


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{label!r} ({count} file(s))" for label, count in sorted(counts.items()))
