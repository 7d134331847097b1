"""One configuration made to run: a poll loop, a client and telemetry for each operation.

It also carries a changed configuration over without a request lost or repeated. It opens no
socket and reads no file: service.py does.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from exporter.config import Configuration, Operation
from exporter.config.hours import OpenHours
from exporter.errors import ConfigError
from exporter.metrics.exporter import ExporterTelemetry
from exporter.metrics.operation import OperationTelemetry
from exporter.metrics.page import MetricsPage
from exporter.metrics.query import QueryRenderer
from exporter.metrics.sla import Targets
from exporter.polling.limits import RESTART_GRACE, Budget
from exporter.polling.poll import LONGEST_IDLE, Dependencies, Poller
from exporter.polling.request import SKILL_11, SKILLS, TOKEN_INFO, Requests
from exporter.polling.status import StorageHealth
from exporter.runtime import Clock
from exporter.state.identity import Identity, claims_of
from exporter.state.locks import TokenGate
from exporter.state.models import Snapshot
from exporter.state.storage import State
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
    page: MetricsPage
    snapshot: Snapshot
    telemetry: ExporterTelemetry
    connect: Callable[[Operation, Clock], WolkvoxClient]


def connect(operation: Operation, clock: Clock) -> WolkvoxClient:
    """The client of one operation; raises ConfigError for a proxy that cannot be used."""
    try:
        return WolkvoxClient(
            operation.base_url,
            timeout=operation.timeout,
            ca_file=operation.ca_file,
            proxy=operation.proxy.get_secret_value() if operation.proxy else None,
            trust_env=not operation.loopback,
            monotonic=clock.monotonic,
        )
    except ConfigError as error:
        name = f"operation {operation.name}"
        named = [replace(problem, operation=name) for problem in error.problems]
        raise ConfigError(named) from None


@dataclass(slots=True)
class _Running:
    operation: Operation
    identity: Identity
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
        self._health = StorageHealth(means.telemetry.storage)
        self._running: dict[str, _Running] = {}
        self._budgets: dict[tuple[int, ...], Budget] = {}
        self._stopped = False
        self._retired: dict[asyncio.Task[None], _Running] = {}
        self.configuration = Configuration(())

    async def apply(self, configuration: Configuration) -> None:
        """Run this configuration: whole, or not at all.

        Raises ConfigError or StorageError, and then the old one goes on. Operations that did
        not change keep their loop and with it slots and results. A changed one gets a new
        loop, which starts when the old one has ended its request and takes everything up
        from the state. One call at a time.
        """
        means = self._means
        clients = {
            operation.name: means.connect(operation, means.clock)
            for operation in configuration.operations
            if self._running_as(operation) is None
        }
        claims = claims_of(configuration)
        identities = await means.state.write(lambda storage: storage.claim(claims))
        if self._stopped:
            return
        budgets = self._new_budgets(configuration, identities)
        starting = []
        for operation in configuration.operations:
            identity, budget = identities[operation.name], budgets[operation.name]
            running = self._running_as(operation)
            if running and running.identity == identity and running.budget is budget:
                continue
            client = clients.get(operation.name) or means.connect(operation, means.clock)
            starting.append(self._prepare(operation, client, budget, identity))
        for name, running in list(self._running.items()):
            if identities.get(name) is None or identities[name].id != running.identity.id:
                del self._running[name]
                self._retire(running)
                ending = self._group.create_task(self._end(running), name=f"end {name}")
                self._note_retired(ending, running)
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
        """Whether each query has an ended attempt, a restored result or a reason to wait.

        The reasons are those of its operation: its hours, a pause, a spent budget. An
        operation whose skills are still to be discovered has no query yet, and is not ready
        before its first answer.
        """
        now = self._means.clock.now()
        waiting = {name for name, one in self._running.items() if one.poller.held_back(now)}
        statuses = list(self._means.snapshot)
        found = {status.key.operation for status in statuses} | waiting
        settled = all(one.settled or one.key.operation in waiting for one in statuses)
        return settled and self._running.keys() <= found

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
        self._stopped = True
        for running in self._running.values():
            running.poller.retire()
        loops = [running.task for running in self._running.values()]
        for task in (*loops, *self._retired):
            if task is not None:
                task.cancel()

    def _patience(self, running: _Running) -> float:
        sharing = max(1, len(running.budget.demands))
        return 60.0 + LONGEST_IDLE + sharing * (running.operation.timeout + 10.0)

    def _running_as(self, operation: Operation) -> _Running | None:
        """The loop that runs under this very configuration."""
        running = self._running.get(operation.name)
        return running if running is not None and running.operation == operation else None

    def _new_budgets(
        self, configuration: Configuration, named: Mapping[str, Identity]
    ) -> dict[str, Budget]:
        """One budget for each token; the one of before where nothing about it changed."""
        budgets: dict[tuple[int, ...], Budget] = {}
        for operation in configuration.operations:
            account, ceiling = named[operation.name].account, operation.daily_requests
            if account not in budgets:
                budget = self._budgets.get(account)
                limits = (ceiling, operation.timezone)
                if budget is None or (budget.ceiling, budget.zone) != limits:
                    budget = Budget(account, ceiling, operation.timezone)
                budgets[account] = budget
        return {name: budgets[identity.account] for name, identity in named.items()}

    def _prepare(
        self,
        operation: Operation,
        client: WolkvoxClient,
        budget: Budget,
        identity: Identity,
    ) -> _Running:
        means = self._means
        before = self._running.get(operation.name)
        same = before is not None and before.identity.id == identity.id
        telemetry = before.telemetry if before and same else self._telemetry(operation)
        requests = Requests(identity, client, means.state, means.gate, budget, means.clock)
        given = Dependencies(requests, means.rng, telemetry, self._health, self._grace)
        poller = Poller(operation, given)
        return _Running(operation, identity, budget, client, poller, telemetry)

    def _telemetry(self, operation: Operation) -> OperationTelemetry:
        means = self._means
        return OperationTelemetry(operation.name, means.page, means.snapshot)

    async def _end(self, running: _Running) -> None:
        """Wait for the last request of an operation that is gone, and drop its series."""
        if running.task is not None:
            await asyncio.wait({running.task})
        running.telemetry.end()

    def _start(self, running: _Running) -> None:
        name, identity = running.operation.name, running.identity
        before = self._running.get(name)
        if before is not None:
            self._retire(before)
        earlier = {
            task
            for task, other in self._retired.items()
            if other.operation.name == name or other.identity.id == identity.id
        }
        self._running[name] = running
        running.task = self._group.create_task(_run(running, earlier), name=f"poll {name}")

    def _retire(self, running: _Running) -> None:
        """Let a loop end with the request that may be under way."""
        running.poller.retire()
        running.budget.drop_demand(running.operation.name)
        if running.task is not None:
            self._note_retired(running.task, running)

    def _note_retired(self, task: asyncio.Task[None], running: _Running) -> None:
        self._retired[task] = running
        task.add_done_callback(lambda task: self._retired.pop(task, None))


async def _run(running: _Running, earlier: set[asyncio.Task[None]]) -> None:
    """Poll until retired, once the loops before, which may ask the same, have ended."""
    operation = running.operation
    if earlier:
        await asyncio.wait(earlier)
    running.telemetry.configure(
        operation_info(operation),
        reports_in_use(operation),
        query_renderer(operation),
        OpenHours(operation.poll_hours, operation.timezone),
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
    hours = OpenHours(operation.poll_hours, operation.timezone)
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
