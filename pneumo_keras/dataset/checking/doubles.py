"""Films that are there twice: of the same content, or of the same look."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pneumo_keras.dataset.checking.findings import Finding, listed
from pneumo_keras.dataset.checking.leaks import Sides
from pneumo_keras.dataset.fingerprints import BITS, near_pairs


def find_copies(index: pd.DataFrame, splits: Sequence[Sides]) -> list[Finding]:
    """Films of the same content, a finding for each content; `run` keeps them in one part.

    Args:
        index: One row a film, with `name`, `film`, `patient`, `target_share` and `content`.
        splits: Of which to say so where they are crossed.

    Example:
        >>> index = pd.DataFrame({"name": ["a", "b"], "film": ["a.png", "b.jpg"], "patient": "7",
        ...                       "target_share": 0.1, "content": "c0ffee"})
        >>> [finding.message for finding in find_copies(index, [])]
        ['a.png and b.jpg are the same picture']
    """
    findings = []
    for _, films in index.groupby("content", sort=False):
        if len(films) > 1:
            marked = ", marked differently" if films["target_share"].nunique() > 1 else ""
            message = f"{listed(films['film'])} are the same picture{marked}"
            findings.append(
                Finding("same film", tuple(films["film"]), message + _circumstances(films, splits))
            )
    return findings


def find_similar(index: pd.DataFrame, splits: Sequence[Sides]) -> list[Finding]:
    """Films of nearly the same look but different content, a finding for each group of them.

    Args:
        index: As for `find_copies`, with `look`.
        splits: As for `find_copies`.

    Example:
        >>> index = pd.DataFrame({"name": ["a", "b"], "film": ["a.png", "b.png"],
        ...                       "patient": ["7", "8"], "content": ["c", "d"],
        ...                       "look": ["0" * 64, "0" * 63 + "1"]})
        >>> [finding.message for finding in find_similar(index, [])]
        ['a.png and b.png look the same (1 of 256 bits differ), of patients 7 and 8']
    """
    unique = index.drop_duplicates("content").reset_index(drop=True)
    pairs = near_pairs(unique["look"].tolist())
    if not len(pairs):
        return []
    graph = coo_array((np.ones(len(pairs)), pairs[:, :2].T), shape=(len(unique),) * 2)
    _, group = connected_components(graph, directed=False)
    findings = []
    for number in dict.fromkeys(group[pairs[:, 0]]):
        films = unique[group == number]
        bits = pairs[group[pairs[:, 0]] == number, 2].max()
        message = f"{listed(films['film'])} look the same ({bits} of {BITS} bits differ)"
        findings.append(
            Finding("similar films", tuple(films["film"]), message + _circumstances(films, splits))
        )
    return findings


def _circumstances(films: pd.DataFrame, splits: Sequence[Sides]) -> str:
    """What makes a double worse: it is of several patients, or on both sides of a split."""
    patients = films["patient"].unique()
    said = [f", of patients {listed(patients)}"] if len(patients) > 1 else []
    names = films["name"].tolist()
    said += [f", on both sides of {sides.called}" for sides in splits if sides.crossed_by(names)]
    return "".join(said)
