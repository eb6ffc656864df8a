"""The model's name is replaced where that is safe, and nothing else changes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.call import Api, Call
from gateway.domain.events import FinishReason, Usage
from gateway.domain.identity import Identity, Locality
from gateway.domain.target import Target
from gateway.errors import InvalidRequest
from gateway.wire import model_name, openai_chat
from gateway.wire.model_name import LONG
from gateway.wire.model_name import with_model as rewrite
from gateway.wire.openai_relay import ChatReader, OpenAISpeech
from gateway.wire.relay import Answer, VendorError
from gateway.wire.sent import joined


def read_answer(body: bytes) -> Answer:
    return OpenAISpeech().answer(body, "m", typed=False)


read_error = OpenAISpeech().error


def test_the_same_object_where_nothing_changes() -> None:
    """No byte is copied for a model that keeps its name."""
    body = b'{"model":"m","messages":[]}'
    assert rewrite(body, "m", "m") is body


def test_a_body_that_names_another_model_than_was_judged() -> None:
    """What policy judged is what is sent, whatever the bytes say."""
    assert rewrite(b'{"model":"x"}', "m", "m") == b'{"model":"m"}'


def test_a_splice_leaves_every_other_byte() -> None:
    """White space, order and number formats of the rest stay as the app wrote them."""
    body = b'{ "temperature":1.0e0,\n "model" : "m" , "x":123456789012345678901234567890}'
    assert rewrite(body, "m", 'a"b') == body.replace(b'"m"', b'"a\\"b"')


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"evil","model":"m"}',
        b'{"mod\\u0065l":"evil","model":"m"}',
        b'{"metadata":{"model":"m"},"mod\\u0065l":"m"}',
        b'{"metadata":{"model":"m"},"model":"m"}',
        b'{"model":"m","metadata":{"model":5}}',
        b'{"x\\"model":"m","model":"m"}',
        b'{"model":"\\u006d","n":1}',
        b'{"messages":["\\"model\\": \\"m\\""],"model":"m"}',
        b'{"kind":"model","model":"m"}',
        b'{"kind":"MODEL", "model" : "m"}',
    ],
)
@pytest.mark.parametrize("wanted", ["other", "m"])
def test_only_the_top_level_model_changes(body: bytes, wanted: str) -> None:
    """Nested, quoted, escaped and doubled names do not mislead; one top-level model is left."""
    pairs: list[str] = []
    expected = json.loads(body)
    expected["model"] = wanted
    rewritten = rewrite(body, "m", wanted)
    assert json.loads(rewritten) == expected
    json.loads(rewritten, object_pairs_hook=lambda ps: pairs.extend(k for k, _ in ps))
    assert pairs.count("model") == 1 + (b"metadata" in body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"Model":"evil","model":"m"}',
        b'{"model":"m","MODEL":"evil"}',
        b'{"model":"m","m\\u004fdel":"evil"}',
    ],
)
def test_another_case_of_the_key_does_not_reach_the_vendor(body: bytes) -> None:
    """A decoder that ignores case would take it for the model that policy judged."""
    assert json.loads(rewrite(body, "m", "n")) == {"model": "n"}


def _spelled(character: str) -> st.SearchStrategy[str]:
    return st.sampled_from([character, f"\\u{ord(character):04x}", character.upper()])


_KEYS = st.one_of(
    st.just('"model"'),
    st.tuples(*map(_spelled, "model")).map(lambda parts: f'"{"".join(parts)}"'),
    st.text(max_size=6).map(json.dumps),
    st.just(json.dumps('x"model":"m')),
)
_VALUES = st.recursive(
    st.one_of(
        *(st.sampled_from(["m", "evil", '"model":"m"']).map(json.dumps), st.just("1.0e0")),
        st.text(max_size=6).map(json.dumps),
    ),
    lambda inner: st.lists(st.tuples(_KEYS, inner), max_size=3).map(
        lambda pairs: "{" + ", ".join(f"{key} : {value}" for key, value in pairs) + "}"
    ),
    max_leaves=4,
)


_LONG = ('"long"', json.dumps("x" * LONG))


@given(
    st.lists(st.tuples(_KEYS, _VALUES) | st.just(_LONG), max_size=4),
    st.sampled_from(["m", "n", 'q"\\é']),
    st.sampled_from([",:", ", : ", " , :"]),
)
def test_whatever_is_around_it_one_model_is_left(
    pairs: list[tuple[str, str]], wanted: str, apart: str
) -> None:
    """In any object whose model is the one asked for, that one key changes and no other value,
    whether it is searched or, being long, decoded.
    """
    comma, colon = apart[: apart.index(":")], apart[apart.index(":") :]
    members = [f"{key}{colon}{value}" for key, value in [*pairs, ('"model"', '"m"')]]
    body = "{" + comma.join(members) + "}"
    top = json.loads(rewrite(body.encode(), "m", wanted), object_pairs_hook=lambda ps: _Pairs(ps))
    assert [value for key, value in top if key.lower() == "model"] == [wanted]
    expected = {k: v for k, v in json.loads(body).items() if k.lower() != "model"}
    assert json.loads(rewrite(body.encode(), "m", wanted)) == {**expected, "model": wanted}


@given(
    st.lists(st.tuples(_KEYS, _VALUES), max_size=3),
    st.lists(st.tuples(_KEYS, _VALUES), max_size=3),
    st.sampled_from(["m", "n", 'q"\\é']),
    st.sampled_from([",:", ", : ", " , :"]),
)
def test_a_model_that_is_plainly_written_is_where_it_would_be_searched(
    before: list[tuple[str, str]], behind: list[tuple[str, str]], wanted: str, apart: str
) -> None:
    comma, colon = apart[: apart.index(":")], apart[apart.index(":") :]
    pairs = [*before, ('"model"', '"m"'), *behind]
    body = ("{" + comma.join(f"{key}{colon}{value}" for key, value in pairs) + "}").encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_name, "_plainly", lambda body, present: None)
        searched = rewrite(body, "m", wanted)
    assert rewrite(body, "m", wanted) == searched


@pytest.mark.parametrize("colon", [":", ": "])
def test_a_model_that_is_plainly_written_is_not_searched(
    colon: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = f'{{"messages":[],"model"{colon}"m","n":1}}'.encode()
    monkeypatch.setattr(model_name, "_KEY", None)
    assert rewrite(body, "m", "n") == body.replace(b'"m"', b'"n"')


@pytest.mark.parametrize("apart", [(",", ":"), (", ", ": "), (" ,\n", " :")])
@pytest.mark.parametrize("first", [True, False])
def test_a_long_body_keeps_every_other_byte(apart: tuple[str, str], first: bool) -> None:
    """However its members are set apart, and wherever the model stands among them."""
    comma, colon = apart
    names = ["model", "messages"] if first else ["messages", "model"]
    text = json.dumps('say "model": "m" ' * LONG)
    values = {"model": '"m"', "messages": f'[{{"content":{text}}}]'}
    body = "{" + comma.join(f'"{name}"{colon}{values[name]}' for name in names) + "}"
    renamed = rewrite(body.encode(), "m", 'a"b').decode()
    assert renamed == body.replace(f'"model"{colon}"m"', f'"model"{colon}"a\\"b"')
    assert rewrite(body.encode(), "m", "m") == body.encode()


_MESSAGES = ('"messages"', json.dumps([{"role": "user", "content": 'say "model": "m" ' * LONG}]))
_HIDDEN = [
    ('"x\\"model"', '"m"'),
    ('"x"', '{"model":"m"}'),
    ('"x"', '[{"model":"m"}]'),
    ('"x"', json.dumps('","model":"m"')),
    ('"mod\\u0065l"', '"m"'),
    ('"MoDeL"', '"m"'),
    ('"model"', '"m"'),
]


def sent_of(body: bytes, wanted: str) -> bytes:
    """What a target whose model is ``wanted`` is sent of a chat."""
    asked = openai_chat.parse(body)
    identity = Identity("lab", "openai", "m", (), Locality.CLOUD, ())
    call = Call("r", Api.CHAT, asked.model, False, body, asked.chat, 0, 60, alone=asked.alone)
    return joined(OpenAISpeech().request(call, Target("lab", wanted, identity)))


@given(
    st.lists(st.sampled_from(_HIDDEN) | st.tuples(_KEYS, _VALUES), max_size=4),
    st.lists(st.sampled_from(_HIDDEN) | st.tuples(_KEYS, _VALUES), max_size=4),
    st.sampled_from(["m", "n", 'q"\\é']),
    st.sampled_from([",:", ", : ", " ,\n :\t"]),
)
def test_where_the_model_is_alone_a_long_body_is_as_if_it_had_been_gone_through(
    before: list[tuple[str, str]], behind: list[tuple[str, str]], wanted: str, apart: str
) -> None:
    """Whatever stands before its messages and behind them: it is told that the model is alone only
    where it is, and then the one model is what changes.
    """
    comma, colon = apart[: apart.index(":")], apart[apart.index(":") :]
    pairs = [*before, _MESSAGES, *behind]
    body = ("{" + comma.join(f"{key}{colon}{value}" for key, value in pairs) + "}").encode()
    try:
        parsed = openai_chat.parse(body)
    except InvalidRequest:
        return
    names = [json.loads(key).lower() for key, _ in pairs]
    spelled = [json.loads(key) for key, _ in pairs]
    assert parsed.alone == (names.count("model") == 1 and "model" in spelled)
    renamed = sent_of(body, wanted)
    assert json.loads(renamed) == json.loads(rewrite(body, parsed.model, wanted))
    top = json.loads(renamed, object_pairs_hook=_Pairs)
    assert [value for key, value in top if key.lower() == "model"] == [wanted]


@pytest.mark.parametrize("behind", [False, True])
def test_a_long_body_is_not_gone_through_where_its_model_is_alone_and_near_an_end(
    behind: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = ['"model": "m"', f"{_MESSAGES[0]}: {_MESSAGES[1]}", '"stream": false']
    body = ("{" + ", ".join(members[::-1] if behind else members) + "}").encode()
    monkeypatch.setattr(model_name, "_placed", None)
    renamed = sent_of(body, "n")
    assert renamed == body.replace(b'"model": "m"', b'"model": "n"')


class _Pairs(list[tuple[str, object]]):
    """An object's members with their duplicates."""


def test_what_is_no_object_is_a_value_error() -> None:
    """A body that nobody validated does not pass."""
    with pytest.raises(ValueError, match="object"):
        rewrite(b"[]", "m", "n")


def test_an_answer_is_read_and_renamed() -> None:
    """Usage, end, length and the vendor's own name come out; the app's name goes in."""
    body = (
        b'{"model":"v","choices":[{"message":{"content":"h\xc3\xa9"},"finish_reason":"length"}],'
        b'"usage":{"prompt_tokens":3,"completion_tokens":2,"prompt_tokens_details":null}}'
    )
    answer = read_answer(body)
    assert answer.data == body.replace(b'"v"', b'"m"')
    assert (answer.model, answer.text) == ("v", "hé")
    assert answer.usage == Usage(3, 2)
    assert answer.reasons == (FinishReason.LENGTH,)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"{}", b'{"choices":[]}', b'{"choices":[{}]}', b"\xff", b"[" * 100_000],
)
def test_what_is_no_answer(body: bytes) -> None:
    """Anything but the API's shape is refused."""
    with pytest.raises(ValueError, match="answer"):
        read_answer(body)


def test_events_of_a_stream() -> None:
    """Each kind of event is told apart."""
    reader = ChatReader("m", typed=False)
    text = reader.read(b'{"model":"v",\n"choices":[{"delta":{"content":"ab"}}]}')
    assert text.data == b'data: {"model":"m", "choices":[{"delta":{"content":"ab"}}]}\n\n'
    assert (text.text, text.content, text.model) == ("ab", True, "v")
    role = reader.read(b'{"model":"v","choices":[{"delta":{"role":"assistant","content":""}}]}')
    assert not role.content
    assert role.choices == (0,)
    thought = reader.read(b'{"choices":[{"delta":{"reasoning_content":"hm"}}]}')
    assert (thought.content, thought.text) == (True, "")
    tool = reader.read(b'{"model":"v","choices":[{"delta":{"tool_calls":[{"index":0}]}}]}')
    assert tool.content
    assert tool.binding
    assert not text.binding
    end = reader.read(b'{"model":"v","choices":[{"delta":{},"finish_reason":"tool_calls"}]}')
    assert (end.reason, end.closing) == ((0, FinishReason.TOOL_CALLS), True)
    usage = reader.read(b'{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}')
    assert usage.usage == Usage(1, 2)
    assert usage.choices == ()
    assert usage.closing
    assert reader.read(b" [DONE] ").done
    assert reader.read(b'{"error":{"message":"x"}}').error
    assert reader.read(b"{}").malformed
    assert reader.read(b"{").malformed


def test_a_count_of_null_does_not_cost_an_answer() -> None:
    """A vendor that leaves a count out has still answered."""
    answer = read_answer(
        b'{"choices":[{"message":{}}],"usage":{"prompt_tokens":3,"completion_tokens":null}}'
    )
    assert answer.usage == Usage(3, 0)


def test_error_envelopes() -> None:
    """Whatever a vendor puts into its envelope becomes text or nothing."""
    assert read_error(b'{"error":{"message":"x","code":404,"param":null}}') == VendorError(
        message="x", code="404"
    )
    assert read_error(b'{"error":"x"}') == VendorError(message="x")
    assert read_error(b"<html>") == read_error(b"{}") == VendorError()
