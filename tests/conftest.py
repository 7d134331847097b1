"""Fixtures that every test may use; the guard keeps unit tests off the network."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio: the exporter uses its TaskGroup and its signal handlers."""
    return "asyncio"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test sees the developer's own proxies, tokens or exporter settings."""
    for name in list(os.environ):
        upper = name.upper()
        if upper.startswith("WOLKVOX") or upper.endswith("_PROXY") or upper == "STATE_DIRECTORY":
            monkeypatch.delenv(name)
    yield
