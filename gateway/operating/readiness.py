"""What the main process has reckoned of readiness, as operators see it."""

from __future__ import annotations

import msgspec

from gateway.errors import Refused
from gateway.http.readiness import ReadinessState
from gateway.readiness.score.report import Report
from gateway.telemetry.readings import Shared


class Told:
    """Reads it anew only where it is another."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._raw = b""
        self._brief: ReadinessState | None = None

    def readiness(self, vendor: str | None) -> ReadinessState:
        """With the first few of what is missing or, of one ``vendor``, with all. Raises
        ``NotThere``, and ``Refused`` where nothing was reckoned yet. Blocks.
        """
        raw = self._shared.readiness()
        if raw is None:
            raise Refused(
                "the audit log of the last day is still being read: ask again in some seconds",
                code="not_reckoned_yet",
            )
        if vendor is not None:
            return _state(msgspec.json.decode(raw, type=Report).of(vendor))
        if self._brief is None or raw != self._raw:
            self._brief = _state(msgspec.json.decode(raw, type=Report).brief())
            self._raw = raw
        return self._brief


def _state(report: Report) -> ReadinessState:
    return ReadinessState.model_validate(msgspec.to_builtins(report))
