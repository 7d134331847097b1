"""The web configuration file: what of the toolkit's format is taken, and what is refused."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from exporter.errors import ConfigError
from exporter.web.access_config import RateLimit, WebConfig, load_web_config
from exporter.web.tls import CIPHERS, CURVES, TLS13_SUITES, UnusableTls, build_context
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


@pytest.mark.parametrize(
    "text",
    [
        *("", "# nothing", "{}", "tls_server_config:", "tls_server_config: {}"),
        *("rate_limit:\n  interval: 0\n  burst: 0", "rate_limit:\n  interval: 0s"),
        *("http_server_config:\n  http2: false", "http_server_config:\n  headers:"),
    ],
)
def test_an_empty_file_asks_for_nothing(load: Loader, text: str) -> None:
    """Plain HTTP for everybody."""
    config = load(text)

    assert (config.tls, config.users, config.headers) == (None, {}, ())
    assert config.rate_limit is None


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
    assert config.rate_limit == RateLimit(60.5, 20)
    assert [path.name for path in config.files] == [
        *("web.yml", "server.pem", "server.key", "other.pem")
    ]
    assert config.warnings == ()


def test_secrets_are_not_in_the_repr(load: Loader) -> None:
    """A traceback or a debug line shows no hash."""
    assert HASH not in repr(load(f"basic_auth_users:\n  alice: {HASH}"))


def test_blanks_around_a_hash_are_no_part_of_it(load: Loader) -> None:
    """A block of YAML ends in a line break, which the password is not checked against."""
    assert load(f"basic_auth_users:\n  alice: |\n    {HASH}\n").users == {
        b"alice": HASH.encode()
    }


def test_certificates_may_stand_in_the_file(load: Loader) -> None:
    """`cert`, `key` and `client_ca` as text; one inline and one as a file is fine."""
    inline = {
        name: (load.folder / file).read_text().replace("\n", "\n    ")
        for name, file in (
            ("cert", "server.pem"),
            ("key", "server.key"),
            ("client_ca", "other.pem"),
        )
    }
    text = "tls_server_config:\n  client_auth_type: VerifyClientCertIfGiven\n"
    both = load(text + "".join(f"  {name}: |\n    {pem}\n" for name, pem in inline.items()))
    mixed = load(f"tls_server_config:\n  cert_file: server.pem\n  key: |\n    {inline['key']}")

    assert both.tls is not None
    assert both.tls.context.verify_mode is ssl.CERT_OPTIONAL
    assert mixed.tls is not None


def test_tls_is_at_least_1_2_unless_said_otherwise(load: Loader) -> None:
    """The toolkit's defaults."""
    context = load.context()

    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.maximum_version is ssl.TLSVersion.TLSv1_3
    assert context.options & ssl.OP_CIPHER_SERVER_PREFERENCE


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


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("TLS10", "TLSv1"),
        ("TLS11", "TLSv1_1"),
        ("TLS12", "TLSv1_2"),
        ("TLS13", "TLSv1_3"),
    ],
)
def test_versions_can_be_chosen(load: Loader, name: str, version: str) -> None:
    """Exactly this version, old ones included where they are asked for by name."""
    context = load.context(f"min_version: {name}", f"max_version: {name}")

    assert context.minimum_version is context.maximum_version is ssl.TLSVersion[version]


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


def test_a_verified_client_without_a_ca_is_warned_about(load: Loader) -> None:
    """As with the toolkit the machine's CAs decide, which is hardly meant."""
    config = load(server("client_auth_type: RequireAndVerifyClientCert"))

    assert len(config.warnings) == 1
    assert "any public CA" in config.warnings[0]


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("http_server_config:\n  http2: true", "http_server_config.http2: has no effect"),
        (
            server("curve_preferences: [CurveP256, X25519]"),
            "tls_server_config.curve_preferences: has no effect",
        ),
        (
            server("cipher_suites: [TLS_AES_128_GCM_SHA256, TLS_CHACHA20_POLY1305_SHA256]"),
            "tls_server_config.cipher_suites: the suites of TLS 1.3 are always on",
        ),
    ],
    ids=["http2", "curves", "suites"],
)
def test_what_other_exporters_can_is_accepted_with_a_warning(
    load: Loader, text: str, warning: str
) -> None:
    """One file serves all exporters of a machine, so what only others can do is no error."""
    (told,) = load(text).warnings

    assert told.startswith(warning)


@pytest.mark.parametrize(
    "lines",
    [
        ("client_auth_type: VerifyClientCertIfGiven",),
        ("client_auth_type: NoClientCert",),
        ("cipher_suites:", *(f"- {name}" for name in (*CIPHERS, *sorted(TLS13_SUITES)))),
        ("curve_preferences:", *(f"- {name}" for name in CURVES)),
        ("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]", "max_version: TLS12"),
        ("curve_preferences: [CurveP521]", "min_version: TLS13"),
        ("cipher_suites: []", "curve_preferences: []"),
    ],
    ids=range(7),
)
def test_what_the_toolkit_itself_takes_is_taken(load: Loader, lines: tuple[str, ...]) -> None:
    """The good files of its own tests, but for certificates that nobody verifies."""
    assert load(server(*lines)).tls is not None


def test_suites_of_tls_1_3_alone_leave_no_older_version(load: Loader) -> None:
    """As with the toolkit, a client of TLS 1.2 then finds no suite."""
    context = load.context("cipher_suites: [TLS_AES_128_GCM_SHA256]")

    assert context.minimum_version is ssl.TLSVersion.TLSv1_3


def test_a_burst_of_zero_is_warned_about(load: Loader) -> None:
    """It is the toolkit's meaning: no request at all."""
    config = load("rate_limit:\n  interval: 1s\n  burst: 0")

    assert config.rate_limit == RateLimit(1.0, 0)
    assert "no request is let through" in config.warnings[0]


TLS_PROBLEMS = [
    ("cert_file: server.pem", "tls_server_config.key_file: is missing: write key_file or key"),
    (
        "key_file: server.key",
        "tls_server_config.cert_file: is missing: write cert_file or cert",
    ),
    ("cert_file:\n  key_file:", "tls_server_config.cert_file: is missing: write cert_file or"),
    ("cert_file: ''", "tls_server_config.cert_file: is missing: write cert_file or cert"),
    ("min_version: TLS13", "tls_server_config.cert_file: is missing: write cert_file or cert"),
]
SERVER_PROBLEMS = [
    ("client_auth_type: x", "client_auth_type: must be one of NoClientCert, VerifyClientCert"),
    (
        "client_auth_type: RequestClientCert",
        "client_auth_type: asks for",
    ),
    ("client_auth_type: RequireAnyClientCert", "client_auth_type: asks for"),
    ("client_auth_type: RequireClientCert", "client_auth_type: asks for"),
    ("client_ca_file: other.pem", "client_auth_type: is missing: client_ca has no effect"),
    ("client_allowed_sans: [a]", "client_auth_type: is missing: client_allowed_sans has no"),
    ("client_allowed_sans: a", "client_allowed_sans: must be a list"),
    ("client_allowed_sans: []", "client_allowed_sans: is empty: write it, or leave it out"),
    ("client_allowed_sans:", "client_allowed_sans: is empty: write it, or leave it out"),
    ("client_allowed_sans: [a, '']", "client_allowed_sans.1: is empty"),
    ("client_allowed_sans: [a, ' ']", "client_allowed_sans.1: is empty"),
    ("client_allowed_sans: [~]", "client_allowed_sans.0: must be text"),
    ("client_auth_type:", "client_auth_type: is empty: write it, or leave it out"),
    ("client_auth_type: ''", "client_auth_type: is empty: write it, or leave it out"),
    ("client_ca_file:", "client_ca_file: is empty: write it, or leave it out"),
    ("client_ca: ''", "client_ca: is empty: write it, or leave it out"),
    ("client_ca_file: ' '", "client_ca_file: is empty: write it, or leave it out"),
    ("client_allowed_sans: [[a]]", "client_allowed_sans.0: must be text: write it in quotes"),
    ("min_version: TLS111", "min_version: must be one of TLS10, TLS11, TLS12, TLS13"),
    ("max_version: SSL30", "max_version: must be one of TLS10, TLS11, TLS12, TLS13"),
    ("max_version: TLS11", "max_version: is below min_version"),
    ("cipher_suites: [TLS_X]", "cipher_suites.0: is no known suite"),
    (
        "cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA38]",
        'suites.0: is no known suite (did you mean "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"?)',
    ),
    (
        "cipher_suites: [TLS_AES_128_GCM_SHA256]\n  max_version: TLS12",
        "cipher_suites: names no suite of TLS 1.2 or older, which max_version asks for",
    ),
    ("curve_preferences: [CurveP257]", "curve_preferences.0: is no known curve (did you mean"),
    ("curve_preferences: [X25519, '']", "curve_preferences.1: is no known curve"),
    ("curve_preferences: X25519", "curve_preferences: must be a list"),
    ("prefer_server_cipher_suites: maybe", "prefer_server_cipher_suites: must be true or"),
    ("cert: abc", "cert_file: stands beside cert: one of them must go"),
    ("key: abc", "key_file: stands beside key: one of them must go"),
    ("cert_filse: x", 'cert_filse: is not a known key (did you mean "cert_file"?)'),
    ("client_ca: abc\n  client_auth_type: VerifyClientCertIfGiven", "client_ca: holds no cert"),
    (
        "client_ca_file: junk.pem\n  client_auth_type: VerifyClientCertIfGiven",
        "client_ca_file: holds a certificate that cannot be read",
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
OTHER_PROBLEMS = [
    ("just words", "the web configuration must be a mapping"),
    ("- a", "the web configuration must be a mapping"),
    ("tls_server_config: x", "tls_server_config: must be a mapping (key: value)"),
    (
        "tls_sever_config: {}",
        'tls_sever_config: is not a known key (did you mean "tls_server_c',
    ),
    ("7d" * 30 + ": {}", "(key): is not a known key"),
    ("http_server_config:\n  http2: 1", "http_server_config.http2: must be true or false"),
    (
        "http_server_config:\n  headers: {Content-Type: x}",
        "headers.Content-Type: cannot be set",
    ),
    (
        "http_server_config:\n  headers: {X-Content-Type-Options: sniff}",
        "headers.X-Content-Type-Options: must be nosniff",
    ),
    (
        "http_server_config:\n  headers: {X-Frame-Options: foo}",
        "headers.X-Frame-Options: must be deny or sameorigin",
    ),
    (
        'http_server_config:\n  headers: {Content-Security-Policy: "a\\r\\nb"}',
        "headers.Content-Security-Policy: must be one line of printable ASCII",
    ),
    ("http_server_config:\n  headers: {X-XSS-Protection: ñ}", "must be one line of printable"),
    ("basic_auth_users: alice", "basic_auth_users: must be a mapping (key: value)"),
    ("basic_auth_users: {john: doe}", "basic_auth_users.john: is no bcrypt hash"),
    *(
        (f"basic_auth_users:\n  alice: {HASH}\n  dave: {value}", problem)
        for value, problem in (
            ("", "basic_auth_users.dave: has no password hash"),
            ("~", "basic_auth_users.dave: has no password hash"),
            ("''", "basic_auth_users.dave: has no password hash"),
            ("' '", "basic_auth_users.dave: has no password hash"),
            ("{}", "basic_auth_users.dave: must be text"),
            ("[]", "basic_auth_users.dave: must be text"),
            ("no", "basic_auth_users.dave: is no bcrypt hash"),
            ("${HASH}", "basic_auth_users.dave: is no bcrypt hash"),
            ("$2y$", "basic_auth_users.dave: is no bcrypt hash"),
            (HASH.removeprefix("$2y$10$"), "basic_auth_users.dave: is no bcrypt hash"),
        )
    ),
    ("basic_auth_users:", "basic_auth_users: names no user: write one, or leave it out"),
    ("basic_auth_users: {}", "basic_auth_users: names no user: write one, or leave it out"),
    ("basic_auth_users: []", "basic_auth_users: must be a mapping (key: value)"),
    ("basic_auth_users: ''", "basic_auth_users: must be a mapping (key: value)"),
    (
        "basic_auth_users: {john: [x]}",
        "basic_auth_users.john: must be text: write it in quotes",
    ),
    (f'basic_auth_users: {{"a:b": "{HASH}"}}', "basic_auth_users.(user): a user's name cannot"),
    (f'basic_auth_users: {{john: "{HASH[:-1]}"}}', "basic_auth_users.john: is no bcrypt hash"),
    ("rate_limit: {interval: soon}", "rate_limit.interval: must be a duration such as 100ms"),
    ("rate_limit: {interval: 5}", "rate_limit.interval: must be a duration"),
    ("rate_limit: {interval: , burst: 5}", "rate_limit.interval: must be a duration"),
    ("rate_limit: {interval: -1s}", "rate_limit.interval: must be a duration"),
    (f"rate_limit: {{interval: {'1h' * 30}}}", "rate_limit.interval: must be a duration"),
    ("rate_limit: {burst: -1}", "rate_limit.burst: must be 0 or more"),
    ("rate_limit: {burst: many}", "rate_limit.burst: must be a whole number"),
    ("rate_limit: {}\nrate_limit: {}", "rate_limit: stands twice"),
    ("a: [", "is not YAML"),
]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        *((f"tls_server_config:\n  {text}", problem) for text, problem in TLS_PROBLEMS),
        *((server(text), problem) for text, problem in SERVER_PROBLEMS),
        *OTHER_PROBLEMS,
    ],
    ids=lambda value: value[-40:],
)
def test_what_cannot_be_is_refused_by_name(load: Loader, text: str, problem: str) -> None:
    """No key is ignored: it works, or the exporter does not start."""
    assert any(problem in found for found in load.problems(text))


@pytest.mark.parametrize(("cert", "key", "problem"), FILE_PROBLEMS)
def test_files_that_make_no_server(load: Loader, cert: str, key: str, problem: str) -> None:
    """Each wrong file is named with its key."""
    text = f"tls_server_config:\n  cert_file: {cert}\n  key_file: {key}"

    (found,) = load.problems(text)
    assert problem.format(load.folder) in found


def test_all_problems_are_told_at_once(load: Loader) -> None:
    """One start is enough to see everything."""
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

    assert len(found) == 9
    assert "hunter2" not in " ".join(found)


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    """The path stands in the message."""
    with pytest.raises(ConfigError, match=r"nowhere\.yml: the file does not exist"):
        load_web_config(tmp_path / "nowhere.yml")


def test_a_cipher_that_openssl_lacks_is_told(pairs: Path) -> None:
    """A build without it must not fall back to something else."""
    cert, key = ((pairs / name).read_bytes() for name in ("server.pem", "server.key"))

    with pytest.raises(UnusableTls, match="this OpenSSL has no NEW-CIPHER") as caught:
        build_context(cert, key, ciphers=["ECDHE-ECDSA-AES128-GCM-SHA256", "NEW-CIPHER"])
    assert caught.value.part == "cipher_suites"


def test_the_documented_example_is_good(pairs: Path, load: Loader) -> None:
    """What the page shows can be copied."""
    page = (Path(__file__).parent.parent / "docs" / "web-config.md").read_text()
    example = page.split("```yaml\n")[1].split("```")[0]
    (load.folder / "ca.pem").write_bytes((load.folder / "other.pem").read_bytes())
    config = load(example)

    assert config.tls is not None
    assert set(config.users) == {b"prometheus"}
    assert config.rate_limit == RateLimit(0.1, 20)
    assert config.warnings == ()
