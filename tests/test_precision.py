"""Mixed precision as a setting of the recipe, and training steps compiled by XLA."""

import keras
import numpy as np
import pytest
import small_training

from pneumo_keras.evaluation.predict import load_segmenter
from pneumo_keras.models.deeplabv3 import deeplab_v3
from pneumo_keras.training import fit
from pneumo_keras.training.networks import build_network
from pneumo_keras.training.precision import PRECISIONS, computing_in
from pneumo_keras.training.recipes import choose_recipe

pytestmark = pytest.mark.slow  # builds whole networks, and trains

MIXED = [precision for precision in PRECISIONS if precision != "float32"]


@pytest.mark.parametrize("precision", MIXED)
@pytest.mark.parametrize("network", ["segnet", "deeplabv3"])
def test_weights_and_output_of_both_networks_stay_float32(network, precision):
    changes = {"size": 32, "width": 0.05, "backbone": "mobilenet_v2", "precision": precision}
    with computing_in(precision):
        model = build_network(network, choose_recipe("quick", changes)).model
    assert model.output.dtype == "float32"
    assert {weight.dtype for weight in model.trainable_weights} == {"float32"}
    computing = {layer.compute_dtype for layer in model.layers if layer.name != "probability"}
    assert computing == {precision.removeprefix("mixed_")}
    assert keras.config.dtype_policy().name == "float32"  # put back


@pytest.mark.parametrize("precision", MIXED)
def test_a_mixed_training_is_finite_close_to_float32_and_reloads(tmp_path, monkeypatch, precision):
    loss = "hybrid_published"  # sums over all pixels, which would overflow in float16
    small_training.patch(monkeypatch.setattr)
    small_training.train(tmp_path / "float32", segnet_loss=loss)
    small_training.train(tmp_path / "mixed", segnet_loss=loss, precision=precision)
    single, mixed = (fit.load_history(tmp_path / name) for name in ("float32", "mixed"))
    assert np.isfinite(mixed.to_numpy(float)).all()
    assert not mixed.equals(single)  # it did compute in another precision
    np.testing.assert_allclose(mixed["loss"], single["loss"], rtol=0.02)
    model = keras.models.load_model(tmp_path / "mixed" / "last.keras")
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (precision == "mixed_float16")
    assert model.layers[2].compute_dtype == precision.removeprefix("mixed_")
    probability = load_segmenter(tmp_path / "mixed").probability(small_training.squares()[0][0])
    assert probability.dtype == np.float32 and np.isfinite(probability).all()


def test_a_training_step_of_deeplabv3_compiles_under_xla():
    """SegNet's is in test_training.py."""
    settings = {"backbone": "mobilenet_v2", "width": 0.05, "dropout": 0.0, "atrous_rates": (2, 9)}
    model = deeplab_v3(32, **settings)
    model.compile("sgd", "binary_crossentropy", jit_compile=True)
    films, masks = (part[:2, ..., None].astype("float32") for part in small_training.squares())
    before = model.get_weights()
    loss = model.train_on_batch(films, masks)
    assert np.isfinite(loss) and loss > 0
    moved = [np.abs(a - b).max() for a, b in zip(before, model.get_weights(), strict=True)]
    assert max(moved) > 1e-5
