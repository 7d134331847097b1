"""One configuration made to run: a poll loop, a client and telemetry for each operation.

It also carries a changed configuration over without a request lost or repeated. It opens no
socket and reads no file: service.py does.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from exporter.config import Configuration, Operation
from exporter.metrics.exposition import Exposition
from exporter.metrics.query import QueryRenderer
from exporter.metrics.sla import Targets
from exporter.metrics.telemetry import ExporterTelemetry, OperationTelemetry
from exporter.polling.attempt import Attempts
from exporter.polling.budget import Budget
from exporter.polling.observer import SKILL_11, SKILLS, TOKEN_INFO
from exporter.polling.poller import LONGEST_IDLE, Poller, Surroundings
from exporter.state.journal import State
from exporter.state.locks import TokenGate
from exporter.state.snapshot import Snapshot
from exporter.times import Clock
from exporter.wolkvox.client import WolkvoxClient


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


def connect(operation: Operation, clock: Clock) -> WolkvoxClient:
    """The client of one operation; raises ConfigError for a proxy that cannot be used."""
    return WolkvoxClient(
        operation.base_url,
        timeout=operation.timeout,
        ca_file=operation.ca_file,
        proxy=operation.proxy,
        trust_env=not operation.loopback,
        monotonic=clock.monotonic,
    )


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
        self._running: dict[str, _Running] = {}
        self._budgets: dict[tuple[str, ...], Budget] = {}

    def apply(self, configuration: Configuration) -> None:
        """Run this configuration: whole, or not at all (ConfigError: the old one goes on).

        Operations that did not change keep their loop and with it slots and results. A
        changed one gets a new loop, which starts when the old one has ended its request and
        takes everything up from the state.
        """
        budgets = self._new_budgets(configuration)
        members = operation_members(configuration)
        starting = [
            self._prepare(operation, budgets[operation.name], members[operation.name])
            for operation in configuration.operations
            if self._changed(operation, budgets[operation.name])
        ]
        names = {operation.name for operation in configuration.operations}
        for gone in [name for name in self._running if name not in names]:
            running = self._running.pop(gone)
            running.budget.drop_demand(gone)
            running.poller.retire()
            self._group.create_task(_end(running), name=f"end {gone}")
        for running in starting:
            self._start(running)
        self._budgets = {budget.members: budget for budget in budgets.values()}

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

    def stop(self) -> None:
        """End every loop at once; a request under way is dropped, its attempt is on disk."""
        for running in self._running.values():
            if running.task is not None:
                running.poller.retire()
                running.task.cancel()

    def _patience(self, running: _Running) -> float:
        sharing = max(1, len(running.budget.demands))
        return 60.0 + LONGEST_IDLE + sharing * (running.operation.timeout + 10.0)

    def _changed(self, operation: Operation, budget: Budget) -> bool:
        running = self._running.get(operation.name)
        return running is None or running.operation != operation or running.budget is not budget

    def _new_budgets(self, configuration: Configuration) -> dict[str, Budget]:
        found = {}
        for members, operations in _accounts(configuration):
            first = operations[0]
            budget = self._budgets.get(members)
            if budget is None or budget.ceiling != first.daily_requests:
                budget = Budget(members, first.daily_requests, first.timezone)
            found.update({operation.name: budget for operation in operations})
        return found

    def _prepare(self, operation: Operation, budget: Budget, member: str) -> _Running:
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
            attempts, means.state, budget, means.clock, means.rng, telemetry, member
        )
        return _Running(operation, budget, client, Poller(operation, around), telemetry)

    def _telemetry(self, operation: Operation) -> OperationTelemetry:
        means = self._means
        return OperationTelemetry(operation.name, means.page, means.snapshot, means.telemetry)

    def _start(self, running: _Running) -> None:
        name = running.operation.name
        before = self._running.get(name)
        if before is not None:
            before.poller.retire()
            before.budget.drop_demand(name)
        self._running[name] = running
        running.task = self._group.create_task(_run(running, before), name=f"poll {name}")


async def _run(running: _Running, before: _Running | None) -> None:
    """Poll until retired, after the loop before has ended."""
    operation = running.operation
    if before is not None and before.task is not None:
        await asyncio.wait({before.task})
        for key in running.telemetry.queries():
            if not operation.discover and key.skill_id not in _skill_ids(operation):
                running.telemetry.forget(key)
    running.telemetry.configure(
        operation_info(operation), reports_in_use(operation), query_renderer(operation)
    )
    async with running.client:
        await running.poller.run()


async def _end(running: _Running) -> None:
    """Wait for the last request of an operation that is gone, and drop its series."""
    if running.task is not None:
        await asyncio.wait({running.task})
    running.telemetry.end()


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
    single = operation.discover or any(skill.id != "all" for skill in operation.skills)
    targets = Targets(operation.sla, operation.timezone, single_skills=single)
    return QueryRenderer(operation.timezone, targets)


def operation_members(configuration: Configuration) -> dict[str, str]:
    """A name for each operation in the state file: its base URL, so that renaming keeps it.

    Where several operations have one base URL, their names tell them apart.
    """
    urls = Counter(operation.base_url for operation in configuration.operations)
    return {
        operation.name: operation.base_url
        if urls[operation.base_url] == 1
        else f"{operation.base_url}#{operation.name}"
        for operation in configuration.operations
    }


def _accounts(
    configuration: Configuration,
) -> Iterator[tuple[tuple[str, ...], list[Operation]]]:
    """Operations that share a token, with their names in the state file."""
    by_name = {operation.name: operation for operation in configuration.operations}
    members = operation_members(configuration)
    shared = {name for group in configuration.shared_tokens for name in group}
    alone = [(name,) for name in by_name if name not in shared]
    for group in (*configuration.shared_tokens, *alone):
        yield (
            tuple(sorted(members[name] for name in group)),
            [by_name[name] for name in group],
        )


def _skill_ids(operation: Operation) -> set[str]:
    return {skill.id for skill in operation.skills}
