"""The simulator's face: the vendor's strings, errors and limits, and the control endpoints."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import httpx
import pytest

from exporter.simulator.api import Simulator, report_rows
from exporter.simulator.centre import Figures, Scenario, SimulatedOperation, SimulatedSkill
from tests.simulator_support import (
    INFORMATION,
    OPERATION,
    REPORTS,
    TOKEN,
    WEDNESDAY,
    HandClock,
    ask,
    make_simulator,
    skill_11,
)

pytestmark = pytest.mark.anyio

OTHER_TOKEN = "7b" + "cd" * 26
OTHER = SimulatedOperation(
    name="wv0042",
    token=OTHER_TOKEN,
    timezone=ZoneInfo("America/Lima"),
    skills=(SimulatedSkill("5101", "Soporte", {"inbound": 300}),),
)
OTHER_REPORTS = "/wv0042/api/v2/reports_manager.php"


def said(answer: httpx.Response) -> tuple[int, str]:
    """Return an answer's status and message, after a check that both codes agree."""
    body = answer.json()
    assert str(body["code"]) == str(answer.status_code)
    return answer.status_code, body["msg"]


async def test_a_report_has_the_vendors_envelope() -> None:
    """The headers of the real server, and its four keys."""
    answer = await skill_11(make_simulator())
    assert answer.status_code == 200
    assert dict(answer.headers) == {
        "server": "Apache",
        "content-type": "application/json; charset=utf-8",
        "cache-control": "no-store",
        "keep-alive": "timeout=5, max=100",
    }
    body = answer.json()
    data = body.pop("data")
    assert body == {"code": 200, "error": None, "msg": "2 records were found"}
    assert [row["type_interaction"] for row in data] == ["chat-whatsapp", "inbound"]


async def test_the_answer_is_the_truth_in_the_vendors_strings() -> None:
    """For a skill and for all of them, whatever the case of the word."""
    simulator = make_simulator()
    midnight = WEDNESDAY.replace(hour=0, minute=0)
    for skill_id in ("4173", "4190", "all", "ALL"):
        truth = simulator.truth("wv0013", skill_id, midnight, WEDNESDAY)
        figures = {name: Figures(**one) for name, one in truth.items()}  # type: ignore[arg-type]
        assert (await skill_11(simulator, skill_id)).json()["data"] == report_rows(figures)


async def test_windows_count_both_their_ends() -> None:
    """[0, t] and [t + 1 s, end] add up to the whole; a single second is a window."""
    simulator = make_simulator()

    async def inbound(first: str, last: str) -> int:
        answer = await skill_11(simulator, "all", f"20261118{first}", f"20261118{last}")
        rows = answer.json().get("data", [])
        return sum(int(row["inbound_calls"]) for row in rows)

    whole = await inbound("090000", "100000")
    assert whole > 0
    assert await inbound("090000", "093000") + await inbound("093001", "100000") == whole
    seconds = [await inbound(f"0930{n:02d}", f"0930{n:02d}") for n in range(60)]
    assert sum(seconds) == await inbound("093000", "093059")


async def test_the_future_does_not_show() -> None:
    """A window that ends tonight counts up to now and grows with the clock."""
    clock = HandClock()
    simulator = make_simulator(clock=clock)
    tonight = (await skill_11(simulator)).json()["data"]
    until_now = (await skill_11(simulator, date_end="20261118153000")).json()["data"]
    assert tonight == until_now
    clock.at += timedelta(hours=1)
    later = (await skill_11(simulator)).json()["data"]
    assert int(later[1]["inbound_calls"]) > int(tonight[1]["inbound_calls"])
    tomorrow = await skill_11(simulator, "all", "20261119000000", "20261119235959")
    assert tomorrow.status_code == 404


async def test_local_time_is_the_operations() -> None:
    """The same digits mean other instants in another zone."""
    there = replace(OPERATION, timezone=ZoneInfo("Asia/Tokyo"))
    clock = HandClock(datetime(2026, 11, 18, 15, 30, tzinfo=UTC))
    window = ("20261119000000", "20261119235959")
    assert (await skill_11(make_simulator(there, clock=clock), "all", *window)).is_success


async def test_no_rows_are_a_misleading_404() -> None:
    """The vendor's message for a window without rows speaks of the dates."""
    simulator = make_simulator()
    for skill_id, first, last in (
        ("9999", "20261118000000", "20261118235959"),  # unknown skill
        ("4173", "20261118235959", "20261118000000"),  # ends before it begins
        ("4173", "2026-11-18 00:00", "20261118235959"),  # another form
        ("4173", "20261131000000", "20261131235959"),  # no such day
        ("4173", "00010101000000", "00010101000001"),  # no such calendar
        ("4173", "20261118000000", "99991231235959"),  # end of days
        ("4173", "20261118", "20261118"),  # too short
    ):
        answer = await skill_11(simulator, skill_id, first, last)
        assert answer.status_code == 404, (skill_id, first, last)
        assert answer.json() == {
            "code": "404", "error": "NOT FOUND", "msg": "Validate dates entered"
        }  # fmt: skip


async def test_idle_channels_have_no_row() -> None:
    """A channel without traffic in the window is left out, never filled with zeros."""
    simulator = make_simulator()
    seen = set()
    for minute in range(30):
        window = f"2026111810{minute:02d}"
        answer = await skill_11(simulator, "4190", f"{window}00", f"{window}59")
        rows = answer.json().get("data", [])
        assert all(int(row["inbound_calls"]) > 0 for row in rows)
        seen.add(tuple(row["type_interaction"] for row in rows))
    assert {("inbound",), ("inbound", "omni-email")} <= seen


async def test_a_month_is_the_longest_window() -> None:
    """31 days are answered, a second more is refused."""
    simulator = make_simulator()
    for end, expected in (("120000", 200), ("120001", 400)):
        answer = await skill_11(simulator, "4190", "20261001120000", f"20261101{end}")
        assert said(answer)[0] == expected


async def test_a_server_may_refuse_long_ranges() -> None:
    """In the scenario `short-ranges` a day is answered, and two are refused."""
    simulator = make_simulator()
    simulator.set_scenario("short-ranges", "wv0013", "4190")
    for skill, first, expected in (("4190", 18, 200), ("4190", 17, 400), ("4173", 17, 200)):
        answer = await skill_11(simulator, skill, f"202611{first}000000")
        assert said(answer)[0] == expected, (skill, first)


def test_figures_are_written_as_the_vendor_does() -> None:
    """Two decimals, a blank and a sign; plain counts; an average over nobody is empty."""
    for figures, expected in (
        (
            Figures(67, 66, 1, 30, 44, 50, 66 * 14.6, 61.2),
            "67,66,1,44.78 %,65.67 %,74.63 %,1.49 %,15,61",
        ),
        (Figures(1, 0, 1, 0, 0, 0, 0.0, 9.0), "1,0,1,0 %,0 %,0 %,100 %,,9"),
        (
            Figures(12_345, 12_345, 0, 1, 12_344, 12_345, 12_345 * 90_061.0, 0.0),
            "12345,12345,0,0.01 %,99.99 %,100 %,0 %,90061,",
        ),
    ):
        (row,) = report_rows({"inbound": figures})
        assert ",".join([*row.values()][1:]) == expected


async def test_skills_lists_the_skills_with_their_names() -> None:
    """Names keep their accents and double blanks; all fields are strings."""
    answer = await ask(make_simulator(), INFORMATION, api="skills")
    assert answer.json()["msg"] == "2 records were found"
    first, second = answer.json()["data"]
    assert list(first) == ["skill_id", "skill_name", "skill_description", "last_use"]
    assert (first["skill_id"], first["skill_name"]) == ("4173", "Atención  Ñandú")
    assert re.fullmatch(r"2026-11-18 15:\d\d:\d\d", first["last_use"])
    assert second["skill_id"] == "4190"
    one = await ask(make_simulator(), INFORMATION, api="skills", skill="4190")
    assert [row["skill_name"] for row in one.json()["data"]] == ["Cobranza"]
    none = await ask(make_simulator(), INFORMATION, api="skills", skill="1")
    assert none.status_code == 404


async def test_a_skill_never_used_has_an_empty_last_use() -> None:
    """Silence from the very beginning leaves no trace."""
    clock = HandClock(WEDNESDAY - timedelta(days=30))
    simulator = make_simulator(clock=clock)
    simulator.set_scenario("silence")
    clock.at = WEDNESDAY
    answer = await ask(simulator, INFORMATION, api="skills")
    assert [row["last_use"] for row in answer.json()["data"]] == ["", ""]


async def test_token_info_tells_the_quota_as_strings() -> None:
    """The call itself costs one; the operation's total holds other tokens' calls too."""
    simulator = make_simulator()
    await skill_11(simulator)
    answer = await ask(simulator, INFORMATION, api="token_info")
    (row,) = answer.json()["data"]
    assert row.pop("description")
    assert row == {
        "token_limit": "1000",
        "token_use_today": "2",
        "all_token_today": "9",
        "available_consumption_options": "991",
    }


async def test_each_error_has_its_status_and_message() -> None:
    """A token comes before an api, an api before its parameters."""
    simulator = make_simulator(OPERATION, OTHER)
    unknown = (400, "THE API YOU WANT TO CONSULT DOES NOT EXIST")
    required = (400, "SOME PARAMETERS ARE REQUIRED")
    missing = (401, "PLEASE ENTER THE WOLKVOX-TOKEN")
    wrong = (403, "PLEASE VALIDATE TOKEN")
    report = {"api": "skill_11"}
    table: list[tuple[str, str | None, dict[str, str], tuple[int, str]]] = [
        (REPORTS, TOKEN, {"api": "skill_99"}, unknown),
        (REPORTS, TOKEN, {"api": "token_info"}, unknown),
        (REPORTS, TOKEN, {}, required),
        (REPORTS, TOKEN, {**report, "skill_id": "all", "date_end": "20261118"}, required),
        (
            REPORTS,
            TOKEN,
            {**report, "skill_id": "", "date_ini": "2", "date_end": "2"},
            required,
        ),
        (REPORTS, None, report, missing),
        (REPORTS, "", report, missing),
        (INFORMATION, "x", {"api": "skills"}, wrong),
        (REPORTS, OTHER_TOKEN, report, wrong),
    ]
    for path, token, query, expected in table:
        answer = await ask(simulator, path, token=token, params=query)
        assert said(answer) == expected, query
        assert answer.json()["error"] in {"BAD REQUEST", "UNAUTHORIZED", "FORBIDDEN"}
        assert "data" not in answer.json()
        assert answer.headers["content-type"] == "application/json; charset=utf-8"


async def test_what_is_no_part_of_the_api_gets_the_web_servers_own_page() -> None:
    """A page in HTML, not an envelope; the reports are read with GET alone."""
    simulator = make_simulator(OPERATION, OTHER)
    for path in (
        "/wv0099/api/v2/reports_manager.php",
        "/wv0013/api/v2/",
        "/wv0013/api/v2/real_time.php",
        "/wv0013/api/v1/reports_manager.php",
        "/api/v2/real_time.php",
        "/favicon.ico",
    ):
        answer = await ask(simulator, path, api="skill_11")
        assert answer.status_code == 404, path
        assert answer.headers["content-type"].startswith("text/html")
        assert "Not Found" in answer.text
    posted = await ask(simulator, REPORTS, method="POST", api="skill_11")
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET")


SHARED = "/api/v2/reports_manager.php"


async def test_each_token_opens_its_own_operation() -> None:
    """The same skill id has the figures, the quota and the scenarios of its operation."""
    one = replace(OPERATION, used_elsewhere=0)
    twin = replace(one, name="twin", token=OTHER_TOKEN, daily_limit=2)
    simulator = make_simulator(one, twin)
    first = (await skill_11(simulator, path=SHARED)).json()
    second = (await skill_11(simulator, path=SHARED, token=OTHER_TOKEN)).json()
    assert first["data"] != second["data"]
    assert first == (await skill_11(simulator)).json()
    own = await skill_11(simulator, path="/twin/api/v2/reports_manager.php", token=OTHER_TOKEN)
    assert own.json() == second
    third = await skill_11(simulator, path=SHARED, token=OTHER_TOKEN)
    assert said(third) == (403, "TOKEN LIMIT EXCEEDED")
    simulator.set_scenario("maintenance", "twin")
    assert (await skill_11(simulator, path=SHARED)).json() == first


async def test_a_strange_token_belongs_to_no_operation() -> None:
    """It is refused, and the record of the request names no operation."""
    simulator = make_simulator(OPERATION, OTHER)
    refused = await skill_11(simulator, path=SHARED, token="x")
    assert said(refused) == (403, "PLEASE VALIDATE TOKEN")
    assert (await skill_11(simulator, "5101", path=SHARED, token=OTHER_TOKEN)).is_success
    found: Any = simulator.requests()
    assert [one["operation"] for one in found["requests"]] == [None, "wv0042"]
    assert found["max_in_flight"] == {"wv0042": 1}


async def test_a_third_request_at_once_is_refused() -> None:
    """Two are in flight until their answers have left; another token is not concerned."""
    gate = anyio.Event()

    async def held(_seconds: float) -> None:
        await gate.wait()

    simulator = make_simulator(OPERATION, OTHER, sleep=held)
    answers: list[httpx.Response] = []

    async def one(path: str, token: str) -> None:
        answers.append(await skill_11(simulator, "all", path=path, token=token))

    async with anyio.create_task_group() as group:
        for path, token in [(REPORTS, TOKEN)] * 2 + [(OTHER_REPORTS, OTHER_TOKEN)]:
            group.start_soon(one, path, token)
        await anyio.wait_all_tasks_blocked()
        refused = await skill_11(simulator)
        gate.set()
    assert said(refused) == (403, "EXCEEDS THE LIMIT OF SIMULTANEOUS REQUESTS PER TOKEN (2)")
    assert [answer.status_code for answer in answers] == [200] * 3
    assert (await skill_11(simulator)).status_code == 200
    assert simulator.requests()["max_in_flight"] == {"wv0013": 3, "wv0042": 1}


async def test_the_quota_runs_out_and_returns_at_local_midnight() -> None:
    """Every call with the token counts, whatever it returns; refused ones no more."""
    clock = HandClock(WEDNESDAY.replace(hour=23, minute=59, second=58))
    simulator = make_simulator(replace(OPERATION, daily_limit=10), clock=clock)
    assert (await skill_11(simulator)).status_code == 200
    assert (await ask(simulator, REPORTS, api="nothing")).status_code == 400
    await ask(simulator, REPORTS, api="skill_11", token="wrong")
    info = await ask(simulator, INFORMATION, api="token_info")
    assert info.json()["data"][0]["available_consumption_options"] == "0"
    assert said(await skill_11(simulator)) == (403, "TOKEN LIMIT EXCEEDED")
    assert said(await skill_11(simulator)) == (403, "TOKEN LIMIT EXCEEDED")
    clock.at += timedelta(seconds=2)
    info = await ask(simulator, INFORMATION, api="token_info")
    assert info.json()["data"][0]["token_use_today"] == "1"


async def test_an_answer_takes_its_time() -> None:
    """The latency, or half a minute where it is slow, passes on the simulator's clock."""
    clock = HandClock()
    simulator = make_simulator(clock=clock, latency=2.5)
    await skill_11(simulator)
    assert clock.at - WEDNESDAY == timedelta(seconds=2.5)
    simulator.set_scenario("slow", "wv0013")
    assert (await skill_11(simulator)).status_code == 200
    assert clock.at - WEDNESDAY == timedelta(seconds=32.5)


async def test_faults_of_the_api_end_with_healthy() -> None:
    """Reports, skills and token_info are all refused, in one operation or in all."""
    simulator = make_simulator(OPERATION, OTHER)
    for scenario, expected in (
        ("maintenance", (403, "API DISABLED DURING SERVER MAINTENANCE")),
        ("quota", (403, "TOKEN LIMIT EXCEEDED")),
        ("unauthorized", (403, "PLEASE VALIDATE TOKEN")),
    ):
        simulator.set_scenario(scenario, "wv0013")
        assert said(await skill_11(simulator, "all")) == expected
        assert said(await ask(simulator, INFORMATION, api="skills")) == expected
        assert said(await ask(simulator, INFORMATION, api="token_info")) == expected
        other = await skill_11(simulator, "all", path=OTHER_REPORTS, token=OTHER_TOKEN)
        assert other.status_code == 200
        simulator.set_scenario("healthy")
        assert (await skill_11(simulator)).status_code == 200


async def test_refused_tokens_cost_nothing_and_maintenance_does() -> None:
    """A call is paid for once its token is good and its quota is not used up."""
    simulator = make_simulator()
    for scenario in ("quota", "unauthorized", "maintenance", "healthy"):
        simulator.set_scenario(scenario)
        await skill_11(simulator)
    info = await ask(simulator, INFORMATION, api="token_info")
    assert info.json()["data"][0]["token_use_today"] == "3"


def test_two_operations_cannot_answer_below_one_path() -> None:
    """The simulator refuses names that stand twice."""
    with pytest.raises(ValueError, match="the same name"):
        make_simulator(OPERATION, OPERATION)


async def test_truth_is_the_same_over_http() -> None:
    """Unrounded figures of any window, both ends of the texts included."""
    simulator = make_simulator()
    answer = await ask(
        simulator,
        "/_simulator/truth",
        operation="wv0013",
        skill_id="4173",
        date_ini="20261118090000",
        date_end="20261118095959",
    )
    nine = WEDNESDAY.replace(hour=9, minute=0)
    truth = simulator.truth("wv0013", "4173", nine, nine + timedelta(hours=1))
    assert answer.json() == truth
    assert set(truth["inbound"]) == {
        *("inbound", "answered", "abandoned", "within_10", "within_20", "within_30"),
        *("answer_wait_seconds", "abandon_wait_seconds"),
    }


async def test_truth_says_what_is_missing() -> None:
    """A wrong question is a 400 with a sentence."""
    wrong: list[tuple[dict[str, str], str]] = [
        ({}, "unknown operation ''"),
        ({"operation": "wv0013", "skill_id": "1"}, "unknown skill '1'"),
        ({"operation": "wv0013", "date_ini": "x"}, "YYYYmmddHHMMSS"),
    ]
    for query, error in wrong:
        answer = await ask(make_simulator(), "/_simulator/truth", params=query)
        assert answer.status_code == 400
        assert error in answer.json()["error"]


async def test_scenarios_can_be_switched_over_http() -> None:
    """An id may be a number, as people write it in JSON; only that skill is hit."""
    for skill_id in ("4173", 4173):
        simulator = make_simulator()
        order = {"scenario": "maintenance", "operation": "wv0013", "skill_id": skill_id}
        answer = await post(simulator, json.dumps(order).encode())
        assert answer.status_code == 200
        assert answer.json() == {**order, "skill_id": "4173"}
        assert (await skill_11(simulator, "4173")).status_code == 403
        assert (await skill_11(simulator, "4190")).status_code == 200
        assert (await ask(simulator, INFORMATION, api="skills")).status_code == 200


async def test_wrong_orders_are_refused_with_the_known_names() -> None:
    """Nothing is switched or taken back and nothing breaks, whatever is sent."""
    simulator = make_simulator(OPERATION, OTHER)
    before = (await skill_11(simulator)).json()
    one = {"operation": "wv0013", "skill_id": "4173", "type_interaction": "inbound"}
    corrections = [
        {},
        one,
        {**one, "interactions": "-1"},
        {**one, "type_interaction": "omni-email", "interactions": "1"},
        {**one, "skill_id": "all", "interactions": "1"},
    ]
    silence = {"scenario": "silence"}
    scenarios: list[tuple[dict[str, str], str]] = [
        ({"scenario": "storm"}, "unknown scenario 'storm'; known: healthy, coll"),
        ({**silence, "operation": "x"}, "unknown operation 'x'; known: wv0013, wv0042"),
        (
            {**silence, "operation": "wv0013", "skill_id": "5101"},
            "unknown skill '5101'; known: 4173, 4190, all",
        ),
        ({**silence, "skill_id": "4173"}, "a skill needs its operation"),
    ]
    broken = [b"", b"[]", b"{", b"\xff", b"[" * 60_000, b" " * 70_000 + b"{}"]
    orders = [("scenario", body, "") for body in broken]
    orders += [("scenario", json.dumps(order).encode(), why) for order, why in scenarios]
    orders += [("correction", json.dumps(order).encode(), "") for order in corrections]
    for switch, body, why in orders:
        answer = await post(simulator, body, switch)
        assert answer.status_code == 400, body[:50]
        assert answer.json()["error"]
        assert why in answer.json()["error"]
        assert answer.json()["scenarios"] == list(Scenario)
    assert (await skill_11(simulator)).json() == before


async def test_a_correction_takes_the_last_interactions_back() -> None:
    """The totals of the day fall in report and truth; ids and counts may be numbers."""
    simulator = make_simulator()
    before = (await skill_11(simulator)).json()["data"]
    order = {"operation": "wv0013", "skill_id": 4173, "type_interaction": "inbound"}
    answer = await post(
        simulator, json.dumps({**order, "interactions": 20}).encode(), "correction"
    )
    assert answer.json() == {"taken_back": 20}
    after = (await skill_11(simulator)).json()["data"]
    assert int(after[1]["inbound_calls"]) == int(before[1]["inbound_calls"]) - 20
    assert after[0] == before[0]


async def test_requests_are_on_record_without_their_tokens() -> None:
    """The journal has what was asked, when and with what success."""
    clock = HandClock()
    simulator = make_simulator(OPERATION, OTHER, clock=clock, latency=0.5)
    await skill_11(simulator)
    await ask(simulator, INFORMATION, api="token_info", token=OTHER_TOKEN)
    await ask(simulator, INFORMATION, api="token_info", token="nobody's")
    await ask(simulator, INFORMATION, api="token_info", token=None)
    answer = await ask(simulator, "/_simulator/requests")
    first, *others = answer.json()["requests"]
    assert first == {
        "start": WEDNESDAY.timestamp(),
        "end": WEDNESDAY.timestamp() + 0.5,
        "operation": "wv0013",
        "path": REPORTS,
        "api": "skill_11",
        "skill_id": "4173",
        "date_ini": "20261118000000",
        "date_end": "20261118235959",
        "status": 200,
        "token": 0,
    }
    assert [(one["status"], one["token"]) for one in others] == [
        (403, 1),
        (403, -1),
        (401, None),
    ]
    assert answer.json()["max_in_flight"] == {"wv0013": 1}
    assert TOKEN not in answer.text
    assert OTHER_TOKEN not in answer.text


async def test_the_oldest_requests_are_forgotten() -> None:
    """Ten thousand are kept, so that the list never grows without end."""
    simulator = make_simulator()
    for number in range(10_005):
        await simulator.answer(REPORTS, {"skill_id": str(number)}, None)
    requests: Any = simulator.requests()["requests"]
    assert len(requests) == 10_000
    assert requests[0]["skill_id"] == "5"


async def test_the_page_tells_what_there_is_and_no_token() -> None:
    """A person who opens the root in a browser learns where everything is."""
    answer = await ask(make_simulator(OPERATION, OTHER), "/")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    for text in ("simulator", "/wv0013/api/v2/", "Ñandú", "/_simulator/truth", "collapse"):
        assert text in answer.text
    assert TOKEN not in answer.text


async def test_other_control_paths_and_methods_are_refused() -> None:
    """404 for what there is not, 405 for the wrong method."""
    simulator = make_simulator()
    assert (await ask(simulator, "/_simulator/other")).status_code == 404
    assert (await ask(simulator, "/_simulator/scenario")).status_code == 405
    assert (await ask(simulator, "/_simulator/truth", method="POST")).status_code == 405


async def post(simulator: Simulator, body: bytes, switch: str = "scenario") -> httpx.Response:
    """Send an order to a control endpoint."""
    return await ask(simulator, f"/_simulator/{switch}", method="POST", content=body)
