"""LabelMe annotations in any arrangement, beside their images or in folders of their own.

An annotated Kermany release is such a folder, however it was unpacked: nested twice, or in the
Mendeley form without `val`. Only annotated images take part, and normal ones on request.
"""

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath

from pneumo_keras.dataset.images import IMAGE_SUFFIXES
from pneumo_keras.dataset.labelme import read_annotation
from pneumo_keras.dataset.layout_rules import kermany_part
from pneumo_keras.dataset.patients import NORMAL, patient_from_name
from pneumo_keras.dataset.records import (
    EmptyReference,
    ImageRecord,
    LabelMeFile,
    modification_time,
    refuse_two_annotations,
    refused,
)
from pneumo_keras.dataset.tree import Tree, without_copies
from pneumo_keras.errors import StudyError

_NO_IMAGES = ("mask", "lung", "ground-truth", "label")  # folders named so hold no radiographs


def recognises(tree: Tree) -> bool:
    """Tell whether a tree holds a LabelMe file."""
    return any(map(_is_labelme, tree.json_files))


def targets(tree: Tree) -> tuple[str, ...]:
    """No labels of its own: any may be asked for."""
    return ()


def find(tree: Tree, target: str, normals: bool) -> list[ImageRecord]:
    """The annotated images; True adds the normal ones without annotation."""
    found = [each for path in tree.json_files if (each := _read(path, tree))]
    is_own = _rule_for_images_elsewhere(found, tree)
    records = [_with_image(each, is_own, tree) for each in found]
    refuse_two_annotations(records)
    return records + (_normal_records(records, tree) if normals else [])


def _is_labelme(path: Path) -> bool:
    """Tell whether a JSON file is a LabelMe annotation, or was one before it was damaged."""
    beside = any(path.with_suffix(suffix).is_file() for suffix in IMAGE_SUFFIXES)
    try:
        content = path.read_bytes()
        document = json.loads(content.decode("utf-8-sig"))
    except OSError:
        return True  # reading it again tells what is wrong
    except (ValueError, RecursionError):
        return beside or b'"shapes"' in content
    return "shapes" in document if isinstance(document, dict) else beside


@dataclass(frozen=True)
class _Found:
    """An annotation, its image where it says or beside it, or else the only one of that name."""

    record: ImageRecord
    written: Path = Path()  # imagePath
    is_embedded: bool = False
    image: Path | None = None
    elsewhere: Sequence[Path] = ()  # files of that name, copies counted once

    @property
    def folder(self) -> Path:
        return self.record.annotation.parent

    @property
    def agrees(self) -> bool:
        """Whether the folder written, or that of the annotation, is named as that of the image."""
        folders = {self.written.parent.name.casefold(), self.folder.name.casefold()}
        return len(self.elsewhere) == 1 and self.elsewhere[0].parent.name.casefold() in folders


def _read(path: Path, tree: Tree) -> _Found | None:
    """Read a JSON file and look for its image, unless it is of another kind."""
    modified = modification_time(path)
    try:
        annotation = read_annotation(path)
    except StudyError as error:
        return _Found(refused(path, str(error))) if _is_labelme(path) else None
    heavy = any(shape.mask is not None for shape in annotation.shapes)
    kept = None if heavy else replace(annotation, embedded=None)  # thousands must fit into memory
    record = ImageRecord("", path, path, "", "", reference=LabelMeFile(path, kept, modified))
    written = Path(PureWindowsPath(annotation.image).as_posix())
    image = _as_written(path, written, tree)
    elsewhere = () if image else without_copies(tree.images_by_name.get(written.name, []))
    return _Found(record, written, bool(annotation.embedded), image, elsewhere)


def _as_written(path: Path, written: Path, tree: Tree) -> Path | None:
    """The image relative to its annotation, or beside it by its name or by the stem of either."""
    named = Path(os.path.normpath(path.parent / written))
    if os.path.isfile(named) and (tree.allow_outside or _is_inside(named, tree.root)):
        return named
    if os.path.isfile(path.parent / written.name):
        return path.parent / written.name
    stems = (written.stem, path.stem)
    return next(filter(None, (_image_beside(path.parent, stem) for stem in stems)), None)


def _with_image(found: _Found, is_own: Callable[[_Found], bool], tree: Tree) -> ImageRecord:
    """The record with its image, or with the annotation itself if the image is embedded there."""
    record, image = found.record, found.image
    if record.problem:
        return record
    if not image and len(found.elsewhere) == 1 and is_own(found):
        image = found.elsewhere[0]
    if image:
        return replace(record, image=image, part=_part(image, tree))
    if found.is_embedded:
        return record
    path, way_out = record.annotation, "copy the image beside the annotation"
    reason = "which is not there"
    if os.path.isfile(path.parent / found.written):
        reason, way_out = f"which lies outside {tree.root}", f"{way_out}, or add --allow-outside"
    elif len(found.elsewhere) == 1:
        reason += f", while {found.elsewhere[0]} has that name and may be of another patient"
    elif found.elsewhere:
        reason += f", while {len(found.elsewhere)} files of that name lie elsewhere"
    return refused(path, f"{path} names image {str(found.written)!r}, {reason}: {way_out}")


def _rule_for_images_elsewhere(found: Sequence[_Found], tree: Tree) -> Callable[[_Found], bool]:
    """The rule that tells an annotation's own image from another one of the same name.

    It is the own one if its name tells the patient, or if annotations lie apart from the images by
    design: then no image lies where its annotation says, or all in the folder of this one. Where
    images lie in several folders that annotations name, this one must do so, too.
    """
    homes = defaultdict(set)  # of images found as written, by the folder of their annotations
    for each in found:
        if each.image:
            homes[each.folder].add(each.image.parent)
    apart = all(folder not in images for folder, images in homes.items())
    common = set().union(*homes.values()) if apart else set()
    moved = [each for each in found if len(each.elsewhere) == 1]
    several = len({each.elsewhere[0].parent for each in moved}) > 1
    must_agree = several and any(each.agrees for each in moved)

    def is_own(each: _Found) -> bool:
        (image,) = each.elsewhere
        if patient_from_name(image.stem)[0]:
            return True
        if homes:
            is_home = homes.get(each.folder, common) == {image.parent}
            return is_home and (each.agrees or each.written.parent == Path())
        return each.folder not in tree.images_by_folder and (each.agrees or not must_agree)

    return is_own


def _normal_records(annotated: Iterable[ImageRecord], tree: Tree) -> list[ImageRecord]:
    """Images of class normal that have no annotation, nor are copies of one that has."""
    taken = {record.image.name for record in annotated}
    images = [
        path
        for name in sorted(tree.images_by_name.keys() - taken)
        for path in without_copies(tree.images_by_name[name])
        if not _is_mask(path, tree)
    ]
    groups = [entry.group for entry in tree.listed([(path,) for path in images])]
    return [
        ImageRecord("", path, path, "", NORMAL, reference=EmptyReference(), part=_part(path, tree))
        for path, group in zip(images, groups)
        if _is_normal(path, group, tree)
    ]


def _is_mask(path: Path, tree: Tree) -> bool:
    folders = path.relative_to(tree.root).parts[:-1]
    return any(word in folder.lower() for folder in folders for word in _NO_IMAGES)


def _is_normal(path: Path, listed: str, tree: Tree) -> bool:
    group = listed or patient_from_name(path.stem)[1]
    folder = path.parent.name if path.parent != tree.root else ""
    return (group or folder).lower() == NORMAL


def _part(image: Path, tree: Tree) -> str:
    """By the folders of the Kermany release."""
    is_kermany = image.parent.name.lower() in ("normal", "pneumonia")
    return kermany_part(image, tree.root) if is_kermany else ""


def _image_beside(folder: Path, stem: str) -> Path | None:
    """The only image of a stem, suffixes in capitals counting only where others are missing."""
    paths = [folder / f"{stem}{suffix}" for suffix in IMAGE_SUFFIXES]
    capitals = [folder / f"{stem}{suffix.upper()}" for suffix in IMAGE_SUFFIXES]
    found = [*filter(os.path.isfile, paths)] or [*filter(os.path.isfile, capitals)]
    return found[0] if len(found) == 1 else None


def _is_inside(path: Path, data: Path) -> bool:
    """Whether a file lies in the data folder, as written or once links are followed."""
    as_written = Path(os.path.abspath(path)).is_relative_to(os.path.abspath(data))
    return as_written or path.resolve().is_relative_to(data.resolve())
