"""Listen addresses: their spelling, and the ports that cannot be had."""

from __future__ import annotations

import re
import resource
import socket

import pytest

from exporter.errors import ConfigError, StartError
from exporter.web.listen import address_of, bind, parse_listen_address, raise_open_files


def test_addresses_are_spelled_as_in_every_exporter() -> None:
    """host:port, :port, [IPv6]:port."""
    for text, expected in (
        (":19655", (None, 19655)),
        ("127.0.0.1:19655", ("127.0.0.1", 19655)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:65535", ("::1", 65535)),
        ("[fe80::1%eth0]:1", ("fe80::1%eth0", 1)),
    ):
        assert parse_listen_address(text) == expected


def test_other_spellings_are_errors() -> None:
    """The sentence repeats what was written; a bare IPv6 address is told about brackets."""
    for text in (
        *("", ":", "19655", "localhost", "localhost:", ":x", ":-1", ":65536", ":100000", ": 1"),
        *(":1 ", "::1:19655", "::1", "[::1]", "[]:1", "[::1:1", "http://x:1", "a:b:1", ":١"),
    ):
        hint = ".*in brackets" if text.startswith("::") else ""
        with pytest.raises(ConfigError, match=f"{re.escape(repr(text))} is no listen.*{hint}"):
            parse_listen_address(text)


def test_a_bare_port_is_open_on_both_families() -> None:
    """`:port` answers on IPv4 and IPv6 by one socket."""
    (listener,) = bind([":0"])
    port = listener.getsockname()[1]
    with listener:
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port), timeout=1).close()

        assert address_of(listener) == f"[::]:{port}"


def test_answers_are_sent_without_delay() -> None:
    """By this number asyncio sets TCP_NODELAY: else small answers wait 40 ms for an ACK."""
    for listener in bind([":0", "127.0.0.1:0"]):
        with listener:
            assert listener.proto == socket.IPPROTO_TCP


def test_a_machine_without_ipv6_gets_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels booted without IPv6 know no such sockets."""
    real = socket.socket

    def only_ipv4(family: int = -1, *given: int, **more: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return real(family, *given, **more)

    monkeypatch.setattr("exporter.web.listen.socket.socket", only_ipv4)
    (listener,) = bind([":0"])
    with listener:
        assert address_of(listener).startswith("0.0.0.0:")
        with pytest.raises(
            StartError, match="another program, perhaps an exporter, uses the port"
        ):
            bind([f":{listener.getsockname()[1]}"])
    with pytest.raises(StartError, match="there is no host"):
        bind(["[::1]:0"])


@pytest.mark.parametrize("host", ["", "127.0.0.1"])
def test_a_taken_port_is_a_sentence(host: str) -> None:
    """And the sockets opened before it are closed again."""
    (taken,) = bind([f"{host}:0"])
    port = taken.getsockname()[1]
    (free,) = bind([f"{host}:0"])
    free_port = free.getsockname()[1]
    free.close()
    with (
        taken,
        pytest.raises(
            StartError, match=f":{port}: another program, perhaps an exporter, uses the port"
        ),
    ):
        bind([f"{host}:{free_port}", f"{host}:{port}"])
    (again,) = bind([f"{host}:{free_port}"])
    again.close()


def test_a_host_that_is_not_here_is_a_sentence() -> None:
    """Unknown names, and addresses of other machines."""
    for host, reason in (
        ("no-such-host.invalid", "there is no host"),
        ("a" * 300, "there is no host"),
        ("\x00", "there is no host"),
        ("192.0.2.1", "does not have the address"),
        ("[2001:db8::1]", "does not have the address"),
    ):
        with pytest.raises(StartError, match=reason):
            bind([f"{host}:0"])


def test_a_port_without_permission_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ports below 1024 need a capability; the sentence names it."""

    def denied(self: socket.socket, address: object) -> None:
        raise PermissionError(13, "Permission denied")

    class Denied(socket.socket):
        bind = denied

    monkeypatch.setattr("exporter.web.listen.socket.socket", Denied)
    with pytest.raises(StartError, match="CAP_NET_BIND_SERVICE"):
        bind(["127.0.0.1:80"])


def test_open_files_are_raised_to_what_connections_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """1,500 connections need more than the usual 1,024; less is taken where that is all."""
    unlimited = resource.RLIM_INFINITY
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr("exporter.web.listen.resource.getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(
        "exporter.web.listen.resource.setrlimit", lambda _, new: limits.append(new)
    )
    for soft, hard, connections, raised_to in (
        (1024, 4096, 1500, 1628),
        (1024, 1024, 896, None),
        (1024, unlimited, 1500, 1628),
        (65_536, 65_536, 1500, None),
        (unlimited, unlimited, 1500, None),
        (64, 64, 1, None),
    ):
        limits[:] = [(soft, hard)]
        assert raise_open_files(1500) == connections
        assert limits[1:] == ([] if raised_to is None else [(raised_to, hard)])
