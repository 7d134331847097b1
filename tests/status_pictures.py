"""Draws the pictures of the status page: `python -m tests.status_pictures` (a minute).

Real poll loops in virtual time ask the simulator for a day: of one chat nobody is answered
within the seconds of its target, beside a voice line that is green.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path

import httpx
from PIL import Image

from exporter.simulator.api import Simulator
from exporter.simulator.centre import demo_operations
from tests.chromium import chromium
from tests.dashboards_history import LATE_CHAT
from tests.polling_support import BOGOTA, SANTIAGO, Stage
from tests.status_page_support import served
from tests.virtual import Seen, run_virtual

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
SLA = """[
      {channels: [inbound], service_level: {within: 20s, target: 80%}, abandonment: {max: 5%}},
      {channels: [chat-web, chat-whatsapp], service_level: {within: 30s, target: 60%}}]"""
OPERATIONS = (
    ("acme", "0013", BOGOTA, "{id: 4173, name: Ventas}, {id: 4180, name: Atención al cliente}, "
     "{id: 4190, name: Cobranza}"),
    ("globex", "0042", SANTIAGO, "{id: 5101, name: Soporte técnico}, "
     "{id: 5102, name: Señal y reconexión}"),
)  # fmt: skip


async def drawn(directory: Path) -> dict[str, bytes]:
    """The page at a quarter to four, in both languages."""
    stage = Stage(directory, "2026-11-18 08:00")
    centres = demo_operations(BOGOTA, SANTIAGO)
    simulator = Simulator(centres, seed=20, now=stage.world.now, sleep=asyncio.sleep)

    async def answer(seen: Seen) -> httpx.Response:
        reply = await simulator.answer(seen.url.path, seen.params, seen.token)
        if seen.params.get("skill_id") != LATE_CHAT[1]:
            return httpx.Response(reply.status, content=reply.body)
        page = json.loads(reply.body)
        for row in page["data"]:
            if row["type_interaction"] == LATE_CHAT[2]:
                row |= {f"service_level_{n}seg": "0 %" for n in (10, 20, 30)} | {"asa": "112"}
        return httpx.Response(reply.status, json=page)

    stage.api.answer = answer
    texts = [
        f"""  - name: {name}
    server: "{server}"
    token_file: {{token{number}}}
    timezone: {zone}
    daily_requests: 2000
    skills: [{skills}]
    sla: {SLA}"""
        for number, (name, server, zone, skills) in enumerate(OPERATIONS)
    ]
    tokens = [one.token for one in centres]
    async with stage.start(stage.configure(*texts, tokens=tokens), "15:44") as running:
        return {language: served(stage, running, language) for language in ("en", "es")}


def main() -> None:
    """Write status-wall.png and status-phone.png."""
    with tempfile.TemporaryDirectory() as name, chromium() as tab:
        pages = run_virtual(drawn(Path(name)))
        for picture, language, width, height, dark in (
            ("wall", "en", 1920, 1080, False),
            ("phone", "es", 390, 800, True),
        ):
            file = Path(name, f"{picture}.html")
            file.write_bytes(pages[language])
            tab.open(file.as_uri(), width, height, dark=dark)
            target = FOLDER / f"status-{picture}.png"
            tab.screenshot(target)
            with Image.open(target) as image:
                image.convert("RGB").quantize(64).save(target, "PNG", optimize=True)


if __name__ == "__main__":
    main()
