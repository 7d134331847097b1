"""Which proxy the environment's variables mean for a URL."""

from __future__ import annotations

from urllib.request import getproxies

import httpx
import pytest

from exporter.wolkvox.transport import environment_proxy

URL = "https://wv0013.wolkvox.com/api/v2/"
PROXY = "http://proxy.test:3128"


def chosen(variables: dict[str, str], url: str = URL) -> str | None:
    """The proxy that a URL takes in an environment of these variables."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        found = environment_proxy(httpx.URL(url), getproxies())
    return found[1] if found else None


def test_the_variable_of_the_scheme_counts() -> None:
    """Lower case beats upper case, and a variable that is not used does not matter."""
    for variables, expected in (
        ({}, None),
        ({"HTTPS_PROXY": PROXY}, PROXY),
        ({"https_proxy": PROXY}, PROXY),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://other.test:1"}, PROXY),
        ({"HTTPS_PROXY": "proxy.test:3128"}, PROXY),
        ({"ALL_PROXY": PROXY}, PROXY),
        ({"HTTPS_PROXY": PROXY, "ALL_PROXY": "socks://proxy.test:1080/"}, PROXY),
        ({"HTTPS_PROXY": PROXY, "HTTP_PROXY": "nonsense://"}, PROXY),
        ({"HTTP_PROXY": PROXY}, None),
        ({"HTTPS_PROXY": ""}, None),
        ({"HTTPS_PROXY": PROXY, "https_proxy": ""}, None),
        ({"FTP_PROXY": PROXY}, None),
    ):
        assert chosen(variables) == expected, variables


def test_no_proxy_names_hosts_networks_and_ports() -> None:
    """What cannot be read is skipped, the rest counts."""
    for no_proxy, url, bypassed in (
        ("*", URL, True),
        ("wolkvox.com", URL, True),
        (".wolkvox.com", URL, True),
        ("*.wolkvox.com", URL, True),
        ("WV0013.Wolkvox.com.", URL, True),
        ("wolkvox.com:443", URL, True),
        ("wolkvox.com:8443", URL, False),
        ("https://wv0013.wolkvox.com/", URL, True),
        ("kvox.com", URL, False),
        ("wv0013.wolkvox.com.evil.test", URL, False),
        ("localhost,10.0.0.0/8,fd00::/8", URL, False),
        ("localhost 127.0.0.1\twolkvox.com", URL, True),
        (", ,wolkvox.com,", URL, True),
        ("10.0.0.0/99,fd00::/200,<local>,a*b,wolkvox.com", URL, True),
        ("10.0.0.0/8", "https://10.20.30.40/", True),
        ("10.0.0.1/8", "https://10.20.30.40/", True),
        ("10.0.0.0/8", "https://11.0.0.1/", False),
        ("10.20.30.40", "https://10.20.30.40:8443/", True),
        ("10.20.30.40:443", "https://10.20.30.40:8443/", False),
        ("fd00::/8", "https://[fd00::13]/", True),
        ("fd00:0::13", "https://[fd00::13]/", True),
        ("[fd00::13]", "https://[fd00::13]/", True),
        ("[fd00::13]:443", "https://[fd00::13]/", True),
        ("[fd00::13]:8443", "https://[fd00::13]/", False),
        ("fd00::/8", "https://10.0.0.1/", False),
    ):
        found = chosen({"HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy}, url)
        assert (found is None) is bypassed, no_proxy


def test_every_entry_that_cannot_be_read_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """Those behind the entry that decides as well, in one warning."""
    chosen({"HTTPS_PROXY": PROXY, "NO_PROXY": "a*b,fd00::/201,wolkvox.com,10.0.0.0/98"}, URL)
    [record] = caplog.records
    assert vars(record)["fields"] == {"entries": "a*b, fd00::/201, 10.0.0.0/98"}
