"""The demo's operations: two plausible services with five skills and six channels."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from exporter.simulator.centre import SimulatedOperation, SimulatedSkill

# By server: a skill's id and name, and the interactions of a weekday by channel.
_SKILLS = {
    "wv0013": (
        ("4173", "Ventas", {"inbound": 1500, "chat-whatsapp": 800, "chat-web": 350}),
        (
            "4180",
            "Atención al cliente",
            {"inbound": 2200, "chat-whatsapp": 1100, "chat-facebook": 320},
        ),
        ("4190", "Cobranza", {"inbound": 900, "omni-email": 240}),
    ),
    "wv0042": (
        ("5101", "Soporte técnico", {"inbound": 1300, "chat-web": 500, "omni-email": 180}),
        (
            "5102",
            "Señal y reconexión",
            {"inbound": 700, "chat-whatsapp": 850, "chat-instagram": 400},
        ),
    ),
}


def demo_operations(*zones: ZoneInfo) -> tuple[SimulatedOperation, ...]:
    """Return both, in these zones; their quota allows a request every second.

    Their tokens look real.
    """
    return tuple(
        SimulatedOperation(
            name,
            "7b" + name[2:] * 13,
            zone,
            tuple(SimulatedSkill(*one) for one in skills),
            1_000_000,
        )
        for (name, skills), zone in zip(_SKILLS.items(), zones, strict=True)
    )
