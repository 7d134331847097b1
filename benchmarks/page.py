"""A page with the figures of a run between two marks, in prose written by hand."""

from __future__ import annotations

from pathlib import Path

BEGIN, END = "<!-- the last run -->\n", "<!-- end of the last run -->\n"


def replace_run(page: Path, result: str, begin: str = BEGIN, end: str = END) -> None:
    """Replace what stands between the marks of a page; raises ValueError without marks."""
    text = page.read_text(encoding="utf-8")
    if begin not in text or end not in text:
        raise ValueError(f"{page}: no place for the result between {begin!r} and {end!r}")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}\n{result}\n{end}{after}", encoding="utf-8")
