"""Fuzzed: what the state file holds of one query, read at a start as the exporter reads it.

An input is the text of a row. Either it counts as nothing, or it is a memory with which
everything works: it is saved, shown, and goes on with the next answer.
"""

from __future__ import annotations

import contextlib
import json
import logging
from datetime import UTC, date, datetime
from typing import Final

from exporter.errors import Reason
from exporter.metrics.query import QueryRenderer
from exporter.polling.roster import remembered_skills
from exporter.polling.schedule import Pause, next_pause
from exporter.state.codec import memory_to_json
from exporter.state.counters import exposed
from exporter.state.models import (
    QueryKey,
    QueryMemory,
    QueryStatus,
    apply_report,
    limit_channels,
)
from exporter.state.storage import Storage
from exporter.wolkvox.report import SkillReport
from exporter.wolkvox.windows import whole_day
from proof.fuzz_config import scratch
from tests.state_support import open_state
from tests.status_page_support import BOGOTA, html, targets
from tests.statuses import CHAT, VOICE

ROW: Final = 1
SKILL: Final = "4173"
_DAY = date(2026, 11, 18)
_NOON = datetime(2026, 11, 18, 17, tzinfo=UTC).timestamp()
_RENDERER = QueryRenderer(BOGOTA, targets())
_made: list[Storage] = []


def storage() -> Storage:
    """One state file for the whole process."""
    if not _made:
        _made.append(open_state(scratch("state")))
        _made[0].transact([lambda it: it.save_memory(ROW, SKILL, QueryMemory())])
        _made[0].save_fact(ROW, "pause", {})
    return _made[0]


def one(data: bytes) -> None:
    """Put a row into the file and read it back as a start does; what is refused is not said."""
    log = logging.getLogger("exporter.state.storage")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        _read_back(data)
    finally:
        log.setLevel(level)


def _read_back(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    file = storage()
    file._connection.execute("UPDATE memories SET memory = ?", (text,))
    file._connection.execute("UPDATE facts SET fact = ?", (text,))
    _check_small(file.load_fact(ROW, "pause"))
    memory = file.transact([lambda it: it.memory(ROW, SKILL)])[0]
    if memory is None:
        return
    file.transact([lambda it: it.save_memory(ROW, SKILL, memory)])
    assert file.memory(ROW, SKILL) == memory, "saved and read, it is another memory"
    saved = json.dumps(memory_to_json(memory), allow_nan=False)
    assert saved
    _show(memory)
    report = SkillReport((VOICE, CHAT), (), 0)
    after = apply_report(memory, whole_day(_DAY), limit_channels(report, memory.ledger), _NOON)
    _show(after)
    for channel in after.ledger.channels.values() if after.ledger else ():
        shown = exposed(channel)
        assert shown.within_10 <= shown.within_20 <= shown.within_30 <= shown.answered


def _check_small(data: object) -> None:
    """The same text as a pause, and as the skills that were discovered."""
    pause = Pause.from_json(data)
    if pause is not None:
        pause.over(_DAY, "digest")
        assert 0 <= pause.wait(_NOON) <= 3600
        for reason in (Reason.QUOTA, Reason.UNAUTHORIZED):
            later = next_pause(pause, reason, _NOON, _DAY, 300.0, None)
            assert 300 <= later.wait(_NOON) <= 3600
    for skill in remembered_skills(data):
        assert skill.id
        assert skill.name.isprintable()


def _show(memory: QueryMemory) -> None:
    live = None if memory.last_success_at is None else memory.last_success_at + 900.0
    status = QueryStatus(QueryKey("acme", SKILL), "Ventas", memory, live_until=live)
    with contextlib.suppress(StopIteration):
        for _, shown in _RENDERER.scopes(status):
            assert all(line.endswith(b"\n") for line in shown.lines.values())
    assert html(status)
