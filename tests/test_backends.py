"""JAX or torch instead of TensorFlow, two devices instead of one, two hosts: the same training."""

import importlib.util
import inspect
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import small_training

from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.predict import load_segmenter
from pneumo_keras.training import fit
from pneumo_keras.training.devices import Devices

pytestmark = pytest.mark.slow  # a process for every backend and every host

HERE = Path(__file__).parent
# Quick to compile rather than quick to run.
XLA_FLAGS = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
TF_CONFIG = "TF_CONFIG"
TORCH = importlib.util.find_spec("torch") is not None  # not among the requirements: it is large
without_torch = pytest.mark.skipif(not TORCH, reason="torch is not installed")


def started(folder, *choices, **environment):
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, HERE / "small_training.py", folder, *choices],
        cwd=HERE.parent,
        env={**os.environ, "PYTHONPATH": str(HERE.parent), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def two_hosts(folder):
    sockets = [socket.socket() for _ in range(2)]
    for listener in sockets:
        listener.bind(("127.0.0.1", 0))
    cluster = {"worker": [f"127.0.0.1:{listener.getsockname()[1]}" for listener in sockets]}
    for listener in sockets:
        listener.close()
    tasks = [{"type": "worker", "index": index} for index in range(2)]
    return [
        started(folder, "all", TF_CONFIG=json.dumps({"cluster": cluster, "task": task}))
        for task in tasks
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The same training on one device, on two of each backend, and on two hosts, at once."""
    folder = tmp_path_factory.mktemp("backends")
    processes = {
        "jax": started(folder / "jax", "one", "all", KERAS_BACKEND="jax", XLA_FLAGS=XLA_FLAGS),
        "tensorflow": started(folder / "tensorflow", "one", "all"),
    }
    if TORCH:
        processes["torch"] = started(folder / "torch", "one", KERAS_BACKEND="torch")
    processes["chief"], processes["worker"] = two_hosts(folder / "hosts")
    said = {}
    try:
        for name, process in processes.items():
            said[name], _ = process.communicate(timeout=300)
            assert process.returncode == 0, f"{name}: {said[name]}"
    finally:
        for process in processes.values():
            process.kill()
    (folder / "said.json").write_text(json.dumps(said))
    return folder


TRAININGS = (
    "jax/one",
    "jax/all",
    "tensorflow/all",
    "hosts/all",
    pytest.param("torch/one", marks=without_torch),
)


@pytest.mark.parametrize("training", TRAININGS)
def test_every_backend_and_number_of_devices_ends_with_the_same_weights(folder, training):
    one, other = (
        np.load(folder / f"{name}.npz", allow_pickle=False) for name in ("tensorflow/one", training)
    )
    first = small_training.small_network("segnet", None).model.get_weights()
    assert len(one.files) == len(other.files) == len(first)
    for name, before in zip(one.files, first, strict=True):
        np.testing.assert_allclose(other[name], one[name], rtol=1e-4, atol=1e-5)
        assert np.abs(one[name] - before).max() > 1e-3  # far more than they may differ by


@pytest.mark.parametrize("training", TRAININGS)
def test_every_backend_and_number_of_devices_writes_the_same_history(folder, training):
    one, other = (fit.load_history(folder / name) for name in ("tensorflow/one", training))
    assert len(one) == 2 and set(one) == set(other)
    np.testing.assert_allclose(other[list(one)], one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", ["jax", pytest.param("torch", marks=without_torch)])
def test_losses_metrics_and_ssim_are_the_same_on_every_backend(folder, backend):
    other, tensorflow = (
        json.loads((folder / name / "losses.json").read_text()) for name in (backend, "tensorflow")
    )
    assert len(other) == len(tensorflow) == 4 + 2 * (4 + 6)
    assert other == pytest.approx(tensorflow, abs=1e-5)


def test_a_model_trained_on_jax_predicts_the_same_on_tensorflow(folder):
    film = small_training.squares()[0][0]
    jax, tensorflow = (load_segmenter(folder / name / "one") for name in ("jax", "tensorflow"))
    np.testing.assert_allclose(jax.probability(film), tensorflow.probability(film), atol=1e-4)
    assert keras.models.load_model(folder / "jax" / "one" / "best.keras").loss is not None


def test_all_notebooks_run_on_jax_without_tensorflow(tmp_path):
    """Every kernel gets the hook that refuses TensorFlow, by the module Python starts with."""
    hook = inspect.getsource(small_training.NoTensorFlow)
    start = f"import sys\n\n{hook}\nsys.meta_path.insert(0, NoTensorFlow())\n"
    (tmp_path / "sitecustomize.py").write_text(start)
    settings = ("phantoms=40", "epochs=1", "size=32", "width=0.05")
    changes = [part for setting in settings for part in ("--set", setting)]
    path = os.pathsep.join((str(tmp_path), str(HERE.parent)))
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": path}
    importing = [sys.executable, "-c", "import tensorflow"]
    assert subprocess.run(importing, env=environment, capture_output=True, check=False).returncode
    done = subprocess.run(
        [sys.executable, "-m", "pneumo_keras", "run", *changes, "--out", tmp_path / "out"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "out" / "figures" / "table_2.csv").exists()
    for network in ("segnet", "deeplabv3"):
        run = fit.load_run(tmp_path / "out" / "data" / "models" / network)
        assert run["backend"] == "jax" and run["films"]["test"] > 0


def test_run_json_names_backend_and_device(folder):
    jax, tensorflow = (fit.load_run(folder / name / "one") for name in ("jax", "tensorflow"))
    assert jax["backend"] == "jax" and tensorflow["backend"] == "tensorflow"
    assert "jax" in jax["versions"] and "tensorflow" not in jax["versions"]
    assert jax["device"] == tensorflow["device"] and jax["device"].startswith("CPU, ")


def test_only_the_chief_writes_and_speaks(folder):
    said = json.loads((folder / "said.json").read_text())
    assert said["chief"].count("epoch ") == 2 and "epoch " not in said["worker"]
    assert {path.name for path in (folder / "hosts").iterdir()} == {"all", "all.npz"}
    assert {"best.keras", "last.keras", "history.csv", "run.json"} <= {
        path.name for path in (folder / "hosts" / "all").iterdir()
    }


def test_films_that_cannot_be_shared_equally_are_refused():
    Devices(count=2).check_films(8, 4)
    with pytest.raises(StudyError, match="batch_size=9: not a multiple of the 2 devices"):
        Devices(count=2).check_films(9, 4)
    with pytest.raises(StudyError, match="3 validation films: too few for 2 devices"):
        Devices(count=2).check_films(8, 3)
