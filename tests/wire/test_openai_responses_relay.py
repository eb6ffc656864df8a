"""Responses between an app and a vendor that has that API: what is changed, and what is read."""

from __future__ import annotations

import json
from typing import Any

import pytest

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
from gateway.wire.openai_responses_asked import ENCRYPTED
from gateway.wire.openai_responses_relay import ResponsesSpeech
from gateway.wire.relay import AnswerFailed
from tests.simulators.openai_responses_speech import ResponsesSpeech as Vendor

SPEECH = ResponsesSpeech()
USAGE = Usage(7, 4, cached=2, reasoning=3, stored=1)


def target(model: str = "gpt-4o") -> Target:
    return Target("openai", model, Identity("openai", "openai", model, (), Locality.CLOUD, ()))


def call(begun: Begun | None = None, chat: Chat | None = None, **fields: Any) -> Call:
    body = json.dumps({"model": "asked", "input": "hello"} | fields).encode()
    task = chat or Chat(messages=())
    return Call("r", Api.RESPONSES, "asked", True, body, task, 0, 60, begun=begun)


def sent(call: Call, model: str = "gpt-4o") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(SPEECH.request(call, target(model)))
    return found


def events(
    cut: int | None = None, *, typed: bool = False, way: str = "answer", **said: Any
) -> list[Event]:
    """What a vendor's stream is told as; of its first ``cut`` events where one is given."""
    vendor = Vendor({"stream": True, "include": [ENCRYPTED]}, said)
    pieces = list(vendor.delivery(way).pieces)
    relay = StreamRelay(
        SPEECH.reader("asked", typed=typed), lambda _: None, lambda _: None, typed=typed
    )
    told: list[Event] = []
    for piece in pieces if cut is None else pieces[:cut]:
        told += relay.feed(piece)
    return told if relay.ended else told + relay.end()


def relayed(told: list[Event]) -> bytes:
    return b"".join(event.data for event in told if isinstance(event, Relayed))


def decoded(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(block.partition(b"data: ")[2]) for block in data.split(b"\n\n") if block]


def test_the_vendor_keeps_nothing() -> None:
    """Of what the app said only the model, and what is to be kept, are changed."""
    asked: dict[str, Any] = {
        "input": "hi",
        "tools": [{"type": "web_search"}],
        "later": {"model": 1},
    }
    written: list[dict[str, Any]] = [{}, {"store": True}, {"store": None}]
    for store in written:
        assert sent(call(**(asked | store))) == {**asked, "model": "gpt-4o", "store": False}
    other: dict[str, Any] = {"Store": True}
    assert "Store" not in sent(call(**other))


@pytest.mark.parametrize(
    ("model", "fields", "included"),
    [
        ("gpt-5.2", {}, [ENCRYPTED]),
        ("o3", {"include": ["web_search_call.results"]}, ["web_search_call.results", ENCRYPTED]),
        ("o3", {"include": [ENCRYPTED]}, [ENCRYPTED]),
        ("deployed", {"reasoning": {"effort": "low"}}, [ENCRYPTED]),
        ("deployed", {"reasoning": None}, None),
        ("gpt-5", {"store": False}, None),
        ("gpt-5-chat-latest", {}, None),
        ("gpt-4o", {}, None),
    ],
)
def test_reasoning_is_asked_for_where_it_is_to_be_carried_on(
    model: str, fields: dict[str, Any], included: list[str] | None
) -> None:
    """And there is any: other models refuse to be asked for it."""
    assert sent(call(**fields), model).get("include") == included


def test_what_refers_to_what_a_vendor_would_have_kept_is_taken_out() -> None:
    """Reasoning goes on with its content; everything else is complete without its id."""
    own = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "Zm9v"}
    said = {"type": "message", "role": "assistant", "content": [], "id": "msg_1"}
    called = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": ""}
    answered = {"type": "function_call_output", "id": "fo_1", "call_id": "c", "output": "id"}
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    easy = {"role": "user", "content": "and?", "id": "msg_2"}
    mcp = {"type": "mcp_call", "id": "mcp_1", "name": "f"}
    bare = {"type": "reasoning", "id": "rs_2", "summary": []}
    empty = {**bare, "encrypted_content": None}
    items: list[dict[str, Any]] = [bare, own, said, called, answered, search, empty, easy, mcp]
    nameless = [{k: v for k, v in item.items() if k != "id"} for item in items]
    assert sent(call(input=items))["input"] == [own, *nameless[2:6], nameless[7], mcp]


def test_servers_of_ones_own_get_items_as_they_are() -> None:
    """They look nothing up, and demand ids; nor can they encrypt what they thought."""
    items = [
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": []},
        {"type": "message", "role": "assistant", "content": [], "id": "msg_1"},
    ]
    identity = Identity("self", "openai", "gpt-oss-20b", (), Locality.SOVEREIGN, ())
    asked = call(input=items, reasoning={"effort": "low"})
    found = json.loads(SPEECH.request(asked, Target("lab", "gpt-oss-20b", identity)))
    assert (found["input"], found["store"]) == (items, False)
    assert "include" not in found


def test_an_input_that_refers_to_nothing_is_sent_as_it_is() -> None:
    """To the byte: numbers keep their digits."""
    body = b'{"model":"asked","input":[{"role":"user",  "content":"1", "n":1.10}]}'
    asked = Call("r", Api.RESPONSES, "asked", True, body, Chat(messages=()), 0, 60)
    assert b'[{"role":"user",  "content":"1", "n":1.10}]' in SPEECH.request(asked, target())


@pytest.mark.parametrize("given", ["hello", [{"role": "user", "content": "hello"}]])
def test_a_vendor_goes_on_with_an_answer(given: object) -> None:
    """What there is of it is the assistant's message, and counts against what may be said."""
    chat = Chat(messages=(), prefill="Hel", max_tokens=5)
    asked = sent(call(Begun("Hel", 2, 2), chat, input=given, max_output_tokens=7))
    assert asked["input"] == [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "Hel"},
    ]
    assert asked["max_output_tokens"] == 5


@pytest.mark.parametrize("body", [b"[]", b"{", b"\xff"])
def test_what_is_no_request(body: bytes) -> None:
    with pytest.raises(ValueError):
        SPEECH.request(Call("r", Api.RESPONSES, "a", True, body, Chat(()), 0, 60), target())


def test_a_whole_response() -> None:
    """Only the model's name is another."""
    vendor = Vendor({"include": [ENCRYPTED]}, {"thinking": "hm", "tool": ("f", {"a": 1})})
    (body, *rest) = vendor.delivery("answer").pieces
    whole = b"".join((body, *rest))
    answer = SPEECH.answer(whole, "asked", typed=True)
    assert json.loads(answer.data) == {**json.loads(whole), "model": "asked"}
    assert (answer.text, answer.usage) == ("vendor answer in pieces", USAGE)
    assert answer.reasons == (FinishReason.TOOL_CALLS,)
    assert answer.model == "gpt-4o-2024-08-06"
    assert answer.pieces == (
        *(Reasoned("hm"), Delta("vendor answer in pieces")),
        Called(0, '{"a": 1}', "call_sim", "f"),
    )


def test_a_response_that_is_not_complete() -> None:
    body = b"".join(Vendor({}, {"status": "incomplete"}).delivery("answer").pieces)
    assert SPEECH.answer(body, "asked", typed=False).reasons == (FinishReason.LENGTH,)


@pytest.mark.parametrize("code", ["server_error", "rate_limit_exceeded"])
def test_a_vendor_that_failed(code: str) -> None:
    """Whole and within a stream: the next target may do better."""
    body = b"".join(Vendor({}, {"code": code}).delivery("error_event").pieces)
    with pytest.raises(AnswerFailed, match="the vendor says that the response failed"):
        SPEECH.answer(body, "asked", typed=False)
    told = events(way="error_event", shape="failed", code=code, after=0)
    assert isinstance(told[-1], Failed)
    assert told[-1].kind is FailureKind.STREAM_ERROR


def test_a_verdict_on_the_request_is_the_apps_to_read() -> None:
    """No other target would be better pleased with it, and this one did nothing wrong."""
    body = b"".join(Vendor({}, {"code": "invalid_prompt"}).delivery("error_event").pieces)
    answer = SPEECH.answer(body, "asked", typed=False)
    assert json.loads(answer.data)["error"]["code"] == "invalid_prompt"
    told = events(way="error_event", shape="failed", code="invalid_prompt")
    assert decoded(relayed(told))[-1]["type"] == "response.failed"
    assert told[-1] == Finished((FinishReason.CONTENT_FILTER,))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"object":"response","output":[]}',
        b'{"status":"in_progress","output":[]}',
    ],
)
def test_what_is_no_response(body: bytes) -> None:
    with pytest.raises(ValueError):
        SPEECH.answer(body, "asked", typed=False)


def test_a_stream_is_relayed_as_it_is() -> None:
    """But for the model's name, wherever it stands."""
    vendor = Vendor({"stream": True, "include": [ENCRYPTED]}, {"thinking": "hmm", "search": "q"})
    own = b"".join(vendor.delivery("answer").pieces)
    told = events(thinking="hmm", search="q")
    assert decoded(relayed(told)) == decoded(own.replace(b"gpt-4o-2024-08-06", b"asked"))
    assert told[0] == Started("gpt-4o-2024-08-06", None, "resp_sim", 1_700_000_000)
    assert told[-2:] == [USAGE, Finished((FinishReason.STOP,))]


def test_a_stream_in_typed_events() -> None:
    told = events(typed=True, thinking="hm", words=("a", "b"), tool=("f", {"a": 1}))
    assert told[1:] == [
        *(Reasoned("h"), Reasoned("m"), Delta("a"), Delta("b"), Called(0, "", "call_sim", "f")),
        *(Called(0, '{"a"'), Called(0, ": 1}"), USAGE, Finished((FinishReason.TOOL_CALLS,))),
    ]


@pytest.mark.parametrize(
    ("said", "binding"),
    [
        ({}, False),
        ({"thinking": "hmm"}, False),
        ({"refusal": "I will not"}, True),
        ({"search": "q"}, True),
        ({"words": (), "tool": ("f", {})}, True),
    ],
)
def test_only_text_and_thoughts_can_be_gone_on_from(said: dict[str, Any], binding: bool) -> None:
    told = [event for event in events(**said) if isinstance(event, Relayed)]
    assert any(event.binding for event in told) is binding


def test_nothing_is_sent_before_there_is_anything_of_the_answer() -> None:
    """The opening of the response, of the item and of its part could be another target's yet."""
    assert [event for event in events(4) if isinstance(event, Relayed)] == []
    assert len(decoded(relayed(events(5)))) == 5


def test_what_ends_an_answer_is_held_back_until_its_end() -> None:
    """Where a stream breaks off before it, the app still has the message open."""
    full = decoded(relayed(events()))
    last_word = max(i for i, event in enumerate(full) if event["type"].endswith("text.delta"))
    assert full[last_word + 1]["type"] == "response.output_text.done"
    for cut in range(last_word + 1, len(full)):
        told = events(cut)
        assert decoded(relayed(told)) == full[: last_word + 1]
        assert told[-1] == Failed(FailureKind.TRUNCATED, "the stream ended without its terminator")


def test_a_stream_that_breaks_off_between_two_items() -> None:
    """The next item is not begun for the app, nor the last one ended."""
    full = decoded(relayed(events(thinking="hmm")))
    added = max(i for i, e in enumerate(full) if e["type"] == "response.output_item.added")
    shown = decoded(relayed(events(added + 1, thinking="hmm")))
    assert shown[-1]["type"] == "response.reasoning_summary_text.delta"


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (b'{"type":"error","code":"server_error"}', "error"),
        (b'{"type":"response.created"}', "malformed"),
        (b'{"type":"response.completed","response":{"output":1}}', "malformed"),
        (b'{"type":1}', "malformed"),
        (b"[DONE]", "malformed"),
        (b'{"type":"response.a\\nb"}', "malformed"),
    ],
)
def test_events_that_end_a_stream(payload: bytes, told: str) -> None:
    assert getattr(SPEECH.reader("asked", typed=False).read(payload), told)


def test_events_of_other_kinds_are_passed_on() -> None:
    """Those of this API are taken for what binds; others for nothing."""
    reader = SPEECH.reader("asked", typed=False)
    other = reader.read(b'{"type":"response.mcp_call.in_progress"}')
    assert (other.content, other.binding) == (True, True)
    beat = reader.read(b'{"type":"keepalive",\n"sequence_number":3}')
    assert beat.data == b'event: keepalive\ndata: {"type":"keepalive", "sequence_number":3}\n\n'
    assert (beat.content, beat.binding, beat.closing) == (False, False, False)
