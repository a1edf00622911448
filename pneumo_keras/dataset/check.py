"""Check a data folder before training: what `run` would refuse, duplicates, leaks, unused files."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pneumo_keras.dataset.hashes import BITS, near_pairs
from pneumo_keras.dataset.images import IMAGE_SUFFIXES, image_format
from pneumo_keras.dataset.layouts import AUTO, find_images
from pneumo_keras.dataset.mask_index import label_notes, label_problems
from pneumo_keras.dataset.masks import MaskDrawing, declare_labels
from pneumo_keras.dataset.patients import in_words
from pneumo_keras.dataset.records import ImageRecord, patient_notes
from pneumo_keras.dataset.splits import crossing_patients, draw_split
from pneumo_keras.dataset.tree import files_below, relative_path
from pneumo_keras.errors import StudyError

# Folders that name a part: train, Train Set, Test_Folder, val, ...
PART_FOLDER = re.compile(r"(train|val|test)(ing|idation)?([ _-]?(set|folder|data|images))?")
PARTS = {"train": "train", "val": "validation", "test": "test"}
MIN_GREYS = 32  # of the 256 that an image with contrast uses at least
Splits = Mapping[str, pd.Series]  # by a name for messages, the part of each image by its name


@dataclass(frozen=True)
class Finding:
    """Something that the user should know about a data folder, in one line.

    Its kind is `folder`, `image` (it or its annotation cannot be used), `labels`, `split`,
    `same image`, `similar images`, `patient` (in the test set and outside it), `no annotation`,
    `no image` or `note`.
    """

    kind: str
    files: tuple[str, ...]  # relative to the data folder
    message: str
    refused: bool = False  # whether `run` would stop at it


@dataclass(frozen=True, eq=False)
class Examination:
    """Result of `examine`."""

    data: Path
    masks: Path  # folder of the masks drawn
    findings: Sequence[Finding]  # refusals first
    records: Sequence[ImageRecord] = ()  # from `find_images`
    index: pd.DataFrame = field(default_factory=pd.DataFrame)  # of masks, with the image `format`
    splits: Splits = field(default_factory=dict)  # that `run` draws, and that the images come with

    @property
    def refusals(self) -> list[Finding]:
        """Why `run` would refuse the folder; empty if it would accept it."""
        return [finding for finding in self.findings if finding.refused]


def examine(
    data: str | Path,
    masks: str | Path,
    target: str,
    labels: Sequence[str],
    split_by: str = "patient",
    *,
    layout: str = AUTO,
    normals: bool = False,
    allow_outside: bool = False,
    skip_bad: bool = False,
    progress: bool = True,
    **settings,
) -> Examination:
    """Check a data folder, which is not changed, with the functions with which `run` reads it.

    Masks are drawn in `masks`, an empty folder. The other arguments are those of `find_images`,
    `write_masks` and `split_images`.
    """
    data, masks = Path(data), Path(masks)
    drawing = MaskDrawing(declare_labels(target, labels), data, masks, masks)
    try:
        records = find_images(data, layout, target, normals, allow_outside)
    except StudyError as error:
        return Examination(data, masks, [Finding("folder", (), str(error), refused=True)])
    rows, refused = drawing.draw(records, progress)
    stop = not (skip_bad and rows)
    findings = [Finding("image", (one["annotation"],), one["reason"], stop) for one in refused]
    index, splits = pd.DataFrame(rows), {}
    if rows:
        problems = label_problems(rows, drawing.labels, drawing.unknown)
        findings += [Finding("labels", (), problem, refused=True) for problem in problems]
        index["format"] = [image_format(data / image) for image in index["image"]]
        try:
            splits["the split that run draws"] = draw_split(data, index, split_by, **settings)
        except StudyError as error:
            if not any(finding.refused for finding in findings):  # else it follows from those
                findings.append(Finding("split", (), str(error), refused=True))
        embedded = index["name"].isin([record.name for record in records if record.embedded])
        shown = index.assign(image=index["image"].mask(embedded, index["annotation"]))
        splits |= given_split(shown)
        findings += [*_duplicates(shown, splits), *_crossing(shown, splits)]
        findings += _poor_contrast(shown, drawing.greys)
        findings += [Finding("note", (), note) for note in label_notes(rows, drawing.labels)]
    findings += [Finding("note", (), note) for note in patient_notes(records, data)]
    findings += _unused(records, data)
    findings.sort(key=lambda finding: not finding.refused)
    return Examination(data, masks, findings, records, index, splits)


def given_split(index: pd.DataFrame) -> Splits:
    """The official split, or else the one that folders tell; empty unless each image has a part.

    Example:
        >>> images = {"name": ["a", "b"], "image": ["train/a.png", "Test Set/b.png"], "part": ""}
        >>> given_split(pd.DataFrame(images))["the split of the folders"].to_dict()
        {'a': 'train', 'b': 'test'}
    """

    def part(image: str) -> str:
        matches = map(PART_FOLDER.fullmatch, PurePath(image.casefold()).parts[:-1])
        return next((PARTS[match[1]] for match in matches if match), "")

    candidates = {
        "the official split": index["part"],
        "the split of the folders": index["image"].map(part),
    }
    for name, parts in candidates.items():
        if (parts != "").all() and (parts == "test").nunique() > 1:
            return {name: pd.Series(parts.to_numpy(), index=index["name"].to_numpy())}
    return {}


def _duplicates(index: pd.DataFrame, splits: Splits) -> Iterator[Finding]:
    """Images of identical content, and groups of other images that look the same."""
    found = []
    copies = index[index.duplicated("content_hash", keep=False)]
    for _, images in copies.groupby("content_hash", sort=False):
        differ = ", marked differently" if images["target_share"].nunique() > 1 else ""
        found.append(("same image", images, f"are identical{differ}"))
    unique = index.drop_duplicates("content_hash").reset_index(drop=True)
    pairs = near_pairs(unique["perceptual_hash"].tolist())
    graph = coo_array((np.ones(len(pairs)), pairs[:, :2].T), shape=(len(unique),) * 2)
    _, group = connected_components(graph, directed=False)
    for number in dict.fromkeys(group[pairs[:, 0]]):
        bits = pairs[group[pairs[:, 0]] == number, 2].max()
        message = f"look the same ({bits} of {BITS} bits differ)"
        found.append(("similar images", unique[group == number], message))
    for kind, images, message in found:
        patients = images["patient"].unique()
        message += f", of patients {in_words(patients)}" if len(patients) > 1 else ""
        for name, parts in splits.items():
            if (parts[images["name"]] == "test").nunique() > 1:
                message += f", in the test set and outside it by {name}"
        yield Finding(kind, tuple(images["image"]), f"{in_words(images['image'])} {message}")


def _crossing(index: pd.DataFrame, splits: Splits) -> Iterator[Finding]:
    """Patients with images in a test set and outside it, which `run` does not refuse."""
    for name, parts in splits.items():
        for patient in crossing_patients(parts, index).index:
            images = index[index["patient"] == patient].set_index("name")["image"]
            tested = parts[images.index] == "test"
            where = f"{in_words(images[tested])} in it, {in_words(images[~tested])} not"
            message = f"patient {patient} is in the test set and outside it by {name}: {where}"
            yield Finding("patient", tuple(images), message)


def _poor_contrast(index: pd.DataFrame, greys: Mapping[str, int]) -> Iterator[Finding]:
    """Images that use few greys, and those of 16 bits that use fewer."""
    used = index["name"].map(greys)
    few = index[used < MIN_GREYS]
    if len(few):
        which = f"{len(few)} image(s) use fewer than {MIN_GREYS} of the 256 greys"
        first = f"the first {few['image'].iloc[0]} ({used[few.index[0]]})"
        message = f"{which}, {first}: check how they were exported"
        yield Finding("note", tuple(few["image"]), message)
    depths = index["format"].str.extract(r"with (\d+)-bit values$")[0]
    for depth, images in index["image"].groupby(depths):
        message = (
            f"{len(images)} image(s) of 16 bits use no value above {2 ** int(depth) - 1}, the "
            f"first {images.iloc[0]}: read as {depth}-bit"
        )
        yield Finding("note", tuple(images), message)


def _unused(records: Sequence[ImageRecord], data: Path) -> Iterator[Finding]:
    """Image files of no record, one by one in folders in use, else once for the folder."""
    used, image_folders, mask_folders, unused_folders = set(), set(), set(), Counter()
    for record in records:
        references = {record.annotation, *(record.reference.files if record.reference else ())}
        used |= {path.resolve() for path in (record.image, *references)}
        image_folders |= set() if record.problem else {record.image.parent.resolve()}
        masks = filter(_is_image, references - {record.image})
        mask_folders |= {path.parent.resolve() for path in masks}
    for path in filter(_is_image, sorted(files_below(data))):
        if path.resolve() in used:
            continue
        name = relative_path(path, data).as_posix()
        if path.parent.resolve() in image_folders:
            yield Finding("no annotation", (name,), f"{name} has no annotation and is not used")
        elif path.parent.resolve() in mask_folders:
            yield Finding("no image", (name,), f"{name} is a mask without image")
        else:
            unused_folders[relative_path(path.parent, data).as_posix()] += 1
    for name, count in unused_folders.items():
        message = f"{name}: {count} image(s) without annotation, not used"
        yield Finding("no annotation", (name,), message)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES
