"""What a grader of TLS asks, one check each: what was seen, and whether it must be so."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from proof.transport_hello import (
    ALL_SUITES,
    BAD_SUITES,
    DEFLATE,
    GOOD_SUITES,
    NULL_COMPRESSION,
    SSL3,
    TLS10,
    TLS11,
    TLS12,
    hello,
    offer,
    suites_taken,
)
from proof.transport_scene import PATIENCE, REQUEST, Scene, serial

Outcome = tuple[str, bool]
Ask = Callable[[Scene], Outcome]


@dataclass(frozen=True, slots=True)
class Check:
    """A question and how it is asked."""

    name: str
    ask: Ask


def _version(version: int) -> Ask:
    def ask(scene: Scene) -> Outcome:
        scene.configure()
        choice = offer(scene.address, hello(version, ALL_SUITES))
        if choice.accepted:
            return f"accepted, with the suite {choice.suite:#06x}", False
        return f"refused ({choice.refusal})", True

    return ask


def _kind(suites: Sequence[int]) -> Ask:
    def ask(scene: Scene) -> Outcome:
        scene.configure()
        taken = suites_taken(scene.address, TLS12, suites)
        if taken:
            return f"accepted: {', '.join(f'{suite:#06x}' for suite in taken)}", False
        return f"refused, all {len(suites)}", True

    return ask


def _suites(cert: str, count: int) -> Ask:
    def ask(scene: Scene) -> Outcome:
        scene.configure(cert=cert)
        taken = suites_taken(scene.address, TLS12, ALL_SUITES)
        names = [GOOD_SUITES.get(suite, f"{suite:#06x}") for suite in taken]
        good = set(taken) <= set(GOOD_SUITES) and len(taken) == count
        return f"{len(taken)} of {len(ALL_SUITES)}: {', '.join(names)}", good

    return ask


def _compression(scene: Scene) -> Outcome:
    scene.configure()
    data = hello(TLS12, ALL_SUITES, compression=(DEFLATE, NULL_COMPRESSION))
    choice = offer(scene.address, data)
    none = choice.accepted and choice.compression == NULL_COMPRESSION
    return "none" if none else f"compression {choice.compression}", none


def _extensions(scene: Scene) -> Outcome:
    choice = offer(scene.address, hello(TLS12, ALL_SUITES))
    seen = (
        f"secure renegotiation {'told' if choice.secure_renegotiation else 'not told'}, "
        f"heartbeat {'told' if choice.heartbeat else 'not told'}, "
        f"protocol {choice.protocol or 'none'}"
    )
    good = choice.secure_renegotiation and not choice.heartbeat
    return seen, good and choice.protocol == "http/1.1"


def _renegotiation(scene: Scene) -> Outcome:
    told = scene.openssl("-tls1_2", typed=b"R\n")
    asked = "RENEGOTIATING" in told
    refused = "no renegotiation" in told
    if not asked:
        return "it could not be asked for", False
    return ("refused" if refused else "allowed, as often as a client likes"), refused


def exchange(told: str) -> str | None:
    """The curve or group of the key exchange, as any version of openssl tells it."""
    found = re.search(
        r"(?:Server Temp Key|Peer Temp Key|Negotiated TLS1\.3 group): (?!<NULL>)([^,\n]+)", told
    )
    return found[1] if found else None


def _connects(*options: str, expects: str) -> Ask:
    def ask(scene: Scene) -> Outcome:
        scene.configure()
        told = scene.openssl(*options)
        new = re.search(r"New, (TLSv[0-9.]+), Cipher is (\S+)", told)
        key = exchange(told)
        if new is None:
            return "no handshake", False
        agreed = f"{new[2]}, key exchange {key or 'unknown'}"
        return agreed, new[1] == expects and key is not None

    return ask


def _only_13(scene: Scene) -> Outcome:
    scene.configure("min_version: TLS13")
    old = offer(scene.address, hello(TLS12, ALL_SUITES))
    new = re.search(r"New, (TLSv1.3), ", scene.openssl("-tls1_3"))
    seen = f"TLS 1.2 {'accepted' if old.accepted else 'refused'}, TLS 1.3 "
    return seen + ("accepted" if new else "refused"), not old.accepted and new is not None


def _chosen(scene: Scene) -> Outcome:
    scene.configure("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]")
    taken = suites_taken(scene.address, TLS12, ALL_SUITES)
    return ", ".join(GOOD_SUITES.get(suite, f"{suite:#06x}") for suite in taken), taken == [
        0xC02F
    ]


def _plain(scene: Scene) -> Outcome:
    scene.configure()
    received = scene.plain(REQUEST)
    line = received.partition(b"\r\n")[0].decode("latin-1")
    return f"{line or 'closed'}, no figure in it", b"wolkvox_" not in received


def _garbage(scene: Scene) -> Outcome:
    """Records that are none, a handshake without an end, one of nonsense."""
    scene.configure()
    whole = hello(TLS12, ALL_SUITES)
    said = (
        *(b"\0" * 600, b"\x16\x03\x01\xff\xff" + b"\xff" * 4096, whole[:40], whole[:-9] * 3),
        *(b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10", b"\x15\x03\x01\x00\x02\x02\x28"),
    )
    received = b"".join(scene.plain(one) for one in said)
    served = scene.encrypted().startswith(b"HTTP/1.1 200 ")
    good = served and b"wolkvox_" not in received
    return f"{len(said)} kinds thrown; a scrape afterwards is answered: {served}", good


def _renewed(scene: Scene) -> Outcome:
    scene.configure(cert="ec")
    before = serial(scene.openssl())
    told = scene.life.log().count("web configuration reloaded")
    # Key and certificate change one after the other, as an ACME client changes them.
    for ending in ("key", "pem"):
        shutil.copy(scene.folder / f"renewed.{ending}", scene.folder / f"ec.{ending}")
    scene.until_reloaded(told)
    after = serial(scene.openssl())
    changed = bool(before) and bool(after) and before != after
    return "the new one is shown, without a restart" if changed else "the old one", changed


def _mutual(scene: Scene) -> Outcome:
    policy = "client_auth_type: RequireAndVerifyClientCert"
    scene.configure(policy, "client_ca_file: ca.pem", cert="rsa")
    answers = {
        "none": scene.encrypted(),
        "of a stranger": scene.encrypted(client=scene.stranger),
        "of the CA": scene.encrypted(client=scene.client),
    }
    seen = ", ".join(f"{who}: {'200' if said else 'refused'}" for who, said in answers.items())
    ours = answers.pop("of the CA").startswith(b"HTTP/1.1 200 ")
    return seen, ours and not any(answers.values())


def _names(scene: Scene) -> Outcome:
    policy = "client_auth_type: RequireAndVerifyClientCert"
    lines = (policy, "client_ca_file: ca.pem")
    scene.configure(*lines, "client_allowed_sans: [somebody-else]")
    other = scene.encrypted(client=scene.client)
    scene.configure(*lines, "client_allowed_sans: [prometheus]")
    ours = scene.encrypted(client=scene.client)
    told = [f"{'200' if said else 'refused'}" for said in (other, ours)]
    return f"another name: {told[0]}, the allowed name: {told[1]}", bool(ours) and not other


def _bad_file(scene: Scene) -> Outcome:
    """An empty file means plain HTTP: perhaps it is just being written."""
    scene.configure()
    (scene.folder / "web.yml").write_text("", encoding="utf-8")
    told = "web configuration not reloaded"
    count = scene.life.log().count(told)
    deadline = time.monotonic() + PATIENCE
    while True:
        received = scene.plain(REQUEST)
        if scene.life.log().count(told) > count or b"wolkvox_" in received:
            break
        assert time.monotonic() < deadline, "the emptied file is not noticed"
        time.sleep(0.05)
    kept = b"wolkvox_" not in received and bool(scene.encrypted())
    return "the old configuration stays, TLS included" if kept else "plain HTTP", kept


def _kinds() -> Iterable[Check]:
    for kind, suites in BAD_SUITES.items():
        yield Check(f"suites {kind}", _kind(suites))


OLD = (
    Check("SSL 3 offered alone", _version(SSL3)),
    Check("TLS 1.0 offered alone", _version(TLS10)),
    Check("TLS 1.1 offered alone", _version(TLS11)),
    *_kinds(),
)
BREACHES = (
    Check("compression (CRIME)", _compression),
    Check("extensions of the answer (Heartbleed, insecure renegotiation)", _extensions),
    Check("renegotiation asked for by a client", _renegotiation),
)
MODERN = (
    Check("TLS 1.2 with openssl", _connects("-tls1_2", expects="TLSv1.2")),
    Check("TLS 1.3 with openssl", _connects("-tls1_3", expects="TLSv1.3")),
    Check("all suites of TLS 1.2 it takes, RSA certificate", _suites("rsa", 3)),
    Check("all suites of TLS 1.2 it takes, ECDSA certificate", _suites("ec", 3)),
    Check("`min_version: TLS13`", _only_13),
    Check("`cipher_suites` with one suite", _chosen),
)
CLIENTS = (
    Check("plain HTTP on the TLS port", _plain),
    Check("garbage instead of a handshake", _garbage),
    Check("a renewed certificate", _renewed),
    Check("client certificates asked for (mTLS)", _mutual),
    Check("client certificates with a name that is not allowed", _names),
    Check("the web configuration is emptied by mistake", _bad_file),
)
