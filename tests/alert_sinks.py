"""Where Alertmanager's messages end in tests: chats, pagers and gateways, and a mail server."""

from __future__ import annotations

import contextlib
import email
import email.policy
import importlib.util
import json
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType
from typing import Any

from tests.rules_support import ROOT


@dataclass
class Sink:
    """What was received, by the place it was sent to, and where to send."""

    url: str = ""
    mail: str = ""
    got: list[tuple[str, Any]] = field(default_factory=list)


@contextlib.contextmanager
def sinks() -> Iterator[Sink]:
    """Run both servers on loopback."""
    sink = Sink()

    class Web(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            sink.got.append((self.path.strip("/"), sent))
            chat = {"message_id": 1, "date": 1, "chat": {"id": 1, "type": "group"}}
            telegram = json.dumps({"ok": True, "result": chat})
            body = (telegram if "/bot" in self.path else "ok").encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    class Mail(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 sink\r\n")
            to = ""
            for line in self.rfile:
                verb = line[:4].upper()
                if verb == b"RCPT":
                    to = line.decode().split("<")[1].split("@")[0]
                if verb == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    text = b"".join(iter(self.rfile.readline, b".\r\n"))
                    message = email.message_from_bytes(text, policy=email.policy.default)
                    sink.got.append((to, message))
                self.wfile.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")

    class WebServer(ThreadingHTTPServer):
        request_queue_size = 256  # an Alertmanager sends all at once

    class MailServer(socketserver.ThreadingTCPServer):
        request_queue_size = 256
        daemon_threads = True

    with (
        WebServer(("127.0.0.1", 0), Web) as web,
        MailServer(("127.0.0.1", 0), Mail) as mail,
    ):
        sink.url = f"http://127.0.0.1:{web.server_address[1]}"
        sink.mail = f"127.0.0.1:{mail.server_address[1]}"
        servers: tuple[socketserver.BaseServer, ...] = (web, mail)
        threads = [threading.Thread(target=one.serve_forever, args=(0.05,)) for one in servers]
        for thread in threads:
            thread.start()
        try:
            yield sink
        finally:
            for one, thread in zip(servers, threads, strict=True):
                one.shutdown()
                thread.join()


def hastened() -> ModuleType:
    """The module of the demo that shortens the times of the shipped files."""
    path = ROOT / "deploy/demo-stack/hastened.py"
    spec = importlib.util.spec_from_file_location("hastened", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
