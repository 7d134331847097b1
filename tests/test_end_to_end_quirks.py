"""Every odd answer known, over a real socket: the process lives, its neighbours stay fresh."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import pytest

from exporter.errors import Reason
from tests.e2e_api import Api, Asked, Reply, Serve, found, refused, row
from tests.e2e_support import (
    PATIENCE,
    TOKEN,
    Launch,
    Life,
    Samples,
    operation,
    wait_for,
    write_config,
)
from tests.quirks import QUIRKS, TOO_LARGE, Quirk

pytestmark = pytest.mark.e2e

# What changes how the next answers are taken: each of these gets an operation of its own.
LONERS = [
    quirk
    for quirk in QUIRKS
    if quirk.expect in {Reason.QUOTA, Reason.UNAUTHORIZED} or len(quirk.channels) == 64
]
STEADY = [quirk for quirk in QUIRKS if quirk not in LONERS]
HANDS = 40
# What a server does below HTTP: the bytes, how slowly, and the reason.
GOOD = found(row()).wire()
QUOTA = refused("TOKEN LIMIT EXCEEDED").wire()
WIRE = (
    (Reply(raw=b""), Reason.INTERRUPTED),
    (Reply(raw=b"\r\n\r\n"), Reason.INTERRUPTED),
    (Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Le"), Reason.INTERRUPTED),
    (Reply(raw=b"SSH-2.0-OpenSSH_9.2\r\n"), Reason.INTERRUPTED),
    (Reply(raw=b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000), Reason.INTERRUPTED),
    (Reply(raw=GOOD[:-9]), Reason.INTERRUPTED),
    (Reply(raw=QUOTA.replace(b"ontent-Length: ", b"ontent-Length: 9")), Reason.QUOTA),
    (Reply(raw=GOOD, drip=0.05), Reason.TIMEOUT),
    (Reply(raw=b"HTTP/1.1 200 OK\r\n", drip=5.0), Reason.TIMEOUT),
)


class Dealer:
    """Deals the steady answers out to the skills of `odd`, one after the other.

    Each other operation gets its one answer again and again, `good` a good one.
    """

    def __init__(self) -> None:
        self.hands = {str(skill): STEADY[skill::HANDS] for skill in range(HANDS)}
        self._dealt: Counter[str] = Counter()

    def __call__(self, asked: Asked) -> Reply:
        kind, _, number = asked.operation.partition("-")
        if kind == "loner":
            return wire(LONERS[int(number)])
        if kind == "wire":
            return WIRE[int(number)][0]
        if kind == "odd":
            turn = self._dealt[asked.skill]
            self._dealt[asked.skill] += 1
            if turn < len(self.hands[asked.skill]):
                return wire(self.hands[asked.skill][turn])
        return found(row())

    def over(self) -> bool:
        """Whether each skill of `odd` was asked twice more than it has odd answers."""
        return all(self._dealt[skill] >= len(hand) + 2 for skill, hand in self.hands.items())


def wire(quirk: Quirk) -> Reply:
    """A quirk as an answer of the server."""
    return Reply(quirk.body, quirk.status, quirk.headers)


def lone(api: Api, name: str, number: int, **keys: str) -> str:
    """An operation with a skill and a token of its own."""
    label = f"{name}-{number}"
    return operation(api.url(label), name=label, token=f"{TOKEN}{name}{number}", **keys)


@pytest.mark.slow
def test_all_odd_answers_over_a_socket(
    launch: Launch, tmp_path: Path, serve_api: Serve
) -> None:
    """154 of them and what lies below HTTP: each has its reason, the good one stays fresh."""
    assert len(QUIRKS) >= 150
    dealer = Dealer()
    api = serve_api(dealer)
    config = write_config(
        tmp_path,
        operation(
            api.url("odd"), *dealer.hands, name="odd", token=f"{TOKEN}odd", stale_after="1m"
        ),
        *(lone(api, "loner", number) for number in range(len(LONERS))),
        *(
            lone(api, "wire", number, timeout="2s" if reply.drip else "60s")
            for number, (reply, _) in enumerate(WIRE)
        ),
        operation(api.url("good"), name="good", token=f"{TOKEN}good"),
    )
    life = launch.serve(config, "--log.level", "debug")
    wait_for(lambda: life.get("/-/ready").status == 200, "the first answers", 60)

    def over() -> bool:
        assert life.metrics().value("wolkvox_up", operation="good") == 1
        return dealer.over()

    wait_for(over, "all answers", 10 * PATIENCE, pause=0.2)
    # No turn of it was late for what befell the others.
    assert len(api.of("good", "4173")) >= max(len(api.of("odd", one)) for one in dealer.hands)
    assert life.get("/-/healthy").status == 200
    page = life.metrics()
    internal = page.of("wolkvox_api_request_failures_total", reason="internal")
    assert set(internal.values()) == {0}
    check_reasons(life, dealer)
    check_reading(page, dealer)
    for number, quirk in enumerate(LONERS):
        name = f"loner-{number}"
        assert set(counted(page, name)) == {quirk.expect} - {"rows"}, quirk.name
        dropped = page.value("wolkvox_series_dropped_total", operation=name)
        assert bool(dropped) == bool(quirk.dropped), quirk.name
    for number, (_, reason) in enumerate(WIRE):
        assert set(counted(page, f"wire-{number}")) == {reason}, number
    assert life.stop() == 0
    assert "Traceback" not in life.log()


def check_reasons(life: Life, dealer: Dealer) -> None:
    """The failures of each skill, in the order of the log, are those that were dealt."""
    told = defaultdict(list)
    for line in life.log().splitlines():
        if 'msg="no answer"' in line and "operation=odd" in line:
            fields = dict(re.findall(r" (skill_id|reason)=(\w+)", line))
            told[fields["skill_id"]].append(fields["reason"])
    for skill, hand in dealer.hands.items():
        failures = [quirk.expect for quirk in hand if quirk.expect not in {"rows", "no rows"}]
        assert told[skill] == failures, [quirk.name for quirk in hand]
    dealt = Counter(quirk.expect for quirk in STEADY)
    assert counted(life.metrics(), "odd") == {
        reason: count for reason, count in dealt.items() if reason not in {"rows", "no rows"}
    }


def check_reading(page: Samples, dealer: Dealer) -> None:
    """What was read, left out and dropped is what the answers hold."""
    lost = Counter(chain.from_iterable(quirk.lost for quirk in STEADY))
    errors = page.of("wolkvox_parse_errors_total", operation="odd")
    assert {dict(key)["field"]: value for key, value in errors.items() if value} == lost
    dropped = sum(quirk.dropped for quirk in STEADY)
    assert page.value("wolkvox_series_dropped_total", operation="odd") == dropped
    for skill, hand in dealer.hands.items():
        channels = set(chain.from_iterable(quirk.channels for quirk in hand)) | {"inbound"}
        shown = page.of("wolkvox_skill_inbound_interactions", operation="odd", skill_id=skill)
        assert {read(dict(key)["type_interaction"]) for key in shown} == channels


def read(label: str) -> str:
    """A label's value without the escapes of the text format."""
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], label)


def counted(page: Samples, name: str) -> dict[str, float]:
    """The failures of an operation by reason, those that happened."""
    found = page.of("wolkvox_api_request_failures_total", operation=name)
    return {dict(key)["reason"]: value for key, value in found.items() if value}


def memory(life: Life, field: str) -> float:
    """VmRSS (now) or VmHWM (at most) of the process in MiB."""
    status = Path(f"/proc/{life.pid}/status").read_text(encoding="ascii")
    return int(re.findall(rf"{field}:\s+(\d+) kB", status)[0]) / 1024


@pytest.mark.usefixtures("linux")
def test_bombs_cost_no_memory(launch: Launch, tmp_path: Path, serve_api: Serve) -> None:
    """Answers that decompress to 64 MiB, at the same time, take no more than they may hold."""
    ready: list[bool] = []
    bombs: Sequence[Quirk] = [quirk for quirk in TOO_LARGE if "bomb" in quirk.name]

    def script(asked: Asked) -> Reply:
        return wire(bombs[asked.number % len(bombs)]) if ready else found(row())

    api = serve_api(script)
    names = ("one", "two", "three")
    config = write_config(
        tmp_path,
        *(operation(api.url(name), name=name, token=f"{TOKEN}{name}") for name in names),
    )
    life = launch.serve(config)
    wait_for(lambda: life.get("/-/ready").status == 200, "the first answers")
    before = memory(life, "VmRSS")
    Path(f"/proc/{life.pid}/clear_refs").write_text("5", encoding="ascii")  # VmHWM from here
    ready.append(True)
    wait_for(
        lambda: min(counted(life.metrics(), name).get("too_large", 0) for name in names) >= 3,
        "nine bombs",
    )
    # Each may hold 8 MiB decoded; what is decoded goes with the failure.
    assert memory(life, "VmHWM") < before + len(names) * 8 + 24
    assert memory(life, "VmRSS") < before + 24
