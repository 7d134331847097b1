"""What tests of the state share: an open file in which operations are known already."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from exporter.state.identity import Claim
from exporter.state.storage import Storage

URL = "https://wv0013.wolkvox.com/api/v2/"
OPENED_AT = 1_000_000_000.0


def open_state(directory: Path, *names: str) -> Storage:
    """Open the file; the operations get the row ids 1, 2 and so on (`acme` where none)."""
    storage = Storage.open(directory, lambda: OPENED_AT)
    claims = [Claim(name, URL, f"token of {name}") for name in names or ("acme",)]
    storage.transact([lambda db: db.claim(claims)])
    return storage


def change(storage: Storage, statement: str, *values: object) -> list[tuple[object, ...]]:
    """Change the file beside the exporter, as nothing of it does; returns what was found."""
    with closing(sqlite3.connect(storage.path, isolation_level=None)) as file:
        return file.execute(statement, values).fetchall()


def row_of(storage: Storage, name: str) -> int:
    """The row id of an operation."""
    ((found,),) = change(storage, "SELECT id FROM operations WHERE name = ?", name)
    assert isinstance(found, int)
    return found
