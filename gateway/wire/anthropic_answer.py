"""The Anthropic dialect: from events to an answer's bytes, where the target does not speak the
dialect itself.

Sources: the typed models of the official SDK (``RawMessageStreamEvent``, ``Message``) and the
published page on streaming. A stream is ``message_start``; for each content block a start, deltas
and a stop; ``message_delta`` with the reason and the usage; ``message_stop``. A ``ping`` stands
where that vendor puts one. Thinking has the signature ``""``: ``anthropic_relay`` takes such blocks
out again before that vendor, which would refuse them, sees them. Where an app does not want to see
thoughts, it is told all the same, as by that vendor, that there were some.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
from gateway.wire.writer import Writer

_REASONS: Mapping[FinishReason, str] = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CONTENT_FILTER: "refusal",
}
_PING = b'event: ping\ndata: {"type":"ping"}\n\n'
_NOTHING_TO_SAY: Mapping[str, None] = {
    "cache_creation": None,
    "inference_geo": None,
    "server_tool_use": None,
    "service_tier": None,
}
"""What the published document of the API requires of a message's usage."""
_SIGNATURE = {"type": "signature_delta", "signature": ""}


@dataclass(slots=True)
class _Block:
    """A content block of an answer that is not streamed, as it grows."""

    type: str
    call: Called | None = None
    text: list[str] = field(default_factory=list)

    def written(self) -> dict[str, Any]:
        text = "".join(self.text)
        match self.type:
            case "text":
                return {"type": "text", "text": text, "citations": None}
            case "thinking":
                return {"type": "thinking", "thinking": text, "signature": ""}
            case _:
                return {**_call(self.call), "input": _input(text)}


class MessageWriter(Writer):
    """``id`` is the message's id, ``model`` what the app asked for; ``discreet`` leaves out what
    thoughts say.
    """

    def __init__(self, *, id: str, model: str, discreet: bool = False) -> None:
        self._id = id
        self._model = model
        self._discreet = discreet
        self._usage = Usage(0, 0)
        self._begun = False
        self._open: str | None = None
        self._blocks = 0
        self._calls: dict[int, int] = {}
        self._kept: list[_Block] = []

    def piece(self, piece: Piece) -> bytes:
        """The events of a stream that carry a piece."""
        match piece:
            case Delta(text=text):
                into = self._into("text", {"type": "text", "text": ""})
                return into + self._delta({"type": "text_delta", "text": text})
            case Reasoned(text=text):
                into = self._into("thinking", {"type": "thinking", "thinking": "", "signature": ""})
                if self._discreet:
                    return into
                return into + self._delta({"type": "thinking_delta", "thinking": text})
            case Called():
                return self._called(piece)

    def keep(self, piece: Piece) -> None:
        """Collect a piece for an answer that is not streamed."""
        match piece:
            case Delta(text=text):
                self._last("text").text.append(text)
            case Reasoned(text=text):
                self._last("thinking").text.append("" if self._discreet else text)
            case Called(name=None, arguments=arguments):
                self._kept[self._calls[piece.index]].text.append(arguments)
            case Called():
                self._calls[piece.index] = len(self._kept)
                self._kept.append(_Block("tool_use", piece, [piece.arguments]))

    def count(self, usage: Usage) -> None:
        self._usage = usage

    def resume(self, continued: Continued) -> None:
        """Go on with a stream that the app has the beginning of, in another target's bytes or in
        ours: within the block that is open.
        """
        if not self._begun and continued.block is not None:
            self._blocks = continued.block + 1
            self._open = "text" if continued.said else "thinking"
        self._begun = True

    def end(self, finished: Finished) -> bytes:
        """The last events of a stream."""
        begin = b"" if self._begun else self._begin()
        delta = {
            "type": "message_delta",
            "delta": self._ending(finished),
            "usage": _usage(self._usage),
        }
        return begin + self._close() + _event(delta) + _event({"type": "message_stop"})

    def whole(self, finished: Finished) -> bytes:
        """The body of an answer that is not streamed."""
        content = [block.written() for block in self._kept]
        message = {**self._message(content), **self._ending(finished)}
        return msgspec.json.encode(message)

    def _called(self, piece: Called) -> bytes:
        into = b""
        if piece.name is not None:
            into = self._enter("tool_use", {**_call(piece), "input": {}})
            self._calls[piece.index] = self._blocks - 1
        if not piece.arguments:
            return into
        delta = {"type": "input_json_delta", "partial_json": piece.arguments}
        return into + self._delta(delta, self._calls[piece.index])

    def _into(self, kind: str, block: dict[str, Any]) -> bytes:
        """What stands before a delta of such a block: nothing within one that is open."""
        return b"" if self._open == kind else self._enter(kind, block)

    def _enter(self, kind: str, block: dict[str, Any]) -> bytes:
        before = self._close() if self._begun else self._begin()
        start = {"type": "content_block_start", "index": self._blocks, "content_block": block}
        ping = _PING if self._blocks == 0 else b""
        self._open = kind
        self._blocks += 1
        return before + _event(start) + ping

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        sign = self._delta(_SIGNATURE) if self._open == "thinking" else b""
        self._open = None
        return sign + _event({"type": "content_block_stop", "index": self._blocks - 1})

    def _begin(self) -> bytes:
        self._begun = True
        message = {**self._message([]), "stop_reason": None, "stop_sequence": None}
        return _event({"type": "message_start", "message": message})

    def _delta(self, delta: dict[str, Any], index: int | None = None) -> bytes:
        index = self._blocks - 1 if index is None else index
        return _event({"type": "content_block_delta", "index": index, "delta": delta})

    def _last(self, kind: str) -> _Block:
        if not self._kept or self._kept[-1].type != kind:
            self._kept.append(_Block(kind))
        return self._kept[-1]

    def _message(self, content: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": content,
            "usage": {**_usage(self._usage), **_NOTHING_TO_SAY},
            "stop_details": None,
            "container": None,
        }

    def _ending(self, finished: Finished) -> dict[str, Any]:
        """A call is what the turn ends for, also where it was the one that had to be made."""
        reason = finished.reasons[0] if finished.reasons else FinishReason.STOP
        stop = finished.stop if reason is FinishReason.STOP else None
        word = "stop_sequence" if stop is not None else _REASONS[reason]
        if self._calls and reason is FinishReason.STOP:
            word = "tool_use"
        return {"stop_reason": word, "stop_sequence": stop}


class CountWriter(MessageWriter):
    """Where nothing but the number of the prompt's tokens is asked for."""

    def whole(self, finished: Finished) -> bytes:
        return msgspec.json.encode({"input_tokens": self._usage.prompt})


def _call(call: Called | None) -> dict[str, Any]:
    told = {"id": call and call.id, "name": call and call.name}
    return {"type": "tool_use", **told, "caller": {"type": "direct"}}


def _input(arguments: str) -> msgspec.Raw:
    """A call's arguments, as they were written. Of those that were cut off, no object comes: the
    API has no other place for them.
    """
    try:
        if isinstance(msgspec.json.decode(arguments), dict):
            return msgspec.Raw(arguments.encode())
    except (msgspec.DecodeError, RecursionError):
        pass
    return msgspec.Raw(b"{}")


def _usage(usage: Usage) -> dict[str, Any]:
    """Tokens that were read from a cache, or written to one, are not among the ``input_tokens``."""
    return {
        "input_tokens": max(0, usage.prompt - usage.cached - usage.stored),
        "cache_creation_input_tokens": usage.stored,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.completion,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
    }


def _event(data: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (data["type"].encode(), msgspec.json.encode(data))
