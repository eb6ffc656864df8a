"""One request as it came in, before anything of it is understood."""

from __future__ import annotations

import msgspec

from gateway.access.callers import Caller
from gateway.http.head import Head


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """``id`` is ours; ``received`` and ``deadline`` are monotonic times in seconds."""

    head: Head
    id: str
    received: float
    deadline: float
    caller: Caller
