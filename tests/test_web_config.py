"""The web configuration file: what of the toolkit's format is taken, and what is refused."""

from __future__ import annotations

import ssl
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


# What stands in the file, and what is said of it; a line break is written `\n`.
TLS_PROBLEMS = r"""
cert_file: server.pem => tls_server_config.key_file: is missing: write key_file or key
key_file: server.key => tls_server_config.cert_file: is missing: write cert_file or cert
cert_file:\n  key_file: => tls_server_config.cert_file: is missing: write cert_file or
cert_file: '' => tls_server_config.cert_file: is missing: write cert_file or cert
min_version: TLS13 => tls_server_config.cert_file: is missing: write cert_file or cert
"""
SERVER_PROBLEMS = r"""
client_auth_type: x => client_auth_type: must be one of NoClientCert, VerifyClientCert
client_auth_type: RequestClientCert => client_auth_type: asks for
client_auth_type: RequireAnyClientCert => client_auth_type: asks for
client_auth_type: RequireClientCert => client_auth_type: asks for
client_ca_file: other.pem => client_auth_type: is missing: client_ca has no effect
client_allowed_sans: [a] => client_auth_type: is missing: client_allowed_sans has no
client_allowed_sans: a => client_allowed_sans: must be a list
client_allowed_sans: [] => client_allowed_sans: is empty: write it, or leave it out
client_allowed_sans: => client_allowed_sans: is empty: write it, or leave it out
client_allowed_sans: [a, ''] => client_allowed_sans.1: is empty
client_allowed_sans: [a, ' '] => client_allowed_sans.1: is empty
client_allowed_sans: [~] => client_allowed_sans.0: must be text
client_auth_type: => client_auth_type: is empty: write it, or leave it out
client_auth_type: '' => client_auth_type: is empty: write it, or leave it out
client_ca_file: => client_ca_file: is empty: write it, or leave it out
client_ca: '' => client_ca: is empty: write it, or leave it out
client_ca_file: ' ' => client_ca_file: is empty: write it, or leave it out
client_allowed_sans: [[a]] => client_allowed_sans.0: must be text: write it in quotes
min_version: TLS111 => min_version: must be one of TLS10, TLS11, TLS12, TLS13
max_version: SSL30 => max_version: must be one of TLS10, TLS11, TLS12, TLS13
max_version: TLS11 => max_version: is below min_version
cipher_suites: [TLS_X] => cipher_suites.0: is no known suite
cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA38] => suites.0: is no known suite (did you me
cipher_suites: [TLS_AES_128_GCM_SHA256]\n  max_version: TLS12 => cipher_suites: names no suite o
curve_preferences: [CurveP257] => curve_preferences.0: is no known curve (did you mean
curve_preferences: [X25519, ''] => curve_preferences.1: is no known curve
curve_preferences: X25519 => curve_preferences: must be a list
prefer_server_cipher_suites: maybe => prefer_server_cipher_suites: must be true or
cert: abc => cert_file: stands beside cert: one of them must go
key: abc => key_file: stands beside key: one of them must go
cert_filse: x => cert_filse: is not a known key (did you mean "cert_file"?)
client_ca: abc\n  client_auth_type: VerifyClientCertIfGiven => client_ca: holds no cert
client_ca_file: junk.pem\n  client_auth_type: VerifyClientCertIfGiven => holds a certificate tha
"""
OTHER_PROBLEMS = r"""
just words => the web configuration must be a mapping
- a => the web configuration must be a mapping
tls_server_config: x => tls_server_config: must be a mapping (key: value)
tls_sever_config: {} => tls_sever_config: is not a known key (did you mean "tls_server_c
http_server_config:\n  http2: 1 => http_server_config.http2: must be true or false
http_server_config:\n  headers: {Content-Type: x} => headers.Content-Type: cannot be set
http_server_config:\n  headers: {X-Content-Type-Options: sniff} => headers.X-Content-Type-Option
http_server_config:\n  headers: {X-Frame-Options: foo} => headers.X-Frame-Options: must be deny
http_server_config:\n  headers: {Content-Security-Policy: "a\r\nb"} => must be one line of
http_server_config:\n  headers: {X-XSS-Protection: ñ} => must be one line of printable
basic_auth_users: alice => basic_auth_users: must be a mapping (key: value)
basic_auth_users: {john: doe} => basic_auth_users.john: is no bcrypt hash
basic_auth_users: => basic_auth_users: names no user: write one, or leave it out
basic_auth_users: {} => basic_auth_users: names no user: write one, or leave it out
basic_auth_users: [] => basic_auth_users: must be a mapping (key: value)
basic_auth_users: '' => basic_auth_users: must be a mapping (key: value)
basic_auth_users: {john: [x]} => basic_auth_users.john: must be text: write it in quotes
rate_limit: {interval: soon} => rate_limit.interval: must be a duration such as 100ms
rate_limit: {interval: 5} => rate_limit.interval: must be a duration
rate_limit: {interval: , burst: 5} => rate_limit.interval: must be a duration
rate_limit: {interval: -1s} => rate_limit.interval: must be a duration
rate_limit: {burst: -1} => rate_limit.burst: must be 0 or more
rate_limit: {burst: many} => rate_limit.burst: must be a whole number
rate_limit: {}\nrate_limit: {} => rate_limit: stands twice
operations: {a: 1, a: 2} => operations.a: stands twice
a: [ => is not YAML
"""
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


def table(text: str) -> list[list[str]]:
    """The rows of a table of problems."""
    rows = (line.split(" => ") for line in text.strip("\n").splitlines())
    return [[written.replace(r"\n", "\n"), problem] for written, problem in rows]


def test_what_cannot_be_is_refused_by_name(load: Loader) -> None:
    """No key is ignored: it works, or the exporter does not start."""
    for text, problem in (
        *((f"tls_server_config:\n  {text}", problem) for text, problem in table(TLS_PROBLEMS)),
        *((server(text), problem) for text, problem in table(SERVER_PROBLEMS)),
        *table(OTHER_PROBLEMS),
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
