"""The boards against the types that Grafana publishes: those of npm, and those of its SDK."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests import needs
from tests.dashboards_support import NAMES, Json, board
from tests.npm import fetched

TYPES = Path(__file__).with_name("dashboards_schema.ts")
PACKAGES = ("@grafana/schema@12.4.11", "typescript@5.9.3")
TSC = (
    *("--noEmit", "--strict", "--skipLibCheck", "--pretty", "false"),
    *("--module", "esnext", "--moduleResolution", "bundler", "--target", "es2022"),
)


def lost(made: object, read: object, path: str = "") -> list[str]:
    """What of a board is not in what another one read of it."""
    if isinstance(made, dict) and isinstance(read, dict):
        return [
            name for key in made for name in lost(made[key], read.get(key), f"{path}/{key}")
        ]
    if isinstance(made, list) and isinstance(read, list) and len(made) == len(read):
        pairs = enumerate(zip(made, read, strict=True))
        return [name for at, pair in pairs for name in lost(*pair, f"{path}/{at}")]
    return [] if made == read else [path]


def test_the_sdk_of_grafana_knows_all_that_a_board_sets() -> None:
    """Nothing is lost where its classes read a board and write it again."""
    register_default_plugins()

    def again(made: Json) -> Json:
        text = json.dumps(Dashboard.from_json(made), cls=JSONEncoder)
        read: Json = json.loads(text)
        return read

    made = board("overview")
    made["panels"][0]["options"]["sparkle"] = True
    assert lost(made, again(made)) == ["/panels/0/options/sparkle"]
    for name in NAMES:
        assert lost(board(name), again(board(name))) == [], name


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Json], str]:
    """What tsc says of a board, in Grafana 12's types; skipped where npm cannot fetch them."""
    folder = tmp_path_factory.mktemp("schema")
    tsc = fetched(folder, *PACKAGES) / ".bin/tsc"
    (folder / "types.ts").write_text(TYPES.read_text(encoding="utf-8"), encoding="utf-8")

    def compile_(made: Json) -> str:
        head = 'import type { Board } from "./types";\nexport const made: Board = '
        (folder / "board.ts").write_text(head + json.dumps(made, indent=1), encoding="utf-8")
        return needs.run(str(tsc), *TSC, "board.ts", cwd=folder).stdout

    return compile_


@pytest.mark.slow
def test_grafanas_own_types_know_all_that_a_board_sets(
    compiled: Callable[[Json], str],
) -> None:
    """No option, property or value is unknown to them; one that is, is found."""
    for name in NAMES:
        assert compiled(board(name)) == "", name
    made = board("overview")
    made["panels"][0]["options"]["orientation"] = "upwards"
    assert '"upwards"' in compiled(made)
