"""The record of an image: its name, patient and group, and its reference annotation.

Images of one patient must not fall on both sides of a split, and results are reported by group.
Both come from the data set itself, index.csv or the file name; the patient also from DICOM.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pneumo_keras.dataset.dicom import patient_id
from pneumo_keras.dataset.images import read_mask
from pneumo_keras.dataset.labelme import (
    BACKGROUND,
    Annotation,
    label_key,
    rasterize,
    read_annotation,
    refuse_unsound,
)
from pneumo_keras.dataset.patients import in_words, patient_from_name
from pneumo_keras.dataset.tree import Tree, relative_path
from pneumo_keras.errors import StudyError


@dataclass(frozen=True, eq=False)
class LabelMasks:
    """What is outlined in one image.

    Labels that are not outlined, or have only shapes that enclose nothing, have no mask; the target
    always has one.
    """

    masks: Mapping[str, np.ndarray]  # bool (height, width) by label
    labels: Sequence[str]  # the labels that occur, as written in the reference
    shapes: int  # number of outlines, mask files or crops
    unknown: Sequence[str] = ()  # labels that occur though they were not declared


class Reference:
    """The reference annotation of one image."""

    files: tuple[Path, ...] = ()  # what it is read from

    def state(self) -> list[Any]:
        """What changes when the reference changes though its files do not; fit for JSON."""
        return []

    def label_masks(self, image: Path, labels: Sequence[str], size: tuple[int, int]) -> LabelMasks:
        """Make a mask for each label, the target first.

        `size` is the height and width of the image in pixels; its path serves error messages.

        Raises:
            StudyError: The reference cannot be read, has another size than the image, or encloses
                no region for the target.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class LabelMeFile(Reference):
    """Outlines in a LabelMe file, which is parsed again only if it was modified."""

    path: Path
    annotation: Annotation | None = field(default=None, repr=False, compare=False)  # as parsed
    modified: int = field(default=0, repr=False, compare=False)  # its modification time then

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path,)

    def label_masks(self, image: Path, labels: Sequence[str], size: tuple[int, int]) -> LabelMasks:
        is_parsed = self.annotation and self.modified == modification_time(self.path)
        annotation = self.annotation if is_parsed else read_annotation(self.path)
        given = (annotation.height or size[0], annotation.width or size[1])
        refuse_other_size(self.path, given, image, size)
        refuse_unsound(annotation, labels, *size)
        masks = {labels[0]: rasterize(annotation, labels[0], *size)}
        for label in labels[1:]:
            try:
                masks[label] = rasterize(annotation, label, *size)
            except StudyError:
                continue  # lines or points, which matter only for the target
        occurring = list(dict.fromkeys(shape.label for shape in annotation.shapes))
        known = {BACKGROUND, *map(label_key, labels)}
        unknown = [label for label in occurring if label_key(label) not in known]
        return LabelMasks(masks, occurring, len(annotation.shapes), unknown)


@dataclass(frozen=True)
class MaskFiles(Reference):
    """Mask images of the size of the image, or resized to it by nearest pixel."""

    paths: Mapping[str, tuple[Path, ...]]  # by label; several of one label unite
    resize: bool = False  # only for data sets documented to have masks of another size

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(path for paths in self.paths.values() for path in paths)

    def state(self) -> list[Any]:
        return [[label, *map(str, paths)] for label, paths in self.paths.items()]

    def label_masks(self, image: Path, labels: Sequence[str], size: tuple[int, int]) -> LabelMasks:
        found = {
            label_key(label): np.any([self._read(path, image, size) for path in paths], axis=0)
            for label, paths in self.paths.items()
        }
        masks = {label: found[label_key(label)] for label in labels if label_key(label) in found}
        occurring = [label for label, mask in found.items() if mask.any()]
        return LabelMasks(masks, occurring, len(self.files))

    def _read(self, path: Path, image: Path, size: tuple[int, int]) -> np.ndarray:
        def check_size(given: tuple[int, int]) -> None:
            if not self.resize:
                refuse_other_size(path, given, image, size)

        mask = read_mask(path, check_size)
        if mask.shape == size:
            return mask
        nearest = cv2.INTER_NEAREST_EXACT
        return cv2.resize(mask.astype(np.uint8), size[::-1], interpolation=nearest).astype(bool)


@dataclass(frozen=True)
class EmptyReference(Reference):
    """The image shows nothing of the target, which is known without an annotation."""

    def state(self) -> list[Any]:
        return ["nothing"]

    def label_masks(self, image: Path, labels: Sequence[str], size: tuple[int, int]) -> LabelMasks:
        return LabelMasks({labels[0]: np.zeros(size, bool)}, [], 0)


@dataclass(frozen=True)
class ImageRecord:
    """One image and its reference annotation."""

    name: str  # unique among the images found; the name of its mask
    image: Path  # the annotation itself if the image is only embedded in it
    annotation: Path  # first file of the reference; the image itself if the reference is empty
    patient: str  # shared by the images of one patient
    group: str  # bacteria, virus, normal, what index.csv says, or unknown
    problem: str = ""  # why the image cannot be used
    reference: Reference | None = None  # None if there is a problem
    licence: str = ""  # of image and annotation, if the data set states it
    part: str = ""  # train, validation or test, if the data set has a split of its own
    layout: str = ""  # key of `layouts.LAYOUTS`
    patient_known: bool = True  # otherwise the image is its own patient

    @property
    def embedded(self) -> bool:
        """Whether the image exists only inside its LabelMe annotation."""
        return self.image == self.annotation and self.image.suffix.lower() == ".json"


def refused(path: Path, problem: str) -> ImageRecord:
    """The record of an image, or of a mask without one, that cannot be used."""
    return ImageRecord("", path, path, "", "", problem)


def complete(
    records: Sequence[ImageRecord], tree: Tree, layout: str, licence: str
) -> list[ImageRecord]:
    """Fill in names, patients, groups and licences that the layout left empty.

    They come from index.csv in the data folder, then from the file name, the patient also from the
    header of DICOM unless all headers say the same, as those of an anonymised set do; an image of
    an unknown patient is its own patient.
    """
    names = _unique_names([relative_path(record.image, tree.root) for record in records])
    entries = tree.listed([(record.annotation, record.image) for record in records])
    patients = [
        record.patient or listed.patient or patient_from_name(record.image.stem)[0]
        for record, listed in zip(records, entries)
    ]
    headers = [patient_id(r.image) for r, patient in zip(records, patients) if not patient]
    usable = len({*headers} - {""}) > 1 or len(headers) == 1
    ids = iter(headers if usable else [""] * len(headers))
    completed = []
    for record, name, listed, patient in zip(records, names, entries, patients):
        patient = patient or next(ids)
        group = patient_from_name(record.image.stem)[1]
        known = {
            "patient": patient or name,
            "patient_known": bool(patient),
            "group": record.group or listed.group or group or "unknown",
            "licence": record.licence or listed.licence or licence,
        }
        completed.append(replace(record, name=name, layout=layout, **known))
    return completed


def patient_notes(records: Sequence[ImageRecord], data: Path) -> Iterator[str]:
    """What the user should know about patients and index.csv, one sentence each."""
    usable = [record for record in records if not record.problem]
    path = data / "index.csv"
    if path.is_file():
        tree = Tree(data)
        entries, left = tree.match_index([(record.annotation, record.image) for record in records])
        if not tree.index.has_patients:
            seen = f"columns seen: {tree.index.columns}"
            yield f"{path} names no patients ({seen}): add a column patient_id"
        if left:
            rows = f"{len(left)} row(s) that fit no image, or several: {in_words(left)}"
            yield f"{path} has {rows}; write the path of each image"
        unlisted = [r.name for r, entry in zip(records, entries) if not (entry or r.problem)]
        if unlisted:
            yield f"{path} has no row for {len(unlisted)} image(s): {in_words(unlisted)}"
    dicom = [record.patient for record in usable if record.patient.startswith("dicom:")]
    if dicom:
        patients = f"{len(dicom)} image(s) are by their DICOM headers of {len({*dicom})} patient(s)"
        yield f"{patients}, whose PatientID is written as a pseudonym"
    if unknown := [record.name for record in usable if not record.patient_known]:
        yield (
            f"the patient of {len(unknown)} image(s) is unknown: {in_words(unknown)}; "
            "each counts as a patient of its own; name them in index.csv (data/README.md)"
        )


def _unique_names(images: Sequence[Path]) -> list[str]:
    """The stem of each image, or as much of its path as distinguishes it from the others."""
    names = [path.stem for path in images]
    for longer in (
        lambda path: "__".join(path.with_suffix("").parts),
        lambda path: "__".join(path.parts).replace(".", "_"),
    ):
        count = Counter(name.casefold() for name in names)  # some file systems ignore case
        pairs = zip(names, images)
        names = [longer(path) if count[name.casefold()] > 1 else name for name, path in pairs]
    return names


def refuse_two_annotations(records: Iterable[ImageRecord]) -> None:
    """Refuse two annotations of one image, which may hide behind links."""
    first: dict[str, ImageRecord] = {}
    for record in records:
        other = first.setdefault(os.path.realpath(record.image), record)
        if other is not record:
            paths = f"{other.annotation} and {record.annotation}"
            raise StudyError(f"{paths} both annotate {record.image}: remove one of them")


def refuse_other_size(path: Path, given: Sequence[int], image: Path, size: Sequence[int]) -> None:
    """Refuse a reference of another height and width than those of the image."""
    if tuple(given) != tuple(size):
        theirs, ours = f"{given[1]}×{given[0]}", f"{size[1]}×{size[0]}"
        reason = f"is for an image of {theirs} pixels, but {image} has {ours}"
        raise StudyError(f"{path} {reason}: put image and annotation of one size there")


def modification_time(path: Path) -> int:
    """Modification time of a file in ns; 0 if there is no such file."""
    return path.stat().st_mtime_ns if path.is_file() else 0
