"""The commands of the tools: flags to one call and its exit code; no logic of their own."""

from __future__ import annotations

import os
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from exporter.config import Configuration, Operation, in_environment
from exporter.config.values import duration
from exporter.errors import ConfigError, Problem
from exporter.flags import F, Listed, flag, reader, storage_directory
from exporter.messages import LANGUAGES, terminal_language
from exporter.sharding import own_part, read_shard

_FILES = flag(
    "--config.file",
    "config_files",
    multiple=True,
    type=Listed(),
    metavar="FILE",
    help="Configuration file, or a directory of *.yml; repeatable.",
)
_STORAGE = flag(
    "--storage.path",
    "storage",
    metavar="DIR",
    help="The exporter's state directory: attempts, budget and locks are shared with it.",
)
_LANGUAGE = click.option(
    "--language",
    type=click.Choice(tuple(LANGUAGES)),
    default=lambda: terminal_language(os.environ),
    help="Language of the verdicts.  [default: that of LC_ALL or LANG]",
)
_OPERATION = click.option(
    "--operation", metavar="NAME", help="Which operation, where several are configured."
)


def _settings(command: F) -> F:
    return _FILES(_STORAGE(command))


def register(group: click.Group) -> None:
    """Add the commands to the command line."""
    for command in (probe, skills, backfill, healthcheck):
        group.add_command(command)


def _configuration(
    context: click.Context, files: tuple[str, ...], environ: dict[str, str] | None = None
) -> Configuration:
    """The configuration of the exporter that has these flags; raises ConfigError."""
    above = context.parent.params if context.parent is not None else {}
    own = reader(files or above.get("config_files", ()), environ)()
    return own_part(own, read_shard(above.get("shard_index"), above.get("shard_total", 1)))


def _directory(context: click.Context, storage: str | None) -> Path:
    above = context.parent.params if context.parent is not None else {}
    return storage_directory(storage or above.get("storage"))


def _chosen(configuration: Configuration, name: str | None) -> Operation:
    """The one operation, or the one that is named; raises ConfigError."""
    names = [operation.name for operation in configuration.operations]
    if name is None and len(names) == 1:
        return configuration.operations[0]
    for operation in configuration.operations:
        if operation.name == name:
            return operation
    what = f"there is no operation {name!r}" if name else "say which operation"
    known = ", ".join(names) or "none"
    raise ConfigError([Problem("--operation", f"{what}; configured: {known}")])


@click.command()
@_settings
@_LANGUAGE
@click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="For people or for scripts.",
)
@click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Keep the answers in a file, without token and names, to report an odd one.",
)
@click.pass_context  # fmt: skip
def probe(context: click.Context, config_files: tuple[str, ...], storage: str | None,
          language: str, output: str, record: Path | None) -> None:  # fmt: skip
    """Ask each configured query once and say what is right and wrong with it.

    Exit code 0 when every query is fine or has no rows today, 1 otherwise.
    """
    from exporter.tools.errands import run_probe  # noqa: PLC0415 - asks: --help does not

    configuration = _configuration(context, config_files)
    directory = _directory(context, storage)
    context.exit(run_probe(configuration, directory, language, output, record))


@click.command()
@_settings
@_LANGUAGE
@_OPERATION
@click.pass_context  # fmt: skip
def skills(context: click.Context, config_files: tuple[str, ...], storage: str | None,
           language: str, operation: str | None) -> None:  # fmt: skip
    """List the operation's skills as YAML to paste below `skills:`.

    Without a configuration file WOLKVOX_SERVER and WOLKVOX_TOKEN are enough.
    """
    from exporter.tools.errands import run_skills  # noqa: PLC0415 - as above

    environ = dict(os.environ)
    if in_environment(environ):
        environ["WOLKVOX_SKILLS"] = environ.get("WOLKVOX_SKILLS") or "discover"
    configuration = _configuration(context, config_files, environ)
    chosen = _chosen(configuration, operation)
    directory = _directory(context, storage)
    context.exit(run_skills(configuration, chosen, directory, language))


@click.command()
@_settings
@_OPERATION
@click.option("--from", "first", required=True, type=click.DateTime(["%Y-%m-%d"]),
              help="First day, in the operation's time zone.")  # fmt: skip
@click.option("--to", "last", required=True, type=click.DateTime(["%Y-%m-%d"]),
              help="Last day, yesterday at the latest.")  # fmt: skip
@click.option(
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The OpenMetrics file; the progress is kept beside it, as FILE.progress.",
)
@click.option(
    "--pace",
    default="300s",
    show_default=True,
    metavar="DURATION",
    help="Time between two calls; less than 300s only where the operation is on loopback.",
)
@click.option("--job", default="wolkvox", show_default=True, help="The label job.")
@click.option("--instance", default="127.0.0.1:19655", show_default=True,
              help="The label instance: as Prometheus scrapes the exporter.")  # fmt: skip
@click.option("--yes", is_flag=True, help="Begin without asking, also where a day's budget"
              " cannot hold it: then it stops at the ceiling.")  # fmt: skip
@click.pass_context  # fmt: skip
def backfill(context: click.Context, /, config_files: tuple[str, ...], storage: str | None,
             operation: str | None, first: datetime, last: datetime,
             **how: Any) -> None:  # fmt: skip
    """Write past days for `promtool tsdb create-blocks-from openmetrics`.

    One call for each skill and day. Ctrl-C ends it after the call under way; the same
    command goes on where it ended, without repeating a call.
    """
    from exporter.tools.backfill_errand import (  # noqa: PLC0415 - as above
        BackfillOrder,
        run_backfill,
    )

    configuration = _configuration(context, config_files)
    order = BackfillOrder(
        operation=_chosen(configuration, operation),
        first=first.date(),
        last=last.date(),
        output=how["output"],
        pace=_pace(how["pace"]),
        target={"job": how["job"], "instance": how["instance"]},
        yes=how["yes"],
    )
    context.exit(run_backfill(configuration, _directory(context, storage), order))


def _pace(text: str) -> float:
    try:
        return duration(text)
    except ValueError as error:
        raise ConfigError([Problem("--pace", str(error))]) from None


@click.command()
@_STORAGE
@click.pass_context  # fmt: skip
def healthcheck(context: click.Context, storage: str | None) -> None:
    """Exit with 0 where the exporter of this state directory lives, else with 1.

    It reads the sign of life that the process writes there every few seconds, whatever
    addresses, TLS and users the exporter serves with.
    """
    from exporter.web.health import ask_health  # noqa: PLC0415 - as above

    now = time.monotonic()  # noqa: TID251 - the edge of the program
    problem = ask_health(_directory(context, storage), now)
    if problem is not None:
        click.echo(problem, err=True)
    context.exit(0 if problem is None else 1)
