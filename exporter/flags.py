"""Flags that commands share, with their environment twins, and their meaning."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from exporter.config import Configuration, Operation, from_environment, in_environment, load
from exporter.config.values import duration
from exporter.errors import ConfigError
from exporter.messages import LANGUAGES, Words, here
from exporter.sharding import Shard, own_part, read_shard

DEFAULT_CONFIG = "wolkvox.yml"
F = TypeVar("F", bound=Callable[..., Any])


class Listed(click.types.StringParamType):
    """Text whose environment twin separates several values by commas."""

    envvar_list_splitter = ","


def option(name: str, text: str, argument: str = "", **settings: Any) -> Callable[[F], F]:
    """An option with its environment twin: --web.listen-address has …_WEB_LISTEN_ADDRESS.

    The function has it as `argument`, which is web_listen_address if not said otherwise.
    """
    own = re.sub("[.-]", "_", name.removeprefix("--"))
    settings |= {"envvar": f"WOLKVOX_EXPORTER_{own.upper()}", "show_envvar": True}
    settings["show_default"] = "default" in settings
    return click.option(name, argument or own, help=text, **settings)


def interval(text: str) -> float:
    """Read a Prometheus duration of a second or more as seconds; `off` is 0."""
    with suppress(ValueError):
        seconds = 0.0 if text in ("off", "0") else duration(text)
        if not 0 < seconds < 1:
            return seconds
    raise click.BadParameter(f"{text!r} is no duration of a second or more, such as 30s")


def listen(default: str) -> Callable[[F], F]:
    """The flag --web.listen-address."""
    text = "Address to serve on; repeatable."
    more = {"metavar": "HOST:PORT", "default": (default,), "multiple": True}
    return option("--web.listen-address", text, "listen", type=Listed(), **more)


def reader(
    files: tuple[str, ...], shard: Shard, environ: Mapping[str, str] = os.environ
) -> Callable[[], Configuration]:
    """Return the function that reads the shard's part of the configuration.

    The place is chosen once, so that a reload reads the same one.
    """
    if not files and not Path(DEFAULT_CONFIG).exists() and in_environment(environ):
        return lambda: own_part(from_environment(environ), shard)
    paths = [Path(name) for name in files or (DEFAULT_CONFIG,)]
    return lambda: own_part(load(paths, environ), shard)


def look(files: tuple[str, ...]) -> object:
    """Return what differs once a configuration file has changed."""
    seen = {}
    for path in map(Path, files or (DEFAULT_CONFIG,)):
        with suppress(OSError):  # gone for a moment, or for good
            for file in path.glob("*.yml") if path.is_dir() else (path,):
                found = file.stat()
                seen[file] = (found.st_ino, found.st_size, found.st_mtime_ns)
    return seen


# Flags of a command may stand before its name as well, as flags of the exporter.


def configuration_of(
    context: click.Context, files: tuple[str, ...], **defaults: str
) -> Configuration:
    """The configuration of the exporter that has these flags; raises ConfigError.

    `defaults` are variables for an operation that the environment describes.
    """
    above, environ = context.find_root().params, dict(os.environ)
    if in_environment(environ):
        environ |= {name: environ.get(name) or value for name, value in defaults.items()}
    shard = read_shard(above["shard_index"], above["shard_total"])
    return reader(files or above["config_files"], shard, environ)()


def configuration(**defaults: str) -> Callable[[F], F]:
    """The flag --config.file as the configuration that is read; see `configuration_of`."""
    return _FILES(
        "configuration",
        callback=lambda context, _, files: configuration_of(context, files, **defaults),
    )


def _directory(context: click.Context, _: click.Parameter, path: str | None) -> Path:
    if not path and context.parent is not None:
        return Path(context.parent.params["directory"])
    return Path(path or os.environ.get("STATE_DIRECTORY", "").split(":")[0] or "data")


_FILES = partial(
    option,
    "--config.file",
    f"Configuration file, or a directory of *.yml; repeatable.  [default: {DEFAULT_CONFIG}]",
    multiple=True,
    type=Listed(),
    metavar="FILE",
)
CONFIG_FILES = _FILES("config_files")
STORAGE = option(
    "--storage.path",
    "Directory of the state, which tools share with the exporter."
    "  [default: $STATE_DIRECTORY, else data/]",
    "directory",
    metavar="DIR",
    callback=_directory,
)
LANGUAGE = click.option(
    "--language",
    "words",
    type=click.Choice(tuple(LANGUAGES)),
    default=lambda: here().language,
    help="Language of the texts.  [default: that of LC_ALL or LANG]",
    callback=lambda context, parameter, language: Words(language),
)
OPERATION = click.option(
    "--operation", metavar="NAME", help="Which operation, where several are configured."
)


def operation_of(configuration: Configuration, name: str | None) -> Operation:
    """The only operation, or the one that is named; raises ConfigError."""
    operations = configuration.operations
    chosen = [one for one in operations if name in (None, one.name)]
    if len(chosen) == 1:
        return chosen[0]
    what = f"there is no operation {name!r}" if name else "say which operation"
    known = ", ".join(one.name for one in operations) or "none"
    raise ConfigError.at("--operation", f"{what}; configured: {known}")
