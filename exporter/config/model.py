"""The meaning of the configuration: frozen values for all the rest; reads nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

from exporter.config.tokens import TokenSource

DEFAULT_TIMEZONE = "America/Bogota"
DEFAULT_INTERVAL = 300.0
DEFAULT_TIMEOUT = 60.0
DEFAULT_MIN_INTERACTIONS = 20
# Licences come with 1,000 calls a day each, and nobody has less than one licence.
UNLICENSED_DAILY_REQUESTS = 1000


@dataclass(frozen=True, slots=True)
class Skill:
    """A queue to poll: `id` is digits or `all`; `interval` in seconds, else None."""

    id: str
    name: str
    interval: float | None = None


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """At least the ratio `target` (0-1) answered within 10, 20 or 30 seconds."""

    within: int
    target: float


@dataclass(frozen=True, slots=True)
class SlaEntry:
    """Targets as one entry states them; None means that the entry says nothing of it.

    `channels` and `skills` None: all of them. A later entry overrides an earlier one,
    indicator by indicator; where no entry says it, min_interactions is 20. Ratios are 0-1,
    times are seconds.
    """

    channels: tuple[str, ...] | None = None
    skills: tuple[str, ...] | None = None
    service_level: ServiceLevel | None = None
    abandonment_max: float | None = None
    asa_max: float | None = None
    min_interactions: int | None = None
    hours: str | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One Wolkvox operation: one server and one token; times are seconds.

    `base_url` ends with a slash; `server` is its host as shown to people; `proxy` may hold
    a password and is shown by `proxy_shown` only.
    """

    name: str
    base_url: str
    server: str
    loopback: bool
    token: TokenSource
    timezone: ZoneInfo
    interval: float = DEFAULT_INTERVAL
    timeout: float = DEFAULT_TIMEOUT
    stale_after: float = 3 * DEFAULT_INTERVAL
    daily_requests: int | None = None
    poll_hours: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    ca_file: Path | None = None
    proxy: str | None = field(default=None, repr=False)
    shard: int | None = None
    token_info: bool = False
    discover: bool = False
    skills: tuple[Skill, ...] = ()
    sla: tuple[SlaEntry, ...] = ()

    @property
    def proxy_shown(self) -> str | None:
        """The proxy without its user and password."""
        return None if self.proxy is None else re.sub(r"//.*@", "//", self.proxy)


@dataclass(frozen=True, slots=True)
class Configuration:
    """All operations, what to warn about, and who shares a token.

    `shared_tokens`: names of operations that had the same token when it was loaded, one
    tuple for each token that more than one operation uses.
    """

    operations: tuple[Operation, ...]
    warnings: tuple[str, ...] = ()
    shared_tokens: tuple[tuple[str, ...], ...] = ()
