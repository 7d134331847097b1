"""Backfill in virtual time: paced, counted, resumed, and polite beside a running exporter."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import groupby, pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from exporter.config import Configuration
from exporter.errors import Reason, StartError
from exporter.metrics.query import QueryHistory, history
from exporter.tools.backfill import Backfill, calls_today, days_between
from exporter.tools.backfill_files import (
    Progress,
    completed,
    open_progress,
    stamps,
    write_openmetrics,
)
from exporter.tools.session import Session
from exporter.wolkvox.columns import ChannelFigures
from exporter.wolkvox.windows import whole_day
from tests.polling_support import NEARLY, Stage, gaps, operation
from tests.tools_support import opened
from tests.virtual import Seen, no_rows, ok, refusal, row, run_virtual

FIRST, LAST = date(2026, 11, 10), date(2026, 11, 12)
DAYS = days_between(FIRST, LAST)
OWNER = "http://127.0.0.1:1/api/v2/"


def real(text: str) -> str:
    """The operation on a server where the rules hold in full."""
    return text.replace("http://127.0.0.1:1/", "https://wv0013.wolkvox.com/")


@dataclass
class Run:
    """One run of a backfill, to be looked at while it goes on."""

    session: Session
    kept: Progress
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    told: list[tuple[str, int]] = field(default_factory=list)

    async def go(self, days: Sequence[date] = DAYS, pace: float = 300.0) -> Backfill:
        """Ask for the days of every skill."""
        job = Backfill(self.session, [self.session], self.kept, [*map(whole_day, days)], pace)
        await job.prepare()
        await job.fetch(self.stopping, lambda text, left: self.told.append((text, left)))
        return job


@asynccontextmanager
async def running(
    stage: Stage, loaded: Configuration, *, beside: bool = False
) -> AsyncIterator[Run]:
    """A backfill that keeps its progress beside the stage's state."""
    with open_progress(stage.directory / "out.om", loaded.operations[0].base_url) as kept:
        async with opened(stage, loaded, beside=beside) as sessions:
            yield Run(sessions[loaded.operations[0].name], kept)


async def fill(
    stage: Stage, loaded: Configuration, pace: float = 300.0, last: date = LAST
) -> Backfill:
    """Run to the end."""
    async with running(stage, loaded) as run:
        return await run.go(days_between(FIRST, last), pace)


def progress_of(output: Path) -> Path:
    """The file that keeps the progress."""
    return output.with_name(f"{output.name}.progress")


def whole(day: date) -> tuple[str, str]:
    """The window of a whole day."""
    return f"{day:%Y%m%d}000000", f"{day:%Y%m%d}235959"


async def test_one_call_for_each_skill_and_day(stage: Stage) -> None:
    """At the pace, skills in turn, whole days, all of them kept."""
    stage.api.answer = lambda seen: ok(row()) if seen.skill == "1" else no_rows()
    loaded = stage.configure(real(operation("1 2", interval="5m")))
    async with running(stage, loaded) as run:
        ended = await run.go()
        assert ended.complete
        assert len(run.kept.done) == 6
        assert run.kept.done["1", FIRST][0].inbound == 100
        assert run.kept.done["2", FIRST] == ()
        assert await run.session.used_today() == 6
    asked = [(seen.skill, seen.window) for seen in stage.seen()]
    assert asked == [
        (skill, whole(day)) for day in days_between(FIRST, LAST) for skill in ("1", "2")
    ]
    assert min(gaps(stage.seen())) >= 300 - NEARLY
    assert max(gaps(stage.seen())) < 301
    assert run.told[0] == ("1 2026-11-10 fine", 5)
    assert ("2 2026-11-10 no interactions", 4) in run.told
    assert ("waiting", 4) in run.told


async def test_the_interval_of_a_skill_holds(stage: Stage) -> None:
    """A skill with a longer interval is asked no more often for past days."""
    loaded = stage.configure(real(operation("[{id: 1, interval: 15m}, {id: 2}]")))
    await fill(stage, loaded)
    assert min(gaps(stage.seen("1"))) >= 900 - NEARLY
    assert min(gaps(stage.seen())) >= 300 - NEARLY
    assert max(gaps(stage.seen("2"))) < 601


async def test_interrupted_and_resumed(stage: Stage) -> None:
    """The call under way is finished and kept; a second run repeats none."""
    loaded = stage.configure(real(operation("1 2", interval="5m")))
    for expected, seconds in ((3, 600.3), (5, 599.8)):
        async with running(stage, loaded) as run:
            going = asyncio.ensure_future(run.go())
            await asyncio.sleep(seconds)
            assert not going.done()
            run.stopping.set()
            assert not (await going).complete
            assert len(run.kept.done) == expected
    assert (await fill(stage, loaded)).complete
    calls = Counter((seen.skill, seen.window) for seen in stage.seen())
    assert len(calls) == 6
    assert set(calls.values()) == {1}
    assert min(gaps(stage.seen())) >= 300 - NEARLY


async def test_killed_in_a_call(stage: Stage) -> None:
    """A call whose answer was lost is made again, an interval later."""
    loaded = stage.configure(real(operation("1", interval="5m")))
    async with running(stage, loaded) as run:
        going = asyncio.ensure_future(run.go())
        await asyncio.sleep(300.3)
        assert len(stage.seen()) == 2
        going.cancel()
        await asyncio.wait({going})
    assert (await fill(stage, loaded)).complete
    windows = [seen.window for seen in stage.seen()]
    assert windows == [whole(FIRST + timedelta(days=n)) for n in (0, 1, 1, 2)]
    assert min(gaps(stage.seen())) >= 300 - NEARLY


def test_beside_a_running_exporter(state_directory: Path) -> None:
    """Rules hold between both; no skill misses two polls in a row, and the backfill ends."""

    async def beside(skills: str) -> None:
        stage = Stage(state_directory / skills)
        last = FIRST + timedelta(days=7)
        loaded = stage.configure(real(operation(skills, interval="5m")))
        async with stage.start(loaded) as exporter:
            await asyncio.sleep(1000)
            async with running(stage, loaded, beside=True) as run:
                ended = await run.go(days_between(FIRST, last))
            await asyncio.sleep(700)
            assert exporter.value("wolkvox_up", skill_id="1") == 1
        assert ended.complete
        assert stage.api.most_in_flight == 1
        for skill in skills.split():
            seen = stage.seen(skill)
            assert min(gaps(seen)) >= 300 - NEARLY
            today = [one.monotonic for one in seen if one.window[0] == "20261118000000"]
            assert max(later - earlier for earlier, later in pairwise(today)) < 630
        past = [one for one in stage.seen() if one.window[0] < "20261118"]
        assert len(past) == 8 * len(skills.split())
        assert len({(one.skill, one.window) for one in past}) == len(past)
        # No more calls than the exporter alone would have made, but for the last round.
        hours = (stage.seen()[-1].monotonic - stage.seen()[0].monotonic) / 300
        assert len(stage.seen()) <= len(skills.split()) * (hours + 2)

    for skills in ("1", "1 2 3"):
        run_virtual(beside(skills))


async def test_an_exporter_that_does_not_poll(stage: Stage) -> None:
    """Where the exporter beside leaves its turn, the backfill goes on after two intervals."""
    loaded = stage.configure(real(operation("1", interval="5m")))
    async with opened(stage, loaded):
        pass  # its state
    async with running(stage, loaded, beside=True) as run:
        ended = await run.go()
    assert ended.complete
    assert all(600 <= gap < 700 for gap in gaps(stage.seen()))


async def test_it_stops_at_the_ceiling(stage: Stage) -> None:
    """The day's budget is never exceeded; the next day goes on behind it."""
    loaded = stage.configure(real(operation("1 2", interval="5m", daily_requests=4)))
    ended = await fill(stage, loaded)
    assert ended.why
    assert ended.why.key == "budget"
    assert len(stage.seen()) == 4
    assert (await fill(stage, loaded)).why == ended.why
    await stage.until("2026-11-19 00:01")
    assert (await fill(stage, loaded)).complete
    assert len(stage.seen()) == 6


def test_calls_today() -> None:
    """Only what would be asked today has to fit into today's budget."""
    for calls, pace, expected in ((31, 300.0, 31), (5000, 300.0, 169), (5000, 0.0, 5000)):
        assert calls_today(calls, pace, timedelta(hours=14)) == expected


async def test_failures_are_tried_again(stage: Stage) -> None:
    """What fails goes behind the others, three times in all; the rest is not held up."""

    def answer(seen: Seen) -> httpx.Response:
        return refusal("broken", 500) if seen.window == whole(FIRST) else ok(row())

    stage.api.answer = answer
    loaded = stage.configure(real(operation("1", interval="5m")))
    ended = await fill(stage, loaded)
    assert not ended.complete
    assert [call.window.day for call in ended.missing] == [FIRST]
    assert [seen.window[0][6:8] for seen in stage.seen()] == ["10", "11", "12", "10", "10"]
    stage.api.answer = lambda seen: ok(row())
    assert (await fill(stage, loaded)).complete
    assert len(stage.seen()) == 6


async def test_it_gives_up(stage: Stage) -> None:
    """Five failures in a row end it, and so do a refused token and a used-up quota at once."""
    stage.api.answer = lambda seen: refusal("broken", 500)
    loaded = stage.configure(real(operation("1 2", interval="5m")))
    ended = await fill(stage, loaded)
    assert ended.why
    assert ended.why.reason is Reason.HTTP
    assert len(stage.seen()) == 5
    stage.api.answer = lambda seen: refusal("TOKEN LIMIT EXCEEDED")
    ended = await fill(stage, loaded)
    assert ended.why
    assert ended.why.reason is Reason.QUOTA
    assert len(stage.seen()) == 6
    held = await fill(stage, loaded)
    assert held.why
    assert held.why.key == "held.quota"
    assert len(stage.seen()) == 6


async def test_the_exporter_closes_the_day_first(stage: Stage) -> None:
    """After midnight the exporter's closing poll has the first turn."""
    loaded = stage.configure(real(operation("1", interval="5m")))
    await stage.until("23:41")
    async with stage.start(loaded) as exporter:
        await asyncio.sleep(400)
        async with running(stage, loaded, beside=True) as run:
            last = FIRST + timedelta(days=4)
            assert (await run.go(days_between(FIRST, last))).complete
        inbound = "wolkvox_skill_inbound_interactions"
        assert exporter.value(inbound, window="yesterday") == 100
    after = [one for one in stage.seen() if one.at >= stage.world.start.timestamp() + 14 * 3600]
    assert after[0].window == whole(date(2026, 11, 18))
    assert min(gaps(stage.seen())) >= 300 - NEARLY


def test_progress_survives_a_torn_line(tmp_path: Path) -> None:
    """A line that a power cut left half is cut off; what stands before it counts."""
    output = tmp_path / "out.om"
    with open_progress(output, OWNER) as kept:
        kept.add("1", FIRST, 1.0, ())
    with progress_of(output).open("ab") as file:
        file.write(b'{"skill": "1", "da')
    with open_progress(output, OWNER) as kept:
        assert kept.done == {("1", FIRST): ()}
        kept.add("1", LAST, 2.0, ())
    with open_progress(output, OWNER) as kept:
        assert len(kept.done) == 2


def test_a_progress_without_names_is_read(tmp_path: Path) -> None:
    """A file of the first format, whose rows had places instead of names, is continued."""
    rows = ([["inbound", 100, 90, 10, 0.4, 0.6, 0.8, 0.1, 12.0, None]], [["chat", *[None] * 9]])
    lines = [{"format": "wolkvox-exporter backfill 1", "operation": OWNER}] + [
        {"skill": "1", "day": str(day), "at": 5.0, "rows": row}
        for day, row in zip((FIRST, LAST), rows, strict=True)
    ]
    output = tmp_path / "out.om"
    text = "".join(json.dumps(line) + "\n" for line in lines)
    progress_of(output).write_text(text, encoding="utf-8")
    with open_progress(output, OWNER) as kept:
        first = ChannelFigures("inbound", 100, 90, 10, 0.4, 0.6, 0.8, 0.1, 12.0, None)
        assert kept.done == {("1", FIRST): (first,), ("1", LAST): (ChannelFigures("chat"),)}
        kept.add("2", LAST, 6.0, (first,))
    with open_progress(output, OWNER) as kept:
        assert kept.done["1", FIRST] == kept.done["2", LAST] == (first,)


def test_a_foreign_progress(tmp_path: Path) -> None:
    """That of another operation or version, or none at all, is refused and left as it is."""
    own = b'{"format": "wolkvox-exporter backfill 2", "operation": "%b"}\n' % OWNER.encode()
    for content, message in (
        (b"something else\n", "cannot be read"),
        (b"[]\n", "cannot be read"),
        (own + b'{"skill": "1", "day": "2026-11-10", "at": 1, "rows": [[1]]}\n', "cannot be"),
        (
            own + b'{"skill": "1", "day": "2026-11-10", "at": 1, "rows": [1]}\n',
            "cannot be read",
        ),
        (own.replace(b"backfill 2", b"backfill 3"), "another version"),
        (own.replace(b"http", b"HTTP"), "another operation"),
    ):
        progress_of(tmp_path / "out").write_bytes(content)
        with pytest.raises(StartError, match=message), open_progress(tmp_path / "out", OWNER):
            raise AssertionError
        assert progress_of(tmp_path / "out").read_bytes() == content


def test_a_progress_in_use(tmp_path: Path) -> None:
    """Two backfills never write one file."""
    with (
        open_progress(tmp_path / "out", OWNER),
        pytest.raises(StartError, match="another backfill"),
        open_progress(tmp_path / "out", OWNER),
    ):
        raise AssertionError


@pytest.mark.usefixtures("linux")
def test_a_progress_that_cannot_be_written(tmp_path: Path) -> None:
    """A missing directory is said at the start, a full disk at the answer."""
    with (
        pytest.raises(StartError, match="cannot be written"),
        open_progress(tmp_path / "nowhere" / "out", OWNER),
    ):
        raise AssertionError
    with (
        open("/dev/full", "wb", buffering=0) as full,
        pytest.raises(StartError, match="No space"),
    ):
        Progress(tmp_path, full).add("1", FIRST, 1.0, ())


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
            [*completed((day, done.get((str(number), day), ())) for day in days)],
        )
        for number, name in enumerate(names, start=1)
    ]
    file = path / "out.om"
    pieces = history(queries, lambda day: stamps(BOGOTA, now, day)[:most], TARGET)
    written = write_openmetrics(file, pieces)
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
    with pytest.raises(StartError, match=r"out\.om"):
        write(tmp_path, {})
    assert [path.name for path in tmp_path.iterdir()] == ["out.om"]
