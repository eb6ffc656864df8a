"""What a simulator saw."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class SeenConnection:
    """A connection that was accepted: when (seconds since 1970), and from which port."""

    time: float
    peer: int


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """What arrived: header names are in lower case, ``connection`` counts from 0, ``time`` is in
    seconds since 1970.
    """

    connection: int
    path: str
    headers: dict[str, str]
    body: bytes
    time: float

    @property
    def json(self) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(self.body)
        return decoded
