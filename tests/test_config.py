"""Loading a configuration: files, defaults, environment variables, and their meaning."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import certifi
import pytest
from pydantic import SecretStr

import exporter.config
from exporter.config import Skill, from_environment, in_environment, load
from exporter.config.plan import plan, render_plan
from exporter.config.tokens import TokenSource, TokenUnreadable, token_digest
from exporter.config.values import format_duration
from exporter.errors import ConfigError, Problem
from exporter.messages import catalogue
from exporter.metrics.sla import goals
from tests.config_support import (
    TOKENS,
    configuration,
    operation,
    problems_of,
    sla,
    text_of,
    written,
)

Write = Callable[..., Path]

Place = tuple[int, str, str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a configuration of these operations; returns its path."""

    def _write(*operations: str, defaults: str = "", name: str = "wolkvox.yml") -> Path:
        file = tmp_path / name
        file.write_text(text_of(*operations, defaults=defaults), encoding="utf-8")
        return file

    return _write


def refused(*paths: Path, environ: Mapping[str, str] = TOKENS) -> list[Problem]:
    """Return what is wrong with these files."""
    with pytest.raises(ConfigError) as caught:
        load(paths, environ)
    return list(caught.value.problems)


def places(problems: Iterable[Problem]) -> list[Place]:
    """Return where problems are: line, operation, path."""
    return [(one.line, one.operation, one.path) for one in problems]


def test_the_least_an_operation_says() -> None:
    """Four keys make an operation; the rest has the documented defaults."""
    made = configuration()
    [one] = made.operations
    assert (one.name, one.server, one.loopback) == ("acme", "wv0013", False)
    assert one.base_url == "https://wv0013.wolkvox.com/api/v2/"
    assert one.skills == (Skill("4173", "4173", None),)
    assert one.token.read().get_secret_value() == "canary-0123456789"
    assert made.warnings == ()


def test_everything_an_operation_may_say(write: Write, tmp_path: Path) -> None:
    """Each key arrives with its meaning: seconds, ratios, absolute paths."""
    (tmp_path / "ca.pem").write_bytes(Path(certifi.where()).read_bytes())
    text = written(
        timezone="America/Lima",
        interval="10m",
        timeout="90s",
        stale_after="1h",
        labels="{a: b}",
        daily_requests=1000,
        poll_hours="'Mo-Sa 06:00-22:00'",
        ca_file="ca.pem",
        proxy="'http://me:secret@proxy.example:3128'",
        token_info="true",
        sla="[{channels: [chat-web], skills: [4173],"
        " service_level: {within: 20s, target: 80 %}, abandonment: {max: 5.5%},"
        " asa: {max: 1m30s}, min_interactions: 0,"
        " hours: 'Mo-Fr 07:00-19:00; PH off', country: CO}]",
    )
    [one] = load([write(text)], TOKENS).operations
    assert one.timezone == ZoneInfo("America/Lima")
    assert (one.interval, one.timeout, one.stale_after) == (600, 90, 3600)
    assert (one.daily_requests, one.poll_hours) == (1000, "Mo-Sa 06:00-22:00")
    assert one.ca_file == tmp_path / "ca.pem"
    assert one.proxy == SecretStr("http://me:secret@proxy.example:3128")
    assert "secret" not in repr(one)
    assert (one.token_info, dict(one.labels)) == (True, {"a": "b"})
    [entry] = one.sla
    assert (entry.channels, entry.skills) == (("chat-web",), ("4173",))
    assert entry.service_level is not None
    assert (entry.service_level.within, entry.service_level.target) == (20, 0.8)
    assert goals(entry) == {"service_level_20": 0.8, "abandonment": 0.055, "asa": 90}
    assert entry.min_interactions == 0
    assert (entry.hours, entry.country) == ("Mo-Fr 07:00-19:00; PH off", "CO")


def test_skills_are_listed_or_discovered() -> None:
    """Ids are texts whatever YAML makes of them; names default to the id."""
    skills = "[{id: 4173, name: Ventas}, {id: '7'}, {id: all}, {id: 8, interval: 15m}]"
    assert operation(skills=skills).skills == (
        Skill("4173", "Ventas"),
        Skill("7", "7"),
        Skill("all", "all"),
        Skill("8", "8", 900),
    )
    found = operation(skills="discover")
    assert (found.discover, found.skills) == (True, ())


def test_defaults_are_overridden_key_by_key() -> None:
    """An operation's own key replaces the default as a whole; only labels are added up."""
    first, second = configuration(
        written(interval="15m", labels="{b: y}", sla="[]"),
        written("other", token_env="OTHER_TOKEN"),
        defaults="interval: 10m, timezone: America/Lima, labels: {a: x, b: x},"
        " sla: [{asa: {max: 30s}}]",
    ).operations
    assert (first.interval, second.interval) == (900, 600)
    assert (first.stale_after, second.stale_after) == (2700, 1800)
    assert first.timezone == second.timezone == ZoneInfo("America/Lima")
    assert (dict(first.labels), dict(second.labels)) == (
        {"a": "x", "b": "y"},
        {"a": "x", "b": "x"},
    )
    assert (len(first.sla), len(second.sla)) == (0, 1)


def test_operations_that_say_the_same_are_equal() -> None:
    """A reload keeps what did not change: any key that differs makes another operation."""
    keys = {
        "skills": "[{id: 1}]",
        "interval": "10m",
        "proxy": "'http://u:p@proxy.example:1'",
        "labels": "{a: b}",
        "sla": "[{asa: {max: 30s}}]",
        "token_env": "OTHER_TOKEN",
        "timezone": "America/Lima",
        "stale_after": "20m",
    }
    assert operation() == operation(interval="5m", stale_after="900s")
    for key, value in keys.items():
        assert operation() != operation(**{key: value}), key
        assert operation(**{key: value}) == operation(**{key: value}), key
    token = written(token_env=None, token="canary-01")
    assert configuration(token).operations == configuration(token).operations
    other = written(token_env=None, token="canary-02")
    assert configuration(token).operations != configuration(other).operations


def test_a_default_is_judged_with_the_operation_that_takes_it() -> None:
    """A default that is wrong beside a key of one operation may be replaced there."""
    made = configuration(written(interval="20m", stale_after="1h"), defaults="stale_after: 15m")
    assert made.operations[0].stale_after == 3600


def test_very_many_problems_take_no_time() -> None:
    """Thousands of problems in one list are reported without comparing each with each."""
    assert len(problems_of(f"operations: [{{sla: [{'~,' * 2_000}]}}]")) == 2_000 + 4


def test_several_files_add_up(write: Write, tmp_path: Path) -> None:
    """A directory means its *.yml in order; defaults are for the operations of their file."""
    write(written("b", token_env="OTHER_TOKEN"), name="b.yml")
    write(written("a"), defaults="interval: 10m", name="a.yml")
    write("nonsense", name=".hidden.yml")
    write("nonsense", name="c.yaml")
    made = load([tmp_path], TOKENS)
    assert [(one.name, one.interval) for one in made.operations] == [("a", 600), ("b", 300)]
    [warning] = made.warnings
    assert warning.startswith(f"{tmp_path}/c.yaml: ")
    assert ".yml" in warning


def test_problems_of_several_files_name_the_file(write: Write, tmp_path: Path) -> None:
    """All problems of all files come at once, each with its file, in the order of the files."""
    first = write(written(), name="a.yml")
    second = write(written(interval=5), name="b.yml")
    third = tmp_path / "c.yml"
    third.write_text("operations: [", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    nowhere = tmp_path / "none.yml"
    found = refused(first, second, third, tmp_path / "empty", nowhere)
    assert [(one.file, one.line, one.path) for one in found] == [
        (f"{tmp_path}/empty", 0, ""),
        (str(second), 2, "interval"),
        (str(second), 2, "name"),
        (str(third), 1, ""),
        (str(nowhere), 0, ""),
    ]
    assert f"{first}:2" in found[2].reason


def test_paths_that_are_none() -> None:
    """No path and a path that cannot exist are problems, not crashes."""
    assert len(refused()) == 1
    [problem] = refused(Path("a\0b"))
    assert "null" in problem.reason


def test_a_problem_names_file_line_and_operation(write: Write) -> None:
    """Whoever edits a long file finds the line; `op37` stands there, not its number."""
    many = [written(f"op{n}", server=f"wv{n:04d}", token_env="T") for n in range(40)]
    many[37] = many[37].replace("id: 4173", "id: 4173, nombre: x")
    many[38] = many[38].replace("name: op38, ", "")
    file = write(*many)
    told = [str(problem) for problem in refused(file, environ={"T": "canary"})]
    assert told[0].startswith(f"{file}:39: operation op37, skills.0.nombre: is not a known key")
    assert told[1].startswith(f"{file}:40: operation #39, name: is missing")


def test_one_token_polls_a_skill_of_a_server_once() -> None:
    """Twice the same query would be one by its identity, and cost twice."""
    same = text_of(written(), written("twin", skills="[{id: 1}, {id: '04173'}]"))
    assert places(problems_of(same)) == [(3, "operation twin", "skills.1.id")]
    for first, second in (("discover", "[{id: 1}]"), ("[{id: 1}]", "discover")):
        text = text_of(written(skills=first), written("twin", skills=second))
        assert places(problems_of(text)) == [(3, "operation twin", "skills")]


def test_targets_in_defaults_may_name_skills_of_any_operation() -> None:
    """A skill in the targets of the defaults need not be in every operation."""
    targets = "sla: [{skills: [4173], asa: {max: 30s}}]"
    [one] = configuration(written(), defaults=targets).operations
    assert one.sla[0].skills == ("4173",)
    [one] = configuration(written(skills="discover"), defaults=targets).operations
    assert one.discover


def warnings_of(*operations: str) -> list[tuple[str, str]]:
    """Return the warnings of operations: place and reason."""
    found = [one.split(":", 3) for one in configuration(*operations).warnings]
    return [(place.strip(), reason) for _, _, place, reason in found]


def test_what_is_likely_a_mistake_is_warned_about() -> None:
    """A plain token, and an address without the path below which Wolkvox answers."""
    for address, odd in (
        ("https://wv0013.wolkvox.com", True),
        ("https://gateway.example/wolkvox/", True),
        ("https://gateway.example/wolkvox/api/v2", False),
        ("http://127.0.0.1:8080/", False),
    ):
        text = written("a", server=None, url=f"'{address}'", token_env=None, token="c")
        told = ["operation a, token", *(["operation a, url"] if odd else [])]
        assert [place for place, _ in warnings_of(text)] == told, address


def test_a_channel_that_wolkvox_does_not_document_is_warned_about() -> None:
    """With the channel that was meant; `unknown` is the exporter's own."""
    meant = {
        "voz": "inbound",
        "inbond": "inbound",
        "Inbound": "inbound",
        "teléfono": "inbound",
        "outbound": "out_pre",
        "whatsapp": "chat-whatsapp",
        "chat_whatsapp": "chat-whatsapp",
        "chat-transferskill": "chat-transferSkill",
        "instagram": 'chat-instagram", "omni-instagram',
        "correo": 'omni-email", "chat-email',
        "xyz": "",
        "all": "",
    }
    text = written(sla=f"[{{channels: [{', '.join(meant)}, inbound, unknown], hours: 24/7}}]")
    for number, ((word, hint), (place, reason)) in enumerate(
        zip(meant.items(), warnings_of(text), strict=True)
    ):
        assert place == f"operation acme, sla.0.channels.{number}"
        shown = f' (did you mean "{hint}"?)' if hint else ""
        assert f'"{word}" is not a channel that Wolkvox documents{shown}: ' in reason


def test_seconds_that_hold_for_mail_are_warned_about() -> None:
    """A target without channels reaches those where an answer takes hours."""
    target = "{service_level: {within: 20s, target: 80%}}"
    slow = "chat-email, omni-email, omni-facebook_page, omni-instagram, omni-twitter"
    for targets, warned in (
        (target, True),
        ("{channels: [inbound], service_level: {within: 20s, target: 80%}}", False),
        (
            f"{target}, {target.replace('{', f'{{skills: [4173], channels: [{slow}], ', 1)}",
            True,
        ),
        ("{abandonment: {max: 5%}, asa: {max: 1h}}", False),
        ("{asa: {max: 30s}}", True),
        (f"{{asa: {{max: 30s}}}}, {{channels: [{slow}], asa: {{max: 8h}}}}", False),
        (f"{target}, {target.replace('{', f'{{channels: [{slow}], ', 1)}", False),
        (f"{target}, {target.replace('{', '{channels: [omni-email], ', 1)}", True),
    ):
        told = [place for place, _ in warnings_of(written(sla=f"[{targets}]"))]
        assert told == (["operation acme, sla.0"] if warned else []), targets


def test_a_quote_at_the_end_of_a_name_is_warned_about() -> None:
    """It is a part of the name, and hardly meant, where nothing opens it."""
    for name, warned in (('Ventas"', 1), ("Ventas'", 1), ("'Sala \"B\"'", 0), ('"Ventas"', 0)):
        told = [place for place, _ in warnings_of(written(skills=f"[{{id: 1, name: {name}}}]"))]
        assert told == ["operation acme, skills.0.name"] * warned, name


def test_a_zone_that_counts_the_other_way_round_is_warned_about() -> None:
    """`Etc/GMT+5` is right for Bogota, and looks wrong; `Etc/GMT-5` is the reverse."""
    for zone, offset in (("Etc/GMT+5", "UTC-5"), ("Etc/GMT-5", "UTC+5")):
        [(place, reason)] = warnings_of(written(timezone=zone))
        assert place == "operation acme, timezone"
        assert offset in reason
    assert warnings_of(written(timezone="Etc/GMT")) == []


def test_a_team_under_labels_is_read_as_the_key() -> None:
    """With a warning; the nearer of two teams counts, and no label of its own is left."""
    for keys, defaults, team, warned in (
        ({"team": "noc"}, "team: other", "noc", []),
        (
            {"labels": "{team: noc, a: b}"},
            "team: other",
            "noc",
            ["operation acme, labels.team"],
        ),
        ({"labels": "{team: x}", "team": "noc"}, "", "noc", ["operation acme, labels.team"]),
        ({"labels": "{a: b}"}, "labels: {team: noc}", "noc", ["defaults.labels.team"]),
        ({}, "", None, []),
    ):
        made = configuration(written(**keys), defaults=defaults)
        [one] = made.operations
        assert (one.team, "team" in one.labels) == (team, False), keys
        assert [text.split(": ")[1] for text in made.warnings] == warned, keys
    [problem] = problems_of(text_of(written(labels="{team: 5}")))
    assert problem.path == "labels.team"


def test_short_intervals_are_for_loopback_only(tmp_path: Path) -> None:
    """Where no real Wolkvox can be, a second is allowed; per skill as well."""
    file = tmp_path / "local.yml"
    file.write_text(
        "operations: [{name: a, url: 'http://localhost:8080/x', token: canary-01, interval: 1s,"
        " timeout: 100ms, skills: [{id: 1, interval: 2s}]}]",
        encoding="utf-8",
    )
    [one] = load([file], {}).operations
    assert (one.base_url, one.server) == ("http://localhost:8080/x/", "localhost:8080")
    assert (one.loopback, one.interval, one.timeout, one.stale_after) == (True, 1, 0.1, 3)
    assert one.skills[0].interval == 2


def test_durations_are_those_of_prometheus() -> None:
    """Units stand in order, each once; they are shown as hours and less."""
    for text, seconds, shown in (
        ("300s", 300, "5m"),
        ("1h30m", 5400, "1h30m"),
        ("1d", 86_400, "24h"),
        ("1m500ms", 60.5, "1m500ms"),
        ("61s", 61, "1m1s"),
        ("0s", 0, "0s"),
        ("1w1d", 691_200, "192h"),
        ("1y15ms", 31_536_000.015, "8760h15ms"),
    ):
        assert goals(sla(f"{{asa: {{max: {text}}}}}")[0]) == {"asa": seconds}, text
        assert format_duration(seconds) == shown


def test_urls_are_normalised() -> None:
    """Case, default ports and the last slash make no difference."""
    wolkvox = "https://wv0013.wolkvox.com/api/v2/"
    for address, base_url, server, loopback in (
        ("https://wv0013.wolkvox.com/api/v2", wolkvox, "wv0013", False),
        ("HTTPS://WV0013.wolkvox.com:443/api/v2/", wolkvox, "wv0013", False),
        ("https://wolk.example:8443", "https://wolk.example:8443/", "wolk.example:8443", False),
        ("http://127.9.9.9:80//", "http://127.9.9.9/", "127.9.9.9", True),
        ("http://[::1]:8080/api", "http://[::1]:8080/api/", "[::1]:8080", True),
        ("https://[2001:db8::1]/", "https://[2001:db8::1]/", "[2001:db8::1]", False),
    ):
        one = operation(server=None, url=f"'{address}'")
        assert (one.base_url, one.server, one.loopback) == (base_url, server, loopback)


def test_servers_have_three_forms() -> None:
    """Digits, wv and digits in either case."""
    addresses = {operation(server=f"'{one}'").base_url for one in ("0013", "wv0013", "WV0013")}
    assert addresses == {"https://wv0013.wolkvox.com/api/v2/"}


def test_only_what_must_be_this_machine_is_loopback() -> None:
    """Lookalikes of loopback addresses are ordinary hosts."""
    lookalikes = ("128.0.0.1", "127.1", "[::ffff:127.0.0.1]", "localhost.example.com", "[::]")
    for host in lookalikes:
        assert not operation(server=None, url=f"'https://{host}/'").loopback, host


def test_proxies_are_http_urls() -> None:
    """Users, passwords and ports are fine."""
    for good in ("http://proxy", "https://u:p%40@proxy.example:3128/", "HTTP://[::1]:8080"):
        assert operation(proxy=f"'{good}'").proxy == SecretStr(good)


def test_percentages_are_exact_ratios() -> None:
    """The ratio is the decimal one, not what binary division makes of it."""
    for text, ratio in (("80%", 0.8), ("99.9 %", 0.999), ("0%", 0), ("100%", 1)):
        assert goals(sla(f"{{abandonment: {{max: {text}}}}}")[0]) == {"abandonment": ratio}


def test_variables_describe_one_operation() -> None:
    """Without a file the operation is named after its server."""
    wolkvox = "https://wv0013.wolkvox.com/api/v2/"
    for address, name, base_url in (
        ("0013", "wv0013", wolkvox),
        (wolkvox.rstrip("/"), "wv0013", wolkvox),
        ("http://127.0.0.1:81/", "127.0.0.1", "http://127.0.0.1:81/"),
        ("http://[::1]:81/", "--1", "http://[::1]:81/"),
        ("https://wolk.example:81/", "wolk.example", "https://wolk.example:81/"),
    ):
        skills = {"WOLKVOX_SKILLS": "4173=Ventas, all,"}
        environ = {"WOLKVOX_SERVER": address, "WOLKVOX_TOKEN": "canary-01", **skills}
        assert in_environment(environ)
        [one] = from_environment(environ).operations
        assert (one.name, one.base_url) == (name, base_url)
        assert one.skills == (Skill("4173", "Ventas"), Skill("all", "all"))
        assert str(one.token.place()) == "the environment variable WOLKVOX_TOKEN"


def test_problems_of_variables_name_the_variable() -> None:
    """All problems at once here too, each as `VARIABLE: reason`."""
    server, token, file = "WOLKVOX_SERVER", "WOLKVOX_TOKEN", "WOLKVOX_TOKEN_FILE"
    skills, zone = "WOLKVOX_SKILLS", "WOLKVOX_TIMEZONE"
    nothing = [
        (server, "set it to 0013, wv0013 or a URL"),
        (skills, "4173=Ventas,all"),
        (file, "set WOLKVOX_TOKEN or WOLKVOX_TOKEN_FILE"),
    ]
    wrong = {server: "wolkvox.com", token: "canary 01", skills: "Ventas=4173,1=,all,all"}
    reasons = [
        (server, "an address begins with https://"),
        (skills, "numbers of skills"),
        (skills, "must not be empty"),
        (zone, 'did you mean "America/Lima"'),
        (token, "holds more than a token"),
    ]
    both = {server: "0013", token: "canary-01", file: "token", skills: "all,all"}
    twice = [(skills, "is listed twice"), (token, "set only one")]
    for environ, told in (({}, nothing), ({**wrong, zone: "Lima"}, reasons), (both, twice)):
        with pytest.raises(ConfigError) as caught:
            from_environment(environ)
        found = sorted(caught.value.problems, key=lambda one: one.path)
        assert [one.path for one in found] == [variable for variable, _ in told]
        for variable, words in told:
            [line] = [str(one) for one in found if one.path == variable and words in one.reason]
            assert line.startswith(f"{variable}: ")


def test_an_environment_without_variables_describes_nothing() -> None:
    """A time zone alone, or empty variables, are no configuration."""
    assert not in_environment({"WOLKVOX_TIMEZONE": "America/Lima", "WOLKVOX_TOKEN": ""})


FILES = Path(__file__).parent / "data" / "config"

MESSAGES = FILES / "messages.json"


def messages(file: Path, language: str) -> list[str]:
    """Return what is said of a bad file in a language, without the names of the machine."""
    environ = {"ACME_TOKEN": "canary-0123456789", "LC_MESSAGES": language}
    told = [str(one).replace(f"{FILES}/", "") for one in refused(file, environ=environ)]
    return [one.removeprefix(file.name).replace(str(FILES), "{files}") for one in told]


def test_each_rule_says_what_to_write_instead() -> None:
    """A file that breaks a rule is refused in exactly these words, and none is forgotten.

    The words are ours, one line for each problem, in English and Spanish, and repeat neither a
    token nor a password.
    """
    found = {
        file.name.removesuffix(".bad.yml"): {one: messages(file, one) for one in ("en", "es")}
        for file in sorted(FILES.glob("*.bad.yml"))
    }
    if not MESSAGES.exists():
        text = json.dumps(found, ensure_ascii=False, indent=1)
        MESSAGES.write_text(f"{text}\n", encoding="utf-8")
        pytest.fail(f"{MESSAGES} was written anew: read the difference, then run again")
    expected = json.loads(MESSAGES.read_text(encoding="utf-8"))
    assert found.keys() == expected.keys()
    for name, told in found.items():
        assert told == expected[name]
        assert not re.search("canary|7b2263616e6172|Input should|valid(?!o)", str(told)), name
        assert not {*told["en"]} & {*told["es"]}, name


def test_every_message_is_used() -> None:
    """A text about the configuration that no code names any more is deleted."""
    folder = Path(exporter.config.__file__).parent
    code = "".join(file.read_text(encoding="utf-8") for file in folder.glob("*.py"))
    named = set(re.findall(r'"(?:config\.)?(\w+)"', code))
    families = ("place_", "kind_", "hint_", "token_file_", "server_", "name_", "skills_")
    of_pydantic = {"missing", "tuple_type", "bool_type", "int_type", "greater_than_equal"}
    keys = {key.split(".")[1] for key in catalogue("en") if key.startswith("config.")}

    assert not [key for key in keys - named - of_pydantic if not key.startswith(families)]


CANARY = "canary0123456789abcdef0123456789"


def refusal(source: TokenSource) -> str:
    """Return why a token cannot be read."""
    with pytest.raises(TokenUnreadable) as caught:
        source.read()
    return str(caught.value)


def test_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    """A rotated token needs no restart; blanks and line breaks around it do not count."""
    file = tmp_path / "token"
    source = TokenSource(file=file)
    for content in (b"first", b"  second\r\n\n", b"\xef\xbb\xbfthird"):
        file.write_bytes(content)
        assert source.read().get_secret_value() in {"first", "second", "third"}
    assert source.read() == SecretStr("third")


def test_a_file_that_holds_no_token_is_refused(tmp_path: Path) -> None:
    """The message names the file and what is odd about it, never what it holds."""
    file = tmp_path / "token"
    long = "holds more than 4,096 characters: that is no token"
    for content, why in (
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"a" * 4097, long),
        (b"a" * 100_000, long),
        (b"token: canary", "holds more than a token (a blank"),
        (b"one\ntwo", "holds more than a token"),
        (b"a\x00b", "holds more than a token"),
        ("contraseña".encode(), "holds more than a token"),
        (b"\xff\xfe", "holds more than a token"),
    ):
        file.write_bytes(content)
        told = refusal(TokenSource(file=file))
        assert told.startswith(f"the file {file} {why}"), content
        assert "canary" not in told


def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path) -> None:
    """A missing file, a directory, a pipe (which would block) and a device are told by name."""
    os.mkfifo(tmp_path / "pipe")
    assert refusal(TokenSource(file=tmp_path / "none")).endswith(
        "none does not exist: write the token into it"
    )
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        assert refusal(TokenSource(file=path)) == f"the file {path} is not a plain file"
    (tmp_path / "plain").write_bytes(b"x")
    assert "cannot be read (Not a directory)" in refusal(
        TokenSource(file=tmp_path / "plain" / "x")
    )
    assert "null character" in refusal(TokenSource(file=tmp_path / "a\0"))


def test_the_other_places_of_a_token() -> None:
    """A variable is told by its name, the configuration itself as such."""
    variable = TokenSource(variable="ACME_TOKEN", value=SecretStr("a b"))
    assert refusal(variable).startswith("the environment variable ACME_TOKEN holds more")
    assert refusal(TokenSource()) == "the configuration is empty: write the token there"
    odd = TokenSource(variable="x" * 40, value=SecretStr("a"))
    assert str(odd.place()) == "the environment variable (name not shown)"
    assert token_digest(SecretStr(CANARY)) != token_digest(SecretStr("other"))
    assert "canary" not in token_digest(SecretStr(CANARY))


def test_files_that_everybody_may_read_are_told(tmp_path: Path) -> None:
    """Other users' access counts, but not below /run/secrets, where it is the runtime's."""
    file = tmp_path / "token"
    file.touch()
    for mode, exposed in ((0o644, True), (0o640, False)):
        file.chmod(mode)
        assert TokenSource(file=file).exposed() == exposed
    for other in ("/run/secrets/acme", "/var/run/secrets/acme", str(tmp_path / "none")):
        assert not TokenSource(file=Path(other)).exposed()
    assert not TokenSource(variable="X").exposed()


def test_relative_token_files_begin_at_the_configuration(tmp_path: Path) -> None:
    """A warning names a file that everybody may read."""
    (tmp_path / "token").write_text(CANARY, encoding="utf-8")
    (tmp_path / "token").chmod(0o644)
    file = tmp_path / "wolkvox.yml"
    file.write_text(
        "operations: [{name: a, server: wv0013, token_file: token, skills: [{id: 1}]}]",
        encoding="utf-8",
    )
    configuration = load([file], {})
    assert configuration.operations[0].token.read() == SecretStr(CANARY)
    [warning] = configuration.warnings
    assert warning.startswith(f"{file}:1: operation a, token_file: every user of this machine")
    assert f"{tmp_path}/token" in warning


def test_a_loaded_token_is_nowhere_to_be_seen(tmp_path: Path) -> None:
    """Neither repr, str, the plan nor a dump of the model holds the token."""
    (tmp_path / "file").write_text(CANARY, encoding="utf-8")
    for place, value in (("token", CANARY), ("token_env", "ACME"), ("token_file", "file")):
        own = f"name: a, server: wv0013, {place}: {value}, skills: [{{id: 1}}]"
        file = tmp_path / "wolkvox.yml"
        file.write_text(f"operations: [{{{own}}}]", encoding="utf-8")
        made = load([file], {"ACME": CANARY})
        [one] = made.operations
        told = f"{made!r} {made} {one.token!r} {one.token.place()} {made.warnings}"
        told += render_plan(plan(made, datetime(2026, 11, 22, tzinfo=UTC)))
        told += f"{one!r} {one} {one.model_dump()} {one.model_dump_json()}"
        assert "canary" not in told, place


def test_what_is_hardly_a_token_is_warned_about(tmp_path: Path) -> None:
    """It is still sent: the warning says what is odd, and repeats nothing of it."""
    source = {"WOLKVOX_SERVER": "0013", "WOLKVOX_SKILLS": "all"}
    file = tmp_path / "token"
    file.touch(mode=0o600)
    odd = {
        "a quote": ('"{token}"', "'{token}'", '{token}"', 'WOLKVOX_TOKEN="{token}"'),
        "NAME=token": ("WOLKVOX_TOKEN={token}", "token={token}"),
        "JSON": ('{{"token":"{token}"}}', '["{token}"]'),
        "placeholder": (
            *(
                "${{WOLKVOX_TOKEN}}",
                "$WOLKVOX_TOKEN",
                "$(cat/{token})",
                "{{{{.Values.token}}}}",
            ),
            *("%TOKEN%", "<token>", "changeme", "your-token-here", "xxxxxxxx", "***"),
        ),
        "a header": ("wolkvox-token:{token}", "Bearer:{token}"),
        "a header or a URL": ("https://wv0013.wolkvox.com/{token}",),
        "path": ("/run/secrets/acme", "./secrets/acme"),
        "base64": ("N2IyMjc1NzM2NTcyMjIzYTIyNjM2YzY5NjU2ZTc0MjI3ZDJkMzIzMDMyMzY=",),
        "": ("{token}", f"7b{'22757365723a'}{'2d' * 25}", "another-token", "YWJj=="),
    }
    for text, why in ((one, why) for why, all_of_it in odd.items() for one in all_of_it):
        token = text.format(token=CANARY)
        file.write_text(token)
        for place in ({"WOLKVOX_TOKEN": token}, {"WOLKVOX_TOKEN_FILE": str(file)}):
            warnings = from_environment({**source, **place}).warnings
            assert len(warnings) == bool(why), text
            assert why in "".join(warnings)
            assert CANARY[:8] not in "".join(warnings)
            assert not why or token not in "".join(warnings)


def test_a_token_with_slashes_is_not_told_as_a_path(tmp_path: Path) -> None:
    """Pasted into token_file it looks like folders, which were told."""
    long = "7bd7250a9f3e61c84b07"
    for path in (f"{long}29f5d6e1a3b87c40f29/x", f"x/{long}/y/7bd7250a9f3e61c8"):
        source = TokenSource(file=tmp_path / "in" / path)
        told = f"{refusal(source)} {source.place()}"
        assert "7bd7250a9f" not in told
        assert str(tmp_path / "in") in told
