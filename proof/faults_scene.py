"""One real exporter before many faulty servers: started, watched, and told its faults.

A scene has an operation for each plot, with a server and a token of its own, and some that
stay well: the control operations.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from proof.faults_certificates import NAME, make
from proof.faults_server import Fault, Low, Place, Servers
from tests.e2e_support import LOOPBACK, TOKEN, Launch, Life, Samples, wait_for

INTERVAL = 2.0
DEADLINE = "1500ms"  # of the operations whose faults only a deadline ends
HASTY = frozenset({"connect", "timeout"})
"""What so short a deadline makes of good answers too, on a machine that is busy."""
PIECE = "c0ffee12"  # stands in every token, and in nothing else
CONTROLS = ("control-0", "control-1", "control-2")
PATIENCE = 90.0
FAILURES = "wolkvox_api_request_failures_total"
INBOUND = "wolkvox_skill_inbound_interactions"

Faults = Mapping[str, Fault]


@dataclass(slots=True)
class Found:
    """Rows of the table, and what did not hold."""

    rows: list[tuple[str, ...]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def add(self, other: Found) -> None:
        """Add the rows and sentences of another one."""
        self.rows += other.rows
        self.broken += other.broken

    def check(self, holds: bool, text: str) -> None:
        """Note a sentence that must hold and does not."""
        if not holds:
            self.broken.append(text)


@dataclass(frozen=True, slots=True)
class Plot:
    """An operation and what befalls its skills: first this, then that (or the same again)."""

    name: str
    title: str
    first: Faults
    then: Faults

    @property
    def lows(self) -> set[Low]:
        """What goes wrong below HTTP."""
        return {fault.low for fault in self.faults if fault.low is not None}

    @property
    def slow(self) -> bool:
        """Whether only a deadline ends one of its faults."""
        return any(fault.slow for fault in self.faults)

    @property
    def skills(self) -> list[str]:
        """The skills that it needs."""
        return sorted({*self.first, *self.then})

    @property
    def faults(self) -> list[Fault]:
        """All of its faults."""
        return [*self.first.values(), *self.then.values()]

    @property
    def reasons(self) -> set[str]:
        """The reasons that may be counted."""
        named = {fault.reason for fault in self.faults} | {fault.also for fault in self.faults}
        return {str(reason) for reason in named if reason is not None}


def by_number(faults: Sequence[Fault]) -> dict[str, Fault]:
    """The first fault for the first skill, and so on."""
    return {str(4001 + number): fault for number, fault in enumerate(faults)}


@dataclass(slots=True)
class Scene:
    """What runs: the servers, the process of the exporter in all its lives, files."""

    directory: Path
    launch: Launch
    servers: Servers
    ca_file: Path
    plots: Sequence[Plot]
    flags: tuple[str, ...] = ()
    prelude: str = ""
    strict: bool = True
    """Whether what is late is broken; see proof.part.Scale."""
    lives: list[Life] = field(default_factory=list)
    counted: dict[str, Counter[str]] = field(default_factory=dict)
    """Failures by operation and reason, of the lives that are over."""
    told: list[str] = field(default_factory=list)
    """What every life has let out."""

    @property
    def life(self) -> Life:
        """The process that runs now."""
        return self.lives[-1]

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.directory / "wolkvox.yml"

    def places(self) -> dict[str, Place]:
        """The servers by name."""
        return {place.name: place for place in self.servers.places}

    def open(self) -> None:
        """Open the servers and write the configuration and the tokens."""
        for plot in self.plots:
            host = NAME if Low.NAME in plot.lows else "127.0.0.1"
            self.servers.place(plot.name, tls=any(low.tls for low in plot.lows), host=host)
        for name in CONTROLS:
            self.servers.place(name)
        self.rotate(0)
        self.configure("")

    def rotate(self, number: int) -> None:
        """Write another token for every operation; nobody ever finds a file half written."""
        for name in self.places():
            path = self.directory / f"{name}.token"
            fresh = path.with_suffix(".fresh")
            fresh.touch(mode=0o600)
            fresh.write_text(f"{TOKEN}{name}-{number}")
            fresh.replace(path)

    def configure(self, label: str) -> None:
        """Write the configuration; another label makes every operation a changed one."""
        plots = {plot.name: plot for plot in self.plots}
        lines = [
            self._operation(place, plots.get(name), label)
            for name, place in self.places().items()
        ]
        self.config.write_text("operations:\n" + "".join(lines))

    def _operation(self, place: Place, plot: Plot | None, label: str) -> str:
        skills = plot.skills if plot else ["4001"]
        keys = {
            "name": place.name,
            "url": f"'{place.url}'",
            "token_file": f"{place.name}.token",
            "skills": f"[{', '.join(f'{{id: {skill}}}' for skill in skills)}]",
            "timezone": "UTC",
            "interval": f"{INTERVAL:g}s" if place.host == "127.0.0.1" else "5m",
            "stale_after": "1h",
            "month": "false",  # each answer is judged as one of the day
            "timeout": DEADLINE if plot and plot.slow else "60s",
            "labels": f"{{round: 'r{label}'}}",
        }
        if place.contexts:
            keys["ca_file"] = str(self.ca_file)
        return f"  - {{{', '.join(f'{key}: {value}' for key, value in keys.items())}}}\n"

    def start(self) -> None:
        """Start the exporter, for the first time or again."""
        flags = ("--web.enable-lifecycle", *LOOPBACK, *self.flags)
        life = self.launch(
            *("--config.file", str(self.config), *flags),
            env={"NO_PROXY": "*"},
            prelude=self.prelude,
        )
        self.lives.append(life)
        wait_for(lambda: life.addresses, "the exporter's address", PATIENCE)

    def end(self, *, kill: bool = False) -> int:
        """End the process; its exit code. What it counted and said is kept."""
        self.keep()
        if kill:
            self.life.kill()
            code = 0
        else:
            code = self.life.stop()
        self.told.append(self.life.log() + self.life.output())
        return code

    def healthy(self, more: int = 2) -> None:
        """Wait until each query was asked so often again and the last answer was good."""
        began, places = now(), self.places()

        # A name that does not resolve yet has no good answer.
        plots = [plot for plot in self.plots if Low.NAME not in plot.lows]

        def well() -> bool:
            page = self.metrics()
            names = [*(plot.name for plot in plots), *CONTROLS]
            ups = [page.of("wolkvox_up", operation=name) for name in names]
            asked = all(
                len(places[plot.name].of(skill, began)) >= more
                for plot in plots
                for skill in plot.skills
            )
            asked = asked and self.control_rounds(began) >= more
            return asked and all(up and min(up.values()) == 1 for up in ups)

        wait_for(well, "good answers to every query", PATIENCE)

    def keep(self) -> None:
        """Keep what the process has counted so far and shows."""
        for name, reasons in self.failures().items():
            self.counted.setdefault(name, Counter()).update(reasons)
        for path in ("/metrics", "/", "/config"):
            self.told.append(self.life.get(path, Accept="*/*").text)

    def metrics(self) -> Samples:
        """The metrics of the process that runs."""
        return self.life.metrics()

    def failures(self) -> dict[str, Counter[str]]:
        """Failures of this life by operation and reason, those that happened."""
        found: dict[str, Counter[str]] = {}
        for labels, value in self.metrics().of(FAILURES).items():
            named = dict(labels)
            if value:
                found.setdefault(named["operation"], Counter())[named["reason"]] += int(value)
        return found

    def control_rounds(self, since: float, until: float = 9e9) -> int:
        """How often the control operation that was asked least was asked."""
        places = self.places()
        return min(len(places[name].of("4001", since, until)) for name in CONTROLS)

    def await_rounds(self, count: int, since: float) -> None:
        """Wait until every control operation was asked so often."""
        what = f"{count} requests of each control operation"
        wait_for(lambda: self.control_rounds(since) >= count, what, PATIENCE)

    def memory(self, name: str) -> float:
        """VmRSS (now) or VmHWM (the most since `forget_peak`) in MiB."""
        status = Path(f"/proc/{self.life.pid}/status").read_text(encoding="ascii")
        line = next(line for line in status.splitlines() if line.startswith(f"{name}:"))
        return int(line.split()[1]) / 1024

    def forget_peak(self) -> None:
        """Let VmHWM begin anew."""
        Path(f"/proc/{self.life.pid}/clear_refs").write_text("5", encoding="ascii")

    def leaks(self) -> list[str]:
        """Tracebacks and tokens in anything that any life has let out."""
        found = []
        for text in self.told:
            if "Traceback" in text:
                at = text.index("Traceback")
                found.append(f"a traceback: …{text[max(0, at - 200) : at + 600]}")
            if PIECE in text:
                at = text.index(PIECE)
                found.append(f"a piece of a token: …{text[max(0, at - 80) : at + 80]}")
        return found


@contextlib.contextmanager
def scene(
    directory: Path,
    plots: Sequence[Plot],
    launch: Launch,
    flags: tuple[str, ...] = (),
    prelude: str = "",
    *,
    strict: bool = True,
) -> Iterator[Scene]:
    """A scene that ends whatever it started."""
    ca_file, contexts = make(directory / "certificates")
    with Servers(contexts).run() as servers:
        made = Scene(directory, launch, servers, ca_file, plots, flags, prelude, strict)
        made.open()
        yield made


def now() -> float:
    """Epoch seconds, as visits have them."""
    return time.time()
