"""Days of polling in virtual time, in a process of its own whose memory is looked at.

`python -m proof.soak_days '{"days": 30, "operations": 50, "seed": 1}'` writes what it says of
its progress to stderr and the figures, as JSON, to stdout.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.processes import environment, python
from exporter.polling import poll
from exporter.simulator import Scenario
from proof.part import Say, memory
from proof.soak_centre import START, Member, members, mixture
from proof.soak_witness import Centre, Pages
from tests.e2e_support import Samples
from tests.virtual import Exporter, VirtualWorld, configuration, exporter, run_virtual

_PAGES_A_DAY = 48
_LONGEST = 1200.0  # seconds: whoever lives through fewer days by then has not held
_HANGS = 600.0  # seconds beyond that: time stands still in there
_NAMED = 50  # counters that are wrong: enough to see what is the matter
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
COMMAND = tuple(python("-m", "proof.soak_days"))
_OFFERED = "wolkvox_skill_offered_interactions_total"


@dataclass
class Days:
    """What came of it; memory and state once a model day."""

    mixture: str = ""
    requests: int = 0
    early: int = 0
    gaps: int = 0
    p99_lag: float = 0.0
    most_in_flight: int = 0
    most_a_day: dict[int, int] = field(default_factory=dict)
    fewest_a_day: int | None = None  # of a whole day without a pause, where there is one
    statuses: dict[int, int] = field(default_factory=dict)
    scenarios: list[str] = field(default_factory=list)
    fallen: int = 0
    pages: int = 0
    series: list[int] = field(default_factory=list)
    pairs: int = 0
    returned: int = 0
    wrong: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    objects: list[int] = field(default_factory=list)
    rss: list[float] = field(default_factory=list)
    state: list[int] = field(default_factory=list)
    seconds: float = 0.0
    cpu: float = 0.0


class _Run:
    """One run: the scenarios, the pages, and the samples, hour by hour."""

    def __init__(self, days: int, operations: int, seed: int, directory: Path) -> None:
        self.days = days
        self.found = Days()
        self._directory = directory
        self._world = VirtualWorld(START)
        self._members = members(operations, self._world, seed)
        self._centre = Centre(self._members, self._world)
        self._pages = Pages(self._centre)
        self._met: set[str] = set()

    async def run(self) -> Days:
        """Live through the days, and two healthy hours after them."""
        found, began = self.found, time.monotonic()
        text = "operations:\n" + "".join(one.yaml() for one in self._members)
        loaded = configuration(
            self._directory / "config", text, [one.token for one in self._members]
        )
        state = self._directory / "state"
        async with exporter(loaded, state, self._world, self._centre) as running:
            for day in range(self.days):
                await self._live(running, day)
                self._sample(running, state)
                took = time.monotonic() - began
                sys.stderr.write(
                    f"day {day + 1} of {self.days}: {self._centre.tally.requests:,} requests "
                    f"in {took:.0f} s, {found.blocks[-1]:,} blocks, {found.state[-1]:,} bytes\n"
                )
                if took > _LONGEST:
                    break
            for member in self._members:
                self._switch(member, Scenario.HEALTHY)
            await asyncio.sleep(2 * 3600)
            self._compare(running.page.render())
        self._take()
        found.seconds, found.cpu = time.monotonic() - began, time.process_time()
        return found

    async def _live(self, running: Exporter, day: int) -> None:
        for half_hour in range(_PAGES_A_DAY):
            if half_hour % 2 == 0:
                for member in self._members:
                    scenario = member.scenario(24 * day + half_hour // 2)
                    if scenario is not None:
                        self._switch(member, scenario)
            await asyncio.sleep(86400 / _PAGES_A_DAY)
            self._pages.take(running.page.render(), self._world.now().date())

    def _switch(self, member: Member, scenario: Scenario) -> None:
        self._met.add(str(scenario))
        member.simulator.set_scenario(str(scenario))
        self._centre.switched(member, scenario, self._world.now())

    def _sample(self, running: Exporter, state: Path) -> None:
        today, found = self._world.now().date(), self.found
        self._centre.forget(today)
        self._pages.forget(today)
        for member in self._members:
            member.forget()
        found.series.append(
            sum(line[:1] != b"#" for line in running.page.render().splitlines())
        )
        gc.collect()
        found.blocks.append(sys.getallocatedblocks())
        found.objects.append(len(gc.get_objects()))
        statm = Path("/proc/self/statm").read_text(encoding="ascii").split()
        found.rss.append(int(statm[1]) * _PAGE_BYTES / 2**20)
        found.state.append(sum(path.stat().st_size for path in state.glob("*.db*")))

    def _compare(self, text: bytes) -> None:
        """Compare the counters with what the API told, where they are shown."""
        told = {pair: one.grown for pair, one in self._centre.told.items()}
        for key, shown in Samples(text.decode()).of(_OFFERED).items():
            labels = dict(key)
            pair = (labels["operation"], labels["skill_id"], labels["type_interaction"])
            self.found.pairs += 1
            if shown != told.get(pair) and len(self.found.wrong) < _NAMED:
                self.found.wrong.append(f"{pair}: {shown:g} shown, {told.get(pair)} told")

    def _take(self) -> None:
        found, tally = self.found, self._centre.tally
        self._centre.forget(self._world.now().date())
        found.mixture = mixture(self._members)
        found.requests, found.early, found.gaps = tally.requests, tally.early, tally.gaps
        found.p99_lag = tally.p99_lag()
        found.most_in_flight = tally.most_in_flight
        found.most_a_day = dict(sorted(tally.most_a_day.items()))
        found.fewest_a_day = tally.fewest_a_day
        found.statuses = dict(sorted(tally.statuses.items()))
        found.scenarios = sorted(self._met)
        found.fallen, found.pages = tally.fallen, tally.pages
        found.returned, found.problems = len(self._centre.returned), tally.problems[:20]


def run(days: int, operations: int, seed: int, directory: Path) -> Days:
    """Run in this process, which is afterwards as it was."""
    disabled, idle = logging.root.manager.disable, poll.LONGEST_IDLE
    logging.disable(logging.CRITICAL)
    poll.LONGEST_IDLE = 300.0  # nothing is changed behind its back: idle loops may sleep
    try:
        return run_virtual(_Run(days, operations, seed, directory).run())
    finally:
        logging.disable(disabled)
        poll.LONGEST_IDLE = idle


def run_beside(
    days: int,
    operations: int,
    seed: int,
    directory: Path,
    say: Say,
    *,
    command: Sequence[str] = COMMAND,
    patience: float = _LONGEST + _HANGS,
) -> Days:
    """Run in a process of its own; raises RuntimeError where it fails.

    One that hangs is ended after so many seconds, and that is what was found.
    """
    order = json.dumps({"days": days, "operations": operations, "seed": seed})
    with subprocess.Popen(
        [*command, order],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(directory),
    ) as process:  # fmt: skip
        assert process.stderr is not None
        assert process.stdout is not None
        hung = threading.Event()

        def end() -> None:
            hung.set()
            process.kill()

        watch = threading.Timer(patience, end)
        watch.start()
        lines = []
        for number, line in enumerate(process.stderr):
            lines.append(line)
            if number % 3 == 0:
                say(f"soak: {line.strip()}")
        output = process.stdout.read()
        watch.cancel()
    if process.returncode != 0 and hung.is_set():
        last = lines[-1].strip() if lines else "nothing"
        return Days(problems=[f"the virtual days hung for {patience:g} s; last told: {last}"])
    if process.returncode != 0:
        raise RuntimeError("".join(lines[-20:]))
    figures = json.loads(output)
    for name in ("most_a_day", "statuses"):
        figures[name] = {int(key): value for key, value in figures[name].items()}
    return Days(**figures)


def _main(argv: Sequence[str]) -> None:
    # The state is flushed twice a poll: in memory where possible, for the time it takes.
    with tempfile.TemporaryDirectory(prefix="wolkvox-soak-", dir=memory()) as name:
        found = run(**json.loads(argv[0]), directory=Path(name))
    sys.stdout.write(json.dumps(asdict(found)))


if __name__ == "__main__":
    _main(sys.argv[1:])
