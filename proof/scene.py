"""A real exporter before a scripted API: what several parts of the proof begin with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.e2e_api import Api, Script, found, row
from tests.e2e_support import Launch, Life, Nursery, operation, write_config


@contextlib.contextmanager
def nursed(directory: Path) -> Iterator[Launch]:
    """Start processes in a directory; all of them end with the block."""
    nursery = Nursery()
    launch = Launch(nursery, directory)
    try:
        yield launch
    finally:
        launch.close()
        nursery.close()


@contextlib.contextmanager
def with_exporter(
    directory: Path, *flags: str, prelude: str = "", script: Script = lambda asked: found(row())
) -> Iterator[tuple[Life, Api]]:
    """One exporter that polls one query of an API; `prelude` is Python that it runs first."""
    with nursed(directory) as launch, Api(script).run() as api:
        config = write_config(directory, operation(api.url()))
        yield launch.serve(config, *flags, prelude=prelude), api
