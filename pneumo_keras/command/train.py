"""Trains one network of a study that is prepared: the part of a run that several hosts share."""

from __future__ import annotations

from argparse import Namespace

from pneumo_keras.dataset.arrays import load_arrays
from pneumo_keras.dataset.splits import read_split
from pneumo_keras.study import load_study
from pneumo_keras.training import fit


def train(options: Namespace) -> None:
    """Runs `python -m pneumo_keras train NETWORK --out DIR`.

    Started on each host of `TF_CONFIG`, of a study with `devices=all` in a folder that all of
    them see, it trains on all their devices; the first host writes.

    Raises:
        StudyError: if notebooks 01 and 02 have not prepared the study.
    """
    study = load_study(str(options.out))
    arrays, split = load_arrays(study.arrays), read_split(study.split)
    folder = study.model(options.network)
    fit.train(
        options.network, study.recipe, arrays, split, folder, study.target, resume=options.resume
    )
