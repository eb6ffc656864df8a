"""What a scenario is: what the targets of a model do, and what must come of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

FIRST, SECOND, LOCAL = "first", "second", "local"
CHAIN = (FIRST, SECOND, LOCAL)
SAID = "vendor answer in pieces"
"""What a simulator answers when nothing else is asked of it."""


class Mode(Enum):
    PLAIN = "plain"
    STREAM = "stream"


@dataclass(frozen=True, slots=True)
class Does:
    """A behaviour of a simulator, with its options."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        # A row of bytes or of other ways is told by its name.
        told = {k: v for k, v in self.options.items() if isinstance(v, str | int | float)}
        return " ".join((self.name, *(f"{name}={str(value)[:24]}" for name, value in told.items())))


@dataclass(frozen=True, slots=True)
class Expect:
    """What must come of a request.

    ``attempts`` are the outcomes of the attempts in turn, ``at`` their targets where these are not
    the chain's from the first on. ``status`` and ``code`` are those of an error, as the answer or,
    where ``broken``, as the event that ends a stream. ``sent`` is what the app had of the answer
    when the first target failed, so that the next one goes on with it; ``text`` all that it gets
    in the end, ``None`` where a model of ours goes on or answers. ``requests`` is how many each of
    the two simulators saw of it; ``wait`` bounds ``Retry-After``; ``cancelled`` says that the app
    went away.
    """

    attempts: tuple[str, ...] = ("served",)
    at: tuple[str, ...] = ()
    failover: str | None = None
    status: int = 200
    code: str = ""
    broken: bool = False
    sent: str = ""
    text: str | None = SAID
    requests: tuple[int, int] = (1, 0)
    wait: tuple[int, int] | None = None
    cancelled: bool = False


def served(text: str = SAID) -> Expect:
    """By the first target, which asks for nothing to be forgiven."""
    return Expect(text=text)


def second(kind: str, *, unseen: bool = False) -> Expect:
    """The first target fails in this way and the second answers; ``unseen`` says that no request
    reaches the first.
    """
    return Expect((kind, "served"), failover=kind, requests=(0 if unseen else 1, 1))


def left_out(why: str) -> Expect:
    """The plan does not even have the first target."""
    return Expect(at=(SECOND,), failover=why, requests=(0, 1))


def local(kind: str, then: str) -> Expect:
    """Both fail, and the local model answers."""
    return Expect((kind, then, "served"), failover=kind, text=None, requests=(1, 1))


def goes_on(kind: str, sent: str = "vendor answer", then: str = SAID) -> Expect:
    """The first target breaks off when the app has ``sent``, and the second goes on."""
    return Expect((kind, "served"), sent=sent, text=sent + then, requests=(1, 1))


def refused(status: int, code: str, *attempts: str, requests: tuple[int, int] = (1, 0)) -> Expect:
    """An error goes back."""
    return Expect(attempts, status=status, code=code, text="", requests=requests)


def broken(kind: str, sent: str = "vendor answer") -> Expect:
    """The stream ends in an error event behind what has been sent."""
    code = "stream_interrupted"
    return Expect((kind,), code=code, broken=True, sent=sent, text=sent)


@dataclass(frozen=True, slots=True)
class Step:
    """``times`` requests one after the other, or ``at_once``, each of which comes out as expected,
    ``pause`` seconds after the step before. ``leaves`` makes the app go away once it has something.
    """

    first: Does
    expect: Expect
    second: Does = Does("answer")
    times: int = 1
    at_once: bool = False
    pause: float = 0.0
    leaves: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A scenario: ``plain`` and ``stream`` are its steps in either mode, empty where it has none.
    ``via`` is the simulator behind the first target, ``vendor`` the vendor that its channel names,
    ``first`` more of its channel, ``model`` of the model's configuration, ``fields`` of the
    request. ``says`` is where the like of it was reported.
    """

    name: str
    plain: tuple[Step, ...] = ()
    stream: tuple[Step, ...] = ()
    chain: tuple[str, ...] = CHAIN
    via: str = "one"
    vendor: str = "openai"
    first: str = ""
    model: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    says: str = ""

    def steps(self, mode: Mode) -> tuple[Step, ...]:
        return self.plain if mode is Mode.PLAIN else self.stream

    @property
    def slug(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


def row(
    name: str,
    first: Does,
    both: Expect | None = None,
    *,
    plain: Expect | None = None,
    stream: Expect | None = None,
    then: Does = Does("answer"),
    **more: Any,
) -> Row:
    """A scenario of one request in each of the modes that something is expected of."""

    def steps(expect: Expect | None) -> tuple[Step, ...]:
        return () if expect is None else (Step(first, expect, then),)

    return Row(name, steps(plain or both), steps(stream or both), **more)


def course(name: str, *steps: Step, **more: Any) -> Row:
    """A scenario of several steps, which come out the same in both modes."""
    return Row(name, steps, steps, **more)


def does(name: str | int, **options: Any) -> Does:
    return Does(str(name), options)


def with_wait(expect: Expect, low: int, high: int) -> Expect:
    return replace(expect, wait=(low, high))
