"""The status page in a real browser: it fits, can be read, and may do nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import unescape
from itertools import product
from pathlib import Path
from urllib.parse import urljoin

import pytest

from exporter.errors import Reason
from exporter.messages import Words
from exporter.state.models import QueryStatus
from exporter.wolkvox.columns import ChannelFigures
from tests.chromium import Tab, chromium
from tests.e2e_api import Api, Asked, Reply, found, refused, row
from tests.e2e_support import Launch, Nursery, fetch, operation, wait_for, write_config
from tests.npm import fetched
from tests.status_page_support import OPERATION, html, targets
from tests.statuses import VOICE, half_hour, status

pytest_plugins = ("tests.e2e_fixtures",)
pytestmark = pytest.mark.e2e
Open = Callable[..., Tab]

SIZES = [(320, 640), (360, 800), (768, 1024), (1024, 768), (1280, 800), (1920, 1080)]
FIGURE = "tbody tr:not([class]) td"
HOSTILE = "<img src=//evil.invalid/x onerror=alert(1)>" + "w" * 100
SLA = "[{service_level: {within: 20s, target: 80%}, abandonment: {max: 50%}, asa: {max: 5s}}]"


def script(asked: Asked) -> Reply:
    """One skill is fine, one of many channels, one in maintenance; one token is refused."""
    if asked.operation == "refused":
        return refused("PLEASE VALIDATE TOKEN")
    if asked.skill == "3":
        return refused(f"maintenance {HOSTILE}")
    if asked.skill == "2":
        return found(row(HOSTILE), row("chat-whatsapp-business", inbound=1_234_567))
    return found(row(), row("chat-web", inbound=12, service_level_20seg="95.5 %"))


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    """One browser for all tests."""
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def started(
    nursery: Nursery, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The demo, and an exporter with a bit of everything that can go wrong: their addresses."""
    launch = Launch(nursery, tmp_path_factory.mktemp("status"))
    with Api(script).run() as api:
        skills = ("1, name: Ventas", f"2, name: '{HOSTILE[:120]}'", "3", "all, name: Todas")
        config = write_config(
            launch.directory,
            operation(api.url(), *skills, sla=SLA, daily_requests="500000"),
            operation(api.url("refused"), name="globex", token="canary-other", interval="1h"),
            operation("http://127.0.0.1:1/", name="initech", token="canary-third"),
        )
        try:
            lives = {
                "demo": launch("demo", "--web.listen-address", "127.0.0.1:0"),
                "trouble": launch.serve(config),
            }
            addresses = {name: life.addresses[0] for name, life in lives.items()}
            for address in addresses.values():
                ready(address)
            yield addresses
        finally:
            launch.close()


def ready(address: str) -> None:
    """Wait until every query has been asked."""
    wait_for(lambda: fetch(address, "/-/ready").status == 200, "the first answers")


@pytest.fixture
def look(tab: Tab, started: dict[str, str]) -> Open:
    """Open the page of one of the two."""

    def opened(
        which: str, width: int, height: int, *, dark: bool = False, language: str = "en"
    ) -> Tab:
        tab.open(f"http://{started[which]}/", width, height, dark=dark, language=language)
        return tab

    return opened


# What sticks out at the side, apart from what only readers of the screen are told.
STICKS_OUT = """
JSON.stringify([...document.querySelectorAll('body, body *')]
  .filter(one => !one.closest('.hidden, .skip, thead'))
  .map(one => [one, one.getBoundingClientRect()])
  .filter(([one, box]) => box.width && (box.right > innerWidth + 1 || box.left < -1))
  .map(([one, box]) => `${one.tagName}.${one.className} ${box.left}-${box.right}`))
"""


LEFTS = """
JSON.stringify([...document.querySelectorAll('.tables table')]
  .map(one => Math.round(one.getBoundingClientRect().left)))
"""


@pytest.mark.parametrize("which", ["demo", "trouble"])
@pytest.mark.parametrize("language", ["en", "es"])
def test_the_page_fits(look: Open, which: str, language: str) -> None:
    """On a phone and on a wall: nothing at the side, nothing refused, nothing too small."""
    for width, height in SIZES:
        page = look(which, width, height, language=language)

        assert page.run("document.documentElement.lang") == language
        assert page.run("document.documentElement.scrollWidth") <= width
        assert json.loads(page.run(STICKS_OUT)) == [], width
        assert page.run("getComputedStyle(document.body).margin") != "8px"  # the style applies
        assert page.complaints() == []
        assert page.run("document.scripts.length + document.images.length") == 0
        if which == "trouble":
            sizes = page.run(
                f"JSON.stringify([...document.querySelectorAll('{FIGURE}, {FIGURE} small"
                ", thead th, .clock, dd')]"
                ".map(one => parseFloat(getComputedStyle(one).fontSize)))"
            )
            assert min(json.loads(sizes)) >= 11
            figure = (
                f"parseFloat(getComputedStyle(document.querySelector('{FIGURE}')).fontSize)"
            )
            assert page.run(figure) >= 16


def centre(skills: int) -> list[QueryStatus]:
    """Skills of six channels: some are quiet, some late, some collapse."""
    six = ("chat-facebook", "chat-instagram", "chat-web", "chat-whatsapp", "inbound", "out_pre")
    made = []
    for number in range(skills):
        rows = [
            replace(VOICE, channel=name, inbound=1234, service_level_20=0.8) for name in six
        ]
        if number % 7 == 6:
            rows = [ChannelFigures(name, 0, 0, 0) for name in six]
        late = number % 9 == 8
        query = status(
            *rows,
            skill_id=str(4000 + number),
            skill=f"Atención al cliente {number}",
            failures=late,
            month=tuple(rows),
        )
        query = replace(
            query, error=(Reason.TIMEOUT, "no answer within 60 s") if late else None
        )
        collapsed = number % 5 == 3
        made.append(half_hour(query, "inbound", 40, within_20=4 if collapsed else 36))
    return made


@pytest.mark.slow
def test_the_page_has_its_order_at_every_size(tab: Tab, tmp_path: Path) -> None:
    """1, 5, 60 and 200 skills, on a phone, a desk and a wall, in both themes and languages."""
    operation = replace(OPERATION, targets=targets("{channels: [inbound], " + SLA[2:-1]))
    for skills in (1, 5, 60, 200):
        for width, columns, language in ((390, 1, "es"), (1440, 1, "en"), (1920, 2, "en")):
            file = tmp_path / "page.html"
            file.write_bytes(html(*centre(skills), operations=[operation], language=language))
            for dark in (False, True) if skills == 5 else (False,):
                tab.open(file.as_uri(), width, 900, dark=dark)
                case = f"{skills} skills, {width} px, dark: {dark}"

                assert tab.run("document.documentElement.scrollWidth") <= width, case
                assert json.loads(tab.run(STICKS_OUT)) == [], case
                lefts = json.loads(tab.run(LEFTS))
                assert len(set(lefts)) == (columns if skills > 1 else 1), case
                if skills == 5:
                    assert json.loads(tab.run(TOO_FAINT))[1] == [], case
            states = re.findall(r'class="chip (\w+)"', file.read_text())
            assert states == sorted(states, key=lambda state: state != "late"), skills


# Each text with less contrast than WCAG AA asks for, against what really lies behind it.
TOO_FAINT = (Path(__file__).parent / "data" / "too_faint.js").read_text("utf-8")


@pytest.mark.parametrize("which", ["demo", "trouble"])
def test_every_text_can_be_read(look: Open, which: str) -> None:
    """Contrast of at least 4.5 to 1 against what really lies behind; the theme is followed."""
    for dark in (False, True):
        page = look(which, 1280, 800, dark=dark)
        seen, faint = json.loads(page.run(TOO_FAINT))

        assert seen > 100
        assert faint == [], dark
        red = int(page.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]"))
        assert (red < 64) is dark


# What axe-core finds: of each rule the name and the first element. The page has no script and
# so must refresh itself.
AXE = """
axe.run({rules: {"meta-refresh": {enabled: false}}}).then(found => JSON.stringify(
  found.violations.map(one => [one.id, one.nodes.length, one.nodes[0].html])))
"""


@pytest.mark.slow
def test_axe_finds_nothing(look: Open, tmp_path: Path) -> None:
    """Contrast, headings, landmarks, tables: both themes and languages, phone and wall."""
    axe = (fetched(tmp_path, "axe-core@4.14.1") / "axe-core/axe.min.js").read_text("utf-8")

    def violations(page: Tab) -> list[list[object]]:
        page.run(axe)
        asked = {"expression": AXE, "awaitPromise": True, "returnByValue": True}
        answer = page.call("Runtime.evaluate", **asked)["result"]["value"]
        found: list[list[object]] = json.loads(answer)
        return found

    for which, language, dark, width in product(
        ("demo", "trouble"), ("en", "es"), (False, True), (390, 1920)
    ):
        page = look(which, width, 1080, dark=dark, language=language)
        assert violations(page) == [], (which, language, dark, width)
    page.run("document.querySelector('h2').outerHTML = '<h4>acme</h4>'")
    page.run("document.querySelector('h4').style.cssText = 'color: #444; font-size: 12px'")
    assert {str(one[0]) for one in violations(page)} >= {"color-contrast", "heading-order"}


def roles(page: Tab) -> dict[str, list[str]]:
    """The names of what an assistive technology is told, by role."""
    found: dict[str, list[str]] = {}
    for node in page.call("Accessibility.getFullAXTree")["nodes"]:
        if not node["ignored"]:
            name = node.get("name", {}).get("value", "")
            found.setdefault(node["role"]["value"], []).append(name)
    return found


def test_what_a_screen_reader_is_told(look: Open) -> None:
    """Landmarks, headings and named tables with headers, on a phone as well."""
    for width in (360, 1920):
        told = roles(look("trouble", width, 1080))

        assert {"main", "banner", "contentinfo", "navigation"} <= told.keys()
        assert {"wolkvox-exporter", "acme", "globex", "initech"} <= set(told["heading"])
        assert sorted(told["region"]) == ["What is wrong", "acme", "globex", "initech"]
        assert "Today's figures by skill and channel: acme" in told["table"]
        assert any(name.startswith("Ventas 1") for name in told["rowheader"])
        assert any(name.startswith("inbound (voice)") for name in told["rowheader"])
        if width == 1920:
            assert {"Inbound", "SL today", "SL month", "ATA"} <= set(told["columnheader"])


def test_a_phone_shows_the_head_of_a_column_beside_each_figure(look: Open) -> None:
    """Where there is no room for columns; in the language of the page."""
    label = f"getComputedStyle(document.querySelector('{FIGURE}'), '::before').content"
    assert "Inbound" in look("trouble", 360, 800).run(label)
    assert "Entrantes" in look("trouble", 360, 800, language="es").run(label)
    assert look("trouble", 1920, 1080).run(label) == "none"


def test_links_of_the_page_lead_somewhere(started: dict[str, str], look: Open) -> None:
    """Further pages answer, places within the page exist, a language can be chosen."""
    page = look("trouble", 1280, 800)
    links = json.loads(
        page.run("JSON.stringify([...document.links].map(one => one.getAttribute('href')))")
    )

    for link in links:
        if link.startswith("#"):
            assert page.run(f"document.getElementById({json.dumps(link[1:])}) !== null"), link
        elif not link.startswith("?"):
            assert fetch(started["trouble"], urljoin("/", link)).status == 200, link
    assert {"?lang=en", "?lang=es", "./metrics", "./config", "./docs"} <= set(links)
    page.events.clear()
    page.run("[...document.links].find(one => one.hreflang == 'es').click()")
    page.wait("Page.loadEventFired")
    assert page.run("document.documentElement.lang") == "es"


def test_the_further_pages_and_what_they_do_not_tell(started: dict[str, str]) -> None:
    """Each failure with its advice, in the language asked for; nowhere a token."""
    config, docs = (fetch(started["trouble"], path) for path in ("/config", "/docs"))

    for answer in (config, docs):
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert "name: globex" in config.text
    assert "wolkvox_skill_inbound_interactions" in docs.text
    assert "`daily_requests`" in docs.text
    for header, language in (("en", "en"), ("es-CO, en;q=0.5", "es")):
        page = fetch(started["trouble"], "/", Accept_Language=header).text
        for reason in ("connect", "forbidden", "unauthorized"):
            assert Words(language).advice(reason) in unescape(page)
        assert "<img" not in page
        for token in ("canary", "c0ffee"):
            assert token not in page + config.text


def test_pictures_of_the_readme_are_small() -> None:
    """Under 200 KB each."""
    pictures = sorted((Path(__file__).parent.parent / "docs" / "pictures").glob("status-*.png"))

    assert len(pictures) == 2
    assert all(picture.stat().st_size < 200_000 for picture in pictures)
