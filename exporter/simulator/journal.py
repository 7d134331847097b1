"""The witness's notebook: every request to the API, and how many were under way at once.

It judges nothing and never writes a token down, only the place of its operation.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime

_KEPT_REQUESTS = 10_000


@dataclass(slots=True)
class RequestRecord:
    """One request: times in epoch seconds, `end` and `status` None while it is under way.

    `token` is the place among the simulator's operations of the first that owns the token:
    -1 for a token nobody owns, None for no token.
    """

    start: float
    end: float | None
    operation: str
    path: str
    api: str | None
    skill_id: str | None
    date_ini: str | None
    date_end: str | None
    status: int | None
    token: int | None


class Journal:
    """The latest requests, oldest first, and what is in flight by token."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._records: deque[RequestRecord] = deque(maxlen=_KEPT_REQUESTS)
        self._by_token: Counter[int | None] = Counter()
        self._by_operation: Counter[str] = Counter()
        self._most: Counter[str] = Counter()

    @contextmanager
    def request(
        self, operation: str, path: str, query: Mapping[str, str], token: int | None
    ) -> Iterator[RequestRecord]:
        """Note a request from its arrival to the end of its answer."""
        record = RequestRecord(
            start=self._now().timestamp(),
            end=None,
            operation=operation,
            path=path,
            api=query.get("api"),
            skill_id=query.get("skill_id"),
            date_ini=query.get("date_ini"),
            date_end=query.get("date_end"),
            status=None,
            token=token,
        )
        self._records.append(record)
        self._by_token[token] += 1
        self._by_operation[operation] += 1
        self._most[operation] = max(self._most[operation], self._by_operation[operation])
        try:
            yield record
        finally:
            record.end = self._now().timestamp()
            self._by_token[token] -= 1
            self._by_operation[operation] -= 1

    def in_flight(self, token: int) -> int:
        """Return how many requests with a token are under way, the asking one included."""
        return self._by_token[token]

    def as_json(self) -> dict[str, object]:
        """Return everything noted, ready for JSON."""
        return {
            "requests": [asdict(record) for record in self._records],
            "max_in_flight": dict(self._most),
        }
