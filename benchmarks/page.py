"""A page with the figures of a run between two marks, in prose written by hand."""

from __future__ import annotations

from pathlib import Path

BEGIN, END = "<!-- the last run -->\n", "<!-- end of the last run -->\n"


def replace_run(page: Path, result: str | None, begin: str = BEGIN, end: str = END) -> None:
    """Replace what stands between the marks of a page; None only looks whether that works.

    Raises OSError, or ValueError where it has no marks.
    """
    with page.open("r+", encoding="utf-8") as file:
        text = file.read()
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError(f"{page} has no place for the result: {begin.strip()} {end.strip()}")
    if result is not None:
        page.write_text(f"{before}{begin}\n{result}\n{end}{after}", encoding="utf-8")
