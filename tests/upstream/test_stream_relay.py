"""The events that a stream's bytes make, without a socket."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.domain.events import Event, Failed, FailureKind, Finished, Relayed, Started
from gateway.upstream.stream import StreamRelay
from gateway.wire.openai_relay import ChatReader

DONE = b"data: [DONE]\n\n"


def chunk(delta: object = None, *, model: str = "v", **more: object) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta}]
    return b"data: " + json.dumps({"model": model, "choices": choices, **more}).encode() + b"\n\n"


def relay(seen: list[str] | None = None) -> StreamRelay:
    def judge(model: str) -> str | None:
        if seen is not None:
            seen.append(model)
        return "denied" if model == "evil" else None

    def judge_provider(provider: str) -> str | None:
        return judge(f"by {provider}")

    return StreamRelay(ChatReader("m", typed=False), judge, judge_provider)


def kinds(events: list[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


def test_what_holds_no_choice_starts_nothing() -> None:
    """A vendor that opens with a report of its filters has not begun to answer."""
    seen: list[str] = []
    stream = relay(seen)
    assert stream.feed(chunk(model="", prompt_filter_results=[])) == []
    assert not stream.started
    assert stream.feed(chunk({"role": "assistant", "content": ""})) == [Started("v")]
    assert seen == ["v"]
    relayed = stream.feed(chunk({"content": "a"}))[0]
    assert isinstance(relayed, Relayed)
    assert relayed.data.count(b"data: ") == 3


def test_a_terminator_without_an_answer_is_malformed() -> None:
    """``[DONE]`` after nothing but usage ends no answer."""
    events = relay().feed(chunk(usage={"prompt_tokens": 1, "completion_tokens": 0}) + DONE)
    assert events[-1] == Failed(FailureKind.MALFORMED, "the stream is not the API's shape")


def test_events_of_one_read_are_one_piece() -> None:
    """What arrives together is relayed together."""
    events = relay().feed(chunk({"content": "a"}) + chunk({"content": "b"}) + DONE)
    assert kinds(events) == [Started, Relayed, Finished]
    assert isinstance(events[1], Relayed)
    assert (events[1].text, events[1].pieces) == ("ab", 2)


def test_reasoning_flows() -> None:
    """An app that shows a model's thoughts does not wait for the answer behind them."""
    assert kinds(relay().feed(chunk({"reasoning_content": "hm"}))) == [Started, Relayed]


def test_a_model_that_changes_is_judged_again() -> None:
    """A denied model in a later event ends the stream, and its event is not relayed."""
    stream = relay()
    stream.feed(chunk({"content": "a"}))
    assert stream.feed(chunk({"content": "b"}, model="evil")) == [
        Failed(FailureKind.ANSWERED_BY_DENIED, "denied")
    ]


def test_an_opening_without_end_is_not_held() -> None:
    """Role events for ever do not fill the memory."""
    stream = relay()
    one = chunk({"role": "assistant", "content": ""}, padding="x" * 1_000_000)
    events = [event for _ in range(5) if not stream.ended for event in stream.feed(one)]
    assert isinstance(events[-1], Failed)
    assert events[-1].message == "what holds no answer is too long"


_TEXTS = st.sampled_from(["a", "hello", "é日本", '"', "\\", "\n", "", " v", "\x7f", "\ud83d"])
_DELTAS = st.one_of(
    st.dictionaries(st.sampled_from(["content", "reasoning"]), _TEXTS, max_size=1),
    st.builds(lambda text: {"content": text, "refusal": "no"}, _TEXTS),
)
_EVENTS = st.one_of(
    st.builds(chunk, _DELTAS),
    st.builds(chunk, _DELTAS, obfuscation=st.text("xy\n", max_size=3)),
    st.builds(chunk, _DELTAS, model=st.sampled_from(["v", "w", "", "evil"])),
    st.builds(chunk, _DELTAS, provider=st.sampled_from(["p", "q"])),
    st.builds(chunk, usage=st.just({"prompt_tokens": 1, "completion_tokens": 2})),
    st.sampled_from([DONE, b": ping\n\n", b"data: {}\n\n", b"\n", chunk({"content": "b"})[:-1]]),
    st.just(b'data: {"model":"v","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'),
    st.binary(max_size=3).map(
        lambda some: chunk({"content": "cut"}).replace(b"cut", some.replace(b"\r", b""))
    ),
)


_A, _B = chunk({"content": "a"}), chunk({"content": "b"})
_LAST = b'data: {"model":"v","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
_BY = [chunk({"content": text}, provider="p") for text in "ab"]


@given(st.lists(_EVENTS, max_size=12))
@example([_A, _LAST, _B, DONE])
@example([_A, chunk({"reasoning": "c"}, model="w"), _B])
@example([_BY[0], chunk({"reasoning": "c"}, provider="q"), _BY[1]])
@example([_A, _A[:-1], _B, b"\n"])
@example([_A, b": ping\r", _B])
def test_an_event_that_comes_at_once_says_what_it_says_in_pieces(events: list[bytes]) -> None:
    """Only the former may be passed on without being parsed."""
    judged: tuple[list[str], list[str]] = ([], [])
    whole, pieces = map(relay, judged)
    for one in events:
        if whole.ended:
            break
        told = whole.feed(one)
        assert told == [
            *pieces.feed(one[:-1]),
            *(pieces.feed(one[-1:]) if not pieces.ended else ()),
        ]
        assert (whole.started, whole.flowing, whole.ended) == (
            *(pieces.started, pieces.flowing, pieces.ended),
        )
    if not whole.ended:
        assert whole.end() == pieces.end()
    assert judged[0] == judged[1]


def test_an_event_that_is_like_another_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the reason for looking at it twice."""
    stream = relay()
    stream.feed(chunk({"content": "a"}))
    monkeypatch.setattr(stream, "_read", None)
    sent = chunk({"content": "b"}).replace(b'"v"', b'"m"')
    assert stream.feed(chunk({"content": "b"})) == [Relayed(sent, "b", 1)]


@given(st.lists(st.one_of(st.just(_B), st.builds(chunk, _DELTAS), _EVENTS), min_size=1, max_size=6))
@example([_B, _B, _B])
@example([_B, _B[:-1], b"\n"])
@example([_B, DONE])
def test_pieces_that_are_like_one_before_say_what_they_say_together(pieces: list[bytes]) -> None:
    """Each of them alone is an event; and where one is not, none has been taken."""
    short, long = relay(), relay()
    assert short.feed(_A) == long.feed(_A)
    plain, together = short.plain(pieces), b"".join(pieces)
    told = long.feed(together)
    if plain is not None:
        assert [plain] == told
    else:
        assert short.feed(together) == told
    assert all(piece == _B for piece in pieces) <= (plain is not None)
    if not long.ended:
        assert short.feed(_B + DONE) == long.feed(_B + DONE)
