"""The command line: argv and environment to an exit code; holds no logic of its own."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click

from exporter import __version__, logs
from exporter.config import Configuration
from exporter.config.plan import Plan, plan, render_plan
from exporter.errors import ConfigError, ExporterError
from exporter.flags import DEFAULT_CONFIG, Listed, flag, reader, storage_directory
from exporter.mainloop import ends_at_once
from exporter.output import guard_output
from exporter.sharding import MOST_SHARDS, Shard, own_part, read_shard
from exporter.tools.commands import register

DEFAULT_LISTEN = ":19655"
# What is there to be ended by a signal: no subcommand is the exporter itself.
_SERVING = (None, "demo", "simulate")
log = logging.getLogger(__name__)


def _divided(
    configured: Callable[[], Configuration], shard: Shard
) -> Callable[[], Configuration]:
    """The same, but only the operations of one shard."""
    return lambda: own_part(configured(), shard)


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@flag(
    "--config.file",
    "config_files",
    multiple=True,
    type=Listed(),
    metavar="FILE",
    help="Configuration file, or a directory of *.yml; repeatable."
    f"  [default: {DEFAULT_CONFIG}]",
)
@flag(
    "--config.check",
    "check",
    is_flag=True,
    help="Validate the configuration, print the poll plan and exit; makes no request.",
)
@flag(
    "--web.listen-address",
    "listen",
    multiple=True,
    type=Listed(),
    metavar="HOST:PORT",
    default=(DEFAULT_LISTEN,),
    show_default=True,
    help="Address to serve on; repeatable.",
)
@flag(
    "--web.telemetry-path",
    "telemetry_path",
    default="/metrics",
    show_default=True,
    metavar="PATH",
    help="Path of the metrics.",
)
@flag(
    "--web.config.file",
    "web_config",
    metavar="FILE",
    help="TLS, users, headers and rate limit, in the format of the exporter-toolkit.",
)
@flag("--web.enable-lifecycle", "lifecycle", is_flag=True, help="Allow POST /-/reload.")
@flag(
    "--web.max-requests",
    "max_requests",
    type=click.IntRange(min=0),
    default=40,
    show_default=True,
    help="Scrapes at once; more get 503 (0: no limit).",
)
@flag(
    "--web.disable-exporter-metrics",
    "disable_exporter_metrics",
    is_flag=True,
    help="Leave out process_* and python_*.",
)
@flag(
    "--storage.path",
    "storage",
    metavar="DIR",
    help="Directory of the state.  [default: $STATE_DIRECTORY, else data/]",
)
@flag(
    "--shard.index",
    "shard_index",
    metavar="N",
    help="Which of several exporters this one is, from 0; or a name that ends in it, as a"
    " StatefulSet's pods have.",
)
@flag(
    "--shard.total",
    "shard_total",
    type=click.IntRange(1, MOST_SHARDS),
    default=1,
    show_default=True,
    help="How many exporters divide the operations among them.",
)
@flag(
    "--log.level",
    "log_level",
    type=click.Choice(list(logs.LEVELS)),
    default="info",
    show_default=True,
    help="Least severity that is logged.",
)
@flag(
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
    shard_index: str | None,
    shard_total: int,
    log_level: str,
    log_format: str,
) -> None:
    """Service level, abandonment, ASA and ATA of Wolkvox contact centres for Prometheus.

    Without a subcommand it polls the configured operations and serves /metrics. Without a
    configuration file, WOLKVOX_SERVER, WOLKVOX_TOKEN or WOLKVOX_TOKEN_FILE, and
    WOLKVOX_SKILLS (4173=Ventas,all) describe one operation.
    """
    serving = context.invoked_subcommand in _SERVING and not check
    if not serving:
        ends_at_once(1)  # what was not done to its end did not succeed
    logs.configure(log_level, log_format, background=serving)
    if context.invoked_subcommand is not None:
        return
    shard = read_shard(shard_index, shard_total)
    configured = _divided(reader(config_files), shard)
    configuration = configured()
    now = datetime.now(UTC)  # noqa: TID251 - the edge of the program
    planned = plan(configuration, now)
    if check:
        _check(configuration, planned, shard, web_config)
        return
    # --help loads no server.
    from exporter.service import Settings, run  # noqa: PLC0415

    for text in (*configuration.warnings, *planned.warnings):
        log.warning("%s", text)
    settings = Settings(
        load=configured,
        listen=listen,
        telemetry_path=telemetry_path,
        storage=storage_directory(storage),
        lifecycle=lifecycle,
        max_requests=max_requests,
        process_metrics=not disable_exporter_metrics,
        web_config=Path(web_config) if web_config is not None else None,
        shard=shard,
    )
    context.exit(run(settings, configuration))


@command.command()
@flag(
    "--web.listen-address",
    "listen",
    multiple=True,
    type=Listed(),
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
@flag(
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


@command.command()
@flag(
    "--config.file",
    "config_files",
    multiple=True,
    type=Listed(),
    metavar="FILE",
    help="Configuration file, or a directory of *.yml; repeatable.",
)
@click.option("--schema", is_flag=True, help="Print the JSON schema of the file instead.")
@click.pass_context  # fmt: skip
def config(context: click.Context, config_files: tuple[str, ...], schema: bool) -> None:
    """Print the configuration, every default written out and no secret in it."""
    from exporter.config import redacted, reference  # noqa: PLC0415 - for this alone

    if schema:
        click.echo(reference.schema_text(), nl=False)
        return
    above = context.parent.params if context.parent is not None else {}
    shard = read_shard(above.get("shard_index"), above.get("shard_total", 1))
    configuration = own_part(reader(config_files or above.get("config_files", ()))(), shard)
    for operation in configuration.operations:
        logs.SECRETS.add(operation.token.read().get_secret_value())
    click.echo(logs.SECRETS.scrub(redacted.redacted(configuration)), nl=False)


register(command)


def _check(
    configuration: Configuration, planned: Plan, shard: Shard, web_config: str | None
) -> None:
    """Read what a start would read, and print the plan of the day's calls."""
    web_warnings: tuple[str, ...] = ()
    if web_config is not None:
        from exporter.web.access_config import load_web_config  # noqa: PLC0415 - rarely asked for

        web_warnings = load_web_config(Path(web_config)).warnings
    _check_clients(configuration)
    for text in (*web_warnings, *configuration.warnings):
        click.echo(f"warning: {text}")
    if shard.total > 1:
        names = ", ".join(one.name for one in configuration.operations)
        click.echo(f"shard {shard.index} of {shard.total}: {names or 'no operation'}")
    click.echo(render_plan(planned), nl=False)


def _check_clients(configuration: Configuration) -> None:
    """Make every client as a start would: proxies of the environment and CA files count."""
    from exporter.fleet import connect  # noqa: PLC0415 - for the check only
    from exporter.service import system_clock  # noqa: PLC0415

    for operation in configuration.operations:
        connect(operation, system_clock())


def main() -> None:
    """Run the command line; expected failures are one line each on stderr."""
    ends_at_once()
    guard_output()
    code = _run(lambda: command(prog_name="wolkvox-exporter"))
    if sys.stdout is not None:  # None: closed by the shell
        code = _run(sys.stdout.flush) or code
    log_written = logs.finish() and _log_is_flushed()
    threads = [one for one in threading.enumerate() if not one.daemon]
    threads.remove(threading.main_thread())
    for thread in threads:
        thread.join(0.2 / len(threads))
    if not log_written or any(thread.is_alive() for thread in threads):
        # A reader of the log or a look-up that hangs: the interpreter would wait for it.
        os._exit(code)
    sys.exit(code)


def _log_is_flushed() -> bool:
    """Whether nothing is left that the interpreter's end would fail to write (code 120)."""
    with contextlib.suppress(OSError):
        if sys.stderr is not None:
            sys.stderr.flush()
        return True
    return False


def _run(part: Callable[[], object]) -> int:
    try:
        part()
    except ConfigError as error:
        _complain(*map(str, error.problems))
        return 2
    except ExporterError as error:
        _complain(str(error))
        return 1
    except RuntimeError as error:
        if "start new thread" not in str(error):
            raise
        _complain("no thread can be started: a limit of processes is reached")
        return 1
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _complain(*problems: str) -> None:
    """Write a line each to stderr; where it takes none, the exit code tells."""
    if not logs.finish():  # what was logged stands before it
        return
    with contextlib.suppress(OSError):
        for problem in problems:
            click.echo(f"error: {problem}", err=True)
