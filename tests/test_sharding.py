"""Which exporter polls what, where several share one configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config import Configuration
from exporter.errors import ConfigError
from exporter.sharding import WHOLE, Shard, own_part, read_shard, shard_of
from tests.config_support import loaded, text_of, written
from tests.e2e_support import Launch, Run, wait_for, write_config
from tests.e2e_support import operation as e2e_operation

servers = st.from_regex(r"[0-9]{4}", fullmatch=True)
totals = st.integers(1, 12)
some = settings(max_examples=settings().max_examples // 2)


def configuration(*operations: tuple[str, str, int | None]) -> Configuration:
    """Operations of a name, a server and a pin, each with a token of its own."""
    texts = [
        written(
            name,
            server=f"'{server}'",
            token_env=None,
            token=f"7b{name}",
            skills=f"[{{id: {number}}}]",
            shard=pin,
        )
        for number, (name, server, pin) in enumerate(operations, start=1)
    ]
    return loaded(text_of(*texts)) if texts else Configuration(())


def on(*servers: str) -> Configuration:
    """One operation for each server, in this order."""
    return configuration(*((f"o{n}", server, None) for n, server in enumerate(servers)))


def url(server: str) -> str:
    """The address of a server."""
    return f"https://wv{server}.wolkvox.com/api/v2/"


def names(found: Configuration) -> list[str]:
    """The names of the operations."""
    return [one.name for one in found.operations]


@some
@given(digits=st.lists(servers, max_size=30), total=totals)
def test_each_operation_has_exactly_one_owner(digits: list[str], total: int) -> None:
    """The shards' parts are the whole, without overlap, in the order of the configuration."""
    whole = on(*digits)
    parts = [own_part(whole, Shard(index, total)) for index in range(total)]

    assert sorted(name for part in parts for name in names(part)) == sorted(names(whole))
    for part in parts:
        assert names(part) == [name for name in names(whole) if name in names(part)]


@some
@given(st.lists(servers, max_size=30), totals)
def test_one_shard_more_moves_only_what_it_takes(digits: list[str], total: int) -> None:
    """A server changes its owner only to the new shard, and back when that goes again."""
    for server in digits:
        before, after = shard_of(url(server), total), shard_of(url(server), total + 1)
        assert after in {before, total}


@some
@given(servers, totals, st.integers(2, 8))
def test_a_new_token_moves_nothing(server: str, total: int, count: int) -> None:
    """Two operations of one server have one owner, whatever their names and tokens."""
    whole = on(*[server] * count)
    parts = [own_part(whole, Shard(index, total)).operations for index in range(total)]

    assert sorted(map(len, parts)) == [0] * (total - 1) + [count]


def test_the_division_is_fair() -> None:
    """A thousand servers on four shards: none has a fifth more or less than its quarter."""
    counts = [0] * 4
    for number in range(1000):
        counts[shard_of(f"https://wv{number:04d}.wolkvox.com/api/v2/", 4)] += 1

    assert all(200 <= count <= 300 for count in counts), counts


def test_the_division_never_changes() -> None:
    """Releases must agree on it: a roll-out has both the old and the new one running."""
    found = [shard_of(f"https://wv{n:04d}.wolkvox.com/api/v2/", 3) for n in range(12)]

    assert found == [0, 0, 0, 1, 1, 0, 0, 1, 2, 1, 2, 0]


def test_a_pin_beats_the_hash_for_all_of_a_server() -> None:
    """`shard` of one operation takes along the others of its server."""
    free = shard_of(url("0013"), 3)
    elsewhere = (free + 1) % 3
    whole = configuration(("a", "0013", None), ("b", "0013", elsewhere))

    assert names(own_part(whole, Shard(elsewhere, 3))) == ["a", "b"]
    assert names(own_part(whole, Shard(free, 3))) == []
    assert own_part(whole, WHOLE) is whole


def test_pins_that_cannot_be_kept() -> None:
    """A shard that does not exist, or two for one server, is refused by every shard."""
    for pins, reason in (
        ((3,), "a: shard 3 is not below --shard.total 3"),
        ((1, 2), "b: shard 2 differs from that of a (1): one server belongs to one shard"),
    ):
        whole = configuration(*(("abc"[n], "0013", pin) for n, pin in enumerate(pins)))
        for index in range(3):
            with pytest.raises(ConfigError) as caught:
                own_part(whole, Shard(index, 3))
            assert [problem.reason for problem in caught.value.problems] == [reason]


def test_one_token_is_never_used_by_two_shards() -> None:
    """Operations of two servers with one token must be pinned together."""
    assert shard_of(url("0002"), 3) != shard_of(url("0003"), 3)
    shared = [written(f"o{n}", server=f"'000{n + 2}'") for n in range(2)]
    apart = loaded(text_of(*shared))
    with pytest.raises(ConfigError, match="o0 and o1 use one token"):
        own_part(apart, Shard(0, 3))

    together = loaded(text_of(*(one.replace("}]", "}], shard: 1") for one in shared)))
    assert names(own_part(together, Shard(1, 3))) == ["o0", "o1"]


def test_the_index_is_a_number_or_a_pod() -> None:
    """The name of a StatefulSet's pod ends in its number."""
    for index, total, expected in (
        (None, 1, Shard(0, 1)),
        ("0", 1, Shard(0, 1)),
        ("2", 3, Shard(2, 3)),
        ("wolkvox-exporter-2", 3, Shard(2, 3)),
        ("a-7-wolkvox-0", 3, Shard(0, 3)),
        (" 1 ", 2, Shard(1, 2)),
    ):
        assert read_shard(index, total) == expected


def test_an_index_that_cannot_be() -> None:
    """Nobody guesses a shard: a wrong one would poll what another polls, or nothing."""
    for index, total, reason in (
        (None, 2, "--shard.index: is not set, but --shard.total is 2"),
        ("2", 2, "--shard.index: 2 is not below --shard.total 2: shards count from 0"),
        ("wolkvox-1", 1, "1 is not below --shard.total 1"),
        *((odd, 2, "must be a number from 0") for odd in ("-1x", "wolkvox-6f9c", "", "١")),
    ):
        with pytest.raises(ConfigError, match=reason):
            read_shard(index, total)


def test_the_check_says_what_is_this_shards(tmp_path: Path, run: Run) -> None:
    """The plan is that of the shard alone; flags have their twins in the environment."""
    acme = e2e_operation("http://127.0.0.1:1/a/", name="acme", shard="0")
    globex = e2e_operation("http://127.0.0.1:1/b/", name="globex", token="7b1", shard="1")
    flags = ["--config.file", str(write_config(tmp_path, acme, globex)), "--config.check"]
    for index, shown in (("0", "shard 0 of 3: acme"), ("2", "shard 2 of 3: no operation")):
        twins = {
            "WOLKVOX_EXPORTER_SHARD_INDEX": f"wolkvox-{index}",
            "WOLKVOX_EXPORTER_SHARD_TOTAL": "3",
        }
        ended = run(*flags, env=twins)
        assert ended.code == 0, ended.log
        assert shown in ended.output.splitlines()
        assert "globex  " not in ended.output


@pytest.mark.e2e
def test_each_process_polls_its_own(launch: Launch, tmp_path: Path) -> None:
    """Three shards of one configuration: each operation has one of them, one shard idles."""
    config = write_config(
        tmp_path,
        e2e_operation("http://127.0.0.1:9/a/", name="acme", shard="0"),
        e2e_operation("http://127.0.0.1:9/b/", name="globex", token="7b0b", shard="2"),
    )
    flags = ("--shard.total", "3", "--shard.index")
    lives = [
        launch.serve(config, *flags, f"pod-{n}", "--storage.path", f"data-{n}")
        for n in range(3)
    ]
    for number, (life, own) in enumerate(
        zip(lives, ({"acme"}, set(), {"globex"}), strict=True)
    ):
        samples = life.metrics()
        assert samples.distinct("wolkvox_operation_info", "operation") == own
        assert samples.value("wolkvox_exporter_shard_index") == number
        assert samples.value("wolkvox_exporter_shards") == 3
        assert life.get("/-/healthy").status == 200
    wait_for(lambda: lives[1].get("/-/ready").status == 200, "the one without operations")
    assert [life.stop() for life in lives] == [0, 0, 0]
