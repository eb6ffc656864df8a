"""What a vendor says, in some dialect, and the ways of saying something wrong that all have."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from email.utils import formatdate
from typing import Any

from tests.simulators.delivery import JSON, WAYS, Answer, Delivery, Options, whole

ACCENTED = ("le café", " crème", " brûlée", " déjà")
"""Words with characters of several bytes."""


class Speech(ABC):
    """The answer to one request; ``options`` are those of the behaviour."""

    def __init__(self, request: dict[str, Any], options: Options) -> None:
        self.request = request
        self.options = options
        self.streamed = bool(request.get("stream"))

    @abstractmethod
    def answer(self) -> Answer:
        """A good answer, in its parts."""

    @abstractmethod
    def error(self) -> bytes:
        """An error within an answer of status 200: an event of a stream, or a whole body."""

    @abstractmethod
    def broken(self) -> bytes:
        """JSON that breaks off, in an event of a stream or as a whole body."""

    @abstractmethod
    def refusal(self, status: int) -> bytes:
        """The body of an answer with that status."""

    @abstractmethod
    def own(self, behaviour: str) -> Delivery:
        """A behaviour that only this dialect has."""

    def delivery(self, behaviour: str) -> Delivery:
        if behaviour.endswith("_character") or behaviour == "split_characters":
            self.options = {"words": ACCENTED, **self.options}
        if behaviour in WAYS:
            return WAYS[behaviour](self.answer(), self.options)
        if behaviour in CONTENTS:
            return CONTENTS[behaviour](self)
        return self.own(behaviour)

    def only(self, body: bytes) -> Delivery:
        """A plain answer with this body."""
        return Delivery((body,), len(body), JSON)

    def begun(self) -> tuple[bytes, ...]:
        """A stream's opening and ``after`` pieces of its content."""
        return self.answer().before("content", self.options.get("after", 2))


def _error_event(speech: Speech) -> Delivery:
    """An error ``after`` pieces of content, and the body's end."""
    if not speech.streamed:
        return speech.only(speech.error())
    good = whole(speech.answer(), speech.options)
    return replace(good, pieces=(*speech.begun(), speech.error()))


def _broken_json(speech: Speech) -> Delivery:
    """Broken JSON after the first piece of content, and the body's end."""
    if not speech.streamed:
        return speech.only(speech.broken())
    answer = speech.answer()
    pieces = (*answer.before("content", 1), speech.broken())
    return replace(whole(answer, speech.options), pieces=pieces)


def _broken_event(speech: Speech) -> Delivery:
    """One event of broken JSON ``after`` pieces of content, in a stream that goes on."""
    if not speech.streamed:
        return speech.only(speech.broken())
    answer, before = speech.answer(), speech.begun()
    pieces = (*before, speech.broken(), *answer.pieces[len(before) :])
    return replace(whole(answer, speech.options), pieces=pieces)


CONTENTS: Mapping[str, Callable[[Speech], Delivery]] = {
    "error_event": _error_event,
    "broken_json": _broken_json,
    "broken_event": _broken_event,
}


def retry_after(options: Options) -> tuple[str, ...]:
    """The header lines by which a vendor says when to come again."""
    lines = []
    if "retry_after" in options:
        lines.append(f"retry-after: {options['retry_after']}")
    if "retry_after_in" in options:
        when = formatdate(time.time() + options["retry_after_in"], usegmt=True)
        lines.append(f"retry-after: {when}")
    if "retry_after_ms" in options:
        lines.append(f"retry-after-ms: {options['retry_after_ms']}")
    return tuple(lines)
