"""What answers are held to, what a judge says of them, and how all of it is counted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.eval_text import WRITERS
from gateway.domain.events import FinishReason, Usage
from gateway.engine.heard import Heard, HeardCall
from gateway.readiness.evaluation.cases import Case, parse_cases
from gateway.readiness.evaluation.checks import Judged, read_check
from gateway.readiness.evaluation.judging import Ruling, question, ruling
from gateway.readiness.evaluation.results import Asked, Checked, Outcome, Result, checked
from gateway.readiness.evaluation.table import Comparison, Count, Row, Table, compare, row

OBJECT = {"type": "object", "required": ["a"]}


def answer(text: str = "", *calls: tuple[str, str], failure: str | None = None) -> Heard:
    heard = tuple(HeardCall(*call) for call in calls)
    usage = None if failure else Usage(10, 5)
    return Heard(text, "", heard, 2.0, 0.5, "a/b", FinishReason.STOP, usage, failure)


@pytest.mark.parametrize(
    ("check", "passes", "fails", "why"),
    [
        ({"contains": "Paris"}, "In Paris.", "In paris.", "does not contain 'Paris'"),
        ({"contains": "PARIS", "ignore_case": True}, "In paris.", "In Rome.", "does not contain"),
        ({"contains": ["a", "b"]}, "ba", "a", "does not contain 'b'"),
        ({"not_contains": ["sorry", "cannot"]}, "Yes.", "I cannot.", "contains 'cannot'"),
        ({"not_contains": "SORRY", "ignore_case": True}, "Yes.", "sorry!", "contains 'SORRY'"),
        ({"equals": "yes"}, " yes\n", "Yes", "is not 'yes'"),
        ({"equals": "YES", "ignore_case": True}, "yes", "yes.", "is not 'YES'"),
        ({"regex": r"^\d{4}$"}, "2027", "in 2027", r"does not match '^\\d{4}$'"),
        ({"regex": "paris", "ignore_case": True}, "PARIS", "Rome", "does not match 'paris'"),
        ({"regex": "a|(?x)b # )", "ignore_case": True}, "B", "c", "does not match"),
        ({"json_schema": OBJECT}, ' {"a": 1}', '{"b": 1}', "is against required"),
        (
            {"json_schema": OBJECT},
            '{"a": 1}',
            '```json\n{"a": 1}\n```',
            "not JSON: Expecting value",
        ),
        ({"no_tool_called": True}, "Hi", (("f", "{}"),), "calls a function"),
        ({"tool_called": "f"}, (("g", "{}"), ("f", "")), (("g", "{}"),), "does not call 'f'"),
        (
            {"tool_called": "f", "arguments": {"a": [1.0]}},
            (("f", '{"a": 2}'), ("f", '{"a": [1], "b": 2}')),
            (("f", '{"a": [2]}'), ("f", "{}")),
            "the arguments of 'f': is against properties/a/const",
        ),
        (
            {"tool_called": "f", "arguments_schema": OBJECT},
            (("f", '{"a": null}'),),
            (("f", '{"a"'),),
            "the arguments of 'f': not JSON",
        ),
    ],
)
def test_a_check_passes_and_fails_with_the_reason(
    check: dict[str, Any], passes: Any, fails: Any, why: str
) -> None:
    read = read_check(check, ())
    assert not isinstance(read, list | Judged)
    good, bad = (
        answer(given) if isinstance(given, str) else answer("", *given) for given in (passes, fails)
    )
    assert read.fails(good) is None
    assert (read.fails(bad) or "").startswith(why)


def test_a_reason_holds_nothing_of_the_answer() -> None:
    """Also not the names that a model gave to members."""
    secret = "SECRET"
    text = json.dumps({"a": {secret: 1}, secret: secret})
    schema = {"properties": {"a": {"additionalProperties": {"type": "string"}}}}
    for check in (
        {"json_schema": schema},
        {"json_schema": {"patternProperties": {"^S": {"type": "null"}}}},
        {"json_schema": {"propertyNames": {"maxLength": 1}}},
        {"contains": "x"},
        {"regex": "^x"},
        {"json_schema": {"additionalProperties": False}},
    ):
        read = read_check(check, ())
        assert not isinstance(read, list | Judged)
        why = read.fails(answer(text))
        assert why
        assert secret not in why


def case(id: str, *checks: dict[str, Any], **more: Any) -> Case:
    line = {"id": id, "prompt": "Q", "checks": list(checks) or [{"contains": "x"}], **more}
    return parse_cases(json.dumps(line).encode(), "p.jsonl")[0]


RULING = '{"why": "so it is", "pass": true}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (RULING, Ruling(True, "so it is")),
        ('\n{"pass": false, "why": ""} ', Ruling(False, "")),
        ("Yes, it passes.", None),
        ("", None),
        ("true", None),
        ('{"why": "so it is", "pass": "true"}', None),
        ('{"why": "so it is", "pass": 1}', None),
        ('{"pass": true}', None),
        ('{"why": "no", "pass": false, "pass": true}', None),
        ('{"why": "so", "pass": true, "more": 1}', None),
        (f"```json\n{RULING}\n```", None),
    ],
)
def test_a_judge_has_judged_where_it_answers_as_it_was_asked(
    text: str, expected: Ruling | None
) -> None:
    assert ruling(answer(text)) == expected
    cut = Heard(text, "", (), 1.0, reason=FinishReason.LENGTH)
    assert ruling(cut) is None
    assert ruling(answer(text, failure="it broke off")) is None


@given(st.text())
def test_no_answer_can_end_its_own_quotation(text: str) -> None:
    """What a judge is shown of it is what it is."""
    said = question("Is it?", case("a"), answer(text, ("f", text)))
    shown = json.loads(said["messages"][-1]["content"])
    assert shown["answer"] == text
    assert shown["functions_called"] == [{"name": "f", "arguments": text}]
    assert (shown["criterion"], shown["conversation"]) == (
        "Is it?",
        [{"role": "user", "content": "Q"}],
    )


def result(
    of: Case, target: str, text: str, repetition: int = 1, error: str | None = None
) -> Result:
    heard = answer(text, failure=error)
    asked = Asked(heard, error, None if error else 300)
    return Result(of, target, repetition, asked, checked(of, asked))


def test_an_answer_passes_where_all_of_its_checks_do() -> None:
    of = case("a", {"contains": "x"}, {"judged": "Is it good?"})
    assert [one.outcome for one in result(of, "t", "x").checks] == ["passed", "not judged"]
    assert result(of, "t", "x").outcome is Outcome.NOT_JUDGED
    assert result(of, "t", "y").outcome is Outcome.FAILED
    assert result(of, "t", "x", error="refused").outcome is Outcome.ERROR
    passed = tuple(Checked(kind, Outcome.PASSED) for kind in ("contains", "judged"))
    assert Result(of, "t", 1, Asked(answer("x")), passed).outcome is Outcome.PASSED


def test_a_row_counts_by_weight_by_check_and_by_tag() -> None:
    heavy = case("h", {"contains": "x"}, {"regex": "y"}, weight=3, tags=["one", "two"])
    light, failing = case("l", tags=["one"]), case("f")
    results = [
        result(heavy, "t", "xy"),
        result(light, "t", "z"),
        result(failing, "t", "", 1, "tls"),
    ]
    one = row("t", results)
    assert (one.answers, one.passed, one.share) == (3, 1, 0.6)
    assert one.by_check == {"contains": Count(1, 3), "regex": Count(1, 1)}
    assert one.by_tag == {"one": Count(1, 2), "two": Count(1, 1)}
    assert one.errors == {"tls": 1}
    assert one.missed == {"l": ("contains",), "f": ("tls",)}
    assert (one.prompt_tokens, one.completion_tokens) == (20, 10)
    assert (one.cost, one.unpriced, one.spread) == (600, 1, None)
    assert one.first is not None
    assert (one.first.p50, one.first.p95) == (0.5, 0.5)


def test_repetitions_are_told_by_their_spread_and_a_prompt_passes_where_most_of_them_do() -> None:
    one, other = case("a"), case("b")
    texts = {"t": ("xx", "zx", "xz"), "base": ("xz", "xz", "zx")}
    results = [
        result(of, target, text, number)
        for target, each in texts.items()
        for number, both in enumerate(each, 1)
        for of, text in zip((one, other), both, strict=True)
    ]
    spread = row("t", [each for each in results if each.target == "t"]).spread
    assert spread is not None
    assert (spread.least, spread.most) == (0.5, 1.0)
    assert spread.deviation == pytest.approx(0.2357, abs=0.001)
    assert compare("t", "base", results) == Comparison("t", "base", 2, 1, (), ("b",))


def test_targets_are_compared_over_what_both_were_asked() -> None:
    cases = [case(name) for name in "abcd"]
    base = [result(of, "base", text) for of, text in zip(cases, "xxzx", strict=True)]
    ours = [result(of, "t", text) for of, text in zip(cases, "xzx", strict=False)]
    found = compare("t", "base", base + ours)
    assert found == Comparison("t", "base", 3, 1, ("b",), ("c",))
    assert found.verdict == "t passes 1 of 2 that base passes, and 1 that it does not"


def table() -> Table:
    of = case("a|b\x1b", tags=["|"])
    rows = (row("t/1", [result(of, "t/1", "x")]), row("t/2", [result(of, "t/2", "", 1, "tls")]))
    refused = row("t/3", [], "Policy does not allow t/3")
    return Table(1, 1, "USD", (*rows, refused), (compare("t/2", "t/1", [result(of, "t/1", "x")]),))


def test_the_table_is_written_for_people_reports_spreadsheets_and_programs() -> None:
    text, markdown = WRITERS["text"](table()), WRITERS["markdown"](table())
    assert "\x1b[31" in text
    assert "a|b\ufffd (tls)" in text
    assert "t/3 was not asked: Policy does not allow t/3" in text
    assert "| t/1 | 1/1 | 100.0% | 0.50 / 0.50 s | 2.00 / 2.00 s | 10 + 5 | 0.0003 |" in markdown
    assert "| t/2 | 0/1 | 0.0% | – | – | 0 + 0 | not known |" in markdown
    assert "| \\| | 1/1 | 0/1 |" in markdown
    lines = WRITERS["csv"](table()).splitlines()
    assert len(lines) == 4
    first = dict(zip(lines[0].split(","), lines[1].split(","), strict=True))
    assert (first["target"], first["share"], first["check contains passed"]) == ("t/1", "1.0", "1")
    told = json.loads(WRITERS["json"](table()))
    assert [one["share"] for one in told["rows"]] == [1.0, 0.0, 0.0]
    assert told["comparisons"][0]["verdict"] == "t/2 passes 0 of 0 that t/1 passes"
    assert {Row.__struct_fields__} == {tuple(one) for one in told["rows"]}
