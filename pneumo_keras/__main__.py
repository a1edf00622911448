"""The command line: `python -m pneumo_keras COMMAND`, from data to report."""

from __future__ import annotations

import argparse
import importlib
import io
import shlex
import sys
from pathlib import Path

from pneumo_keras.config import CHOICES, NETWORKS, RECIPES
from pneumo_keras.errors import StudyError

RESULTS = Path("results")


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: as on the command line; by default those.

    Returns:
        The exit status: 0, 2 where the user has something to correct, 130 after Ctrl+C.

    Example:
        >>> main(["run", "--recipe", "quick", "--set", "epoch=3"])  # to standard error
        2
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a console may lack a letter of a file name
            stream.reconfigure(errors="replace")
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    module, function = options.function.split(":")
    try:
        getattr(importlib.import_module(f"pneumo_keras.{module}"), function)(options)
    except StudyError as error:
        print(f"pneumo_keras: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\npneumo_keras: interrupted. {_how_to_continue(arguments)}", file=sys.stderr)
        return 130
    return 0


def _how_to_continue(arguments: list[str]) -> str:
    if arguments[0] not in ("run", "train"):
        return "Start the command again."
    resume = [] if "--resume" in arguments else ["--resume"]
    command = shlex.join([*arguments, *resume])
    return f"Finished epochs are kept; continue with: python -m pneumo_keras {command}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pneumo_keras",
        description="Segment pneumonia in chest X-rays with SegNet and with DeepLabV3.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (function, text, add_arguments) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        add_arguments(command)
        command.set_defaults(function=function)
    return parser


def _run(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--data", type=Path, metavar="DIR", help="images with annotations (default: phantoms)"
    )
    _study(command)
    _out(command, RESULTS)
    command.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="KEY=V1,V2",
        help="train every combination of these settings and compare them in one table; "
        "may be repeated, for example --vary loss=binary_crossentropy,hybrid_corrected "
        "--vary seed=1,2",
    )
    _resume(command)


def _train(command: argparse.ArgumentParser) -> None:
    command.add_argument("network", choices=list(NETWORKS))
    _out(command, RESULTS, "folder of the study")
    _resume(command)


def _check(command: argparse.ArgumentParser) -> None:
    command.add_argument("data", type=Path, metavar="DIR", help="images with annotations or masks")
    _study(command)
    command.add_argument(
        "--out", type=Path, metavar="DIR", help="where to write (default: results/check/NAME)"
    )


def _annotate(command: argparse.ArgumentParser) -> None:
    command.add_argument("folder", type=Path, metavar="DIR")
    command.add_argument("--labels", default="pneumonia, lung", metavar="A,B")


def _predict(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", type=Path, metavar="MODEL", help=".keras file or its folder")
    command.add_argument("images", type=Path, nargs="+", metavar="IMAGE_OR_DIR")
    command.add_argument("--out", type=Path, required=True, metavar="DIR")
    command.add_argument(
        "--overwrite", action="store_true", help="replace outlines that are already there"
    )


def _download(command: argparse.ArgumentParser) -> None:
    command.add_argument("release", metavar="NAME", help="kermany, qata, covid-qu-ex, …")
    command.add_argument("--out", type=Path, metavar="DIR", help="where to put it (default: NAME)")


def _agreement(command: argparse.ArgumentParser) -> None:
    for reader in ("first", "second"):
        command.add_argument(reader, type=Path, metavar="DIR", help="masks or LabelMe annotations")
    command.add_argument(
        "--label", default="pneumonia", help="which label of LabelMe annotations to compare"
    )
    command.add_argument("--out", type=Path, metavar="CSV", help="scores per image, a new file")


def _audit(command: argparse.ArgumentParser) -> None:
    command.add_argument("accuracy", metavar="ACCURACY", help="as printed, such as 0.844")
    command.add_argument("iou", metavar="IOU", help="as printed, such as 0.81")
    command.add_argument(
        "--beside",
        nargs=2,
        metavar=("ACCURACY", "IOU"),
        help="another row of the same table, from the same test set",
    )


def _bench(command: argparse.ArgumentParser) -> None:
    _out(command, RESULTS / "figures", "where to write the table")


def _study(command: argparse.ArgumentParser) -> None:
    """Options that tell one study of the same images from another."""
    command.add_argument("--layout", default="auto", metavar="NAME", help="see data/SOURCES.md")
    command.add_argument(
        "--normals",
        action="store_true",
        help="count normal images without annotation as empty masks",
    )
    command.add_argument("--recipe", default="quick", choices=list(RECIPES))
    command.add_argument("--target", default="pneumonia", metavar="LABEL", help="what to segment")
    command.add_argument(
        "--labels", default="pneumonia, lung", metavar="A,B", help="labels that may occur"
    )
    command.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting of the recipe; may be repeated",
    )
    command.add_argument(
        "--devices",
        choices=CHOICES["devices"],
        help="train on one device, or share each batch between all of this host",
    )
    command.add_argument(
        "--skip-bad", action="store_true", help="leave out images that cannot be used, and say so"
    )
    command.add_argument(
        "--allow-outside",
        action="store_true",
        help="read images outside DIR, where their annotations say so",
    )


def _out(command: argparse.ArgumentParser, default: Path, text: str = "where to write") -> None:
    text = f"{text} (default: {default})"
    command.add_argument("--out", default=default, type=Path, metavar="DIR", help=text)


def _resume(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--resume", action="store_true", help="continue stopped trainings, keep finished ones"
    )


COMMANDS = {
    "run": ("command.run:run", "execute the five notebooks, in order", _run),
    "train": ("command.run:train", "train one network of a study that was begun", _train),
    "check": ("command.check:check", "report what a data folder holds", _check),
    "annotate": ("command.annotate:annotate", "open labelme on a folder of images", _annotate),
    "predict": ("command.predict:predict", "segment images with a trained model", _predict),
    "download": ("command.others:download", "download a public data set", _download),
    "agreement": ("command.others:agreement", "compare two readers of the same images", _agreement),
    "audit": ("command.others:audit", "what a printed accuracy and IoU imply", _audit),
    "bench": ("command.others:bench", "measure the speed on this CPU (10 minutes)", _bench),
}


if __name__ == "__main__":
    sys.exit(main())
