"""Operators: who may look at a running gateway and change what it does."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class OperatorRole(StrEnum):
    """What an operator may do. Each may do what those before it may."""

    VIEWER = "viewer"
    """Reads."""
    OPERATOR = "operator"
    """Bans vendors, practises that, loads and unloads models."""
    ADMIN = "admin"
    """Makes and revokes keys, of apps and of operators."""

    def may(self, least: OperatorRole) -> bool:
        """Whether this role is enough where ``least`` is needed."""
        ranks = tuple(OperatorRole)
        return ranks.index(self) >= ranks.index(least)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something: ``name`` is what records say (``operator:<id of the key>``, or
    ``local:<user>`` of whoever may read this machine's own credential); ``title`` is for people.
    """

    name: str
    title: str
    role: OperatorRole
