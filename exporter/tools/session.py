"""Session of a tool: the exporter's clock, connections and state; verdicts on its requests."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import click

from exporter.config import Configuration, Operation, Skill
from exporter.config.hours import OpenHours
from exporter.config.plan import other_calls
from exporter.errors import Reason, StartError, WolkvoxError
from exporter.logs import SECRETS
from exporter.messages import Words
from exporter.operations import connect
from exporter.polling.limits import PAUSING, Budget, Demand
from exporter.runtime import system_clock
from exporter.state.identity import claims_of
from exporter.state.locks import DirectoryLock
from exporter.state.storage import State, Storage
from exporter.tools.asking import Desk, Held, Means
from exporter.wolkvox.text import one_line


def system_means(directory: Path) -> Means:
    """The machine's clock and connections, on a state directory."""
    # A tool reports on its requests itself, not through the log.
    logging.getLogger("exporter").setLevel(logging.ERROR)
    return Means(system_clock(), connect, directory, partial(DirectoryLock.is_held, directory))


@contextmanager
def desks(configuration: Configuration, means: Means) -> Iterator[Mapping[str, Desk]]:
    """A desk for each operation, by name, on the state directory; raises StartError."""
    check_owner(means.directory)
    storage = Storage.open(means.directory, means.clock.epoch)
    try:
        claims = claims_of(configuration)
        (identities,) = storage.transact([lambda db: db.claim(claims)])
        state = State(storage)
        budgets: dict[tuple[int, ...], Budget] = {}
        opened = {}
        for operation in configuration.operations:
            identity = identities[operation.name]
            budget = budgets.setdefault(
                identity.account,
                Budget(identity.account, operation.daily_requests, operation.timezone),
            )
            opened[operation.name] = Desk(operation, identity, budget, state, means)
        yield opened
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
    """The requests that the running exporter makes for an operation on a full day."""
    intervals = tuple(skill.interval or operation.interval for skill in skills)
    hours = OpenHours(operation.poll_hours, operation.timezone)
    return Demand(intervals, other_calls(operation), hours)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a query stands: `key` is a key below `verdict` in messages.toml.

    `unreadable` counts cells. Times are seconds: `ago` since the last request, `wait` until
    the next one may leave.
    """

    key: str
    good: bool = False
    reason: Reason | None = None
    detail: str = ""
    unreadable: int = 0
    ago: float | None = None
    wait: float | None = None

    @classmethod
    def of(cls, why: Held | WolkvoxError, now: float) -> Self:
        """The verdict on a request that was held back, or failed; `now` in epoch seconds."""
        if isinstance(why, WolkvoxError):
            return cls(why.kind, reason=why.reason, detail=why.detail)
        key, reason = str(why.why), None
        if key in PAUSING:
            key, reason = f"held.{key}", Reason(key)
        ago = None if why.last_at is None else max(0.0, now - why.last_at)
        return cls(key, reason=reason, ago=ago, wait=why.wait)

    def texts(self, words: Words) -> tuple[str, str]:
        """The message, and the advice, which may be empty."""
        values = {
            "count": self.unreadable,
            "ago": words.span(self.ago or 0.0),
            "wait": words.span(self.wait or 0.0),
            "reason": self.reason and words.text(f"verdict.{self.reason}"),
        }
        return words.text(f"verdict.{self.key}", **values), words.advice(self.key, **values)

    def sentence(self, words: Words) -> str:
        """The message, the advice, and what the server or the machine answered."""
        parts = [*self.texts(words)]
        if self.detail and self.key != "after":
            parts.append(f"({shown(self.detail, 300)})")
        return ". ".join(part.removesuffix(".") for part in parts if part)


def shown(text: str, limit: int) -> str:
    """Foreign text on one line, fit for a terminal, without any token."""
    return one_line(SECRETS.scrub(text), limit)


def complain(desk: Desk, why: Held | WolkvoxError, words: Words, now: float) -> None:
    """Write to stderr why there is no answer, and what to do."""
    sentence = Verdict.of(why, now).sentence(words)
    click.echo(f"{desk.operation.name}: {sentence}", err=True)
