"""When a query may be asked again; pure arithmetic: no clock, no sleep, no randomness."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Self

from exporter.errors import Reason

SOONEST_RETRY = 5.0
HOUR = 3600.0
CLOSING_TRIES = 3
RESTART_GRACE = 1.0


def wait_after_restart(
    last_attempt_at: float | None, now: float, interval: float, grace: float = 0.0
) -> float:
    """Seconds until the slot of a query whose last attempt stands in the state file.

    A query without a recorded attempt is due at once; a recorded time in the future (the
    clock was set back) delays by one interval at most. A request leaves a little after the
    time that is written, once that is on the disk: `grace` makes up for what a process that
    is gone took for it.
    """
    if last_attempt_at is None:
        return 0.0
    return min(interval, max(0.0, last_attempt_at + interval + grace - now))


def started_before(last_attempt_at: float | None, now: float, monotonic: float) -> float | None:
    """The monotonic second at which an attempt of an earlier process started.

    A recorded time in the future counts as just now.
    """
    return None if last_attempt_at is None else monotonic - max(0.0, now - last_attempt_at)


def early_retry(failures: int, interval: float, jitter: float) -> float:
    """Seconds until a connection that was never made may be tried again.

    Doubles from min(5 s, interval) up to the interval; `jitter` (0 to 1) adds up to half,
    so that exporters that lost the same line do not come back in step.
    """
    first = min(SOONEST_RETRY, interval)
    doubled = first * 2.0 ** min(failures - 1, 30)
    return float(min(interval, doubled * (1.0 + 0.5 * jitter)))


def token_backoff(failures: int, interval: float) -> float:
    """Seconds an operation waits after its token was refused: from the interval to 1 h."""
    return float(min(max(HOUR, interval), interval * 2.0 ** min(failures - 1, 30)))


def stale_after_in_force(stale_after: float, interval: float) -> float:
    """Age in seconds at which values expire: never under three intervals in force."""
    return max(stale_after, 3.0 * interval)


def day_to_close(
    today: date,
    last_attempt: date | None,
    closed: date | None,
    tried: date | None,
    tries: int,
) -> date | None:
    """The finished day that the next request must ask for as a whole, if there is one.

    `last_attempt` is the local day of the query's last attempt: without one there is
    nothing to close. After several midnights only yesterday is closed. After three tries
    the new day goes first.
    """
    yesterday = today - timedelta(days=1)
    if last_attempt is None or (last_attempt > yesterday and tried != yesterday):
        return None
    if closed is not None and closed >= yesterday:
        return None
    if tried == yesterday and tries >= CLOSING_TRIES:
        return None
    return yesterday


@dataclass(frozen=True, slots=True)
class Pause:
    """An operation holds still: why, since how many refusals, and until when.

    `next_at` is the epoch time of the next attempt; `day` the local day whose quota is
    used up; `digest` the token that was refused (its digest; None: it could not be read).
    """

    reason: Reason
    refusals: int
    next_at: float
    day: date
    digest: str | None

    def over(self, today: date, digest: str | None) -> bool:
        """Whether the reason is gone: a new day for the quota, another token otherwise."""
        if self.reason is Reason.QUOTA:
            return today != self.day
        return digest is not None and digest != self.digest

    def wait(self, now: float) -> float:
        """Seconds until the next attempt, an hour at most whatever the clock did."""
        return min(HOUR, max(0.0, self.next_at - now))

    def to_json(self) -> dict[str, Any]:
        """The pause as the state file keeps it."""
        return {
            "reason": str(self.reason),
            "refusals": self.refusals,
            "next_at": self.next_at,
            "day": self.day.isoformat(),
            "digest": self.digest,
        }

    @classmethod
    def from_json(cls, data: Any) -> Self | None:
        """The reverse of `to_json`; None for anything that is no pause."""
        try:
            return cls(
                Reason(data["reason"]),
                max(1, int(data["refusals"])),
                float(data["next_at"]),
                date.fromisoformat(data["day"]),
                data["digest"],
            )
        except (KeyError, TypeError, ValueError, OverflowError):
            return None


def next_pause(
    before: Pause | None,
    reason: Reason,
    now: float,
    today: date,
    interval: float,
    digest: str | None,
) -> Pause:
    """The pause after a refusal: one attempt an hour for the quota, doubling for a token."""
    again = before is not None and before.reason is reason
    refusals = before.refusals + 1 if before is not None and again else 1
    wait = HOUR if reason is Reason.QUOTA else token_backoff(refusals, interval)
    return Pause(reason, refusals, now + wait, today, digest)
