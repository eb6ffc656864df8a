"""Messages of the Anthropic dialect: what is written of an answer, as the official SDK reads it in
strict mode.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

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
from gateway.domain.target import Capability
from gateway.errors import (
    BodyTooLarge,
    CapabilityMissing,
    GatewayError,
    InternalFault,
    InvalidRequest,
    ModelNotFound,
    PolicyDenied,
    Unavailable,
    VendorFault,
)
from gateway.wire import anthropic_errors
from gateway.wire.anthropic_answer import CountWriter, MessageWriter

EVENTS: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)
STOP = Finished((FinishReason.STOP,))
CALLS = Finished((FinishReason.TOOL_CALLS,))
PIECES: tuple[Piece, ...] = (
    Reasoned("hm"),
    Reasoned(", well"),
    Delta("I "),
    Delta("look."),
    Called(0, id="call_1", name="f"),
    Called(0, '{"a": '),
    Called(0, "1}"),
    Called(1, "{}", id="call_2", name="g"),
)
DIRECT = {"caller": {"type": "direct"}}
CONTENT: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "hm, well", "signature": ""},
    {"type": "text", "text": "I look.", "citations": None},
    {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}, **DIRECT},
    {"type": "tool_use", "id": "call_2", "name": "g", "input": {}, **DIRECT},
]


def writer() -> MessageWriter:
    return MessageWriter(id="msg_1", model="claude")


def names(stream: bytes) -> list[str]:
    """The events' names, each the one that its data has too."""
    found = []
    for event in stream.decode().removesuffix("\n\n").split("\n\n"):
        name, data = event.split("\n")
        assert name == f"event: {json.loads(data.removeprefix('data: '))['type']}"
        found.append(name.removeprefix("event: "))
    return found


def events(stream: bytes) -> list[RawMessageStreamEvent]:
    """As the SDK's types have them; pings are none of those."""
    lines = [line for line in stream.split(b"\n") if line.startswith(b"data: ")]
    data = [line.removeprefix(b"data: ") for line in lines]
    return [
        EVENTS.validate_json(one, strict=True) for one in data if json.loads(one)["type"] != "ping"
    ]


def streamed(written: MessageWriter, pieces: Iterable[Piece], finished: Finished) -> bytes:
    return b"".join(map(written.piece, pieces)) + written.end(finished)


def whole(written: MessageWriter, pieces: Iterable[Piece], finished: Finished) -> Message:
    for piece in pieces:
        written.keep(piece)
    return Message.model_validate_json(written.whole(finished), strict=True)


def test_a_text_is_written_in_the_published_order() -> None:
    """One start, one block, one stop, the reason and the usage, the end."""
    written = writer()
    stream = written.piece(Delta("Par")) + written.piece(Delta("is"))
    written.count(Usage(10, 2, 4))
    stream += written.end(STOP)
    assert names(stream) == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    read = events(stream)
    assert read[0].type == "message_start"
    assert (read[0].message.id, read[0].message.model) == ("msg_1", "claude")
    assert read[0].message.content == []
    assert read[0].message.stop_reason is None
    assert read[-2].type == "message_delta"
    assert read[-2].delta.stop_reason == "end_turn"
    usage = read[-2].usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (6, 4, 2)


def test_each_kind_of_content_is_a_block_of_its_own() -> None:
    """Thinking is signed with nothing, a call's arguments come as they are written."""
    stream = streamed(writer(), PIECES, CALLS)
    assert names(stream) == [
        "message_start",
        *("content_block_start", "ping", *["content_block_delta"] * 3, "content_block_stop"),
        *("content_block_start", *["content_block_delta"] * 2, "content_block_stop"),
        *("content_block_start", *["content_block_delta"] * 2, "content_block_stop"),
        *("content_block_start", "content_block_delta", "content_block_stop"),
        *("message_delta", "message_stop"),
    ]
    read = events(stream)
    starts = [event for event in read if event.type == "content_block_start"]
    assert [event.index for event in starts] == [0, 1, 2, 3]
    assert [event.content_block.type for event in starts] == [one["type"] for one in CONTENT]
    deltas = [event for event in read if event.type == "content_block_delta"]
    assert [event.index for event in deltas] == [0, 0, 0, 1, 1, 2, 2, 3]
    assert deltas[2].delta.type == "signature_delta"
    ending = read[-2]
    assert ending.type == "message_delta"
    assert ending.delta.stop_reason == "tool_use"


def test_pieces_of_a_call_that_is_not_the_last_go_to_its_block() -> None:
    """Some vendors write two calls at once."""
    pieces = (*PIECES[4:5], Called(1, "{}", id="call_2", name="g"), Called(0, "{}"))
    read = events(streamed(writer(), pieces, CALLS))
    assert [event.index for event in read if event.type == "content_block_delta"] == [1, 0]


def test_a_whole_message() -> None:
    """The same content as in a stream."""
    written = writer()
    written.count(Usage(10, 2, 4))
    message = whole(written, PIECES, CALLS)
    assert message.model_dump(exclude_unset=True)["content"] == CONTENT
    assert (message.id, message.model, message.role) == ("msg_1", "claude", "assistant")
    assert (message.stop_reason, message.stop_sequence) == ("tool_use", None)
    assert (message.usage.input_tokens, message.usage.output_tokens) == (6, 2)


def test_what_is_required_of_every_message() -> None:
    """By the published document, in which hardly anything may be left out; the SDK's types allow
    more.
    """
    message = whole(writer(), PIECES, CALLS)
    (started, *_) = events(streamed(writer(), PIECES, CALLS))
    assert started.type == "message_start"
    for told in (message, started.message):
        assert {
            "container",
            "stop_details",
            "stop_reason",
            "stop_sequence",
        } <= told.model_fields_set
        usage = {"cache_creation", "inference_geo", "server_tool_use", "service_tier"}
        assert usage <= told.usage.model_fields_set


REASONS = [
    (Finished(), "end_turn", None),
    (Finished((FinishReason.STOP,)), "end_turn", None),
    (Finished((FinishReason.STOP,), stop="END"), "stop_sequence", "END"),
    (Finished((FinishReason.LENGTH,)), "max_tokens", None),
    (Finished((FinishReason.CONTENT_FILTER,)), "refusal", None),
]


@pytest.mark.parametrize(("finished", "reason", "stop"), REASONS)
def test_why_it_ended(finished: Finished, reason: str, stop: str | None) -> None:
    """In the dialect's words, streamed and not."""
    message = whole(writer(), [Delta("x")], finished)
    assert (message.stop_reason, message.stop_sequence) == (reason, stop)
    last = events(streamed(writer(), [Delta("x")], finished))[-2]
    assert last.type == "message_delta"
    assert (last.delta.stop_reason, last.delta.stop_sequence) == (reason, stop)


def test_a_call_that_had_to_be_made_is_what_the_turn_ends_for() -> None:
    """Where a function was named, other dialects say ``stop``."""
    assert whole(writer(), PIECES, STOP).stop_reason == "tool_use"
    assert whole(writer(), PIECES, Finished((FinishReason.LENGTH,))).stop_reason == "max_tokens"


@pytest.mark.parametrize("arguments", ["", '{"a": ', "[1]", "{} x", "[" * 100_000])
def test_arguments_that_are_no_object(arguments: str) -> None:
    """The message stays what the SDK can read."""
    message = whole(writer(), [Called(0, arguments, id="c", name="f")], CALLS)
    assert message.content[0].type == "tool_use"
    assert message.content[0].input == {}


def test_an_answer_without_a_word() -> None:
    """No content, which is what that vendor sends then; an empty text could not be sent back."""
    assert names(streamed(writer(), [], STOP)) == ["message_start", "message_delta", "message_stop"]
    assert whole(writer(), [], STOP).content == []


def test_an_answer_that_another_target_began() -> None:
    """In the block that the app has open; thinking is over where the text begins."""
    said = writer()
    said.resume(Continued("msg_x", block=1))
    stream = streamed(said, [Delta("is")], STOP)
    assert names(stream) == [
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert [event.index for event in events(stream)[:2] if hasattr(event, "index")] == [1, 1]
    thought = writer()
    thought.resume(Continued("msg_x", block=0, said=False))
    stream = streamed(thought, [Delta("Par")], STOP)
    assert names(stream) == [
        *("content_block_delta", "content_block_stop"),
        *("content_block_start", "content_block_delta", "content_block_stop"),
        *("message_delta", "message_stop"),
    ]
    assert [event.index for event in events(stream)[:5] if hasattr(event, "index")] == [
        *(0, 0),
        *(1, 1, 1),
    ]


def test_an_answer_that_we_began_ourselves_goes_on_as_it_was() -> None:
    """Nothing of it depends on which of our targets it came from."""
    written = writer()
    stream = written.piece(Delta("Par"))
    written.resume(Continued())
    stream += written.piece(Delta("is")) + written.end(STOP)
    assert stream == streamed(writer(), [Delta("Par"), Delta("is")], STOP)


def test_a_count() -> None:
    """Nothing but the number."""
    written = CountWriter(id="x", model="m")
    written.count(Usage(12, 0))
    assert json.loads(written.whole(Finished())) == {"input_tokens": 12}


ERRORS = [
    (PolicyDenied("no"), 451, "permission_error"),
    (Unavailable("no", retry_after=1), 529, "overloaded_error"),
    (Unavailable("no", code="queue_full"), 529, "overloaded_error"),
    (ModelNotFound("no"), 404, "not_found_error"),
    (InvalidRequest("no"), 400, "invalid_request_error"),
    (CapabilityMissing("no"), 400, "invalid_request_error"),
    (BodyTooLarge("no"), 413, "request_too_large"),
    (VendorFault("no", status=422), 422, "invalid_request_error"),
    (VendorFault("no", status=404), 404, "not_found_error"),
    (InternalFault("no"), 500, "api_error"),
]


@pytest.mark.parametrize(("error", "status", "kind"), ERRORS)
def test_errors(error: GatewayError, status: int, kind: str) -> None:
    """The status that the SDK's exceptions go by, and the dialect's type."""
    assert anthropic_errors.status(error) == status
    expected = {
        "type": "error",
        "error": {"type": kind, "message": "no"},
        "request_id": "r",
    }
    assert json.loads(anthropic_errors.envelope(error, "r")) == expected
    event = anthropic_errors.event(error, "r").decode()
    assert event.startswith("event: error\ndata: {")
    assert event.endswith("}\n\n")


def test_a_thread_that_is_not_here() -> None:
    """The SDKs' tool runners send all of it again."""
    error = CapabilityMissing("no", param=Capability.THREADS.value)
    told = json.loads(anthropic_errors.envelope(error, "r"))["error"]
    assert told["details"] == {"error_code": "thread_not_found"}


def test_thoughts_that_are_not_to_be_told() -> None:
    """That there were some is told, as by the vendor, and not what they say."""
    streamed = MessageWriter(id="msg_1", model="claude", discreet=True)
    stream = b"".join(map(streamed.piece, PIECES)) + streamed.end(CALLS)
    assert b"thinking_delta" not in stream
    assert names(stream)[:4] == [
        *("message_start", "content_block_start", "ping", "content_block_delta")
    ]
    assert b"signature_delta" in stream
    kept = MessageWriter(id="msg_1", model="claude", discreet=True)
    for piece in PIECES:
        kept.keep(piece)
    content = json.loads(kept.whole(CALLS))["content"]
    assert content == [CONTENT[0] | {"thinking": ""}, *CONTENT[1:]]
