"""The Responses API: what is written of an answer, as the official SDK reads it in strict mode."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai._types import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import (
    Response,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseReasoningItem,
    ResponseStreamEvent,
)
from pydantic import TypeAdapter

from gateway.domain.events import (
    Called,
    Continued,
    Delta,
    Finished,
    FinishReason,
    Likely,
    Piece,
    Reasoned,
    Scored,
    Usage,
)
from gateway.errors import InvalidRequest, Unavailable
from gateway.wire import openai_responses_given
from gateway.wire.openai_responses import asked, parse
from gateway.wire.openai_responses_answer import ResponsesWriter
from gateway.wire.openai_responses_errors import envelope
from gateway.wire.openai_responses_output import MessageItem, Progress

EVENTS: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
DONE = Finished()
ANSWER: tuple[Piece, ...] = (
    Reasoned("hm"),
    Reasoned(", so"),
    Delta("Par"),
    Delta("is"),
    Called(0, id="call_1", name="f"),
    Called(0, '{"a": '),
    Called(0, "1}"),
    Called(1, '{"b": 2}', id="call_2", name="g"),
)


def writer(*, padded: bool = False, **fields: Any) -> ResponsesWriter:
    body = json.dumps({"model": "gpt-4o", "input": "hello"} | fields).encode()
    given = openai_responses_given.given(body, previous=None, stored=True)
    return ResponsesWriter(
        Progress("resp_ab", 1_700_000_000), given, clock=lambda: 1_700_000_002.5, padded=padded
    )


def raw(stream: bytes) -> list[dict[str, Any]]:
    """The events as they stand, each under its own name, numbered without a gap."""
    found = []
    for event in stream.split(b"\n\n")[:-1]:
        name, data = event.split(b"\n")
        read = json.loads(data.removeprefix(b"data: "))
        assert name == b"event: " + read["type"].encode()
        found.append(read)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    return found


def events(stream: bytes) -> list[ResponseStreamEvent]:
    return [EVENTS.validate_json(json.dumps(event), strict=True) for event in raw(stream)]


def streamed(written: ResponsesWriter, *pieces: Piece, finished: Finished = DONE) -> bytes:
    return b"".join(map(written.piece, pieces)) + written.end(finished)


def collected(stream: bytes) -> Response:
    """What the SDK's own helper puts together, which raises where the order is wrong."""
    state = ResponseStreamState[Any](input_tools=omit, text_format=omit)
    last = None
    for event in events(stream):
        for told in state.handle_event(event):
            last = told
    assert last is not None
    return last.response  # type: ignore[union-attr]


def whole(written: ResponsesWriter, *pieces: Piece, finished: Finished = DONE) -> Response:
    for piece in pieces:
        written.keep(piece)
    return Response.model_validate_json(written.whole(finished), strict=True)


TEXT = (
    *("response.created", "response.in_progress", "response.output_item.added"),
    *("response.content_part.added", "response.output_text.delta", "response.output_text.delta"),
    *("response.output_text.done", "response.content_part.done", "response.output_item.done"),
)
ORDERS: list[tuple[tuple[Piece, ...], Finished, tuple[str, ...]]] = [
    ((Delta("Par"), Delta("is")), Finished(), (*TEXT, "response.completed")),
    (
        (Delta("Par"), Delta("is")),
        Finished((FinishReason.LENGTH,)),
        (*TEXT, "response.incomplete"),
    ),
    ((), Finished(), (*TEXT[:4], *TEXT[6:], "response.completed")),
    (
        ANSWER,
        Finished((FinishReason.TOOL_CALLS,)),
        (
            *("response.created", "response.in_progress", "response.output_item.added"),
            *("response.content_part.added", "response.reasoning_text.delta"),
            *("response.reasoning_text.delta", "response.reasoning_text.done"),
            *("response.content_part.done", "response.output_item.done"),
            *TEXT[2:],
            "response.output_item.added",
            *("response.function_call_arguments.delta",) * 2,
            *("response.function_call_arguments.done", "response.output_item.done"),
            "response.output_item.added",
            "response.function_call_arguments.delta",
            *("response.function_call_arguments.done", "response.output_item.done"),
            "response.completed",
        ),
    ),
]


@pytest.mark.parametrize(("pieces", "finished", "order"), ORDERS)
def test_the_order_of_a_stream(
    pieces: tuple[Piece, ...], finished: Finished, order: tuple[str, ...]
) -> None:
    """As published, and each event as the SDK types it."""
    read = events(streamed(writer(), *pieces, finished=finished))
    assert tuple(event.type for event in read) == order


def test_a_whole_answer_is_what_a_stream_ends_in() -> None:
    """With the same ids, byte for byte."""
    finished = Finished((FinishReason.TOOL_CALLS,))
    streaming, keeping = writer(), writer()
    for written in (streaming, keeping):
        written.count(Usage(10, 5, 4, reasoning=2))
    stream = streamed(streaming, *ANSWER, finished=finished)
    response = whole(keeping, *ANSWER, finished=finished)
    assert streaming.response == keeping.response
    assert raw(stream)[-1]["response"] == json.loads(keeping.response)
    assert collected(stream).output_text == response.output_text == "Paris"
    thought, said, first, second = response.output
    assert isinstance(thought, ResponseReasoningItem)
    assert [part.text for part in thought.content or ()] == ["hm, so"]
    assert (thought.id, thought.summary) == ("rs_ab00", [])
    assert isinstance(said, ResponseOutputMessage)
    assert (said.id, said.status) == ("msg_ab01", "completed")
    assert isinstance(first, ResponseFunctionToolCall)
    assert (first.id, first.call_id, first.arguments) == ("fc_ab02", "call_1", '{"a": 1}')
    assert isinstance(second, ResponseFunctionToolCall)
    assert (second.name, second.arguments, second.status) == ("g", '{"b": 2}', "completed")
    assert response.usage is not None
    assert response.usage.model_dump(exclude_none=True) == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 15,
    }
    assert (response.status, response.created_at, response.completed_at) == (
        *("completed", 1_700_000_000, 1_700_000_002),
    )


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (FinishReason.LENGTH, "max_output_tokens"),
        (FinishReason.CONTENT_FILTER, "content_filter"),
    ],
)
def test_what_is_not_complete(reason: FinishReason, told: str) -> None:
    """Response and item say so, and why."""
    response = whole(writer(), Delta("Par"), finished=Finished((reason,)))
    assert (response.status, response.completed_at) == ("incomplete", None)
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == told
    (item,) = response.output
    assert isinstance(item, ResponseOutputMessage)
    assert (item.status, response.output_text) == ("incomplete", "Par")


def test_an_item_begins_empty() -> None:
    """What it holds comes in the events behind."""
    read = raw(streamed(writer(), *ANSWER))
    added = [event["item"] for event in read if event["type"] == "response.output_item.added"]
    assert [item.get("content", item.get("arguments")) for item in added] == [[], [], "", ""]
    assert {item["status"] for item in added} == {"in_progress"}
    parts = [event["part"]["text"] for event in read if event["type"].endswith("part.added")]
    assert parts == ["", ""]


def test_the_first_event_knows_no_more_than_that_it_began() -> None:
    """No usage, no output, not completed."""
    first = raw(streamed(writer(), Delta("x")))[0]["response"]
    assert (first["status"], first["output"], first["usage"]) == ("in_progress", [], None)
    assert (first["id"], first["completed_at"], first["error"]) == ("resp_ab", None, None)


GIVEN: dict[str, Any] = {
    "instructions": "be brief",
    "temperature": 0.5,
    "top_p": 0.9,
    "max_output_tokens": 20,
    "max_tool_calls": 3,
    "metadata": {"a": "b"},
    "parallel_tool_calls": False,
    "tools": [
        {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True},
        {"type": "function", "name": "g"},
    ],
    "tool_choice": {
        "type": "allowed_tools",
        "mode": "auto",
        "tools": [{"type": "function", "name": "f"}],
    },
    "text": {
        "format": {"type": "json_schema", "name": "n", "schema": {}, "strict": True},
        "verbosity": "low",
    },
    "reasoning": {"effort": "low", "summary": "auto"},
    "truncation": "auto",
    "top_logprobs": 2,
    "user": "u",
    "safety_identifier": "s",
    "prompt_cache_key": "k",
}


def test_a_response_repeats_its_request() -> None:
    """All that the API does, as it was given."""
    told = json.loads(writer(**GIVEN).whole(Finished()))
    assert Response.model_validate_json(json.dumps(told), strict=True)
    tools = told.pop("tools")
    assert {name: told[name] for name in GIVEN if name != "tools"} == {
        name: value for name, value in GIVEN.items() if name != "tools"
    }
    assert tools[0] == GIVEN["tools"][0] | {"description": None}
    unsaid = {"description": None, "parameters": None, "strict": False}
    assert tools[1] == GIVEN["tools"][1] | unsaid
    assert told["store"] is True


def test_a_response_says_the_defaults() -> None:
    """Where the app gave nothing."""
    read = whole(writer(), Delta("x"))
    assert (read.temperature, read.top_p, read.tool_choice) == (1.0, 1.0, "auto")
    assert (read.tools, read.metadata, read.truncation) == ([], {}, "disabled")
    assert (read.parallel_tool_calls, read.background) == (True, False)
    assert read.text is not None
    assert read.text.format is not None
    assert read.text.format.type == "text"
    assert (read.model, read.instructions, read.previous_response_id) == ("gpt-4o", None, None)


def test_scores() -> None:
    """In each delta, and all of them in the part that is done."""
    one = Scored(b"\xe2\x82", -0.5, (Likely(b"x", -0.5), Likely(b"y", float("-inf"))))
    two = Scored(b"z", -1.0)
    stream = streamed(writer(), Delta("x", scores=(one,)), Delta("z", scores=(two,)))
    deltas = [event for event in events(stream) if event.type == "response.output_text.delta"]
    assert [[score.logprob for score in delta.logprobs] for delta in deltas] == [[-0.5], [-1.0]]
    (item,) = collected(stream).output
    assert isinstance(item, ResponseOutputMessage)
    (part,) = item.content
    assert isinstance(part, ResponseOutputText)
    assert part.logprobs is not None
    assert [(score.logprob, score.bytes) for score in part.logprobs] == [
        (-0.5, [0xE2, 0x82]),
        (-1.0, [0x7A]),
    ]
    assert [top.logprob for top in part.logprobs[0].top_logprobs] == [-0.5, -9999.0]


def test_another_target_goes_on() -> None:
    """With the text that is open; its thoughts are an item of their own."""
    written = writer()
    stream = written.piece(Delta("Par"))
    written.resume(Continued(id="chatcmpl-1", created=5, said=True))
    stream += written.piece(Delta("is")) + written.piece(Reasoned("hm"))
    stream += written.piece(Delta("!")) + written.end(Finished())
    response = collected(stream)
    assert [item.type for item in response.output] == ["message", "reasoning", "message"]
    assert (response.id, response.output_text) == ("resp_ab", "Paris!")


def test_another_target_goes_on_with_what_was_relayed() -> None:
    """The one that saw the bytes go by says where the response stands."""
    written = writer()
    first = {"id": "rs_v", "type": "reasoning", "summary": []}
    written.progress = Progress("resp_v", 5, begun=True, sequence=9, output=[first])
    written.progress.open = MessageItem("msg_v", 1, ["Par"])
    written.resume(Continued(said=True))
    stream = written.piece(Delta("is")) + written.end(Finished())
    read = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith(b"data: ")]
    assert [event["sequence_number"] for event in read] == [9, 10, 11, 12, 13]
    assert (read[0]["item_id"], read[0]["output_index"]) == ("msg_v", 1)
    assert read[1]["text"] == "Paris"
    assert [item["id"] for item in read[-1]["response"]["output"]] == ["rs_v", "msg_v"]
    assert (read[-1]["response"]["id"], read[-1]["response"]["created_at"]) == ("resp_v", 5)


@pytest.mark.parametrize("begun", [True, False])
def test_a_stream_that_breaks(begun: bool) -> None:
    """Says why, and what there is of it, which is not complete."""
    written = writer()
    stream = written.piece(Delta("Par")) if begun else b""
    error = Unavailable("It broke off.", code="stream_interrupted")
    *_, told, failed = events(stream + written.broken(error))
    assert told.type == "error"
    assert (told.code, told.message) == ("stream_interrupted", "It broke off.")
    assert failed.type == "response.failed"
    assert failed.response.status == "failed"
    assert failed.response.error is not None
    assert failed.response.error.code == "server_error"
    assert failed.response.output_text == ("Par" if begun else "")


@pytest.mark.parametrize(
    ("param", "name"),
    [
        ("messages", "input"),
        ("messages[3].content", "input"),
        ("response_format.json_schema.schema", "text.format"),
        ("max_completion_tokens", "max_output_tokens"),
        ("tools[0].function.parameters", "tools[0].parameters"),
        ("input[0].content", "input[0].content"),
        ("temperature", "temperature"),
        (None, None),
    ],
)
def test_an_error_names_what_the_app_wrote(param: str | None, name: str | None) -> None:
    """Where a target was asked by other names."""
    error = json.loads(envelope(InvalidRequest("No.", param=param)))["error"]
    assert (error["param"], error["code"]) == (name, "invalid_value")


def test_obfuscation() -> None:
    """Deltas of different texts have lengths that tell nothing of them; what they say stays."""
    stream = streamed(writer(padded=True), Delta("a"), Delta("b" * 20))
    deltas = [line for line in stream.splitlines() if b'"obfuscation"' in line]
    assert len(deltas) == 2
    assert len(deltas[0]) % 64 == len(deltas[1]) % 64
    assert collected(stream).output_text == "a" + "b" * 20


def test_calls_that_are_mixed_are_no_answer() -> None:
    """Nothing is put where it does not belong."""
    written = writer()
    written.keep(Called(0, id="a", name="f"))
    written.keep(Called(1, id="b", name="g"))
    with pytest.raises(ValueError, match="has ended"):
        written.keep(Called(0, "{}"))


some = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
runs = st.lists(
    st.one_of(
        st.tuples(st.just("text"), st.lists(some, min_size=1, max_size=3)),
        st.tuples(st.just("thought"), st.lists(some, min_size=1, max_size=3)),
        st.tuples(st.just("call"), st.lists(some, max_size=3)),
    ),
    max_size=5,
)


def told(runs: list[tuple[str, list[str]]]) -> list[Piece]:
    pieces: list[Piece] = []
    calls = 0
    for kind, texts in runs:
        if kind == "call":
            pieces.append(Called(calls, id=f"call_{calls}", name=f"f{calls}"))
            pieces += [Called(calls, text) for text in texts]
            calls += 1
        else:
            pieces += [Delta(text) if kind == "text" else Reasoned(text) for text in texts]
    return pieces


@given(runs, st.sampled_from(list(FinishReason)), st.tuples(*[st.integers(0, 99)] * 4))
def test_events_are_told_without_loss(
    runs: list[tuple[str, list[str]]], reason: FinishReason, counts: tuple[int, int, int, int]
) -> None:
    """Whatever was said comes out of the SDK's models, and what is sent again is the same turn."""
    usage = Usage(*counts)
    written = writer()
    written.count(usage)
    pieces = told(runs)
    response = collected(streamed(written, *pieces, finished=Finished((reason,))))
    said, called = {"message": "", "reasoning": ""}, []
    for item in response.output:
        if isinstance(item, ResponseOutputMessage):
            said["message"] += "".join(p.text for p in item.content if p.type == "output_text")
        elif isinstance(item, ResponseReasoningItem):
            said["reasoning"] += "".join(part.text for part in item.content or ())
        elif isinstance(item, ResponseFunctionToolCall):
            called.append((item.call_id, item.name, item.arguments))
    expected = {"message": "", "reasoning": ""}
    calls: list[tuple[str, str, str]] = []
    for kind, texts in runs:
        text = "".join(texts)
        match kind:
            case "text":
                expected["message"] += text
            case "thought":
                expected["reasoning"] += text
            case _:
                calls.append((f"call_{len(calls)}", f"f{len(calls)}", text))
    assert (said, called) == (expected, calls)
    assert response.usage is not None
    assert response.usage.total_tokens == usage.total
    assert response.usage.output_tokens_details.reasoning_tokens == usage.reasoning
    items = [item.model_dump(mode="json", exclude_none=True) for item in response.output]
    again = json.dumps({"model": "m", "input": items}).encode()
    turns = asked(parse(again), again).chat.messages
    assert "".join(turn.content for turn in turns) == expected["message"]
    assert "".join(turn.reasoning or "" for turn in turns) == expected["reasoning"]
    resent = [(call.id, call.name, call.arguments) for turn in turns for call in turn.calls]
    assert resent == calls
