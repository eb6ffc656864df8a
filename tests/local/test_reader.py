"""What models write, told apart: content, thinking and calls, in pieces of any size."""

from __future__ import annotations

import json

import pytest

from gateway.local.formats import FORMATS, HARMONY, HERMES, Arguments, Thinking, ToolFormat
from gateway.local.reader import (
    HarmonyReader,
    MarkedReader,
    Piece,
    PieceKind,
    PlainReader,
    Reader,
)

THINK = Thinking("<think>", "</think>")
MARKED = [format for format in FORMATS if format is not HARMONY]


def read(reader: Reader, text: str, size: int = 1 << 20) -> list[tuple[str, str]]:
    """Kinds and texts, neighbours of one kind put together."""
    pieces: list[Piece] = []
    for at in range(0, len(text), size):
        pieces += reader.feed(text[at : at + size])
    told: list[tuple[str, str]] = []
    for piece in [*pieces, *reader.finish()]:
        if told and told[-1][0] == piece.kind and piece.kind is not PieceKind.CALL:
            told[-1] = (piece.kind, told[-1][1] + piece.text)
        else:
            told.append((piece.kind, piece.text))
    return told


def written(format: ToolFormat, *calls: tuple[str, str]) -> str:
    """Calls as a model of that format writes them."""
    texts = [f"{name}{format.middle}{arguments}{format.end}" for name, arguments in calls]
    return format.start + (format.between + format.begin).join(texts) + format.close


def arguments(format: ToolFormat) -> str:
    return (
        'a="x, )\\"", b=[1, 2]'
        if format.arguments is Arguments.KEYWORDS
        else ('{"a": "x, }\\"", "b": [1, {}]}')
    )


@pytest.mark.parametrize("size", [1, 2, 5, 1 << 20])
@pytest.mark.parametrize("format", MARKED, ids=[format.name for format in MARKED])
def test_calls_of_every_format(format: ToolFormat, size: int) -> None:
    """Two calls, in pieces of any size, come out as names and JSON."""
    empty = "" if format.arguments is Arguments.KEYWORDS else "{}"
    text = written(format, ("get_weather", arguments(format)), ("now", empty))
    told = read(MarkedReader(format, None), text, size)
    assert [kind for kind, _ in told] == ["call", "arguments"] * 2
    assert (told[0][1], told[2][1]) == ("get_weather", "now")
    assert json.loads(told[1][1])["a"].startswith("x, ")
    assert json.loads(told[3][1]) == {}


@pytest.mark.parametrize("size", [1, 3, 1 << 20])
def test_text_thinking_and_calls_in_one_answer(size: int) -> None:
    """Blanks around the marks belong to nobody."""
    text = f"<think>\nwhy < not\n</think>\n\nI look. \n{written(HERMES, ('f', '{}'))}\n"
    assert read(MarkedReader(HERMES, THINK), text, size) == [
        ("reasoning", "why < not"),
        ("content", "I look."),
        ("call", "f"),
        ("arguments", "{}"),
    ]


@pytest.mark.parametrize("size", [1, 4, 1 << 20])
def test_thinking_that_the_prompt_has_opened(size: int) -> None:
    """The answer begins within it; one that never closes it is all thinking."""
    opened = MarkedReader(None, THINK, opened=True)
    assert read(opened, "why\n</think>\n\nBecause", size) == [
        ("reasoning", "why"),
        ("content", "Because"),
    ]
    assert read(MarkedReader(None, THINK, opened=True), "on and on", size) == [
        ("reasoning", "on and on")
    ]


def test_nothing_is_lost_that_only_looks_like_a_mark() -> None:
    """What is held back comes at the end."""
    for text in ("a <tool_", "<thin", "5 < 6 </think>", "<tool_call> no", "   x"):
        told = read(MarkedReader(HERMES, THINK), text, 1)
        assert "".join(said for _, said in told) == text.lstrip(), text


def test_a_format_that_begins_with_a_bracket_counts_at_the_beginning_alone() -> None:
    """Later in a text a bracket is a bracket."""
    pythonic = next(format for format in FORMATS if format.name == "pythonic")
    assert read(MarkedReader(pythonic, None), "see [f(a=1)]", 1) == [("content", "see [f(a=1)]")]


def test_plain_text_is_left_alone() -> None:
    """Marks mean nothing where nobody asked for them."""
    assert read(PlainReader(), " <tool_call>") == [("content", " <tool_call>")]


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_harmony(size: int) -> None:
    """Channels: thinking, a preamble, a call; or thinking and the answer."""
    begin = "<|channel|>analysis<|message|>hm<|end|><|start|>assistant"
    call = (
        "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant"
        '<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"a": 1}'
    )
    assert read(HarmonyReader(), begin + call, size) == [
        ("reasoning", "hm"),
        ("content", "I look."),
        ("call", "f"),
        ("arguments", '{"a": 1}'),
    ]
    final = "<|channel|>final<|message|>Paris < Rome"
    assert read(HarmonyReader(), begin + final, size) == [
        ("reasoning", "hm"),
        ("content", "Paris < Rome"),
    ]
    assert read(HarmonyReader(begun=True), "is Paris", size) == [("content", "is Paris")]
