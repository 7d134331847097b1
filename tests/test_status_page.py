"""The status page: states, figures, targets, pauses, hostile names, in HTML as it is served."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from exporter.errors import Reason
from exporter.logs import SECRETS
from exporter.messages import Words
from exporter.runtime import Clock
from exporter.state import counters
from exporter.state.counters import Sample
from exporter.state.models import (
    WEEK,
    MonthMemory,
    MonthTries,
    QueryKey,
    QueryMemory,
    QueryStatus,
)
from exporter.web.status import OperationView
from exporter.web.status_page import StatusPage
from exporter.wolkvox.columns import ChannelFigures
from tests.status_page_support import (
    OPERATION,
    SLA,
    Element,
    configured,
    html,
    page,
    read,
    standing,
    targets,
    telemetry,
)
from tests.statuses import CHAT, DAY, NOW, VOICE, half_hour, never, status
from tests.web_support import running

ERROR = (Reason.CONNECT, "Connection refused")
AIMED = replace(OPERATION, targets=targets(SLA))
FORTY = half_hour(status(VOICE), "inbound", 40, within_20=20)
CLOSED = standing(configured(poll_hours="Mo-Fr 08:00-10:00"), hours_open=(False, NOW + 3600))
PAUSED = standing(pause=(Reason.QUOTA, NOW + 1200))
SPENT = standing(used=1000)
TOKYO = configured(name="globex", timezone=ZoneInfo("Asia/Tokyo"))
ENGLISH = Words("en", space="\u00a0")


def old(**more: Any) -> QueryStatus:
    """A query that answered once and whose figures have expired."""
    return replace(status(VOICE), live_until=NOW - 1, **more)


def cells(shown: Element) -> list[list[str]]:
    """The figures of each channel."""
    return [[cell.text for cell in row.all("td")] for row in shown.rows()]


def marks(shown: Element) -> list[tuple[str, str]]:
    """The figures that have a target, each with the class of its mark."""
    return [
        (cell.text.replace("\u00a0", " "), cell.attributes["class"])
        for row in shown.rows()
        for cell in row.all("td")
        if "class" in cell.attributes
    ]


def links(shown: Element) -> set[str]:
    """Where the links of the page lead."""
    return {link.attributes["href"] for link in shown.all("a")}


def when(shown: Element) -> str:
    """The age of the data of the only query, and when its next request is due."""
    return shown.one("span", klass="when").text.replace("\u00a0", " ")


def test_the_state_of_a_query() -> None:
    """Fresh, late, expired, waiting, paused, or out of its hours, which needs no attention.

    A query that fails before its first answer has no figures that could expire.
    """
    for query, operation, state in (
        (status(VOICE), OPERATION, "fresh"),
        (status(VOICE, failures=1), OPERATION, "late"),
        (replace(status(VOICE, failures=1), live_until=NOW), OPERATION, "expired"),
        (old(), OPERATION, "expired"),
        (never(), OPERATION, "waiting"),
        (replace(never(), memory=QueryMemory(failures=1)), OPERATION, "silent"),
        (status(VOICE), PAUSED, "paused"),
        (never(), PAUSED, "paused"),
        (status(VOICE), SPENT, "fresh"),
        (old(), SPENT, "paused"),
        (status(VOICE), CLOSED, "fresh"),
        (old(), CLOSED, "closed"),
        (never(), CLOSED, "closed"),
        (old(error=ERROR), CLOSED, "expired"),
    ):
        shown = page(query, operations=[operation])

        assert shown.all("span", klass=f"chip {state}"), (query, state)
        calm = state in ("fresh", "waiting", "closed")
        assert shown.all("p", klass="summary good" if calm else "summary bad"), (query, state)


def test_a_fresh_query_shows_its_age_slot_and_figures() -> None:
    """One row a channel, counts with their thousands apart, absent values as a dash."""
    shown = page(status(replace(VOICE, inbound=15233), CHAT)).one("section")

    assert shown.one("span", klass="skill").text.split() == ["Ventas", "4173"]
    assert when(shown) == "data 60 s old · next request in 4 min"
    names = [row.one("th").text for row in shown.rows()]
    assert names == ["chat-whatsapp", "inbound (voice)"]
    chat, voice = cells(shown)
    assert chat == ["20", "18", "2", "–", "50.0%", "–", "10.0%", "35\u00a0s", "–"]
    assert voice[0] == "15\u202f233"
    assert voice[3:] == ["–", "65.7%", "–", "1.5%", "12\u00a0s", "31\u00a0s"]


def test_targets_stand_beside_their_figures() -> None:
    """The figure that has a target is marked by a sign, a word and a class."""
    assert marks(page(status(VOICE, CHAT), operations=[AIMED])) == [
        ("▼ 50.0%", "no"),
        ("▲ 10.0%max. 5%", "no"),
        ("▲ 35 smax. 30 s", "no"),
        ("▼ 65.7%", "no"),
        ("✓ 1.5%max. 5%", "ok"),
        ("✓ 12 smax. 30 s", "ok"),
    ]


def test_each_pair_is_judged_at_its_own_threshold() -> None:
    """Half hour, day and month show the service level of the threshold of the target."""
    query = half_hour(status(VOICE, month=(VOICE,)), "inbound", 40, within_10=8, within_30=36)
    for within, levels in (
        (10, ["▼ 20.0%", "▼ 44.8%", "▼ 44.8%"]),
        (20, ["▼ 0.0%", "▼ 65.7%", "▼ 65.7%"]),
        (30, ["✓ 90.0%", "✓ 85.1%", "✓ 85.1%"]),
    ):
        entry = f"{{service_level: {{within: {within}s, target: 80%}}}}"
        shown = page(query, operations=[replace(OPERATION, targets=targets(entry))])

        assert cells(shown)[0][3:6] == levels
        assert shown.one("th", scope="row").text == (
            f"inbound (voice)SL {within}\u00a0s: min. 80%"
        )


def test_the_month_stands_beside_the_day() -> None:
    """While it is this month, and the operation asks for it; a refusal is said."""
    query = status(VOICE, month=(replace(VOICE, service_level_20=0.9), CHAT))
    over = replace(query, memory=replace(query.memory, month=query.memory.last_month))
    for one, operation, text in (
        (query, AIMED, "✓ 90.0%"),
        (query, OPERATION, "90.0%"),
        (status(VOICE, month=(CHAT,)), AIMED, "–"),
        (over, AIMED, "–"),
        (query, configured(AIMED, month=False), "–"),
    ):
        assert cells(page(one, operations=[operation]))[0][5] == text
    tries = MonthTries(DAY.replace(day=1), DAY, NOW - 60, reason=str(Reason.TIMEOUT))
    refused = replace(query, memory=replace(query.memory, last_month=MonthMemory(tries=tries)))
    assert when(page(refused)).endswith("next request in 4 min · month: no answer in time")


def test_a_day_that_cannot_reach_its_target_any_more_says_so() -> None:
    """More late than the day allows with as much as on the same weekday of last week, which
    has to be known; beside the channel, and where what is wrong stands, in both languages.
    """
    query = status(VOICE, CHAT)  # 23 of 67 were late
    for came, text in (
        ({DAY - WEEK: {"inbound": 114}}, "23 late, 22 allowed"),
        ({DAY - WEEK: {"inbound": 115}}, ""),  # just as many
        ({DAY - WEEK: {"inbound": 0}}, "23 late, 13 allowed"),  # no fewer than came already
        ({DAY - WEEK: {"chat-whatsapp": 1, "out_pre": 50}}, ""),
        ({DAY - timedelta(days=6): {"inbound": 1}}, ""),
        ({}, ""),
    ):
        aimed = replace(OPERATION, targets=targets("{channels: [inbound], " + SLA[1:]))
        memory = replace(query.memory, week=came)
        shown = page(replace(query, memory=memory), operations=[aimed])
        text = text and f"cannot be reached today: {text}"
        heads = [row.one("th").text for row in shown.rows()]
        assert sorted(heads) == [
            "chat-whatsapp",
            f"inbound (voice)SL 20\u00a0s: min. 80%{text}",
        ], came
        listed = " ".join(shown.one("section", klass="wrong").one("li").text.split())
        assert f"SL today 65.7% (min. 80%{text and '; '}{text})" in listed, came
    memory = replace(query.memory, week={DAY - WEEK: {"inbound": 1}})
    for skill, operation in (("4173", OPERATION), ("all", AIMED)):  # nothing is asked of them
        asked = replace(query, memory=memory, key=QueryKey("acme", skill))
        assert "cannot be reached" not in page(asked, operations=[operation]).text
    query = replace(query, memory=memory)
    spanish = page(query, operations=[AIMED], language="es").text
    assert "hoy ya no se alcanza: 23 tardías, 13 permitidas" in spanish


def test_the_last_half_hour_stands_beside_the_day() -> None:
    """It says when another window is meant; few interactions are judged beyond chance alone."""
    hour = replace(status(VOICE), recent=(Sample(NOW - 3660, {}), *FORTY.recent[1:]))
    for query, operation, text in (
        (FORTY, AIMED, "▼ 50.0%"),
        (FORTY, OPERATION, "50.0%"),
        (hour, AIMED, "▼ 50.0%since 10:59"),
        (half_hour(status(VOICE), "inbound", 19, within_20=14), AIMED, "73.7%of 19"),
        (half_hour(status(VOICE), "inbound", 20, within_20=14), AIMED, "▼ 70.0%"),
        (half_hour(status(VOICE), "inbound", 4, within_20=0), AIMED, "▼ 0.0%"),
        (half_hour(status(VOICE), "inbound", 3, within_20=0), AIMED, "0.0%of 3"),
        (half_hour(status(VOICE), "chat-web", 40), AIMED, "–"),  # nothing came in by voice
        (replace(status(VOICE), recent=FORTY.recent[1:]), AIMED, "–"),  # the first answer
        (status(VOICE), AIMED, "–"),
    ):
        assert cells(page(query, operations=[operation]))[0][3] == text


def test_what_is_wrong_comes_first_and_leads_to_its_place() -> None:
    """No data, then bad half hours, then days, the worst first; each link has its row."""
    chat = replace(CHAT, channel="chat-web", asa=25.0, abandonment=0.0, service_level_20=0.7)
    stuck = status(replace(VOICE, channel="out_pre", service_level_20=None), skill_id="7")
    assert stuck.memory.today is not None
    ledger = stuck.memory.ledger
    for _ in range(3):
        ledger = counters.observe(ledger, DAY, stuck.memory.today.rows)
    good = replace(VOICE, service_level_20=0.9)
    queries = [
        status(chat, skill_id="1", skill="A"),
        replace(old(error=ERROR), key=QueryKey("acme", "2"), skill="B"),
        replace(stuck, memory=replace(stuck.memory, ledger=ledger), skill="C"),
        half_hour(status(good, skill_id="4", skill="D"), "inbound", 40, within_20=20),
    ]
    shown = page(*queries, operations=[AIMED])
    listed = shown.one("section", klass="wrong").all("li")

    assert [" ".join(item.text.replace("\u00a0", " ").split()) for item in listed] == [
        "no connection: B",
        "D · inbound (voice): SL last 30 min 50.0% (min. 80%)",
        "A · chat-web: SL today 70.0% (min. 80%)",
        "C · out_pre (predictive dialler): inconsistent figures: its counters stand still",
    ]
    tags = {one.attributes.get("id"): one.tag for one in shown.everything()}
    places = [link.attributes["href"] for item in listed for link in item.all("a")]
    assert [tags[place.removeprefix("#")] for place in places] == ["li", "tr", "tr", "tr", "tr"]
    names = [one.one("bdi").text for one in shown.all("span", klass="skill")]
    assert names == ["B", "D", "A", "C"]
    assert not page(FORTY).all("section", klass="wrong")


def test_a_chat_at_zero_stands_above_a_green_voice_line() -> None:
    """First of what is wrong and of its skill, and red, whatever its channel is called."""
    voice = replace(VOICE, service_level_20=0.95)
    chat = replace(CHAT, channel="webchat", service_level_20=0.0)
    shown = page(status(voice, chat), operations=[AIMED])

    assert "webchat:\nSL today 0.0%" in shown.one("section", klass="wrong").all("li")[0].text
    assert [row.one("th").text[:7] for row in shown.rows()] == ["webchat", "inbound"]
    assert marks(shown)[0] == ("▼ 0.0%", "no")
    assert ("✓ 95.0%", "ok") in marks(shown)


def test_the_list_of_what_is_wrong_is_short() -> None:
    """One cause of many queries is one line; of many channels the worst are named."""
    failing = [replace(old(error=ERROR), key=QueryKey("acme", str(n))) for n in range(60)]
    missing = [status(CHAT, skill_id=str(100 + n)) for n in range(60)]
    wrong = page(*failing, *missing, operations=[AIMED]).one("section", klass="wrong")

    first, *others = wrong.all("li")
    assert len(first.all("a")) == 6
    assert "and 55 more" in first.text
    assert len(others) == 12
    assert ENGLISH.text("page.wrong.pairs", count=48) in wrong.text


def test_quiet_skills_take_a_line_each() -> None:
    """Where nothing came in today, or nothing is known yet; the busy ones come before."""
    silent = status(ChannelFigures("inbound", 0, 0, 0), skill_id="1", skill="Q")
    unread = status(ChannelFigures("inbound"), skill_id="5", skill="U")
    queries = [silent, status(skill_id="2", skill="R"), never(), status(VOICE), unread]
    shown = page(*queries, operations=[AIMED])

    lines = shown.one("ul", klass="quiet").all("li")
    assert [line.one("bdi").text for line in lines] == ["4190", "Q", "R"]
    assert all("next request" in line.text for line in lines[1:])
    assert len(shown.all("tr", klass="query")) == 2


def test_long_operations_stand_in_several_tables() -> None:
    """They are laid side by side where there is room; a short one beside others has one."""
    queries = [status(VOICE, CHAT, skill_id=str(number)) for number in range(60)]
    beside = [status(VOICE, CHAT, operation="b", skill_id=str(number)) for number in range(8)]
    operations = [OPERATION, configured(name="b")]
    long, short = page(*queries, *beside, operations=operations).one("main").all("section")

    assert [len(table.all("tr", klass="query")) for table in long.all("table")] == [6] * 10
    assert long.attributes["class"] == "long"
    assert len(short.all("table")) == 1
    assert len(page(*queries[:2]).all("table")) == 2


def test_a_target_without_figures_is_named() -> None:
    """In one line: a channel that an entry names and the skill never had."""
    entries = "{channels: [chat-web, inbound, voz], asa: {max: 30s}}"
    operation = replace(OPERATION, targets=targets(entries))
    silent = status(skill_id="9", skill="Z")
    shown = page(status(VOICE), silent, never(), operations=[operation])

    assert " ".join(shown.one("p", klass="unseen").text.split()) == (
        "Targets without figures so far: Ventas · chat-web, Ventas · voz, "
        "Z · chat-web, Z · inbound (voice), Z · voz"
    )
    assert not page(status(VOICE), operations=[AIMED]).all("p", klass="unseen")


def test_one_operation_alone() -> None:
    """`?operation=` shows it; the page's own links keep it and the language."""
    queries = [status(VOICE), status(VOICE, operation="globex", skill="Otra")]
    operations = [OPERATION, TOKYO]
    whole = page(*queries, operations=operations, asked="es")
    one = page(*queries, operations=operations, asked="es", operation="acme")
    other = page(*queries, operations=operations, operation="nobody")

    assert "?operation=acme&lang=es" in links(whole)
    assert [head.text for head in one.all("h2")][:1] == ["acme"]
    assert "globex" not in one.text
    assert {"?lang=es", "?operation=acme&lang=en", "?operation=acme&lang=es"} <= links(one)
    assert "./" in links(page(*queries, operations=operations, operation="acme"))
    assert ENGLISH.text("page.unknown") in other.text
    assert len(other.one("main").all("section")) == 2
    for shown in (whole, one, other):  # relative, so that they work behind a path prefix
        assert all(re.match(r"[#?]|\./", link) for link in links(shown))


def test_a_figure_that_rounds_to_its_target_shows_why_it_misses_it() -> None:
    """79.98 % is not 80.0 %, and 30.4 s are not 30 s; the limit itself is met."""
    row = replace(VOICE, service_level_20=0.7998, asa=30.4, abandonment=0.05)

    assert marks(page(status(row), operations=[AIMED])) == [
        ("▼ 79.98%", "no"),
        ("✓ 5.0%max. 5%", "ok"),
        ("▲ 30.4 smax. 30 s", "no"),
    ]


def test_the_whole_operation_is_set_apart() -> None:
    """`all` has a table of its own, no targets, and is in no sum."""
    whole = status(VOICE, skill_id="all", skill="Todas")
    section = page(whole, status(VOICE), operations=[AIMED]).one("main").one("section")

    skills, apart = section.all("table")
    assert "Todas" not in skills.text
    assert "Ventas" not in apart.text
    assert apart.text in section.one("div", klass="whole").text
    assert marks(skills)
    assert not marks(apart)
    assert not re.search(r"\b134\b", section.text)  # 67 + 67


def test_expired_figures_are_not_shown() -> None:
    """The failure stands in their place, with its text and a link to what to do."""
    shown = page(old(error=ERROR))

    assert not shown.rows()
    failure = shown.one("tr", klass="failure")
    assert "Connection refused" in failure.text
    target = failure.one("a").attributes["href"].removeprefix("#")
    assert ENGLISH.advice("connect") in shown.one("li", id=target).text


def test_figures_of_yesterday_are_not_called_today() -> None:
    """After midnight in the operation's zone the day begins empty."""
    tokyo = configured(TOKYO, name="acme")

    assert page(status(VOICE)).rows()
    assert not page(status(VOICE), operations=[tokyo]).rows()


def test_a_day_without_interactions_says_so() -> None:
    """No rows is an answer."""
    for skill_id, text in (("all", "query.no_traffic"), ("4173", "operation.quiet")):
        shown = page(status(skill_id=skill_id))

        assert ENGLISH.text(f"page.{text}") in shown.one("main").text
        assert shown.all("span", klass="chip fresh")


def test_the_same_failure_is_explained_once() -> None:
    """Many queries, one advice with their number; each has its own error text."""
    queries = [replace(old(error=ERROR), key=QueryKey("acme", str(n))) for n in range(3)]
    other = replace(old(error=(Reason.FORBIDDEN, "x")), key=QueryKey("acme", "9"))
    shown = page(*queries, other)

    first, second = shown.one("ul", klass="advice").all("li")
    assert first.attributes["id"] == "do:acme:connect"
    assert "3" in first.text
    assert second.attributes["id"] == "do:acme:forbidden"
    assert "1" in second.text
    assert len(shown.all("tr", klass="failure")) == 4


def test_a_pause_says_until_when() -> None:
    """In the operation's own time; the queries wait for its next attempt."""
    unauthorized = standing(pause=(Reason.UNAUTHORIZED, NOW + 600))
    for query, operation, moments, wait in (
        (status(VOICE), PAUSED, ["12:20", "2026-11-19 00:00"], "20 min"),
        (never(), unauthorized, ["12:10"], "10 min"),
        (old(), SPENT, ["2026-11-19 00:00"], "12 h"),
    ):
        shown = page(query, operations=[operation]).one("main").one("section")

        notice = shown.one("p", klass="notice").text
        assert re.findall(r"(?:\d{4}-\d\d-\d\d )?\d\d:\d\d", notice) == moments
        assert when(shown).endswith(f"next request in {wait}")
        if (pause := operation.status.pause) is not None:
            advice = shown.one("li", id=f"do:acme:{pause[0]}")
            assert ENGLISH.advice(pause[0]) in advice.text  # no query remembers the reason


def test_a_token_that_was_replaced_is_blamed_no_longer() -> None:
    """While it is refused all queries stand still; after that the query waits for its turn."""
    refused = replace(status(VOICE, failures=1), error=(Reason.UNAUTHORIZED, "HTTP 403"))
    paused = standing(pause=(Reason.UNAUTHORIZED, NOW + 600))
    advice = page(refused, operations=[paused]).one("li", id="do:acme:unauthorized")
    assert "query" not in advice.text.partition(".")[0]
    again = page(refused)
    assert again.all("span", klass="chip late")
    assert not again.all("tr", klass="failure") + again.all("li", id="do:acme:unauthorized")


def test_what_an_operation_is() -> None:
    """Its name, server, local time, interval, requests and hours."""
    section = page(status(VOICE), operations=[standing(CLOSED, interval=720.0)]).one("section")

    assert section.one("h2").text == "acme"
    clock = section.one("p", klass="clock")
    assert clock.text == "wv0013 · 12:00 America/Bogota"
    moment = datetime.fromisoformat(clock.one("time").attributes["datetime"])
    assert moment.timestamp() == NOW
    facts = [fact.text.replace("\u00a0", " ") for fact in section.one("dl").all("div")]
    for fact, values in zip(
        facts,
        [["12 min", "5 min"], ["312", "1\u202f000"], ["Mo-Fr 08:00-10:00", "13:00"]],
        strict=True,
    ):
        assert all(value in fact for value in values), fact
    assert section.one("meter").attributes["value"] == "312"


def test_poll_hours_in_words() -> None:
    """Until when, where they change at all; without a ceiling there is no meter."""
    for is_open, until, key in (
        (True, NOW + 3600, "open_until"),
        (True, None, "open"),
        (False, None, "closed"),
    ):
        always = configured(poll_hours="24/7")
        operation = standing(always, hours_open=(is_open, until), limit=None)
        section = page(operations=[operation]).one("main").one("section")

        text = ENGLISH.text(f"page.hours.{key}", until="13:00")
        assert text in [small.text for small in section.all("small")]
        assert not section.all("meter")


def test_outside_the_hours_the_next_request_is_when_they_open() -> None:
    """Whatever the slot was before."""
    assert when(page(status(VOICE), operations=[CLOSED])).endswith("next request in 60 min")


def test_an_age_is_rounded_down() -> None:
    """A minute counts once it is over."""
    fresh = status(VOICE)
    for seconds, said in ((359, "data 5 min old"), (3 * 3600 + 59, "data 3 h old")):
        memory = replace(fresh.memory, last_success_at=NOW - seconds)
        assert when(page(replace(fresh, memory=memory))).startswith(said), seconds


def test_a_query_without_a_slot_or_one_that_is_due() -> None:
    """Before the first attempt nothing is promised."""
    assert when(page(never())) == ""
    assert when(page(replace(status(VOICE), next_slot_at=NOW))).endswith("next request now")


def test_queries_stand_as_they_are_configured() -> None:
    """Discovered ones come after, by their name."""
    queries = [
        status(VOICE, skill_id=skill_id, skill=name)
        for skill_id, name in [("7", "beta"), ("4190", "Z"), ("8", "Alfa"), ("4173", "Ventas")]
    ]
    names = [one.one("bdi").text for one in page(*queries).all("span", klass="skill")]

    assert names == ["Ventas", "Z", "Alfa", "beta"]


def test_the_summary() -> None:
    """One sentence on top, and in the title of the window."""
    cases: tuple[tuple[list[QueryStatus], list[OperationView], str, bool], ...] = (
        ([], [], "No operation is being polled", True),
        ([], [OPERATION], "Waiting for the first answers", True),
        ([never()], [OPERATION], "Waiting for the first answers", True),
        ([status(VOICE)], [OPERATION], "All queries are fresh", True),
        ([status(VOICE)], [AIMED], "All queries are fresh, 1 target missed", False),
        ([status(CHAT)], [AIMED], "All queries are fresh, 3 targets missed", False),
        (
            [status(replace(VOICE, service_level_20=0.9))],
            [AIMED],
            "All queries are fresh, all targets met",
            True,
        ),
        ([status(VOICE, failures=1)], [OPERATION], "1 of 1 queries needs attention", False),
        ([old(), never()], [OPERATION], "1 of 2 queries needs attention", False),
        ([old(), old()], [OPERATION], "2 of 2 queries need attention", False),
    )
    for queries, operations, summary, calm in cases:
        shown = page(*queries, operations=operations)

        assert shown.one("title").text == f"{summary} · wolkvox-exporter"
        good_or_bad = "summary good" if calm else "summary bad"
        assert shown.one("p", klass=good_or_bad).text.endswith(f" {summary}.")


def test_several_operations_have_a_list_of_them() -> None:
    """Links to each, marked where something is wrong; the clock is UTC where zones differ."""
    shown = page(status(VOICE, failures=1), operations=[OPERATION, TOKYO])

    first, second = shown.one("header").one("nav").all("a")
    assert first.text.split() == ["▲", "acme", "1"]
    assert second.text.split() == ["✓", "globex"]
    for link in (first, second):
        assert shown.all("h2", id=link.attributes["href"].removeprefix("#"))
    assert "17:00 UTC" in shown.one("header").text
    assert ENGLISH.text("page.operation.no_query") in shown.one("main").all("section")[1].text


def test_a_query_of_an_operation_that_is_gone_is_left_out() -> None:
    """Its loop may still end its last request."""
    assert not page(status(VOICE, operation="gone")).all("tr", klass="query")


def test_what_the_exporter_says_of_itself() -> None:
    """Its version and when its configuration was loaded."""
    footer = page().one("footer")

    assert "1.2.3 (abc1234)" in footer.text
    assert "11:00" in footer.text


def test_what_is_wrong_with_the_exporter_is_on_top() -> None:
    """A state that cannot be written stops the polling; a failed reload does not."""
    broken = telemetry(revision="")
    broken.storage(False)
    broken.reloaded(None)
    shown = page(status(VOICE), exporter=broken)

    assert shown.one("header").one("p", klass="notice").text
    assert shown.all("p", klass="summary bad")
    footer = shown.one("footer").text
    assert ENGLISH.text("page.exporter.not_reloaded", at="11:00") in footer
    assert "1.2.3 (" not in footer


HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "</style></table><h1>gone</h1>",
    "{{ 7 * 7 }}{% raw %}",
    "a\u202egnp.exe\u202c\u2066b",
    "a\x00b\x1b[31mc\r\nd\u2028e",
    "\ud800 half",
    "&lt;already&gt;",
    "x" * 5000,
    "مرحبا 123",
]


def test_hostile_names_are_only_text() -> None:
    """In a skill, a channel, an error: no element, no control, no bidi character."""

    def named(text: str) -> Element:
        query = status(replace(VOICE, channel=text), skill=text)
        return page(replace(query, error=(Reason.HTTP, text)))

    harmless = [one.tag for one in named("plain").everything()]
    for name in HOSTILE:
        hostile = named(name)

        assert [one.tag for one in hostile.everything()] == harmless, name
        assert not re.search(
            "[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", hostile.text
        )
        assert "49" not in hostile.one("span", klass="skill").text
        assert len(hostile.one("span", klass="skill").text) < 300


def test_names_that_read_from_right_to_left_stay_in_their_place() -> None:
    """Each foreign text is isolated from what stands around it."""
    shown = page(status(replace(VOICE, channel="ערוץ"), skill="مبيعات"))

    assert shown.one("span", klass="skill").one("bdi").text == "مبيعات"
    assert [th.text for th in shown.all("th", scope="row")] == ["ערוץ"]  # isolated by the style
    wrong = page(status(replace(CHAT, channel="ערוץ"), skill="مبيعات"), operations=[AIMED])
    assert {bdi.text for bdi in wrong.one("section", klass="wrong").all("bdi")} == {
        "مبيعات",
        "ערוץ",
    }


def test_a_token_in_a_text_is_not_shown() -> None:
    """Whatever way it came there."""
    SECRETS.add("canary-of-the-page")
    shown = page(old(error=(Reason.HTTP, "sent canary-of-the-page back 7b" + "0a" * 30)))

    assert "canary" not in shown.text
    assert "0a0a" not in shown.text


def test_the_page_needs_nothing_but_itself() -> None:
    """No script, no style attribute, nothing from elsewhere; it refreshes by itself."""
    served = html(status(VOICE, CHAT), operations=[AIMED])
    shown = read(served)

    assert not re.search(rb"<script|<link|<img|<iframe|@import|url\(|https?:|\son\w+=", served)
    assert not re.search(rb"<[^>]*\sstyle=", served)
    refresh = shown.one("meta", **{"http-equiv": "refresh"}).attributes["content"]
    assert ENGLISH.text("page.refreshes", seconds=refresh) in shown.one("footer").text


def test_the_page_is_ordered_for_readers_that_do_not_see_it() -> None:
    """Landmarks, one first heading, no level left out, named tables, scoped headers."""
    whole = status(VOICE, skill_id="all", skill="Todas")
    shown = page(status(VOICE), whole, operations=[AIMED, configured(name="b")])

    for landmark in ("header", "main", "footer", "h1"):
        assert len(shown.all(landmark)) == 1
    tags = [one.tag for one in shown.everything()]
    levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h\d", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [one.attributes["id"] for one in shown.everything() if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    for section in shown.all("section"):
        assert section.attributes["aria-labelledby"] in ids
    for table in shown.all("table"):
        assert table.one("caption").text
        heads = table.one("thead").all("th")
        assert [head.attributes["scope"] for head in heads] == ["col"] * 10
        assert all(len(row.all("td")) == 9 for row in table.rows())
        assert all(head.attributes.get("scope") for head in table.all("th"))
    assert shown.one("a", klass="skip").attributes["href"] == "#main"
    assert shown.one("main").attributes["id"] == "main"


@pytest.mark.slow
def test_a_page_of_many_queries_is_bounded() -> None:
    """Every query has its row; of the figures so many as fit, and a word about the rest.

    200 skills of six channels, each with all of its targets, are less than 500 KB.
    """
    six = [replace(VOICE, channel=f"chat-channel-{n}") for n in range(6)]
    usual = [status(*six, skill_id=str(number), month=tuple(six)) for number in range(200)]
    usual = [half_hour(one, "chat-channel-1", 40) for one in usual]
    assert len(html(*usual, operations=[AIMED])) < 500_000
    rows = [replace(VOICE, channel=f"channel-{number}") for number in range(4)]
    queries = [status(*rows, skill_id=str(number), skill=f"S{number}") for number in range(600)]
    served = html(*queries, operations=[AIMED])

    assert served.count(b'<tr class="query">') == 600
    assert len(read(served).rows()) == 2000
    assert b"400 more channels" in served
    assert len(served) < 1_500_000


@pytest.mark.no_cover
def test_the_template_engine_is_loaded_by_the_first_page_only() -> None:
    """An exporter at which nobody looks starts as fast and as small as without it."""
    code = "import exporter.service, sys; print('jinja2' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert done.stdout == "False\n"


def test_a_page_is_kept_for_a_second_or_longer_where_it_is_costly() -> None:
    """Who looks often, or many who look, cost little; each language is kept alone."""
    time = [0.0]
    takes = [0.0]
    made: list[float] = []

    def operations() -> list[OperationView]:
        made.append(time[0])
        time[0] += takes[0]
        return [OPERATION]

    async def sleep(delay: float) -> None:
        raise AssertionError

    clock = Clock(lambda: datetime.fromtimestamp(NOW, UTC), lambda: time[0], sleep)
    kept = StatusPage(clock, [status(VOICE)], operations, telemetry(), "/metrics")

    assert kept.html("en") == kept.html(None) != kept.html("es-CO")
    assert made == [0.0, 0.0]
    time[0], takes[0] = 1.0, 0.3
    kept.html("en")  # is kept for three seconds
    time[0] += 2.9
    kept.html("en")
    assert made == [0.0, 0.0, 1.0]
    time[0] += 0.2
    kept.html("en")
    assert len(made) == 4


@pytest.mark.anyio
async def test_the_address_may_name_language_and_operation() -> None:
    """`?lang=es` goes before the header of the browser; nothing else of it is looked at."""
    async with running() as server:
        client = await server.connect()
        for query, language, operation in (
            *(("", "fr", ""), ("?lang=es", "es", ""), ("?x=1&lang=EN&y", "EN", "")),
            *(("?lang=", "fr", ""), ("?lang=%3Cscript%3E", "fr", ""), ("?slang=es", "fr", "")),
            *(("?lang=es-CO", "es-CO", ""), ("?operation=a.b_c-1&lang=es", "es", "a.b_c-1")),
            ("?operation=a%22b&operation=" + "a" * 129, "fr", ""),
        ):
            answer = await client.get(f"/{query}", "Accept-Language: fr")

            assert answer.body == f"<html lang={language}>{operation}".encode(), query
            assert "'unsafe-inline'" not in answer.headers["content-security-policy"]


def test_a_row_without_any_figure_is_dashes() -> None:
    """Absent is never 0."""
    empty = ChannelFigures("x", *([None] * 9))

    assert cells(page(status(empty), operations=[AIMED])) == [["–"] * 9]


def test_the_spanish_page_is_spanish() -> None:
    """Its language is declared, its numbers have a comma, and no English text is left."""
    shown = page(status(replace(VOICE, asa=30.4)), operations=[AIMED], language="es")

    assert shown.one("html").attributes["lang"] == "es"
    ((*_, level, _, _, asa, _),) = cells(shown)
    assert level == "▼ 65,7\u00a0%"
    assert asa.startswith("▲ 30,4\u00a0s")
    assert shown.one("th", scope="row").text == "inbound (voz)NS 20\u00a0s: mín. 80\u00a0%"
    assert not re.search(r"\b(the|of|today|data|queries|request)\b", shown.one("body").text)
