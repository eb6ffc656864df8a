"""The console alone, behind the real gate, with operations that a test gives it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from fastapi import FastAPI

from gateway.access.entrance import Entrance
from gateway.access.keyring import Keyring
from gateway.access.keys import make
from gateway.access.operators import OperatorRole
from gateway.access.sessions import Ended, Sessions
from gateway.http.admin.gate import Gate, Names
from gateway.http.console.routes import router
from gateway.http.console.seats import Seats
from gateway.http.operations import Operations
from tests.console.recorded import Recorded


@dataclass
class House:
    """``keys`` are those of one operator of each role, as they are written."""

    folder: Path
    recorded: Recorded = field(default_factory=Recorded)
    roles: tuple[OperatorRole, ...] = tuple(OperatorRole)
    keys: dict[OperatorRole, str] = field(default_factory=dict)
    noted: list[tuple[str, str]] = field(default_factory=list)

    def app(self) -> FastAPI:
        now = datetime.now(UTC)
        kept = []
        for role in self.roles:
            self.keys[role], key = make(f"Nadia {role}", now, role=role)
            kept.append(key)
        keyring = Keyring(kept, operators=True)
        sessions = Sessions(b"secret", Ended(self.folder / "ended"))
        gate = Gate(Entrance(keyring, "sgl_token", sessions, "root"), Names(), lambda *_: None)
        seats = Seats(
            gate,
            lambda: len(keyring) > 0,
            lambda what, visit: self.noted.append((what, visit.actor.title)),
        )
        app = FastAPI()
        app.include_router(router(cast(Operations, self.recorded), seats))
        return app
