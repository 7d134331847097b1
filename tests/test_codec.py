"""What is remembered of a query as JSON data: names that stay, damage, files of older releases.

`tests/data/state-0.1.0.db` was written by 0.1.0 (commit b70fbf3). Five operations ran in
virtual time from 2026-11-18 22:00 to 2026-11-19 09:01, `America/Bogota`, an answer taking
half a second. Token n is `fake-token-n`; m is the minute of the day asked for:

    token  operation  server  skills                 rows
    0      acme       0013    4173 Ventas            inbound m; chat-whatsapp m/2, without asa;
                                                     café 7 on the 18th; out_pre 4 from 8:56 on
    0      acme       0013    4190 Cobranza          inbound m
    1      globex     0020    discover: 5001, 5002   inbound 2 m
    2      initech    0031    all, 4300              inbound 3 m
    3      umbrella   0031    all                    inbound 4 m, PLEASE VALIDATE TOKEN from
                                                     8:00 on the 19th
    4      hooli      0031    4301                   inbound m, all answered; no rows from 8:56
                                                     on the 19th

`tests.virtual.row` gives the other figures: nine tenths answered (chat: two thirds), 40, 60 and
80 % within 10, 20 and 30 s, asa 12, ata 30. acme had `daily_requests: 1000`. Afterwards the
log was folded in (`journal_mode = DELETE`) and the file vacuumed.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from exporter.state.counters import (
    ChannelLedger,
    Counters,
    DayTotals,
    QueryLedger,
    exposed,
    known_channels,
)
from exporter.state.migrate import memory_1_to_2
from exporter.state.models import (
    MonthMemory,
    MonthTries,
    QueryMemory,
    Result,
    read_memory,
    write_memory,
)
from exporter.wolkvox.columns import ChannelFigures
from tests.statuses import CHAT, VOICE, status

DATA = Path(__file__).parent / "data"
FROZEN = DATA / "state-0.1.0.db"
DAY = date(2026, 11, 18)
LARGEST = 2**53

# The form -------------------------------------------------------------------------------

# As released exporters wrote it.
MEMORY: dict[str, Any] = json.loads((DATA / "memory.json").read_text("utf-8"))
(ROW,) = MEMORY["today"]["rows"]
FIGURES = (17, 34, 50, 66, 792.0, 1)
REMEMBERED = QueryMemory(
    last_success_at=1795096800.5,
    failures=2,
    today=Result(
        DAY,
        (ChannelFigures("inbound", 67, 66, 1, 0.25, 0.5, 0.75, 0.0149, 12.0, None),),
        1795096800.5,
    ),
    yesterday=Result(date(2026, 11, 17), (), 1795064400.5),
    doubted=True,
    closed=date(2026, 11, 17),
    ledger=QueryLedger(
        DAY,
        {
            "inbound": ChannelLedger(
                day=DAY,
                base=DayTotals(67, *FIGURES, None),
                counters=Counters(100, *FIGURES, 5.5),
                fresh=True,
                candidate=DayTotals(66, *FIGURES, None),
                held=1,
                unmoved=2,
            )
        },
    ),
    month=MonthMemory(
        Result(
            date(2026, 11, 17),
            (ChannelFigures("inbound", 67, 66, 1, 0.25, 0.5, 0.75, 0.0149, 12.0, None),),
            1795064700.5,
        )
    ),
    last_month=MonthMemory(
        tries=MonthTries(date(2026, 10, 1), DAY, 1795096500.5, 3, 2, "timeout")
    ),
    months_with_rows=(date(2026, 10, 1), date(2026, 11, 1)),
    closing_at=1795064400.5,
    since=date(2026, 11, 2),
    week={date(2026, 11, 11): {"inbound": 90}},
)


def read(data: object) -> QueryMemory:
    """Read this as it would stand in a file."""
    return read_memory(json.dumps(data))


def test_the_names_in_the_file_never_change() -> None:
    """They are those of released files: another name would lose what stands there."""
    assert json.loads(write_memory(REMEMBERED)) == MEMORY
    assert read(MEMORY) == REMEMBERED


def test_what_is_written_is_read_back_equal() -> None:
    """Names of channels may hold quotes, letters beyond ASCII and the replacement sign."""
    odd = replace(VOICE, channel='"\\\u00f1 \ufffd')
    for memory in (QueryMemory(), REMEMBERED, status(VOICE, CHAT).memory, status(odd).memory):
        assert read_memory(write_memory(memory)) == memory, memory


def test_unknown_fields_are_ignored_and_missing_ones_get_their_default() -> None:
    """A file may be older or newer than the exporter that reads it."""
    data = json.loads(json.dumps(MEMORY))
    channel = data["ledger"]["channels"]["inbound"]
    places = (data, data["today"], data["today"]["rows"][0], data["ledger"], channel,
              channel["base"], channel["counters"])  # fmt: skip
    for place in places:
        place["later"] = {"anything": [1]}
    assert read(data) == REMEMBERED
    for name in ("fresh", "candidate", "held", "unmoved"):
        del channel[name]
    del data["doubted"], data["yesterday"], data["today"]["rows"][0]["asa"]
    del channel["counters"]["abandon_wait_sum"], channel["base"]["abandoned"]
    found = read(data)
    assert not found.doubted
    assert found.yesterday is None
    assert found.today is not None
    assert found.today.rows[0].asa is None
    assert found.ledger is not None
    assert found.ledger.channels["inbound"] == ChannelLedger(
        DAY, DayTotals(67, *FIGURES[:-1], None, None), Counters(100, *FIGURES, 0.0)
    )
    assert read({}) == QueryMemory()


def test_whatever_could_have_been_written_is_read() -> None:
    """Clocks go wrong by years, counts reach 2**53, and 50 is 50.0 in JSON."""
    for day in ("2000-01-01", "2999-12-31"):
        assert read({"closed": day}).closed == date.fromisoformat(day)
    assert read({"failures": LARGEST}).failures == LARGEST
    assert read_memory(json.dumps(MEMORY).replace("792.0", "792")) == REMEMBERED


# Damage ---------------------------------------------------------------------------------

LEDGER, COUNTED = "ledger.channels", "ledger.channels.inbound"
DAMAGE: list[tuple[str, object, str]] = [
    ("today", 5, "^today: "),
    ("today.rows", {}, "^today.rows: "),
    ("today.rows", [ROW, ROW], "a channel stands twice"),
    ("today.rows", [{}], "^today.rows.0.channel: "),
    ("today.rows", [[*ROW.values()]], "^today.rows.0: "),
    *(
        ("today.rows", [ROW | {"channel": name}], "no name of a channel")
        for name in ("in\nbound", "", "x" * 129)
    ),
    ("today.rows", [ROW | {"channel": 5}], "^today.rows.0.channel: "),
    ("today.rows", [ROW | {"channel": "\ud800"}], "JSON"),
    ("today.rows", [ROW | {"inbound": 0.5}], "^today.rows.0.inbound: "),
    ("today.rows", [ROW | {"inbound": "67"}], "^today.rows.0.inbound: "),
    ("today.rows", [ROW | {"inbound": LARGEST + 1}], "out of range"),
    ("today.rows", [ROW | {"asa": -1.0}], "out of range"),
    ("today.rows", [ROW | {"asa": float("inf")}], "^today.rows.0.asa: "),
    ("today.rows", [ROW | {"service_level_10": float("nan")}], "service_level_10: "),
    ("today.at", 1e300, "^today.at: "),
    ("today.at", 10**400, "^today.at: "),
    ("today.day", "9999-12-31", "^today.day: "),
    *(("last_success_at", bad, "^last_success_at: ") for bad in ("now", float("nan"), -1.0)),
    *(("failures", bad, "^failures: ") for bad in (True, None, -1, float("inf"))),
    ("doubted", 1, "^doubted: "),
    *(
        ("closed", bad, "^closed: ")
        for bad in ("yesterday", 20261120, "1999-12-31", "3000-01-01", "0001-01-01")
    ),
    ("ledger.day", "2026-11-17", "a row after the day of the ledger"),
    ("ledger.day", None, "^ledger.day: "),
    (LEDGER, [], "^ledger.channels: "),
    *((LEDGER, {name: MEMORY["ledger"]["channels"]["inbound"]}, "no name of a channel")
      for name in ("", "x" * 129, "a\u2028b")),
    (COUNTED, {}, "^ledger.channels.inbound.day: "),
    (f"{COUNTED}.fresh", 1, "inbound.fresh: "),
    (f"{COUNTED}.held", -1, "inbound.held: "),
    (f"{COUNTED}.candidate", [], "inbound.candidate: "),
    (f"{COUNTED}.counters", None, "inbound.counters: "),
    *((f"{COUNTED}.counters.offered", bad, "offered: ") for bad in (None, 1.5, LARGEST + 1)),
    (f"{COUNTED}.counters.answer_wait_sum", float("nan"), "answer_wait_sum: "),
    (f"{COUNTED}.base.answer_wait_sum", -0.5, "answer_wait_sum: "),
    (f"{COUNTED}.base.within_20", None, "known only in part"),
    (f"{COUNTED}.base.within_20", 99, "not cumulative"),
    (f"{COUNTED}.candidate.within_10", 35, "not cumulative"),
    ("week", [], "^week: "),
    ("week", {"monday": {}}, "^week.monday"),
    ("week", {"2026-11-11": {"inbound": -1}}, "^week.2026-11-11.inbound: "),
]  # fmt: skip


def test_a_damaged_memory_is_refused() -> None:
    """Restored as it stands it would end a poll loop or a page later, start after start."""
    for path, value, message in DAMAGE:
        data = place = json.loads(json.dumps(MEMORY))
        *parents, last = path.split(".")
        for name in parents:
            place = place[name]
        place[last] = value
        with pytest.raises(ValueError, match=message):
            pytest.fail(f"{path}: {value!r} was read as {read(data)}")
    for text in ("null", "[]", '"memory"', "3", "{", "[" * 100_000):
        with pytest.raises(ValueError, match=r"object|JSON"):
            pytest.fail(f"{text[:9]} was read as {read_memory(text)}")


def test_buckets_are_shown_in_order_whatever_the_file_says() -> None:
    """Counted apart they need not be: a narrower one may be ahead of the wider one."""
    data = json.loads(json.dumps(MEMORY))
    channel = data["ledger"]["channels"]["inbound"]
    channel["counters"] |= {"within_10": 70, "within_20": 40, "within_30": 99}
    channel["fresh"] = False
    ledger = read(data).ledger
    assert ledger is not None
    shown = exposed(ledger.channels["inbound"])
    found = (shown.within_10, shown.within_20, shown.within_30, shown.answered)
    assert found == (40, 40, 66, 66)


# Files of older releases ----------------------------------------------------------------


def frozen() -> Iterator[tuple[str, str, QueryMemory]]:
    """Owner, skill and memory of each row of the file of 0.1.0."""
    with sqlite3.connect(f"file:{FROZEN}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT owner, skill_id, memory FROM memories").fetchall()
    connection.close()
    for owner, skill_id, text in rows:
        yield owner, skill_id, read_memory(memory_1_to_2(text))


def test_a_file_of_0_1_0_keeps_its_counters() -> None:
    """Each query goes on where it was: 120 minutes of the 18th, 540 of the 19th, less 1."""
    acme, globex, shared = (f"https://wv00{n}.wolkvox.com/api/v2/" for n in (13, 20, 31))
    offered = {
        (owner, skill_id, channel): exposed(kept).offered
        for owner, skill_id, memory in frozen()
        if memory.ledger is not None
        for channel, kept in memory.ledger.channels.items()
    }
    whole = 119 + 540
    assert offered == {
        (acme, "4173", "inbound"): whole,
        (acme, "4173", "chat-whatsapp"): 59 + 270,
        (acme, "4173", "café"): 0,
        (acme, "4173", "out_pre"): 0,  # it joined with the last answer
        (acme, "4190", "inbound"): whole,
        (globex, "5001", "inbound"): 2 * whole,
        (globex, "5002", "inbound"): 2 * whole,
        (f"{shared}#initech", "all", "inbound"): 3 * whole,
        (f"{shared}#initech", "4300", "inbound"): 3 * whole,
        (f"{shared}#umbrella", "all", "inbound"): 4 * (109 + 475),  # first asked at 22:10
        (shared, "4301", "inbound"): 119 + 535,
    }


def test_a_file_of_0_1_0_keeps_results_and_closed_days() -> None:
    """The rows that had no names are those of the answers."""
    found = {(owner, skill_id): memory for owner, skill_id, memory in frozen()}
    ventas = found["https://wv0013.wolkvox.com/api/v2/", "4173"]
    assert ventas.today is not None
    assert ventas.today.rows == (
        ChannelFigures("inbound", 540, 486, 54, 0.4, 0.6, 0.8, 0.1, 12.0, 30.0),
        ChannelFigures("chat-whatsapp", 270, 180, 90, 0.4, 0.6, 0.8, 0.3333, None, 30.0),
        ChannelFigures("out_pre", 4, 3, 1, 0.4, 0.6, 0.8, 0.25, 12.0, 30.0),
    )
    assert ventas.ledger is not None
    counters = Counters(659, 264, 395, 527, 593, 7116.0, 66, 1980.0)
    assert ventas.ledger.channels["inbound"].counters == counters
    assert ventas.yesterday is not None
    assert [row.inbound for row in ventas.yesterday.rows] == [1439, 719]
    known = known_channels(ventas.ledger, date(2026, 11, 19))
    assert [*known] == ["café", "chat-whatsapp", "inbound", "out_pre"]
    figures = [memory for (_, skill), memory in found.items() if not skill.startswith("#")]
    assert {memory.closed for memory in figures} == {DAY}
    assert found["https://wv0031.wolkvox.com/api/v2/", "4301"].doubted
    assert found["https://wv0031.wolkvox.com/api/v2/#umbrella", "all"].failures == 4
    assert found["https://wv0020.wolkvox.com/api/v2/", "#skills"] == QueryMemory(1795057200.5)


OLD_ROW = ["inbound", 67, 66, 1, 0.25, 0.5, 0.75, 0.0149, 12.0, None]


def test_rows_of_0_1_0_get_names() -> None:
    """Everything else had names already, and a migrated memory stays as it is."""
    old = json.loads(json.dumps(MEMORY))
    old["today"]["rows"] = [OLD_ROW]
    assert json.loads(memory_1_to_2(json.dumps(old))) == MEMORY
    assert json.loads(memory_1_to_2(json.dumps(MEMORY))) == MEMORY


def test_what_0_1_0_could_not_have_written_is_left_to_the_reader() -> None:
    """Any text may stand in a file; a row without all of its figures is none."""
    for rows in (5, [5], [None], [[1]], [OLD_ROW[:-1]], [[*OLD_ROW, 1]]):
        text = json.dumps({"today": {"rows": rows}})
        assert json.loads(memory_1_to_2(text)) == json.loads(text), rows
    for text in ("null", "[]", '"memory"', "{", '{"today": 5}', "[" * 100_000):
        assert memory_1_to_2(text) == text, text[:20]
