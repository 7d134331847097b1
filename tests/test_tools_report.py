"""The report of the windows that are over: from a state file alone, however it was left."""

from __future__ import annotations

import csv
import io
import os
import re
import socket
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from exporter.runtime import Clock
from exporter.state.storage import FILE_NAME
from exporter.wolkvox.columns import COLUMNS
from tests.e2e_support import Ended, Run
from tests.polling_support import Stage, moment, operation
from tests.virtual import Seen, no_rows, ok, refusal, row, run_virtual

pytestmark = pytest.mark.usefixtures("rare_wakeups")

SLA = (
    "[{channels: [inbound], service_level: {within: 20s, target: 70%}},"
    " {skills: [4180], abandonment: {max: 5%}, asa: {max: 30s}},"
    " {skills: [all], service_level: {within: 20s, target: 69.96%}}]"
)
ACME = operation(
    "[{id: 4173, name: Ventas}, {id: 4180, name: Cobranza}, {id: all, name: Todas}]",
    month="true",
    interval="1h",
    sla=SLA,
)
VOICE = row(inbound=100, answered=90)
CHAT = row("chat-web", inbound=300, answered=240) | {
    "service_level_10seg": "50.00 %",
    "service_level_20seg": "70.00 %",
    "service_level_30seg": "90.00 %",
    "asa": "40",
    "ata": "20",
}
DEBT = row(inbound=50, answered=44) | {
    "service_level_20seg": "90.00 %",
    "asa": "31",
    "ata": "",
}
WHOLE = row(inbound=1450, answered=1300) | {"service_level_20seg": "69.95 %"}


def answer(seen: Seen) -> httpx.Response:
    """The same rows for each window; of Cobranza this month is refused."""
    start, end = (text[4:8] for text in seen.window)
    if seen.skill == "4180" and (start, end) == ("1101", "1117"):
        return refusal("CLOSED")
    return ok(*{"4173": (VOICE, CHAT), "4180": (DEBT,), "all": (WHOLE,)}[seen.skill])
