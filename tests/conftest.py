"""Fixtures that every test may use; the guard keeps unit tests off the network."""

from __future__ import annotations

import inspect
import logging
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from coverage import Coverage
from hypothesis import settings

from exporter.logs import SECRETS, Secrets
from tests.needs import needs_linux
from tests.polling_support import Stage
from tests.virtual import run_virtual

pytest_plugins = ("tests.e2e_fixtures",)

# `make test` tries fewer examples of each property; `make test-slow` tries them all.
# A busy machine is no defect, so no example has a deadline; each run tries the same ones.
settings.register_profile("whole", deadline=None, derandomize=True, database=None)
settings.register_profile("quick", settings.get_profile("whole"), max_examples=20)
settings.load_profile("whole")

# Needs 500 MB of deployment tools: `make deploy-check` installs them and runs it.
collect_ignore = ["test_deploy_tools.py"]


# Days of virtual time pass the same lines thousands of times, and processes those that others
# pass as well: coverage would double their time.
LONG_RUNS = {
    *(f"test_{name}.py" for name in ("kill", "canary", "prometheus", "rules_day", "hours")),
    *(
        f"test_{name}.py"
        for name in ("healthcheck", "sharding", "skills", "status_page_browser")
    ),
    *(f"test_end_to_end_{name}.py" for name in ("level", "quirks")),
    "test_rules_alertmanager.py",
    "test_polling_answers.py",
    *(f"test_polling_{name}.py" for name in ("budget", "discovery", "judge")),
    *(f"test_polling_{name}.py" for name in ("closing", "months", "restarts", "spacing")),
    *("test_config_mistakes.py", "test_hours_calendar.py", "test_identity.py"),
    "test_simulator_centre.py",
}


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Stop what measures coverage in a worker before the worker's own begins.

    It was begun for each process and for a run without workers; below the worker's own it would
    go on in tests marked `no_cover`, and take half of their time.
    """
    if hasattr(session.config, "workerinput"):
        while early := Coverage.current():
            early.stop()
            early.save()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mix the files whose real processes wait with others, which use the time meanwhile."""
    waiting = dict.fromkeys(one.path for one in items if one.get_closest_marker("e2e"))
    others = dict.fromkeys(one.path for one in items if one.path not in waiting)
    turns = {path: 4 * number for number, path in enumerate(waiting)}
    turns |= {path: number + number // 3 + 1 for number, path in enumerate(others)}
    items.sort(key=lambda one: turns[one.path])
    for item in items:
        if item.path.name in LONG_RUNS:
            item.add_marker("no_cover")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """An async test lives in virtual time, unless it is marked `anyio`."""
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test) or pyfuncitem.get_closest_marker("anyio"):
        return None
    wanted = inspect.signature(test).parameters
    run_virtual(test(**{name: pyfuncitem.funcargs[name] for name in wanted}))
    return True


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio: the exporter uses its TaskGroup and its signal handlers."""
    return "asyncio"


@pytest.fixture(autouse=True)
def clean_environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the developer's own proxies, tokens or exporter settings; a process that
    one without coverage starts has none either.
    """
    uncovered = request.node.get_closest_marker("no_cover") is not None
    for name in list(os.environ):
        upper = name.upper()
        if (
            upper.startswith("WOLKVOX")
            or upper.endswith("_PROXY")
            or upper == "STATE_DIRECTORY"
            or (uncovered and upper.startswith("COVERAGE_"))
        ):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    """A command that is run inside of a test leaves no handler behind: it would end pytest."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def own_log() -> None:
    """A test finds neither the log level that one before set nor the tokens that it read."""
    logging.getLogger("exporter").setLevel(logging.NOTSET)
    vars(SECRETS).update(vars(Secrets()))


@pytest.fixture
def state_directory(tmp_path: Path) -> Iterator[Path]:
    """A directory for state files; in memory where possible, since every commit is flushed."""
    memory = Path("/dev/shm")  # noqa: S108 - a directory of its own is made below it
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="wolkvox-tests-") as directory:
        yield Path(directory)


@pytest.fixture
def stage(state_directory: Path) -> Stage:
    """A state directory, a world at 10:00 in Bogota, and an API that answers one row."""
    return Stage(state_directory)


@pytest.fixture
def linux() -> None:
    """Skip elsewhere: /proc, mount namespaces, limits of other processes, abstract names."""
    needs_linux("/proc and its kin")


@pytest.fixture
def rare_wakeups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle loops look around every five minutes only: virtual days pass in less real time."""
    monkeypatch.setattr("exporter.polling.poll.LONGEST_IDLE", 300.0)
