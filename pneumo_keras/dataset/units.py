"""What a split may not part: the films of a patient, and films of the same content.

Patients of whom the same film is found are one unit with all their films: either they are one
person, or nobody knows whose film it is.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def split_units(films: pd.DataFrame, split_by: str) -> pd.Series:
    """The unit of each film.

    A unit is called after the first of the patients or films that it unites; a film without a copy
    is in the very unit that it would be in without this rule.

    Args:
        films: one row a film, with `name`, `patient` and, where known, `content`.
        split_by: `"patient"` or `"image"`.

    Returns:
        The unit of each film, with the row labels of `films`.

    Example:
        >>> films = pd.DataFrame({"name": list("abcd"), "patient": list("1123"),
        ...                       "content": ["x", "y", "y", "z"]})
        >>> split_units(films, "patient").tolist(), split_units(films, "image").tolist()
        (['1', '1', '1', '3'], ['a', 'b', 'b', 'd'])
    """
    single = films["name" if split_by == "image" else "patient"].astype(str)
    if "content" not in films:
        return single
    whose, _ = pd.factorize(single)
    what, contents = pd.factorize(films["content"])
    # The graph of patients (or films) and contents; a film is an edge between its two.
    ends = whose, what + whose.max() + 1
    nodes = whose.max() + 1 + len(contents)
    graph = coo_array((np.ones(len(films)), ends), shape=(nodes, nodes))
    _, component = connected_components(graph, directed=False)
    return single.groupby(component[whose]).transform("min")
