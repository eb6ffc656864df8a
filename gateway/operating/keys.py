"""Making, ending and replacing keys, of apps and of operators. Each change is recorded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from gateway.access import months
from gateway.access.account import Used
from gateway.access.balances import Balance, balances
from gateway.access.keys import Key, Limits, make
from gateway.access.layout import FILE as LEDGER
from gateway.access.operators import Actor, OperatorRole
from gateway.access.repository import FILE as KEYS
from gateway.access.repository import SqliteKeys, revoked
from gateway.audit.happening import Happening
from gateway.domain.decision import Labels
from gateway.errors import NotThere, Refused
from gateway.http.operations import KeyAsked
from gateway.http.seen import (
    KeyState,
    LabelsState,
    LimitsState,
    NewKey,
    NewOperator,
    OperatorState,
    UsedState,
)


class Keys:
    """The keys of a state's folder. ``recorded`` takes what happened. All of it blocks."""

    def __init__(self, state: Path, recorded: Callable[[Happening], None]) -> None:
        self._repository = SqliteKeys(state / KEYS)
        self._ledger = state / LEDGER
        self._recorded = recorded

    def apps(self, now: datetime) -> list[KeyState]:
        """All there ever were, newest first."""
        found = [key for key in self._repository.all() if key.role is None]
        used = balances(self._ledger, {key.accounted for key in found}, now)
        return [_app(key, now, used[key.accounted]) for key in reversed(found)]

    def operators(self, now: datetime) -> list[OperatorState]:
        """As ``apps``."""
        return [
            _operator(key, key.role, now)
            for key in reversed(self._repository.all())
            if key.role is not None
        ]

    def create(self, asked: KeyAsked, actor: Actor, now: datetime) -> NewKey:
        labels = Labels(
            asked.team, asked.app, asked.environment, asked.data_class, frozenset(asked.tags)
        )
        written, key = make(
            asked.name,
            now,
            labels=labels,
            may_set=asked.may_set,
            models=asked.models,
            limits=Limits(**asked.limits.model_dump()),
            expires=asked.expires,
        )
        self._repository.add(key)
        self._record("key.created", key, actor, now)
        return NewKey(key=written, **dict(self._told(key, now)))

    def create_operator(
        self, name: str, role: OperatorRole, expires: datetime | None, actor: Actor, now: datetime
    ) -> NewOperator:
        written, key = make(name, now, role=role, expires=expires)
        self._repository.add(key)
        self._record("operator.created", key, actor, now, role=role)
        return NewOperator(key=written, **dict(_operator(key, role, now)))

    def revoke(self, id: str, actor: Actor, now: datetime) -> KeyState:
        """Raises ``NotThere``; one that is revoked already stays so."""
        self._find(id, operators=False)
        key = self._repository.change(id, lambda key: revoked(key, now))
        self._record("key.revoked", key, actor, now)
        return self._told(key, now)

    def revoke_operator(self, id: str, actor: Actor, now: datetime) -> OperatorState:
        """As ``revoke``."""
        role = _role(self._find(id, operators=True))
        key = self._repository.change(id, lambda key: revoked(key, now))
        self._record("operator.revoked", key, actor, now, role=role)
        return _operator(key, role, now)

    def rotate(self, id: str, overlap: timedelta, actor: Actor, now: datetime) -> NewKey:
        """Raises ``NotThere``, and ``Refused`` for a key that is good no more."""
        written, heir = self._heir(self._find(id, operators=False), overlap, now)
        self._record("key.rotated", heir, actor, now, replaces=id)
        return NewKey(key=written, **dict(self._told(heir, now)))

    def rotate_operator(
        self, id: str, overlap: timedelta, actor: Actor, now: datetime
    ) -> NewOperator:
        """As ``rotate``."""
        old = self._find(id, operators=True)
        role = _role(old)
        written, heir = self._heir(old, overlap, now)
        self._record("operator.rotated", heir, actor, now, replaces=id, role=role)
        return NewOperator(key=written, **dict(_operator(heir, role, now)))

    def _told(self, key: Key, now: datetime) -> KeyState:
        return _app(key, now, balances(self._ledger, (key.accounted,), now)[key.accounted])

    def _find(self, id: str, *, operators: bool) -> Key:
        for key in self._repository.all():
            if key.id == id and (key.role is not None) is operators:
                return key
        word = "operators" if operators else "keys"
        raise NotThere(
            f"there is no key {id[:64]!r}: `gateway {word} list --all` tells which there are",
            code="unknown_key",
        )

    def _heir(self, old: Key, overlap: timedelta, now: datetime) -> tuple[str, Key]:
        if not old.good(now):
            word = "keys" if old.role is None else "operators"
            raise Refused(
                f"{old.id} is good no more: make a new key with `gateway {word} create`",
                code="key_ended",
            )
        written, heir = make(
            old.name,
            now,
            role=old.role,
            labels=old.labels,
            may_set=old.may_set,
            models=old.models,
            limits=old.limits,
            account=old.accounted,
            expires=old.expires,
        )
        self._repository.add(heir)
        end = now + overlap

        def replaced(key: Key) -> Key:
            expires = end if key.expires is None else min(end, key.expires)
            return msgspec.structs.replace(key, heir=heir.id, expires=expires)

        self._repository.change(old.id, replaced)
        return written, heir

    def _record(
        self, event: str, key: Key, actor: Actor, now: datetime, **detail: str | int
    ) -> None:
        self._recorded(
            Happening(
                event,
                now,
                actor=actor.name,
                subject=key.id,
                detail={"name": key.name, **detail},
            )
        )


def _role(key: Key) -> OperatorRole:
    assert key.role is not None  # noqa: S101 - looked for among operators
    return key.role


def _app(key: Key, now: datetime, balance: Balance) -> KeyState:
    labels, this = key.labels, months.written(months.numbered(now))
    used = next((month.used for month in balance.months if month.name == this), Used())
    return KeyState(
        **_ends(key, now),
        labels=LabelsState(
            team=labels.team,
            app=labels.app,
            environment=labels.environment,
            data_class=labels.data_class,
            tags=sorted(labels.tags),
        ),
        may_set=list(key.may_set),
        models=list(key.models),
        limits=LimitsState(**msgspec.structs.asdict(key.limits)),
        used=UsedState(
            month=this,
            requests=used.requests,
            tokens=used.tokens,
            cost=used.cost,
            running=balance.running,
        ),
    )


def _operator(key: Key, role: OperatorRole, now: datetime) -> OperatorState:
    return OperatorState(**_ends(key, now), role=role)


def _ends(key: Key, now: datetime) -> dict[str, Any]:
    """What both kinds have."""
    return {
        "id": key.id,
        "name": key.name,
        "created": key.created,
        "expires": key.expires,
        "revoked": key.revoked,
        "heir": key.heir,
        "good": key.good(now),
    }
