"""Histories of configurations: operations join, leave, are renamed, rotate tokens and move."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.polling_support import INBOUND, OFFERED, Stage, gaps, operation
from tests.virtual import Exporter, Seen, ok, row, run_virtual

# The interactions a minute of each operation that ever joins: primes above the minutes of a
# day, so that a figure is a multiple of its own operation's alone.
PACES = (1511, 3001, 6007, 12_007, 25_013, 50_021, 90_001, 150_001, 250_007, 400_009)
MOST = 4
STEPS = ("join", "leave", "rename", "rotate", "move", "swap names", "nothing")
COMING_AND_GOING = [
    *(("join", 0, False), ("leave", 0, True), ("rename", 0, False), ("join", 0, True)),
    *(("rotate", 0, False), ("swap names", 0, False), ("move", 1, True), ("join", 0, False)),
]


@dataclass(frozen=True)
class Centre:
    """An operation as the world has it; `pace` is what it really is."""

    pace: int
    name: str
    token: str
    port: int = 1


@dataclass
class History:
    """The world of one example, and what is known of each operation so far."""

    directory: Path
    stage: Stage = field(init=False)
    centres: list[Centre] = field(default_factory=list)
    owner: dict[str, int] = field(default_factory=dict)
    counted: dict[tuple[int, str], float] = field(default_factory=dict)
    fresh: itertools.count[int] = field(default_factory=itertools.count)
    joined: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.stage = Stage(self.directory, "2026-11-18 10:00")
        self.stage.api.answer = lambda seen: ok(row(inbound=self._inbound(seen)))

    def _inbound(self, seen: Seen) -> int:
        end = datetime.strptime(seen.window[1][8:], "%H%M%S")  # noqa: DTZ007 - a wall time
        return (60 * end.hour + end.minute) * self.owner[seen.token]

    def change(self, step: str, which: int) -> None:
        """Do one thing to one operation, as a person edits the file or a server moves."""
        if step == "join" and len(self.centres) < MOST:
            number, pace = next(self.fresh), PACES[next(self.joined)]
            self.centres.append(Centre(pace, f"n{number}", f"token-{number}"))
        if not self.centres:
            return
        at = which % len(self.centres)
        centre = self.centres[at]
        if step == "leave":
            del self.centres[at]
        if step == "rename":
            self.centres[at] = replace(centre, name=f"n{next(self.fresh)}")
        if step == "rotate":
            self.centres[at] = replace(centre, token=f"token-{next(self.fresh)}")
        if step == "move":
            self.centres[at] = replace(centre, port=3 - centre.port)
        if step == "swap names" and len(self.centres) > 1:
            other = self.centres[at - 1]
            self.centres[at - 1] = replace(other, name=centre.name)
            self.centres[at] = replace(centre, name=other.name)

    def configuration(self) -> tuple[list[str], tuple[str, ...]]:
        """The operations as YAML, and their tokens."""
        self.owner |= {one.token: one.pace for one in self.centres}
        texts = [
            operation("all 4173", name=one.name, token=number, port=one.port)
            for number, one in enumerate(self.centres)
        ]
        return texts, tuple(one.token for one in self.centres)

    def check(self, running: Exporter) -> None:
        """No counter fell, and each figure is made of its own operation's interactions."""
        paces = {one.name: one.pace for one in self.centres}
        for name in (OFFERED, INBOUND):
            for labels, value in running.samples(name).items():
                pace = paces[dict(labels)["operation"]]
                key = (pace, dict(labels)["skill_id"])
                assert value % pace == 0, "another's interactions are shown"
                assert value <= 1440 * pace, "another's interactions are shown"
                if name == OFFERED:
                    assert value >= self.counted.get(key, 0.0), "a counter fell"
                    self.counted[key] = value


async def live(history: History, steps: list[tuple[str, int, bool, int]]) -> None:
    """Run an exporter through the steps; a restart drops it where it stands, as a kill does."""
    stage = history.stage
    async with AsyncExitStack() as stack:
        running: Exporter | None = None
        for step, which, restart, seconds in steps:
            history.change(step, which)
            texts, tokens = history.configuration()
            if not texts:
                continue
            loaded = stage.configure(*texts, tokens=tokens)
            if restart or running is None:
                await stack.aclose()
                running = await stack.enter_async_context(stage.start(loaded))
            else:
                await running.operations.apply(loaded)
            await asyncio.sleep(seconds)
            if seconds < 600:
                continue
            history.check(running)
            lately = stage.world.now().timestamp() - 302
            for one in history.centres:
                for skill in ("all", "4173"):
                    asked = [
                        seen
                        for seen in stage.seen(skill)
                        if history.owner[seen.token] == one.pace and seen.at >= lately
                    ]
                    assert asked, f"{one} was not asked at its pace"
    for pace, skill in itertools.product(PACES, ("all", "4173")):
        own = [seen for seen in stage.seen(skill) if history.owner[seen.token] == pace]
        assert min(gaps(own), default=300.0) >= 299.99, "asked inside its interval"


@settings(
    max_examples=settings().max_examples // 10,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate],  # an example takes a second: no shrinking
)
@example(steps=[(step, which, restart, 1500) for step, which, restart in COMING_AND_GOING])
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(STEPS),
            st.integers(0, 3),
            st.booleans(),
            st.sampled_from((1, 40, 299, 700, 1500)),
        ),
        min_size=2,
        max_size=8,
    )
)
def test_nothing_of_one_operation_ever_touches_another(
    steps: list[tuple[str, int, bool, int]],
) -> None:
    """Over reloads, restarts and kills: own counters, own spacing, own pace."""
    with tempfile.TemporaryDirectory(prefix="wolkvox-tests-") as directory:
        run_virtual(live(History(Path(directory)), [("join", 0, False, 700), *steps]))
