"""A look-alike of the Wolkvox API with a contact centre behind it, for demo and tests.

An independent witness: it is written from the facts known of the real API and imports
nothing of the rest of the exporter, so that a wrong name or formula shows on one side only.

    staffing, centre   who arrives when, who waits how long     pure, seeded
    records            the figures of any window                cached days
    api, rows          the vendor's answers, string by string
    asgi, control      the way in; truth and scenarios for those who watch
"""

from __future__ import annotations

from functools import cached_property

from exporter.simulator.asgi import Application, build_application
from exporter.simulator.clock import ScaledClock
from exporter.simulator.demo import demo_operations
from exporter.simulator.model import Figures, SimulatedOperation, SimulatedSkill
from exporter.simulator.rows import TimeForm
from exporter.simulator.scenarios import Scenario
from exporter.simulator.world import World

__all__ = [
    "Figures",
    "ScaledClock",
    "Scenario",
    "SimulatedOperation",
    "SimulatedSkill",
    "Simulator",
    "TimeForm",
    "demo_operations",
]


class Simulator(World):
    """A world with a server's face: `app` is an ASGI 3 application, to be served as it is.

    Serve it without the server's own `Server` header (uvicorn: `server_header=False`).
    """

    @cached_property
    def app(self) -> Application:
        """The ASGI 3 application; always the same one."""
        return build_application(self)
