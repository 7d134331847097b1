"""Loading a configuration: files, defaults, environment variables, and their meaning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import certifi
import pytest

from exporter.config import (
    ServiceLevel,
    Skill,
    SlaEntry,
    format_duration,
    from_environment,
    in_environment,
    load,
)
from exporter.config.addresses import is_loopback, proxy, server, url
from exporter.config.values import duration, kind, percent, shown
from exporter.errors import ConfigError

Write = Callable[..., Path]
ENVIRON = {"ACME_TOKEN": "canary-0123456789", "OTHER_TOKEN": "canary-9876543210"}
ONE = "name: {name}, server: '0013', token_env: {token}, skills: [{{id: 4173}}]"


def operation(more: str = "", name: str = "acme", token: str = "ACME_TOKEN") -> str:
    """Write one operation in flow style, with more keys."""
    return "  - {" + ONE.format(name=name, token=token) + (f", {more}" if more else "") + "}\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a configuration of these operations; returns its path."""

    def _write(*operations: str, defaults: str = "", name: str = "wolkvox.yml") -> Path:
        file = tmp_path / name
        head = f"defaults: {{{defaults}}}\n" if defaults else ""
        file.write_text(f"{head}operations:\n{''.join(operations)}", encoding="utf-8")
        return file

    return _write


def problems(*paths: Path) -> list[str]:
    """Return what is wrong with these files."""
    with pytest.raises(ConfigError) as caught:
        load(paths, ENVIRON)
    return [str(problem) for problem in caught.value.problems]


def test_the_least_an_operation_says(write: Write) -> None:
    """Four keys make an operation; the rest has the documented defaults."""
    configuration = load([write(operation())], ENVIRON)
    [one] = configuration.operations
    assert (one.name, one.server, one.loopback) == ("acme", "wv0013", False)
    assert one.base_url == "https://wv0013.wolkvox.com/api/v2/"
    assert one.timezone == ZoneInfo("America/Bogota")
    assert (one.interval, one.timeout, one.stale_after) == (300, 60, 900)
    assert (one.daily_requests, one.poll_hours, one.ca_file, one.proxy) == (None,) * 4
    assert (one.token_info, one.discover, one.sla, dict(one.labels)) == (False, False, (), {})
    assert one.skills == (Skill("4173", "4173", None),)
    assert one.token.read().get_secret_value() == "canary-0123456789"
    assert configuration.warnings == ()
    assert one.proxy_shown is None


def test_everything_an_operation_may_say(write: Write, tmp_path: Path) -> None:
    """Each key arrives with its meaning: seconds, ratios, absolute paths."""
    (tmp_path / "ca.pem").write_bytes(Path(certifi.where()).read_bytes())
    keys = (
        "timezone: America/Lima, interval: 10m, timeout: 90s, stale_after: 1h, labels: {a: b},"
        " daily_requests: 1000, poll_hours: 'Mo-Sa 06:00-22:00', ca_file: ca.pem,"
        " proxy: 'http://me:secret@proxy.example:3128', token_info: true,"
        " sla: [{channels: [chat], skills: [4173], service_level: {within: 20s, target: 80 %},"
        " abandonment: {max: 5.5%}, asa: {max: 1m30s}, min_interactions: 0,"
        " hours: 'Mo-Fr 07:00-19:00; PH off', country: CO}]"
    )
    [one] = load([write(operation(keys))], ENVIRON).operations
    assert one.timezone == ZoneInfo("America/Lima")
    assert (one.interval, one.timeout, one.stale_after) == (600, 90, 3600)
    assert (one.daily_requests, one.poll_hours) == (1000, "Mo-Sa 06:00-22:00")
    assert one.ca_file == tmp_path / "ca.pem"
    assert one.proxy == "http://me:secret@proxy.example:3128"
    assert one.proxy_shown == "http://proxy.example:3128"
    assert "secret" not in repr(one)
    assert (one.token_info, dict(one.labels)) == (True, {"a": "b"})
    assert one.sla == (
        SlaEntry(
            channels=("chat",),
            skills=("4173",),
            service_level=ServiceLevel(20, 0.8),
            abandonment_max=0.055,
            asa_max=90,
            min_interactions=0,
            hours="Mo-Fr 07:00-19:00; PH off",
            country="CO",
        ),
    )


def test_skills_are_listed_or_discovered(write: Write, tmp_path: Path) -> None:
    """Ids are texts whatever YAML makes of them; names default to the id."""
    skills = "[{id: 4173, name: Ventas}, {id: '7'}, {id: all}, {id: 8, interval: 15m}]"
    text = f"operations: [{{name: a, server: wv0013, token_env: ACME_TOKEN, skills: {skills}}}]"
    file = tmp_path / "skills.yml"
    file.write_text(text, encoding="utf-8")
    [one] = load([file], ENVIRON).operations
    assert one.skills == (
        Skill("4173", "Ventas"),
        Skill("7", "7"),
        Skill("all", "all"),
        Skill("8", "8", 900),
    )
    file.write_text(text.replace(skills, "discover"), encoding="utf-8")
    [one] = load([file], ENVIRON).operations
    assert (one.discover, one.skills) == (True, ())


def test_defaults_are_overridden_key_by_key(write: Write) -> None:
    """An operation's own key replaces the default as a whole; only labels are added up."""
    defaults = (
        "interval: 10m, timezone: America/Lima, labels: {a: x, b: x}, sla: [{asa: {max: 30s}}]"
    )
    file = write(
        operation("interval: 15m, labels: {b: y}, sla: []"),
        operation(name="other", token="OTHER_TOKEN"),
        defaults=defaults,
    )
    first, second = load([file], ENVIRON).operations
    assert (first.interval, second.interval) == (900, 600)
    assert (first.stale_after, second.stale_after) == (2700, 1800)
    assert first.timezone == second.timezone == ZoneInfo("America/Lima")
    assert (dict(first.labels), dict(second.labels)) == (
        {"a": "x", "b": "y"},
        {"a": "x", "b": "x"},
    )
    assert (len(first.sla), len(second.sla)) == (0, 1)


def test_a_problem_of_the_defaults_is_told_once(write: Write) -> None:
    """What is wrong in the defaults is told there, and hides nothing of the operations."""
    file = write(
        operation("timeout: 5"), operation(name="a b"), defaults="interval: 1m, sla: 3"
    )
    assert problems(file) == [
        "defaults.sla: must be a list, not a number, as in - asa: {max: 30s}",
        "operations.0.timeout: 5 has no unit: write a duration such as 5s or 5m",
        "defaults.interval: 1m is too short: write 5m (300s) or more"
        " (less is for loopback addresses only)",
        'operations.1.name: "a b" cannot be a name: use up to 128 of the characters'
        " a-z, A-Z, 0-9, _, . and -",
    ]


def test_one_wrong_key_hides_no_other_problem(write: Write) -> None:
    """What is wrong inside a list is left out, and the rest of the list is still checked."""
    file = write(
        "  - {name: a, server: wv0013, token_env: ACME_TOKEN, interval: 1, timeout: 1h,"
        " skills: [{id: 1, nam: x}, {id: 1, interval: 5}, {id: 2, interval: 1m}],"
        " sla: [{skills: [9], asa: {max: 5}, labels: {}},"
        " {hours: PH off, abandonment: {max: }}]}\n"
    )
    assert [line.split(":")[0] for line in problems(file)] == [
        "operations.0.sla.1.abandonment.max",
        "operations.0.interval",
        "operations.0.skills.0.nam",
        "operations.0.skills.1.interval",
        "operations.0.sla.0.asa.max",
        "operations.0.sla.0.labels",
        "operations.0.timeout",
        "operations.0.skills.1.id",
        "operations.0.skills.2.interval",
        "operations.0.sla.0.skills.0",
    ]


def test_very_many_problems_take_no_time(tmp_path: Path) -> None:
    """Thousands of problems in one list are told without comparing each with each."""
    file = tmp_path / "many.yml"
    file.write_text(f"operations: [{{sla: [{'~,' * 5_000}]}}]", encoding="utf-8")
    assert len(problems(file)) == 5_000 + 4


def test_several_files_add_up(write: Write, tmp_path: Path) -> None:
    """A directory means its *.yml in order; defaults are for the operations of their file."""
    write(operation(name="b", token="OTHER_TOKEN"), name="b.yml")
    write(operation(name="a"), defaults="interval: 10m", name="a.yml")
    write("nonsense", name=".hidden.yml")
    write("nonsense", name="c.yaml")
    configuration = load([tmp_path], ENVIRON)
    assert [(one.name, one.interval) for one in configuration.operations] == [
        ("a", 600),
        ("b", 300),
    ]
    assert (
        f"{tmp_path}/c.yaml: is not read: its name must end in .yml" in configuration.warnings
    )


def test_problems_of_several_files_name_the_file(write: Write, tmp_path: Path) -> None:
    """All problems of all files come at once, each with its file."""
    first = write(operation(), name="a.yml")
    second = write(operation("interval: 5"), name="b.yml")
    third = tmp_path / "c.yml"
    third.write_text("operations: [", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    told = problems(first, second, third, tmp_path / "empty", tmp_path / "none.yml")
    assert told[0] == f"{tmp_path}/empty: the directory holds no file *.yml"
    assert told[1].startswith(f"{third}: line 1, column 14: is not YAML")
    assert told[2] == f"{tmp_path}/none.yml: the file does not exist"
    assert told[3].startswith(f"{second}: operations.0.interval: 5 has no unit")
    assert told[4] == (
        f'{second}: operations.0.name: "acme" is already the name of {first}: operations.0'
    )
    assert len(told) == 5


def test_paths_that_are_none() -> None:
    """No path and a path that cannot exist are problems, not crashes."""
    assert problems() == ["no configuration file is given"]
    assert "null" in problems(Path("a\0b"))[0]


def test_shared_tokens_are_grouped(write: Write) -> None:
    """Operations with the same token are known to share it, and may state one ceiling."""
    file = write(
        operation("daily_requests: 1000"),
        operation(name="other", token="OTHER_TOKEN"),
        operation("daily_requests: 1000", name="twin").replace("4173", "4174"),
    )
    configuration = load([file], ENVIRON)
    assert configuration.shared_tokens == (("acme", "twin"),)
    assert configuration.warnings == ()


@pytest.mark.parametrize("skills", ["[{id: 4173}]", "discover"])
def test_one_token_asks_a_skill_of_a_server_once(write: Write, skills: str) -> None:
    """Two operations that would ask the same are an error, which names the skill and both."""
    twin = operation(name="twin").replace("[{id: 4173}]", skills)
    file = write(operation(), operation(name="other", token="OTHER_TOKEN"), twin)
    found = problems(file)
    assert [problem.split(":")[0] for problem in found] == ["operations.2.skills"]
    assert "acme" in found[0]
    assert ("4173" in found[0]) == (skills != "discover")


def test_targets_in_defaults_may_name_skills_of_any_operation(write: Write) -> None:
    """A skill in the targets of the defaults need not be in every operation."""
    file = write(operation(), defaults="sla: [{skills: [4173], asa: {max: 30s}}]")
    assert load([file], ENVIRON).operations[0].sla[0].skills == ("4173",)
    text = file.read_text(encoding="utf-8").replace("[{id: 4173}]", "discover")
    file.write_text(text, encoding="utf-8")
    assert load([file], ENVIRON).operations[0].discover


def test_what_is_likely_a_mistake_is_warned_about(write: Write, tmp_path: Path) -> None:
    """A plain token, an odd path and targets without effect are told."""
    file = tmp_path / "odd.yml"
    file.write_text(
        "operations: [{name: a, url: 'https://wv0013.wolkvox.com', token: canary-01,"
        " skills: [{id: all}, {id: 1}], sla: [{skills: [all], asa: {max: 30s}}]}]",
        encoding="utf-8",
    )
    assert load([file], {}).warnings == (
        "operations.0.token: stands in plain text here; token_file keeps it apart",
        "operations.0.url: Wolkvox answers below /api/v2/, which is not in it",
        "operations.0.sla: targets for all have no effect where single skills are polled too",
    )


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


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("300s", 300),
        ("5m", 300),
        ("1h30m", 5400),
        ("1d", 86400),
        ("1m500ms", 60.5),
        ("0s", 0),
        ("1y1w1d", 31_536_000 + 604_800 + 86_400),
        ("15ms", 0.015),
    ],
)
def test_durations_are_those_of_prometheus(text: str, seconds: float) -> None:
    """Units stand in order, each once."""
    assert duration(text) == seconds


@pytest.mark.parametrize(
    "value", ["", "5", "m", "5 m", "5m5m", "1s1m", "-5m", "५m", "5M", True, []]
)
def test_other_durations_are_refused(value: object) -> None:
    """Anything else is no duration."""
    with pytest.raises(ValueError, match="duration"):
        duration(value)


def test_a_number_that_yaml_misreads_is_no_duration(tmp_path: Path) -> None:
    """A number with leading zeros gets the same hint as any bare number."""
    text = "defaults: {interval: 0300, labels: {site2: 1}}"
    (tmp_path / "a.yml").write_text(text, encoding="utf-8")
    told = problems(tmp_path / "a.yml")
    assert "defaults.interval: has no unit" in told[0]
    assert told[1] == "defaults.labels.site2: must be text, not a number: write it in quotes"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(300, "5m"), (5400, "1h30m"), (0.5, "500ms"), (0, "0s"), (86_400, "24h"), (61, "1m1s")],
)
def test_durations_are_written_as_people_write_them(seconds: float, text: str) -> None:
    """The shortest form of hours and less."""
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("address", "base_url", "shown_as", "loopback"),
    [
        (
            "https://wv0013.wolkvox.com/api/v2",
            "https://wv0013.wolkvox.com/api/v2/",
            "wv0013",
            False,
        ),
        ("HTTPS://WV0013.wolkvox.com:443/api/v2/", None, "wv0013", False),
        (
            "https://proxy.example:8443",
            "https://proxy.example:8443/",
            "proxy.example:8443",
            False,
        ),
        ("http://127.9.9.9:80//", "http://127.9.9.9/", "127.9.9.9", True),
        ("http://[::1]:8080/api", "http://[::1]:8080/api/", "[::1]:8080", True),
        ("https://[2001:db8::1]/", "https://[2001:db8::1]/", "[2001:db8::1]", False),
    ],
)
def test_urls_are_normalised(
    address: str, base_url: str | None, shown_as: str, loopback: bool
) -> None:
    """Case, default ports and the last slash make no difference."""
    endpoint = url(address)
    assert endpoint.base_url == (base_url or "https://wv0013.wolkvox.com/api/v2/")
    assert (endpoint.server, endpoint.loopback) == (shown_as, loopback)


def test_servers_have_three_forms() -> None:
    """Digits, wv and digits in either case."""
    assert server("0013") == server("wv0013") == server("WV0013")


@pytest.mark.parametrize(
    "host", ["128.0.0.1", "127.1", "::ffff:127.0.0.1", "localhost.example.com", "::"]
)
def test_only_what_must_be_this_machine_is_loopback(host: str) -> None:
    """Lookalikes of loopback addresses are ordinary hosts."""
    assert not is_loopback(host)


def test_proxies_are_http_urls() -> None:
    """Users, passwords and ports are fine; words are not."""
    for good in ("http://proxy", "https://u:p%40@proxy.example:3128/", "HTTP://[::1]:8080"):
        assert proxy(good) == good
    for bad in ("proxy:3128", "http://", "http://proxy:0", "http://a b", "http://u:p@x@proxy"):
        with pytest.raises(ValueError, match="must be the URL"):
            proxy(bad)


def test_percentages_are_exact_ratios() -> None:
    """The ratio is the decimal one, not what binary division makes of it."""
    assert [percent(text) for text in ("80%", "99.9 %", "0%", "100%")] == [0.8, 0.999, 0, 1]
    for bad in (True, None, "80", "eighty%", "1" * 30 + "%"):
        with pytest.raises(ValueError, match="percentage"):
            percent(bad)


def test_values_are_named_by_kind_and_quoted_with_care() -> None:
    """Messages say what YAML made of a value; long and token-like text is not repeated."""
    samples: list[object] = [None, True, 1, [], {}, "x"]
    kinds = [kind(value) for value in samples]
    assert kinds == ["nothing", "true or false", "a number", "a list", "a mapping", "text"]
    assert shown("caf\u00e9\x07") == '"café\\x07"'
    assert shown("7b" + "0" * 30) == shown("a b " * 30) == "this text"


@pytest.mark.parametrize(
    ("environ", "name", "base_url"),
    [
        ({"WOLKVOX_SERVER": "0013"}, "wv0013", "https://wv0013.wolkvox.com/api/v2/"),
        ({"WOLKVOX_SERVER": "https://wv0013.wolkvox.com/api/v2"}, "wv0013", None),
        ({"WOLKVOX_SERVER": "http://127.0.0.1:81/"}, "127.0.0.1", "http://127.0.0.1:81/"),
        ({"WOLKVOX_SERVER": "http://[::1]:81/"}, "--1", "http://[::1]:81/"),
        (
            {"WOLKVOX_SERVER": "https://wolk.example:81/"},
            "wolk.example",
            "https://wolk.example:81/",
        ),
    ],
)
def test_variables_describe_one_operation(
    environ: dict[str, str], name: str, base_url: str | None
) -> None:
    """Without a file the operation is named after its server."""
    environ |= {"WOLKVOX_TOKEN": "canary-01", "WOLKVOX_SKILLS": "4173=Ventas, all,"}
    assert in_environment(environ)
    [one] = from_environment(environ).operations
    assert one.name == name
    assert one.base_url == (base_url or "https://wv0013.wolkvox.com/api/v2/")
    assert one.skills == (Skill("4173", "Ventas"), Skill("all", "all"))
    assert one.token.describe() == "the environment variable WOLKVOX_TOKEN"


def test_variables_may_name_a_file_a_zone_and_discovery(tmp_path: Path) -> None:
    """The token may be in a file, the skills may be asked for."""
    (tmp_path / "token").write_text("canary-01\n", encoding="utf-8")
    environ = {
        "WOLKVOX_SERVER": "wv0013",
        "WOLKVOX_TOKEN": "",
        "WOLKVOX_TOKEN_FILE": str(tmp_path / "token"),
        "WOLKVOX_SKILLS": "discover",
        "WOLKVOX_TIMEZONE": "America/Lima",
    }
    [one] = from_environment(environ).operations
    assert one.discover
    assert one.timezone == ZoneInfo("America/Lima")
    assert one.token.read().get_secret_value() == "canary-01"


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        (
            {},
            [
                "WOLKVOX_SERVER: is not set: set it to 0013, wv0013 or a URL",
                "WOLKVOX_TOKEN: is not set: set WOLKVOX_TOKEN or WOLKVOX_TOKEN_FILE",
                "WOLKVOX_SKILLS: is not set: set it as in 4173=Ventas,all",
            ],
        ),
        (
            {
                "WOLKVOX_SERVER": "wolkvox.com",
                "WOLKVOX_TOKEN": "canary 01",
                "WOLKVOX_SKILLS": "Ventas=4173,1=,all,all",
                "WOLKVOX_TIMEZONE": "Lima",
            },
            [
                'WOLKVOX_TIMEZONE: "Lima" is not a time zone such as America/Bogota'
                ' (did you mean "America/Lima"?)',
                "WOLKVOX_SKILLS: must be the number of a skill, such as 4173, or all",
                "WOLKVOX_SKILLS: must not be empty",
                'WOLKVOX_SERVER: must be the four digits of the server, "0013" or wv0013;'
                " an address begins with https://",
                "WOLKVOX_TOKEN: the environment variable WOLKVOX_TOKEN holds more than a token:"
                " a blank, a line break or a special character",
            ],
        ),
        (
            {
                "WOLKVOX_SERVER": "0013",
                "WOLKVOX_TOKEN": "canary-01",
                "WOLKVOX_TOKEN_FILE": "token",
                "WOLKVOX_SKILLS": "all,all",
            },
            [
                "WOLKVOX_TOKEN: is set as well: set only one of"
                " WOLKVOX_TOKEN or WOLKVOX_TOKEN_FILE",
                "WOLKVOX_SKILLS: all stands twice: it is already skills.0",
            ],
        ),
    ],
    ids=["nothing", "wrong", "both"],
)
def test_problems_of_variables_name_the_variable(
    environ: dict[str, str], told: list[str]
) -> None:
    """All problems at once here too, each with the variable to change."""
    with pytest.raises(ConfigError) as caught:
        from_environment(environ)
    assert [str(problem) for problem in caught.value.problems] == told


def test_an_environment_without_variables_describes_nothing() -> None:
    """A time zone alone, or empty variables, are no configuration."""
    assert not in_environment({"WOLKVOX_TIMEZONE": "America/Lima", "WOLKVOX_TOKEN": ""})


def test_misspelt_keys_are_answered_with_the_nearest(write: Write) -> None:
    """The hint names a key, on every level, and nothing else."""
    text = (
        "operations:\n  - {name: a, sever: '1', server: '0013', token_env: T,"
        " skills: [{idd: 1, id: 2}], sla: [{asaa: {max: 30s}, asa: {maxi: 1s, max: 2s}}]}\n"
        "default: {}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load([write(text)], {"T": "token"})

    hints = {problem.path: problem.reason for problem in caught.value.problems}
    assert hints["operations.0.sever"] == 'is not a known key (did you mean "server"?)'
    assert hints["operations.0.skills.0.idd"] == 'is not a known key (did you mean "id"?)'
    assert hints["operations.0.sla.0.asaa"] == 'is not a known key (did you mean "asa"?)'
    assert hints["operations.0.sla.0.asa.maxi"] == 'is not a known key (did you mean "max"?)'
    assert hints["default"] == 'is not a known key (did you mean "defaults"?)'
