"""Command line: flags and environment in, an exit code out."""

from __future__ import annotations

import codecs
import errno
import io
import logging
import os
import platform
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from exporter import __version__, flags, logs
from exporter.config import Configuration
from exporter.config.model import redacted
from exporter.config.plan import plan, plan_warnings, render_hours, render_plan
from exporter.config.reference import schema_text
from exporter.errors import ConfigError, ExporterError, StartError
from exporter.messages import here
from exporter.runtime import system_clock, thread_limit
from exporter.sharding import MOST_SHARDS, Shard, read_shard
from exporter.state.locks import ask_health

# The commands that have a module of their own.
MODULES = {
    "backfill": "exporter.tools.backfill",
    "demo": "exporter.demo",
    "probe": "exporter.tools.probe",
    "report": "exporter.tools.report",
    "simulate": "exporter.demo",
    "skills": "exporter.tools.skills",
}
# They run until a signal ends them, which is no failure; None is the exporter itself.
_SERVING = (None, "demo", "simulate")
# How a write to standard output fails: a full disk behind `>`, or a reader that is gone.
_NO_OUTPUT = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE)
log = logging.getLogger(__name__)


class Commands(click.Group):
    """The commands; the module of one is loaded where it is run or listed."""

    def list_commands(self, context: click.Context) -> list[str]:
        """All names, in order."""
        return sorted([*super().list_commands(context), *MODULES])

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command of this name."""
        if name not in MODULES:
            return super().get_command(context, name)
        if name not in _SERVING:
            logs.exit_on_signal(1)  # from here on: loading takes a moment
        found: click.Command = getattr(import_module(MODULES[name]), name)
        return found


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@flags.CONFIG_FILES
@flags.option(
    "--config.check",
    "Validate the configuration, print the poll plan and exit; makes no request.",
    is_flag=True,
)
@flags.option(
    "--config.auto-reload-interval",
    "Look at the configuration files that often, such as 30s, and reload what changed.  "
    "[default: off]",
    type=flags.interval,
    metavar="DURATION",
)
@flags.listen(":19655")
@flags.option(
    "--web.systemd-socket",
    "Serve on the socket that systemd hands over, instead of opening --web.listen-address.",
    is_flag=True,
)
@flags.option(
    "--web.telemetry-path", "Path of the metrics.", default="/metrics", metavar="PATH"
)
@flags.option(
    "--web.config.file",
    "TLS, users, headers and rate limit, in the format of the exporter-toolkit.",
    type=Path,
    metavar="FILE",
)
@flags.option("--web.enable-lifecycle", "Allow POST /-/reload.", is_flag=True)
@flags.option(
    "--web.max-requests",
    "Scrapes at once; more get 503 (0: no limit).",
    type=click.IntRange(min=0),
    default=40,
)
@flags.option(
    "--web.disable-exporter-metrics", "Leave out process_* and python_*.", is_flag=True
)
@flags.STORAGE
@flags.option(
    "--shard.index",
    "Which of several exporters this one is, from 0; or a name that ends in it, as a"
    " StatefulSet's pods have.",
    metavar="N",
)
@flags.option(
    "--shard.total",
    "How many exporters divide the operations among them.",
    type=click.IntRange(1, MOST_SHARDS),
    default=1,
)
@flags.option(
    "--log.level",
    "Least severity that is logged.",
    type=click.Choice(list(logs.LEVELS)),
    default="info",
)
@flags.option(
    "--log.format",
    "Form of the log lines, on stderr.",
    type=click.Choice(["logfmt", "json"]),
    default="logfmt",
)
@click.version_option(
    __version__,
    prog_name="wolkvox-exporter",
    message=f"%(prog)s %(version)s (Python {platform.python_version()})",
)
@click.pass_context
def command(
    context: click.Context,
    /,
    config_files: tuple[str, ...],
    config_check: bool,
    shard_index: str | None,
    shard_total: int,
    log_level: str,
    log_format: str,
    **settings: Any,
) -> None:
    """Service level, abandonment, ASA and ATA of Wolkvox contact centres for Prometheus.

    Without a subcommand it polls the configured operations and serves /metrics. Without a
    configuration file, WOLKVOX_SERVER, WOLKVOX_TOKEN or WOLKVOX_TOKEN_FILE, and
    WOLKVOX_SKILLS (4173=Ventas,all) describe one operation.
    """
    serving = context.invoked_subcommand in _SERVING and not config_check
    if not serving:
        logs.exit_on_signal(1)  # what was not done to its end did not succeed
    logs.configure(log_level, log_format, background=serving)
    if context.invoked_subcommand is not None:
        return
    shard = read_shard(shard_index, shard_total)
    configured = flags.reader(config_files, shard)
    look = partial(flags.look, config_files)
    seen = look()  # before the files are read, so that no change goes by
    configuration = configured()
    if config_check:
        return _check(configuration, shard, settings["web_config_file"])
    # --help loads no server.
    from exporter.service import Settings, run  # noqa: PLC0415
    from exporter.web.listen import bind, handed_over  # noqa: PLC0415

    configuration = _foreseen(configuration)
    for text in configuration.warnings:
        log.warning("%s", text)
    settings |= {"load": lambda: _foreseen(configured()), "look": look, "seen": seen}
    settings["shard"] = shard
    addresses, activated = settings.pop("listen"), settings.pop("web_systemd_socket")
    sockets = handed_over(os.environ) if activated else bind(addresses)
    context.exit(run(Settings(**settings), configuration, sockets))


@command.command()
@flags.CONFIG_FILES
@click.option("--schema", is_flag=True, help="Print the JSON schema of the file instead.")
@click.pass_context
def config(context: click.Context, config_files: tuple[str, ...], schema: bool) -> None:
    """Print the configuration, every default written out and no secret in it."""
    if schema:
        click.echo(schema_text(), nl=False)
        return
    configuration = flags.configuration_of(context, config_files)
    for operation in configuration.operations:
        logs.SECRETS.add(operation.token.read().get_secret_value())
    click.echo(logs.SECRETS.scrub(redacted(configuration)), nl=False)


@command.command()
@flags.STORAGE
def healthcheck(directory: Path) -> None:
    """Exit with 0 where the exporter of this state directory lives, else with 1.

    It reads the sign of life that the process writes there every few seconds, whatever
    addresses, TLS and users the exporter serves with.
    """
    problem = ask_health(directory, system_clock().monotonic())
    if problem is not None:
        raise problem


def _foreseen(configuration: Configuration) -> Configuration:
    """Add what its plan of the day warns of."""
    planned = plan(configuration, system_clock().now())
    warned = plan_warnings(planned, here().language)
    return replace(configuration, warnings=(*configuration.warnings, *warned))


def _check(configuration: Configuration, shard: Shard, web_config: Path | None) -> None:
    """Read what a start would read, and print the plan of the day's requests and the hours."""
    from exporter.operations import connect  # noqa: PLC0415 - for the check only

    web_warnings: tuple[str, ...] = ()
    if web_config is not None:
        from exporter.web.access_config import load_web_config  # noqa: PLC0415 - rarely asked for

        web_warnings = load_web_config(web_config).warnings
    for operation in configuration.operations:
        # As a start would: proxies of the environment and CA files count.
        connect(operation, system_clock())
    for text in (*web_warnings, *configuration.warnings):
        click.echo(f"warning: {text}")
    if shard.total > 1:
        names = ", ".join(one.name for one in configuration.operations)
        click.echo(f"shard {shard.index} of {shard.total}: {names or 'no operation'}")
    language, now = here().language, system_clock().now()
    click.echo(render_plan(plan(configuration, now), language), nl=False)
    click.echo(render_hours(configuration, now, language), nl=False)


def main() -> None:
    """Run the command line; expected failures are one line each on stderr."""
    logs.exit_on_signal()
    out = sys.stdout
    if isinstance(out, io.TextIOWrapper):  # else a name that the terminal lacks is a traceback
        # click takes no ASCII: it would write UTF-8 through a stream of its own.
        ascii_only = codecs.lookup(out.encoding).name == "ascii"
        out.reconfigure(encoding="utf-8" if ascii_only else None, errors="replace")
    code = _run(lambda: command(prog_name="wolkvox-exporter"))
    if sys.stdout is not None:  # None: closed by the shell
        code = _run(sys.stdout.flush) or code
    log_written = logs.finish()
    try:
        if log_written and sys.stderr is not None:
            sys.stderr.flush()
    except OSError:  # the interpreter's end would fail at it again (code 120)
        log_written = False
    threads = {one for one in threading.enumerate() if not one.daemon}
    threads.remove(threading.main_thread())
    for thread in threads:
        thread.join(0.2 / len(threads))
    if not log_written or any(thread.is_alive() for thread in threads):
        # A reader of the log or a look-up that hangs: the interpreter would wait for it.
        os._exit(code)
    sys.exit(code)


def _run(part: Callable[[], object]) -> int:
    try:
        part()
    except ConfigError as error:
        _complain(*map(str, error.problems))
        return 2
    except (ExporterError, RuntimeError) as error:
        told = thread_limit(error) if isinstance(error, RuntimeError) else error
        _complain(told.text(here().language) if isinstance(told, StartError) else str(told))
        return 1
    except OSError as error:
        if error.filename is not None or error.errno not in _NO_OUTPUT:
            raise
        # What is buffered would fail again, at the interpreter's end with a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno != errno.EPIPE:  # `| head`: the reader has enough
            _complain(here().text("start.output", why=error.strerror))
        return 1
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _complain(*problems: str) -> None:
    """Write a line each to stderr; where it takes none, the exit code tells."""
    if not logs.finish():  # what was logged stands before it
        return
    with suppress(OSError):
        for problem in problems:
            click.echo(f"error: {problem}", err=True)
