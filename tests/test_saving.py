"""Models in fresh processes: saved and loaded, whatever the global settings of Keras."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pneumo_keras.errors import StudyError
from pneumo_keras.models.deeplabv3 import deeplab_v3
from pneumo_keras.models.saving import load_model, save_model
from pneumo_keras.models.segnet import segnet

BUILD = {
    "segnet": lambda: segnet(32, width=0.05),
    "deeplab_v3": lambda: deeplab_v3(32, width=0.05, atrous_rates=(2, 9), decoder=True),
}
IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 1)).astype("float32")

# Builds both networks, loads those of this process and compares them; prints settings afterwards.
SCRIPT = """
import keras
import numpy as np
from test_saving import BUILD, IMAGES, Path, load_model

for name, build in BUILD.items():
    model, loaded = build(), load_model(Path(f"{name}.keras"))
    model.set_weights(loaded.get_weights())
    assert [w.path for w in model.weights] == [w.path for w in loaded.weights]
    assert {w.dtype for w in model.weights} == {"float32"} and model.output.dtype == "float32"
    mixed = keras.config.dtype_policy().name == "mixed_bfloat16"
    assert model.get_layer("head").compute_dtype == ("bfloat16" if mixed else "float32")
    expected = np.load(f"{name}.npy")
    np.testing.assert_allclose(model(IMAGES), expected, atol=1 if mixed else 1e-6)
    np.testing.assert_allclose(loaded(IMAGES), expected, atol=1e-6)
config = keras.config
print(config.floatx(), config.image_data_format(), config.dtype_policy().name)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name, build in BUILD.items():
        model = build()
        save_model(model, folder / f"{name}.keras")
        np.save(folder / f"{name}.npy", np.asarray(model(IMAGES)))
    return folder


def run(script, folder, **environment):
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": f"{here.parent}{os.pathsep}{here}", **environment}
    command = [sys.executable, "-c", script]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()


@pytest.mark.slow  # a process that imports TensorFlow
@pytest.mark.parametrize(("floatx", "policy"), [("float64", None), ("float16", "mixed_bfloat16")])
def test_global_settings_change_no_network(folder, tmp_path, floatx, policy):
    settings = {"floatx": floatx, "image_data_format": "channels_first", "epsilon": 1e-7}
    (tmp_path / "keras.json").write_text(json.dumps({**settings, "backend": "tensorflow"}))
    choice = f"import keras; keras.config.set_dtype_policy({policy!r})" if policy else ""
    printed = run(choice + SCRIPT, folder, KERAS_HOME=str(tmp_path))
    assert printed == [floatx, "channels_first", policy or floatx]


@pytest.mark.slow
def test_keras_loads_a_model_after_any_import_of_this_package(folder):
    script = "import pneumo_keras.models.layers, keras\n"
    script += "print(keras.models.load_model('deeplab_v3.keras').count_params())"
    assert int(*run(script, folder)) == BUILD["deeplab_v3"]().count_params()


def test_a_file_that_is_not_a_model_is_refused(tmp_path):
    broken = tmp_path / "broken.keras"
    broken.write_bytes(b"not a model")
    for path in (broken, tmp_path / "none.keras", tmp_path / "old.h5"):
        with pytest.raises(StudyError, match=path.name) as error:
            load_model(path)
        assert "\n" not in str(error.value)
