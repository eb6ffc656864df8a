"""Grammars, as the real vocabulary walks through them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.domain.call import Shape, ShapeKind, Tool, ToolChoice, Tools
from gateway.local.formats import FORMATS, HARMONY, HERMES, Arguments, Thinking, ToolFormat
from gateway.local.grammar import Frame, Grammar, GrammarFault, grammar
from gateway.local.guide import Guides
from gateway.local.llama import LlamaModel
from tests.local.test_reader import written

THINK = Thinking("<think>", "</think>")
WEATHER = Tool(
    "get_weather",
    schema=json.dumps(
        {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"$ref": "#/$defs/days"}},
            "required": ["city"],
            "$defs": {"days": {"type": "integer", "maximum": 7}},
        }
    ),
)
TOOLS = (WEATHER, Tool("now"))


@pytest.fixture(scope="module")
def loaded(gguf: Path) -> Iterator[LlamaModel]:
    model = LlamaModel(gguf, context=256, slots=1, threads=2, gpu_layers=0)
    yield model
    model.close()


@pytest.fixture(scope="module")
def guides(loaded: LlamaModel) -> Guides:
    return Guides(loaded)


class Walk:
    """Whether texts go through a grammar, token by token."""

    def __init__(self, loaded: LlamaModel, guides: Guides, wanted: Grammar | None) -> None:
        assert wanted is not None
        self._loaded = loaded
        self._begin = guides.compile(wanted, "tools")

    def __call__(self, text: str) -> bool:
        """Whether the text is a whole answer."""
        guide = self._begin.fork()
        end = min(self._loaded.ends)
        for token in self._loaded.encode(text):
            if not guide.allows(token):
                return False
            assert guide.allowed().any()
            guide.take(token)
        return guide.allows(end) or guide.take(end)


def call(format: ToolFormat, name: str = "get_weather", days: int = 3) -> tuple[str, str]:
    if format.arguments is Arguments.KEYWORDS:
        return name, f'city="x", days={days}'
    return name, json.dumps({"city": "x", "days": days})


def around(format: ToolFormat, text: str) -> str:
    """A whole answer: gpt-oss thinks first."""
    if format is HARMONY:
        return f"<|channel|>analysis<|message|>hm<|end|><|start|>assistant{text}"
    return text


@pytest.mark.parametrize("format", FORMATS, ids=[format.name for format in FORMATS])
@pytest.mark.parametrize("choice", [ToolChoice.AUTO, ToolChoice.REQUIRED])
def test_calls_of_every_format(
    loaded: LlamaModel, guides: Guides, format: ToolFormat, choice: ToolChoice
) -> None:
    """A call that fits its schema goes through; another name, a wrong value, half a call do not."""
    walk = Walk(loaded, guides, grammar(Frame(format), None, Tools(TOOLS, choice)))
    assert walk(around(format, written(format, call(format))))
    assert not walk(around(format, written(format, call(format, "get_veather"))))
    assert not walk(around(format, written(format, call(format, days=8))))
    assert not walk(around(format, format.start + "now"))
    text = "<|channel|>final<|message|>Hello." if format is HARMONY else "Hello [1]."
    assert walk(around(format, text)) == (choice is ToolChoice.AUTO)


@pytest.mark.parametrize("format", FORMATS, ids=[format.name for format in FORMATS])
def test_several_calls_only_where_they_are_wanted(
    loaded: LlamaModel, guides: Guides, format: ToolFormat
) -> None:
    """``parallel_tool_calls: false`` and a named function leave one."""
    twice = around(format, written(format, call(format), call(format)))
    for tools, may in (
        (Tools(TOOLS), format.parallel),
        (Tools(TOOLS, parallel=False), False),
        (Tools(TOOLS, ToolChoice.REQUIRED, "get_weather"), False),
    ):
        assert Walk(loaded, guides, grammar(Frame(format), None, tools))(twice) == may
    named = Tools(TOOLS, ToolChoice.REQUIRED, "now")
    walk = Walk(loaded, guides, grammar(Frame(format), None, named))
    assert not walk(around(format, written(format, call(format))))


@pytest.mark.parametrize("opened", [True, False])
def test_thinking_comes_before_the_format(loaded: LlamaModel, guides: Guides, opened: bool) -> None:
    """A model that thinks may do so before a schema, and before a call that it must make."""
    thought = "why {not}</think>\n\n" if opened else "<think>why {not}</think>\n\n"
    frame = Frame(HERMES, THINK, opened)
    shape = Shape(ShapeKind.JSON_SCHEMA, '{"type": "integer"}')
    walk = Walk(loaded, guides, grammar(frame, shape, None))
    assert walk(f"{thought}42")
    assert not walk(f"{thought}no")
    assert walk("42") != opened
    tools = Tools(TOOLS, ToolChoice.REQUIRED)
    assert Walk(loaded, guides, grammar(frame, None, tools))(
        thought + written(HERMES, call(HERMES))
    )


@pytest.mark.parametrize(
    ("shape", "fits", "does_not"),
    [
        (Shape(ShapeKind.JSON_OBJECT), '{"a": [1, null]}', "[1]"),
        (Shape(ShapeKind.REGEX, "a/b[0-9]+"), "a/b12", "a/b"),
        (Shape(ShapeKind.REGEX, r"a\/b"), "a/b", "a\\/b"),
        (Shape(ShapeKind.CHOICE, '["yes", "no \\"x\\""]'), 'no "x"', "maybe"),
        (Shape(ShapeKind.GRAMMAR, 'start: "a" | "b" start'), "bba", "bb"),
        (Shape(ShapeKind.GRAMMAR, 'root ::= "a" | "b" root'), "bba", "bb"),
        (
            Shape(ShapeKind.JSON_SCHEMA, '{"type":"object","properties":{"a":{"const":1}}}'),
            '{"a": 1}',
            '{"a": 2}',
        ),
    ],
)
def test_shapes(loaded: LlamaModel, guides: Guides, shape: Shape, fits: str, does_not: str) -> None:
    """Each kind lets through what it is for, and nothing else."""
    walk = Walk(loaded, guides, grammar(Frame(HERMES), shape, None))
    assert walk(fits)
    assert not walk(does_not)


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        (Shape(ShapeKind.REGEX, "("), "unclosed group"),
        (Shape(ShapeKind.GRAMMAR, "start: ("), "Expected token"),
        (Shape(ShapeKind.GRAMMAR, 'root ::= "a" b'), "Rule 'b' not found"),
        (Shape(ShapeKind.JSON_SCHEMA, '{"not": {}}'), 'Unimplemented keys: ["not"]'),
        (Shape(ShapeKind.JSON_SCHEMA, '{"type": "sometimes"}'), "sometimes"),
        (Shape(ShapeKind.JSON_SCHEMA, "[]"), "must be a JSON object"),
        (Shape(ShapeKind.JSON_SCHEMA, "[" * 100_000), "must be a JSON object"),
        (Shape(ShapeKind.JSON_SCHEMA, '{"$ref": "https://example.com/x"}'), "example.com"),
    ],
)
def test_what_is_no_grammar_is_an_error(guides: Guides, shape: Shape, says: str) -> None:
    """In words that say what is wrong, and quote nothing of ours; never an end of the process."""
    with pytest.raises(GrammarFault) as caught:
        compiled(guides, shape)
    assert says in str(caught.value)
    assert "guidance" not in str(caught.value)
    assert caught.value.param == "response_format"


def compiled(guides: Guides, shape: Shape) -> None:
    wanted = grammar(Frame(HERMES), shape, None)
    assert wanted is not None
    guides.compile(wanted, "response_format")


def test_what_strict_does_not_know_may_be_left_out_otherwise(guides: Guides) -> None:
    """A keyword that is not enforced is then no error; a schema cannot unset strict by itself."""
    schema = '{"not": {}, "x-guidance": {"lenient": true}}'
    compiled(guides, Shape(ShapeKind.JSON_SCHEMA, schema, strict=False))
    with pytest.raises(GrammarFault, match="not"):
        compiled(guides, Shape(ShapeKind.JSON_SCHEMA, schema))


def test_a_name_that_would_break_the_format_is_refused() -> None:
    """Names stand between literal marks."""
    with pytest.raises(GrammarFault, match="'a\"b'"):
        grammar(Frame(HERMES), None, Tools((Tool('a"b'),)))


def test_undeclared_arguments_are_not_invented(loaded: LlamaModel, guides: Guides) -> None:
    """A schema that does not say whether there are more has no more; one that says so has."""
    for more, may in (("", False), (', "additionalProperties": true', True)):
        schema = f'{{"properties": {{"a": {{"type": "integer"}}}}{more}}}'
        tools = Tools((Tool("f", schema=schema),))
        walk = Walk(loaded, guides, grammar(Frame(HERMES), None, tools))
        assert walk(written(HERMES, ("f", '{"a": 1}')))
        assert walk(written(HERMES, ("f", '{"a": 1, "b": 2}'))) == may
