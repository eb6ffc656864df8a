"""One request as it came in, before anything of it is understood."""

from __future__ import annotations

import msgspec
from starlette.types import Scope

from gateway.access.callers import Caller
from gateway.http.ids import Names


class Arrival(msgspec.Struct, frozen=True):
    """``id`` is ours, ``names`` what the app calls it; ``received`` and ``deadline`` are monotonic
    times in seconds.
    """

    scope: Scope
    id: str
    received: float
    deadline: float
    caller: Caller
    names: Names
