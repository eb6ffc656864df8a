"""Long chats are looked through: that tells the same of them as reading does, and reads nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.access.estimate import ask
from gateway.domain.call import Api, Call, Chat, Unread
from gateway.engine.sent import Sent
from gateway.errors import InvalidRequest
from gateway.wire.model_name import LONG
from gateway.wire.openai_chat import ChatRequest, parse
from gateway.wire.openai_relay import OpenAISpeech
from gateway.wire.sent import joined
from tests.wire.test_openai_passing import TARGET

PNG = "data:image/png;base64,iVBORw0KGgo="
TEXT = 'def read(path):\n\treturn "naïve – C:\\temp"\n'
CALL = {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"at": "é"}'}}
MESSAGES: dict[str, list[dict[str, Any]]] = {
    "texts": [{"role": "system", "content": TEXT}, {"role": "user", "content": "x"}],
    "nothing": [{"role": "assistant", "content": ""}, {"role": "user", "content": ""}],
    "a refusal": [{"role": "assistant", "content": None, "refusal": TEXT}],
    "a text beside a refusal": [{"role": "assistant", "content": "x", "refusal": None}],
    "nothing but thoughts": [{"role": "assistant", "reasoning_content": TEXT}],
    "nothing but audio": [{"role": "assistant", "audio": {"id": "a"}}],
    "a function that gave nothing": [{"role": "function", "name": "look", "content": None}],
    "parts": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": TEXT},
                {"type": "image_url", "image_url": {"url": PNG}},
                {"type": "refusal", "refusal": "no"},
                {"type": "text", "text": None},
            ],
        }
    ],
    "no parts": [{"role": "user", "content": []}],
    "other parts": [{"role": "user", "content": [{"type": "input_audio"}, {"type": "file"}]}],
    "calls": [
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": TEXT, "tool_call_id": "c"},
    ],
    "custom calls": [{"role": "assistant", "tool_calls": [{"id": "c", "type": "custom"}]}],
    "older calls": [
        {"role": "assistant", "function_call": {"name": "look", "arguments": "{}"}},
        {"role": "function", "name": "look", "content": TEXT},
    ],
    "thoughts": [{"role": "assistant", "content": "x", "reasoning_content": TEXT}],
    "audio": [{"role": "assistant", "content": "x", "audio": {"id": "a"}}],
    "a name": [{"role": "user", "content": "x", "name": "Ann"}],
}
AROUND: dict[str, Any] = {
    "max_tokens": 7,
    "n": 2,
    "tools": [{"type": "function", "function": {"name": "look", "description": TEXT}}],
    "response_format": {"type": "json_object"},
    "reasoning_effort": "low",
}


def written(messages: list[dict[str, Any]], *, long: bool, escaped: bool = False) -> bytes:
    """With the same messages, as a body that is looked through, or one that is read."""
    filling = {"ignored": "y" * LONG} if long else {}
    members = {"model": "m", "messages": messages, "stream": True, **AROUND, **filling}
    return json.dumps(members, ensure_ascii=escaped).encode()


def call(request: ChatRequest, body: bytes = b"") -> Call:
    return Call("r", Api.CHAT, "m", True, body, request.asked, 0, 60, alone=request.alone)


@pytest.mark.parametrize("messages", MESSAGES.values(), ids=MESSAGES)
def test_it_tells_what_reading_tells(messages: list[dict[str, Any]]) -> None:
    """Of the same messages; and of the tokens that they could use rather more, by their escapes."""
    skimmed, read = (parse(written(messages, long=long)) for long in (True, False))
    assert isinstance(skimmed.asked, Unread)
    assert isinstance(read.asked, Chat)
    for name in ("model", "stream", "include_usage", "functions", "needs", "session"):
        assert getattr(skimmed, name) == getattr(read, name), name
    assert skimmed.chat == read.chat
    more, exact = ask(call(skimmed)), ask(call(read))
    escapes = json.dumps(messages, ensure_ascii=False).count("\\")
    assert exact.prompt <= more.prompt <= exact.prompt + escapes
    assert more.answer == exact.answer == 14


@pytest.mark.parametrize(
    "wrong",
    [
        {"content": 3},
        {"content": {"text": "x"}},
        {"content": [{"type": "text", "text": 3}]},
        {"content": ["x"]},
        {"content": "x", "reasoning_content": []},
        {"content": "x", "refusal": 3},
        {"content": None},
        {},
        {"role": "tool", "tool_call_id": "c"},
        {"role": "assistant", "refusal": ""},
        {"content": [{"type": "image_url"}]},
        {"content": "x", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]},
        {"content": "x", "role": "nobody"},
    ],
    ids=str,
)
def test_what_is_wrong_is_told_as_ever(wrong: dict[str, Any]) -> None:
    """A text that is none, and all else that reading finds, in the same words."""
    told = []
    for long in (True, False):
        with pytest.raises(InvalidRequest) as error:
            parse(written([{"role": "user"} | wrong], long=long))
        told.append((error.value.message, error.value.param, error.value.code))
    assert told[0] == told[1]


@pytest.mark.parametrize("fault", [rb'"\x"', rb'"\ud800"', b'"a\nb"', b'"x'])
def test_texts_are_json(fault: bytes) -> None:
    """Though nobody reads them: an escape that is none would be the vendor's to find."""
    body = written([{"role": "user", "content": "x"}], long=True).replace(b'"x"', fault)
    with pytest.raises(InvalidRequest) as error:
        parse(body)
    assert error.value.code == "invalid_json"


def test_letters_that_are_spelt_out_are_counted() -> None:
    """Six bytes for one of three: the estimate is that of the text, not of how it is written."""
    messages = [{"role": "user", "content": "漢字" * 2000}]
    spelt, plain = (written(messages, long=True, escaped=escaped) for escaped in (True, False))
    assert len(spelt) > 1.5 * len(plain)
    assert ask(call(parse(spelt))) == ask(call(parse(plain)))


def test_nothing_is_read_for_a_vendor_of_the_dialect() -> None:
    """The limits' estimate, the way of the answer and the body for the vendor: without a text."""

    def read() -> Chat:
        pytest.fail("somebody reads the messages")

    body = written(MESSAGES["calls"], long=True)
    request = parse(body)
    assert isinstance(request.asked, Unread)
    unread = call(replace(request, asked=replace(request.asked, read=read)), body)
    assert ask(unread).prompt > 0
    assert Sent(unread, continuation=True).rest() is unread
    sent = OpenAISpeech().request(unread, TARGET)
    assert json.loads(joined(sent)) == json.loads(body) | {"model": TARGET.model}


def test_it_is_read_once() -> None:
    request = parse(written(MESSAGES["texts"], long=True))
    assert call(request).task is request.chat


def test_bytes_that_are_no_text_are_told_to_who_reads_them() -> None:
    """A vendor of the dialect judges them by itself."""
    body = written([{"role": "user", "content": "x"}], long=True).replace(b'"x"', b'"\xff"')
    request = parse(body)
    with pytest.raises(InvalidRequest) as error:
        call(request).task  # noqa: B018 - to read it is what is tried
    assert error.value.code == "invalid_json"
