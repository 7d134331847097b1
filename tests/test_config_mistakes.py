"""Mistakes of a first configuration, made through the command line as a new user would."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e_support import Run

GOOD = """operations:
  - name: acme
    server: "0013"
    token_env: ACME_TOKEN
    skills: [{id: 4173}]
    timeout: 60s
    sla: [{asa: {max: 30s}}]
"""
ENVIRON = {"ACME_TOKEN": "c0ffee0123456789"}
TABLE = Path(__file__).parent / "data" / "config" / "mistakes.txt"


def mistakes() -> Iterator[tuple[str, str, str]]:
    """Read the table: a wrong file, what is told, and the file that follows the advice."""
    head = ""
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            head = line[1:-1]
            assert GOOD.count(head) == 1
        elif line and not line.startswith("#"):
            wrong, told, right = line.replace("\\n", "\n").replace("\\t", "\t").split(" | ")
            yield (
                GOOD.replace(head, wrong),
                told,
                GOOD if right == "=" else GOOD.replace(head, right),
            )


@pytest.mark.slow
def test_advice_that_is_followed_ends_in_a_right_configuration(
    run: Run, tmp_path: Path
) -> None:
    """Each mistake is one line in either language, and what it says to write is accepted."""
    file = tmp_path / "wolkvox.yml"
    table = list(mistakes())
    assert len(table) > 150
    for wrong, told, right in table:
        file.write_text(wrong, encoding="utf-8")
        english, spanish = (
            run("--config.check", env={**ENVIRON, "LC_ALL": f"{one}.UTF-8"})
            for one in ("en_US", "es_CO")
        )
        assert (english.code, spanish.code) == (2, 2), wrong
        [line], [other] = english.log.splitlines(), spanish.log.splitlines()
        assert told in line, wrong
        place = re.match(r"error: wolkvox\.yml:\d+: (operation (acme|#1), [\w.()-]+: )?", line)
        assert place, line
        assert other.startswith(place[0]), other
        assert other != line, wrong
        file.write_text(right, encoding="utf-8")
        mended = run("config", env=ENVIRON)
        assert (mended.code, mended.log) == (0, ""), right


def test_many_mistakes_are_told_at_once(run: Run, tmp_path: Path) -> None:
    """A line for each, in their order, with the operation that has it."""
    chosen = [
        (wrong.removeprefix("operations:\n"), told)
        for wrong, told, _ in mistakes()
        if "timeout: 60s\n" not in wrong and "is not closed" not in told
    ]
    text = "operations:\n"
    for number, (operation, _) in enumerate(chosen):
        named = operation.replace("name: acme", f"name: op{number}")
        text += named.replace('server: "0013"', f"server: wv{number:04d}")
    (tmp_path / "wolkvox.yml").write_text(text, encoding="utf-8")
    ended = run(env=ENVIRON)
    lines = ended.log.splitlines()
    assert (ended.code, len(lines)) == (2, len(chosen))
    assert len(chosen) > 40
    for number, (line, (_, told)) in enumerate(zip(lines, chosen, strict=True)):
        assert f": operation op{number}, " in line
        assert told in line


def test_a_missing_file_names_the_other_ways(run: Run) -> None:
    """The variables that describe an operation without one, and the demo."""
    for argv, language, words in (
        ([], "en", "does not exist: write it, or set"),
        (
            ["--config.file", "wolkvox.yml", "--config.check"],
            "es",
            "no existe: escríbalo, o def",
        ),
    ):
        ended = run(*argv, env={"LANG": language})
        [line] = ended.log.splitlines()
        assert ended.code == 2
        assert line.startswith("error: wolkvox.yml: ")
        for name in (words, "WOLKVOX_SERVER", "WOLKVOX_TOKEN", "WOLKVOX_SKILLS", "demo"):
            assert name in line
    good = {
        "WOLKVOX_SERVER": "0013",
        "WOLKVOX_TOKEN": "c0ffee",
        "WOLKVOX_SKILLS": "4173=Ventas",
    }
    assert run("--config.check", env=good).code == 0


def test_mistakes_in_variables_are_told_by_their_name(run: Run) -> None:
    """Every one at once, in either language; and the advice is right here too."""
    right = {
        "WOLKVOX_SERVER": "0013",
        "WOLKVOX_TOKEN": "c0ffee",
        "WOLKVOX_SKILLS": "4173=Ventas",
    }
    for name, wrong, told, mended in (
        ("WOLKVOX_SERVER", "13", "0013 or wv0013, without quotes", "wv0013"),
        ("WOLKVOX_SERVER", '"0013"', "0013 or wv0013, without quotes", "0013"),
        ("WOLKVOX_SERVER", "wv0013.wolkvox.com", "write the server alone, wv0013", "wv0013"),
        ("WOLKVOX_SERVER", "", "set it to 0013, wv0013 or a URL", "0013"),
        ("WOLKVOX_TOKEN", "", "set WOLKVOX_TOKEN or WOLKVOX_TOKEN_FILE", "c0ffee"),
        ("WOLKVOX_TOKEN", "my token", "holds more than a token", "c0ffee"),
        ("WOLKVOX_SKILLS", "", "set it as in 4173=Ventas,all", "4173=Ventas,all"),
        ("WOLKVOX_SKILLS", "Ventas", "as in 4173=Ventas,all", "4173=Ventas,all"),
        ("WOLKVOX_SKILLS", "4173;all", "with commas between them", "4173,all"),
        ("WOLKVOX_SKILLS", "4173:Ventas", "as in 4173=Ventas,all", "4173=Ventas"),
        ("WOLKVOX_SKILLS", "discover,all", "WOLKVOX_SKILLS=discover", "discover"),
        ("WOLKVOX_SKILLS", "4173,4173", "leave one out", "4173"),
        ("WOLKVOX_TIMEZONE", "GMT-5", "such as America/Bogota", "America/Bogota"),
    ):
        english, spanish = (
            run("--config.check", env={**right, name: wrong, "LC_MESSAGES": language})
            for language in ("en", "es")
        )
        assert (english.code, spanish.code) == (2, 2), (name, wrong)
        [line], [other] = english.log.splitlines(), spanish.log.splitlines()
        assert told in line, (name, wrong)
        variable = line.split(": ")[1]
        assert variable in {name, f"{name}_FILE"}, line
        assert other.startswith(f"error: {variable}: "), other
        assert run("--config.check", env={**right, name: mended}).code == 0, mended
