"""Download a public data set with its host's client, and check what arrived."""

import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pneumo_keras.dataset.layouts import find_images, kermany_images, recognition_line
from pneumo_keras.dataset.tree import Tree
from pneumo_keras.errors import StudyError

KAGGLE = "https://www.kaggle.com/datasets/"


@dataclass(frozen=True)
class Release:
    """A public data set, on Kaggle or in a git repository."""

    title: str
    page: str  # with the terms; git clones it
    size: str  # number of images, and volume where it is known
    licence: str = "not known here: read it on the page"
    layout: str = ""  # key of `layouts.LAYOUTS`; empty if it comes without annotations
    images: int = 0  # expected where there is no layout


RELEASES = {
    "kermany": Release(
        "Kermany et al., chest X-rays of children",
        KAGGLE + "paultimothymooney/chest-xray-pneumonia",
        licence="CC BY 4.0",
        size="5,856 images, 1.2 GB",
        images=5856,
    ),
    "qata": Release(
        "QaTa-COV19",
        KAGGLE + "aysendegerli/qatacov19-dataset",
        size="9,258 images with masks in version 2",
        layout="qata",
    ),
    "covid-qu-ex": Release(
        "COVID-QU-Ex",
        KAGGLE + "anasmohammedtahir/covidqu",
        size="33,920 images with lungs, 5,826 for infection",
        layout="covid_qu_ex",
    ),
    "general-blockchain": Release(
        "General Blockchain COVID-19 chest X-ray segmentations",
        "https://github.com/GeneralBlockchain/covid-19-chest-xray-segmentations-dataset",
        licence="CC BY 4.0; for each image, see its metadata.csv",
        size="100 images",
        layout="general_blockchain",
    ),
}


def download(name: str, out: Path | None = None) -> None:
    """Print the licence and size of a data set, download what is missing to `out`, and check it.

    Raises:
        StudyError: if the data set is not known, cannot be downloaded or arrived incomplete.
    """
    if name not in RELEASES:
        raise StudyError(f"no data set {name!r}: choose one of {', '.join(RELEASES)}")
    release, out = RELEASES[name], out or Path(name)
    print(f"{release.title}\nlicence: {release.licence}\nsize: {release.size}\n{release.page}")
    is_complete = False
    if out.is_dir() and not list(out.rglob("*.archive")):  # what kagglehub has not unpacked yet
        with suppress(StudyError):
            is_complete = bool(_check(release, out))
    if not is_complete and _holds_other_files(release, out):
        raise StudyError(f"{out} holds something else: choose another folder with --out")
    print(f"{out} has it already" if is_complete else f"downloading to {out}", flush=True)
    try:
        if not is_complete:
            client = _from_kaggle if release.page.startswith(KAGGLE) else _from_git
            client(release.page, out)
        print(_check(release, out))
    except Exception as error:  # noqa: BLE001 (those of kagglehub have no common class)
        why = str(error).partition("\n")[0]
        if not isinstance(error, StudyError):
            why = f"{name} could not be downloaded ({type(error).__name__}: {why})"
        by_hand = f"download it by hand from {release.page} and unpack it into {out}"
        raise StudyError(f"{why}: {by_hand}, then try again") from None
    run, annotate = (f"python -m pneumo_keras {command}" for command in ("run --data", "annotate"))
    no_outlines = f"it has no outlines: draw some with {annotate} {out}"
    print(f"run it with {run} {out}" if release.layout else no_outlines)


def _check(release: Release, out: Path) -> str:
    """One line on what arrived; StudyError if it is incomplete."""
    if release.layout:
        records = find_images(out, release.layout)
        for record in records:
            if record.problem:
                raise StudyError(f"{out} is not complete: {record.problem}")
        return recognition_line(records)
    # A nested release holds each image twice, below the same folders of part and class.
    found = len({path.parts[-3:] for path in kermany_images(Tree(out))})
    if found < release.images:
        raise StudyError(f"{out} holds {found:,} of {release.images:,} images")
    return f"{found:,} images arrived, licence {release.licence}"


def _holds_other_files(release: Release, out: Path) -> bool:
    if release.page.startswith(KAGGLE) or not out.is_dir():
        return out.is_file()
    config = out / ".git" / "config"
    return any(out.iterdir()) and not (config.is_file() and release.page in config.read_text())


def _from_kaggle(page: str, out: Path) -> None:
    """With kagglehub, whose cache is set to `out`, so that it resumes an interrupted download."""
    import kagglehub

    before = os.environ.get("KAGGLEHUB_CACHE")
    os.environ["KAGGLEHUB_CACHE"] = str(out.resolve())
    try:
        kagglehub.dataset_download(page.removeprefix(KAGGLE))
    finally:
        del os.environ["KAGGLEHUB_CACHE"]
        if before is not None:
            os.environ["KAGGLEHUB_CACHE"] = before


def _from_git(page: str, out: Path) -> None:
    """With git, step by step: an interrupted `git clone` would delete what it has."""
    out.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}

    def git(arguments: str, *more: str, check: bool = True) -> bool:
        command = ["git", *arguments.split(), *more]
        done = subprocess.run(
            command, cwd=out, env=environment, check=check, stdout=subprocess.PIPE
        )
        return done.returncode == 0

    if not (out / ".git").is_dir():
        git("init --quiet")
        git("remote add origin", page)
    if git("rev-parse --verify --quiet HEAD", check=False):
        git("checkout-index --all --quiet", check=False)  # only what is missing
    else:
        git("fetch --depth 1 origin HEAD")
        git("reset --quiet --hard FETCH_HEAD")
