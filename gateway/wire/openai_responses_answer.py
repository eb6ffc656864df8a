"""The Responses API of the OpenAI dialect: from events to an answer's bytes, where the target does
not have that API itself.

Sources: as for ``gateway.wire.openai_responses_output``. A stream is ``response.created`` and
``response.in_progress``; for each item of the output what its class says; and one last event with
the whole response. There is no ``[DONE]``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from gateway.domain.events import (
    Called,
    Continued,
    Delta,
    Finished,
    FinishReason,
    Piece,
    Reasoned,
    Usage,
)
from gateway.errors import GatewayError
from gateway.wire.openai_responses_errors import named
from gateway.wire.openai_responses_output import (
    CallItem,
    Event,
    Item,
    MessageItem,
    Progress,
    ReasoningItem,
)
from gateway.wire.openai_responses_relayed import RelayedResponse
from gateway.wire.writer import Writer

_REASONS: Mapping[FinishReason, str] = {
    FinishReason.LENGTH: "max_output_tokens",
    FinishReason.CONTENT_FILTER: "content_filter",
}
"""Why a response is not complete."""
_PADDED = 64
"""Bytes, of which the lengths of deltas differ by multiples, where they are to tell nothing."""


class ResponsesWriter(Writer):
    """``given`` is what a response repeats of its request; ``padded`` says that deltas are to be
    obfuscated; ``clock`` tells seconds since 1970.
    """

    def __init__(
        self,
        progress: Progress,
        given: Mapping[str, Any],
        *,
        clock: Callable[[], float],
        padded: bool = False,
    ) -> None:
        self.progress = progress
        self.response = b""
        """The response as it was in the end, once that is there."""
        self._given = given
        self._clock = clock
        self._padded = padded
        self._usage: Usage | None = None
        self._relayed = RelayedResponse(
            progress, previous=given["previous_response_id"], kept=given["store"]
        )

    def piece(self, piece: Piece) -> bytes:
        return self._begun() + b"".join(map(self._event, self._events(piece)))

    def keep(self, piece: Piece) -> None:
        for _ in self._events(piece):
            pass

    def count(self, usage: Usage) -> None:
        self._usage = usage

    def resume(self, continued: Continued) -> None:
        """Whoever has told the beginning has noted it in ``progress``."""

    def end(self, finished: Finished) -> bytes:
        begun = self._begun()
        events = b"".join(map(self._event, self._ending(finished)))
        status = self._settle(finished)
        return begun + events + self._stand(f"response.{status}", self.response)

    def whole(self, finished: Finished) -> bytes:
        for _ in self._ending(finished):
            pass
        self._settle(finished)
        return self.response

    def relay(self, data: bytes) -> bytes:
        return self._relayed.stream(data)

    def relayed_end(self, finished: Finished) -> bytes:
        self.response = self._relayed.response
        return self._relayed.last

    def relayed_whole(self, data: bytes) -> bytes:
        self.response = self._relayed.whole(data)
        return self.response

    def broken(self, error: GatewayError) -> bytes:
        """The error, and the response as far as it came."""
        begun = self._begun()
        told = {"code": error.code, "message": error.message, "param": named(error.param)}
        reason = {"code": "server_error", "message": error.message}
        failed = self._written("failed", error=reason)
        return (
            begun
            + self._event({"type": "error", **told})
            + self._stand("response.failed", msgspec.json.encode(failed))
        )

    def _begun(self) -> bytes:
        """The first events of a stream, where they have not been sent."""
        if self.progress.begun:
            return b""
        self.progress.begun = True
        response = msgspec.json.encode(self._written("in_progress"))
        created = self._stand("response.created", response)
        return created + self._stand("response.in_progress", response)

    def _events(self, piece: Piece) -> Iterator[Event]:
        item = self.progress.open
        match piece:
            case Delta(text=text, scores=scores):
                if not isinstance(item, MessageItem):
                    item = MessageItem(self.progress.next_id("msg"), self.progress.next)
                    yield from self._open(item)
                yield item.say(text, scores)
            case Reasoned(text=text):
                if not isinstance(item, ReasoningItem):
                    item = ReasoningItem(self.progress.next_id("rs"), self.progress.next)
                    yield from self._open(item)
                yield item.think(text)
            case Called():
                yield from self._called(piece)

    def _called(self, piece: Called) -> Iterator[Event]:
        progress, item = self.progress, self.progress.open
        if piece.name is not None:
            call = piece.id or progress.next_id("call")
            id, place = progress.next_id("fc"), progress.next
            item = CallItem(id, place, piece.index, call, piece.name)
            yield from self._open(item)
        if not isinstance(item, CallItem) or item.number != piece.index:
            raise ValueError("a call goes on that has ended")
        if piece.arguments:
            yield item.argue(piece.arguments)

    def _open(self, item: Item) -> Iterator[Event]:
        yield from self._close("completed")
        self.progress.open = item
        yield from item.begin()

    def _close(self, status: str) -> Iterator[Event]:
        item = self.progress.open
        if item is not None:
            yield from item.finish(status)
            self.progress.output.append(item.written(status))
            self.progress.open = None

    def _ending(self, finished: Finished) -> Iterator[Event]:
        if not self.progress.output and self.progress.open is None:
            # An answer of no words is a message all the same: apps look for one.
            yield from self._open(MessageItem(self.progress.next_id("msg"), 0))
        yield from self._close("completed" if _reason(finished) is None else "incomplete")

    def _settle(self, finished: Finished) -> str:
        """The response as it is in the end; its status."""
        reason = _reason(finished)
        status = "completed" if reason is None else "incomplete"
        details = None if reason is None else {"reason": reason}
        written = self._written(status, incomplete_details=details)
        if reason is None:
            written["completed_at"] = int(self._clock())
        self.response = msgspec.json.encode(written)
        return status

    def _written(self, status: str, **further: Any) -> dict[str, Any]:
        progress = self.progress
        output = list(progress.output)
        if progress.open is not None:
            output.append(progress.open.written("incomplete"))
        return {
            "id": progress.id,
            "object": "response",
            "created_at": progress.created,
            "status": status,
            "background": False,
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            "output": output,
            **self._given,
            "usage": None if self._usage is None else _usage(self._usage),
            **further,
        }

    def _stand(self, type: str, response: bytes) -> bytes:
        """An event that tells the whole response."""
        return self._event({"type": type, "response": msgspec.Raw(response)})

    def _event(self, event: Event) -> bytes:
        type = event["type"]
        numbered = {"type": type, "sequence_number": self.progress.sequence, **event}
        self.progress.sequence += 1
        data = msgspec.json.encode(numbered)
        if self._padded and type.endswith(".delta"):
            padding = "-" * (-len(data) % _PADDED)
            data = msgspec.json.encode({**numbered, "obfuscation": padding})
        return b"event: %b\ndata: %b\n\n" % (type.encode(), data)


class InputTokensWriter(Writer):
    """How many tokens an input has."""

    def __init__(self) -> None:
        self._tokens = 0

    def count(self, usage: Usage) -> None:
        self._tokens = usage.prompt

    def whole(self, finished: Finished) -> bytes:
        return msgspec.json.encode(
            {"object": "response.input_tokens", "input_tokens": self._tokens}
        )


def _reason(finished: Finished) -> str | None:
    return _REASONS.get(finished.reasons[0]) if finished.reasons else None


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.stored,
        },
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total,
    }
