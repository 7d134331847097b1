"""A look-alike of the API that answers at once, a process of its own; it checks nothing.

`python -m benchmarks.api PORT`. Its figures rise with the time. It notes the seconds
between two requests of one query: `GET /_gaps` tells and forgets them.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import uvicorn

from benchmarks.processes import LOOPBACK
from tests.e2e_api import found, row

CHANNELS = ("inbound", "chat-web", "chat-whatsapp")


class Api:
    """When each query was asked last, and the gaps since the last look."""

    def __init__(self) -> None:
        self.last: dict[tuple[str, bytes], float] = {}
        self.gaps: list[float] = []

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        """Answer a request, as ASGI asks."""
        if scope["path"] == "/_gaps":
            body, self.gaps = json.dumps(self.gaps).encode(), []
        else:
            now = time.monotonic()
            query = scope["path"], scope["query_string"].partition(b"&date_ini")[0]
            if query in self.last:
                self.gaps.append(now - self.last[query])
            self.last[query] = now
            inbound = 100 + int(now) % 10_000
            body = found(*(row(channel, inbound) for channel in CHANNELS)).body
        head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    # No connection is closed between two polls of a query.
    uvicorn.run(
        Api(), host=LOOPBACK, port=int(sys.argv[1]), log_level="warning", lifespan="off",
        timeout_keep_alive=3600,
    )  # fmt: skip
