"""Messages between an app and a vendor of the same dialect: what is changed, and what is read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.domain.call import Api, Begun, Call, Chat
from gateway.domain.events import (
    Called,
    Delta,
    Event,
    Failed,
    FailureKind,
    Finished,
    FinishReason,
    Reasoned,
    Relayed,
    Started,
    Usage,
)
from gateway.domain.identity import Identity, Locality
from gateway.domain.target import Target
from gateway.upstream.stream import StreamRelay
from gateway.wire.anthropic_messages import parse
from gateway.wire.anthropic_relay import AnthropicSpeech, CountSpeech, MessageReader
from gateway.wire.relay import VendorError
from gateway.wire.sent import joined

SPEECH = AnthropicSpeech()
TARGET = Target(
    "anthropic",
    "claude-real",
    Identity("anthropic", "anthropic", "claude-real", (), Locality.CLOUD, ()),
)
HELLO = [{"role": "user", "content": "hello"}]
USAGE = {"input_tokens": 7, "cache_read_input_tokens": 2, "output_tokens": 1}


def call(**fields: Any) -> Call:
    body = json.dumps({"model": "asked", "max_tokens": 50, "messages": HELLO} | fields).encode()
    return Call("r", Api.MESSAGES, "asked", True, body, parse(body).chat, 0, 60)


def sent(call: Call) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(joined(SPEECH.request(call, TARGET)))
    return found


def test_only_the_model_of_a_request_is_changed() -> None:
    """Whatever else the app says, known here or not, is the vendor's."""
    asked = call(context_management={"edits": []}, system=[{"type": "text", "text": "a"}])
    expected = asked.body.replace(b'"asked"', b'"claude-real"')
    assert SPEECH.request(asked, TARGET) == expected


def test_thinking_of_other_targets_is_taken_out() -> None:
    """It has no signature: the vendor would refuse the conversation for it."""
    own = {"type": "thinking", "thinking": "b", "signature": "real"}
    unsigned = {"type": "thinking", "thinking": "a", "signature": ""}
    text = {"type": "text", "text": '"signature": ""'}
    asked = call(
        messages=[
            *HELLO,
            {"role": "assistant", "content": [unsigned, text]},
            {"role": "assistant", "content": [unsigned]},
            {"role": "user", "content": "and?"},
            {"role": "assistant", "content": [own, text]},
            *HELLO,
        ]
    )
    assert sent(asked)["messages"] == [
        *HELLO,
        {"role": "assistant", "content": [text]},
        {"role": "user", "content": "and?"},
        {"role": "assistant", "content": [own, text]},
        *HELLO,
    ]


def going_on(asked: Call, text: str) -> Call:
    """As the engine asks for the rest of an answer of which ``text`` is there."""
    chat = asked.task
    assert isinstance(chat, Chat)
    rest = replace(chat, prefill=chat.prefill + text, max_tokens=40)
    return replace(asked, asked=rest, begun=Begun(text, 10, 10))


def test_the_rest_of_an_answer_is_asked_for() -> None:
    """What there is of it is the assistant's turn, which ends in no blank; nobody thinks again."""
    asked = going_on(call(thinking={"type": "enabled", "budget_tokens": 2000}), "Paris is ")
    body = sent(asked)
    assert body["messages"] == [*HELLO, {"role": "assistant", "content": "Paris is"}]
    assert body["max_tokens"] == 40
    assert "thinking" not in body


def test_the_rest_of_an_answer_that_the_app_began() -> None:
    """Its own beginning and ours are one turn."""
    asked = call(messages=[*HELLO, {"role": "assistant", "content": "In France, "}])
    assert sent(going_on(asked, "Paris"))["messages"] == [
        *HELLO,
        {"role": "assistant", "content": "In France, Paris"},
    ]
    thought = going_on(call(), "")
    assert sent(thought)["messages"] == HELLO


def message(**fields: Any) -> bytes:
    return json.dumps(
        {
            "id": "msg_v",
            "type": "message",
            "role": "assistant",
            "model": "claude-real",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "Paris"},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
                {"type": "hologram", "x": 1},
            ],
            "stop_reason": "tool_use",
            "stop_sequence": None,
            "usage": USAGE,
        }
        | fields
    ).encode()


def test_a_whole_answer() -> None:
    """Its bytes but for the model, and what must be known of it."""
    answer = SPEECH.answer(message(), "asked", typed=False)
    assert answer.data == message(model="asked")
    assert (answer.model, answer.text, answer.pieces) == ("claude-real", "Paris", ())
    assert answer.usage == Usage(9, 1, 2)
    assert answer.reasons == (FinishReason.TOOL_CALLS,)


def test_what_a_whole_answer_says() -> None:
    """Where its bytes are not what the app gets."""
    answer = SPEECH.answer(message(), "asked", typed=True)
    assert answer.pieces == (
        Reasoned("hm"),
        Delta("Paris"),
        Called(0, '{"a": 1}', "t", "f"),
    )


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"<html>", b"\xff", b'{"type":"error","error":{"type":"x"}}', b"[" * 9999],
)
def test_what_is_no_answer(body: bytes) -> None:
    """Never delivered."""
    with pytest.raises(ValueError, match="is not a message"):
        SPEECH.answer(body, "asked", typed=False)
    with pytest.raises(ValueError, match="is not a count"):
        CountSpeech().answer(body, "asked", typed=False)


def test_a_count() -> None:
    """As it came."""
    answer = CountSpeech().answer(b'{"input_tokens": 12, "x": 1}', "asked", typed=False)
    assert (answer.data, answer.usage) == (b'{"input_tokens": 12, "x": 1}', Usage(12, 0))


ERRORS = [
    ("overloaded_error", "Overloaded", None),
    ("invalid_request_error", "prompt is too long: 9 tokens > 8", "context_length_exceeded"),
    ("invalid_request_error", "Your credit balance is too low to go on", "account_suspended"),
    ("invalid_request_error", "This organization has been disabled.", "organization_deactivated"),
    ("forbidden", "Request not allowed", "unsupported_country"),
]


@pytest.mark.parametrize(("kind", "said", "code"), ERRORS)
def test_errors(kind: str, said: str, code: str | None) -> None:
    """What others have codes for, this API says in words."""
    body = json.dumps({"type": "error", "error": {"type": kind, "message": said}}).encode()
    assert SPEECH.error(body) == VendorError(said, kind, code)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": 3}', b'{"error": null}'])
def test_what_is_no_error(body: bytes) -> None:
    """The status says all that there is to know."""
    assert SPEECH.error(body) == VendorError()


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def started(index: int, kind: str, **fields: Any) -> bytes:
    block = {"type": kind, **fields}
    return event("content_block_start", index=index, content_block=block)


def added(index: int, kind: str, **fields: Any) -> bytes:
    return event("content_block_delta", index=index, delta={"type": kind, **fields})


def stopped(index: int) -> bytes:
    return event("content_block_stop", index=index)


OPENING = event(
    "message_start",
    message={"id": "msg_v", "model": "claude-real", "content": [], "usage": USAGE},
)
PING = event("ping")
THINKING = (
    started(0, "thinking", thinking="", signature=""),
    PING,
    added(0, "thinking_delta", thinking="hm"),
    added(0, "signature_delta", signature="s"),
    stopped(0),
)
TEXT = (
    started(1, "text", text=""),
    added(1, "text_delta", text="Par"),
    PING,
    added(1, "text_delta", text="is"),
    stopped(1),
)
CALL = (
    started(2, "tool_use", id="t", name="f", input={}),
    added(2, "input_json_delta", partial_json='{"a"'),
    added(2, "input_json_delta", partial_json=": 1}"),
    stopped(2),
)
ENDING = (
    event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 9}),
    event("message_stop"),
)
STREAM = (OPENING, *THINKING, *TEXT, *CALL, *ENDING)


def relay(*, typed: bool = False) -> StreamRelay:
    return StreamRelay(
        MessageReader("asked", typed=typed),
        lambda model: "denied" if model == "evil" else None,
        lambda _: None,
        typed=typed,
    )


def fed(stream: StreamRelay, data: bytes, size: int) -> list[Event]:
    """The events of a body that comes in pieces of a size, and then ends."""
    events: list[Event] = []
    for at in range(0, len(data), size):
        if not stream.ended:
            events += stream.feed(data[at : at + size])
    return events if stream.ended else events + stream.end()


def relayed(events: list[Event]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, Relayed))


def data(stream: bytes) -> list[dict[str, Any]]:
    lines = stream.decode().split("\n")
    return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]


SIZES = [1, 7, 1000, 100_000]


@pytest.mark.parametrize("size", SIZES)
def test_a_stream_is_relayed_but_for_its_model(size: int) -> None:
    """All of it, in its order, whatever pieces it comes in."""
    events = fed(relay(), b"".join(STREAM), size)
    assert events[0] == Started("claude-real", None, "msg_v", None)
    assert events[-2:] == [Usage(9, 9, 2), Finished((FinishReason.TOOL_CALLS,))]
    passed = relayed(events)
    assert passed.count(b"event: ") == len(STREAM)
    told = data(passed)
    assert told[0]["message"]["model"] == "asked"
    told[0]["message"]["model"] = "claude-real"
    assert told == data(b"".join(STREAM))
    texts = [event for event in events if isinstance(event, Relayed)]
    assert "".join(event.text for event in texts) == "Paris"
    assert any(event.binding for event in texts)


@pytest.mark.parametrize("size", SIZES)
def test_what_a_stream_says(size: int) -> None:
    """Where its bytes are not what the app gets."""
    assert fed(relay(typed=True), b"".join(STREAM), size) == [
        Started("claude-real", None, "msg_v", None),
        Reasoned("hm"),
        Delta("Par"),
        Delta("is"),
        Called(0, "", "t", "f"),
        Called(0, '{"a"'),
        Called(0, ": 1}"),
        Usage(9, 9, 2),
        Finished((FinishReason.TOOL_CALLS,)),
    ]


BREAKS: list[tuple[tuple[bytes, ...], int, int | None, bool]] = [
    # what comes, how many events the app gets, the block that is open then, whether it is bound
    ((OPENING, *THINKING[:2]), 0, None, False),
    ((OPENING, *THINKING[:3]), 4, 0, False),
    ((OPENING, *THINKING), 5, 0, False),
    ((OPENING, *THINKING, TEXT[0], PING), 5, 0, False),
    ((OPENING, *THINKING, *TEXT[:2]), 8, 1, False),
    ((OPENING, *THINKING, *TEXT[:3]), 9, 1, False),
    ((OPENING, *THINKING, *TEXT), 10, 1, False),
    ((OPENING, *THINKING, *TEXT, *CALL[:1]), 12, 2, True),
    ((OPENING, *THINKING, *TEXT, started(2, "hologram")), 12, 2, True),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("parts", "passed", "block", "bound"), BREAKS)
def test_a_stream_that_breaks_off(
    parts: tuple[bytes, ...], passed: int, block: int | None, bound: bool, size: int
) -> None:
    """The app has the block open in which something was said last, and no more than that."""
    events = fed(relay(), b"".join(parts), size)
    last = events[-1]
    assert isinstance(last, Failed)
    assert last.kind is FailureKind.TRUNCATED
    assert relayed(events).count(b"event: ") == passed
    bits = [event for event in events if isinstance(event, Relayed)]
    assert (bits[-1].block if bits else None) == block
    assert any(bit.binding for bit in bits) == bound


def test_a_stream_that_lacks_its_terminator_only() -> None:
    """It is complete: the app gets a terminator, and the target is counted as failed."""
    events = fed(relay(), b"".join(STREAM[:-1]), 1000)
    assert data(relayed(events))[-1] == {"type": "message_stop"}
    last = events[-1]
    assert isinstance(last, Finished)
    assert last.flaw is not None
    assert last.flaw.kind is FailureKind.TRUNCATED


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        (
            (OPENING, event("error", error={"type": "overloaded_error", "message": "x"})),
            FailureKind.STREAM_ERROR,
        ),
        ((OPENING, b"data: {\n\n"), FailureKind.MALFORMED),
        ((OPENING, b'data: {"x": 1}\n\n'), FailureKind.MALFORMED),
        ((event("message_start"),), FailureKind.MALFORMED),
        ((event("message_stop"),), FailureKind.MALFORMED),
        ((OPENING, event("content_block_start", index=0)), FailureKind.MALFORMED),
        ((OPENING, b'data: {"type": "a\\nevent: error"}\n\n'), FailureKind.MALFORMED),
        ((OPENING.replace(b"claude-real", b"evil"),), FailureKind.ANSWERED_BY_DENIED),
        ((), FailureKind.MALFORMED),
    ],
)
def test_a_stream_that_is_none(parts: tuple[bytes, ...], kind: FailureKind) -> None:
    """Nothing of it reaches the app."""
    events = fed(relay(), b"".join(parts), 1000)
    last = events[-1]
    assert isinstance(last, Failed)
    assert last.kind is kind
    assert relayed(events) == b""


def test_what_a_new_version_sends_is_passed_on() -> None:
    """Events and deltas that nobody here knows."""
    parts = (
        OPENING,
        event("content_block_annotation", x=1),
        started(0, "text", text="Hi", extra=1),
        added(0, "sparkle_delta", x=1),
        stopped(0),
        *ENDING,
    )
    events = fed(relay(), b"".join(parts), 1000)
    assert relayed(events).count(b"event: ") == len(parts)
    assert "".join(event.text for event in events if isinstance(event, Relayed)) == "Hi"
