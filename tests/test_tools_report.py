"""The report of the windows that are over: from a state file alone, however it was left."""

from __future__ import annotations

import re
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter.state.migrate import VERSION
from exporter.state.storage import FILE_NAME
from exporter.wolkvox.columns import COLUMNS
from tests.e2e_support import Run
from tests.polling_support import Stage, operation
from tests.tools_support import Desk, sheet
from tests.virtual import Seen, no_rows, ok, refusal, row, run_virtual

DATA = Path(__file__).parent / "data"
FROZEN = DATA / "state-0.1.0.db"
SKILLS = "[{id: 4173, name: Ventas}, {id: 4180, name: '=Cobranza <b>'}, {id: all, name: Todas}]"
SLA = (
    "[{channels: [inbound], service_level: {within: 20s, target: 70%}},"
    " {skills: [4180], abandonment: {max: 12%}, asa: {max: 30s}},"
    " {skills: [all], service_level: {within: 20s, target: 69.96%}}]"
)
ACME = operation(SKILLS, month="true", interval="1h", sla=SLA)
LEVELS = [f"service_level_{within}seg" for within in (10, 20, 30)]
ROWS = {
    "4173": (
        row("inbound", 100, 90),
        row("chat-web", 300, 240, asa="40", ata="20")
        | dict(zip(LEVELS, ("50.00 %", "70.00 %", "90.00 %"), strict=True)),
    ),
    "4180": (row("inbound", 50, 44, service_level_20seg="70.00 %", asa="30.4", ata=""),),
    "all": (row("inbound", 1450, 1300, service_level_20seg="69.95 %"),),
}


def answer(seen: Seen) -> httpx.Response:
    """The same rows for each window; the second time the month of 4180 is refused."""
    if (
        seen.skill == "4180"
        and seen.window[0][:8] == "20261101"
        and "1117235959" in seen.window[1]
    ):
        return refusal("CLOSED")
    return ok(*ROWS[seen.skill])


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an exporter left behind after two mornings of November."""
    stage = Stage(tmp_path_factory.mktemp("lived"))
    stage.api.answer = answer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("exporter.polling.poll.LONGEST_IDLE", 120.0)
        for start, end in (("2026-11-16 22:30", "2026-11-17 04:00"),
                           ("2026-11-17 22:30", "2026-11-18 04:00")):  # fmt: skip
            stage.begin(start)
            run_virtual(stage.live(end, ACME))
    return stage.directory


@pytest.fixture
def desk(lived: Path, state_directory: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A copy of it, to read or to spoil."""
    shutil.copytree(lived, state_directory / "desk")
    made = Desk(state_directory / "desk", run, monkeypatch)
    made.configure(ACME)
    return made


def sent(text: str) -> str:
    """A cell of the API as the exporter holds it."""
    if not text:
        return ""
    return str(float(f"{text[:-2]}e-2") if text.endswith("%") else text)


class Page(HTMLParser):
    """The cells of a page's rows, its tags, and the classes of its cells."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.classes: list[str] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not {"src", "href", "onload", "onclick"} & {name for name, _ in attrs}
        if tag == "td":
            self.classes.append(dict(attrs).get("class") or "")

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())


def test_the_table_in_both_languages(desk: Desk) -> None:
    """Each pair is judged by its own targets, a figure close to its target shown closer."""
    english, spanish = desk.report(), desk.report(language="es")
    assert (english.code, english.log) == (spanish.code, spanish.log) == (0, "")
    assert english.output == (DATA / "report.en.txt").read_text("utf-8")
    assert spanish.output.startswith((DATA / "report.es.txt").read_text("utf-8"))


def test_totals_are_weighted_by_interactions(desk: Desk) -> None:
    """Service level and abandonment by inbound, ASA by answered, ATA by abandoned; `all` is
    not added.
    """
    total = next(line for line in desk.report().output.splitlines() if "Total" in line)
    level_10 = (300 * 0.5 + 100 * 0.4 + 50 * 0.4) / 450
    level_20 = (300 * 0.7 + 100 * 0.6 + 50 * 0.7) / 450
    level_30 = (300 * 0.9 + 100 * 0.8 + 50 * 0.8) / 450
    abandonment = (60 + 10 + 6) / 450
    asa = (240 * 40 + 90 * 12 + 44 * 30.4) / 374
    ata = (60 * 20 + 10 * 30) / 70  # one has none
    ratios = [f"{one:.1%}" for one in (level_10, level_20, level_30, abandonment)]
    assert total.split() == [
        *("Total", "450", "374", "76", *ratios),
        *(f"{asa:.0f}", "s", f"{ata:.0f}", "s"),
    ]


def test_a_sheet_holds_the_figures_as_they_are(desk: Desk) -> None:
    """One row for each channel and window in the words of the metrics, in both languages."""
    english = sheet(desk.report("--csv", "-").output)
    spanish = sheet(desk.report("--csv", "-", language="es").output, ";")
    assert len(english) == 4 + 4 + 3
    for first, second in zip(english, spanish, strict=True):
        numbers = {key: one.replace(",", ".") for key, one in second.items() if key != "note"}
        assert numbers == {key: one for key, one in first.items() if key != "note"}
    assert spanish[0]["service_level_10"] == "0,5"
    rows = {(one["skill_id"], one["type_interaction"], one["window"]): one for one in english}
    for skill, channels in ROWS.items():
        for cells in channels:
            for window in ("yesterday", "month"):
                found = rows[skill, cells["type_interaction"], window]
                for column in COLUMNS:
                    value = found[column.attribute]
                    expected = sent(cells[column.field])
                    assert value.removesuffix(".0") == expected.removesuffix(".0"), found
    voice, debt = rows["4173", "inbound", "yesterday"], rows["4180", "inbound", "month"]
    assert [voice["operation"], voice["skill"]] == ["acme", "Ventas"]
    assert [voice["start"], voice["end"], voice["note"]] == ["2026-11-17", "2026-11-17", ""]
    assert [debt["start"], debt["end"]] == ["2026-11-01", "2026-11-16"]
    assert debt["note"] == "no answer up to 2026-11-17 yet"
    assert debt["skill"] == "'=Cobranza <b>"  # no formula
    targets = [f"{one}_{what}" for one in ("service_level", "abandonment", "asa")
               for what in ("target", "met")]  # fmt: skip
    assert [debt[one] for one in (*targets, "service_level_within", "met")] == [
        *("0.7", "yes", "0.12", "yes", "30.0", "no"), "20", "no"
    ]  # fmt: skip
    assert rows["4173", "chat-web", "month"]["met"] == ""  # nothing is asked of it
    missing = rows["4173", "", "last_month"]
    assert [missing["end"], missing["inbound"], missing["note"]] == [
        "2026-10-31", "", "no answer yet"
    ]  # fmt: skip


def test_the_page_stands_alone(desk: Desk) -> None:
    """One file without script or link, names escaped, each table under its window."""
    file = desk.directory / "report.html"
    for language, title, caption, level, note in (
        ("en", "Service report: acme", "Yesterday, 2026-11-17", "69.95%", "no answer yet: all"),
        ("es", "Informe de servicio: acme", "Ayer, 2026-11-17", "69,95\u00a0%",
         "sin respuesta todavía: all"),
    ):  # fmt: skip
        ended = desk.report("--html", str(file), language=language)
        assert ended.code == 0
        assert "acme: " in ended.output  # beside the file stands the table
        html = file.read_text(encoding="utf-8")
        page = Page(html)
        assert f'<html lang="{language}">' in html
        assert not {"script", "link", "img", "b"} & {*page.tags}
        assert page.tags.count("table") == page.tags.count("caption") == 5
        assert [page.texts[0], page.texts[2]] == [title, title.partition(":")[0]]
        assert {caption, level, "4180 =Cobranza <b>", "Total"} <= {*page.texts}
        assert any(f"{note} Todas" in text for text in page.texts)
        assert page.classes.count("missed") == 2 * (1 + 1 + 1)
        assert page.classes.count("met") == 2 * 2
    standard = desk.report("--html", "-", "--csv", str(desk.directory / "report.csv"))
    assert standard.output.startswith("<!DOCTYPE html>")
    assert standard.output.endswith("</html>\n")
    text = (desk.directory / "report.csv").read_bytes().decode("utf-8")
    assert text == desk.report("--csv", "-").output


def test_what_is_missing_is_said_and_never_0(desk: Desk) -> None:
    """An older day, a month that begins or is off, a refusal, skills that nobody listed."""
    off = operation(SKILLS, month="false", sla=SLA)
    cases: Iterable[tuple[str, str, str, str]] = (
        (ACME, "2026-11-19 09:00", "yesterday",
         "no answer; the state holds one up to 2026-11-17"),
        (ACME, "2026-12-01 09:00", "month", "begins today"),
        (ACME, "2026-12-01 09:00", "last_month", "no answer yet"),
        (ACME, "2026-12-02 09:00", "month",
         "no answer; the state holds one up to 2026-11-17"),
        (off, "2026-11-18 09:00", "month", "not asked for (month: false)"),
        (off, "2026-11-18 09:00", "last_month", "not asked for (month: false)"),
        (operation("discover", name="new", token=1), "2026-11-18 09:00", "yesterday",
         "no answer yet"),
    )  # fmt: skip
    for configured, at, window, note in cases:
        desk.configure(configured)
        rows = sheet(desk.report("--csv", "-", at=at).output)
        found = [one for one in rows if one["window"] == window and one["skill_id"] != "4180"]
        assert found, note
        for one in found:
            assert one["note"] == note, (at, one)
            assert not any(one[column.attribute] for column in COLUMNS), (at, one)
        assert note in desk.report(at=at).output


def test_a_refused_month_says_why(
    stage: Stage, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Skills without rows are empty, not missing, and a total of the others is whole."""

    def reply(seen: Seen) -> httpx.Response:
        if seen.window[0][:8] != seen.window[1][:8]:
            return refusal("CLOSED")
        return (
            no_rows() if seen.skill == "4180" else ok(row(), row("chat-web", inbound_calls="?"))
        )

    stage.api.answer = reply
    stage.begin("2026-11-17 22:30")
    run_virtual(
        stage.live("2026-11-18 02:40", operation("4173 4180", month="true", interval="1h"))
    )
    desk = Desk(stage.directory, run, monkeypatch)
    text = desk.report().output
    assert (
        "This month, 2026-11-01 to 2026-11-17: no answer (access closed): every skill" in text
    )
    assert "Yesterday, 2026-11-17: no interactions: 4180" in text
    total = next(line for line in text.splitlines() if line.startswith("Total "))
    assert total.split()[:5] == ["Total", "–", "180", "20", "40.0%"]  # a part is not the sum
    desk.configure(operation("4173 4180"), operation("1", name="other", token=1))
    assert "other: " in desk.report().output
    assert "other: " not in desk.report("--operation", "acme").output
    unknown = desk.report("--operation", "nobody")
    assert (unknown.code, "'nobody'" in unknown.log) == (2, True)


def test_no_request_leaves_and_nothing_is_written(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a socket; the state directory holds afterwards what it held before."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    before = desk.files()
    assert desk.report("--html", "-").code == desk.report().code == 0
    assert desk.files() == before


async def test_beside_a_running_exporter(
    stage: Stage, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not in the main file yet is shown, also while the exporter is writing."""
    stage.begin("2026-11-17 23:50")
    desk = Desk(stage.directory, run, monkeypatch)
    async with stage.run(operation(), until="2026-11-18 00:10") as running:
        before = desk.files()
        assert before.pop(f"{running.storage.path}-shm")  # the locks of all who read
        assert before[f"{running.storage.path}-wal"]
        with closing(sqlite3.connect(running.storage.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            ended = desk.report()
        assert (ended.code, ended.log) == (0, "")
        assert ["inbound", "(voice)", "100", "90", "10"] in [
            one.split()[:5] for one in ended.output.splitlines()
        ]
        assert before.items() <= desk.files().items()


def test_a_state_that_cannot_be_read(desk: Desk) -> None:
    """One sentence, exit code 1, and nothing is made or changed."""

    def newer(file: Path) -> None:
        with closing(sqlite3.connect(file)) as connection:
            connection.execute(f"PRAGMA user_version = {VERSION + 1}")

    def torn(file: Path) -> None:
        content = file.read_bytes()
        file.write_bytes(content[:4096] + b"\x00" * 8192 + content[12288:])

    file = desk.state / FILE_NAME
    sound = file.read_bytes()
    spoilers: dict[str, Callable[[Path], Any]] = {
        "(No such file or directory); is --storage.path right?": Path.unlink,
        "(file is not a database)": lambda path: path.write_bytes(b"no database" * 999),
        "cannot be read (": torn,
        "was written by a newer exporter": newer,
    }
    for sentence, spoil in spoilers.items():
        file.write_bytes(sound)
        spoil(file)
        before = desk.files()
        ended = desk.report()
        assert (ended.code, ended.output) == (1, ""), sentence
        assert sentence in ended.log, ended.log
        assert ended.log.count("\n") == 1, ended.log
        assert desk.files() == before, sentence


def test_the_file_of_an_earlier_version_keeps_it(desk: Desk) -> None:
    """What 0.1.0 left is reported, and the file is not brought to this version."""
    shutil.copy(FROZEN, desk.state / FILE_NAME)
    before = desk.files()
    desk.configure(operation("4173", url="https://wv0013.wolkvox.com/api/v2/"))
    text = desk.report(at="2026-11-19 09:00").output
    assert re.search(r"^  inbound \(voice\) +1\u202f439 +1\u202f295 +144 ", text, re.MULTILINE)
    assert "This month, 2026-11-01 to 2026-11-18: " in text
    assert desk.files() == before


def test_an_output_that_cannot_be_written(desk: Desk) -> None:
    """Exit code 1 and the file's name; two documents on one output are a wrong usage."""
    ended = desk.report("--csv", str(desk.directory / "nowhere" / "report.csv"))
    assert (ended.code, ended.output) == (1, "")
    assert "nowhere/report.csv cannot be written: No such file or directory" in ended.log
    both = desk.report("--html", "-", "--csv", "-")
    assert (both.code, "only one of --html and --csv" in both.log) == (2, True)
