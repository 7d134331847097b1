"""Days of polling in virtual time, in a process of its own whose memory is looked at.

`python -m proof.soak_days DAYS OPERATIONS SEED` writes its progress to stderr and the figures,
as JSON, to stdout. Every operation meets every scenario, three hours a day, over midnights too.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import math
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx

from benchmarks.processes import environment, python
from exporter.polling import poll
from exporter.simulator.api import Simulator
from exporter.simulator.centre import Scenario, SimulatedOperation, SimulatedSkill
from proof.part import Say, memory
from proof.soak_line import fit, surely
from tests.e2e_support import Samples
from tests.kill_support import Highest
from tests.polling_support import NEARLY, OFFERED
from tests.virtual import VirtualWorld, configuration, exporter, run_virtual

# Madrid goes forward on the first day, Santiago back on the seventh, and Cairo forward at the
# midnight before the 27th, which then does not exist. Bogotá never changes.
START = datetime(2026, 3, 29, tzinfo=UTC)
ZONES = ("Europe/Madrid", "America/Bogota", "America/Santiago", "Africa/Cairo")
FAULT_HOURS, PAGES_A_DAY = 3, 48
PAUSING = (Scenario.QUOTA, Scenario.UNAUTHORIZED)
AFTER_A_PAUSE = 30 * 3600.0
WARM_DAYS = 12  # what is remembered of a channel lasts eight
BLOCKS_A_DAY = 20  # for each operation: far fewer than its requests, so none of them leaks
STATE_A_DAY = 256  # bytes for each operation: its count of calls, which is kept for 40 days
P99_LAG = 1.0
_LONGEST, _HANGS = 1200.0, 600.0
_SKILLS = (
    SimulatedSkill("4173", "Ventas", {"inbound": 120, "chat-web": 60}),
    SimulatedSkill("4190", "Cobranza", {"inbound": 80}, agents=0.9),
)
_ONE = "skills: [{id: 4173}]"
PLAIN = (300.0, f"interval: 5m, {_ONE}")
RENAMED = (900.0, f"interval: 15m, stale_after: 46m, {_ONE}")
"""Has another channel every day."""
KINDS = (
    PLAIN,
    (300.0, "interval: 5m, daily_requests: 150, skills: [{id: 4173}, {id: all}]"),
    RENAMED,
    PLAIN,
    (900.0, "interval: 15m, skills: discover, token_info: true"),
    PLAIN,
    (900.0, f"interval: 15m, poll_hours: 'Mo-Sa 06:00-22:00', {_ONE}"),
    (900.0, f"interval: 15m, token_info: true, {_ONE}"),
    (900.0, f"interval: 15m, timeout: 10s, {_ONE}"),
)


@dataclass(slots=True)
class Member:
    """One operation: its kind (interval and YAML keys), its zone, and its simulator."""

    number: int
    kind: tuple[float, str]
    zone: str
    simulator: Simulator
    token: str
    paused_at: float = -AFTER_A_PAUSE

    def yaml(self) -> str:
        """Its entry in the configuration; the token stands in a file."""
        return (
            f"  - {{name: op{self.number}, url: 'http://127.0.0.1:1/op{self.number}/api/v2/', "
            f"token_file: {{token{self.number}}}, timezone: {self.zone}, {self.kind[1]}}}\n"
        )

    def scenario(self, hour: int) -> Scenario | None:
        """What begins for it at an hour of the run: a scenario, or health again."""
        day, of_day = divmod(hour, 24)
        begins = (self.number * 5) % (24 - FAULT_HOURS)
        if of_day == begins:
            return list(Scenario)[(self.number + day) % len(Scenario)]
        return Scenario.HEALTHY if of_day == begins + FAULT_HOURS else None


def members(count: int, world: VirtualWorld, seed: int) -> list[Member]:
    """So many operations, the kinds and the zones in turn: every kind comes to every zone."""
    found = []
    for number in range(count):
        zone, token = ZONES[(number + number // len(KINDS)) % len(ZONES)], f"7b{number:048x}"
        operation = SimulatedOperation(f"op{number}", token, ZoneInfo(zone), _SKILLS, 10_000)
        simulator = Simulator(
            [operation], seed=seed + number, now=world.now, sleep=asyncio.sleep, latency=0.4
        )
        found.append(Member(number, KINDS[number % len(KINDS)], zone, simulator, token))
    return found


@dataclass
class Days:
    """What came of it; memory and state once a model day."""

    requests: int = 0
    early: int = 0
    missed: int = 0
    p99_lag: float = 0.0
    most_in_flight: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    scenarios: list[str] = field(default_factory=list)
    pages: int = 0
    fallen: int = 0
    pairs: int = 0
    problems: list[str] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    state: list[int] = field(default_factory=list)


class Centre(httpx.AsyncBaseTransport):
    """The network: every operation's simulator, behind one witness of the requests."""

    def __init__(self, chosen: Sequence[Member], found: Days) -> None:
        self.grown: dict[tuple[str, str, str], tuple[date, int, int]] = {}
        """By operation, skill, channel: the last day, its highest total, and the growth."""
        self.lags: Counter[float] = Counter()
        self._members = {f"op{one.number}": one for one in chosen}
        self._found = found
        self._last: dict[tuple[str, str, str], float] = {}
        self._answered: set[tuple[str, str]] = set()
        self._in_flight: Counter[str] = Counter()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Note a request and let its simulator answer it."""
        name, query = request.url.path.split("/")[1], dict(request.url.params)
        member, found = self._members[name], self._found
        self._note(member, (name, query["api"], query.get("skill_id", "")))
        self._in_flight[name] += 1
        found.most_in_flight = max(found.most_in_flight, self._in_flight[name])
        try:
            if trace := request.extensions.get("trace"):
                await trace("http11.send_request_headers.started", {"request": request})
            reply = await member.simulator.answer(
                request.url.path, query, request.headers["wolkvox-token"]
            )
        finally:
            self._in_flight[name] -= 1
        status, body = reply.status, reply.body
        found.statuses[str(status)] = found.statuses.get(str(status), 0) + 1
        day = query.get("date_ini", "")[:8] == query.get("date_end", "")[:8]  # no month
        if query["api"] == "skill_11" and day and status in (200, 404):
            if member.kind is RENAMED:
                body = body.replace(
                    b'"chat-web"', b'"chat-%b"' % query["date_ini"][4:8].encode()
                )
            self._tell(name, query, json.loads(body)["data"] if status == 200 else [])
        headers = {"content-type": "application/json"}
        return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))

    def _note(self, member: Member, key: tuple[str, str, str]) -> None:
        now, found = asyncio.get_running_loop().time(), self._found
        shortest = member.kind[0] if key[1] == "skill_11" else 3600.0
        gap = now - self._last.get(key, -math.inf)
        found.requests += 1
        if gap < shortest - NEARLY:
            found.early += 1
            found.problems.append(f"{key}: {gap:.3f} s between two requests")
        if member.kind is PLAIN and gap < 2 * shortest:
            self.lags[round(gap - shortest, 2)] += 1
        elif member.kind is PLAIN and gap < now - max(member.paused_at + AFTER_A_PAUSE, 0.0):
            found.missed += 1
            found.problems.append(f"{key}: {gap:.0f} s between two requests")
        self._last[key] = now

    def _tell(self, name: str, query: dict[str, str], rows: Sequence[dict[str, str]]) -> None:
        day = datetime.strptime(query["date_ini"][:8], "%Y%m%d").date()  # noqa: DTZ007 - a day
        observed = (name, query["skill_id"])
        for row in rows:
            pair, total = (*observed, row["type_interaction"]), int(row["inbound_calls"])
            # What was there at the first observation counts nothing.
            nothing = (day, total if observed not in self._answered else 0, 0)
            last, highest, grown = self.grown.get(pair, nothing)
            if day < last:  # the month on its second day
                continue
            if last != day:
                highest = 0
            rose = max(0, total - highest)
            self.grown[pair] = (day, max(total, highest), grown + rose)
        self._answered.add(observed)


async def live(days: int, operations: int, seed: int, directory: Path) -> Days:
    """Live through the days, and two healthy hours after them."""
    found, world, highest = Days(), VirtualWorld(START), Highest()
    chosen = members(operations, world, seed)
    centre = Centre(chosen, found)
    text = "operations:\n" + "".join(one.yaml() for one in chosen)
    loaded = configuration(directory / "config", text, [one.token for one in chosen])
    began = time.monotonic()
    async with exporter(loaded, directory / "state", world, centre) as running:
        for half_hour in range(PAGES_A_DAY * days):
            if half_hour % 2 == 0:
                _switch(chosen, half_hour // 2, found)
            await asyncio.sleep(86400 / PAGES_A_DAY)
            highest.take(Samples(running.page.render().decode()))
            if half_hour % PAGES_A_DAY == PAGES_A_DAY - 1:
                _sample(found, chosen, directory / "state")
                if time.monotonic() - began > _LONGEST:
                    break
        for member in chosen:
            member.simulator.set_scenario(str(Scenario.HEALTHY))
        await asyncio.sleep(2 * 3600)
        page = Samples(running.page.render().decode())
    found.pages, found.fallen = PAGES_A_DAY * len(found.blocks), highest.fallen
    _compare(found, page, centre)
    found.problems = [*found.problems, *highest.problems][:20]
    return found


def _compare(found: Days, page: Samples, centre: Centre) -> None:
    """Compare the counters with what the API told, where they are shown; sum up the lags."""
    for key, shown in page.of(OFFERED).items():
        labels = dict(key)
        pair = (labels["operation"], labels["skill_id"], labels["type_interaction"])
        found.pairs += 1
        told = centre.grown[pair][2] if pair in centre.grown else None
        if shown != told:
            found.problems.append(f"{pair}: {shown:g} shown, {told} told")
    lags = sorted(centre.lags.elements())
    found.p99_lag = lags[math.ceil(0.99 * len(lags)) - 1] if lags else 0.0


def _switch(chosen: Sequence[Member], hour: int, found: Days) -> None:
    for member in chosen:
        if (scenario := member.scenario(hour)) is not None:
            member.simulator.set_scenario(str(scenario))
            found.scenarios = sorted({*found.scenarios, str(scenario)})
            if scenario in PAUSING:
                member.paused_at = asyncio.get_running_loop().time() + FAULT_HOURS * 3600


def _sample(found: Days, chosen: Sequence[Member], state: Path) -> None:
    for member in chosen:
        member.simulator.forget()  # its memory is not what is measured
    gc.collect()
    found.blocks.append(sys.getallocatedblocks())
    found.state.append(sum(path.stat().st_size for path in state.glob("*.db*")))
    sys.stderr.write(f"day {len(found.blocks)}: {found.requests:,} requests\n")


def run(days: int, operations: int, seed: int, directory: Path) -> Days:
    """Run in this process, which is afterwards as it was."""
    disabled, idle = logging.root.manager.disable, poll.LONGEST_IDLE
    logging.disable(logging.CRITICAL)
    poll.LONGEST_IDLE = 300.0  # nothing is changed behind its back: idle loops may sleep
    try:
        return run_virtual(live(days, operations, seed, directory))
    finally:
        logging.disable(disabled)
        poll.LONGEST_IDLE = idle


def run_beside(days: int, operations: int, seed: int, directory: Path, say: Say) -> Days:
    """Run in a process of its own; one that hangs is ended, and that is what was found."""
    command = python("-m", "proof.soak_days", str(days), str(operations), str(seed))
    log = directory / "days.log"
    with log.open("wb") as errors:
        try:
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=errors, env=environment(directory),
                timeout=_LONGEST + _HANGS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Days(problems=["the virtual days hung"])
    if done.returncode != 0:
        raise RuntimeError(log.read_text(encoding="utf-8")[-2000:])
    say("soak: the virtual days are over")
    return Days(**json.loads(done.stdout))


def judge(found: Days, days: int, operations: int) -> list[str]:
    """What did not hold."""
    broken = list(found.problems)
    for count, what in (
        (found.early, "requests came early"),
        (found.missed, "slots of a query without a pause were missed"),
        (found.fallen, "counters fell"),
        (found.most_in_flight - 1, "requests too many at once with one token"),
        (int(found.p99_lag > P99_LAG), "schedule drifts"),
        (days - len(found.blocks), "days were not lived through"),
    ):
        if count > 0:
            broken.append(f"{count} {what}")
    if min(days, operations) >= len(Scenario) > len(found.scenarios):
        broken.append(f"only these scenarios came: {found.scenarios}")
    blocks, state = _slopes(found)
    if surely(blocks) > BLOCKS_A_DAY * operations:
        broken.append(f"{blocks[0]:,.0f} more blocks of memory a day")
    if surely(state) > STATE_A_DAY * operations:
        broken.append(f"the state grows by {state[0]:,.0f} bytes a day")
    return broken


def _slopes(found: Days) -> tuple[tuple[float, float], tuple[float, float]]:
    """Blocks of memory and bytes of the state, by the day, once all is warm."""
    days = [float(day) for day in range(len(found.blocks))][WARM_DAYS:]
    return fit(days, found.blocks[WARM_DAYS:]), fit(days, found.state[WARM_DAYS:])


def rows(found: Days) -> list[tuple[str, str, str]]:
    """What to tell people."""
    statuses = ", ".join(f"{count:,} x {code}" for code, count in found.statuses.items())
    blocks, state = _slopes(found)
    warm = max(0, len(found.blocks) - WARM_DAYS)
    more = f"over {warm} days" if warm > 2 else "too few days for a slope"
    return [
        ("virtual time", f"{len(found.blocks)} days", ""),
        ("requests, by status", f"{found.requests:,}: {statuses}", ""),
        ("scenarios", ", ".join(found.scenarios), "all"),
        ("gaps too short; slots missed", f"{found.early}; {found.missed}", "0"),
        ("99 of 100 gaps are late by at most", f"{found.p99_lag:.2f} s", f"{P99_LAG:g} s"),
        ("most requests at once with one token", f"{found.most_in_flight}", "1"),
        ("pages read; counters that fell", f"{found.pages:,}; {found.fallen}", "0"),
        ("counters compared with what the API told", f"{found.pairs}", "all equal"),
        (
            "allocated blocks of memory, a day more",
            f"{blocks[0]:+,.0f} ± {blocks[1]:,.0f} ({more})",
            f"{BLOCKS_A_DAY} for each operation",
        ),
        (
            "state file, a day more",
            f"{state[0]:+,.0f} ± {state[1]:,.0f} bytes ({more})",
            f"{STATE_A_DAY} bytes for each operation",
        ),
    ]


if __name__ == "__main__":
    # The state is flushed twice a poll: in memory where possible, for the time it takes.
    with tempfile.TemporaryDirectory(prefix="wolkvox-soak-", dir=memory()) as name:
        days, operations, seed = map(int, sys.argv[1:])
        sys.stdout.write(json.dumps(asdict(run(days, operations, seed, Path(name)))))
