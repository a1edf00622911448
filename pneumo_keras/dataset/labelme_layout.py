"""LabelMe annotations in any arrangement, beside their images or in folders of their own.

An annotated Kermany release is such a folder, however it was unpacked: nested twice, or in the
Mendeley form without `val`. Only annotated images take part, and normal ones on request.
"""

import filecmp
import json
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PureWindowsPath

from pneumo_keras.dataset.images import IMAGE_SUFFIXES
from pneumo_keras.dataset.labelme import Annotation, read_annotation
from pneumo_keras.dataset.layout_rules import kermany_part
from pneumo_keras.dataset.records import (
    NORMAL,
    EmptyReference,
    ImageRecord,
    LabelMeFile,
    modification_time,
    patient_from_name,
    refuse_two_annotations,
    refused,
)
from pneumo_keras.dataset.tree import Tree
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
    records = [record for path in tree.json_files if (record := _record(path, tree))]
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


def _image_of(annotation: Annotation, tree: Tree) -> Path:
    """Find the image of an annotation: the annotation itself if it is only embedded there.

    It is looked for where `imagePath` says, relative to the annotation; then beside the annotation
    by its file name, by its stem, by the stem of the annotation; then anywhere in the data folder
    by its file name, provided that all files of that name are copies of one.

    Raises:
        StudyError: The image is not there, or lies outside the data folder.
    """
    folder = annotation.path.parent
    written = Path(PureWindowsPath(annotation.image).as_posix())
    named = Path(os.path.normpath(folder / written))
    if os.path.isfile(named) and (tree.allow_outside or _is_inside(named, tree.root)):
        return named
    if os.path.isfile(folder / written.name):
        return folder / written.name
    for stem in (written.stem, annotation.path.stem):
        if beside := _image_beside(folder, stem):
            return beside
    elsewhere = _without_copies(tree.images_by_name.get(written.name, []))
    if len(elsewhere) == 1:
        return elsewhere[0]
    if annotation.embedded:
        return annotation.path
    way_out = "copy the image beside the annotation"
    reason = "which is not there"
    if os.path.isfile(named):
        reason, way_out = f"which lies outside {tree.root}", f"{way_out}, or add --allow-outside"
    elif elsewhere:
        reason += f", while {len(elsewhere)} files of that name lie elsewhere"
    raise StudyError(f"{annotation.path} names image {annotation.image!r}, {reason}: {way_out}")


def _record(path: Path, tree: Tree) -> ImageRecord | None:
    """The record of a JSON file, unless it is of another kind."""
    modified = modification_time(path)
    try:
        annotation = read_annotation(path)
        image = _image_of(annotation, tree)
    except StudyError as error:
        return refused(path, str(error)) if _is_labelme(path) else None
    heavy = any(shape.mask is not None for shape in annotation.shapes)
    kept = None if heavy else replace(annotation, embedded=None)  # thousands must fit into memory
    reference = LabelMeFile(path, kept, modified)
    return ImageRecord("", image, path, "", "", reference=reference, part=_part(image, tree))


def _normal_records(annotated: Iterable[ImageRecord], tree: Tree) -> list[ImageRecord]:
    """Images of class normal that have no annotation, nor are copies of one that has."""
    taken = {record.image.name for record in annotated}
    return [
        ImageRecord("", path, path, "", NORMAL, reference=EmptyReference(), part=_part(path, tree))
        for name in sorted(tree.images_by_name.keys() - taken)
        for path in _without_copies(tree.images_by_name[name])
        if _is_normal(path, tree)
    ]


def _is_normal(path: Path, tree: Tree) -> bool:
    folders = [name.lower() for name in path.relative_to(tree.root).parts[:-1]]
    if any(word in folder for folder in folders for word in _NO_IMAGES):
        return False
    group = tree.listed(path).group or patient_from_name(path.stem)[1]
    return group.lower() == NORMAL if group else folders[-1:] == [NORMAL]


def _part(image: Path, tree: Tree) -> str:
    """By the folders of the Kermany release."""
    is_kermany = image.parent.name.lower() in ("normal", "pneumonia")
    return kermany_part(image, tree.root) if is_kermany else ""


def _without_copies(paths: Iterable[Path]) -> list[Path]:
    """Files of one name without copies of the one that lies highest, as in a nested release."""
    kept: list[Path] = []
    for path in sorted(paths, key=lambda path: (len(path.parts), path)):
        if not any(filecmp.cmp(path, other, shallow=False) for other in kept):
            kept.append(path)
    return kept


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
