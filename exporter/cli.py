"""The command line: argv and environment to an exit code; holds no logic of its own."""

from __future__ import annotations

import logging
import os
import platform
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from exporter import __version__, logs
from exporter.config import Configuration, from_environment, in_environment, load
from exporter.config.plan import plan, render_plan
from exporter.errors import ConfigError, ExporterError
from exporter.web.access import load_web_config

DEFAULT_CONFIG = "wolkvox.yml"
DEFAULT_LISTEN = ":19655"
log = logging.getLogger(__name__)
F = TypeVar("F", bound=Callable[..., Any])
_PREFIX = "WOLKVOX_EXPORTER_"


class _Listed(click.ParamType[str]):
    """Text whose environment twin separates several values by commas."""

    name = "text"
    envvar_list_splitter = ","


def _flag(name: str, argument: str, **settings: Any) -> Callable[[F], F]:
    """An option with its environment twin: --web.listen-address has …_WEB_LISTEN_ADDRESS."""
    twin = _PREFIX + name.removeprefix("--").replace(".", "_").replace("-", "_").upper()
    return click.option(name, argument, envvar=twin, show_envvar=True, **settings)


def _configured(files: tuple[str, ...]) -> Callable[[], Configuration]:
    """How to read the configuration; decided once, so that a reload reads the same place."""
    if not files and not Path(DEFAULT_CONFIG).exists() and in_environment(os.environ):
        return lambda: from_environment(os.environ)
    paths = [Path(name) for name in files or (DEFAULT_CONFIG,)]
    return lambda: load(paths, os.environ)


def _storage(path: str | None) -> Path:
    """`--storage.path`, else systemd's state directory, else data/ where it is started."""
    return Path(path or os.environ.get("STATE_DIRECTORY", "").split(":")[0] or "data")


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@_flag(
    "--config.file",
    "config_files",
    multiple=True,
    type=_Listed(),
    metavar="FILE",
    help="Configuration file, or a directory of *.yml; repeatable."
    f"  [default: {DEFAULT_CONFIG}]",
)
@_flag(
    "--config.check",
    "check",
    is_flag=True,
    help="Validate the configuration, print the poll plan and exit; makes no request.",
)
@_flag(
    "--web.listen-address",
    "listen",
    multiple=True,
    type=_Listed(),
    metavar="HOST:PORT",
    default=(DEFAULT_LISTEN,),
    show_default=True,
    help="Address to serve on; repeatable.",
)
@_flag(
    "--web.telemetry-path",
    "telemetry_path",
    default="/metrics",
    show_default=True,
    metavar="PATH",
    help="Path of the metrics.",
)
@_flag(
    "--web.config.file",
    "web_config",
    metavar="FILE",
    help="TLS, users, headers and rate limit, in the format of the exporter-toolkit.",
)
@_flag("--web.enable-lifecycle", "lifecycle", is_flag=True, help="Allow POST /-/reload.")
@_flag(
    "--web.max-requests",
    "max_requests",
    type=click.IntRange(min=0),
    default=40,
    show_default=True,
    help="Scrapes at once; more get 503 (0: no limit).",
)
@_flag(
    "--web.disable-exporter-metrics",
    "disable_exporter_metrics",
    is_flag=True,
    help="Leave out process_* and python_*.",
)
@_flag(
    "--storage.path",
    "storage",
    metavar="DIR",
    help="Directory of the state.  [default: $STATE_DIRECTORY, else data/]",
)
@_flag(
    "--log.level",
    "log_level",
    type=click.Choice(list(logs.LEVELS)),
    default="info",
    show_default=True,
    help="Least severity that is logged.",
)
@_flag(
    "--log.format",
    "log_format",
    type=click.Choice(["logfmt", "json"]),
    default="logfmt",
    show_default=True,
    help="Form of the log lines, on stderr.",
)
@click.version_option(
    __version__,
    prog_name="wolkvox-exporter",
    message=f"%(prog)s %(version)s (Python {platform.python_version()})",
)
@click.pass_context  # fmt: skip
def command(
    context: click.Context,
    config_files: tuple[str, ...],
    check: bool,
    listen: tuple[str, ...],
    telemetry_path: str,
    web_config: str | None,
    lifecycle: bool,
    max_requests: int,
    disable_exporter_metrics: bool,
    storage: str | None,
    log_level: str,
    log_format: str,
) -> None:
    """Service level, abandonment, ASA and ATA of Wolkvox contact centres for Prometheus.

    Without a subcommand it polls the configured operations and serves /metrics. Without a
    configuration file, WOLKVOX_SERVER, WOLKVOX_TOKEN or WOLKVOX_TOKEN_FILE, and
    WOLKVOX_SKILLS (4173=Ventas,all) describe one operation.
    """
    logs.configure(log_level, log_format)
    if context.invoked_subcommand is not None:
        return
    configured = _configured(config_files)
    configuration = configured()
    now = datetime.now(UTC)  # noqa: TID251 - the edge of the program
    planned = plan(configuration, now)
    if check:
        if web_config is not None:
            load_web_config(Path(web_config))
        for text in configuration.warnings:
            click.echo(f"warning: {text}")
        click.echo(render_plan(planned), nl=False)
        return
    # --help and --config.check load no server.
    from exporter.service import Settings, run  # noqa: PLC0415

    for text in (*configuration.warnings, *planned.warnings):
        log.warning("%s", text)
    settings = Settings(
        load=configured,
        listen=listen,
        telemetry_path=telemetry_path,
        storage=_storage(storage),
        lifecycle=lifecycle,
        max_requests=max_requests,
        process_metrics=not disable_exporter_metrics,
        web_config=Path(web_config) if web_config is not None else None,
    )
    context.exit(run(settings, configuration))


@command.command()
@_flag(
    "--web.listen-address",
    "listen",
    multiple=True,
    type=_Listed(),
    metavar="HOST:PORT",
    default=("127.0.0.1:19655",),
    show_default=True,
    help="Address to serve on; repeatable.",
)
@click.pass_context  # fmt: skip
def demo(context: click.Context, listen: tuple[str, ...]) -> None:
    """Simulator and exporter together on loopback; nothing to set up."""
    from exporter.demo import run_demo  # noqa: PLC0415 - the simulator is for the demo only

    context.exit(run_demo(listen, click.echo))


@command.command()
@_flag(
    "--web.listen-address",
    "listen",
    type=str,
    metavar="HOST:PORT",
    default="127.0.0.1:19656",
    show_default=True,
    help="Address to serve on.",
)
@click.option("--seed", type=int, default=20, show_default=True, help="Which contact centre.")
@click.option(
    "--timezone",
    default="America/Bogota",
    show_default=True,
    help="Time zone of both operations.",
)
@click.pass_context  # fmt: skip
def simulate(context: click.Context, listen: str, seed: int, timezone: str) -> None:
    """A look-alike of the Wolkvox API as a server, with two simulated operations."""
    from exporter.demo import run_simulator  # noqa: PLC0415 - see demo

    context.exit(run_simulator(listen, seed, timezone, click.echo))


def main() -> None:
    """Run the command line; expected failures are one line each on stderr."""
    try:
        command(prog_name="wolkvox-exporter")
    except ConfigError as error:
        for problem in error.problems:
            click.echo(f"error: {problem}", err=True)
        sys.exit(2)
    except ExporterError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
