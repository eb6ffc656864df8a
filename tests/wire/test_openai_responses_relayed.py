"""A response whose bytes a vendor wrote, wholly or up to where it broke off: to the official SDK it
is one of ours.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai._types import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from gateway.domain.events import Continued, Delta, Finished, Piece, Reasoned, Relayed, Usage
from gateway.errors import Unavailable
from gateway.upstream.stream import StreamRelay
from gateway.wire import openai_responses_given
from gateway.wire.openai_responses_answer import ResponsesWriter
from gateway.wire.openai_responses_asked import ENCRYPTED
from gateway.wire.openai_responses_output import Progress
from gateway.wire.openai_responses_relay import ResponsesSpeech
from tests.simulators.openai_responses_speech import ResponsesSpeech as Vendor

EVENTS: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
OURS = {"id": "resp_ab", "previous_response_id": "resp_aa", "store": True, "model": "asked"}
REST = Delta(" and more")


def writer() -> ResponsesWriter:
    body = json.dumps({"model": "asked", "input": "hello"}).encode()
    given = openai_responses_given.given(body, previous="resp_aa", stored=True)
    return ResponsesWriter(Progress("resp_ab", 1), given, clock=lambda: 1_700_000_002.5)


def vendor(**said: Any) -> list[bytes]:
    request = {"stream": True, "include": [ENCRYPTED], "store": False}
    return list(Vendor(request, said).delivery("answer").pieces)


def relayed(pieces: list[bytes], written: ResponsesWriter, *, packed: bool = False) -> bytes:
    """What the app is sent of them, but for what is kept back for the end. ``packed`` brings them
    all at once.
    """
    relay = StreamRelay(
        ResponsesSpeech().reader("asked", typed=False), lambda _: None, lambda _: None
    )
    shown = b""
    for piece in [b"".join(pieces)] if packed else pieces:
        for event in relay.feed(piece):
            if isinstance(event, Relayed):
                shown += written.relay(event.data)
    return shown


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


def collected(stream: bytes) -> Response:
    """What the SDK's own helper puts together, which raises where the order is wrong."""
    state = ResponseStreamState[Any](input_tools=omit, text_format=omit)
    last = None
    for event in raw(stream):
        for told in state.handle_event(EVENTS.validate_json(json.dumps(event), strict=True)):
            last = told
    assert last is not None
    return last.response  # type: ignore[union-attr]


SAID: list[dict[str, Any]] = [
    {},
    {"thinking": "hmm"},
    {"thinking": "hmm", "search": "q", "tool": ("f", {"a": 1})},
    {"refusal": "I will not"},
    {"status": "incomplete"},
]


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("packed", [True, False])
def test_a_stream_that_is_relayed_to_its_end(said: dict[str, Any], packed: bool) -> None:
    """All that the vendor said; its last event is kept back until what it tells is kept."""
    written = writer()
    pieces = vendor(**said)
    shown = relayed(pieces, written, packed=packed)
    last = written.relayed_end(Finished())
    own, theirs = raw(shown + last), raw(b"".join(pieces))
    assert len(raw(shown)) == len(theirs) - 1
    for ours, its in zip(own, theirs, strict=True):
        if "response" in its:
            assert ours["response"] == {**its["response"], **OURS}
            assert {**ours, "response": 0} == {**its, "response": 0}
        else:
            assert ours == its
    assert json.loads(written.response) == own[-1]["response"]
    response = collected(shown + last)
    assert (response.id, response.model) == ("resp_ab", "asked")


def test_a_whole_response_that_is_relayed() -> None:
    written = writer()
    body = b"".join(Vendor({}, {}).delivery("answer").pieces)
    shown = written.relayed_whole(ResponsesSpeech().answer(body, "asked", typed=False).data)
    assert json.loads(shown) == {**json.loads(body), **OURS}
    assert written.response == shown
    assert written.progress.created == 1_700_000_000


@pytest.mark.parametrize("thinking", ["", "hmm"])
@pytest.mark.parametrize("rest", [[REST], [Reasoned("wait"), REST], []])
def test_another_target_goes_on_from_anywhere(thinking: str, rest: list[Piece]) -> None:
    """One response, whatever was the last that the first target got through: with what both said,
    as the SDK puts it together, and as it is kept.
    """
    pieces = vendor(thinking=thinking)
    seams = set()
    for cut in range(len(pieces)):
        written = writer()
        shown = relayed(pieces[:cut], written)
        if shown:
            seams.add(len(raw(shown)))
            written.resume(Continued())
        for piece in rest:
            shown += written.piece(piece)
        written.count(Usage(3, 4))
        shown += written.end(Finished())
        response = collected(shown)
        kept = Response.model_validate_json(written.response)
        assert response.output_text == kept.output_text
        assert {event["response"]["id"] for event in raw(shown) if "response" in event} == {
            "resp_ab"
        }
        vendors = "vendor answer in pieces"
        said = response.output_text.removesuffix(REST.text if rest else "")
        assert vendors.startswith(said)
        assert (response.status, response.previous_response_id) == ("completed", "resp_aa")
        assert [item.id for item in response.output] == [item.id for item in kept.output]
        assert len({item.id for item in response.output}) == len(response.output)
    assert len(seams) > 3


def test_thoughts_that_broke_off_end_where_they_did() -> None:
    """The summary that was begun is told to its end, and the answer is an item behind it."""
    pieces = vendor(thinking="hmmmm")
    first = next(i for i, piece in enumerate(pieces) if b"summary_text.delta" in piece[:60])
    written = writer()
    shown = relayed(pieces[: first + 1], written) + written.piece(REST) + written.end(Finished())
    thoughts, message = json.loads(written.response)["output"]
    assert thoughts == {
        "id": "rs_sim",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "hm"}],
    }
    assert message["content"][0]["text"] == REST.text
    assert collected(shown).output[0].type == "reasoning"


def test_scores_of_both_targets_are_told() -> None:
    """Those that came with the vendor's deltas count for the whole part."""
    pieces = vendor(words=("a", "b"))
    score = b'"logprobs": [{"token": "a", "logprob": -0.5, "top_logprobs": []}]'
    at = next(i for i, piece in enumerate(pieces) if b"output_text.delta" in piece[:60])
    pieces[at] = pieces[at].replace(b'"logprobs": []', score)
    written = writer()
    relayed(pieces[: at + 1], written)
    written.end(Finished())
    (item,) = json.loads(written.response)["output"]
    assert item["content"][0]["logprobs"] == [
        {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}
    ]


def test_what_cannot_be_gone_on_with_is_told_as_far_as_it_came() -> None:
    """The call that broke off is in the response that failed."""
    pieces = vendor(words=(), tool=("f", {"a": 1}))
    written = writer()
    shown = relayed(pieces[:4], written)
    broken = written.broken(Unavailable("It broke off.", code="stream_interrupted"))
    last = raw(shown + broken)[-1]
    assert last["type"] == "response.failed"
    (call,) = last["response"]["output"]
    assert (call["id"], call["name"], call["status"]) == ("fc_sim", "f", "incomplete")
