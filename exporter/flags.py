"""What the commands have in common: flags with their environment twins; runs nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from exporter.config import Configuration, from_environment, in_environment, load

DEFAULT_CONFIG = "wolkvox.yml"
F = TypeVar("F", bound=Callable[..., Any])
_PREFIX = "WOLKVOX_EXPORTER_"


class Listed(click.ParamType[str]):
    """Text whose environment twin separates several values by commas."""

    name = "text"
    envvar_list_splitter = ","


def flag(name: str, argument: str, **settings: Any) -> Callable[[F], F]:
    """An option with its environment twin: --web.listen-address has …_WEB_LISTEN_ADDRESS."""
    twin = _PREFIX + name.removeprefix("--").replace(".", "_").replace("-", "_").upper()
    return click.option(name, argument, envvar=twin, show_envvar=True, **settings)


def reader(
    files: tuple[str, ...], environ: Mapping[str, str] | None = None
) -> Callable[[], Configuration]:
    """How to read the configuration; decided once, so that a reload reads the same place."""
    variables = os.environ if environ is None else environ
    if not files and not Path(DEFAULT_CONFIG).exists() and in_environment(variables):
        return lambda: from_environment(variables)
    paths = [Path(name) for name in files or (DEFAULT_CONFIG,)]
    return lambda: load(paths, variables)


def storage_directory(path: str | None) -> Path:
    """`--storage.path`, else systemd's state directory, else data/ where it is started."""
    return Path(path or os.environ.get("STATE_DIRECTORY", "").split(":")[0] or "data")
