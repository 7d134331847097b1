"""Packages of npm that slow tests use; each with the version that it was written for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import needs

FLAGS = ("--no-audit", "--no-fund", "--ignore-scripts", "--no-save", "--no-package-lock")


def fetched(folder: Path, *packages: str) -> Path:
    """Install packages in a folder, or skip the test where npm cannot; where they are."""
    done = needs.run("npm", "install", *FLAGS, *packages, cwd=folder)
    if done.returncode and os.environ.get("CI") != "true":
        pytest.skip(f"npm cannot fetch {' '.join(packages)}: {done.stderr[-200:]}")
    done.check_returncode()
    return folder / "node_modules"
