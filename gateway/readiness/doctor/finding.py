"""What a check says, and what a check is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from gateway.readiness.doctor.examined import Examined


class Level(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    """``check`` is the word of the check, ``subject`` what it is about."""

    check: str
    level: Level
    subject: str
    message: str
    advice: str


class Told(NamedTuple):
    """A finding, as its check says it."""

    level: Level
    subject: str
    message: str
    advice: str


def error(subject: str, message: str, advice: str) -> Told:
    return Told(Level.ERROR, subject, message, advice)


def warning(subject: str, message: str, advice: str) -> Told:
    return Told(Level.WARNING, subject, message, advice)


def info(subject: str, message: str, advice: str) -> Told:
    return Told(Level.INFO, subject, message, advice)


Look: TypeAlias = Callable[[Examined], Iterator[Told]]


@dataclass(frozen=True, slots=True)
class Check:
    """``word`` names it, and never changes; ``group`` is the family that it is of; ``says`` is what
    it looks for, as it stands in docs/doctor.md.
    """

    word: str
    group: str
    says: str
    look: Look

    def __call__(self, found: Examined) -> Iterator[Finding]:
        for told in self.look(found):
            yield Finding(self.word, *told)


def check(group: str) -> Callable[[Look], Check]:
    """Of a function its check: its name is the word, and its docstring what it looks for."""

    def made(look: Look) -> Check:
        word = look.__name__.replace("_", "-")
        return Check(word, group, " ".join((look.__doc__ or "").split()), look)

    return made
