"""Train all variants of a study."""

from __future__ import annotations

import pandas as pd

from pneumo_keras.dataset.arrays import arrays_for
from pneumo_keras.study import Study
from pneumo_keras.training.train import train
from pneumo_keras.variants import variants


def train_variants(network: str, study: Study, split: pd.Series) -> list[str]:
    """Train one network in all combinations of the study's varied settings.

    The training of the study's own recipe is taken as it is, if notebook 03 or 04 has made it.

    Args:
        network: `segnet` or `deeplabv3`.
        study: the study, with `vary`.
        split: part by image name.

    Returns:
        The names of the trainings' folders.
    """
    found = variants(network, study.recipe, study.vary)
    for variant in found:
        if variant.key != network:
            print(variant.label, f"seed {variant.recipe.seed}", sep=", ")
            arrays, folder = arrays_for(study, variant.recipe), study.model(variant.key)
            train(network, variant.recipe, arrays, split, folder, study.target, study.resume)
    return [variant.key for variant in found]
