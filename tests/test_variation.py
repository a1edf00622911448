"""Seeds and combinations of settings in one table: by hand, and against single comparisons."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from test_comparison import NAMES, network, row

from pneumo_keras.config import QUICK
from pneumo_keras.dataset.arrays import Arrays
from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation import variation
from pneumo_keras.evaluation.comparison import compare
from pneumo_keras.evaluation.intervals import mean_interval, pooled_interval
from pneumo_keras.evaluation.variation import variation_table, variation_tables


def test_seeds_by_hand():
    one = network(0.8, 1)
    runs = [one.assign(dice=value) for value in (0.5, 0.6, 0.7)]
    table = variation_table({"three": runs, "one": runs[:1]})
    first, second = table.iloc[0], table.iloc[1]
    assert table["label"].tolist() == ["three", "one"] and table["seeds"].tolist() == [3, 1]
    assert first["value"] == pytest.approx(0.6) and first["sd"] == pytest.approx(0.1)
    # All images alike: all spread is the seeds'; one draw of 27 is 0.5 thrice.
    assert (first["low"], first["high"]) == pytest.approx((0.5, 0.7))
    assert np.isnan(first["difference"]) and np.isnan(first["difference, low"])
    assert np.isnan(second["sd"]) and "seed" in second["reason"]
    ends = second[["difference", "difference, low", "difference, high"]].tolist()
    assert ends == pytest.approx([-0.1, -0.2, 0.0], abs=1e-9)
    assert (first["images"], first["patients"]) == (40, 20)


def test_one_seed_each_is_the_interval_of_patients_and_the_paired_comparison():
    first, second = network(0.8, 1, normal=6), network(0.7, 2, normal=6)
    compared = compare(first, second, NAMES)
    for metric, average, interval in (
        ("dice", "per image", mean_interval),
        ("iou", "pooled", pooled_interval),
    ):
        table = variation_table({"2": [second], "1": [first]}, metric, average == "pooled")
        plain = interval(second, metric)
        ends = table.loc[0, ["value", "low", "high"]].tolist()
        assert ends == pytest.approx([plain.value, plain.low, plain.high])
        assert table.loc[0, ["images", "patients"]].tolist() == [plain.images, plain.patients]
        ends = table.loc[1, ["difference", "difference, low", "difference, high"]].tolist()
        expected = row(compared, metric, average)[["difference", "low", "high"]]
        assert ends == pytest.approx(expected.tolist())


def test_patients_are_paired_over_the_combinations():
    """Hard images are hard for all: differences are surer than values."""
    base = network(0.8, 1)
    hard = np.random.default_rng(0).uniform(0.1, 0.7, len(base))
    runs = {str(shift): [base.assign(dice=hard + shift)] for shift in (0, 0.1, 0.3)}
    table = variation_table(runs)
    assert (table["high"] - table["low"]).min() > 0.05
    others = table.iloc[1:]
    assert others["difference"].tolist() == pytest.approx([0.1, 0.3])
    assert (others["difference, high"] - others["difference, low"]).max() < 1e-9


def test_runs_of_other_images_and_missing_runs_are_refused():
    with pytest.raises(StudyError, match="image000"):
        variation_table({"SegNet": [network(0.8, 1), network(0.8, 2).iloc[1:]]})
    with pytest.raises(StudyError, match="target"):
        variation_table({"SegNet": [network(0.8, 1, normal=40)]})
    for nothing in ({}, {"SegNet": []}):
        with pytest.raises(StudyError, match="train"):
            variation_table(nothing)


def test_every_variant_is_scored_at_its_own_threshold_and_the_size_of_the_study(
    monkeypatch, tmp_path
):
    """Images of two halves, 0.2 and 0.8, at 32 or 64 pixels; seed 2 has a threshold above both."""
    index = pd.DataFrame({"name": list("abc"), "patient": list("123"), "group": "virus"})
    split = pd.Series({"a": "test", "b": "train", "c": "test"})
    sizes = []

    def arrays_for(study, recipe):
        masks = np.zeros((3, recipe.size, recipe.size), np.uint8)
        masks[:, recipe.size // 2 :] = 1
        return Arrays(masks, masks, index)

    def predict_images(segmenter, arrays, rows):
        sizes.append(arrays.masks.shape[1])
        return np.where(arrays.masks[rows], np.float32(0.8), np.float32(0.2))

    def segmenter(path):
        return SimpleNamespace(threshold=0.9 if "seed-2" in path.name else 0.5)

    for function in (arrays_for, predict_images):
        monkeypatch.setattr(variation, function.__name__, function)
    monkeypatch.setattr(variation, "load_segmenter", segmenter)
    vary = {"size": ("64", "32"), "seed": ("1", "2")}
    study = SimpleNamespace(recipe=QUICK, vary=vary, model=tmp_path.joinpath)
    for table in variation_tables(study, split).values():
        assert table["label"].tolist() == [
            *("SegNet, size 64", "SegNet, size 32", "DeepLabV3, size 64", "DeepLabV3, size 32")
        ]
        assert table["seeds"].tolist() == table["images"].tolist() == [2] * 4
        assert table["value"].tolist() == [0.5] * 4  # 1 with seed 1, 0 with seed 2
    assert sizes == [64, 64, 32, 32] * 2
    assert variation_tables(SimpleNamespace(vary={}), split) == {}
