"""Architecture and loss told apart: both networks under both losses.

Cells are means over seeds. With networks A and B under losses 1 and 2,

    effect of the network = ((B1 − A1) + (B2 − A2)) / 2
    effect of the loss    = ((A2 − A1) + (B2 − B1)) / 2
    interaction           = (B2 − B1) − (A2 − A1)

Patients are resampled once for all four cells, seeds in each cell by itself.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.statistics.seeds import run_means

# Over the cells A1, A2, B1, B2.
NETWORK_EFFECT = np.array([-0.5, -0.5, 0.5, 0.5])
LOSS_EFFECT = np.array([-0.5, 0.5, -0.5, 0.5])
INTERACTION = np.array([1.0, -1.0, -1.0, 1.0])


def two_way_table(
    cells: dict[tuple[str, str], list[pd.DataFrame]], metric: str = "dice", pooled: bool = False
) -> pd.DataFrame:
    """The four cells of the design and what they say of network, loss and both together.

    Args:
        cells: by network and loss, tables of scores, one a seed.
        metric: a column of the tables, or a key of `POOLED`.
        pooled: whether over all pixels rather than over films.

    Returns:
        Seven rows: four cells, then the effects. Columns `part` ("cell" or "effect"), `name`,
        `network`, `loss` (of cells), `score`, `average`, `value`, `low`, `high`, `seeds` (the
        fewest of the cells in it), `films`, `patients`, `reason`.

    Raises:
        StudyError: if it is not two networks by two losses, or tables are not of the same films.

    Example:
        >>> table = pd.DataFrame({"name": ["a", "b"], "patient": ["1", "2"], "tp": 1, "fp": 0,
        ...                       "fn": 1, "tn": 2})
        >>> dice = {("A", "1"): 0.5, ("A", "2"): 0.75, ("B", "1"): 0.5, ("B", "2"): 1.0}
        >>> cells = {cell: [table.assign(dice=value)] for cell, value in dice.items()}
        >>> two_way_table(cells)["value"].tolist()[4:]
        [0.125, 0.375, 0.25]
    """
    networks = list(dict.fromkeys(network for network, _ in cells))
    losses = list(dict.fromkeys(loss for _, loss in cells))
    if len(networks) != 2 or len(losses) != 2 or len(cells) != 4:
        raise StudyError(
            f"{', '.join(networks)} under {', '.join(losses)}: a 2x2 design needs two networks "
            "and two losses, each with each; run with --design 2x2"
        )
    order = [(network, loss) for network in networks for loss in losses]
    means = run_means(
        {f"{network}, {loss}": cells[network, loss] for network, loss in order}, metric, pooled
    )
    seeds = [len(cells[cell]) for cell in order]
    rows = [
        {"part": "cell", "name": f"{network}, {loss}", "network": network, "loss": loss}
        | {"seeds": seeds[place]}
        | vars(means.interval(np.eye(4)[place]))
        for place, (network, loss) in enumerate(order)
    ]
    effects = {
        f"network: {networks[1]} − {networks[0]}": NETWORK_EFFECT,
        f"loss: {losses[1]} − {losses[0]}": LOSS_EFFECT,
        "interaction": INTERACTION,
    }
    rows += [
        {"part": "effect", "name": name, "network": "", "loss": "", "seeds": min(seeds)}
        | vars(means.interval(weights))
        for name, weights in effects.items()
    ]
    table = pd.DataFrame(rows).assign(score=metric, average="pooled" if pooled else "per film")
    head = ["part", "name", "network", "loss", "score", "average", "value", "low", "high"]
    return table[[*head, "seeds", "films", "patients", "reason"]]
