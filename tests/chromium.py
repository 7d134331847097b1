"""A headless Chromium for the tests of the status page, spoken to over two pipes.

The DevTools protocol needs no library that way: one JSON message after the other, each
ended by a null character.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import select
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.needs import BROWSERS, needs

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
PATIENCE = 60  # seconds, for a machine that is busy


@dataclass
class Tab:
    """One page of the browser."""

    send: int
    receive: int
    session: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _buffer: bytes = b""

    def call(self, method: str, **params: Any) -> Any:
        """Ask the browser one thing and wait for its answer."""
        number = next(self._numbers)
        order: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self.session:
            order["sessionId"] = self.session
        os.write(self.send, json.dumps(order).encode() + b"\0")
        while (message := self._next()).get("id") != number:
            self.events.append(message)
        assert "error" not in message, f"{method}: {message['error']}"
        return message["result"]

    def wait(self, event: str) -> None:
        """Wait until something has happened since the last `open`."""
        while not any(one.get("method") == event for one in self.events):
            self.events.append(self._next())

    def open(
        self, url: str, width: int, height: int, *, dark: bool = False, **more: str
    ) -> None:
        """Load a page in a window of this size; `language`: the Accept-Language header."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        headers = {"Accept-Language": more.get("language", "en")}
        self.call("Network.setExtraHTTPHeaders", headers=headers)
        self.events.clear()
        self.call("Page.navigate", url=url)
        self.wait("Page.loadEventFired")

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression; the page itself has no script."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def complaints(self) -> list[str]:
        """What the browser has to say against the page: refused styles, failed loads."""
        self.run("1")  # whatever came before it is here now
        return [
            event["params"]["entry"]["text"]
            for event in self.events
            if event.get("method") == "Log.entryAdded"
        ]

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Write what can be seen, or the whole page, as PNG."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self.receive], [], [], PATIENCE)
            assert ready, f"the browser said nothing for {PATIENCE} s"
            piece = os.read(self.receive, 1 << 20)
            assert piece, "the browser has ended"
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message


@contextlib.contextmanager
def chromium() -> Iterator[Tab]:
    """A browser with one tab and a profile of its own, until the end of the block."""
    to_browser, from_us = os.pipe()
    from_browser, to_us = os.pipe()
    with contextlib.ExitStack() as stack:
        for end in (from_us, from_browser):
            stack.callback(os.close, end)
        # Its crash handler may still write there when it has ended.
        profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        stack.callback(profile.cleanup)
        # The browser reads descriptor 3 and writes descriptor 4.
        move = 'exec "$0" "$@" 3<&"$IN" 4>&"$OUT"'
        command = [needs(*BROWSERS), *FLAGS, f"--user-data-dir={profile.name}", "about:blank"]
        browser = subprocess.Popen(
            ["bash", "-c", move, *command],
            pass_fds=(to_browser, to_us),
            env={**os.environ, "IN": str(to_browser), "OUT": str(to_us)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        stack.callback(_end, browser)
        for end in (to_browser, to_us):
            os.close(end)
        yield _attach(Tab(from_us, from_browser))


def _attach(tab: Tab) -> Tab:
    targets = tab.call("Target.getTargets")["targetInfos"]
    page = next(target for target in targets if target["type"] == "page")
    found = tab.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
    tab.session = found["sessionId"]
    for domain in ("Page", "Network", "Log", "Runtime"):
        tab.call(f"{domain}.enable")
    return tab


def _end(browser: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(browser.pid, signal.SIGKILL)
    browser.wait()
