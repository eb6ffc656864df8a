"""What an app was answered, put together again from the bytes that it was sent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import structs

from gateway.domain.call import Api, Call, Chat, Message
from gateway.domain.events import (
    Called,
    Continued,
    Delta,
    Finished,
    FinishReason,
    Relayed,
    Started,
    Usage,
)
from gateway.engine.attempt import Told
from gateway.engine.heard import Heard, HeardCall
from gateway.readiness.canary.overheard import EACH, MOST, Overheard
from tests.simulators.anthropic_speech import AnthropicSpeech
from tests.simulators.openai_responses_speech import ResponsesSpeech
from tests.simulators.openai_speech import OpenAISpeech
from tests.simulators.openai_texts import CompletionsSpeech
from tests.simulators.speech import Speech

SPEECHES: dict[Api, type[Speech]] = {
    Api.CHAT: OpenAISpeech,
    Api.COMPLETIONS: CompletionsSpeech,
    Api.RESPONSES: ResponsesSpeech,
    Api.MESSAGES: AnthropicSpeech,
}
WORDS = ("one", " two", " zwölf", ' "four"', " five", " six")
CALLS = [api for api in SPEECHES if api is not Api.COMPLETIONS]
ENDED: Sequence[Told] = (Usage(3, 4), Finished((FinishReason.STOP,)))


def call(api: Api, stream: bool) -> Call:
    task = Chat((Message("user", "hi"),))
    return Call("id", api, "asked", stream, b"{}", task, received=0.0, deadline=1.0)


def overheard(api: Api, stream: bool, batches: Sequence[Sequence[Told]]) -> Heard | None:
    found = Overheard(call(api, stream))
    for batch in batches:
        found.take(batch)
    return found.heard()


def written(api: Api, stream: bool, **options: Any) -> list[bytes]:
    asked = {"model": "asked", "stream": stream, "messages": [], "input": "hi", "prompt": "hi"}
    answer = SPEECHES[api](asked, options).answer()
    return list(answer.pieces)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
@pytest.mark.parametrize("api", SPEECHES)
def test_a_text_in_each_api(api: Api, stream: bool) -> None:
    pieces = written(api, stream, words=WORDS)
    heard = overheard(api, stream, [[Started()], *([Relayed(one)] for one in pieces), ENDED])
    assert heard is not None
    assert heard.text == "".join(WORDS)
    assert (heard.calls, heard.reason, heard.usage) == ((), FinishReason.STOP, Usage(3, 4))


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
@pytest.mark.parametrize("api", CALLS)
def test_a_call_in_each_api(api: Api, stream: bool) -> None:
    pieces = written(api, stream, tool=("weather", {"city": "Paris"}))
    heard = overheard(api, stream, [[Relayed(one) for one in pieces], ENDED])
    assert heard is not None
    assert [(one.name, json.loads(one.arguments)) for one in heard.calls] == [
        ("weather", {"city": "Paris"})
    ]


def test_bytes_that_came_in_any_pieces() -> None:
    data = b"".join(written(Api.CHAT, True, words=WORDS))
    single = [[Relayed(data[at : at + 1])] for at in range(len(data))]
    heard = overheard(Api.CHAT, True, [*single, ENDED])
    assert heard is not None
    assert heard.text == "".join(WORDS)


def test_an_answer_that_another_target_went_on_with() -> None:
    """The beginning as the vendor wrote it, the rest as events."""
    begun = written(Api.CHAT, True, words=WORDS)[:4]
    told: list[Told] = [Continued(), Delta(" and more"), Called(0, "{}", "c", "f")]
    heard = overheard(Api.CHAT, True, [[Relayed(one) for one in begun], told, ENDED])
    assert heard is not None
    assert heard.text.endswith(" and more")
    assert heard.text.startswith("one two")
    assert heard.calls == (HeardCall("f", "{}"),)


def test_what_is_too_long_is_not_kept() -> None:
    found = Overheard(call(Api.CHAT, True))
    for _ in range(3):
        found.take([Relayed(b"x" * (MOST // 2))])
    found.take(ENDED)
    assert found.heard() is None
    assert found._told == []


def test_letters_that_come_one_by_one_take_more_than_their_text() -> None:
    found = Overheard(call(Api.CHAT, True))
    for _ in range(MOST // EACH):
        found.take([Delta("x")])
    assert found._told == []


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
def test_what_cannot_be_read_is_not_known(stream: bool) -> None:
    data = b"data: nonsense\n\n" if stream else b"nonsense"
    assert overheard(Api.CHAT, stream, [[Relayed(data)], ENDED]) is None


def test_what_goes_onward_by_itself_is_overheard_where_it_was_taken() -> None:
    """What the app did not take then comes with the next events, and is heard once."""
    takes = iter((True, False, True))
    asked = structs.replace(call(Api.CHAT, True), onward=lambda _: next(takes))
    found = Overheard(asked)
    onward = found.asked(asked).onward
    assert onward is not None
    pieces = [Relayed(piece) for piece in written(Api.CHAT, True, words=WORDS)]
    first, second, third, *rest = pieces
    assert onward(first)
    assert not onward(second)
    found.take((second,))
    assert onward(third)
    found.take((*rest, *ENDED))
    heard = found.heard()
    assert heard is not None
    assert heard.text == "".join(WORDS)


def test_who_takes_nothing_onward_is_left_alone() -> None:
    asked = call(Api.CHAT, True)
    assert Overheard(asked).asked(asked) is asked
