"""Chat messages to a prompt, by the Jinja template that the model's file carries.

Some templates raise: they know no system role, or want user and assistant to alternate. An app that
a cloud vendor would have served must not notice, so the messages are brought into the shape that
the template takes, one step at a time, and rendered again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NoReturn

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from gateway.domain.call import Message

MAX_PROMPT = 16 << 20
"""Characters of a rendered prompt: far more than any context, far less than memory."""

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
    """One model's template. ``bos`` and ``eos`` are the texts of those tokens, perhaps empty."""

    def __init__(self, source: str | None, *, bos: str = "", eos: str = "") -> None:
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
        try:
            self._template = environment.from_string(CHATML if source is None else source)
        except jinja2.TemplateError as error:
            raise TemplateFault(f"the chat template does not parse: {error}") from error

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt, ready for the assistant's turn.

        Raises TemplateFault where no shape of the messages can be rendered.
        """
        first: jinja2.TemplateError | TypeError | None = None
        for shape in shapes(messages):
            try:
                return self._render(shape)
            except (jinja2.TemplateError, TypeError) as error:
                first = first or error
        raise TemplateFault(f"the model's chat template does not take these messages: {first}")

    def _render(self, messages: Sequence[Message]) -> str:
        pieces: list[str] = []
        size = 0
        turns = [{"role": m.role, "content": m.content} for m in messages]
        for piece in self._template.generate(
            messages=turns, add_generation_prompt=True, **self._tokens
        ):
            size += len(piece)
            if size > MAX_PROMPT:
                raise TemplateFault(f"the rendered prompt is over {MAX_PROMPT} characters")
            pieces.append(piece)
        return "".join(pieces)


def shapes(messages: Sequence[Message]) -> Iterator[tuple[Message, ...]]:
    """The messages as they are; then alternating; then without a system role; then beginning
    with the user. Each once, the least changed first.
    """
    plain = tuple(messages)
    yield plain
    seen = [plain]
    tools_as_users = tuple(Message("user", m.content) if m.role == "tool" else m for m in plain)
    merged = _merge(tools_as_users)
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
        if turns and turns[-1].role == message.role:
            turns[-1] = Message(message.role, f"{turns[-1].content}\n\n{message.content}")
        else:
            turns.append(message)
    return tuple(turns)


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
