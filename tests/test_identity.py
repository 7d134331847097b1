"""Names in the state file, and the bound on channels: small pure rules of the state."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from pydantic import SecretStr

from exporter.config import Configuration, Operation, Skill, TokenSource
from exporter.state import ledger as ledgers
from exporter.state.absorb import bounded
from exporter.state.identity import identities
from exporter.wolkvox.report import ChannelFigures, SkillReport
from tests.statuses import DAY

URL = "https://wv0013.wolkvox.com/api/v2/"
OTHER = "https://wv0042.wolkvox.com/api/v2/"


def operation(name: str, url: str = URL, *skills: str, discover: bool = False) -> Operation:
    """An operation with a token of its own."""
    return Operation(
        name=name,
        base_url=url,
        server="wv0013",
        loopback=False,
        token=TokenSource(value=SecretStr(name)),
        timezone=ZoneInfo("America/Bogota"),
        discover=discover,
        skills=tuple(Skill(one, one) for one in skills),
    )


def test_operation_is_named_by_its_base_url() -> None:
    """Renaming an operation keeps pauses, memories and the count of calls."""
    before = identities(Configuration((operation("acme", URL, "1"),)))["acme"]
    after = identities(Configuration((operation("acme-bank", URL, "1"),)))["acme-bank"]

    assert before.member == after.member == before.owner == URL
    assert URL in before.account
    assert URL in after.account


def test_two_operations_of_one_server_are_told_apart() -> None:
    """One server with two tokens: pauses, counts and equal queries do not mix."""
    both = identities(
        Configuration((operation("a", URL, "1", "all"), operation("b", URL, "2", "all")))
    )

    assert both["a"].member != both["b"].member
    assert both["a"].owner != both["b"].owner
    assert not set(both["a"].account) & set(both["b"].account)


def test_memories_stay_where_a_second_operation_joins_with_other_skills() -> None:
    """Counters of a query go on when another operation on its server asks other skills."""
    joined = identities(Configuration((operation("a", URL, "1"), operation("b", URL, "2"))))

    assert joined["a"].owner == joined["b"].owner == URL


def test_discovered_skills_may_be_anybodys() -> None:
    """Where the skills are not known, the queries of one server are kept apart."""
    joined = identities(
        Configuration((operation("a", URL, "1"), operation("b", URL, discover=True)))
    )

    assert joined["a"].owner != joined["b"].owner


def test_count_of_calls_survives_a_second_operation() -> None:
    """The calls stand under a name that stays when the base URL becomes ambiguous."""
    alone = identities(Configuration((operation("a", URL, "1"),)))["a"]
    joined = identities(Configuration((operation("a", URL, "1"), operation("b", URL, "2"))))

    assert set(alone.account) & set(joined["a"].account)


def test_shared_token_is_one_account() -> None:
    """Operations that share a token count under the names of both."""
    shared = identities(
        Configuration(
            (operation("a", URL, "1"), operation("b", OTHER, "1"), operation("c", URL, "9")),
            shared_tokens=(("a", "b"),),
        )
    )

    assert shared["a"].account == shared["b"].account
    assert not set(shared["a"].account) & set(shared["c"].account)


def _row(channel: str) -> ChannelFigures:
    return ChannelFigures(channel, 1, 1, 0, 1.0, 1.0, 1.0, 0.0, 1.0, None)


def test_known_channels_go_before_new_ones() -> None:
    """A query has 64 channels at most over its memory; what is beyond is counted."""
    first = tuple(_row(f"a{number}") for number in range(60))
    ledger = ledgers.observe(None, DAY, first)
    second = tuple(_row(f"b{number}") for number in range(10))
    report = bounded(SkillReport((*second, *first), (), 1), ledger)

    assert len(report.channels) == 64
    assert {row.channel for row in first} <= {row.channel for row in report.channels}
    assert report.dropped == 7
    same = SkillReport(first, (), 0)
    assert bounded(same, ledger) == same
    assert bounded(same, None) == same
