"""All checks, in the order in which a person reads what they say."""

from __future__ import annotations

from collections.abc import Collection

from gateway.readiness.doctor import (
    access,
    audit,
    channels,
    clocks,
    designations,
    disk,
    models,
    permissions,
    policy,
    serving,
    signatures,
)
from gateway.readiness.doctor.examined import Examined
from gateway.readiness.doctor.finding import Check, Finding

CONFIGURATION = "configuration"
"""The word of what is said where the configuration itself cannot be read: no other check is then
asked.
"""

CHECKS: tuple[Check, ...] = (
    *policy.CHECKS,
    *designations.CHECKS,
    *signatures.CHECKS,
    *models.CHECKS,
    *channels.CHECKS,
    *access.CHECKS,
    *audit.CHECKS,
    *permissions.CHECKS,
    *disk.CHECKS,
    *clocks.CHECKS,
    *serving.CHECKS,
)
WORDS = tuple(dict.fromkeys(word for one in CHECKS for word in (one.group, one.word)))
"""What checks and their groups are called: a group's word stands for all of its checks."""


def chosen(only: Collection[str] = (), skip: Collection[str] = ()) -> tuple[Check, ...]:
    """The checks that are named, or all, without those that are to be left out."""

    def named(one: Check, words: Collection[str]) -> bool:
        return one.word in words or one.group in words

    return tuple(one for one in CHECKS if (not only or named(one, only)) and not named(one, skip))


def examine(found: Examined, checks: Collection[Check] = CHECKS) -> list[Finding]:
    """The findings of these checks."""
    return [finding for one in checks for finding in one(found)]
