"""What several test files share."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def real_data() -> Path:
    """The folder of real films beside the checkout; the test is skipped where there is none."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("no real films beside this checkout (../shared/data)")
    return folder
