"""Every expected failure of the exporter, in one tree; what is not here is a defect."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from exporter.messages import Worded


class Reason(StrEnum):
    """Why a request failed: the closed set of values of the label `reason`."""

    CONNECT = "connect"
    INTERRUPTED = "interrupted"
    TIMEOUT = "timeout"
    HTTP = "http"
    REDIRECT = "redirect"
    BAD_REQUEST = "bad_request"
    UNAUTHORIZED = "unauthorized"
    QUOTA = "quota"
    CONCURRENCY = "concurrency"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    INTERNAL = "internal"


class ExporterError(Exception):
    """The root: whoever catches it gets a sentence for a person, never a traceback."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in the configuration: where, and why.

    `path` is a place in its file or operation (`skills.0.name`), a flag or a variable; `line`
    counts from 1; `operation` is `operation acme` or, without a usable name, `operation #2`.
    """

    path: str
    reason: str
    file: str = ""
    line: int = 0
    operation: str = ""

    def __str__(self) -> str:
        file = f"{self.file}:{self.line}" if self.line else self.file
        inside = ", ".join(filter(None, (self.operation, self.path)))
        return ": ".join(filter(None, (file, inside, self.reason)))


class ConfigError(ExporterError):
    """The configuration or command line is wrong, in all these ways; exit code 2."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)

    @classmethod
    def at(cls, path: str, reason: str) -> Self:
        """One problem alone, mostly of a flag."""
        return cls([Problem(path, reason)])


class StartError(Worded, ExporterError):
    """The machine refuses the exporter a port, a state directory or a file; exit code 1."""

    section = "start."


class StorageError(ExporterError):
    """The state could not be written or read; the message names the file."""


class WolkvoxError(ExporterError):
    """One request failed for exactly one reason; this never leaves a poll loop.

    `reached` is False only where no connection was ever made, so that the server cannot
    have seen (nor counted) the request. `detail` is for the log: scrubbed of the token.
    `kind` is the key of its text and advice: the reason, or what is known more closely.
    """

    def __init__(
        self, reason: Reason, detail: str, *, reached: bool = True, kind: str | None = None
    ) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.kind = kind or str(reason)
        self.detail = detail
        self.reached = reached
