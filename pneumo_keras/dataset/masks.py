"""Draw the masks of all images, and keep a folder of them up to date (notebook 01)."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from pneumo_keras.dataset import images, mask_index
from pneumo_keras.dataset.hashes import content_hash, perceptual_hash
from pneumo_keras.dataset.labelme import BACKGROUND, label_key, read_annotation
from pneumo_keras.dataset.mask_index import EMBEDDED, read_mask_index
from pneumo_keras.dataset.records import ImageRecord, patient_notes
from pneumo_keras.dataset.tree import is_mask_folder, relative_path
from pneumo_keras.errors import StudyError
from pneumo_keras.progress import progress_bar

FORMAT = 4  # raised when the same annotation gives another mask or row than before


@dataclass(frozen=True, eq=False)
class MaskReport:
    """Result of `write_masks`."""

    index: pd.DataFrame  # index.csv, one row per image
    refused: pd.DataFrame  # columns `annotation` and `reason`, one row per image left out
    written: int  # masks drawn now
    kept: int  # masks that were still valid
    removed: int  # masks whose image is gone
    notes: tuple[str, ...]  # sentences for the user


def write_masks(
    records: Sequence[ImageRecord],
    folder: str | Path,
    target: str,
    labels: Sequence[str],
    *,
    data: str | Path,
    skip_bad: bool = False,
    progress: bool = True,
) -> MaskReport:
    """Write the mask of every image and the index; masks that are still valid are kept.

    Nothing in the folder changes until all images have been read and all masks drawn.

    Args:
        records: from `find_images`.
        folder: for the masks alone.
        target: label to segment.
        labels: all other labels that may occur; they may include the target.
        data: data folder, to which the paths in the index are relative.
        skip_bad: leave out images that cannot be used, instead of stopping.

    Raises:
        StudyError: if an image or annotation cannot be used (unless `skip_bad`), a label is not
            declared, no image shows the target, or the folder holds other files.
    """
    folder, data = Path(folder), Path(data)
    declared = declare_labels(target, labels)
    previous = _previous_rows(folder, records)
    with mask_index.scratch_folder(folder) as scratch:
        drawing = MaskDrawing(declared, data, folder, scratch, previous)
        rows, refused = drawing.draw(records, progress)
        if refused and not (skip_bad and rows):
            more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
            raise StudyError(refused[0]["reason"] + more)
        for problem in mask_index.label_problems(rows, declared, drawing.unknown):
            raise StudyError(problem)  # the first
        outdated = {row["mask"] for row in previous.values()} - {row["mask"] for row in rows}
        written = mask_index.store(folder, scratch, rows, refused, outdated)
    counts = (written, len(rows) - written, len(outdated))
    refused = pd.DataFrame(refused, columns=["annotation", "reason"])
    notes = (*patient_notes(records, data), *mask_index.label_notes(rows, declared))
    return MaskReport(read_mask_index(folder), refused, *counts, notes)


def declare_labels(target: str, labels: Sequence[str]) -> tuple[str, ...]:
    """The target and the other labels, each once; StudyError if the target cannot be a label."""
    by_key: dict[str, str] = {}
    for label in (target, *labels):
        by_key.setdefault(label_key(label), label.strip())
    if label_key(target) in ("", BACKGROUND):
        raise StudyError(f"{target!r} cannot be the target: name the label to segment")
    return tuple(label for key, label in by_key.items() if key not in ("", BACKGROUND))


def _previous_rows(folder: Path, records: Sequence[ImageRecord]) -> dict[str, dict[str, Any]]:
    """Rows of the present index by name; a folder that holds other files is refused."""
    rows, other = [], [folder] if folder.is_file() else []
    if is_mask_folder(folder):
        rows = read_mask_index(folder).to_dict("records")
        new = {f"{record.name}.png" for record in records} - {row["mask"] for row in rows}
        other = [folder / mask for mask in sorted(new) if (folder / mask).exists()]
    elif folder.is_dir():
        other = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    if other:
        raise StudyError(f"{other[0]} was not written here: choose another folder for the masks")
    return {row["name"]: row for row in rows}


@dataclass
class MaskDrawing:
    """Draw masks into a scratch folder, several at a time, and make their rows of the index."""

    labels: tuple[str, ...]  # declared, the target first
    data: Path  # data folder, to which the paths in the rows are relative
    folder: Path  # folder of masks, which stays as it is
    scratch: Path  # where new masks are written
    previous: Mapping[str, dict[str, Any]] = field(default_factory=dict)  # old rows by name
    unknown: list[str] = field(default_factory=list)  # undeclared labels, once per file
    greys: dict[str, int] = field(default_factory=dict)  # how many each image uses, by name

    def draw(
        self, records: Sequence[ImageRecord], progress: bool
    ) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
        """Draw all masks; return their rows, and `annotation` and `reason` of images left out."""
        rows, refused = [], []
        # Closing the map drops what is still to do when the user interrupts.
        with ThreadPoolExecutor() as pool, closing(pool.map(self._row, records)) as results:
            bar = progress_bar(results, "masks", len(records), show=progress)
            for result, record in zip(bar, records):
                if isinstance(result, str):
                    annotation = relative_path(record.annotation, self.data).as_posix()
                    refused.append({"annotation": annotation, "reason": result})
                else:
                    rows.append(result)
        return rows, refused

    def _row(self, record: ImageRecord) -> dict[str, Any] | str:
        """The row of an image, its mask drawn if the stamp has changed; or why it has none."""
        if record.problem:
            return record.problem
        mask = f"{record.name}.png"
        path = self.folder / EMBEDDED / mask if record.embedded else record.image
        row = {
            "name": record.name,
            "image": relative_path(path, self.data).as_posix(),
            "mask": mask,
            "annotation": relative_path(record.annotation, self.data).as_posix(),
            "patient": record.patient,
            "group": record.group,
            "part": record.part,
            "licence": record.licence,
        }
        try:
            stamp = [FORMAT, self.labels, row["image"], row["annotation"]]
            stamp += record.reference.state()
            for file in (record.image, *record.reference.files):
                stamp += [file.stat().st_size, file.stat().st_mtime_ns]
            row["stamp"] = hashlib.sha256(json.dumps(stamp).encode()).hexdigest()[:16]
            old = self.previous.get(record.name, {})
            is_valid = old.get("stamp") == row["stamp"] and (self.folder / mask).is_file()
            if is_valid and path.is_file():
                return {**old, **row}
            return {**row, **self._drawn(record, mask)}
        except StudyError as error:
            return str(error)
        except OSError as error:
            return f"{error.filename} cannot be read ({error.strerror}): check the path"

    def _drawn(self, record: ImageRecord, mask: str) -> dict[str, Any]:
        """Draw the mask; return the columns that need pixels, those named after labels last."""
        row_mm, column_mm, inverted = np.nan, np.nan, False
        if record.embedded:
            content = read_annotation(record.annotation).embedded or b""
            image = images.decode_image(content, f"the image embedded in {record.annotation}")
        else:
            image = images.read_image(record.image)
            row_mm, column_mm = images.pixel_spacing(record.image) or (np.nan, np.nan)
            inverted = images.is_inverted(record.image)
        histogram = cv2.calcHist([image], [0], None, [256], [0, 256])
        self.greys[record.name] = np.count_nonzero(histogram)
        drawn = record.reference.label_masks(record.image, self.labels, image.shape)
        self.unknown.extend(drawn.unknown)
        images.write_png(self.scratch / mask, drawn.masks[self.labels[0]])
        if record.embedded:
            images.write_png(self.scratch / EMBEDDED / mask, image)
        return {
            "height": image.shape[0],
            "width": image.shape[1],
            "spacing_row_mm": row_mm,
            "spacing_column_mm": column_mm,
            "inverted": int(inverted),
            "content_hash": content_hash(image),
            "perceptual_hash": perceptual_hash(image),
            "shapes": drawn.shapes,
            "labels": json.dumps(list(drawn.labels), ensure_ascii=False),
            **_shares(drawn.masks, self.labels),
        }


def _shares(masks: Mapping[str, np.ndarray], labels: Sequence[str]) -> dict[str, float]:
    def share(mask: np.ndarray | None) -> float:  # ten times as fast as the mean of a bool array
        return np.nan if mask is None else np.count_nonzero(mask) / mask.size

    target, *others = labels
    shares = {"target_share": share(masks[target]), "target_share_in_lung": np.nan}
    for label in others:
        shares[f"share_{label}"] = share(masks.get(label))
        if label_key(label) == "lung" and shares[f"share_{label}"] > 0:
            inside = share(masks[target] & masks[label])
            shares["target_share_in_lung"] = inside / shares[f"share_{label}"]
    return {name: round(value, 6) for name, value in shares.items()}
