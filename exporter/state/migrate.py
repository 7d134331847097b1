"""JSON data of older state files -> that of this one; pure, used once when a file is opened."""

from __future__ import annotations

from typing import Any

# The order of a row's figures in a file of version 1.
_FIGURES_1 = (
    *("channel", "inbound", "answered", "abandoned"),
    *("service_level_10", "service_level_20", "service_level_30"),
    *("abandonment", "asa", "ata"),
)


def memory_1_to_2(data: Any) -> Any:
    """A query's memory with names for the figures of its rows, which were mere lists.

    What has another form is left as it is, to be refused or understood by the reader.
    """
    if not isinstance(data, dict):
        return data
    results = {name: _result(data[name]) for name in ("today", "yesterday") if name in data}
    return {**data, **results}


def _result(result: Any) -> Any:
    if not isinstance(result, dict) or not isinstance(result.get("rows"), list):
        return result
    return {**result, "rows": [_row(row) for row in result["rows"]]}


def _row(row: Any) -> Any:
    if not isinstance(row, list) or len(row) != len(_FIGURES_1):
        return row
    return dict(zip(_FIGURES_1, row, strict=True))
