"""The parts of a serving process that operations are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.audit.journal import Journal
from gateway.background import Background
from gateway.config.presence import Presence, serving
from gateway.config.reload import PolicyStore
from gateway.config.settings import Settings
from gateway.configured import Configured
from gateway.engine.loop import Engine
from gateway.http.seen import ProcessState
from gateway.http.state import State
from gateway.telemetry.readings import Shared


@dataclass(frozen=True, slots=True)
class Parts:
    """``settings`` are those that the process was started with; ``configured`` gives the
    configuration in force, ``state`` what the process tells of itself; ``shared`` is where the
    processes tell each other what they are like.
    """

    settings: Settings
    url: str
    engine: Engine
    policies: PolicyStore
    journal: Journal
    configured: Callable[[], Configured]
    state: Callable[[], State]
    shared: Shared
    background: Background

    def serving(self) -> list[Presence]:
        """All serving processes of this gateway."""
        return serving(self.settings)


def process_state(presence: Presence) -> ProcessState:
    return ProcessState(
        pid=presence.pid,
        policy=presence.revision,
        configuration=presence.configuration,
        problem=presence.problem,
        configuration_problem=presence.configuration_problem,
    )
