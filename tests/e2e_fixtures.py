"""Fixtures of the end-to-end tests: `pytest_plugins = ("tests.e2e_fixtures",)` brings them.

Everything that is started is ended by its own pid when the test ends, however it ends.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e_api import Api, Script
from tests.e2e_support import Launch, Nursery


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """One nursery for the whole run."""
    made = Nursery()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def launch(nursery: Nursery, tmp_path: Path) -> Iterator[Launch]:
    """Start processes of the exporter in `tmp_path`."""
    made = Launch(nursery, tmp_path)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def serve_api() -> Iterator[Callable[[Script], Api]]:
    """Serve scripts; every server ends with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda script: stack.enter_context(Api(script).run())
