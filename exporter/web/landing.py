"""A plain page for people at `/`: what this is, where to go, how each query does."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from exporter.state.snapshot import QueryStatus

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>wolkvox-exporter</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem;
  padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8886;
  vertical-align: top; overflow-wrap: anywhere; }}
.bad {{ font-weight: bold; }}
</style>
</head>
<body>
<h1>wolkvox-exporter</h1>
<p>Version {version}. Service level, abandonment, ASA and ATA of Wolkvox skills
for Prometheus.</p>
<ul>
<li><a href="{telemetry_path}">Metrics</a></li>
<li><a href="/-/healthy">Healthy</a>: the poll loops live</li>
<li><a href="/-/ready">Ready</a>: each query has its first answer or failure</li>
</ul>
<h2>Queries</h2>
<table>
<thead><tr><th scope="col">Operation</th><th scope="col">Skill</th><th scope="col">State</th>
<th scope="col">Data age</th><th scope="col">Next poll</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</body>
</html>
"""
_ROW = (
    '<tr><td>{operation}</td><td>{skill}</td><td class="{kind}">{state}</td>'
    "<td>{age}</td><td>{slot}</td></tr>"
)


def landing_page(
    statuses: Iterable[QueryStatus], now: float, version: str, telemetry_path: str
) -> bytes:
    """The page as UTF-8 HTML; names from the configuration and the API are escaped."""
    rows = [_row(status, now) for status in sorted(statuses, key=lambda status: status.key)]
    page = _PAGE.format(
        version=escape(version),
        telemetry_path=escape(telemetry_path, quote=True),
        rows="\n".join(rows) or '<tr><td colspan="5">No query yet.</td></tr>',
    )
    return page.encode("utf-8", "replace")


def _row(status: QueryStatus, now: float) -> str:
    kind, state = "", "answers"
    if not status.settled:
        state = "waits for its first answer"
    elif status.error is not None:
        kind, state = "bad", f"{status.error[0]}: {status.error[1]}"
    elif not status.up:
        kind, state = "bad", "the last attempt failed"
    last, slot = status.memory.last_success_at, status.next_slot_at
    return _ROW.format(
        operation=escape(status.key.operation),
        skill=escape(f"{status.skill} ({status.key.skill_id})"),
        kind=kind,
        state=escape(state),
        age="never" if last is None else _span(now - last),
        slot="" if slot is None else f"in {_span(slot - now)}",
    )


def _span(seconds: float) -> str:
    whole = max(0, round(seconds))
    return f"{whole} s" if whole < 120 else f"{whole // 60} min"
