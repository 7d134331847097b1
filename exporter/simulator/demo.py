"""The demo's operations: two plausible services with five skills and six channels."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from exporter.simulator.centre import SimulatedOperation, SimulatedSkill

_FIRST = (
    SimulatedSkill("4173", "Ventas", {"inbound": 1500, "chat-whatsapp": 800, "chat-web": 350}),
    SimulatedSkill(
        "4180",
        "Atención al cliente",
        {"inbound": 2200, "chat-whatsapp": 1100, "chat-facebook": 320},
    ),
    SimulatedSkill("4190", "Cobranza", {"inbound": 900, "omni-email": 240}),
)
_SECOND = (
    SimulatedSkill(
        "5101", "Soporte técnico", {"inbound": 1300, "chat-web": 500, "omni-email": 180}
    ),
    SimulatedSkill(
        "5102",
        "Señal y reconexión",
        {"inbound": 700, "chat-whatsapp": 850, "chat-instagram": 400},
    ),
)


def demo_operations(
    zone_a: ZoneInfo, zone_b: ZoneInfo
) -> tuple[SimulatedOperation, SimulatedOperation]:
    """Return both; their tokens look real, and their quota allows a request every second."""
    return (
        SimulatedOperation("wv0013", "7b" + "0013" * 13, zone_a, _FIRST, 1_000_000),
        SimulatedOperation("wv0042", "7b" + "0042" * 13, zone_b, _SECOND, 1_000_000),
    )
