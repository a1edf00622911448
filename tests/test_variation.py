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


def test_one_seed_has_the_interval_of_its_patients():
    one = network(0.8, 1, normal=6)
    for metric, pooled, interval in (
        ("dice", False, mean_interval),
        ("iou", True, pooled_interval),
    ):
        found = variation_table({"SegNet": [one]}, metric, pooled).iloc[0]
        plain = interval(one, metric)
        assert found[["value", "low", "high"]].tolist() == pytest.approx(
            [plain.value, plain.low, plain.high]
        )
        assert (found["images"], found["patients"]) == (plain.images, plain.patients)


def test_a_difference_of_one_seed_each_is_the_paired_comparison():
    first, second = network(0.8, 1), network(0.7, 2)
    single = row(compare(first, second, NAMES), "dice")
    table = variation_table({"second": [second], "first": [first]}).iloc[1]
    ends = table[["difference", "difference, low", "difference, high"]].tolist()
    assert ends == pytest.approx(single[["difference", "low", "high"]].tolist())


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


def test_every_variant_is_scored_at_its_own_threshold(monkeypatch, tmp_path):
    """Each model predicts 0.5 everywhere; those of seed 2 have a threshold above it."""
    masks = np.ones((3, 4, 4), np.uint8)
    index = pd.DataFrame({"name": list("abc"), "patient": list("123"), "group": "virus"})
    split = pd.Series({"a": "test", "b": "train", "c": "test"})

    def segmenter(path):
        return SimpleNamespace(threshold=0.9 if path.name.endswith("seed-2") else 0.5)

    predicted = np.full((2, 4, 4), 0.5, np.float32)
    monkeypatch.setattr(variation, "load_segmenter", segmenter)
    monkeypatch.setattr(variation, "predict_images", lambda *arguments: predicted)
    monkeypatch.setattr(variation, "arrays_for", lambda *arguments: Arrays(masks, masks, index))
    study = SimpleNamespace(recipe=QUICK, vary={"seed": ("1", "2")}, model=tmp_path.joinpath)
    for table in variation_tables(study, split).values():
        assert table["label"].tolist() == ["SegNet", "DeepLabV3"]
        assert table["seeds"].tolist() == table["images"].tolist() == [2, 2]
        assert table["value"].tolist() == [0.5, 0.5]  # 1 with seed 1, 0 with seed 2
    assert variation_tables(SimpleNamespace(vary={}), split) == {}
