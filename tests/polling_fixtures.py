"""The stage of a test of polling: `pytest_plugins = ("tests.polling_fixtures",)`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.polling_support import Stage


@pytest.fixture
def stage(state_directory: Path) -> Stage:
    """A state directory, a world at 10:00 in Bogota, and an API that answers one row."""
    return Stage(state_directory)
