"""Scenes of the exporter, its target and the API."""

from __future__ import annotations

from typing import Any

from tests.rules_centre import (
    DOWN,
    FAILING,
    STALE_DATA,
    Built,
    case,
    climb,
    fires,
    reached,
    silent,
    steps,
)
from tests.rules_scene import (
    PAIR,
    STALE,
    Scene,
    Value,
)
from tests.rules_support import Check


@case
def exporter_down() -> Built:
    """A target that does not answer pages after five minutes, and resolves."""
    scene = Scene(60)
    scene.add("up", steps((10, 1.0), (20, 0.0), (30, 1.0)))
    return scene, [
        *silent(DOWN, 13),
        *fires(DOWN, 17, 28),
        *silent(DOWN, 31),
        Check(DOWN, 20, 1, ',outage="partial"'),
    ]


@case
def all_exporters_down() -> Built:
    """Where no exporter of the job is left, the outage is total."""
    scene = Scene(60)
    scene.add("up", steps((10, 1.0), (20, 0.0), (30, 1.0)))
    scene.instance = "b:19655"
    scene.add("up", steps((20, 0.0), (10, 0.0), (30, 1.0)))
    return scene, [
        Check(DOWN, 8, 1, ',outage="partial"'),
        Check(DOWN, 8, 0, ',outage="total"'),
        Check(DOWN, 28, 2, ',outage="total"'),
        *silent(DOWN, 31),
    ]


@case
def exporter_absent() -> Built:
    """A job without a target pages after ten minutes, and resolves."""
    scene = Scene(60)
    scene.add("up", steps((10, 1.0), (1, STALE), (29, None), (20, 1.0)))
    name = "WolkvoxExporterAbsent"
    return scene, [*silent(name, 9, 18), *fires(name, 22, 38), *silent(name, 41)]


@case
def token_rejected() -> Built:
    """A refused token pages, with its data stale; the same reason 0 does not."""
    scene = reached(90)
    scene.operation()
    scene.query(range(1, 30, 5), attempts=[*range(1, 30, 5), 31, 41, 61])
    paused = steps((31, 0.0), (40, 1.0), (19, 0.0))
    scene.add("wolkvox_paused", paused, operation="acme", reason="unauthorized")
    scene.constant("wolkvox_paused", 0, operation="acme", reason="quota")
    scene.constant("wolkvox_paused", 0, operation="globex", reason="unauthorized")
    name = "WolkvoxTokenRejected"
    return scene, [
        *silent(name, 30, 34), *fires(name, 39, 69), *silent(name, 73), *fires(STALE_DATA, 60),
    ]  # fmt: skip


def _calls(scene: Scene, failures: list[Value], reason: str = "timeout", **more: str) -> None:
    who = {"operation": "acme", "report": "skill_11"} | more
    key = 'wolkvox_api_requests_total{job="wolkvox","'
    assert key not in scene.series
    scene.add("wolkvox_api_requests_total", climb((scene.minutes, 0.4)), **who)
    scene.add("wolkvox_api_request_failures_total", failures, **who, reason=reason)


@case
def api_failing() -> Built:
    """A fifth of the requests failing warns while it lasts; few or past ones do not."""
    scene = reached(150)
    _calls(scene, climb((30, 0), (40, 0.2), (80, 0)))
    _calls(scene, climb((30, 0), (1, 1), (119, 0)), operation="once")
    _calls(scene, climb((150, 0.07)), operation="few")
    _calls(scene, climb((30, 0), (120, 0.3)), "quota", operation="paused")
    _calls(scene, climb((30, 0), (120, 0.3)), "unauthorized", operation="refused")
    # Half an hour of failures that ended: the share stays high, the trouble is over.
    _calls(scene, climb((30, 0), (8, 0.4), (112, 0)), operation="over")
    return scene, [*silent(FAILING, 30, 45), *fires(FAILING, 60, 69), *silent(FAILING, 83, 140)]


@case
def api_failing_on_a_tight_quota() -> Built:
    """Two failures in a row count where ten minutes hold no request."""
    scene = reached(150)
    scene.query(range(1, 45, 15), attempts=range(1, 150, 15), pace=900)
    values = [float(max(0, (minute - 31) // 15)) for minute in range(150)]
    who = {"operation": "acme", "report": "skill_11"}
    requests: list[Value] = [float(1 + (minute - 1) // 15) for minute in range(150)]
    scene.add("wolkvox_api_requests_total", requests, **who)
    scene.add("wolkvox_api_request_failures_total", values, **who, reason="timeout")
    return scene, [
        *silent(FAILING, 55),
        *fires(FAILING, 90, 105, 149),
        *fires(STALE_DATA, 149),
    ]


@case
def answers_unreadable() -> Built:
    """Fields and answers that cannot be read warn, and resolve half an hour after the last."""
    scene = reached(150)
    errors = climb((30, 0), (30, 0.2), (90, 0))
    scene.add("wolkvox_parse_errors_total", errors, operation="acme", field="asa")
    scene.constant("wolkvox_parse_errors_total", 7, operation="acme", field="ata")
    _calls(scene, climb((40, 0), (20, 0.04), (90, 0)), "malformed", operation="globex")
    name = "WolkvoxAnswerUnreadable"
    return scene, [
        *silent(name, 30, 38),
        *fires(name, 49),
        *fires(name, 60, 85, count=2),
        *silent(name, 92),
    ]


def _voice(scene: Scene, channel: str, **figures: Any) -> None:
    who = PAIR | {"type_interaction": channel, "window": "today"}
    for threshold, ratio in figures.pop("levels", {}).items():
        name = "wolkvox_skill_service_level_ratio"
        scene.add(name, ratio, **who, threshold_seconds=threshold)
    for what, values in figures.items():
        scene.add(f"wolkvox_skill_{what}_interactions", values, **who)


@case
def inconsistent() -> Built:
    """Voice figures that contradict each other warn; chats have a backlog, two may miss."""
    scene = reached(90)
    scene.operation()
    many = [100.0] * 90
    answered = steps((20, 90.0), (40, 85.0), (30, 90.0))
    _voice(scene, "inbound", inbound=many, answered=answered, abandoned=[8.0] * 90)
    levels = {"10": steps((30, 0.8), (60, 0.91)), "30": steps((90, 0.85))}
    _voice(
        scene,
        "out_pre",
        inbound=many,
        answered=[90.0] * 90,
        abandoned=[10.0] * 90,
        levels=levels,
    )
    _voice(scene, "chat-web", inbound=many, answered=[50.0] * 90, abandoned=[1.0] * 90)
    name = "WolkvoxDataInconsistent"
    return scene, [
        *silent(name, 33),
        *fires(name, 37),
        *fires(name, 50, count=2),
        *fires(name, 65),
    ]


@case
def polls_late() -> Built:
    """Polls that are late by more than an interval warn."""
    scene = reached(90)
    scene.operation()
    scene.operation("globex")
    lag = steps((20, 2.0), (40, 301.0), (30, 299.0))
    scene.add("wolkvox_poll_lag_seconds", lag, operation="acme")
    scene.constant("wolkvox_poll_lag_seconds", 290, operation="globex")
    name = "WolkvoxPollLate"
    return scene, [*silent(name, 33), *fires(name, 37, 58), *silent(name, 61)]


@case
def reload_failed() -> Built:
    """A refused configuration warns until it is put right."""
    scene = reached(60)
    values = steps((10, 1.0), (20, 0.0), (30, 1.0))
    scene.add("wolkvox_exporter_config_last_reload_successful", values)
    name = "WolkvoxConfigReloadFailed"
    return scene, [*silent(name, 13), *fires(name, 17, 28), *silent(name, 31)]


@case
def restarting() -> Built:
    """Three restarts in an hour warn; an upgrade and its correction do not."""
    scene = reached(180)
    starts = steps((20, 0.0), (10, 1200.0), (10, 1800.0), (140, 2400.0))
    scene.add("process_start_time_seconds", starts)
    scene.instance = "b:19655"
    scene.exporter()
    scene.add("process_start_time_seconds", steps((20, 0.0), (10, 1200.0), (150, 1800.0)))
    name = "WolkvoxExporterRestarting"
    return scene, [*silent(name, 38), *fires(name, 41, 75), *silent(name, 85)]


@case
def watchdog() -> Built:
    """The dead-man's switch fires from the first evaluation on, whatever there is."""
    scene = reached(30)
    return scene, fires("WolkvoxWatchdog", 0, 29)
