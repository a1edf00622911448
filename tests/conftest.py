"""What several test files share."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def real_data() -> Path:
    """The folder of real images beside the checkout; the test is skipped where there is none."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("no real images beside this checkout (../shared/data)")
    return folder


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: runs only where the notebooks run too (--nbval)")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--nbval"):
        skip = pytest.mark.skip(reason="slow; runs with --nbval")
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(skip)
