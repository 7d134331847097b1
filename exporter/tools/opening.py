"""The desks of a configuration on the exporter's state directory; asks nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from exporter.config import Configuration, Operation, Skill
from exporter.config.hours import OpenHours
from exporter.errors import StartError
from exporter.polling.limits import Budget, Demand
from exporter.state.identity import claims_of
from exporter.state.storage import State, Storage
from exporter.tools.asking import Desk, Means


@contextmanager
def desks(configuration: Configuration, means: Means) -> Iterator[Mapping[str, Desk]]:
    """A desk for each operation, by name, on the state directory; raises StartError."""
    check_owner(means.directory)
    storage = Storage.open(means.directory, means.clock.epoch)
    try:
        claims = claims_of(configuration)
        (named,) = storage.transact([lambda db: db.claim(claims)])
        budgets: dict[tuple[int, ...], Budget] = {}
        for operation in configuration.operations:
            account = named[operation.name].account
            budget = Budget(account, operation.daily_requests, operation.timezone)
            budgets.setdefault(account, budget)
        state = State(storage)
        yield {
            operation.name: Desk(operation, identity, budgets[identity.account], state, means)
            for operation in configuration.operations
            for identity in [named[operation.name]]
        }
    finally:
        storage.close()


def check_owner(directory: Path) -> None:
    """Refuse to work as root on another user's state: files of root would lock it out."""
    try:
        owner = directory.stat().st_uid
    except OSError:
        return
    if os.geteuid() == 0 and owner != 0:
        raise StartError(
            f"the state directory {directory} belongs to the user with the number {owner}: "
            f"run this as that user (sudo -u '#{owner}' …)"
        )


def demand(operation: Operation, skills: tuple[Skill, ...]) -> Demand:
    """What the running exporter asks of the day's budget for an operation."""
    intervals = tuple(skill.interval or operation.interval for skill in skills)
    hours = OpenHours(operation.poll_hours, operation.timezone)
    return Demand(intervals, 24 * operation.token_info + operation.discover, hours)
