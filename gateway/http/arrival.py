"""One request as it came in, before anything of it is understood."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import Scope

from gateway.access.callers import Caller
from gateway.http.ids import Names


@dataclass(frozen=True, slots=True)
class Arrival:
    """``id`` is ours, ``names`` what the app calls it; ``received`` and ``deadline`` are monotonic
    times in seconds.
    """

    scope: Scope
    id: str
    received: float
    deadline: float
    caller: Caller
    names: Names
