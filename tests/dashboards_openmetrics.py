"""The simulated weeks as files for `promtool tsdb create-blocks-from openmetrics`.

What Prometheus itself adds to a scrape (`up`, `scrape_*`, `ALERTS`) and the process metrics
are made up here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from exporter.wolkvox.windows import local_day
from tests.dashboards_history import (
    ALERTED,
    BOGOTA,
    COLLAPSED,
    DAYS_BACK,
    DETAIL,
    END,
    INTERVAL,
    LATE_CHAT,
    MIDNIGHT,
    RESTART,
    SANTIAGO,
    START,
    Weeks,
)

_TARGET = 'job="wolkvox",instance="127.0.0.1:19655"'
# What looks back over days, and over weeks, reads these only.
_WEEKS = ("wolkvox_skill_offered", "wolkvox_skill_inbound", "wolkvox_up{")
_DAYS = (
    *_WEEKS,
    "wolkvox_skill_answer_wait",
    "wolkvox_skill_abandon_wait",
    "wolkvox_skill_service_level",
    "wolkvox_sla_service_level",
    # What the rules read to tell which pairs are open.
    "wolkvox_sla_open",
    "wolkvox_last_success",
    "wolkvox_query_interval",
    "wolkvox_operation_info",
)


def write_openmetrics(weeks: Weeks, directory: Path) -> list[Path]:
    """Play the weeks into files for `promtool tsdb create-blocks-from openmetrics`.

    One file a stretch, since promtool reads its file once for each block it makes.
    """
    stretches = ((DAYS_BACK, _WEEKS), (DETAIL, _DAYS), (END + timedelta(days=1), ()))
    paths = [directory / f"weeks-{number}.om" for number in range(len(stretches))]
    labelled: dict[bytes, bytes] = {}
    files = [path.open("wb") for path in paths]
    for at, page in weeks.pages():
        number = next(n for n, (until, _kept) in enumerate(stretches) if at < until)
        lines = _chosen(page, stretches[number][1])
        lines = [line for line in lines if not _ends_soon(line, at)]
        files[number].write(_stamped(lines, at, labelled))
        if at >= DETAIL:
            files[number].write(_made_up(at, len(lines), late_chat=weeks.late_chat))
    for file in files:
        file.write(b"# EOF\n")
        file.close()
    return paths


def _chosen(page: bytes, names: tuple[str, ...]) -> list[bytes]:
    """The sample lines that begin with one of the names; all of them where none is given."""
    prefixes = tuple(name.encode() for name in names) or b""
    lines = page.split(b"\n")
    return [one for one in lines if one.startswith(prefixes) and one and one[0] != 35]


def _ends_soon(line: bytes, at: datetime) -> bool:
    """Whether a gauge of today is in its last five minutes.

    Prometheus marks what vanishes as stale; the format of the files cannot say so, and a
    query would see the last sample for five minutes beyond midnight.
    """
    if b'window="today"' not in line:
        return False
    zone = BOGOTA if b'operation="acme"' in line else SANTIAGO
    return local_day(at, zone) != local_day(at + INTERVAL, zone)


def _stamped(lines: list[bytes], at: datetime, labelled: dict[bytes, bytes]) -> bytes:
    """The lines with the target's labels and the moment of the scrape."""
    stamp = f" {at.timestamp():.0f}\n".encode()
    out = []
    for line in lines:
        series, _blank, value = line.rpartition(b" ")
        if series not in labelled:
            labelled[series] = _with_target(series.decode()).encode()
        out.append(labelled[series] + b" " + value + stamp)
    return b"".join(out)


def _with_target(series: str) -> str:
    if "{" not in series:
        return f"{series}{{{_TARGET}}}"
    return series.replace("{", f"{{{_TARGET},", 1)


def _made_up(at: datetime, lines: int, *, late_chat: bool) -> bytes:
    stamp = int(at.timestamp())
    found = [f"{_with_target(name)} {value}" for name, value in _own(at, lines).items()]
    found += _alerts(at, late_chat=late_chat)
    return "".join(f"{line} {stamp}\n" for line in found).encode()


def _alerts(at: datetime, *, late_chat: bool) -> list[str]:
    """What rules would say: two alerts for the trouble, and that rules are loaded at all."""
    watchdog = 'alertname="WolkvoxWatchdog",severity="none",sli="watchdog"'
    found = [f'ALERTS{{alertstate="firing",{watchdog}}} 1']
    operation, skill_id, skill = COLLAPSED
    channel, within, began = "inbound", "20", ALERTED
    if late_chat:
        channel, within, began = LATE_CHAT[2], "30", MIDNIGHT + timedelta(hours=7, minutes=6)
    pair = (
        f'job="wolkvox",operation="{operation}",skill_id="{skill_id}",skill="{skill}",'
        f'type_interaction="{channel}",threshold_seconds="{within}",sli="service_level"'
    )
    for name, severity, active, holds in (
        ("WolkvoxServiceLevelBelowTarget", "warning", began, timedelta(minutes=10)),
        ("WolkvoxServiceLevelCollapse", "critical", began, timedelta(minutes=2)),
    ):
        labels = f'alertname="{name}",severity="{severity}",{pair}'
        if at >= active:
            found.append(f"ALERTS_FOR_STATE{{{labels}}} {active.timestamp():.0f}")
        if at >= active + holds:
            found.append(f'ALERTS{{alertstate="firing",{labels}}} 1')
    return found


def _own(at: datetime, lines: int) -> Mapping[str, float]:
    """What Prometheus and the process add; the exporter was restarted once today."""
    begun = START if at < RESTART else RESTART
    lived = (at - begun).total_seconds()
    wave = (at.timestamp() % 7200) / 7200
    return {
        "up": 1.0,
        "scrape_duration_seconds": round(0.004 + 0.002 * wave, 6),
        "scrape_samples_scraped": float(lines),
        "scrape_series_added": 0.0,
        "process_start_time_seconds": begun.timestamp(),
        "process_cpu_seconds_total": round(1.5 + 0.004 * lived, 3),
        "process_resident_memory_bytes": round(62e6 + 3e6 * wave),
        "process_open_fds": 14.0 + int(4 * wave),
        "process_max_fds": 1048576.0,
    }
