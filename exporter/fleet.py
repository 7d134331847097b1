"""One configuration made to run: a poll loop, a client and telemetry for each operation.

It also carries a changed configuration over without a request lost or repeated. It opens no
socket and reads no file: service.py does.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from exporter.config import Configuration, Operation
from exporter.errors import ConfigError, Problem
from exporter.metrics.exposition import Exposition
from exporter.metrics.own import ExporterTelemetry
from exporter.metrics.query import QueryRenderer
from exporter.metrics.sla import Targets
from exporter.metrics.telemetry import OperationTelemetry
from exporter.polling.attempt import Attempts
from exporter.polling.budget import Budget
from exporter.polling.hours import PollHours
from exporter.polling.keeper import Disk
from exporter.polling.observer import SKILL_11, SKILLS, TOKEN_INFO
from exporter.polling.poller import LONGEST_IDLE, Poller, Surroundings
from exporter.polling.schedule import RESTART_GRACE
from exporter.state.identity import Identity, identities
from exporter.state.journal import State
from exporter.state.locks import TokenGate
from exporter.state.snapshot import Snapshot
from exporter.times import Clock
from exporter.web.status import OperationView
from exporter.wolkvox.client import WolkvoxClient
from exporter.wolkvox.windows import local_day, next_day_start


@dataclass(frozen=True, slots=True)
class Means:
    """What every operation shares."""

    clock: Clock
    rng: random.Random
    state: State
    gate: TokenGate
    page: Exposition
    snapshot: Snapshot
    telemetry: ExporterTelemetry
    connect: Callable[[Operation, Clock], WolkvoxClient]
    disk: Disk = field(default_factory=Disk)


def connect(operation: Operation, clock: Clock) -> WolkvoxClient:
    """The client of one operation; raises ConfigError for a proxy that cannot be used."""
    try:
        return WolkvoxClient(
            operation.base_url,
            timeout=operation.timeout,
            ca_file=operation.ca_file,
            proxy=operation.proxy,
            trust_env=not operation.loopback,
            monotonic=clock.monotonic,
        )
    except ConfigError as error:
        named = [
            Problem(f"operation {operation.name}, {problem.path}", problem.reason)
            for problem in error.problems
        ]
        raise ConfigError(named) from None


@dataclass(slots=True)
class _Running:
    operation: Operation
    budget: Budget
    client: WolkvoxClient
    poller: Poller
    telemetry: OperationTelemetry
    task: asyncio.Task[None] | None = None


class Fleet:
    """The operations being polled, by name; its tasks are siblings of the server's."""

    def __init__(self, means: Means, group: asyncio.TaskGroup) -> None:
        self._means = means
        self._group = group
        self._grace = RESTART_GRACE
        self._running: dict[str, _Running] = {}
        self._budgets: dict[tuple[str, ...], Budget] = {}
        self._retired: dict[asyncio.Task[None], Operation] = {}
        self.configuration = Configuration(())

    def apply(self, configuration: Configuration) -> None:
        """Run this configuration: whole, or not at all (ConfigError: the old one goes on).

        Operations that did not change keep their loop and with it slots and results. A
        changed one gets a new loop, which starts when the old one has ended its request and
        takes everything up from the state.
        """
        named = identities(configuration)
        budgets = self._new_budgets(configuration, named)
        starting = [
            self._prepare(operation, budgets[operation.name], named[operation.name])
            for operation in configuration.operations
            if self._changed(operation, budgets[operation.name])
        ]
        names = {operation.name for operation in configuration.operations}
        for gone in [name for name in self._running if name not in names]:
            running = self._running.pop(gone)
            self._retire(running)
            self._group.create_task(self._end(running), name=f"end {gone}")
        for running in starting:
            self._start(running)
        self._budgets = {budget.account: budget for budget in budgets.values()}
        self._grace = 0.0  # from now on it was this process that wrote when it asked
        self.configuration = configuration

    def healthy(self) -> bool:
        """Whether every loop moved within what its longest wait explains."""
        now = self._means.clock.monotonic()
        return all(
            now - running.poller.beat < self._patience(running)
            for running in self._running.values()
        )

    def ready(self) -> bool:
        """Whether each query has an ended attempt or a restored result.

        An operation whose skills are still to be discovered has no query yet, and is not
        ready before its first answer.
        """
        statuses = list(self._means.snapshot)
        found = {status.key.operation for status in statuses}
        return all(status.settled for status in statuses) and self._running.keys() <= found

    def overview(self) -> tuple[OperationView, ...]:
        """Each operation as its loop stands at this moment, for the status page."""
        now = self._means.clock.now()
        return tuple(_view(running, now) for running in self._running.values())

    async def restored(self) -> None:
        """Wait until every loop has taken up what the process before left."""
        waiting = [running.poller.restored.wait() for running in self._running.values()]
        await asyncio.gather(*waiting)

    def stop(self) -> None:
        """End every loop at once; a request under way is dropped, its attempt is on disk."""
        for running in self._running.values():
            running.poller.retire()
        loops = [running.task for running in self._running.values()]
        for task in (*loops, *self._retired):
            if task is not None:
                task.cancel()

    def _patience(self, running: _Running) -> float:
        sharing = max(1, len(running.budget.demands))
        return 60.0 + LONGEST_IDLE + sharing * (running.operation.timeout + 10.0)

    def _changed(self, operation: Operation, budget: Budget) -> bool:
        running = self._running.get(operation.name)
        return running is None or running.operation != operation or running.budget is not budget

    def _new_budgets(
        self, configuration: Configuration, named: Mapping[str, Identity]
    ) -> dict[str, Budget]:
        """One budget for each token; the one of before where nothing about it changed."""
        budgets: dict[tuple[str, ...], Budget] = {}
        for operation in configuration.operations:
            account, ceiling = named[operation.name].account, operation.daily_requests
            if account not in budgets:
                budget = self._budgets.get(account)
                limits = (ceiling, operation.timezone)
                if budget is None or (budget.ceiling, budget.zone) != limits:
                    budget = Budget(account, ceiling, operation.timezone)
                budgets[account] = budget
        return {name: budgets[identity.account] for name, identity in named.items()}

    def _prepare(self, operation: Operation, budget: Budget, identity: Identity) -> _Running:
        means = self._means
        client = means.connect(operation, means.clock)
        before = self._running.get(operation.name)
        telemetry = before.telemetry if before else self._telemetry(operation)
        attempts = Attempts(
            base_url=operation.base_url,
            zone=operation.timezone,
            client=client,
            state=means.state,
            gate=means.gate,
            budget=budget,
            clock=means.clock,
            observer=telemetry,
        )
        around = Surroundings(
            attempts,
            means.state,
            budget,
            means.clock,
            means.rng,
            telemetry,
            identity,
            means.disk,
            self._grace,
        )
        return _Running(operation, budget, client, Poller(operation, around), telemetry)

    def _telemetry(self, operation: Operation) -> OperationTelemetry:
        means = self._means
        return OperationTelemetry(operation.name, means.page, means.snapshot, means.telemetry)

    async def _end(self, running: _Running) -> None:
        """Wait for the last request of an operation that is gone, and drop its series."""
        if running.task is not None:
            await asyncio.wait({running.task})
        if running.operation.name not in self._running:  # a reload may have brought it back
            running.telemetry.end()

    def _start(self, running: _Running) -> None:
        name, base_url = running.operation.name, running.operation.base_url
        before = self._running.get(name)
        if before is not None:
            self._retire(before)
        earlier = {
            task
            for task, operation in self._retired.items()
            if operation.name == name or operation.base_url == base_url
        }
        self._running[name] = running
        running.task = self._group.create_task(_run(running, earlier), name=f"poll {name}")

    def _retire(self, running: _Running) -> None:
        """Let a loop end with the request that may be under way."""
        running.poller.retire()
        running.budget.drop_demand(running.operation.name)
        if running.task is not None:
            self._retired[running.task] = running.operation
            running.task.add_done_callback(lambda task: self._retired.pop(task, None))


async def _run(running: _Running, earlier: set[asyncio.Task[None]]) -> None:
    """Poll until retired, once the loops before, which may ask the same, have ended."""
    operation = running.operation
    if earlier:
        await asyncio.wait(earlier)
        for key in running.telemetry.queries():
            if not operation.discover and key.skill_id not in _skill_ids(operation):
                running.telemetry.forget(key)
    running.telemetry.configure(
        operation_info(operation),
        reports_in_use(operation),
        query_renderer(operation),
        PollHours(operation.poll_hours, operation.timezone),
    )
    async with running.client:
        await running.poller.run()


def operation_info(operation: Operation) -> Mapping[str, str]:
    """The labels of `wolkvox_operation_info`: the user's, and the exporter's own above them."""
    own = {"server": operation.server, "timezone": str(operation.timezone)}
    return {**operation.labels, **own}


def reports_in_use(operation: Operation) -> tuple[str, ...]:
    """The API reports that an operation calls: only they have series."""
    optional = {TOKEN_INFO: operation.token_info, SKILLS: operation.discover}
    return (SKILL_11, *(report for report, used in optional.items() if used))


def query_renderer(operation: Operation) -> QueryRenderer:
    """What turns the operation's results into lines: its zone and its targets."""
    return QueryRenderer(operation.timezone, _targets(operation))


def _targets(operation: Operation) -> Targets:
    single = operation.discover or any(skill.id != "all" for skill in operation.skills)
    return Targets(operation.sla, operation.timezone, single_skills=single)


def _view(running: _Running, now: datetime) -> OperationView:
    operation, budget = running.operation, running.budget
    hours = PollHours(operation.poll_hours, operation.timezone)
    return OperationView(
        name=operation.name,
        server=operation.server,
        zone=operation.timezone,
        interval=running.poller.interval,
        configured=operation.interval,
        used=budget.used(local_day(now, budget.zone)),
        limit=budget.ceiling,
        day_ends_at=next_day_start(now, budget.zone).timestamp(),
        pause=running.poller.pause,
        poll_hours=operation.poll_hours,
        hours_open=hours.state(now.timestamp()),
        targets=_targets(operation),
        skills=tuple(skill.id for skill in operation.skills),
    )


def _skill_ids(operation: Operation) -> set[str]:
    return {skill.id for skill in operation.skills}
