"""The local models of a running gateway: how they are by their supervisor, which is in the main
process, and by what their workers have told this one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from gateway.access.operators import Actor
from gateway.audit.happening import Happening
from gateway.errors import ModelFileError, NotThere, Refused
from gateway.http.seen import LocalModel
from gateway.local.control import Command, Load, Tell, Told, Unload, command
from gateway.operating.parts import Parts
from gateway.policy.anyone import anyone_may


class Models:
    """``recorded`` takes what happened."""

    def __init__(self, parts: Parts, recorded: Callable[[Happening], None]) -> None:
        self._parts = parts
        self._recorded = recorded

    async def all(self) -> list[LocalModel]:
        """In the order of the configuration."""
        return await self._asked(Tell())

    async def load(self, name: str, actor: Actor) -> LocalModel:
        """Raises ``NotThere``, and ``Refused`` where policy leaves it to nobody or its files are
        not what they must be.
        """
        self._check_policy(name)
        found = _one(await self._asked(Load(name)), name)
        self._record("model.load_asked", name, actor, {})
        return found

    async def unload(self, name: str, *, cut: bool, actor: Actor) -> LocalModel:
        """Raises ``NotThere``."""
        found = _one(await self._asked(Unload(name, cut)), name)
        self._record("model.unload_asked", name, actor, {"answers": "cut" if cut else "waited for"})
        return found

    def _check_policy(self, name: str) -> None:
        configured = self._parts.configured()
        if name not in configured.inventory.local:
            raise NotThere(
                f"there is no local model {name[:64]!r}: `gateway models list` shows all",
                code="unknown_model",
            )
        target = configured.inventory.target(f"local/{name}")
        if not anyone_may(self._parts.engine.policy, target, datetime.now(UTC)):
            raise Refused(
                f"policy denies local/{name} to everybody: `gateway policy explain --model "
                f"local/{name}` tells which rule",
                code="policy_denied",
            )

    async def _asked(self, asked: Command) -> list[LocalModel]:
        path = Path(self._parts.configured().publication.control)
        try:
            told = {one.name: one for one in await command(path, asked)}
        except ModelFileError as error:
            raise Refused(error.message, code=error.code) from None
        return [
            _model(known.model_dump(), told[known.name])
            for known in self._parts.state().local_models
            if known.name in told
        ]

    def _record(self, event: str, name: str, actor: Actor, detail: dict[str, str | int]) -> None:
        now = datetime.now(UTC)
        self._recorded(Happening(event, now, actor=actor.name, subject=name, detail=detail))


def _model(known: dict[str, object], told: Told) -> LocalModel:
    return LocalModel.model_validate(
        {
            **known,
            "state": told.state,
            "detail": told.detail,
            "pid": told.pid,
            "restarts": told.restarts,
            "needs": told.needs,
            "active": told.active,
            "waiting": told.waiting,
            "tokens_per_second": told.tokens_per_second,
        }
    )


def _one(models: list[LocalModel], name: str) -> LocalModel:
    """The one of that name, which was there a moment ago."""
    for model in models:
        if model.name == name:
            return model
    raise NotThere(f"the local model {name[:64]!r} has just left the configuration")
