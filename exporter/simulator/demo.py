"""Two plausible operations for demonstrations and tests: five skills, six channels."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from exporter.simulator.model import SimulatedOperation, SimulatedSkill

# Many licences: demonstrations ask far more often than anybody may ask the real API.
_DEMO_DAILY_LIMIT = 1_000_000


def demo_operations(
    zone_a: ZoneInfo, zone_b: ZoneInfo
) -> tuple[SimulatedOperation, SimulatedOperation]:
    """Return two services open around the clock, about 11,000 interactions on a weekday."""
    first = SimulatedOperation(
        name="wv0013",
        # Lower-case hex that begins with 7b, as real tokens do.
        token="7b" + "0013" * 13,
        timezone=zone_a,
        skills=(
            SimulatedSkill(
                "4173", "Ventas", {"inbound": 1500, "chat-whatsapp": 800, "chat-web": 350}
            ),
            SimulatedSkill(
                "4180",
                "Atención al cliente",
                {"inbound": 2200, "chat-whatsapp": 1100, "chat-facebook": 320},
            ),
            SimulatedSkill("4190", "Cobranza", {"inbound": 900, "omni-email": 240}),
        ),
        daily_limit=_DEMO_DAILY_LIMIT,
    )
    second = SimulatedOperation(
        name="wv0042",
        token="7b" + "0042" * 13,
        timezone=zone_b,
        skills=(
            SimulatedSkill(
                "5101", "Soporte técnico", {"inbound": 1300, "chat-web": 500, "omni-email": 180}
            ),
            SimulatedSkill(
                "5102",
                "Señal y reconexión",
                {"inbound": 700, "chat-whatsapp": 850, "chat-instagram": 400},
            ),
        ),
        daily_limit=_DEMO_DAILY_LIMIT,
    )
    return first, second
