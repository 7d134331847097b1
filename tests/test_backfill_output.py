"""The OpenMetrics file: what the exporter would have shown, at the moments it would have."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby, pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from exporter.errors import StorageError
from exporter.metrics.query import QueryHistory
from exporter.tools.backfill_files import completed, stamps, write_openmetrics
from exporter.wolkvox.columns import ChannelFigures

BOGOTA = ZoneInfo("America/Bogota")
TARGET = {"job": "wolkvox", "instance": "127.0.0.1:19655"}
LATER = datetime(2027, 6, 1, tzinfo=UTC)
DAY = date(2026, 11, 10)


def figures(channel: str = "inbound", inbound: int = 100) -> ChannelFigures:
    """A channel with everything that can be absent in part."""
    answered = inbound * 9 // 10
    return ChannelFigures(
        channel, inbound, answered, inbound - answered, 0.4, None, 0.8125, 0.1, 12.0, None
    )


def parsed(text: str) -> list[Metric]:
    """The families, by the parser of the format's own library."""
    return list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


def write(
    path: Path,
    done: dict[tuple[str, date], Sequence[ChannelFigures]],
    now: datetime = LATER,
    names: Sequence[str] = ("Ventas",),
    most: int = 1000,
) -> str:
    """Write a file of some days from DAY on; its text."""
    days = [DAY + timedelta(days=number) for number in range(10)]
    queries = [
        QueryHistory(
            ("acme", str(number), name),
            completed([(day, done.get((str(number), day), ())) for day in days]),
        )
        for number, name in enumerate(names, start=1)
    ]
    file = path / "out.om"
    written = write_openmetrics(
        file, queries, lambda day: stamps(BOGOTA, now, day)[:most], TARGET
    )
    text = file.read_text(encoding="utf-8")
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert written == (len(samples), len(text.encode()))
    return text


def test_what_it_holds(tmp_path: Path) -> None:
    """The yesterday gauges of each day, absent ones left out, with the labels of a scrape."""
    text = write(tmp_path, {("1", DAY): [figures()]})
    families = {family.name: family for family in parsed(text)}
    values = {
        (name, sample.labels.get("threshold_seconds")): sample.value
        for name, family in families.items()
        for sample in family.samples
    }
    assert values == {
        ("wolkvox_skill_inbound_interactions", None): 100,
        ("wolkvox_skill_answered_interactions", None): 90,
        ("wolkvox_skill_abandoned_interactions", None): 10,
        ("wolkvox_skill_service_level_ratio", "10"): 0.4,
        ("wolkvox_skill_service_level_ratio", "30"): 0.8125,
        ("wolkvox_skill_abandonment_ratio", None): 0.1,
        ("wolkvox_skill_asa_seconds", None): 12,
    }
    samples = families["wolkvox_skill_inbound_interactions"].samples
    assert samples[0].labels == TARGET | {
        "operation": "acme", "skill_id": "1", "skill": "Ventas",
        "type_interaction": "inbound", "window": "yesterday",
    }  # fmt: skip
    moments = [float(str(sample.timestamp)) for sample in samples]
    assert len(moments) == 288
    assert moments[0] == datetime(2026, 11, 11, tzinfo=BOGOTA).timestamp()
    assert {later - earlier for earlier, later in pairwise(moments)} == {300}
    assert text.endswith("# EOF\n")


def test_grouped_and_sorted(tmp_path: Path) -> None:
    """Each family once, each series in one run with rising timestamps, hostile names told."""
    names = ("Ventas", 'say "hi"\\\n', "ñ🎧")
    done = {
        (str(skill), DAY + timedelta(days=number)): [figures("inbound"), figures("chat")]
        for skill in (1, 2, 3)
        for number in (2, 0, 1)
    }
    text = write(tmp_path, dict(done), names=names, most=5)
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    parts = [line.rsplit(" ", 2) for line in lines]
    runs = [(series, list(rows)) for series, rows in groupby(parts, key=lambda one: one[0])]
    assert len(runs) == len({series for series, _ in runs}) == 3 * 2 * 7
    for _, rows in runs:
        moments = [int(row[2]) for row in rows]
        assert len(moments) == 3 * 5
        assert all(later > earlier for earlier, later in pairwise(moments))
    families = parsed(text)
    assert len({family.name for family in families}) == len(families) == 6
    assert {sample.labels["skill"] for sample in families[0].samples} == set(names)
    assert text.count("# TYPE") == text.count("# HELP") == 6


def test_days_with_a_change_of_clocks() -> None:
    """The following day lasts from its midnight to the next, however long that is."""
    for zone, day, hours in (
        ("America/Santiago", date(2026, 9, 5), 23),
        ("America/Santiago", date(2026, 4, 3), 25),
        ("America/New_York", date(2026, 3, 7), 23),
        ("America/Bogota", date(2026, 3, 7), 24),
    ):
        moments = list(stamps(ZoneInfo(zone), LATER, day))
        assert len(moments) == hours * 12, (zone, day)
        shown = {datetime.fromtimestamp(at, ZoneInfo(zone)).date() for at in moments}
        assert shown == {day + timedelta(days=1)}


def test_the_last_hours_are_left_out(tmp_path: Path) -> None:
    """A running Prometheus holds the last three hours itself: a block must not cover them."""
    now = datetime(2026, 11, 11, 12, 2, tzinfo=BOGOTA)
    done = {("1", DAY): [figures()]}
    text = write(tmp_path, dict(done), now=now)
    last = max(int(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line[0] != "#")
    assert last == datetime(2026, 11, 11, 9, 0, tzinfo=BOGOTA).timestamp()
    early = datetime(2026, 11, 11, 2, 0, tzinfo=BOGOTA)
    assert write(tmp_path, dict(done), now=early) == "# EOF\n"


def test_days_without_rows(tmp_path: Path) -> None:
    """They write nothing, and nothing at all is a valid file."""
    assert write(tmp_path, {}) == "# EOF\n"
    empty = write(tmp_path, {("1", DAY): [], ("1", DAY + timedelta(days=1)): [figures()]})
    assert empty.count("wolkvox_skill_asa_seconds{") == 288


def test_a_channel_that_is_missing() -> None:
    """It has counts of 0 and no ratio for eight days, as on the exporter's page."""
    days: list[tuple[date, Sequence[ChannelFigures]]] = [(DAY, [figures(), figures("chat")])]
    days += [(DAY + timedelta(days=number), [figures()]) for number in range(1, 11)]
    found = dict(completed(days))
    for number in range(1, 9):
        chat = found[DAY + timedelta(days=number)][0]
        assert (chat.channel, chat.inbound, chat.abandonment) == ("chat", 0, None)
    assert len(found[DAY + timedelta(days=9)]) == 1


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    """What stood there stays, and no half file is left."""
    (tmp_path / "out.om").mkdir()
    with pytest.raises(StorageError, match=r"out\.om"):
        write(tmp_path, {})
    assert [path.name for path in tmp_path.iterdir()] == ["out.om"]
