"""What the main process writes down: which policy and configuration came into force or were
refused, and what became of the local models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256

from gateway.audit.happening import Happening
from gateway.config.reload import PolicyStore
from gateway.local.keeper import ModelState, ModelStatus

LONGEST_REASON = 2000
"""Characters: a configuration with many mistakes has a long one."""
_GONE = (ModelState.UNLOADED, ModelState.STOPPED)


class Recording:
    """Compares what is with what was, whenever it is told to look; ``write`` takes what is to be
    written down.
    """

    def __init__(self, write: Callable[[Happening], None]) -> None:
        self._write = write
        self._in_force: dict[str, str] = {}
        self._problems: dict[str, str | None] = {}
        self._files: Mapping[str, str] = {}
        self._models: dict[str, ModelState] = {}

    def look(self, policies: PolicyStore, configuration: str, problem: str | None) -> None:
        """At the policies, and at the configuration: its revision, and why the newest one is not
        in force.
        """
        files = {name: sha256(raw).hexdigest() for name, raw in policies.files.items()}
        names = {*files, *self._files}
        changed = sorted(name for name in names if files.get(name) != self._files.get(name))
        self._files = files
        self._compare("policy", policies.current.revision, policies.problem, ", ".join(changed))
        self._compare("configuration", configuration, problem)

    def model(self, status: ModelStatus) -> None:
        """A local model's state may be another."""
        before, now = self._models.get(status.name), status.state
        self._models[status.name] = now
        if now is before:
            return
        if now is ModelState.READY:
            layout = status.layout
            memory = {} if layout is None else {"memory": layout.memory}
            self._tell("model.loaded", status.name, detail={"pid": status.pid or 0, **memory})
        elif now is ModelState.RESTARTING:
            self._tell("model.crashed", status.name, reason=status.detail)
        elif now is ModelState.FAILED:
            self._tell("model.failed", status.name, reason=status.detail)
        elif now in _GONE and before is ModelState.READY:
            self._tell("model.unloaded", status.name)

    def _compare(self, what: str, revision: str, problem: str | None, files: str = "") -> None:
        old = self._in_force.get(what)
        named = {"files": files} if files else {}
        if old is None:
            self._tell(f"{what}.loaded", revision)
        elif old != revision:
            self._tell(f"{what}.changed", revision, detail={"old": old, **named})
        self._in_force[what] = revision
        if problem is not None and problem != self._problems.get(what):
            self._tell(f"{what}.refused", revision, reason=problem)
        self._problems[what] = problem

    def _tell(
        self,
        event: str,
        subject: str,
        *,
        reason: str = "",
        detail: Mapping[str, str | int] | None = None,
    ) -> None:
        now = datetime.now(UTC)
        reason = reason[:LONGEST_REASON]
        self._write(Happening(event, now, subject=subject, reason=reason, detail=detail or {}))
