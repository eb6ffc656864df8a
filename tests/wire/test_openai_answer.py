"""Chat completions: what is written of an answer, as the official SDK reads it in strict mode."""

from __future__ import annotations

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gateway.domain.events import (
    Called,
    Delta,
    Finished,
    FinishReason,
    Likely,
    Piece,
    Reasoned,
    Scored,
    Usage,
)
from gateway.wire.openai_answer import ChatWriter

CALL: tuple[Piece, ...] = (
    Reasoned("hm"),
    Called(0, id="call_1", name="f"),
    Called(0, '{"a": '),
    Called(0, "1}"),
    Called(1, id="call_2", name="g"),
    Called(1, "{}"),
)


def writer(
    *, include_usage: bool = False, functions: bool = False, scores: bool = False
) -> ChatWriter:
    return ChatWriter(
        id="chatcmpl-1",
        model="gpt-4o",
        created=1,
        include_usage=include_usage,
        functions=functions,
        scores=scores,
    )


def chunks(stream: bytes) -> list[ChatCompletionChunk]:
    events = [event.removeprefix(b"data: ") for event in stream.split(b"\n\n") if event]
    assert events.pop() == b"[DONE]"
    return [ChatCompletionChunk.model_validate_json(event, strict=True) for event in events]


def whole(written: ChatWriter, *reasons: FinishReason) -> ChatCompletion:
    return ChatCompletion.model_validate_json(written.whole(Finished(reasons)), strict=True)


def test_a_stream_is_one_role_its_text_one_finish_and_its_usage() -> None:
    """In the published order."""
    written = writer(include_usage=True)
    stream = written.piece(Delta("Par")) + written.piece(Delta("is"))
    written.count(Usage(10, 2, 4))
    read = chunks(stream + written.end(Finished((FinishReason.LENGTH,))))
    assert [c.choices[0].delta.role for c in read[:3]] == ["assistant", None, None]
    assert "".join(c.choices[0].delta.content or "" for c in read[:3]) == "Paris"
    assert read[2].choices[0].finish_reason == "length"
    assert read[3].choices == []
    assert read[3].usage is not None
    assert read[3].usage.total_tokens == 12
    assert {c.model for c in read} == {"gpt-4o"}


def test_a_stream_without_text_still_has_a_role() -> None:
    """An answer that ends at once is a well-formed stream."""
    read = chunks(writer().end(Finished()))
    assert read[0].choices[0].delta.role == "assistant"
    assert read[-1].choices[0].finish_reason == "stop"


def test_a_whole_answer() -> None:
    """Text and usage."""
    written = writer()
    written.keep(Delta("Par"))
    written.keep(Delta("is"))
    written.count(Usage(10, 2))
    read = whole(written, FinishReason.STOP)
    assert read.choices[0].message.content == "Paris"
    assert read.choices[0].message.tool_calls is None
    assert read.choices[0].message.annotations == []
    assert "system_fingerprint" not in read.model_fields_set
    assert read.usage is not None
    assert read.usage.prompt_tokens == 10


def test_calls_of_functions_streamed() -> None:
    """Each begins with its id and name; the arguments follow in parts; no text at all."""
    written = writer()
    read = chunks(
        b"".join(map(written.piece, CALL)) + written.end(Finished((FinishReason.TOOL_CALLS,)))
    )
    assert [c.choices[0].delta.content for c in read if c.choices[0].delta.content] == []
    deltas = [call for c in read for call in c.choices[0].delta.tool_calls or ()]
    assert [(d.index, d.id) for d in deltas if d.id] == [(0, "call_1"), (1, "call_2")]
    arguments = [d.function.arguments for d in deltas if d.index == 0 and d.function]
    assert "".join(text or "" for text in arguments) == '{"a": 1}'
    assert read[-1].choices[0].finish_reason == "tool_calls"
    thought = read[0].choices[0].delta.model_extra or {}
    assert thought["reasoning_content"] == "hm"


def test_calls_of_functions_whole() -> None:
    """The same in one piece; no content is null, as the API has it."""
    written = writer()
    for piece in CALL:
        written.keep(piece)
    (choice,) = whole(written, FinishReason.TOOL_CALLS).choices
    calls = [call for call in choice.message.tool_calls or () if call.type == "function"]
    assert [(c.id, c.function.name, c.function.arguments) for c in calls] == [
        ("call_1", "f", '{"a": 1}'),
        ("call_2", "g", "{}"),
    ]
    assert choice.message.content is None
    assert (choice.message.model_extra or {})["reasoning_content"] == "hm"


@pytest.mark.parametrize("stream", [True, False])
def test_the_older_way_of_calling(stream: bool) -> None:
    """An app that asked with ``functions`` is answered with ``function_call``."""
    written = writer(functions=True)
    if stream:
        parts = [written.piece(piece) for piece in CALL[1:4]]
        read = chunks(b"".join(parts) + written.end(Finished((FinishReason.TOOL_CALLS,))))
        called = [c.choices[0].delta.function_call for c in read]
        assert "".join((c.arguments or "") for c in called if c) == '{"a": 1}'
        assert read[-1].choices[0].finish_reason == "function_call"
        return
    for piece in CALL[1:4]:
        written.keep(piece)
    (choice,) = whole(written, FinishReason.TOOL_CALLS).choices
    assert choice.message.function_call is not None
    assert choice.message.function_call.arguments == '{"a": 1}'
    assert choice.finish_reason == "function_call"


def test_several_choices_do_not_mix() -> None:
    """Each has its own role, text and finish."""
    written = writer()
    pieces = (Delta("a", 0), Delta("b", 1), Delta("c", 0))
    read = chunks(
        b"".join(map(written.piece, pieces))
        + written.end(Finished((FinishReason.STOP, FinishReason.LENGTH)))
    )
    said = {0: "", 1: ""}
    for chunk in read:
        said[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert said == {0: "ac", 1: "b"}
    ends = [(c.choices[0].index, c.choices[0].finish_reason) for c in read[-2:]]
    assert ends == [(0, "stop"), (1, "length")]
    for piece in pieces:
        written.keep(piece)
    both = whole(written, FinishReason.STOP, FinishReason.STOP).choices
    assert [choice.message.content for choice in both] == ["ac", "b"]


def test_scores() -> None:
    """Text, bytes and logarithm of each token; what cannot be is the API's own number."""
    one = Scored(b"\xe2\x82", -0.5, (Likely(b"x", -0.5), Likely(b"y", float("-inf"))))
    written = writer(scores=True)
    chunk = chunks(written.piece(Delta("x", scores=(one,))) + written.end(Finished()))[0]
    assert chunk.choices[0].logprobs is not None
    content = chunk.choices[0].logprobs.content
    assert content is not None
    (read,) = content
    assert (read.logprob, read.bytes) == (-0.5, [0xE2, 0x82])
    assert [top.logprob for top in read.top_logprobs] == [-0.5, -9999.0]
    written.keep(Delta("x", scores=(one,)))
    logprobs = whole(written, FinishReason.STOP).choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content == [read]
