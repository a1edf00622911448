"""Downloads a public data set with the client of its host, and checks what arrived."""

from __future__ import annotations

import os
import shutil
import subprocess
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pneumo_keras.dataset.releases import RELEASES, Release
from pneumo_keras.dataset.sources import Tree, find_films, recognition_line
from pneumo_keras.dataset.sources.recognition import kermany_films
from pneumo_keras.errors import StudyError


def fetch(options: Namespace) -> None:
    """Runs `python -m pneumo_keras fetch NAME`.

    Raises:
        StudyError: if the data set cannot be downloaded, or what arrived is not it.
    """
    release = RELEASES[options.release]
    out = options.out or Path(options.release)
    print(f"{release.title}\nlicence: {release.licence}\nsize: {release.size}\n{release.page}")
    if out.is_file():
        raise StudyError(f"{out} is a file: choose a folder with --out")
    if _arrived(release, out):
        print(f"{out} has it already")
    else:
        print(f"fetching to {out}", flush=True)
        DOWNLOADS[release.client](release, out)
    print(_check(release, out))
    print(release.afterwards.replace("DIR", str(out)))


def _arrived(release: Release, out: Path) -> bool:
    """Whether all of it lies there already, however it got there."""
    if not out.is_dir() or list(out.rglob("*.archive")):
        return False
    try:
        _check(release, out)
    except StudyError:
        return False
    return True


def _check(release: Release, out: Path) -> str:
    """What arrived, in a line."""
    if release.source:
        films = find_films(out, release.source)
        bad = [film.problem for film in films if film.problem]
        if bad:
            raise StudyError(f"{out} is not complete: {bad[0]}: {_by_hand(release, out)}")
        return recognition_line(films)
    # A nested release holds each film twice, below the same folders of part and class.
    there = len({path.parts[-3:] for path in kermany_films(Tree(out))})
    if there < release.films:
        raise StudyError(
            f"{out} holds {there:,} of {release.films:,} films: {_by_hand(release, out)}"
        )
    return f"{there:,} films arrived, licence {release.licence}"


def _from_kaggle(release: Release, out: Path) -> None:
    """With kagglehub, whose cache is placed in `out`, so that it resumes what was broken off."""
    try:
        import kagglehub
    except ImportError:
        raise StudyError(f"kagglehub is not installed: {_by_hand(release, out)}") from None
    with _environment("KAGGLEHUB_CACHE", str(out.resolve())):
        try:
            kagglehub.dataset_download(release.address)
        except Exception as error:  # noqa: BLE001 (its errors have no common class)
            reason = str(error).strip().partition("\n")[0][:120] or type(error).__name__
            raise StudyError(
                f"{release.title} could not be fetched ({type(error).__name__}: {reason}): "
                f"{_by_hand(release, out)}"
            ) from None


def _from_git(release: Release, out: Path) -> None:
    """With git, step by step: `git clone` removes what it has when it is broken off."""
    if shutil.which("git") is None:
        raise StudyError(f"git is not installed: {_by_hand(release, out)}")
    if not (out / ".git").is_dir():
        if out.is_dir() and any(out.iterdir()):
            raise StudyError(f"{out} holds something else: choose another folder with --out")
        _git(release, out, "init", "--quiet")
        _git(release, out, "remote", "add", "origin", release.address)
    if not _is_clone(release, out):
        raise StudyError(f"{out} is another git repository: choose another folder with --out")
    if _asked(out, "rev-parse", "--verify", "--quiet", "HEAD"):
        _asked(out, "checkout-index", "--all", "--quiet")  # only what is missing
    else:
        _git(release, out, "fetch", "--depth", "1", "origin", "HEAD")
        _git(release, out, "reset", "--quiet", "--hard", "FETCH_HEAD")


def _git(release: Release, out: Path, *arguments: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["git", *arguments],
        cwd=out,
        check=False,
        env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
    )
    if done.returncode:
        raise StudyError(
            f"{release.title} could not be fetched (git ended with status {done.returncode}): "
            f"{_by_hand(release, out)}"
        )


def _is_clone(release: Release, out: Path) -> bool:
    return _asked(out, "config", "remote.origin.url") == release.address


def _asked(out: Path, *arguments: str) -> str:
    """What git answers, empty where it does not."""
    done = subprocess.run(["git", *arguments], cwd=out, check=False, capture_output=True, text=True)
    return done.stdout.strip()


def _by_hand(release: Release, out: Path) -> str:
    return f"download it by hand from {release.page} and unpack it into {out}, then fetch again"


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


DOWNLOADS = {"kaggle": _from_kaggle, "git": _from_git}
