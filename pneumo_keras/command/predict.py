"""Marks films with a trained model: masks, overlays, and outlines to correct in labelme."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path

from tqdm import tqdm

from pneumo_keras.dataset.films import is_film, is_inverted
from pneumo_keras.dataset.labelme import write_annotation
from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.predict import load_segmenter, predict_file
from pneumo_keras.evaluation.testing import write_marked


def predict(options: Namespace) -> None:
    """Runs `python -m pneumo_keras predict MODEL FILM_OR_DIR... --out DIR`.

    For each film it writes `<name>_mask.png`, `<name>_overlay.png` and `<name>.json`, the outlines
    that labelme opens and notebook 01 reads, and prints the share of the film that is marked.

    Raises:
        StudyError: if model or film cannot be read, two films would have one name, or outlines
            are already there that may have been corrected by hand.
    """
    films = _films(options.films)
    names = _names(films)
    out: Path = options.out
    present = [name for name in names.values() if (out / f"{name}.json").exists()]
    if present and not options.overwrite:
        raise StudyError(
            f"{out / present[0]}.json is already there and may have been corrected by hand: "
            "name another folder with --out, or add --overwrite"
        )
    segmenter = load_segmenter(options.model)
    shares = {}
    for path in tqdm(films, "predict", unit="film", disable=len(films) < 3):
        film, mask = predict_file(segmenter, path)
        name = names[path]
        write_marked(film, mask, name, out)
        write_annotation(
            out / f"{name}.json",
            os.path.relpath(path, out).replace(os.sep, "/"),
            segmenter.outlines(mask),
            *film.shape,
            overwrite=options.overwrite,
        )
        shares[path] = mask.mean()
    for path, share in shares.items():
        stored = " (stored with low values bright; inverted)" if is_inverted(path) else ""
        print(f"{path}: {share:.1%} of the film is marked {segmenter.target}{stored}")
    print(f"Masks, overlays and outlines are in {out}. Not for diagnosis.")


def _films(paths: list[Path]) -> list[Path]:
    """The films named, and those below the folders named."""
    films = []
    for path in paths:
        if path.is_dir():
            below = sorted(p for p in path.rglob("*") if p.is_file() and is_film(p))
            if not below:
                raise StudyError(f"{path}: no film in this folder")
            films += below
        elif path.is_file():
            films.append(path)
        else:
            raise StudyError(f"{path}: no such film or folder")
    return list(dict.fromkeys(films))


def _names(films: list[Path]) -> dict[Path, str]:
    """A name for the results of each film: its stem."""
    by_stem: dict[str, Path] = {}
    for path in films:
        other = by_stem.setdefault(path.stem, path)
        if other != path:
            raise StudyError(
                f"{path} and {other} would get results of one name: predict them one after the "
                "other, each with its own --out"
            )
    return {path: stem for stem, path in by_stem.items()}
