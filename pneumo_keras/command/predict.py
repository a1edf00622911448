"""Segment images with a trained model: masks, overlays, and outlines to correct in labelme."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path

from pneumo_keras.dataset.images import is_image_file, is_inverted
from pneumo_keras.dataset.labelme import write_annotation
from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.predict import load_segmenter, predict_file, write_marked
from pneumo_keras.progress import progress_bar


def predict(options: Namespace) -> None:
    """Run `python -m pneumo_keras predict MODEL IMAGE_OR_DIR... --out DIR`.

    For each image it writes `<name>_mask.png`, `<name>_overlay.png` and `<name>.json`, the outlines
    that labelme opens and notebook 01 reads, and prints the share of the image that is positive.

    Raises:
        StudyError: if model or image cannot be read, two images would have one name, or outlines
            are already there that may have been corrected by hand.
    """
    images = _find(options.images)
    names = _names(images)
    out: Path = options.out
    present = [name for name in names.values() if (out / f"{name}.json").exists()]
    if present and not options.overwrite:
        raise StudyError(
            f"{out / present[0]}.json is already there and may have been corrected by hand: "
            "name another folder with --out, or add --overwrite"
        )
    segmenter = load_segmenter(options.model)
    if segmenter.status:
        print(f"WARNING: {options.model}: {segmenter.status}")
    shares = {}
    for path in progress_bar(images, "predict", show=len(images) > 2):
        image, mask = predict_file(segmenter, path)
        name = names[path]
        write_marked(image, mask, name, out)
        write_annotation(
            out / f"{name}.json",
            os.path.relpath(path, out).replace(os.sep, "/"),
            segmenter.outlines(mask),
            *image.shape,
            overwrite=options.overwrite,
        )
        shares[path] = mask.mean()
    for path, share in shares.items():
        stored = " (stored with low values bright; inverted)" if is_inverted(path) else ""
        print(f"{path}: {share:.1%} of the image is {segmenter.target}{stored}")
    print(f"Masks, overlays and outlines are in {out}. Not for diagnosis.")


def _find(paths: list[Path]) -> list[Path]:
    """The images named, and those below the folders named."""
    images = []
    for path in paths:
        if path.is_dir():
            below = sorted(p for p in path.rglob("*") if p.is_file() and is_image_file(p))
            if not below:
                raise StudyError(f"{path}: no image in this folder")
            images += below
        elif path.is_file():
            images.append(path)
        else:
            raise StudyError(f"{path}: no such image or folder")
    return list(dict.fromkeys(images))


def _names(images: list[Path]) -> dict[Path, str]:
    """The stem of each image, as the name of its results."""
    by_stem: dict[str, Path] = {}
    for path in images:
        other = by_stem.setdefault(path.stem, path)
        if other != path:
            raise StudyError(
                f"{path} and {other} would get results of one name: predict them one after the "
                "other, each with its own --out"
            )
    return {path: stem for stem, path in by_stem.items()}
