"""What importing the package does, in fresh processes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_training import ARRAYS, small_recipe

from pneumo_keras.models.saving import save_model
from pneumo_keras.training.build import build_network
from pneumo_keras.training.losses import LOSSES
from pneumo_keras.training.metrics import training_metrics

pytestmark = pytest.mark.slow  # a process that imports TensorFlow for each
NETWORKS = ("segnet", "deeplabv3")


def python(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import pneumo_keras", {"numpy", "pandas", "cv2"}),
        ("import pneumo_keras.study, pneumo_keras.runs, pneumo_keras.command.run", set()),
        ("from pneumo_keras.__main__ import main; main(['run', '--set', 'epoch=3'])", set()),
    ],
)
def test_importing_imports_neither_keras_nor_a_backend(code, heavy):
    loaded = python(f"{code}\nimport sys; print(*sys.modules)").split()
    assert "pneumo_keras" in loaded
    assert {"keras", "tensorflow", "jax", "torch", *heavy}.isdisjoint(loaded)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Both networks, with the losses and metrics of this package, and a prediction of each."""
    folder = tmp_path_factory.mktemp("models")
    image, expected = ARRAYS.images[:1, ..., None].astype("float32"), {}
    for network in NETWORKS:
        recipe = small_recipe(width=0.05, backbone="mobilenet_v2")
        model = build_network(network, recipe, None)
        expected[network] = np.asarray(model(image))
        save_model(model, folder / network / "best.keras")
        loss = "crossentropy_dice" if network == "segnet" else "hybrid_corrected"
        model.compile("adam", LOSSES[loss](), metrics=training_metrics("hybrid_corrected"))
        save_model(model, folder / network / "last.keras")
    np.savez(folder / "expected.npz", image=image, **expected)
    return folder


LOAD = """
import numpy
files = numpy.load(sys.argv[1] + "/expected.npz")
for network in ("segnet", "deeplabv3"):
    for name in ("best", "last"):
        model = keras.models.load_model(f"{sys.argv[1]}/{network}/{name}.keras")
        assert numpy.allclose(model(files["image"]), files[network], atol=1e-6)
        assert model.compiled == (name == "last")
"""


@pytest.mark.parametrize(
    "imports",
    [
        # Libraries ask like this whether Keras is installed.
        "import sys, pneumo_keras; from importlib.util import find_spec; find_spec('keras')",
        "import sys, keras, pneumo_keras",
    ],
)
def test_keras_loads_saved_models_wherever_the_package_was_imported(models, imports):
    python(f"{imports}\nimport keras\n{LOAD}", models)
