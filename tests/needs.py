"""Programs that tests run: without one a test is skipped, or fails where `CI=true`."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

PACKAGES = {
    "amtool": "prometheus-alertmanager",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "promtool": "prometheus",
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def needs(program: str, *others: str) -> str:
    """Return the path of a program, or of another one that will do as well."""
    # Some distributions keep servers where only root looks.
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    for name in (program, *others):
        found = shutil.which(name, path=path)
        if found is not None:
            return found
    package = PACKAGES.get(program, program)
    missing = (
        f"{program} is not on PATH: apt-get install --no-install-recommends {package} "
        "(or another system's package of it)"
    )
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


def needs_linux(what: str, path: str = "/proc/self/status") -> None:
    """Skip a test of what only Linux has, such as /proc or mount namespaces."""
    if not Path(path).exists():
        pytest.skip(f"needs {what}, which only Linux has")


def run(
    program: str, *arguments: str | Path, text: str = "", **more: Any
) -> subprocess.CompletedProcess[str]:
    """Run a program that a test needs, with some input; its output is kept."""
    return subprocess.run(
        [needs(program), *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        **more,
    )
