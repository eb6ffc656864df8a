"""Chat messages to a prompt, by the Jinja template that the model's file carries.

Some templates raise: they know no system role, or want user and assistant to alternate. An app that
a cloud vendor would have served must not notice, so the messages are brought into the shape that
the template takes, one step at a time, and rendered again. Functions are told in the model's own
way where it has one that we know, and described in the system message otherwise.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from msgspec.structs import replace

from gateway.domain.call import Chat, Message, Tool, ToolChoice, Tools
from gateway.errors import ModelFileError
from gateway.local.formats import HERMES, ToolFormat
from gateway.local.shield import place

MAX_PROMPT = 16 << 20
"""Characters of a rendered prompt: far more than any context, far less than memory."""
MAX_SECONDS = 10.0
"""For one rendering. Some templates take time that grows with the square of the turns."""

MAX_SOURCE = 1 << 20
"""Bytes of a template's file."""

DESCRIPTION = """\
You can call functions. Each line here is one of them, as JSON with a JSON Schema of its arguments:
{functions}
To call one, write
<tool_call>
{{"name": "the function's name", "arguments": {{"the argument's name": "its value"}}}}
</tool_call>
and the result is given to you in the next message."""
RESULT = "<tool_response>\n{content}\n</tool_response>"

Cover = Callable[[str], str]
"""Makes the text of an app safe to be put into a prompt."""

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""For files without a template: the commonest shape."""


class TemplateFault(Exception):
    """The template does not parse, raises whatever the messages' shape, or yields too much."""


class ChatTemplate:
    """One model's template. ``bos`` and ``eos`` are the texts of those tokens, perhaps empty;
    ``native`` is the format in which the template itself writes calls, if it does; ``name`` is for
    errors.
    """

    def __init__(
        self,
        source: str | None,
        *,
        bos: str = "",
        eos: str = "",
        native: ToolFormat | None = None,
        name: str = "the chat template",
    ) -> None:
        """Raises TemplateFault where ``source`` is no Jinja template."""
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[loopcontrols],
            autoescape=False,  # the result is a prompt, not HTML
        )
        environment.filters["tojson"] = _tojson
        environment.globals["raise_exception"] = _raise
        environment.globals["strftime_now"] = _strftime_now
        self._tokens = {"bos_token": bos, "eos_token": eos}
        self._native = native
        try:
            self._template = environment.from_string(CHATML if source is None else source)
        except jinja2.TemplateSyntaxError as error:
            where = f"{name}, line {error.lineno}"
            raise TemplateFault(f"{where}: no Jinja template: {error.message}") from error

    def render(self, chat: Chat, cover: Cover) -> str:
        """The prompt, ready for the assistant's turn. All that the app wrote goes through
        ``cover``; images are there by their places, as ``gateway.local.shield`` writes them.

        Raises TemplateFault where no shape of the messages can be rendered.
        """
        given = json.loads(cover(chat.template))
        numbers = itertools.count()
        messages = [_covered(message, cover, numbers) for message in chat.messages]
        tools = chat.tools
        if tools is not None and tools.choice is ToolChoice.NONE:
            tools = None
        first: jinja2.TemplateError | TypeError | None = None
        for shape, told in self._ways(messages, tools, cover):
            variables = {**given, **self._tokens, **told}
            try:
                return self._render(shape, variables)
            except (jinja2.TemplateError, TypeError) as error:
                first = first or error
        raise TemplateFault(f"the model's chat template does not take these messages: {first}")

    def attempt(self, messages: Sequence[Message], variables: Mapping[str, Any]) -> str | None:
        """The messages in just this shape; ``None`` where the template does not take it."""
        try:
            return self._render(messages, {**variables, **self._tokens})
        except (jinja2.TemplateError, TypeError, TemplateFault):
            return None

    def _ways(
        self, messages: Sequence[Message], tools: Tools | None, cover: Cover
    ) -> Iterator[tuple[tuple[Message, ...], dict[str, Any]]]:
        """Shapes of the messages, with what the template is told beside them."""
        if self._native is not None:
            told = {"tools": [_function(tool, cover) for tool in _available(tools)] or None}
            yield from ((shape, told) for shape in shapes(messages))
        described = list(_described(messages))
        if tools is not None:
            described.insert(0, Message("system", _description(tools, cover)))
        yield from ((shape, {}) for shape in shapes(described))

    def _render(self, messages: Sequence[Message], variables: dict[str, Any]) -> str:
        pieces: list[str] = []
        size = 0
        until = time.monotonic() + MAX_SECONDS
        turns = [self._turn(message) for message in messages]
        for piece in self._template.generate(
            {**variables, "messages": turns, "add_generation_prompt": True}
        ):
            size += len(piece)
            if size > MAX_PROMPT:
                raise TemplateFault(f"the rendered prompt is over {MAX_PROMPT} characters")
            if time.monotonic() > until:
                raise TemplateFault(f"the chat template took over {MAX_SECONDS:.0f} s")
            pieces.append(piece)
        return "".join(pieces)

    def _turn(self, message: Message) -> dict[str, Any]:
        """A message as templates know them."""
        turn: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.calls:
            turn["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": self._arguments(call.arguments)},
                }
                for call in message.calls
            ]
        if message.call_id is not None:
            turn["tool_call_id"] = message.call_id
        if message.name is not None:
            turn["name"] = message.name
        if message.reasoning is not None:
            turn["reasoning_content"] = message.reasoning
        return turn

    def _arguments(self, text: str) -> Any:
        if self._native is not None and self._native.text_arguments:
            return text
        try:
            return json.loads(text)
        except ValueError:
            # What some model wrote once, and an app sends back: the turn is told as it was.
            return text


def read_template(path: Path) -> str:
    """The Jinja source in a file of the operator's. Raises ModelFileError where it cannot be read
    or does not parse, with the line.
    """
    try:
        if path.stat().st_size > MAX_SOURCE:
            raise ModelFileError(f"the chat template {path} is over {MAX_SOURCE:,} bytes")
        source = path.read_text(encoding="utf-8")
        ChatTemplate(source, name=str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFileError(f"the chat template {path} cannot be read: {error}") from error
    except TemplateFault as fault:
        raise ModelFileError(str(fault)) from fault
    return source


def _covered(message: Message, cover: Cover, numbers: Iterator[int]) -> Message:
    """The message with covered texts, its images by ``numbers`` within its content."""
    content, at = "", 0
    for image in message.images:
        content += cover(message.content[at : image.at]) + place(next(numbers))
        at = image.at
    return replace(
        message,
        content=content + cover(message.content[at:]),
        images=(),
        calls=tuple(replace(call, arguments=cover(call.arguments)) for call in message.calls),
        name=cover(message.name) if message.name is not None else None,
        reasoning=cover(message.reasoning) if message.reasoning is not None else None,
    )


def _available(tools: Tools | None) -> tuple[Tool, ...]:
    """The functions that a model is told of: where one must be called, no other."""
    if tools is None:
        return ()
    return tuple(tool for tool in tools.available if tools.named in (None, tool.name))


def _function(tool: Tool, cover: Cover) -> dict[str, Any]:
    described = cover(json.dumps(tool.description, ensure_ascii=False))
    return {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": json.loads(described),
            "parameters": json.loads(cover(tool.schema)),
        },
    }


def _description(tools: Tools, cover: Cover) -> str:
    functions = (_tojson(_function(tool, cover)["function"]) for tool in _available(tools))
    return DESCRIPTION.format(functions="\n".join(functions))


def _described(messages: Sequence[Message]) -> Iterator[Message]:
    """Calls and their results as plain turns, in the format that the description names."""
    for message in messages:
        if message.calls:
            calls = "\n".join(
                f"{HERMES.begin}{call.name}{HERMES.middle}{call.arguments}{HERMES.end}"
                for call in message.calls
            )
            content = f"{message.content}\n{calls}" if message.content else calls
            yield replace(message, content=content, calls=())
        elif message.role == "tool":
            yield Message("user", RESULT.format(content=message.content))
        else:
            yield message


def shapes(messages: Sequence[Message]) -> Iterator[tuple[Message, ...]]:
    """The messages as they are; then alternating; then without a system role; then beginning
    with the user. Each once, the least changed first.
    """
    plain = tuple(messages)
    yield plain
    seen = [plain]
    merged = _merge(plain)
    without = _merge(_system_into_user(merged))
    opened = without
    if opened and opened[0].role != "user":
        opened = (Message("user", ""), *opened)
    for shape in (merged, without, opened):
        if shape not in seen:
            seen.append(shape)
            yield shape


def _merge(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Neighbours of one role become one turn."""
    turns: list[Message] = []
    for message in messages:
        if turns and turns[-1].role == message.role and _plain(turns[-1]) and _plain(message):
            turns[-1] = Message(message.role, f"{turns[-1].content}\n\n{message.content}")
        else:
            turns.append(message)
    return tuple(turns)


def _plain(message: Message) -> bool:
    """Whether there is nothing to a message but its text."""
    return message == Message(message.role, message.content) and message.role != "tool"


def _system_into_user(messages: Sequence[Message]) -> tuple[Message, ...]:
    """All system text at the head of the first user turn, or as one where there is none."""
    system = "\n\n".join(m.content for m in messages if m.role == "system")
    rest = [m for m in messages if m.role != "system"]
    if not system:
        return tuple(rest)
    for index, message in enumerate(rest):
        if message.role == "user":
            rest[index] = Message("user", f"{system}\n\n{message.content}")
            return tuple(rest)
    return (Message("user", system), *rest)


def _raise(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _strftime_now(layout: str) -> str:
    # Templates print the date of the place where the model runs.
    return datetime.now().astimezone().strftime(layout)


def _tojson(value: Any, indent: int | None = None) -> str:
    # Jinja's own filter escapes for HTML, which is no good in a prompt.
    return json.dumps(value, ensure_ascii=False, indent=indent)
