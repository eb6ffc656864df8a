"""The file of prompts: what it means, and every mistake in it at once, with its line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import DocumentError
from gateway.readiness.evaluation.cases import PARAMETERS, Case, parse_cases
from gateway.readiness.evaluation.checks import KINDS

EXAMPLE = Path(__file__).resolve().parents[2] / "configs/evals/example.jsonl"
GOOD: Mapping[str, Any] = {"id": "a", "prompt": "Hi", "checks": [{"contains": "a"}]}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}


def parsed(*lines: Mapping[str, Any] | str) -> tuple[Case, ...]:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    return parse_cases("\n".join(texts).encode(), "p.jsonl")


def problems(*lines: Mapping[str, Any] | str) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        parsed(*lines)
    return [str(problem).replace("\n    ", " | ") for problem in caught.value.problems]


def test_a_line_is_a_chat_completion_and_what_its_answer_must_be() -> None:
    """A prompt is one message of the user's; blank lines and a mark of the byte order are none."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    more: dict[str, Any] = {"id": "b", "messages": messages}
    more |= {"checks": [{"judged": "It is friendly."}]}
    more |= {"temperature": 0, "max_tokens": 5, "tags": ["x", "x"], "weight": 2, "tools": [TOOL]}
    first, second = parsed("\ufeff" + json.dumps(GOOD), "", more)
    assert first.asked == {"messages": [{"role": "user", "content": "Hi"}]}
    assert (first.line, first.tags, first.weight, first.most, first.judged) == (
        1,
        (),
        1,
        None,
        False,
    )
    assert second.asked == {"messages": messages, "temperature": 0, "tools": [TOOL]}
    assert (second.line, second.tags, second.weight, second.most) == (3, ("x",), 2, 5)
    assert second.judged
    assert [turn.content for turn in second.chat.messages] == ["Be brief.", "Hi"]


def test_the_example_has_every_kind_of_check() -> None:
    cases = parse_cases(EXAMPLE.read_bytes(), str(EXAMPLE))
    assert {check.kind for case in cases for check in case.checks} == set(KINDS)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"id": None}, ["missing key 'id'"]),
        ({"id": 3}, ["id: expected a string"]),
        ({"id": ""}, ["id: must not be empty"]),
        ({"checks": None}, ["missing key 'checks'"]),
        ({"checks": []}, ["checks: must not be empty"]),
        ({"checks": {}}, ["checks: expected a list"]),
        ({"prompt": None}, ["missing key 'messages', or 'prompt' for a single one of the user's"]),
        ({"prompt": 3}, ["missing key 'messages', or", "prompt: expected a string"]),
        (
            {"messages": []},
            ["prompt: prompt and messages: write one of them", "messages: 'messages'"],
        ),
        ({"promt": "x"}, ["promt: unknown key 'promt' | did you mean 'prompt'?"]),
        ({"temprature": 0}, ["temprature: unknown key 'temprature' | did you mean 'temperature'?"]),
        ({"model": "m"}, ["model: unknown key 'model' | --target says who is asked"]),
        ({"n": 2}, ["n: unknown key 'n' | --repeat asks several times"]),
        ({"logit_bias": {}}, ["logit_bias: unknown key 'logit_bias' | token ids are those of one"]),
        ({"temperature": 3}, ["temperature: 'temperature' is 3: it must be from 0 to 2."]),
        ({"temperature": "0"}, ["temperature: Invalid 'temperature': Expected `float | null`"]),
        ({"response_format": {"type": "json_schema"}}, ["response_format.json_schema.schema: "]),
        ({"weight": 0}, ["weight: expected a number greater than 0"]),
        ({"weight": True}, ["weight: expected a number"]),
        ({"tags": "x"}, ["tags: expected a list"]),
        ({"tags": ["x", ""]}, ["tags[1]: must not be empty"]),
    ],
)
def test_what_is_wrong_with_a_line_is_told(changes: dict[str, Any], found: list[str]) -> None:
    line = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    told = problems(line)
    assert len(told) == len(found)
    for one in found:
        assert any(text.startswith(f"p.jsonl:1:1: {one}") for text in told), told


@pytest.mark.parametrize(
    ("check", "found"),
    [
        ("contains", "checks[0]: expected a mapping"),
        ({}, "checks[0]: no kind of check that is known | known: contains, not_contains, equals"),
        ({"contain": "a"}, "checks[0]: no kind of check that is known | did you mean 'contains'?"),
        ({"contains": "a", "regex": "b"}, "checks[0]: contains and regex in one check: write one"),
        ({"contains": ""}, "checks[0].contains: expected a text, or a list of texts, none of them"),
        ({"contains": []}, "checks[0].contains: expected a text, or a list of texts"),
        ({"not_contains": ["a", 3]}, "checks[0].not_contains: expected a text, or a list of texts"),
        ({"equals": 3}, "checks[0].equals: expected a string"),
        ({"equals": "a", "ignore_case": 1}, "checks[0].ignore_case: expected true or false"),
        (
            {"equals": "a", "ignorecase": True},
            "checks[0].ignorecase: unknown key 'ignorecase' | did",
        ),
        ({"judged": "a", "ignore_case": True}, "checks[0].ignore_case: unknown key 'ignore_case'"),
        ({"regex": "("}, "checks[0].regex: not a regular expression: unclosed group"),
        ({"regex": "(?<=a)b"}, "checks[0].regex: not a regular expression: look-around"),
        ({"json_schema": 3}, "checks[0].json_schema: it is not of types"),
        (
            {"json_schema": {"properties": {"a": {"tpye": "string"}}}},
            "checks[0].json_schema.properties.a.tpye: 'tpye' is no keyword that is understood here "
            "| did you mean 'type'?",
        ),
        ({"no_tool_called": False}, "checks[0].no_tool_called: expected True"),
        (
            {"tool_called": "get_wether"},
            "checks[0].tool_called: no function 'get_wether' is among ",
        ),
        (
            {"tool_called": "get_weather", "arguments": []},
            "checks[0].arguments: expected a mapping",
        ),
        (
            {"tool_called": "get_weather", "arguments_schema": {"minLength": "x"}},
            "checks[0].arguments_schema.minLength: it is not of type",
        ),
    ],
)
def test_what_is_wrong_with_a_check_is_told(check: Any, found: str) -> None:
    (told,) = problems({**GOOD, "checks": [check], "tools": [TOOL]})
    assert told.startswith(f"p.jsonl:1:1: {found}"), told


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("{", "not JSON: Expecting property name enclosed in double quotes at character 2"),
        ("[]", "expected a JSON object"),
        ('{"id": "a", "id": "b"}', "the key 'id' stands twice"),
        ('{"id": NaN}', "not JSON: NaN is no number"),
        ("[" * 100_000, "not JSON that can be read: nested too deeply"),
    ],
)
def test_a_line_that_is_none_is_told(line: str, found: str) -> None:
    assert problems(line) == [f"p.jsonl:1:1: {found}"]


def test_all_mistakes_of_a_file_are_told_at_once_and_each_at_its_line() -> None:
    told = problems(GOOD, "nonsense", {"id": "b"}, GOOD, {**GOOD, "id": "c", "weight": -1})
    assert [text.split(": ")[0] for text in told] == [
        "p.jsonl:2:1",
        *["p.jsonl:3:1"] * 2,
        "p.jsonl:4:1",
        "p.jsonl:5:1",
    ]
    assert told[3] == "p.jsonl:4:1: id: the id stands twice: line 1 has it"


@pytest.mark.parametrize("raw", [b"", b"\n \n"])
def test_a_file_without_a_prompt_is_none(raw: bytes) -> None:
    with pytest.raises(DocumentError, match="holds no prompt"):
        parse_cases(raw, "p.jsonl")


def test_bytes_that_are_no_text_are_told() -> None:
    with pytest.raises(DocumentError, match="1:1: not valid UTF-8"):
        parse_cases(b'{"id": "\xff"}', "p.jsonl")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*KINDS, "role", "content", "type", "$ref"]), inner)
    ),
    max_leaves=8,
)
LINES = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(PARAMETERS, VALUES),
        "id": st.text(min_size=1) | VALUES,
        "prompt": st.text(min_size=1) | VALUES,
        "messages": st.lists(
            st.fixed_dictionaries({"role": st.sampled_from(["user", "system"]), "content": VALUES})
        ),
        "checks": st.lists(st.dictionaries(st.sampled_from(KINDS), VALUES, max_size=1)) | VALUES,
        "tags": VALUES,
        "weight": VALUES,
    },
)


@given(LINES)
def test_whatever_a_line_says_it_is_a_prompt_or_told(line: dict[str, Any]) -> None:
    _only_told(json.dumps(line).encode())


@given(st.binary(max_size=60) | st.text('{}[]":,ab\\u0d8 \n', max_size=60).map(str.encode))
def test_whatever_bytes_a_file_has_they_are_prompts_or_told(raw: bytes) -> None:
    _only_told(raw)


def _only_told(raw: bytes) -> None:
    with suppress(DocumentError):
        assert all(case.checks for case in parse_cases(raw, "p.jsonl"))
