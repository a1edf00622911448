"""JAX or torch instead of TensorFlow, two devices, two hosts: the same training."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_training import ARRAYS, small_network, small_recipe

from pneumo_keras.errors import StudyError
from pneumo_keras.evaluation.predict import load_segmenter
from pneumo_keras.runs import read_history, read_run
from pneumo_keras.training.devices import Devices

pytestmark = pytest.mark.slow  # a process for every backend and every host

HERE = Path(__file__).parent
# Two devices, and quick to compile rather than quick to run.
XLA_FLAGS = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
TORCH = importlib.util.find_spec("torch") is not None  # not among the requirements: it is large
without_torch = pytest.mark.skipif(not TORCH, reason="torch is not installed")
# Python imports a module of this name when it starts.
SITECUSTOMIZE = """
import sys

class NoTensorFlow:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ImportError(f"{name} was imported")

sys.meta_path.insert(0, NoTensorFlow())
"""


@pytest.fixture(scope="module")
def jax(tmp_path_factory):
    """The environment of a process on JAX in which importing TensorFlow is an error."""
    folder = tmp_path_factory.mktemp("no_tensorflow")
    (folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
    path = os.pathsep.join((str(folder), str(HERE.parent)))
    environment = {"KERAS_BACKEND": "jax", "XLA_FLAGS": XLA_FLAGS, "PYTHONPATH": path}
    importing = [sys.executable, "-c", "import tensorflow"]
    done = subprocess.run(importing, env=os.environ | environment, capture_output=True, check=False)
    assert done.returncode
    return environment


def start(folder, *choices, **environment):
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, HERE / "small_training.py", folder, *choices],
        env={**os.environ, "PYTHONPATH": str(HERE.parent), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def start_hosts(folder):
    sockets = [socket.socket() for _ in range(2)]
    for listener in sockets:
        listener.bind(("127.0.0.1", 0))
    cluster = {"worker": [f"127.0.0.1:{listener.getsockname()[1]}" for listener in sockets]}
    for listener in sockets:
        listener.close()
    tasks = [{"type": "worker", "index": index} for index in range(2)]
    hosts = [json.dumps({"cluster": cluster, "task": task}) for task in tasks]
    return [start(folder, "all", TF_CONFIG=host) for host in hosts]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, jax):
    """The same training on one device, on two of each backend, and on two hosts, at once."""
    folder = tmp_path_factory.mktemp("backends")
    processes = {
        "jax": start(folder / "jax", "one", "all", **jax),
        "tensorflow": start(folder / "tensorflow", "one", "all"),
    }
    if TORCH:
        processes["torch"] = start(folder / "torch", "one", KERAS_BACKEND="torch")
    processes["first"], processes["second"] = start_hosts(folder / "hosts")
    try:
        for name, process in processes.items():
            output, _ = process.communicate(timeout=300)
            (folder / f"{name}.txt").write_text(output)
            assert process.returncode == 0, f"{name}: {output}"
    finally:
        for process in processes.values():
            process.kill()
    return folder


def results(folder, backend, key):
    return json.loads((folder / backend / "results.json").read_text())[key]


TRAININGS = ("jax/one", "jax/all", "tensorflow/all", "hosts/all")


@pytest.mark.parametrize("training", [*TRAININGS, pytest.param("torch/one", marks=without_torch)])
def test_every_backend_and_number_of_devices_trains_alike(folder, training):
    one, other = (np.load(folder / f"{name}.npz") for name in ("tensorflow/one", training))
    initial = small_network("deeplabv3", small_recipe(), None).get_weights()
    assert len(one.files) == len(other.files) == len(initial)
    for name, before in zip(one.files, initial, strict=True):
        np.testing.assert_allclose(other[name], one[name], rtol=1e-4, atol=1e-5)
        assert np.abs(one[name] - before).max() > 1e-3  # far more than they may differ by
    one, other = (read_history(folder / name) for name in ("tensorflow/one", training))
    assert len(one) == 2 and set(one) == set(other)
    np.testing.assert_allclose(other[list(one)], one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", ["jax", pytest.param("torch", marks=without_torch)])
def test_losses_metrics_and_ssim_are_the_same_on_every_backend(folder, backend):
    other, tensorflow = (results(folder, name, "losses") for name in (backend, "tensorflow"))
    assert len(other) == len(tensorflow) == 4 + 2 * (4 + 6)
    assert other == pytest.approx(tensorflow, abs=1e-5)


def test_a_model_trained_on_jax_predicts_the_same_on_tensorflow(folder):
    image, names = ARRAYS.images[0], ("jax/one", "tensorflow/one")
    one, other = (load_segmenter(folder / name).probability(image) for name in names)
    np.testing.assert_allclose(one, other, atol=1e-4)
    jax, tensorflow = (read_run(folder / name) for name in names)
    assert jax["backend"] == "jax" and tensorflow["backend"] == "tensorflow"
    assert "jax" in jax["versions"] and "tensorflow" not in jax["versions"]
    assert jax["device"] == tensorflow["device"] and jax["device"].startswith("CPU, ")


def test_only_the_first_host_writes_and_prints(folder):
    assert (folder / "first.txt").read_text().count("epoch ") == 2
    assert "epoch " not in (folder / "second.txt").read_text()
    written = {path.name for path in (folder / "hosts").iterdir()}
    assert written == {"all", "all.npz", "results.json"}
    finished = {path.name for path in (folder / "hosts" / "all").iterdir()}
    assert finished == {"best.keras", "last.keras", "history.csv", "run.json", "tensorboard"}


def test_uneven_data_parallel_still_overrides_what_keras_asks(folder):
    seven, eight, refused = results(folder, "jax", "override")
    assert eight == [4, 4], "UnevenDataParallel: Keras no longer divides batches like this"
    assert seven == [7, 7], "UnevenDataParallel: Keras no longer asks get_data_layout"
    assert refused, "Keras takes uneven batches now: UnevenDataParallel can be deleted"


def test_hosts_reduce_still_overrides_what_keras_asks(folder):
    scalar, vector, refused = results(folder, "hosts", "override")
    # From each of two hosts a one, and two rows of three ones.
    assert (scalar, vector) == (2, [4, 4, 4]), "Hosts.reduce: adds up wrongly"
    assert refused, "TensorFlow reduces pairs now: Hosts can be deleted"


def test_all_notebooks_run_on_jax_without_tensorflow(tmp_path, jax):
    settings = ("phantoms=40", "epochs=1", "size=32", "width=0.05")
    changes = [part for setting in settings for part in ("--set", setting)]
    done = subprocess.run(
        [sys.executable, "-m", "pneumo_keras", "run", *changes, "--out", tmp_path / "out"],
        env=os.environ | jax,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "out" / "figures" / "table_2.csv").exists()
    for network in ("segnet", "deeplabv3"):
        run = read_run(tmp_path / "out" / "data" / "models" / network)
        assert run["backend"] == "jax" and run["images"]["test"] > 0


def test_images_that_cannot_be_shared_are_refused():
    Devices(count=2).check_images(8, 4)
    for images, named in (((9, 4), "batch_size=9"), ((8, 3), "3 validation images")):
        with pytest.raises(StudyError, match=named):
            Devices(count=2).check_images(*images)
