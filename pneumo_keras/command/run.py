"""Execute the five notebooks with one set of parameters, or train one network of a study."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from argparse import Namespace
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from pneumo_keras.errors import StudyError
from pneumo_keras.report.results import readable
from pneumo_keras.study import Study, begin_study, load_study
from pneumo_keras.variants import parse_variation

PACKAGE = Path(__file__).resolve().parents[1]


def run(options: Namespace) -> None:
    """Run `python -m pneumo_keras run`.

    The executed notebooks are kept in `data/notebooks` of the study's folder.

    Raises:
        StudyError: if the input does not allow the study.
    """
    parameters = {
        "data": str(options.data.resolve()) if options.data else "",
        "target": options.target,
        "labels": options.labels,
        "recipe": options.recipe,
        "settings": parse_settings(options),
        "layout": options.layout,
        "normals": options.normals,
        "out": str(options.out.resolve()),
        "resume": options.resume,
        "vary": {
            key: tuple(_absolute(key, value) for value in values)
            for key, values in parse_variation(options.vary).items()
        },
    }
    study = begin_study(**parameters)
    parameters |= {"skip_bad": options.skip_bad, "allow_outside": options.allow_outside}
    parameters["vary"] = {key: list(values) for key, values in study.vary.items()}
    # The notebooks run in a folder of their own, so that several runs do not meet.
    with tempfile.TemporaryDirectory(prefix="pneumo_keras-") as folder:
        with tqdm(find_notebooks(), unit="notebook", file=sys.stderr) as bar:
            for notebook in bar:
                bar.set_description(notebook.stem)
                given = parameters if notebook.stem.startswith("01") else {}
                _execute(notebook, Path(folder), given, study, bar)
    _print_results(study, options.out)


def find_notebooks() -> list[Path]:
    """The five notebooks, of the clone or of the installed package, in order.

    Raises:
        StudyError: if there are none.
    """
    for folder in (PACKAGE.parent / "notebooks", PACKAGE / "notebooks"):
        if notebooks := sorted(folder.glob("0[1-5]*.ipynb")):
            return notebooks
    raise StudyError(f"{PACKAGE}: no notebooks beside it; install the package again")


def parse_settings(options: Namespace) -> dict[str, str]:
    """The changes of the recipe that `--set` and `--devices` ask for.

    Args:
        options: with `settings`, texts KEY=VALUE, and `devices`, None if not given.

    Returns:
        Values by setting; paths of weight files are made absolute.

    Raises:
        StudyError: for text without `=`, a setting given twice, or all devices of several hosts,
            which `run` cannot drive.

    Example:
        >>> parse_settings(Namespace(settings=["epochs=3", "size=64"], devices=None))
        {'epochs': '3', 'size': '64'}
    """
    if options.devices == "all" and os.environ.get("TF_CONFIG"):
        raise StudyError(
            "TF_CONFIG: a run has one host; unset it here, then start "
            "`python -m pneumo_keras train NETWORK --out DIR` on every host"
        )
    settings: dict[str, str] = {}
    devices = [f"devices={options.devices}"] if options.devices else []
    for pair in [*options.settings, *devices]:
        key, equals, value = pair.partition("=")
        if not equals:
            raise StudyError(f"--set {pair}: write it as KEY=VALUE")
        value = _absolute(key, value)
        if settings.setdefault(key, value) != value:
            raise StudyError(f"{key}: given as {settings[key]} and as {value}; give one")
    return settings


def _absolute(key: str, value: str) -> str:
    """A setting's value, absolute if it is the path of a file: notebooks run elsewhere."""
    if key.endswith("weights") and Path(value).is_file():
        return str(Path(value).resolve())
    return value


def train(options: Namespace) -> None:
    """Run `python -m pneumo_keras train NETWORK --out DIR`, on every host of `TF_CONFIG`.

    With several hosts the study must have `devices=all` and lie in a folder that all of them see;
    the first host writes.

    Raises:
        StudyError: if notebooks 01 and 02 have not prepared the study.
    """
    from pneumo_keras.dataset.arrays import load_arrays
    from pneumo_keras.dataset.splits import read_split
    from pneumo_keras.training.train import train

    study = load_study(str(options.out))
    arrays, split = load_arrays(study.arrays), read_split(study.split)
    folder = study.model(options.network)
    train(options.network, study.recipe, arrays, split, folder, study.target, options.resume)


class _LastLine:
    """Shows the last line that a notebook has printed, on the progress bar."""

    def __init__(self, bar: tqdm):
        self.bar = bar

    def write(self, text: str) -> None:
        if lines := text.replace("\r", "\n").strip().splitlines():
            self.bar.set_postfix_str(lines[-1].strip()[:90])

    def flush(self) -> None:
        pass


def _execute(notebook: Path, folder: Path, parameters: dict, study: Study, bar: tqdm) -> None:
    import papermill

    logging.getLogger("papermill").setLevel(logging.ERROR)
    done = folder / notebook.name
    kept = study.out / "data" / "notebooks" / notebook.name
    try:
        papermill.execute_notebook(
            notebook,
            done,
            parameters,
            cwd=folder,
            kernel_name="python3",
            progress_bar=False,
            stdout_file=_LastLine(bar),
            extra_arguments=["--log-level=CRITICAL"],  # of the kernel; errors of cells come as such
        )
    except papermill.PapermillExecutionError as error:
        if error.ename == "StudyError":  # the input's fault: nothing is left behind
            raise StudyError(error.evalue) from None
        if error.ename == "KeyboardInterrupt":
            raise KeyboardInterrupt from None
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(done, kept)
        print(error, file=sys.stderr)
        raise SystemExit(f"pneumo_keras: {notebook.name} failed, see {kept}") from None
    except Exception as error:
        if type(error).__name__ != "DeadKernelError":
            raise
        raise StudyError(
            f"{notebook.name}: its process was killed, most likely because memory ran out: "
            "try a smaller batch_size or size with --set"
        ) from None
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(done, kept)


def _print_results(study: Study, out: Path) -> None:
    """Print Table 2, the conclusion, and where everything is."""
    table = readable(pd.read_csv(study.figures / "table_2.csv")).iloc[:, :5].fillna("")
    conclusion = (study.figures / "conclusion.txt").read_text("utf-8")
    print(f"\nTable 2. {study.caption()}.\n\n{table.to_string(index=False)}\n\n{conclusion}")
    data = out / "data"
    print(f"Report:    {data / 'report.html'} (open it in a browser)")
    print(f"Tables:    {out / 'figures'} (with the figures, as PNG and SVG)")
    print(f"Models:    {data / 'models' / 'segnet'}, {data / 'models' / 'deeplabv3'}")
    print(f"Notebooks: {data / 'notebooks'} (as executed)")
    model = data / "models" / "deeplabv3"
    print(f"Next:      python -m pneumo_keras predict {model} NEW_IMAGES --out PREDICTIONS")
