"""Fixtures of the end-to-end tests; conftest.py brings them.

Everything that is started is ended by its own pid when the test ends, however it ends.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from exporter.cli import main
from tests.e2e_api import Api, Script, Serve, found, row
from tests.e2e_support import Ended, Launch, Nursery, Run


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """One nursery for the whole run."""
    with contextlib.closing(Nursery()) as made:
        yield made


@pytest.fixture(scope="session")
def covered_nursery() -> Iterator[Nursery]:
    """One whose processes count for the coverage."""
    with contextlib.closing(Nursery(covered=True)) as made:
        yield made


@pytest.fixture
def launch(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Launch]:
    """Start processes of the exporter in `tmp_path`."""
    covered = request.node.get_closest_marker("no_cover") is None
    which: str = "covered_nursery" if covered else "nursery"
    made = Launch(request.getfixturevalue(which), tmp_path)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command that ends by itself inside of this process, in `tmp_path`."""

    def _run(*argv: str, env: Mapping[str, str] | None = None) -> Ended:
        written, log = io.BytesIO(), io.StringIO()
        with monkeypatch.context() as patch, pytest.raises(SystemExit) as end:  # noqa: PT012
            patch.chdir(tmp_path)
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["wolkvox-exporter", *argv])
            patch.setattr(sys, "stdout", io.TextIOWrapper(written, "utf-8"))
            patch.setattr(sys, "stderr", log)
            patch.setattr(os, "_exit", sys.exit)
            patch.setattr(logging.getLogger(), "handlers", [])
            try:
                main()
            finally:
                output = written.getvalue().decode()
        return Ended(end.value.code, output, log.getvalue())

    return _run


@pytest.fixture
def serve_api() -> Iterator[Callable[[Script], Api]]:
    """Serve scripts; every server ends with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda script: stack.enter_context(Api(script).run())


@pytest.fixture
def api(serve_api: Serve) -> Api:
    """An API that answers a row to everything."""
    return serve_api(lambda asked: found(row()))
