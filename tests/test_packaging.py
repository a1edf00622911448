"""The package as it is installed: what it declares, and what it brings along."""

import ast
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OPTIONAL = {"jax", "torch", "IPython"}  # looked for, or used where they are installed


@pytest.fixture(scope="module")
def project():
    tomllib = pytest.importorskip("tomllib")  # from Python 3.11 on
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def normalised(name):
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", name)[0]).lower()


def test_every_imported_package_is_a_declared_dependency(project):
    declared = {normalised(name) for name in project["project"]["dependencies"]}
    distributions = packages_distributions()
    for path in (ROOT / "pneumo_keras").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names.append(node.module)
            for top in {name.partition(".")[0] for name in names}:
                if top in sys.stdlib_module_names or top in OPTIONAL or top == "pneumo_keras":
                    continue
                assert {normalised(name) for name in distributions[top]} & declared, (path, top)


def test_packages_templates_and_notebooks_are_brought_along(project):
    settings = project["tool"]["setuptools"]
    packages = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / "pneumo_keras").rglob("__init__.py")
        if path.parent.name != "templates"
    }
    assert packages | {"pneumo_keras.notebooks"} == set(settings["packages"])
    assert settings["package-dir"] == {"pneumo_keras.notebooks": "notebooks"}
    for package, patterns in settings["package-data"].items():
        folder = ROOT / settings["package-dir"].get(package, package.replace(".", "/"))
        assert all(list(folder.glob(pattern)) for pattern in patterns)
    assert {"gpu", "jax", "annotate", "test"} <= set(project["project"]["optional-dependencies"])


def test_a_run_writes_elsewhere_than_the_committed_figures():
    command = [sys.executable, "-m", "pneumo_keras", "run", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "(default: results)" in re.sub(r"\s+", " ", done.stdout)
    assert "/results/" in (ROOT / ".gitignore").read_text("utf-8").split()
