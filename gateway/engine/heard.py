"""What the gateway asks by itself, through the same loop as any app, and what it hears.

Where only a route of its own leads to what is to be asked (one target, or the local ones), that
route is given; policy is asked of it as of any other.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import aclosing

import msgspec

from gateway.audit.journal import Journal
from gateway.audit.record import Record
from gateway.domain.call import Call
from gateway.domain.events import Called, Delta, Failed, Finished, FinishReason, Reasoned, Usage
from gateway.engine.attempt import Serving, Told
from gateway.engine.loop import Engine
from gateway.engine.routes import Route
from gateway.errors import GatewayError


class HeardCall(msgspec.Struct, frozen=True):
    """A function that was called; ``arguments`` is the JSON text as the model wrote it."""

    name: str
    arguments: str


class Heard(msgspec.Struct, frozen=True):
    """An answer, as far as it came: the first of its choices. ``served_by`` is a target's id;
    ``first`` and ``seconds`` are the seconds to the first content and to the end; ``failure`` says
    why it did not come to its end, ``code`` in a word.
    """

    text: str
    thoughts: str
    calls: tuple[HeardCall, ...]
    seconds: float
    first: float | None = None
    served_by: str | None = None
    reason: FinishReason | None = None
    usage: Usage | None = None
    failure: str | None = None
    code: str | None = None


class Listening:
    """Gathers an answer."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._text: list[str] = []
        self._thoughts: list[str] = []
        self._names: dict[int, str] = {}
        self._arguments: defaultdict[int, list[str]] = defaultdict(list)
        self._first: float | None = None
        self._served_by: str | None = None
        self._reason: FinishReason | None = None
        self._usage: Usage | None = None

    def take(self, told: Told) -> None:
        match told:
            case Serving(target=target):
                self._served_by = target.id
            case Delta(text=text, choice=0):
                self._content()
                self._text.append(text)
            case Reasoned(text=text, choice=0):
                self._content()
                self._thoughts.append(text)
            case Called(choice=0):
                self._content()
                self._names.setdefault(told.index, told.name or "")
                self._arguments[told.index].append(told.arguments)
            case Usage():
                self._usage = told
            case Finished(reasons=(reason, *_)):
                self._reason = reason

    def heard(self, failure: str | None = None, code: str | None = None) -> Heard:
        """What has come by now."""
        return Heard(
            text="".join(self._text),
            thoughts="".join(self._thoughts),
            calls=tuple(
                HeardCall(name, "".join(self._arguments[index]))
                for index, name in sorted(self._names.items())
            ),
            seconds=time.monotonic() - self._began,
            first=self._first,
            served_by=self._served_by,
            reason=self._reason,
            usage=self._usage,
            failure=failure,
            code=code,
        )

    def _content(self) -> None:
        if self._first is None:
            self._first = time.monotonic() - self._began


async def hear(
    engine: Engine,
    journal: Journal,
    call: Call,
    record: Record,
    route: Route | None = None,
    noted: Callable[[Heard], None] = lambda _: None,
) -> Heard:
    """Ask, and listen to the end. ``call`` is ``typed``, and ``record`` says in ``origin`` why the
    gateway asks; it is written as that of any request, once ``noted`` has been told what is heard
    and has put into it what is to be known of that. An answer that fails is heard, not raised.
    """
    record.model, record.stream = call.model, call.stream
    with journal.request(record, worded=False):
        heard = await _listen(engine, call, record, route)
        noted(heard)
        return heard


async def _listen(engine: Engine, call: Call, record: Record, route: Route | None) -> Heard:
    listening = Listening()
    try:
        async with aclosing(engine.run(call, record, route=route)) as batches:
            async for batch in batches:
                for told in batch:
                    if isinstance(told, Failed):
                        return listening.heard(told.message, told.kind)
                    listening.take(told)
    except GatewayError as error:
        record.failed(error)
        return listening.heard(error.message, record.outcome)
    return listening.heard()
