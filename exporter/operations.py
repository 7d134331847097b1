"""The running operations: a poll loop, a client and telemetry for each; what a reload changes.

A changed configuration is taken over without a request lost or repeated.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from exporter.config import Configuration, Operation
from exporter.errors import ConfigError
from exporter.metrics.operation import OperationTelemetry
from exporter.metrics.page import MetricsPage
from exporter.metrics.sla import Targets
from exporter.polling.limits import RESTART_GRACE, Budget
from exporter.polling.poll import Poller
from exporter.polling.request import Requests
from exporter.polling.status import StorageHealth
from exporter.runtime import Clock
from exporter.state.identity import Identity, claims_of
from exporter.state.locks import TokenGate
from exporter.state.models import QueryKey, QueryStatus
from exporter.state.storage import State
from exporter.web.status import OperationView
from exporter.wolkvox.client import WolkvoxClient
from exporter.wolkvox.transport import connector


def connect(operation: Operation, clock: Clock) -> WolkvoxClient:
    """The client of one operation; raises ConfigError for a proxy that cannot be used."""
    url, timeout, ca_file = operation.base_url, operation.timeout, operation.ca_file
    proxy = operation.proxy.get_secret_value() if operation.proxy else None
    try:
        made = connector(url, ca_file=ca_file, proxy=proxy, trust_env=not operation.loopback)
        return WolkvoxClient(url, made, timeout=timeout, monotonic=clock.monotonic)
    except ConfigError as error:
        name = f"operation {operation.name}"
        named = [replace(problem, operation=name) for problem in error.problems]
        raise ConfigError(named) from None


@dataclass(slots=True)
class _Running:
    """One operation that is polled; `task` is its loop."""

    poller: Poller
    telemetry: OperationTelemetry
    view: OperationView
    task: asyncio.Task[None] | None = None

    async def end(self) -> None:
        """Wait for the last request of an operation that is gone, and drop its series."""
        if self.task is not None:
            await asyncio.wait({self.task})
        self.telemetry.end()


class Operations:
    """The operations being polled, by name; `group` holds their loops beside the server's."""

    def __init__(
        self,
        group: asyncio.TaskGroup,
        *,
        clock: Clock,
        rng: random.Random,
        state: State,
        gate: TokenGate,
        page: MetricsPage,
        storage_writable: Callable[[bool], None],
        connect: Callable[[Operation, Clock], WolkvoxClient] = connect,
    ) -> None:
        self._group, self._clock, self._rng = group, clock, rng
        self._state, self._gate, self._page = state, gate, page
        self._connect = connect
        self._health = StorageHealth(storage_writable)
        self._grace = RESTART_GRACE
        self._running: dict[str, _Running] = {}
        self._retired: dict[asyncio.Task[None], _Running] = {}
        self._stopped = False
        self.configuration = Configuration(())
        self.statuses: dict[QueryKey, QueryStatus] = {}

    async def apply(self, configuration: Configuration) -> None:
        """Run this configuration: whole, or not at all.

        Raises ConfigError or StorageError, and then the old one goes on. Operations that did
        not change keep their loop and with it slots and results. A changed one gets a new
        loop, which starts when the old one has ended its request and takes everything up
        from the state. One call at a time.
        """
        operations = configuration.operations
        same = {key for key, one in self._running.items() if one.poller.operation in operations}
        changed = [one for one in operations if one.name not in same]
        clients = {one.name: self._connect(one, self._clock) for one in changed}
        claims = claims_of(configuration)
        identities = await self._state.write(lambda storage: storage.claim(claims))
        if self._stopped:
            return
        budgets = self._budgets(operations, identities)
        starting = []
        for operation in operations:
            name, identity = operation.name, identities[operation.name]
            budget, running = budgets[identity.account], self._running.get(name)
            if running is not None and name in same:
                requests = running.poller.requests
                if requests.identity == identity and requests.budget is budget:
                    continue
            client = clients.get(name) or self._connect(operation, self._clock)
            state, gate, clock = self._state, self._gate, self._clock
            requests = Requests(identity, client, state, gate, budget, clock)
            starting.append(self._prepare(operation, requests))
        for name, running in [*self._running.items()]:
            identity = running.poller.requests.identity
            if name not in identities or identities[name].id != identity.id:
                del self._running[name]
                end = self._group.create_task(running.end(), name=f"end {name}")
                self._retire(running, end)
        for running in starting:
            self._start(running)
        self._grace = 0.0  # from now on it was this process that wrote when it asked
        self.configuration = configuration

    def _budgets(
        self, operations: Sequence[Operation], identities: Mapping[str, Identity]
    ) -> dict[tuple[int, ...], Budget]:
        """One budget for each token; the one of before where nothing about it changed."""
        running = [one.poller.requests.budget for one in self._running.values()]
        before = {budget.account: budget for budget in running}
        budgets: dict[tuple[int, ...], Budget] = {}
        for operation in operations:
            account = identities[operation.name].account
            budget = Budget(account, operation.daily_requests, operation.timezone)
            old = before.get(account, budget)
            same = (old.ceiling, old.zone) == (budget.ceiling, budget.zone)
            budgets.setdefault(account, old if same else budget)
        return budgets

    def _prepare(self, operation: Operation, requests: Requests) -> _Running:
        before, row = self._running.get(operation.name), requests.identity.id
        if before is not None and before.poller.requests.identity.id == row:
            telemetry = before.telemetry
        else:
            telemetry = OperationTelemetry(operation.name, self._page, self.statuses)
        health, rng, grace = self._health, self._rng, self._grace
        poller = Poller(operation, requests, telemetry, health, rng=rng, grace=grace)
        targets = Targets(operation)
        view = OperationView(operation, operation.server, targets, poller.standing)
        return _Running(poller, telemetry, view)

    def _start(self, running: _Running) -> None:
        name, row = running.poller.operation.name, running.poller.requests.identity.id
        if (before := self._running.get(name)) is not None:
            self._retire(before)
        earlier = {
            task
            for task, other in self._retired.items()
            if other.poller.operation.name == name or other.poller.requests.identity.id == row
        }
        self._running[name] = running
        view, configure = running.view, running.telemetry.configure
        loop = running.poller.run(earlier, partial(configure, view.operation, view.targets))
        running.task = self._group.create_task(loop, name=f"poll {name}")

    def _retire(self, running: _Running, ending: asyncio.Task[None] | None = None) -> None:
        """Let a loop end with the request that may be under way."""
        running.poller.retire()
        for task in filter(None, (running.task, ending)):
            self._retired[task] = running
            task.add_done_callback(lambda task: self._retired.pop(task, None))

    def stop(self) -> None:
        """End every loop at once; a request under way is dropped, its attempt is on disk."""
        self._stopped = True
        for running in self._running.values():
            running.poller.retire()
        loops = [running.task for running in self._running.values()]
        for task in filter(None, (*loops, *self._retired)):
            task.cancel()

    def healthy(self) -> bool:
        """Whether every loop moves."""
        return all(running.poller.alive() for running in self._running.values())

    def ready(self) -> bool:
        """Whether each query has an ended attempt, a restored result or a reason to wait.

        The reasons are those of its operation: its hours, a pause, a spent budget. An
        operation whose skills are still to be discovered has no query yet, and is not ready
        before its first answer.
        """
        now, statuses = self._clock.now(), self.statuses.values()
        waiting = {name for name, one in self._running.items() if one.poller.held_back(now)}
        found = {status.key.operation for status in statuses} | waiting
        settled = all(one.settled or one.key.operation in waiting for one in statuses)
        return settled and self._running.keys() <= found

    async def restored(self) -> None:
        """Wait until every loop has taken up what the process before left."""
        waiting = [running.poller.restored.wait() for running in self._running.values()]
        await asyncio.gather(*waiting)

    async def resume(self) -> None:
        """End every pause."""
        for running in [*self._running.values()]:
            await running.poller.resume()

    def overview(self) -> tuple[OperationView, ...]:
        """Each operation as its loop stands at this moment, for the status page."""
        running = self._running.values()
        return tuple(replace(one.view, status=one.poller.standing) for one in running)
