"""Long chats of the Anthropic dialect are looked through: that tells the same of them as reading
does, and reads nothing.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.access.estimate import ask
from gateway.domain.call import Api, Call, Chat, Unread
from gateway.engine.sent import Sent
from gateway.errors import InvalidRequest
from gateway.wire.anthropic_messages import MessagesRequest, parse
from gateway.wire.anthropic_relay import AnthropicSpeech
from gateway.wire.model_name import LONG
from gateway.wire.sent import joined
from tests.wire.test_openai_passing import TARGET

CODE = 'def read(path):\n\treturn "naïve – C:\\temp"\n'
TEXT = {"type": "text", "text": CODE}
KEPT = TEXT | {"cache_control": {"type": "ephemeral"}, "citations": None}
PNG = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
IMAGE = {"type": "image", "source": PNG}
OTHER_IMAGE = {"type": "image", "source": PNG | {"media_type": "image/tiff"}}
LINK = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
THINKING = {"type": "thinking", "thinking": CODE, "signature": "real"}
HIDDEN = {"type": "redacted_thinking", "data": "abc"}
CALL = {"type": "tool_use", "id": "c", "name": "look", "input": {"at": CODE, "of": {"é": [1]}}}
RESULT = {"type": "tool_result", "tool_use_id": "c", "content": CODE}
SPEECH = AnthropicSpeech()
HELLO = {"role": "user", "content": "héllo\n"}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


MESSAGES: dict[str, list[dict[str, Any]]] = {
    "a text": [HELLO],
    "texts": [user(TEXT, KEPT, {"type": "text", "text": ""})],
    "no blocks": [user(), assistant(), user()],
    "images": [user(TEXT, IMAGE, TEXT, LINK, OTHER_IMAGE)],
    "a system's turn": [HELLO, {"role": "system", "content": [TEXT]}, HELLO],
    "calls": [
        HELLO,
        assistant(THINKING, HIDDEN, TEXT, CALL, CALL | {"caller": {"type": "direct"}}),
        user(RESULT, RESULT | {"tool_use_id": "d"}),
    ],
    "results of all kinds": [
        user(
            {"type": "tool_result", "tool_use_id": "c"},
            RESULT | {"is_error": True},
            RESULT | {"content": []},
            RESULT | {"content": [TEXT, TEXT], "is_error": False},
            TEXT,
        )
    ],
    "an image that a tool gave back": [user(RESULT | {"content": [TEXT, IMAGE]})],
    "what is out of place": [assistant(IMAGE, RESULT), user(CALL, THINKING), user(TEXT)],
}
READ: dict[str, list[dict[str, Any]]] = {
    "the beginning of the answer": [HELLO, assistant(TEXT)],
    "a file": [user({"type": "image", "source": {"type": "file", "file_id": "f"}})],
    "a document": [user({"type": "document", "source": {"type": "url", "url": "u"}})],
    "a text that is cited from": [
        user(
            {
                "type": "document",
                "source": {"type": "content", "content": [TEXT, IMAGE]},
                "citations": {"enabled": True},
            }
        )
    ],
    "what was found": [
        user({"type": "search_result", "source": "s", "title": "t", "content": [TEXT]})
    ],
    "a server's tools": [
        assistant({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}),
        HELLO,
    ],
    "something new": [user({"type": "hologram", "text": "x"})],
    "a new member": [user(TEXT | {"hologram": 1})],
    "what others thought": [assistant(THINKING | {"signature": ""}, TEXT), HELLO],
    "a result that is an object": [user(RESULT | {"content": {"a": 1}})],
    "a member of other blocks": [user(TEXT | {"content": [IMAGE]})],
}
AROUND: dict[str, Any] = {
    "max_tokens": 7,
    "system": [TEXT, KEPT],
    "tools": [{"name": "look", "description": CODE, "input_schema": {"type": "object"}}],
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
    "metadata": {"user_id": "u"},
    "thinking": {"type": "adaptive", "display": "omitted"},
    "stop_sequences": ["x"],
}


def written(
    messages: list[dict[str, Any]], *, long: bool, escaped: bool = False, **around: Any
) -> bytes:
    """With the same messages, as a body that is looked through, or one that is read."""
    filling = {"ignored": "y" * LONG} if long else {}
    members = {"model": "m", "messages": messages, "stream": True, **AROUND, **around, **filling}
    return json.dumps(members, ensure_ascii=escaped).encode()


def call(request: MessagesRequest, body: bytes = b"") -> Call:
    return Call("r", Api.MESSAGES, "m", True, body, request.asked, 0, 60, alone=request.alone)


def same(skimmed: MessagesRequest, read: MessagesRequest) -> None:
    for name in ("model", "stream", "needs", "user", "discreet"):
        assert getattr(skimmed, name) == getattr(read, name), name
    assert skimmed.chat == read.chat


@pytest.mark.parametrize("system", [None, "", "Be héllo.\n", [], [TEXT, KEPT]], ids=str)
@pytest.mark.parametrize("messages", MESSAGES.values(), ids=MESSAGES)
def test_it_tells_what_reading_tells(messages: list[dict[str, Any]], system: Any) -> None:
    """Of the same messages; and of the tokens that they could use rather more: by their escapes,
    and by line ends between texts.
    """
    skimmed, read = (parse(written(messages, long=long, system=system)) for long in (True, False))
    assert isinstance(skimmed.asked, Unread)
    assert skimmed.alone
    assert isinstance(read.asked, Chat)
    same(skimmed, read)
    if messages is MESSAGES["what is out of place"]:
        return
    more, exact = ask(call(skimmed)), ask(call(read))
    told = json.dumps([messages, system], ensure_ascii=False)
    assert exact.prompt <= more.prompt <= exact.prompt + told.count("\\") + told.count('"text"')
    assert more.answer == exact.answer == 7


@pytest.mark.parametrize("messages", READ.values(), ids=READ)
def test_what_is_rare_is_read(messages: list[dict[str, Any]]) -> None:
    long, short = (parse(written(messages, long=long)) for long in (True, False))
    assert isinstance(long.asked, Chat)
    same(long, short)
    assert ask(call(long)) == ask(call(short))


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        [{"role": "nobody", "content": "x"}],
        [{"role": "user"}],
        [{"role": "user", "content": None}],
        [user("x")],
        [user({"text": "x"})],
        [user(TEXT, {"type": "text"})],
        [user({"type": "text", "text": None})],
        [user({"type": "text", "text": 3})],
        [user(TEXT | {"content": 3})],
        [user(TEXT | {"is_error": "x"})],
        [user(TEXT | {"citations": 3})],
        [user({"type": "image"})],
        [user({"type": "image", "source": {"type": "base64", "data": "x"}})],
        [user({"type": "image", "source": {"type": "url", "url": ""}})],
        [user(RESULT | {"tool_use_id": ""})],
        [user({"type": "tool_result", "content": "x"})],
        [user(RESULT | {"content": 3})],
        [user(RESULT | {"content": [TEXT, 3]})],
        [user(RESULT | {"content": [TEXT, {"type": "text"}]})],
        [user(RESULT | {"content": [{"type": "image", "source": "x"}]})],
        [assistant(CALL | {"input": "x"}), HELLO],
        [assistant({"type": "tool_use", "id": "c", "name": "look"}), HELLO],
        [assistant(CALL | {"id": ""}), HELLO],
        [assistant({"type": "tool_use", "id": "c", "input": {}}), HELLO],
        [assistant(THINKING | {"thinking": 3}), HELLO],
    ],
    ids=str,
)
def test_what_is_wrong_is_told_as_ever(wrong: list[dict[str, Any]]) -> None:
    assert told(wrong, long=True) == told(wrong, long=False)


@pytest.mark.parametrize(
    "around",
    [
        {"max_tokens": None},
        {"model": ""},
        {"model": 3},
        {"system": 3},
        {"system": [{"type": "text"}]},
        {"temperature": 2},
        {"tools": [{"name": "look"}]},
        {"tool_choice": {"type": "tool", "name": "nobody"}},
        {"thinking": {"type": "enabled"}},
    ],
    ids=str,
)
def test_what_is_wrong_around_is_told_as_ever(around: dict[str, Any]) -> None:
    calls = MESSAGES["calls"]
    assert told(calls, long=True, **around) == told(calls, long=False, **around)


def told(messages: list[dict[str, Any]], *, long: bool, **around: Any) -> tuple[str | None, ...]:
    with pytest.raises(InvalidRequest) as error:
        parse(written(messages, long=long, **around))
    return error.value.message, error.value.param, error.value.code


@pytest.mark.parametrize("fault", [rb'"\x"', rb'"\ud800"', b'"a\nb"', b'"x'])
def test_texts_are_json(fault: bytes) -> None:
    """Though nobody reads them: an escape that is none would be the vendor's to find."""
    body = written([user({"type": "text", "text": "x"})], long=True, stop_sequences=None)
    with pytest.raises(InvalidRequest) as error:
        parse(body.replace(b'"x"', fault))
    assert error.value.code == "invalid_json"


def test_letters_that_are_spelt_out_are_counted() -> None:
    """Six bytes for one of three: the estimate is that of the text, not of how it is written."""
    messages = [user({"type": "text", "text": "漢字" * 2000})]
    spelt, plain = (
        written(messages, long=True, escaped=escaped, system=None) for escaped in (True, False)
    )
    assert len(spelt) > 1.5 * len(plain)
    assert ask(call(parse(spelt))).prompt <= ask(call(parse(plain))).prompt + 1


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
    sent = SPEECH.request(unread, TARGET)
    assert isinstance(sent, tuple)
    assert json.loads(joined(sent)) == json.loads(body) | {"model": TARGET.model}


def test_thinking_of_other_targets_is_taken_out_of_what_is_long() -> None:
    body = written([*READ["what others thought"]], long=True)
    sent = json.loads(joined(SPEECH.request(call(parse(body), body), TARGET)))
    assert sent["messages"] == [assistant(TEXT), HELLO]


def test_bytes_that_are_no_text_are_told_to_who_reads_them() -> None:
    """A vendor of the dialect judges them by itself."""
    body = written([user({"type": "text", "text": "!"})], long=True).replace(b'"!"', b'"\xff"')
    request = parse(body)
    with pytest.raises(InvalidRequest) as error:
        call(request).task  # noqa: B018 - to read it is what is tried
    assert error.value.code == "invalid_json"
