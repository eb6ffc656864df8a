"""How families of models write calls of functions and their thinking: a table of literal texts.

A call is ``begin`` NAME ``middle`` ARGUMENTS ``end``; several stand between ``open`` and ``close``,
parted by ``between``. What a model writes is held to these very texts by a grammar
(``gateway.local.grammar``), so they can be read back without guessing (``gateway.local.reader``).

Sources: the chat templates that the families publish in their GGUF files, and for gpt-oss
https://cookbook.openai.com/articles/openai-harmony.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Arguments(StrEnum):
    """How the arguments of a call are written."""

    JSON = "json"
    """One JSON object."""
    KEYWORDS = "keywords"
    """``name=value, name=value``, the values in JSON."""


@dataclass(frozen=True, slots=True)
class ToolFormat:
    """One way of writing calls. A template that holds one of ``marks`` writes them so. ``trigger``
    is the beginning of a call that nothing else begins with; ``anywhere`` says whether a call may
    come after text. ``text_arguments``: the template takes arguments as JSON text, not as an
    object.
    """

    name: str
    marks: tuple[str, ...]
    trigger: str
    begin: str
    middle: str
    end: str
    open: str = ""
    between: str = ""
    close: str = ""
    anywhere: bool = True
    parallel: bool = True
    arguments: Arguments = Arguments.JSON
    text_arguments: bool = False

    @property
    def start(self) -> str:
        """All that stands before the first call's name."""
        return self.open + self.begin


@dataclass(frozen=True, slots=True)
class Thinking:
    """What stands around the thinking before an answer."""

    open: str
    close: str


HERMES = ToolFormat(
    name="hermes",
    marks=("<tool_call>",),
    trigger="<tool_call>",
    begin='<tool_call>\n{"name": "',
    middle='", "arguments": ',
    end="}\n</tool_call>",
    between="\n",
)
"""Hermes and Qwen; also what a model is told that has no format of its own."""

HARMONY = ToolFormat(
    name="harmony",
    marks=("<|channel|>",),
    trigger="<|channel|>commentary to=",
    begin="<|channel|>commentary to=functions.",
    middle=" <|constrain|>json<|message|>",
    end="",
    parallel=False,
)
"""gpt-oss: everything stands in channels, which ``gateway.local.reader.HarmonyReader`` reads."""

FORMATS: tuple[ToolFormat, ...] = (
    HARMONY,
    ToolFormat(
        name="deepseek",
        marks=("<｜tool▁call▁begin｜>function",),
        trigger="<｜tool▁calls▁begin｜>",
        open="<｜tool▁calls▁begin｜>",
        begin="<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
        middle="\n```json\n",
        end="\n```<｜tool▁call▁end｜>",
        between="\n",
        close="<｜tool▁calls▁end｜>",
        text_arguments=True,
    ),
    ToolFormat(
        name="deepseek-v3.1",
        marks=("<｜tool▁call▁begin｜>",),
        trigger="<｜tool▁calls▁begin｜>",
        open="<｜tool▁calls▁begin｜>",
        begin="<｜tool▁call▁begin｜>",
        middle="<｜tool▁sep｜>",
        end="<｜tool▁call▁end｜>",
        close="<｜tool▁calls▁end｜>",
        text_arguments=True,
    ),
    ToolFormat(
        name="command-r7b",
        marks=("<|START_ACTION|>",),
        trigger="<|START_ACTION|>",
        open="<|START_ACTION|>[\n    ",
        begin='{"tool_call_id": "0", "tool_name": "',
        middle='", "parameters": ',
        end="}",
        between=",\n    ",
        close="\n]<|END_ACTION|>",
    ),
    ToolFormat(
        name="command-r",
        marks=("Action: ```json", "Action:\n```json"),
        trigger="Action: ```json",
        open="Action: ```json\n[\n    ",
        begin='{\n        "tool_name": "',
        middle='",\n        "parameters": ',
        end="\n    }",
        between=",\n    ",
        close="\n]```",
    ),
    ToolFormat(
        name="mistral-args",
        marks=("[ARGS]",),
        trigger="[TOOL_CALLS]",
        begin="[TOOL_CALLS]",
        middle="[ARGS]",
        end="",
    ),
    ToolFormat(
        name="mistral",
        marks=("[TOOL_CALLS]",),
        trigger="[TOOL_CALLS]",
        open="[TOOL_CALLS] [",
        begin='{"name": "',
        middle='", "arguments": ',
        end="}",
        between=", ",
        close="]",
    ),
    HERMES,
    ToolFormat(
        name="pythonic",
        marks=("[func_name1(params_name1=", "[func_call_name1(", "<|python_start|>"),
        trigger="[",
        open="[",
        begin="",
        middle="(",
        end=")",
        between=", ",
        close="]",
        anywhere=False,
        arguments=Arguments.KEYWORDS,
    ),
    ToolFormat(
        name="llama3-json",
        marks=('{"name": function name, "parameters":', '"parameters": '),
        trigger='{"name": "',
        begin='{"name": "',
        middle='", "parameters": ',
        end="}",
        between="; ",
        anywhere=False,
    ),
)
"""In the order of asking: a family's newer template may hold the marks of an older one as well."""

THOUGHTS: tuple[Thinking, ...] = (
    Thinking("<|START_THINKING|>", "<|END_THINKING|>"),
    Thinking("[THINK]", "[/THINK]"),
    Thinking("<think>", "</think>"),
    Thinking("<seed:think>", "</seed:think>"),
)


def tool_format(template: str) -> ToolFormat | None:
    """The format in which a template writes calls; ``None`` where it has none, or none we know."""
    if "tools" not in template and "tool_calls" not in template:
        return None
    return next((one for one in FORMATS if any(mark in template for mark in one.marks)), None)


def thinking(template: str) -> Thinking | None:
    """How a model with that template thinks, if it does."""
    return next((one for one in THOUGHTS if one.open in template or one.close in template), None)


def literals(template: str) -> str:
    """All the texts by which the answers of a model with that template are read, one after the
    other.
    """
    format, thought = tool_format(template), thinking(template)
    texts = [thought.open, thought.close] if thought is not None else []
    if format is not None:
        texts += [format.start, format.middle, format.end, format.between, format.close]
    if format is HARMONY:
        texts += ["<|start|>", "<|end|>"]
    return "\n".join(texts)
