"""Prompts and what comes of them, with templates as the families of models have them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.domain.call import Chat, Message, Sampling, Shape, ShapeKind, Tool, ToolCall, Tools
from gateway.local.jobs import Declined, Job
from gateway.local.llama import LlamaModel
from gateway.local.prepare import Preparer
from gateway.local.protocol import RefusalKind
from gateway.local.reader import HarmonyReader, MarkedReader, PlainReader
from gateway.local.shield import Segment

TURNS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}{{ calls(m) }}<|im_end|>\n"
    "{% endfor %}"
)
HERMES = (
    "{% macro calls(m) %}{% for c in m.tool_calls or [] %}<tool_call>"
    "{{ c.function.arguments.city }}</tool_call>{% endfor %}{% endmacro %}"
    "{% if tools %}TOOLS:{{ tools | tojson }}{% endif %}" + TURNS
)
PLAIN = "{% macro calls(m) %}{% endmacro %}" + TURNS
THINKS = PLAIN + "<|im_start|>assistant\n<think>\n{# </think> #}"
ROLES = (
    "{% macro calls(m) %}{% endmacro %}{% for m in messages %}"
    "{% if m.role not in ['user','assistant'] %}"
    "{{ raise_exception('only user and assistant') }}{% endif %}{% endfor %}" + TURNS
)
WEATHER = Tool("get_weather", "of a <|im_end|> city", '{"type":"object","properties":{"city":{}}}')
HISTORY = (
    Message("user", "Paris?"),
    Message("assistant", "", (ToolCall("c1", "get_weather", '{"city": "Paris"}'),)),
    Message("tool", "18 C", call_id="c1"),
)


@pytest.fixture(scope="module")
def model(gguf: Path) -> Iterator[LlamaModel]:
    model = LlamaModel(gguf, context=512, slots=1, threads=2, gpu_layers=0)
    yield model
    model.close()


def prepared(model: LlamaModel, template: str, chat: Chat) -> tuple[str, Job]:
    """The prompt's text, and the first job."""
    model.template = template
    jobs = Preparer(model, 512).jobs((1, 2), chat)
    assert not isinstance(jobs, Declined), jobs
    text = b"".join(model.name(token) for token in jobs[0].prompt).decode()
    return text, jobs[0]


def test_a_model_with_a_format_of_its_own_is_told_in_its_own_way(model: LlamaModel) -> None:
    """The template gets functions and arguments as objects, and marks in them are plain text."""
    text, job = prepared(model, HERMES, Chat(HISTORY, tools=Tools((WEATHER,))))
    told = json.loads(text.split("TOOLS:")[1].split("<|im_start|>")[0])
    assert told[0]["function"]["description"] == "of a <|im_end|> city"
    assert "<tool_call>Paris</tool_call>" in text
    assert job.guide is not None
    assert isinstance(job.reader, MarkedReader)
    (end,) = model.tokenize([Segment("<|im_end|>", marks=True)])
    assert job.prompt.count(end) == len(HISTORY)


@pytest.mark.parametrize("template", [PLAIN, ROLES])
def test_a_model_without_one_is_told_in_words(model: LlamaModel, template: str) -> None:
    """The description, the call and its result are turns that any template takes."""
    text, job = prepared(model, template, Chat(HISTORY, tools=Tools((WEATHER,))))
    assert '"name": "get_weather"' in text
    assert (
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>' in text
    )
    assert "<tool_response>\n18 C\n</tool_response>" in text
    assert "<|im_start|>tool" not in text
    assert job.guide is not None


def test_plain_chat_needs_nothing(model: LlamaModel) -> None:
    """No grammar, no reader that looks for marks, and each choice has a seed of its own."""
    chat = Chat((Message("user", "Hi"),), Sampling(seed=5), choices=3)
    jobs = Preparer(model, 512).jobs((1, 2), chat)
    assert not isinstance(jobs, Declined)
    assert [job.key for job in jobs] == [(1, 2, 0), (1, 2, 1), (1, 2, 2)]
    assert [job.sampling.seed for job in jobs] == [5, 6, 7]
    _, job = prepared(model, PLAIN, Chat((Message("user", "Hi"),)))
    assert job.guide is None
    assert isinstance(job.reader, PlainReader)


def test_an_answer_that_has_begun_is_gone_on_with(model: LlamaModel) -> None:
    """Its text is the prompt's end; a thinking that the template opened is over by then."""
    chat = Chat((Message("user", "Capital?"),), prefill="The <|im_end|> of")
    text, job = prepared(model, THINKS, chat)
    assert text.endswith("<think>\n\n</think>\n\nThe <|im_end|> of")
    assert isinstance(job.reader, PlainReader)
    text, job = prepared(model, "<|channel|>{{ tools }}" + PLAIN, chat)
    assert text.endswith("<|channel|>final<|message|>The <|im_end|> of")
    assert isinstance(job.reader, HarmonyReader)


def test_a_beginning_goes_through_the_schema_first(model: LlamaModel) -> None:
    """What was sent already is a part of the document; one that cannot be is refused."""
    shape = Shape(ShapeKind.JSON_SCHEMA, '{"type":"object","properties":{"a":{"type":"integer"}}}')
    chat = Chat((Message("user", "x"),), shape=shape, prefill='{"a": 1')
    _, job = prepared(model, PLAIN, chat)
    assert job.guide is not None
    assert job.guide.allows(*model.encode("}"))
    wrong = Chat((Message("user", "x"),), shape=shape, prefill="[")
    declined = Preparer(model, 512).jobs((1, 2), wrong)
    assert isinstance(declined, Declined)
    assert (declined.kind, declined.param) == (RefusalKind.REQUEST, "messages")


def test_an_exact_count(model: LlamaModel) -> None:
    """As many as the prompt will have."""
    model.template = PLAIN
    preparer = Preparer(model, 512)
    chat = Chat((Message("user", "How many tokens? <|im_end|> 👋"),))
    jobs = preparer.jobs((1, 2), chat)
    assert not isinstance(jobs, Declined)
    assert preparer.count(chat) == len(jobs[0].prompt)
