"""The status page in words and as HTML: states, figures, targets, pauses, hostile names."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from exporter.errors import Reason
from exporter.logs import SECRETS
from exporter.state.snapshot import QueryKey, QueryMemory, QueryStatus
from exporter.times import Clock
from exporter.web.landing import StatusPage
from exporter.web.status import OperationView, Pause, QueryState, state_of
from exporter.web.status_format import Words, count, foreign, moment, seconds, span
from exporter.web.status_render import REFRESH_SECONDS, Kept, render, style_sources
from exporter.web.status_view import MOST_ROWS
from exporter.web.texts import catalogue
from exporter.wolkvox.report import ChannelFigures
from tests.status_page_support import (
    BOGOTA,
    EXPORTER,
    OPERATION,
    SLA,
    page,
    read,
    targets,
    view,
)
from tests.statuses import CHAT, NOW, VOICE, never, status
from tests.web_support import running

ERROR = (Reason.CONNECT, "Connection refused")
AIMED = replace(OPERATION, targets=targets(SLA))


def old(**more: Any) -> QueryStatus:
    """A query that answered once and whose figures have expired."""
    return replace(status(VOICE), live_until=NOW - 1, **more)


CLOSED = replace(OPERATION, poll_hours="Mo-Fr 08:00-10:00", hours_open=(False, NOW + 3600))
PAUSED = replace(OPERATION, pause=Pause(Reason.QUOTA, NOW + 1200))
SPENT = replace(OPERATION, used=1000)


@pytest.mark.parametrize(
    ("query", "operation", "state"),
    [
        (status(VOICE), OPERATION, QueryState.FRESH),
        (status(VOICE, failures=1), OPERATION, QueryState.LATE),
        (replace(status(VOICE, failures=1), live_until=NOW), OPERATION, QueryState.EXPIRED),
        (old(), OPERATION, QueryState.EXPIRED),
        (never(), OPERATION, QueryState.WAITING),
        (replace(never(), memory=QueryMemory(failures=1)), OPERATION, QueryState.EXPIRED),
        (status(VOICE), PAUSED, QueryState.PAUSED),
        (never(), PAUSED, QueryState.PAUSED),
        (status(VOICE), SPENT, QueryState.FRESH),
        (old(), SPENT, QueryState.PAUSED),
        (status(VOICE), CLOSED, QueryState.FRESH),
        (old(), CLOSED, QueryState.CLOSED),
        (never(), CLOSED, QueryState.CLOSED),
        (old(error=ERROR), CLOSED, QueryState.EXPIRED),
    ],
)
def test_the_state_of_a_query(
    query: QueryStatus, operation: OperationView, state: QueryState
) -> None:
    """Fresh, late, expired, waiting, paused, or out of its hours, which is no alarm."""
    assert state_of(query, operation, NOW) is state


def test_a_fresh_query_shows_its_age_slot_and_figures() -> None:
    """One row a channel, counts with their thousands apart, absent values as a dash."""
    many = replace(VOICE, inbound=15233)
    shown = page(status(many, CHAT)).one("section")

    (table,) = shown.all("table")
    head = table.one("tr", klass="query")
    assert head.one("span", klass="skill").text.split() == ["Ventas", "4173"]
    assert head.one("span", klass="chip fresh").text.strip() == "● Fresh"
    when = head.one("span", klass="when").text
    assert when.replace("\u00a0", " ") == "data 60 s old · next poll in 3 min"
    rows = table.all("tr", klass="row")
    assert [row.one("th").text for row in rows] == ["chat-whatsapp", "inbound"]
    chat, voice = ([cell.text for cell in row.all("td")] for row in rows)
    assert chat == ["20", "18", "2", "–", "50.0%", "75.0%", "10.0%", "35\u00a0s", "–"]
    assert voice[0] == "15\u202f233"
    assert voice[3:] == ["44.8%", "65.7%", "85.1%", "1.5%", "12\u00a0s", "31\u00a0s"]


def test_targets_stand_beside_their_figures() -> None:
    """The figure that has a target is marked by a word, a sign and a class."""
    rows = page(status(VOICE, CHAT), operations=[AIMED]).all("tr", klass="row")
    chat, voice = rows

    level, abandonment, asa = (
        *chat.all("td", klass="missed"),
        *chat.all("td", klass="met"),
    )
    assert level.text == "50.0%▼ below 80%"
    assert abandonment.text == "10.0%▲ above 5%"
    assert asa.text == "35\u00a0s▲ above 30\u00a0s"
    assert [cell.text for cell in voice.all("td", klass="missed")] == ["65.7%▼ below 80%"]
    met = [cell.text for cell in voice.all("td", klass="met")]
    assert met == ["1.5%✓ max. 5%", "12\u00a0s✓ max. 30\u00a0s"]


@pytest.mark.parametrize("within", [10, 20, 30])
def test_the_service_level_of_the_target_is_the_one_marked(within: int) -> None:
    """Only the column of the threshold that the target names carries the mark."""
    entry = f"{{service_level: {{within: {within}s, target: 80%}}}}"
    operation = replace(OPERATION, targets=targets(entry))
    cells = page(status(VOICE), operations=[operation]).one("tr", klass="row").all("td")

    marked = [number for number, cell in enumerate(cells) if "class" in cell.attributes]
    assert marked == [{10: 3, 20: 4, 30: 5}[within]]


def test_a_figure_that_rounds_to_its_target_shows_why_it_misses_it() -> None:
    """79.98 % is no 80.0 %, and 30.4 s are no 30 s."""
    row = replace(VOICE, service_level_20=0.7998, asa=30.4, abandonment=0.05)
    missed = page(status(row), operations=[AIMED]).all("td", klass="missed")

    assert [cell.text.replace("\u00a0", " ") for cell in missed] == [
        "79.98%▼ below 80%",
        "30.4 s▲ above 30 s",
    ]


def test_the_whole_operation_is_set_apart() -> None:
    """`all` has a table of its own, a warning, no targets, and is in no sum."""
    whole = status(VOICE, skill_id="all", skill="Todas")
    section = page(whole, status(VOICE), operations=[AIMED]).one("section")

    skills, apart = section.all("table")
    assert "Todas" not in skills.text
    assert "Ventas" not in apart.text
    assert "never add it" in section.one("div", klass="whole").text
    assert not apart.all("td", klass="missed")
    assert not apart.all("td", klass="met")
    assert not re.search(r"\b134\b", section.text)  # 67 + 67


def test_expired_figures_are_not_shown() -> None:
    """Their row says so, with the failure, its text and a link to what to do."""
    shown = page(old(error=ERROR))

    assert not shown.all("tr", klass="row")
    assert shown.one("tr", klass="note").text == "No current figures."
    failure = shown.one("tr", klass="failure")
    assert "no connection" in failure.text
    assert "Connection refused" in failure.text
    target = failure.one("a").attributes["href"].removeprefix("#")
    assert "allow list" in shown.one("li", id=target).text


def test_figures_of_yesterday_are_not_called_today() -> None:
    """After midnight in the operation's zone the day begins empty."""
    tokyo = replace(OPERATION, zone=ZoneInfo("Asia/Tokyo"))

    assert page(status(VOICE)).all("tr", klass="row")
    assert not page(status(VOICE), operations=[tokyo]).all("tr", klass="row")


def test_a_day_without_interactions_says_so() -> None:
    """No rows is an answer."""
    shown = page(status())

    assert shown.one("tr", klass="note").text == "No interactions today."
    assert "Fresh" in shown.one("tr", klass="query").text


def test_the_same_failure_is_explained_once() -> None:
    """Many queries, one advice with their number; each has its own error text."""
    queries = [replace(old(error=ERROR), key=QueryKey("acme", str(n))) for n in range(3)]
    other = replace(old(error=(Reason.FORBIDDEN, "x")), key=QueryKey("acme", "9"))
    shown = page(*queries, other)

    first, second = shown.one("ul", klass="advice").all("li")
    assert "no connection (3 queries)" in first.text
    assert "access closed (1 query)" in second.text
    assert len(shown.all("tr", klass="failure")) == 4


@pytest.mark.parametrize("reason", list(Reason))
@pytest.mark.parametrize("language", ["en", "es"])
def test_every_failure_has_its_words(reason: Reason, language: str) -> None:
    """What it is and what to do, in both languages."""
    shown = page(old(error=(reason, "x")), language=language)
    texts = catalogue(language)

    assert texts[f"reason_{reason}"] in shown.one("tr", klass="failure").text
    assert texts[f"do_{reason}"] in shown.one("ul", klass="advice").text


def test_a_pause_says_until_when() -> None:
    """In the operation's own time; the queries wait for its next attempt."""
    shown = page(status(VOICE), operations=[PAUSED])

    notice = shown.one("section").one("p", klass="notice").text
    assert "next at 12:20" in notice
    assert "2026-11-19 00:00 at the latest" in notice
    assert "Paused" in shown.one("span", klass="chip paused").text
    assert "next poll in 20\u00a0min" in shown.one("span", klass="when").text
    assert "daily_requests" in shown.one("ul", klass="advice").text  # after a restart too


def test_a_refused_token_says_when_it_is_tried_again() -> None:
    """And that a new one is noticed at once."""
    paused = replace(OPERATION, pause=Pause(Reason.UNAUTHORIZED, NOW + 600))
    notice = page(never(), operations=[paused]).one("section").one("p", klass="notice").text

    assert "12:10" in notice
    assert "another token" in notice


def test_a_spent_budget_says_when_it_goes_on() -> None:
    """At the end of the day of the budget."""
    shown = page(old(), operations=[SPENT])

    assert "go on at 2026-11-19 00:00" in shown.one("section").one("p", klass="notice").text
    assert "next poll in 12\u00a0h" in shown.one("span", klass="when").text


def test_what_an_operation_is() -> None:
    """Its name, server, local time, interval, calls and hours."""
    operation = replace(CLOSED, interval=720.0)
    section = page(status(VOICE), operations=[operation]).one("section")

    assert section.one("h2").text == "acme"
    clock = section.one("p", klass="clock")
    assert clock.text == "wv0013 · 12:00 America/Bogota"
    assert clock.one("time").attributes["datetime"] == "2026-11-18T12:00:00-05:00"
    facts = section.one("dl").all("div")
    assert [" ".join(fact.text.split()) for fact in facts] == [
        "Polled every 12 min stretched from 5 min to fit the day's calls",
        "Calls today 312 of 1 000",
        "Poll hours Mo-Fr 08:00-10:00 closed until 13:00",
    ]
    assert section.one("meter").attributes["value"] == "312"


@pytest.mark.parametrize(
    ("hours_open", "text"),
    [
        ((True, NOW + 3600), "open until 13:00"),
        ((True, None), "open"),
        ((False, None), "closed"),
    ],
)
def test_poll_hours_in_words(hours_open: tuple[bool, float | None], text: str) -> None:
    """Until when, where they change at all."""
    operation = replace(OPERATION, poll_hours="24/7", hours_open=hours_open, limit=None)
    section = page(operations=[operation]).one("section")

    assert text in [small.text for small in section.all("small")]
    assert "312, no ceiling set" in section.text
    assert not section.all("meter")


def test_outside_the_hours_the_next_poll_is_when_they_open() -> None:
    """Whatever slot was told before."""
    shown = page(status(VOICE), operations=[CLOSED])

    assert "next poll in 60\u00a0min" in shown.one("span", klass="when").text


def test_a_query_without_a_slot_or_one_that_is_due() -> None:
    """Before the first attempt nothing is promised."""
    due = replace(status(VOICE), next_slot_at=NOW)

    assert page(never()).one("span", klass="when").text == "no answer yet"
    assert page(due).one("span", klass="when").text.endswith("next poll now")


def test_queries_stand_as_they_are_configured() -> None:
    """Discovered ones come after, by their name."""
    queries = [
        status(VOICE, skill_id=skill_id, skill=name)
        for skill_id, name in [("7", "beta"), ("4190", "Z"), ("8", "Alfa"), ("4173", "Ventas")]
    ]
    (part,) = view(*queries).operations

    assert [query.name for query in part.skills] == ["Ventas", "Z", "Alfa", "beta"]


@pytest.mark.parametrize(
    ("queries", "operations", "summary", "calm"),
    [
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
        ([status(VOICE, failures=1)], [OPERATION], "1 of 1 queries needs a look", False),
        ([old(), never()], [OPERATION], "1 of 2 queries needs a look", False),
    ],
)
def test_the_summary(
    queries: list[QueryStatus], operations: list[OperationView], summary: str, calm: bool
) -> None:
    """One sentence on top, and in the title of the window."""
    made = view(*queries, operations=operations)
    shown = page(*queries, operations=operations)

    assert (made.summary, made.calm) == (summary, calm)
    assert shown.one("title").text == f"{summary} · wolkvox-exporter"
    good_or_bad = "summary good" if calm else "summary bad"
    assert shown.one("p", klass=good_or_bad).text.endswith(f"{summary}.")


def test_several_operations_have_a_list_of_them() -> None:
    """Links to each, marked where something is wrong; the clock is UTC where zones differ."""
    lima = replace(OPERATION, name="globex", zone=ZoneInfo("Asia/Tokyo"))
    shown = page(status(VOICE, failures=1), operations=[OPERATION, lima])

    first, second = shown.one("header").one("nav").all("a")
    assert first.text.split() == ["▲", "acme", "1"]
    assert second.text.split() == ["✓", "globex"]
    for link in (first, second):
        assert shown.all("h2", id=link.attributes["href"].removeprefix("#"))
    assert "17:00 UTC" in shown.one("header").text
    assert "the skills are being looked up" in shown.all("section")[1].text


def test_a_query_of_an_operation_that_is_gone_is_left_out() -> None:
    """Its loop may still end its last request."""
    assert not page(status(VOICE, operation="gone")).all("tr", klass="query")


def test_what_the_exporter_says_of_itself() -> None:
    """Version, state, reload, and links to the other pages."""
    footer = page().one("footer")

    assert "1.2.3 (abc1234)" in footer.text
    assert "loaded at 11:00" in footer.text
    links = [link.attributes["href"] for link in footer.all("a")]
    assert links == [
        "/metrics", "/config", "/docs", "/-/healthy", "/-/ready", "?lang=en", "?lang=es",
    ]  # fmt: skip


def test_what_is_wrong_with_the_exporter_is_on_top() -> None:
    """A state that cannot be written stops the polling; a failed reload does not."""
    broken = replace(EXPORTER, storage_writable=False, reload_failed=True, revision="")
    shown = page(status(VOICE), exporter=broken)

    assert "disk" in shown.one("header").one("p", klass="notice").text
    assert shown.all("p", klass="summary bad")
    assert "the last reload failed" in shown.one("footer").text
    assert "1.2.3 (" not in shown.one("footer").text


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


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_are_only_text(name: str) -> None:
    """In a skill, a channel, an error, a server: no element, no control, no bidi character."""
    harmless, hostile = (
        page(
            replace(
                status(replace(VOICE, channel=text), skill=text), error=(Reason.HTTP, text)
            ),
            operations=[replace(OPERATION, server=text)],
        )
        for text in ("plain", name)
    )

    assert [one.tag for one in hostile.everything()] == [
        one.tag for one in harmless.everything()
    ]
    assert not re.search(
        "[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", hostile.text
    )
    assert "49" not in hostile.one("span", klass="skill").text
    assert len(hostile.one("span", klass="skill").text) < 300


def test_names_that_read_from_right_to_left_stay_in_their_place() -> None:
    """Each foreign text is isolated from what stands around it."""
    shown = page(status(replace(VOICE, channel="ערוץ"), skill="مبيعات"))

    assert [bdi.text for bdi in shown.all("bdi")] == ["مبيعات", "ערוץ"]


def test_a_token_in_a_text_is_not_shown() -> None:
    """Whatever way it came there."""
    SECRETS.add("canary-of-the-page")
    shown = page(old(error=(Reason.HTTP, "sent canary-of-the-page back 7b" + "0a" * 30)))

    assert "canary" not in shown.text
    assert "0a0a" not in shown.text


def test_the_page_needs_nothing_but_itself() -> None:
    """No script, no style attribute, nothing from elsewhere; it refreshes by itself."""
    html = render(view(status(VOICE, CHAT), operations=[AIMED]))
    shown = page(status(VOICE, CHAT), operations=[AIMED])

    assert not re.search(rb"<script|<link|<img|<iframe|@import|url\(|https?:|\son\w+=", html)
    assert not re.search(rb"<[^>]*\sstyle=", html)
    refresh = shown.one("meta", **{"http-equiv": "refresh"})
    assert refresh.attributes["content"] == str(REFRESH_SECONDS)
    assert f"every {REFRESH_SECONDS} seconds" in shown.one("footer").text


def test_the_page_is_ordered_for_readers_that_do_not_see_it() -> None:
    """Landmarks, one first heading, no level left out, named tables, scoped headers."""
    whole = status(VOICE, skill_id="all", skill="Todas")
    shown = page(status(VOICE), whole, operations=[AIMED, replace(OPERATION, name="b")])

    assert shown.one("html").attributes["lang"] == "en"
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
        heads = [head.attributes["scope"] for head in table.one("thead").all("th")]
        assert heads == ["col"] * 10
        assert all(len(row.all("td")) == 9 for row in table.all("tr", klass="row"))
        assert all(head.attributes.get("scope") for head in table.all("th"))
    assert shown.one("a", klass="skip").attributes["href"] == "#main"
    assert shown.one("main").attributes["id"] == "main"


def test_a_page_of_a_thousand_queries_is_bounded() -> None:
    """Every query has its row; of the figures so many as fit, and a word about the rest."""
    rows = [replace(VOICE, channel=f"channel-{number}") for number in range(4)]
    queries = [
        status(*rows, skill_id=str(number), skill=f"S{number}") for number in range(1000)
    ]
    started = time.process_time()
    html = render(view(*queries, operations=[AIMED]))
    took = time.process_time() - started

    assert html.count(b'<tr class="query">') == 1000
    assert html.count(b'<tr class="row">') == MOST_ROWS
    assert "2\u202f000 more channels".encode() in html
    assert len(html) < 2_000_000
    assert took < 2  # about 0.2 s of an idle processor


def test_the_template_engine_is_loaded_by_the_first_page_only() -> None:
    """An exporter at which nobody looks starts as fast and as small as without it."""
    code = "import exporter.service, sys; print('jinja2' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert done.stdout == "False\n"


def test_a_page_is_kept_for_a_second_or_longer_where_it_is_costly() -> None:
    """Who looks often, or many who look, cost little; each language is kept alone."""
    now = [0.0]
    made: list[str] = []
    kept = Kept(lambda: now[0])

    def look(language: str, takes: float = 0.0) -> bytes:
        def make() -> bytes:
            made.append(language)
            now[0] += takes
            return language.encode()

        return kept.get(language, make)

    assert [look("en"), look("en"), look("es")] == [b"en", b"en", b"es"]
    assert made == ["en", "es"]
    now[0] += 1.0
    look("en", takes=0.3)  # three seconds from now on
    now[0] += 2.9
    look("en")
    assert made == ["en", "es", "en"]
    now[0] += 0.2
    look("en")
    assert made == ["en", "es", "en", "en"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-5, "0 s"), (3.4, "3 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"),
        (7200, "2 h"), (7500, "2 h 5 min"), (172800, "2 d"), (180000, "2 d 2 h"),
    ],
)  # fmt: skip
def test_spans_of_time(value: float, text: str) -> None:
    """At most two units."""
    assert span(value).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 s"), (99.4, "99 s"), (100, "1:40 min"), (599, "9:59 min"), (600, "10 min"),
     (906, "15 min"), (80_000, "1\u202f333 min")],
)  # fmt: skip
def test_averages_of_seconds(value: float, text: str) -> None:
    """Seconds while they are few, minutes then."""
    assert seconds(value).replace("\u00a0", " ") == text


def test_other_forms() -> None:
    """Counts, percentages with the sign as each language sets it, moments of another day."""
    assert [count(0), count(1234567)] == ["0", "1\u202f234\u202f567"]
    english, spanish = (Words(catalogue(language)) for language in ("en", "es"))
    assert english.percent(152.3333) == "15233.3%"
    assert spanish.percent(0.5) == "50.0\u00a0%"
    assert english.goal(0.995) == "99.5%"
    assert moment(NOW, BOGOTA, NOW).text == "12:00"
    assert moment(NOW + 5, BOGOTA, NOW).text == "12:00:05"
    tomorrow = timedelta(days=1).total_seconds()
    assert moment(NOW + tomorrow, BOGOTA, NOW).text == "2026-11-19 12:00"
    assert foreign("a b") == "a b"


def test_the_page_is_made_for_whoever_asks() -> None:
    """At the moment of the clock, in the language of the header."""

    async def sleep(delay: float) -> None:
        raise AssertionError

    moment_of_page = datetime.fromtimestamp(NOW, UTC)
    clock = Clock(lambda: moment_of_page, lambda: 0.0, sleep)
    made = StatusPage(clock, [status(VOICE)], lambda: [OPERATION], lambda: EXPORTER)

    assert read(made.html("es-CO")).one("html").attributes["lang"] == "es"
    assert read(made.html(None)).one("tr", klass="row").one("th").text == "inbound"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("query", "language"),
    [
        ("", "fr"), ("?lang=es", "es"), ("?x=1&lang=EN&y", "EN"), ("?lang=", "fr"),
        ("?lang=%3Cscript%3E", "fr"), ("?slang=es", "fr"), ("?lang=es-CO", "fr"),
    ],
)  # fmt: skip
async def test_the_address_may_name_the_language(query: str, language: str) -> None:
    """`?lang=es` goes before the header of the browser; nothing else of it is looked at."""
    async with running() as server:
        answer = await (await server.connect()).get(f"/{query}", "Accept-Language: fr")

    assert answer.body == f"<html lang={language}>".encode()
    assert "'unsafe-inline'" not in answer.headers["content-security-policy"]
    assert style_sources() in answer.headers["content-security-policy"]


def test_a_row_without_any_figure_is_dashes() -> None:
    """Absent is never 0."""
    empty = ChannelFigures("x", *([None] * 9))
    cells = page(status(empty), operations=[AIMED]).one("tr", klass="row").all("td")

    assert [cell.text for cell in cells] == ["–"] * 9
