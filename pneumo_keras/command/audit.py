"""Audits a printed accuracy and IoU, of any paper."""

from __future__ import annotations

import textwrap
from argparse import Namespace

from pneumo_keras.evaluation.audit import (
    DIGITS,
    LUNG_SHARE,
    OPACITY_SHARE,
    definition_table,
    foreground_share,
    largest_iou,
)

WORDS = {
    "exact": "digits exact",
    "rounded": "digits rounded",
    "truncated": "digits truncated",
}


def audit(options: Namespace) -> None:
    """Runs `python -m pneumo_keras audit`.

    Raises:
        StudyError: if a number is not between 0 and 1.
    """
    rows = {"first row": (options.accuracy, options.iou)}
    if options.beside:
        rows["second row"] = tuple(options.beside)
    for name, row in rows.items():
        print(f"Accuracy {row[0]}, IoU {row[1]} ({name}), all pixels together:")
        for digits in DIGITS:
            share = foreground_share(*row, digits)
            ends = f"{share[0]:.3f} to {share[1]:.3f}" if share else "none fits"
            print(f"  share of foreground, {WORDS[digits]}: {ends}")
        for what, share in (("lungs", LUNG_SHARE), ("opacities", OPACITY_SHARE)):
            limit = largest_iou(float(row[0]), share)
            print(f"  at the mean share of {what}, {share}, the IoU could be {limit:.3f} at most")
    print("\nOther definitions, and the shares of foreground they allow:")
    for definition in definition_table(rows).to_dict("records"):
        shares = "; ".join(f"{name} {definition[name]}" for name in rows)
        print(f"\n{definition['letter']}  {definition['definition']} ({definition['formula']})")
        for line in (shares, definition["remark"], definition["verdict"]):
            if line:
                print(textwrap.fill(line, 96, initial_indent="   ", subsequent_indent="   "))
    print("\nCompatible or not is said of the stated equations, not of how the numbers were made.")
