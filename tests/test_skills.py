"""The list of skills as YAML: safe to paste, whatever the names; asked under the rules."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.config.yamlfile import read_yaml
from exporter.messages import Words
from exporter.tools.session import Verdict
from exporter.tools.skills import Listing, as_yaml, list_skills
from exporter.wolkvox.report import Skill, read_skills
from tests.e2e_api import Reply, Script, Serve, found, refused
from tests.e2e_support import TOKEN, Launch, operation, write_config
from tests.polling_support import Stage
from tests.polling_support import operation as scripted
from tests.tools_support import opened
from tests.virtual import no_rows, ok, refusal

HOSTILE = (
    'say "hola"',
    "it's: a {trap}, [really] # no comment",
    "back\\slash \\n \\u0041",
    "two\nlines\r\u2028here",
    "emoji 🎧 ñandú 中文",
    "- !!python/object:os.system",
    "*alias &anchor %TAG @at `tick`",
    "null",
    "true",
    "4173",
    "\x1b[2Jescape\x07",
    "  blanks  ",
    "x" * 500,
    "a\u202eb\u200b",
    "",
)


def rows(*names: str) -> list[dict[str, str]]:
    """Skills as the API lists them."""
    return [
        {"skill_id": str(number), "skill_name": name, "last_use": "2026-11-18 09:00:00"}
        for number, name in enumerate(names, start=4173)
    ]


def read_back(text: str) -> list[tuple[str, str]]:
    """What the configuration's own reader makes of the list."""
    with tempfile.TemporaryDirectory(prefix="wolkvox-tests-") as directory:
        file = Path(directory) / "skills.yml"
        file.write_text(text, encoding="utf-8")
        listed = read_yaml(file).value
    assert isinstance(listed, list)
    return [(str(one["id"]), one["name"]) for one in listed]


@example([(name, name) for name in HOSTILE])
@given(st.lists(st.tuples(st.text(), st.text()), max_size=5))
def test_any_name_reads_back(names: list[tuple[str, str]]) -> None:
    """Neither a name nor a last use of the API's can break the list."""
    listed = [
        {"skill_id": str(number), "skill_name": name, "last_use": used}
        for number, (name, used) in enumerate(names)
    ]
    skills = read_skills(listed)
    text = as_yaml(skills, Words("en"))
    assert len(text.splitlines()) == len(skills)
    assert all(char.isprintable() or char == "\n" for char in text)
    back = read_back(text) if skills else []
    assert back == [(skill.id, skill.name) for skill in skills]


def test_ids_that_yaml_would_change() -> None:
    """Leading zeros and long numbers are quoted; last use is a comment where it is known."""
    skills = [Skill("0042", "a", ""), Skill("0", "b", ""), Skill("9" * 19, "c", "today")]
    text = as_yaml(skills, Words("en"))
    assert text.splitlines()[0] == '      - {id: "0042", name: "a"}'
    assert text.splitlines()[2].endswith("}  # last use today")
    assert read_back(text) == [("0042", "a"), ("0", "b"), ("9" * 19, "c")]


async def listing(stage: Stage, skills: str = "discover") -> Listing | Verdict:
    """Ask for the skills of the operation."""
    loaded = stage.configure(scripted(skills, interval="5m"))
    async with opened(stage, loaded) as sessions:
        return await list_skills(sessions["acme"])


async def test_asked_once_an_interval(state_directory: Path) -> None:
    """Within the interval the same list is shown again, with its age, at no call."""
    stage = Stage(state_directory)
    stage.api.answer = lambda seen: ok(*rows("Ventas", "Cobranza"))
    first = await listing(stage)
    assert isinstance(first, Listing)
    assert [skill.name for skill in first.skills] == ["Ventas", "Cobranza"]
    stage.world.shift += timedelta(minutes=2)
    again = await listing(stage, "4173")
    assert isinstance(again, Listing)
    assert again.skills == first.skills
    assert again.age == pytest.approx(120.5, abs=1)
    assert len(stage.seen(report="skills")) == 1
    stage.world.shift += timedelta(minutes=3)
    assert isinstance(await listing(stage), Listing)
    assert len(stage.seen(report="skills")) == 2


async def test_what_the_exporter_asked(state_directory: Path) -> None:
    """Within the interval of an exporter's own discovery its list is shown, with its age."""
    stage = Stage(state_directory)
    stage.api.answer = lambda seen: (
        ok(*rows("Ventas")) if seen.report == "skills" else no_rows()
    )
    async with stage.run(scripted("discover", interval="5m"), until="10:01"):
        found = await listing(stage)
    assert isinstance(found, Listing)
    assert found.skills == (Skill("4173", "Ventas", ""),)
    assert found.age == pytest.approx(60, abs=1)
    assert len(stage.seen(report="skills")) == 1


async def test_an_empty_list_changes_nothing(state_directory: Path) -> None:
    """An operation does not lose its skills by an answer without any."""
    stage = Stage(state_directory)
    stage.api.answer = lambda seen: ok(*rows("Ventas"))
    await listing(stage)
    stage.world.shift += timedelta(hours=1)
    stage.api.answer = lambda seen: no_rows()
    assert await listing(stage) == Listing((), 0.0)
    async with opened(stage, stage.configure(scripted("discover"))) as sessions:
        assert [skill.id for skill in await sessions["acme"].known_skills()] == ["4173"]


async def test_nothing_was_listed_before(state_directory: Path) -> None:
    """A failure comes back as it is; there is no list to show until the next slot."""
    stage, messages = Stage(state_directory), ["SIMULTANEOUS", "VALIDATE TOKEN"]
    stage.api.answer = lambda seen: refusal(messages[0])
    for verdict in ("concurrency", "unauthorized"):
        found = await listing(stage)
        assert isinstance(found, Verdict)
        assert found.key == verdict
        held = await listing(stage)
        assert isinstance(held, Verdict)
        assert held.key in ("recent", "held.unauthorized")
        del messages[0]
        stage.world.shift += timedelta(hours=2)
    stage.api.answer = lambda seen: no_rows()
    assert await listing(stage) == Listing((), 0.0)


def answer(reply: Reply) -> Script:
    """A script that always answers the same."""
    return lambda asked: reply


@pytest.mark.e2e
def test_from_the_environment_alone(launch: Launch, tmp_path: Path, serve_api: Serve) -> None:
    """Server and token are enough: the skills are what is to be found out."""
    api = serve_api(answer(found(*rows(*HOSTILE))))
    env = {"WOLKVOX_SERVER": api.url(), "WOLKVOX_TOKEN": TOKEN}
    life = launch("skills", env=env)
    assert life.wait() == 0, life.log()
    assert [name for _, name in read_back(life.output())][4] == HOSTILE[4]
    assert api.asked[0].query["api"] == "skills"
    for language, (of, used) in {
        "en_US.UTF-8": ("as of", "last use"),
        "es_CO.UTF-8": ("de hace", "último uso"),
    }.items():
        again = launch("skills", env={**env, "LC_ALL": language})
        assert again.wait() == 0
        head, first, *_ = again.output().splitlines()
        assert f", skills: {len(HOSTILE)}, {of} " in head
        assert first.endswith(f"}}  # {used} 2026-11-18 09:00:00")
    assert len(api.asked) == 1
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()


@pytest.mark.e2e
def test_which_operation(launch: Launch, tmp_path: Path, serve_api: Serve) -> None:
    """Where several are configured one is to be named; a wrong name lists the right ones."""
    api = serve_api(answer(found(*rows("Ventas"))))
    names = ("one", "two")
    texts = [operation(api.url(name), name=name, token=TOKEN + name) for name in names]
    write_config(tmp_path, *texts)
    for argv, message in (
        ([], "say which operation"),
        (["--operation", "x"], "no operation 'x'"),
    ):
        life = launch("skills", *argv)
        assert life.wait() == 2
        assert f"{message}; configured: one, two" in life.log()
    life = launch("skills", "--operation", "two")
    assert life.wait() == 0
    assert [asked.operation for asked in api.asked] == ["two"]


@pytest.mark.e2e
def test_a_failure_in_spanish(launch: Launch, tmp_path: Path, serve_api: Serve) -> None:
    """Exit 1 with what to do, in the language of the terminal; stdout stays empty."""
    api = serve_api(answer(refused("PLEASE VALIDATE TOKEN")))
    write_config(tmp_path, operation(api.url(), interval="5m"))
    for verdict in ("unauthorized", "held.unauthorized"):
        life = launch("skills", env={"LANG": "es_MX.UTF-8"})
        assert life.wait() == 1
        assert Words("es").text(f"verdict.{verdict}") in life.log()
        assert "token: está aquí en texto plano" in life.log(), "warnings that may be the cause"
        assert not life.output()
    assert len(api.asked) == 1
