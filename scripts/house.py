"""Prints how large the house is, and how long the ways through it are.

python -m scripts.house
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
Function = ast.FunctionDef | ast.AsyncFunctionDef
EXPORTER = sorted((ROOT / "exporter").rglob("*.py"))
# What is not ours and not documented; those of a pinned uvicorn stand in one module.
INNER = re.compile(
    r"(?:from|import) ((?:uvicorn\.protocols|uvicorn\.server|asyncio\.sslproto)[\w.]*"
    r"|\w+(?:\.\w+)*\._[a-z]\w*(?:\.\w+)*)|\b((?:httpx|httpcore|yaml|uvicorn|h11|asyncio|ssl)\._[a-z]\w*)"
)
LIMITS = {
    "lines of exporter/*.py": 11_300,
    "modules": 85,
    "lines of templates, styles and messages": 1_300,
    "poll: functions": 105,
    "poll: files": 22,
    "poll: moves": 90,
    "scrape: functions": 35,
    "scrape: files": 8,
    "scrape: moves": 40,
    "page: functions": 50,
    "page: files": 12,
    "page: moves": 60,
    "files that name a column": 4,
    "private helpers used once, of 6 lines or less (%)": 8,
    "private helpers used once (%)": 55,
    "files with inner names of libraries": 1,
    "longest module": 450,
    "longest function": 60,
    "lines of tests": 24_000,
    "lines of proof": 4_500,
    "lines of scripts and benchmarks": 4_500,
}
# The columns share one way; this one has a name that means nothing else.
COLUMN = re.compile(r"\bata\b")


def lines(*folders: str, suffixes: Sequence[str] = (".py",)) -> int:
    """Count the lines of the files below folders."""
    files = (file for folder in folders for file in (ROOT / folder).rglob("*"))
    return sum(len(one.read_bytes().splitlines()) for one in files if one.suffix in suffixes)


def nodes() -> Iterator[ast.AST]:
    """Yield each node of the exporter's modules."""
    for file in EXPORTER:
        yield from ast.walk(ast.parse(file.read_bytes()))


def functions() -> list[Function]:
    """Return each function of the exporter."""
    return [node for node in nodes() if isinstance(node, Function)]


def length(node: Function) -> int:
    """Count the lines of a function, without its decorators."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def private_helpers() -> tuple[float, float]:
    """Return the share of private helpers used once: those of at most 6 lines, and all."""
    helpers = [
        one
        for one in functions()
        if re.match(r"_[a-z]", one.name)
        and not any("validator" in ast.unparse(mark) for mark in one.decorator_list)
    ]
    used = Counter(getattr(node, "attr", getattr(node, "id", None)) for node in nodes())
    once = [one for one in helpers if used[one.name] <= 1]
    short = [one for one in once if length(one) <= 6]
    return 100 * len(short) / len(helpers), 100 * len(once) / len(helpers)


def measures() -> dict[str, float]:
    """Return every measure by its name in LIMITS."""
    short, once = private_helpers()
    command = [sys.executable, "-m", "scripts.trip"]
    trips = json.loads(
        subprocess.check_output(command, cwd=ROOT, stderr=subprocess.PIPE, timeout=120)
    )
    texts = {file: file.read_text(encoding="utf-8") for file in EXPORTER}
    return {
        "lines of exporter/*.py": lines("exporter"),
        "modules": len(EXPORTER),
        "lines of templates, styles and messages": lines(
            "exporter", suffixes=(".toml", ".html", ".css", ".txt", ".j2")
        ),
        **{
            f"{trip}: {what}": count for trip, of in trips.items() for what, count in of.items()
        },
        "files that name a column": sum(
            COLUMN.search(text) is not None
            for file, text in texts.items()
            if "simulator" not in file.parts  # it spells the API's names by itself
        ),
        "private helpers used once, of 6 lines or less (%)": round(short, 1),
        "private helpers used once (%)": round(once, 1),
        "files with inner names of libraries": sum(
            INNER.search(text) is not None for text in texts.values()
        ),
        "longest module": max(len(text.splitlines()) for text in texts.values()),
        "longest function": max(map(length, functions())),
        "lines of tests": lines("tests"),
        "lines of proof": lines("proof"),
        "lines of scripts and benchmarks": lines(
            "scripts", "benchmarks", suffixes=(".py", ".sh")
        ),
    }


def main() -> None:
    """Print the table of measures and limits."""
    found = measures()
    for name, limit in LIMITS.items():
        mark = "" if found[name] <= limit else "  too much"
        print(f"{name:52}{found[name]:>10,}{limit:>10,}{mark}")


if __name__ == "__main__":
    main()
