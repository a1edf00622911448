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

ROOT = Path(__file__).parents[1]
BUILD = {
    "segnet": lambda: segnet(32, width=0.05),
    "deeplab_v3": lambda: deeplab_v3(32, width=0.05, atrous_rates=(2, 9), decoder=True),
}
IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 1)).astype("float32")

# Builds both networks, loads those of this process and compares them; prints settings afterwards.
SCRIPT = """
import sys
import keras
import numpy as np
from pathlib import Path
from pneumo_keras.models.deeplabv3 import deeplab_v3
from pneumo_keras.models.saving import load_model
from pneumo_keras.models.segnet import segnet

folder = Path(sys.argv[1])
images = np.load(folder / "images.npy")
built = {
    "segnet": segnet(32, width=0.05),
    "deeplab_v3": deeplab_v3(32, width=0.05, atrous_rates=(2, 9), decoder=True),
}
for name, model in built.items():
    loaded = load_model(folder / f"{name}.keras")
    model.set_weights(loaded.get_weights())
    assert [w.path for w in model.weights] == [w.path for w in loaded.weights]
    assert {w.dtype for w in model.weights} == {"float32"} and model.output.dtype == "float32"
    mixed = keras.config.dtype_policy().name == "mixed_bfloat16"
    assert model.get_layer("head").compute_dtype == ("bfloat16" if mixed else "float32")
    expected = np.load(folder / f"{name}.npy")
    np.testing.assert_allclose(model(images), expected, atol=1 if mixed else 1e-6)
    np.testing.assert_allclose(loaded(images), expected, atol=1e-6)
config = keras.config
print(config.floatx(), config.image_data_format(), config.dtype_policy().name)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    np.save(folder / "images.npy", IMAGES)
    for name, build in BUILD.items():
        model = build()
        save_model(model, folder / f"{name}.keras")
        np.save(folder / f"{name}.npy", np.asarray(model(IMAGES)))
    return folder


def run(script, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("floatx", "data_format", "policy"),
    [
        ("float64", "channels_first", None),
        ("float16", "channels_first", "mixed_bfloat16"),
    ],
)
def test_global_settings_change_no_network(folder, tmp_path, floatx, data_format, policy):
    settings = {"floatx": floatx, "image_data_format": data_format, "epsilon": 1e-7}
    (tmp_path / "keras.json").write_text(json.dumps({**settings, "backend": "tensorflow"}))
    choice = f"import keras; keras.config.set_dtype_policy({policy!r})" if policy else ""
    done = run(choice + SCRIPT, folder, KERAS_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == [floatx, data_format, policy or floatx]


@pytest.mark.parametrize("first", ["pneumo_keras", "keras", "pneumo_keras.models.layers"])
def test_keras_loads_a_model_whatever_is_imported_first(folder, first):
    script = f"import {first}, sys, pneumo_keras, keras\n"
    script += "print(keras.models.load_model(sys.argv[1]).count_params())"
    done = run(script, folder / "deeplab_v3.keras")
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) == BUILD["deeplab_v3"]().count_params()


def test_a_file_that_is_not_a_model_is_refused(tmp_path):
    broken = tmp_path / "broken.keras"
    broken.write_bytes(b"not a model")
    for path in (broken, tmp_path / "none.keras", tmp_path / "old.h5"):
        with pytest.raises(StudyError, match=path.name) as error:
            load_model(path)
        assert "\n" not in str(error.value)
