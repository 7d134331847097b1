"""The web configuration file: what of the toolkit's format is taken, and what is refused."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.errors import ConfigError
from exporter.web.access_config import RateLimit, WebConfig, load_web_config
from exporter.web.tls import CIPHERS, CURVES, TLS13_SUITES
from tests.needs import run
from tests.web_support import Pair, make_pair

HASH = "$2y$10$zDtDwChl2TfzzHo3WFPgeuWuMP2nQGBoZrx/weH5dG0SCTodVpBLm"


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a server's certificate, another one, and an encrypted key."""
    folder = tmp_path_factory.mktemp("pairs")
    server = make_pair(folder, "server", "DNS:localhost")
    make_pair(folder, "other")
    (folder / "junk.pem").write_text(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"
    )
    (folder / "empty.pem").write_text("")
    (folder / "huge.pem").write_bytes(b"x" * (1024 * 1024 + 1))
    encrypt(server, folder / "encrypted.key")
    return folder


def encrypt(pair: Pair, target: Path) -> None:
    """The pair's key under a password."""
    command = ("openssl", "pkcs8", "-topk8", "-in", pair.key, "-out", target)
    run(*command, "-passout", "pass:secret").check_returncode()


@pytest.fixture
def load(pairs: Path) -> Loader:
    """Write a file beside the certificates and load it."""
    return Loader(pairs)


class Loader:
    """`load(text)` is the configuration, `load.problems(text)` what is wrong with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, text: str) -> WebConfig:
        path = self.folder / "web.yml"
        path.write_text(text)
        return load_web_config(path)

    def problems(self, text: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            self(text)
        return [str(problem) for problem in caught.value.problems]

    def context(self, *lines: str) -> ssl.SSLContext:
        tls = self(server(*lines)).tls
        assert tls is not None
        return tls.context


def server(*lines: str) -> str:
    """A file with the server's certificate and these further lines of its section."""
    section = ("cert_file: server.pem", "key_file: server.key", *lines)
    return "tls_server_config:\n" + "".join(f"  {line}\n" for line in section)


def test_an_empty_file_asks_for_nothing(load: Loader) -> None:
    """Plain HTTP for everybody."""
    for text in (
        *("", "# nothing", "{}", "tls_server_config:", "tls_server_config: {}"),
        *("rate_limit:\n  interval: 0\n  burst: 0", "rate_limit:\n  interval: 0s"),
        *("http_server_config:\n  http2: false", "http_server_config:\n  headers:"),
    ):
        config = load(text)
        assert (config.tls, config.users, config.headers) == (None, {}, ()), text
        assert config.rate_limit is None, text


def test_everything_at_once(load: Loader) -> None:
    """One file with every section; relative paths are beside it."""
    config = load(
        server(
            "client_auth_type: RequireAndVerifyClientCert",
            "client_ca_file: other.pem",
            "client_allowed_sans: [prometheus, 10.0.0.1]",
        )
        + f"""
http_server_config:
  http2: false
  headers:
    X-Frame-Options: deny
    Strict-Transport-Security: max-age=31536000; includeSubDomains
    X-Content-Type-Options: nosniff
    X-XSS-Protection: 1
    Content-Security-Policy: ""
basic_auth_users:
  alice: {HASH}
  "1234": {HASH.replace("$2y$", "$2b$")}
rate_limit:
  interval: 1m0.5s
  burst: 20
"""
    )

    assert config.tls is not None
    assert config.tls.context.verify_mode is ssl.CERT_REQUIRED
    assert config.tls.allowed_sans == {"prometheus", "10.0.0.1"}
    assert set(config.users) == {b"alice", b"1234"}
    assert config.headers == (
        (b"x-frame-options", b"deny"),
        (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-xss-protection", b"1"),
    )
    assert config.rate_limit == RateLimit(interval="60.5s", burst=20)
    assert [path.name for path in config.files] == [
        *("web.yml", "server.pem", "server.key", "other.pem")
    ]
    assert config.warnings == ()


def test_a_hash_is_neither_told_nor_changed(load: Loader) -> None:
    """A block of YAML ends in a line break; a traceback or a debug line shows no hash."""
    config = load(f"basic_auth_users:\n  alice: |\n    {HASH}\n")

    assert config.users == {b"alice": HASH.encode()}
    assert HASH not in repr(config)


def test_certificates_may_stand_in_the_file(load: Loader) -> None:
    """`cert`, `key` and `client_ca` as text; one inline and one as a file is fine."""
    inline = {}
    for name, file in (
        ("cert", "server.pem"),
        ("key", "server.key"),
        ("client_ca", "other.pem"),
    ):
        inline[name] = (load.folder / file).read_text().replace("\n", "\n    ")
    text = "tls_server_config:\n  client_auth_type: VerifyClientCertIfGiven\n"
    both = load(text + "".join(f"  {name}: |\n    {pem}\n" for name, pem in inline.items()))
    mixed = load(f"tls_server_config:\n  cert_file: server.pem\n  key: |\n    {inline['key']}")

    assert both.tls is not None
    assert both.tls.context.verify_mode is ssl.CERT_OPTIONAL
    assert mixed.tls is not None


def test_a_certificate_and_its_key_may_share_a_file(load: Loader) -> None:
    """As many tools write them, in either order."""
    parts = [(load.folder / name).read_text() for name in ("server.pem", "server.key")]
    for order in (parts, parts[::-1]):
        (load.folder / "both.pem").write_text("".join(order))
        assert load("tls_server_config: {cert_file: both.pem, key_file: both.pem}").tls


def test_versions_are_1_2_and_1_3_unless_others_are_chosen(load: Loader) -> None:
    """The toolkit's defaults; else exactly these, old ones included."""
    versions = {
        name: ssl.TLSVersion[f"TLSv1_{name[-1]}"] for name in ("TLS11", "TLS12", "TLS13")
    }
    for name, version in (versions | {"TLS10": ssl.TLSVersion.TLSv1}).items():
        context = load.context(f"min_version: {name}", f"max_version: {name}")
        assert context.minimum_version is context.maximum_version is version
    context = load.context()

    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.maximum_version is ssl.TLSVersion.TLSv1_3
    assert context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    # A client of TLS 1.2 then finds no suite.
    context = load.context("cipher_suites: [TLS_AES_128_GCM_SHA256]")
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3


def test_the_default_suites_are_ours_whatever_python_was_built_with(load: Loader) -> None:
    """Debian's Python leaves them to OpenSSL, which still takes RSA key exchange and CBC."""
    context = load.context()
    names = {cipher["name"] for cipher in context.get_ciphers()}

    assert {name for name in names if not name.startswith("TLS_")} == {
        f"ECDHE-{key}-{cipher}"
        for key in ("ECDSA", "RSA")
        for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    }
    for option in (ssl.OP_NO_RENEGOTIATION, ssl.OP_NO_COMPRESSION, ssl.OP_NO_SSLv3):
        assert context.options & option, option


def test_ciphers_can_be_chosen_and_ordered(load: Loader) -> None:
    """Go's names become OpenSSL's; TLS 1.3's own suites stay."""
    context = load.context(
        "cipher_suites:",
        "  - TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "  - TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "prefer_server_cipher_suites: false",
    )
    names = [cipher["name"] for cipher in context.get_ciphers()]

    assert [name for name in names if not name.startswith("TLS_")] == [
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
    ]
    assert not context.options & ssl.OP_CIPHER_SERVER_PREFERENCE


def test_what_is_hardly_meant_is_accepted_with_a_warning(load: Loader) -> None:
    """One file serves all exporters of a machine, so what only others can do is no error."""
    for text, warning in (
        (
            "http_server_config:\n  http2: true",
            "yml:2: http_server_config.http2: has no effect",
        ),
        (
            server("curve_preferences: [CurveP256, X25519]"),
            "yml:4: tls_server_config.curve_preferences: has no effect",
        ),
        (
            server("cipher_suites: [TLS_AES_128_GCM_SHA256, TLS_CHACHA20_POLY1305_SHA256]"),
            "yml:4: tls_server_config.cipher_suites: the suites of TLS 1.3 are always on",
        ),
        (server("client_auth_type: RequireAndVerifyClientCert"), "any public CA"),
        ("rate_limit:\n  interval: 1s\n  burst: 0", "no request is let through"),
    ):
        (told,) = load(text).warnings
        assert warning in told


def test_what_the_toolkit_itself_takes_is_taken(load: Loader) -> None:
    """The good files of its own tests, but for certificates that nobody verifies."""
    for lines in (
        ("client_auth_type: VerifyClientCertIfGiven",),
        ("client_auth_type: NoClientCert",),
        ("cipher_suites:", *(f"- {name}" for name in (*CIPHERS, *sorted(TLS13_SUITES)))),
        ("curve_preferences:", *(f"- {name}" for name in CURVES)),
        ("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]", "max_version: TLS12"),
        ("curve_preferences: [CurveP521]", "min_version: TLS13"),
        ("cipher_suites: []", "curve_preferences: []"),
    ):
        assert load(server(*lines)).tls is not None, lines


PROBLEMS = Path(__file__).parent / "data" / "web-problems.txt"
LONG_PROBLEMS = [
    ("7d" * 30 + ": {}", "(key): is not a known key"),
    (f"rate_limit: {{interval: {'1h' * 30}}}", "rate_limit.interval: must be a duration"),
    (f'basic_auth_users: {{"a:b": "{HASH}"}}', "basic_auth_users.(key): a user's name cannot"),
    (f'basic_auth_users: {{john: "{HASH[:-1]}"}}', "basic_auth_users.john: is no bcrypt hash"),
    *(
        (f"basic_auth_users:\n  alice: {HASH}\n  dave: {value}", f"auth_users.dave: {problem}")
        for problem, values in {
            "has no password hash": ("", "~", "''", "' '"),
            "must be text": ("{}", "[]"),
            "is no bcrypt hash": ("no", "${HASH}", "$2y$", HASH.removeprefix("$2y$10$")),
        }.items()
        for value in values
    ),
]
FILE_PROBLEMS = [
    ("missing", "server.key", "cert_file: {}/missing cannot be read (No such file or direc"),
    ('"\\0"', "server.key", "null character)"),
    ("huge.pem", "server.key", "cert_file: {}/huge.pem is larger than 1 MiB"),
    ("empty.pem", "server.key", "cert_file: holds no certificate in PEM form"),
    ("junk.pem", "server.key", "cert_file: cannot be used with its key ("),
    ("server.pem", "empty.pem", "key_file: holds no private key in PEM form"),
    ("server.pem", "other.key", "key_file: does not belong to the certificate"),
    ("server.pem", "encrypted.key", "key_file: is encrypted: a server has nobody to ask"),
]


def table() -> Iterator[tuple[str, str]]:
    """What is written in the file, and what is said of it."""
    head, *parts = PROBLEMS.read_text(encoding="utf-8").split(":\n")
    assert head.startswith("# ")
    for number, part in enumerate(parts):
        for line in part.splitlines():
            if not line.startswith("# "):
                text, problem = line.replace(r"\n", "\n").split(" => ")
                yield text if number else server(text), problem


def test_what_cannot_be_is_refused_by_name(load: Loader) -> None:
    """No key is ignored: it works, or the exporter does not start."""
    for text, problem in (
        *table(),
        *LONG_PROBLEMS,
    ):
        found = load.problems(text)
        assert any(problem in one for one in found), (text, found)


def test_files_that_make_no_server(load: Loader) -> None:
    """Each wrong file is named with its key."""
    for cert, key, problem in FILE_PROBLEMS:
        (found,) = load.problems(f"tls_server_config:\n  cert_file: {cert}\n  key_file: {key}")
        assert problem.format(load.folder) in found


def test_all_problems_are_told_at_once(load: Loader) -> None:
    """One start is enough to see everything, each problem at its line."""
    text = """
tls_server_config:
  cert_file: missing
  min_version: TLS9
  curve_preferences: [X]
  colour: red
http_server_config:
  http2: maybe
  headers: {Server: x}
basic_auth_users:
  alice: hunter2
rate_limit:
  interval: often
"""
    found = load.problems(text)

    places = [one.removeprefix(f"{load.folder}/").split(" ")[:2] for one in found]
    assert sorted(places) == [
        ["web.yml:11:", "basic_auth_users.alice:"],
        ["web.yml:13:", "rate_limit.interval:"],
        ["web.yml:2:", "tls_server_config.key_file:"],
        ["web.yml:3:", "tls_server_config.cert_file:"],
        ["web.yml:4:", "tls_server_config.min_version:"],
        ["web.yml:5:", "tls_server_config.curve_preferences.0:"],
        ["web.yml:6:", "tls_server_config.colour:"],
        ["web.yml:8:", "http_server_config.http2:"],
        ["web.yml:9:", "http_server_config.headers.Server:"],
    ]
    assert "hunter2" not in " ".join(found)


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    """The path stands in the message."""
    with pytest.raises(ConfigError, match=r"nowhere\.yml: the file does not exist"):
        load_web_config(tmp_path / "nowhere.yml")


def test_a_cipher_that_openssl_lacks_is_told(
    load: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build without it must not fall back to something else."""
    first, second = (
        f"TLS_ECDHE_ECDSA_WITH_AES_{bits}_GCM_SHA{of}" for bits, of in ((128, 256), (256, 384))
    )
    monkeypatch.setitem(CIPHERS, second, "NEW-CIPHER")

    (found,) = load.problems(server(f"cipher_suites: [{first}, {second}]"))
    assert "cipher_suites: this OpenSSL has no NEW-CIPHER" in found


def test_the_documented_example_is_good(pairs: Path, load: Loader) -> None:
    """What the page shows can be copied."""
    page = (Path(__file__).parent.parent / "docs" / "web-config.md").read_text()
    example = page.split("```yaml\n")[1].split("```")[0]
    (load.folder / "ca.pem").write_bytes((load.folder / "other.pem").read_bytes())
    config = load(example)

    assert config.tls is not None
    assert set(config.users) == {b"prometheus"}
    assert config.rate_limit == RateLimit(interval="100ms", burst=20)
    assert config.warnings == ()
