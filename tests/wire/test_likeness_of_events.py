"""Events of messages, responses and chats that are like others: what an app and a record get of
them is the same by every way that they can take.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.domain.events import Event, Failed, FailureKind, Relayed
from gateway.upstream.stream import StreamRelay
from gateway.wire import openai_responses_given
from gateway.wire.anthropic_relay import MessageReader
from gateway.wire.likeness import LikenessReader
from gateway.wire.openai_relay import ChatReader
from gateway.wire.openai_responses_answer import ResponsesWriter
from gateway.wire.openai_responses_output import Progress
from gateway.wire.openai_responses_relay import ResponseReader
from gateway.wire.writer import Writer

TEXTS = st.one_of(
    st.sampled_from(["", "a", "word ", "\n\n", 'x", "', "\\", "é日本", "\u200b", "\x7f", "\ud83d"]),
    st.sampled_from(["delta", "text", "thinking", "model", "obfuscation", "sequence_number", "5"]),
    st.sampled_from(['"index":1,"', ',"sequence_number":7', "\x00", "response.output_text.delta"]),
    st.text(max_size=4),
)
ITEM: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant", "content": []}
RESPONSE: dict[str, Any] = {"id": "resp_1", "model": "v", "status": "in_progress", "output": []}
ENDED = {**RESPONSE, "status": "completed", "usage": {"input_tokens": 1, "output_tokens": 2}}


def written(event: dict[str, Any], style: int = 0) -> bytes:
    """An event as vendors write them: closely, with blanks, with escapes, or without its name."""
    separators = (", ", ": ") if style & 1 else (",", ":")
    payload = json.dumps(event, ensure_ascii=style & 2 > 0, separators=separators)
    name = "" if style & 4 else f"event: {event['type']}\n"
    return f"{name}data: {payload}\n\n".encode("utf-8", "surrogatepass")


STYLES = st.sampled_from([*[0] * 12, *range(8)])


def message_delta(index: int, kind: tuple[str, str], said: str, more: dict[str, Any]) -> Any:
    delta = {"type": kind[0], kind[1]: said, **more}
    return {"type": "content_block_delta", "index": index, "delta": delta}


BLOCKS: list[dict[str, Any]] = [
    {"type": "text", "text": ""},
    {"type": "thinking", "thinking": "", "signature": ""},
    {"type": "tool_use", "id": "t", "name": "f", "input": {}},
    {"type": "hologram"},
]
DELTAS = [
    ("text_delta", "text"),
    ("thinking_delta", "thinking"),
    ("input_json_delta", "partial_json"),
    ("signature_delta", "signature"),
]
MESSAGES = st.one_of(
    st.builds(
        message_delta,
        st.sampled_from([0, 0, 0, 1]),
        st.sampled_from([DELTAS[0], *DELTAS]),
        TEXTS,
        st.sampled_from([{}, {}, {}, {"text": "b"}, {"thinking": "a"}]),
    ),
    st.builds(
        lambda index, block: {
            "type": "content_block_start",
            "index": index,
            "content_block": block,
        },
        st.sampled_from([0, 0, 1]),
        st.sampled_from(BLOCKS),
    ),
    st.sampled_from([0, 1]).map(lambda index: {"type": "content_block_stop", "index": index}),
    st.sampled_from(
        [
            {"type": "ping"},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}},
            {"type": "message_stop"},
            {"type": "error", "error": {}},
        ]
    ),
)
BEGUN: list[dict[str, Any]] = [
    {"type": "message_start", "message": {"id": "m", "model": "v", "content": []}},
    {"type": "content_block_start", "index": 0, "content_block": BLOCKS[0]},
]
SPOKEN = [
    "response.output_text.delta",
    "response.reasoning_summary_text.delta",
    "response.reasoning_text.delta",
    "response.refusal.delta",
    "response.function_call_arguments.delta",
    "response.custom_tool_call_input.delta",
    "keepalive",
]
RESPONSES = st.one_of(
    st.builds(
        lambda kind, said, more, item: {"type": kind, **item, "delta": said, **more},
        st.sampled_from([*SPOKEN[:1] * 4, *SPOKEN]),
        st.one_of(TEXTS, TEXTS, TEXTS, TEXTS, st.sampled_from([{"a": 1}, None, 5])),
        st.one_of(
            st.just({}),
            st.builds(lambda padding: {"logprobs": [], "obfuscation": padding}, TEXTS),
            st.just({"logprobs": [{"token": "a", "logprob": -0.5, "top_logprobs": []}]}),
        ),
        st.sampled_from([{"item_id": "msg_1", "output_index": 0}, {"output_index": 1}]),
    ),
    st.builds(
        lambda index, kind: {
            "type": "response.output_item.added",
            "output_index": index,
            "item": {**ITEM, "type": kind},
        },
        st.sampled_from([0, 1]),
        st.sampled_from(["message", "reasoning", "function_call"]),
    ),
    st.sampled_from(
        [
            {"type": "keepalive"},
            {"type": "response.output_text.done", "text": "a"},
            {"type": "response.content_part.done", "part": {"type": "output_text", "text": "a"}},
            {"type": "response.output_item.done", "output_index": 0, "item": ITEM},
            {"type": "response.completed", "response": ENDED},
            {"type": "error", "code": "server_error"},
        ]
    ),
)
CREATED: list[dict[str, Any]] = [
    {"type": "response.created", "response": RESPONSE},
    {"type": "response.output_item.added", "output_index": 0, "item": ITEM},
]


def numbered(events: list[dict[str, Any]], first: bool) -> list[dict[str, Any]]:
    """Each with its number, at its beginning or at its end."""
    return [
        {"type": event["type"], "sequence_number": at, **event}
        if first
        else {**event, "sequence_number": at}
        for at, event in enumerate(events)
    ]


class Parsing(StreamRelay):
    """One that parses each event, and takes no short way."""

    def __init__(self, reader: LikenessReader) -> None:
        super().__init__(_Parsed(reader), judge, judge)


class _Parsed:
    likeness = None

    def __init__(self, reader: LikenessReader) -> None:
        self.read = reader._read
        self.terminator = reader.terminator


def judge(_: str) -> str | None:
    return None


def writer() -> ResponsesWriter:
    given = openai_responses_given.given(b'{"model":"m","input":"a"}', previous=None, stored=True)
    return ResponsesWriter(Progress("resp_ab", 1), given, clock=lambda: 0)


def told(events: Sequence[Event], app: Writer) -> Iterator[Event]:
    """As the app gets it."""
    for event in events:
        if isinstance(event, Relayed):
            yield Relayed(
                app.relay(event.data), event.text, event.pieces, event.binding, event.block
            )
        else:
            yield event


def both_ways(
    make: Callable[[], LikenessReader],
    apps: tuple[Writer, Writer],
    events: list[bytes],
    breaks: bool,
) -> None:
    """Each event says what it says where all are parsed; at the end, and where the stream breaks
    off, both stand at the same place.
    """
    short, long = StreamRelay(make(), judge, judge), Parsing(make())
    for event in events:
        if long.ended:
            break
        # What is not plain is still to be fed, and is what has been asked for nothing.
        plain = short.plain((event,))
        said = short.feed(event) if plain is None else [plain]
        assert list(told(said, apps[0])) == list(told(long.feed(event), apps[1]))
        assert (short.started, short.flowing, short.ended, short.finished) == (
            *(long.started, long.flowing, long.ended, long.finished),
        )
    if not long.ended:
        failure = Failed(FailureKind.TRUNCATED, "broken")
        ends = [one.broken(failure) if breaks else one.end() for one in (short, long)]
        assert list(told(ends[0], apps[0])) == list(told(ends[1], apps[1]))


def message(index: int, said: str) -> dict[str, Any]:
    found: dict[str, Any] = message_delta(index, DELTAS[0], said, {})
    return found


_SAYS, _PING, _STOP = message(0, "a"), {"type": "ping"}, {"type": "content_block_stop", "index": 0}


@given(st.lists(st.tuples(MESSAGES, STYLES), max_size=14), st.booleans())
@example([(_SAYS, 0), (_STOP, 0), (_SAYS, 0), (_PING, 0)], True)
@example([(_SAYS, 0), (_PING, 0), (_SAYS, 0)], False)
@example([(_SAYS, 0), ({**BEGUN[1], "content_block": BLOCKS[2]}, 0), (_SAYS, 0)], True)
def test_messages_say_the_same(drawn: list[tuple[dict[str, Any], int]], breaks: bool) -> None:
    """Any events in any order, in the ways that they may be written."""
    styled = [(event, 0) for event in BEGUN] + drawn
    pieces = [written(event, style) for event, style in styled]
    both_ways(lambda: MessageReader("m", typed=False), (Writer(), Writer()), pieces, breaks)


@given(
    st.lists(st.tuples(RESPONSES, STYLES), max_size=14),
    *(st.booleans(), st.booleans()),
)
def test_responses_say_the_same(
    drawn: list[tuple[dict[str, Any], int]], first: bool, breaks: bool
) -> None:
    """And whoever goes on with the response knows the same of it."""
    events = numbered([*CREATED, *(event for event, _ in drawn)], first)
    styles = [0] * len(CREATED) + [style for _, style in drawn]
    pieces = [written(event, style) for event, style in zip(events, styles, strict=True)]
    short, long = writer(), writer()
    both_ways(lambda: ResponseReader("m", typed=False), (short, long), pieces, breaks)
    assert short.progress == long.progress


BYTES = st.one_of(
    TEXTS.map(lambda text: json.dumps(text)[1:-1].encode()),
    st.sampled_from([b"", b"7", b"07", b"-1", b"1.5", b"12", b"9" * 30, b"x", b"null", b"\xff"]),
    st.sampled_from([b'","b":"', b"\\", b'a","obfuscation":"', b'5,"b":6', b"\\u000a", b"\n\n"]),
    st.binary(max_size=2),
)


@given(st.booleans(), st.lists(st.tuples(BYTES, BYTES, BYTES), max_size=6))
@example(True, [(b"1", b"07", b"b")])
@example(False, [(b"1", b"07", b"b")])
@example(False, [(b"a", b"8", b'","b":"')])
@example(False, [(b"a", b'8,"b":5', b"b")])
def test_what_need_be_no_json_says_the_same(
    first: bool, drawn: list[tuple[bytes, bytes, bytes]]
) -> None:
    """Whatever bytes stand where something may differ."""
    begin = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta",'
    said, number, rest = b'"delta":"%b",', b'"sequence_number":%b,', b'"obfuscation":"%b"}\n\n'
    pieces = [written(one) for one in CREATED]
    for text, at, padding in ((b"a", b"3", b"xx"), *drawn):
        told = (number % at, said % text) if first else (said % text, number % at)
        pieces.append(b"".join((begin, *told, rest % padding)))
    both_ways(lambda: ResponseReader("m", typed=False), (Writer(), Writer()), pieces, breaks=True)


CHATS: list[Callable[[str], dict[str, Any]]] = [
    lambda said: {"delta": {"content": said}},
    lambda said: {"delta": {"reasoning": said}},
    lambda said: {"delta": {"content": said, "refusal": "no"}},
    lambda said: {"delta": {"content": said}, "finish_reason": "stop"},
]


@given(st.lists(st.tuples(st.sampled_from([CHATS[0], *CHATS]), TEXTS), max_size=14), st.booleans())
@example([(CHATS[0], "a"), (CHATS[3], "a"), (CHATS[3], "b")], True)
@example([(CHATS[2], "a"), (CHATS[2], "b")], True)
def test_chats_say_the_same(
    drawn: list[tuple[Callable[[str], dict[str, Any]], str]], breaks: bool
) -> None:
    """Of thoughts, and where there is more in a chunk than it says."""
    pieces = []
    for shape, said in drawn:
        chunk = {"model": "v", "choices": [{"index": 0, **shape(said)}]}
        payload = json.dumps(chunk, ensure_ascii=False).encode("utf-8", "surrogatepass")
        pieces.append(b"data: " + payload + b"\n\n")
    both_ways(lambda: ChatReader("m", typed=False), (Writer(), Writer()), pieces, breaks)


def spoken(kind: str, at: int, said: str) -> dict[str, Any]:
    place = {"type": kind, "sequence_number": at + 9, "item_id": "msg_1"}
    return {**place, "delta": said, "logprobs": [], "obfuscation": "x" * at}


def flows(
    reader: LikenessReader,
    begun: list[dict[str, Any]],
    say: Callable[[int, str], dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> list[Relayed]:
    """What is said in words of all sorts without parsing, behind the first."""
    stream = StreamRelay(reader, judge, judge)
    for event in [*begun, say(0, "first")]:
        stream.feed(written(event))
    monkeypatch.setattr(reader, "_read", None)
    found = []
    for at, said in enumerate(WORDS, 1):
        piece = written(say(at, said))
        plain = stream.plain((piece,))
        assert plain is not None
        assert plain.data == piece
        found.append(plain)
    return found


WORDS = ["word", "\n\n", '{"a', "é日本"]
TOLD = [(word, 1) for word in WORDS]
UNTOLD = [("", 0) for _ in WORDS]


@pytest.mark.parametrize("place", range(3))
def test_a_delta_of_a_message_that_is_like_another_is_not_parsed(
    place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Be it of a text, of a thought or of a call, and with letters that are escaped."""
    begun = [BEGUN[0], {**BEGUN[1], "content_block": BLOCKS[place]}]
    reader = MessageReader("m", typed=False)
    found = flows(
        reader, begun, lambda _, said: message_delta(0, DELTAS[place], said, {}), monkeypatch
    )
    assert [(one.text, one.pieces) for one in found] == (UNTOLD if place else TOLD)
    assert {one.binding for one in found} == {place == 2}


@pytest.mark.parametrize("kind", SPOKEN[:-1])
def test_a_delta_of_a_response_that_is_like_another_is_not_parsed(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its number, and what it is filled up with."""
    reader = ResponseReader("m", typed=False)
    found = flows(reader, CREATED, partial(spoken, kind), monkeypatch)
    assert [(one.text, one.pieces) for one in found] == (TOLD if kind == SPOKEN[0] else UNTOLD)
    assert {one.binding for one in found} == {kind not in SPOKEN[:3]}


def test_a_thought_in_a_chat_that_is_like_another_is_not_parsed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = ChatReader("m", typed=False)
    body = b'{"model":"m","choices":[{"index":0,"delta":{"reasoning_content":"%b"}}]}'
    reader.read(body % b"first")
    monkeypatch.setattr(reader, "_read", None)
    chunk = reader.read(body % b"\\n")
    assert (chunk.text, chunk.unspoken, chunk.content) == ("", "\n", True)


def test_each_block_is_learnt_anew() -> None:
    """Of an answer with many of them the last flows as the first."""
    stream = StreamRelay(MessageReader("m", typed=False), judge, judge)
    stream.feed(written(BEGUN[0]))
    for index in range(12):
        stream.feed(written({**BEGUN[1], "index": index}))
        stream.feed(written(message(index, "a")))
        plain = stream.plain((written(message(index, "b")),))
        assert plain is not None
        assert plain.block == index
        stream.feed(written({"type": "content_block_stop", "index": index}))
        assert stream.plain((written(message(index, "b")),)) is None
