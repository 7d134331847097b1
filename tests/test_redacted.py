"""The configuration as it is shown: resolved, the same again, and without a secret."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from exporter.config import Configuration, load
from exporter.config.model import HIDDEN, redacted
from exporter.config.values import KEYS
from tests.e2e_support import Run

CANARY = "canary-0123456789-abcdef"
ENVIRON = {"ACME_TOKEN": "canary-of-another"}
Load = Callable[[str], Configuration]

EVERYTHING = (Path(__file__).parent / "data" / "everything.yml").read_text("utf-8")


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    """Load a configuration beside its token and its certificates."""
    certifi = pytest.importorskip("certifi")
    (tmp_path / "acme.token").write_text(CANARY, encoding="utf-8")
    (tmp_path / "acme.token").chmod(0o600)

    def from_text(text: str, environ: Mapping[str, str] = ENVIRON) -> Configuration:
        file = tmp_path / "wolkvox.yml"
        file.write_text(text.replace("CERTIFICATES", certifi.where()), encoding="utf-8")
        return load([file], environ)

    return from_text


def shown(configuration: Configuration) -> list[dict[str, Any]]:
    """The operations of what is shown."""
    operations: list[dict[str, Any]] = yaml.safe_load(redacted(configuration))["operations"]
    return operations


def test_what_is_shown_is_the_same_configuration(load_text: Load) -> None:
    """Where no token and no password stands in it, it loads again, with the same meaning."""
    configuration = load_text(EVERYTHING)

    assert load_text(redacted(configuration)).operations == configuration.operations
    assert "canary" not in redacted(configuration)


def test_every_default_is_written_out(load_text: Load) -> None:
    """What somebody left out stands there as it is in force."""
    (operation,) = shown(
        load_text(
            "operations: [{name: a, server: '0013', token_env: ACME_TOKEN, skills: [{id: 7}]}]"
        )
    )

    assert operation == {
        "name": "a",
        "server": "0013",
        "token_env": "ACME_TOKEN",
        "timezone": "America/Bogota",
        "interval": "5m",
        "timeout": "1m",
        "stale_after": "15m",
        "token_info": False,
        "month": True,
        "skills": [{"id": 7, "name": "7"}],
    }


def test_every_key_of_an_operation_is_shown(load_text: Load) -> None:
    """A key that is added to the configuration has to be added here too."""
    acme, globex = shown(load_text(EVERYTHING))
    for key in KEYS["Operation"].keys() - {"token"}:
        assert key in {*acme, *globex}, key


def test_a_token_is_named_by_its_place_only(load_text: Load) -> None:
    """The file, the variable, or nothing at all."""
    acme, globex = load_text(EVERYTHING).operations
    (inline,) = load_text(
        f"operations: [{{name: a, server: '0013', token: {CANARY}, skills: discover}}]"
    ).operations
    first, second, third = shown(Configuration((acme, globex, inline)))

    assert first["token_file"].endswith("/acme.token")
    assert second["token_env"] == "ACME_TOKEN"
    assert third["token"] == HIDDEN
    assert "canary" not in redacted(Configuration((acme, globex, inline)))


def test_a_token_written_where_its_place_belongs_is_not_shown(load_text: Load) -> None:
    """Somebody will paste it into the wrong key."""
    acme, globex = load_text(EVERYTHING).operations
    token = "7b" + "0a" * 30
    assert acme.token.file is not None
    odd = (
        acme.model_copy(update={"token_file": acme.token.file.with_name(token)}),
        globex.model_copy(update={"token_env": token}),
    )

    assert token not in redacted(Configuration(odd))
    assert [HIDDEN in str(one) for one in shown(Configuration(odd))] == [True, True]


def test_a_proxy_is_shown_without_its_user(load_text: Load) -> None:
    """However odd the password is."""
    acme = load_text(EVERYTHING).operations[0]
    for address in ("http://user:canary-word@proxy:3128", "https://a:b@c@proxy"):
        operation = acme.model_copy(update={"proxy": SecretStr(address)})
        (one,) = shown(Configuration((operation,)))
        assert one["proxy"] in ("http://proxy:3128", "https://proxy")


def test_the_command_prints_what_is_in_force(load_text: Load, run: Run) -> None:
    """`config` takes --config.file before or after its name, and prints no secret."""
    configuration = load_text(EVERYTHING)
    for argv in (
        ("--config.file", "wolkvox.yml", "config"),
        ("config", "--config.file=wolkvox.yml"),
    ):
        ended = run(*argv, env=ENVIRON)
        assert (ended.code, ended.output) == (0, redacted(configuration))
        assert "canary" not in ended.output + ended.log


def test_the_command_prints_the_schema(run: Run) -> None:
    """The committed one; no configuration is needed for it."""
    schema = Path(__file__).parent.parent / "docs" / "wolkvox.schema.json"
    ended = run("config", "--schema")
    assert (ended.code, ended.output) == (0, schema.read_text(encoding="utf-8"))


def test_the_shell_completes_flags_and_commands(run: Run) -> None:
    """As the README says: a script for the shell, and what it asks for."""
    variable = "_WOLKVOX_EXPORTER_COMPLETE"
    for shell in ("bash", "zsh", "fish"):
        script = run(env={variable: f"{shell}_source"})
        assert (script.code, script.log) == (0, "")
        assert variable in script.output
    words = {"COMP_WORDS": "wolkvox-exporter --web.t", "COMP_CWORD": "1"}
    completed = run(env={variable: "bash_complete", **words})
    assert (completed.code, completed.output) == (0, "plain,--web.telemetry-path\n")


def test_no_operation_is_a_configuration_too() -> None:
    """What a part of several exporters may show."""
    assert redacted(Configuration(())) == "operations: []\n"
