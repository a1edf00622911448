"""The command line: `python -m pneumo_keras run | train | annotate | predict`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pneumo_keras.command import annotate, predict, run, train
from pneumo_keras.errors import StudyError
from pneumo_keras.training.devices import CHOICES as DEVICES
from pneumo_keras.training.networks import NETWORKS
from pneumo_keras.training.recipes import RECIPES

CLONE = Path(__file__).resolve().parent.parent


def main(arguments: list[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: as on the command line; by default those.

    Returns:
        The exit status: 0, or 2 where the user has something to mend.

    Example:
        >>> main(["run", "--recipe", "quick", "--set", "epoch=3"])  # to the error stream
        2
    """
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except StudyError as error:
        print(f"pneumo_keras: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "pneumo_keras: interrupted; what was finished is kept (run --resume goes on)",
            file=sys.stderr,
        )
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pneumo_keras",
        description="Segments pneumonia in chest X-rays with SegNet and with DeepLabV3.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("run", help="execute the five notebooks, in order")
    command.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="films with LabelMe annotations (default: phantoms)",
    )
    command.add_argument("--recipe", default="quick", choices=list(RECIPES))
    command.add_argument("--target", default="pneumonia", metavar="LABEL", help="what to segment")
    command.add_argument(
        "--labels", default="pneumonia, lung", metavar="A,B", help="labels that may occur"
    )
    command.add_argument(
        "--out",
        default=CLONE,
        type=Path,
        metavar="DIR",
        help="where to write (default: this clone)",
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
        default="one",
        choices=DEVICES,
        help="train on one device, or share each batch between all of this host",
    )
    command.add_argument(
        "--skip-bad",
        action="store_true",
        help="leave out films that cannot be used, and count them",
    )
    command.add_argument(
        "--resume",
        action="store_true",
        help="go on with trainings that were stopped, and keep finished ones",
    )
    command.set_defaults(command=run.run)

    command = commands.add_parser("train", help="train one network of a study that was begun")
    command.add_argument("network", choices=list(NETWORKS))
    command.add_argument("--out", default=CLONE, type=Path, metavar="DIR", help="of the study")
    command.add_argument("--resume", action="store_true", help="go on with a stopped training")
    command.set_defaults(command=train.train)

    command = commands.add_parser("annotate", help="open labelme on a folder of films")
    command.add_argument("folder", type=Path, metavar="DIR")
    command.add_argument("--labels", default="pneumonia, lung", metavar="A,B")
    command.set_defaults(command=annotate.annotate)

    command = commands.add_parser("predict", help="mark films with a trained model")
    command.add_argument("model", type=Path, metavar="MODEL", help=".keras file or its folder")
    command.add_argument("films", type=Path, nargs="+", metavar="FILM_OR_DIR")
    command.add_argument("--out", type=Path, required=True, metavar="DIR")
    command.add_argument(
        "--overwrite", action="store_true", help="replace outlines that are already there"
    )
    command.set_defaults(command=predict.predict)
    return parser


if __name__ == "__main__":
    sys.exit(main())
