"""Chat completions of the OpenAI dialect: from a body to what is asked for.

Sources: the published OpenAPI document of the OpenAI API, ``POST /chat/completions``.
``chat_template_kwargs`` and ``continue_final_message`` are as in vLLM's server.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import msgspec

from gateway.domain.call import Chat, Message, Unread
from gateway.domain.target import Capability
from gateway.errors import InvalidRequest
from gateway.wire.alone import Reading
from gateway.wire.model_name import LONG
from gateway.wire.openai_messages import Turn, WrittenMessage, messages_needs, typed_message
from gateway.wire.openai_parameters import (
    ENDLESS,
    Parameters,
    Ranges,
    check,
    includes_usage,
    needs,
    read,
    sampling,
    says,
    session,
    shape,
    stops,
    thinking,
)
from gateway.wire.openai_skimmed import SkimmedMessage, skimmed
from gateway.wire.openai_tools import (
    NamedFunction,
    WrittenChoice,
    WrittenFunction,
    WrittenTool,
    tool_needs,
    typed_tools,
)
from gateway.wire.skimmed import Unskimmable, spelt_out
from gateway.wire.whole import Whole


class _Around(Parameters, kw_only=True):
    max_completion_tokens: Whole | None = None
    tools: list[WrittenTool] | None = None
    tool_choice: str | WrittenChoice | None = None
    parallel_tool_calls: bool | None = None
    functions: list[WrittenFunction] | None = None
    function_call: str | NamedFunction | None = None
    logprobs: bool | None = None
    top_logprobs: Whole | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    continue_final_message: bool | None = None
    modalities: list[str] | None = None
    moderation: Any = None
    web_search_options: Any = None


class _Body(_Around, kw_only=True):
    messages: list[WrittenMessage]


class _SkimmedBody(_Around, kw_only=True):
    messages: list[SkimmedMessage]


class ChatRequest(msgspec.Struct, frozen=True):
    """A parsed body: what the engine needs beside the bytes themselves. ``asked`` and ``alone`` are
    as in ``Call``; ``functions`` says that it uses the older parameters of that name, and so must
    its answer; ``session`` is by what the app says which requests begin alike.
    """

    model: str
    stream: bool
    include_usage: bool
    functions: bool
    asked: Chat | Unread
    needs: frozenset[Capability]
    session: str | None
    alone: bool

    @property
    def chat(self) -> Chat:
        """The whole chat. Raises ``InvalidRequest`` as ``Unread`` does."""
        return self.asked.chat if isinstance(self.asked, Unread) else self.asked


_decoder = msgspec.json.Decoder(_Body)
_long = Reading(_SkimmedBody)
_RANGES = Ranges(
    (("max_tokens", 1, ENDLESS), ("max_completion_tokens", 1, ENDLESS), ("top_logprobs", 0, 20))
)
_NEEDY = says(
    *("tools", "functions", "tool_choice", "response_format", "structured_outputs", "logit_bias"),
    *("n", "logprobs", "web_search_options", "moderation", "modalities"),
)
"""Parameters that take more of a target than that it chats."""
BODY = _Body
BOUNDS = _RANGES.all
"""For whoever documents it, as is ``BODY``."""


def parse(body: bytes) -> ChatRequest:
    """Read the body of a chat completion. Raises ``InvalidRequest`` that names the parameter."""
    if len(body) >= LONG and (skimmed := _skimmed(body)) is not None:
        return skimmed
    parsed = read(_decoder, body)
    _check(parsed, parsed.messages)
    return _request(parsed, _chat(parsed), messages_needs(parsed.messages), alone=False)


def _skimmed(body: bytes) -> ChatRequest | None:
    """Of a long body; ``None`` where it is to be read as all are, which says what is wrong."""
    try:
        parsed, alone = _long.read(body)
        found = skimmed(parsed.messages)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, Unskimmable):
        return None
    _check(parsed, parsed.messages)
    whole = partial(_whole, body)
    if parsed.continue_final_message or spelt_out(body):
        return _request(parsed, whole(), found.needs, alone=alone)
    asked = Unread(_around(parsed, ()), found.turns, found.size, found.images, whole)
    return _request(parsed, asked, found.needs, alone=alone)


def _whole(body: bytes) -> Chat:
    return _chat(read(_decoder, body))


def _request(
    body: _Around, asked: Chat | Unread, needs: Iterable[Capability], *, alone: bool
) -> ChatRequest:
    """``needs`` are those of the messages."""
    return ChatRequest(
        model=body.model,
        stream=bool(body.stream),
        include_usage=includes_usage(body),
        functions=body.functions is not None,
        asked=asked,
        needs=frozenset((*needs, *_needs(body))),
        session=session(body),
        alone=alone,
    )


def _check(body: _Around, messages: Sequence[Turn]) -> None:
    check(body, _RANGES)
    if not messages:
        raise InvalidRequest(
            "'messages' is empty: at least one message is needed.",
            param="messages",
            code="empty_array",
        )
    if body.top_logprobs is not None and not body.logprobs:
        raise InvalidRequest(
            "'top_logprobs' is only allowed with 'logprobs': true.", param="top_logprobs"
        )


def _needs(body: _Around) -> Iterator[Capability]:
    """What a target must be able to do for what stands around the messages."""
    if not _NEEDY(body):
        return
    yield from tool_needs(body.tools, body.functions, body.tool_choice)
    yield from needs(body)
    if body.logprobs:
        yield Capability.LOGPROBS
    if body.web_search_options is not None:
        yield Capability.WEB_SEARCH
    if body.moderation is not None:
        yield Capability.MODERATION
    for modality in body.modalities or ():
        if modality != "text":
            yield Capability.AUDIO if modality == "audio" else Capability.OTHER_CONTENT


def _chat(body: _Body) -> Chat:
    messages = tuple(map(typed_message, body.messages))
    if not body.continue_final_message or messages[-1].role != "assistant":
        return _around(body, messages)
    if messages[-1].images:
        raise InvalidRequest(
            "An answer that is to be continued cannot hold images.", param="messages"
        )
    return _around(body, messages[:-1], messages[-1].content)


def _around(body: _Around, messages: tuple[Message, ...], prefill: str = "") -> Chat:
    return Chat(
        messages=messages,
        sampling=sampling(body),
        max_tokens=body.max_completion_tokens or body.max_tokens,
        stop=stops(body),
        tools=typed_tools(
            body.tools,
            body.functions,
            body.tool_choice if body.functions is None else body.function_call,
            parallel=body.parallel_tool_calls is not False,
        ),
        shape=shape(body),
        logprobs=(body.top_logprobs or 0) if body.logprobs else None,
        choices=body.n or 1,
        prefill=prefill,
        template=_template(body),
    )


def _template(body: _Around) -> str:
    """Variables for a chat template: the app's own, and how much the model should think and say."""
    variables = dict(body.chat_template_kwargs or {})
    if body.reasoning_effort is not None:
        thinking(variables, body.reasoning_effort)
    if body.verbosity is not None:
        variables.setdefault("verbosity", body.verbosity)
    return msgspec.json.encode(variables).decode() if variables else "{}"
