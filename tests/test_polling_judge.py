"""The poll loop and the tools judge alike: in the same state both ask, or neither does."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from exporter.polling.request import CALLS
from exporter.state.models import Attempt
from exporter.state.storage import Storage
from tests.polling_support import Stage, operation
from tests.tools_support import opened
from tests.virtual import run_virtual

CEILING = 300
DAY = date(2026, 11, 18)


@dataclass(frozen=True)
class Case:
    """What stands in the state file at 10:00, and what is configured."""

    age: float | None = None
    spent: bool = False
    open_from: str = "08:00"
    pause: str | None = None
    pause_left: float = 0.0
    paused_on: str = "2026-11-18"
    token: bool = True


CASES = st.builds(
    Case,
    age=st.sampled_from([None, -5000.0, 0.0, 100.0, 298.0, 302.0, 5000.0]),
    spent=st.booleans(),
    open_from=st.sampled_from(["08:00", "10:30"]),
    pause=st.sampled_from([None, "quota", "unauthorized"]),
    pause_left=st.sampled_from([-10.0, 20.0, 1800.0]),
    paused_on=st.sampled_from(["2026-11-17", "2026-11-18"]),
    token=st.booleans(),
)


@example(Case())
@example(Case(age=298.0))
@example(Case(age=302.0))
@example(Case(spent=True))
@example(Case(open_from="10:30"))
@example(Case(pause="quota", pause_left=1800.0))
@example(Case(pause="quota", pause_left=1800.0, paused_on="2026-11-17"))
@example(Case(token=False))
@given(CASES)
@settings(
    max_examples=settings().max_examples // 10,
    deadline=None,
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
)
def test_same_facts_same_verdict(case: Case) -> None:
    """What the exporter would ask a tool asks as well, and neither where a rule forbids it."""
    asked = run_virtual(_asked(case, by_tool=False))
    assert run_virtual(_asked(case, by_tool=True)) == asked
    new_day = case.pause == "quota" and case.paused_on != "2026-11-18"
    paused = case.pause is not None and case.pause_left > 0 and not new_day
    recent = case.age is not None and case.age < 300
    closed = case.open_from != "08:00"
    assert asked == (case.token and not (paused or recent or case.spent or closed))


async def _asked(case: Case, *, by_tool: bool) -> bool:
    """Whether one of the two sends a request at once."""
    with tempfile.TemporaryDirectory(prefix="wolkvox-tests-") as directory:
        stage = Stage(Path(directory), "2026-11-18 10:00")
        hours = f'"Mo-Su {case.open_from}-20:00"'
        loaded = stage.configure(operation(daily_requests=CEILING, poll_hours=hours))
        await _take_up(stage)
        _write(stage, case)
        if not case.token:
            stage.token_file().unlink()
        if not by_tool:
            async with stage.start(loaded):
                await asyncio.sleep(1.5)  # the grace for the process before
        else:
            async with opened(stage, loaded) as sessions:
                reply = await sessions["acme"].ask("4173", 300.0, CALLS["skill_11"])
                assert (reply.request is not None) == bool(stage.api.seen)
        return bool(stage.api.seen)


async def _take_up(stage: Stage) -> None:
    """Have the operation known in the state file, without a request."""
    async with opened(stage, stage.configure()):
        pass


def _write(stage: Stage, case: Case) -> None:
    """Write what the case says of the past."""
    now = stage.world.now().timestamp()
    storage = Storage.open(stage.directory / "state", lambda: now)
    row = 1
    at = now - (case.age or 0.0)
    attempt = Attempt(row, "4173", at, None, 0.0, (row,), DAY, None)
    other = Attempt(row, "#other", now, None, 0.0, (row,), DAY, None)
    spent = CEILING if case.spent else 0
    steps: list[Callable[[Storage], object]] = []
    steps += [lambda db: db.begin_attempt(attempt)] if case.age is not None else []
    steps += [lambda db: db.begin_attempt(other)] * spent
    pause = {
        "reason": case.pause,
        "refusals": 1,
        "next_at": now + case.pause_left,
        "day": case.paused_on,
        "digest": hashlib.sha256(b"canary").hexdigest(),
    }
    steps += [lambda db: db.save_fact(row, "pause", pause)] if case.pause else []
    storage.transact(steps)
    storage.close()
