"""The command line: `python -m pneumo_keras COMMAND`, from data to report."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pneumo_keras.command import (
    agreement,
    annotate,
    audit,
    bench,
    check,
    fetch,
    predict,
    run,
    train,
)
from pneumo_keras.dataset.releases import RELEASES
from pneumo_keras.dataset.sources import AUTO, SOURCES
from pneumo_keras.errors import StudyError
from pneumo_keras.training.devices import CHOICES as DEVICES
from pneumo_keras.training.networks import NETWORKS
from pneumo_keras.training.recipes import RECIPES
from pneumo_keras.training.settings import DESIGNS

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
    for add in (_add_run, _add_train, _add_predict, _add_annotate, _add_check, _add_fetch):
        add(commands)
    for add in (_add_agreement, _add_audit, _add_bench):
        add(commands)
    return parser


def _add_run(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("run", help="execute the five notebooks, in order")
    command.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="films with annotations or masks (default: phantoms)",
    )
    _add_study(command)
    command.add_argument(
        "--out",
        default=CLONE,
        type=Path,
        metavar="DIR",
        help="where to write (default: this clone)",
    )
    command.add_argument(
        "--seeds", metavar="N", help="train each network with N seeds, and show their spread"
    )
    command.add_argument(
        "--design",
        choices=DESIGNS,
        help="2x2: both networks under both losses; rates: other learning rates; "
        "weights: pretrained against random (default: single)",
    )
    command.add_argument(
        "--resume",
        action="store_true",
        help="go on with trainings that were stopped, and keep finished ones",
    )
    command.set_defaults(command=run.run)


def _add_train(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("train", help="train one network of a study that was begun")
    command.add_argument("network", choices=list(NETWORKS))
    command.add_argument("--out", default=CLONE, type=Path, metavar="DIR", help="of the study")
    command.add_argument("--resume", action="store_true", help="go on with a stopped training")
    command.set_defaults(command=train.train)


def _add_check(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "check", help="report what a folder of films holds, and whether run would accept it"
    )
    command.add_argument("data", type=Path, metavar="DIR", help="films with annotations or masks")
    _add_study(command)
    command.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where to write the report (default: data/check in this clone)",
    )
    command.set_defaults(command=check.check)


def _add_annotate(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("annotate", help="open labelme on a folder of films")
    command.add_argument("folder", type=Path, metavar="DIR")
    command.add_argument("--labels", default="pneumonia, lung", metavar="A,B")
    command.set_defaults(command=annotate.annotate)


def _add_predict(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("predict", help="mark films with a trained model")
    command.add_argument("model", type=Path, metavar="MODEL", help=".keras file or its folder")
    command.add_argument("films", type=Path, nargs="+", metavar="FILM_OR_DIR")
    command.add_argument("--out", type=Path, required=True, metavar="DIR")
    command.add_argument(
        "--overwrite", action="store_true", help="replace outlines that are already there"
    )
    command.set_defaults(command=predict.predict)


def _add_fetch(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("fetch", help="download a public data set, its licence first")
    command.add_argument(
        "release", choices=list(RELEASES), metavar="NAME", help=", ".join(RELEASES)
    )
    command.add_argument(
        "--out", type=Path, metavar="DIR", help="where to put it (default: ./NAME)"
    )
    command.set_defaults(command=fetch.fetch)


def _add_agreement(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "agreement", help="compare two annotators who marked the same films"
    )
    for annotator in ("first", "second"):
        command.add_argument(
            annotator, type=Path, metavar="DIR", help="masks, or LabelMe annotations"
        )
    command.add_argument(
        "--label", default="pneumonia", help="which to compare, where the folders hold annotations"
    )
    command.add_argument("--out", type=Path, metavar="CSV", help="scores of each film, a new file")
    command.set_defaults(command=agreement.agreement)


def _add_audit(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "audit", help="what a printed accuracy and IoU imply about the share of foreground"
    )
    command.add_argument("accuracy", metavar="ACCURACY", help="as printed, such as 0.844")
    command.add_argument("iou", metavar="IOU", help="as printed, such as 0.81")
    command.add_argument(
        "--beside",
        nargs=2,
        metavar=("ACCURACY", "IOU"),
        help="another row of the same table, from the same test set",
    )
    command.set_defaults(command=audit.audit)


def _add_bench(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("bench", help="measure the study's speed on this CPU (10 minutes)")
    command.add_argument(
        "--out",
        default=CLONE / "figures",
        type=Path,
        metavar="DIR",
        help="where to write the table (default: figures in this clone)",
    )
    command.set_defaults(command=bench.bench)


def _add_study(command: argparse.ArgumentParser) -> None:
    """The options by which a study is told from another of the same films."""
    command.add_argument(
        "--source",
        default=AUTO,
        choices=[AUTO, *SOURCES],
        metavar="NAME",
        help=f"how DIR is laid out: {', '.join(SOURCES)} (default: recognised)",
    )
    command.add_argument(
        "--normals",
        action="store_true",
        help="count normal films without annotation as empty masks",
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
        choices=DEVICES,
        help="train on one device, or share each batch between all of this host",
    )
    command.add_argument(
        "--skip-bad",
        action="store_true",
        help="leave out films that cannot be used, and count them",
    )
    command.add_argument(
        "--allow-outside",
        action="store_true",
        help="read films that lie outside DIR, where their annotations say so",
    )


if __name__ == "__main__":
    sys.exit(main())
