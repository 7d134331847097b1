"""A look-alike of the API that answers at once, a process of its own; it checks nothing.

`python -m benchmarks.api PORT`. Its figures rise with the time. It notes the seconds
between two requests of one query: `GET /_gaps` tells and forgets them.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import cast

from benchmarks.processes import LOOPBACK

CHANNELS = ("inbound", "chat-web", "chat-whatsapp")


class Witness:
    """When each query was asked last, and the gaps since the last look."""

    def __init__(self) -> None:
        self.last: dict[bytes, float] = {}
        self.gaps: list[float] = []

    def asked(self, query: bytes) -> None:
        """Note a request."""
        now = time.monotonic()
        if query in self.last:
            self.gaps.append(now - self.last[query])
        self.last[query] = now

    def tell(self) -> bytes:
        """The gaps, which are forgotten then."""
        told, self.gaps = self.gaps, []
        return json.dumps(told).encode()


def rows(second: int) -> bytes:
    """An answer whose totals have risen until this second."""
    inbound = 100 + second
    row = {
        "inbound_calls": str(inbound), "answer_calls": str(inbound - 10), "abandon_calls": "10",
        "service_level_10seg": "44.78 %", "service_level_20seg": "65.67 %",
        "service_level_30seg": "85.07 %", "abandon": f"{1000 / inbound:.2f} %",
        "asa": str(10 + second % 7), "ata": "31",
    }  # fmt: skip
    data = [{"type_interaction": channel, **row} for channel in CHANNELS]
    message = f"{len(data)} records were found"
    return json.dumps({"code": 200, "error": None, "msg": message, "data": data}).encode()


class Answers(asyncio.Protocol):
    """One connection; a request is a head without a body."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer each whole head."""
        self._head += data
        while b"\r\n\r\n" in self._head:
            head, _, self._head = self._head.partition(b"\r\n\r\n")
            target = head.split(b" ", 2)[1]
            if target == b"/_gaps":
                body = self._witness.tell()
            else:
                self._witness.asked(target.partition(b"&date_ini")[0])
                body = rows(int(time.monotonic()) % 10_000)
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n" % len(body) + body
            )


async def main(port: int) -> None:
    """Serve until killed."""
    witness = Witness()
    server = await asyncio.get_running_loop().create_server(
        lambda: Answers(witness), LOOPBACK, port, backlog=1024
    )
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
