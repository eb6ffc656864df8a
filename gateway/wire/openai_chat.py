"""Chat completions of the OpenAI dialect: a body to a ``Call``, events to an answer's bytes.

Source: the published OpenAPI document of the OpenAI API, ``POST /chat/completions``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from gateway.domain.call import Chat, Message, Sampling
from gateway.domain.events import FinishReason, Usage
from gateway.domain.target import Capability
from gateway.errors import InvalidRequest


class _Part(msgspec.Struct):
    type: str
    text: str | None = None
    refusal: str | None = None


class _Message(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[_Part] | None = None
    tool_calls: list[Any] | None = None
    function_call: Any = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _ResponseFormat(msgspec.Struct):
    type: str


class _Body(msgspec.Struct):
    """What the gateway must know of a request. Other parameters pass through untouched."""

    model: str
    messages: list[_Message]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    functions: list[Any] | None = None
    response_format: _ResponseFormat | None = None
    logprobs: bool | None = None
    logit_bias: dict[str, float] | None = None
    modalities: list[str] | None = None
    web_search_options: Any = None


class ChatRequest(msgspec.Struct, frozen=True):
    """A parsed body: what the engine needs beside the bytes themselves."""

    model: str
    stream: bool
    include_usage: bool
    chat: Chat
    needs: frozenset[Capability]


_decoder = msgspec.json.Decoder(_Body)
_RANGES: tuple[tuple[str, float, float], ...] = (
    ("temperature", 0.0, 2.0),
    ("top_p", 0.0, 1.0),
    ("presence_penalty", -2.0, 2.0),
    ("frequency_penalty", -2.0, 2.0),
    ("max_tokens", 1, float("inf")),
    ("max_completion_tokens", 1, float("inf")),
    ("n", 1, 128),
)


def parse(body: bytes) -> ChatRequest:
    """Read the body of a chat completion. Raises ``InvalidRequest`` that names the parameter."""
    try:
        parsed = _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(
            f"The body is not valid JSON: {error}. Send one JSON object.", code="invalid_json"
        ) from None
    _check(parsed)
    return ChatRequest(
        model=parsed.model,
        stream=bool(parsed.stream),
        include_usage=bool(parsed.stream_options and parsed.stream_options.include_usage),
        chat=_chat(parsed),
        needs=_needs(parsed),
    )


def _invalid(text: str) -> InvalidRequest:
    """msgspec ends its message with ``- at `$.path```: that path is the parameter."""
    message, _, path = text.partition(" - at `$")
    param = path.rstrip("`").lstrip(".") or None
    code = "invalid_type"
    if message.startswith("Object missing required field"):
        field = message.split("`")[1]
        param = f"{param}.{field}" if param else field
        message, code = f"Missing required parameter: '{param}'", "missing_required_parameter"
    elif param:
        message = f"Invalid '{param}': {message}"
    return InvalidRequest(f"{message}.", param=param, code=code)


def _check(body: _Body) -> None:
    if not body.model:
        raise InvalidRequest("'model' must not be empty.", param="model")
    if not body.messages:
        raise InvalidRequest(
            "'messages' is empty: at least one message is needed.",
            param="messages",
            code="empty_array",
        )
    for name, low, high in _RANGES:
        value = getattr(body, name)
        if value is not None and not low <= value <= high:
            bound = f"at least {low:g}" if high == float("inf") else f"from {low:g} to {high:g}"
            raise InvalidRequest(f"'{name}' is {value:g}: it must be {bound}.", param=name)
    if isinstance(body.stop, list) and len(body.stop) > 4:
        raise InvalidRequest("'stop' holds more than 4 sequences.", param="stop")
    if body.stream_options is not None and not body.stream:
        raise InvalidRequest(
            "'stream_options' is only allowed with 'stream': true.", param="stream_options"
        )


def _needs(body: _Body) -> frozenset[Capability]:
    return frozenset(_each_need(body))


def _each_need(body: _Body) -> Iterator[Capability]:
    wanted = (body.tools or body.functions) and body.tool_choice != "none"
    if wanted or any(
        m.tool_calls or m.function_call or m.role in ("tool", "function") for m in body.messages
    ):
        yield Capability.TOOLS
    if body.response_format is not None and body.response_format.type != "text":
        schema = body.response_format.type == "json_schema"
        yield Capability.JSON_SCHEMA if schema else Capability.JSON_OBJECT
    if body.logprobs:
        yield Capability.LOGPROBS
    if body.logit_bias:
        yield Capability.LOGIT_BIAS
    if (body.n or 1) > 1:
        yield Capability.SEVERAL_CHOICES
    if body.web_search_options is not None:
        yield Capability.WEB_SEARCH
    if body.modalities and "audio" in body.modalities:
        yield Capability.AUDIO
    for message in body.messages:
        if isinstance(message.content, list):
            for part in message.content:
                if part.type in ("image_url", "file"):
                    yield Capability.IMAGES
                elif part.type == "input_audio":
                    yield Capability.AUDIO


def _chat(body: _Body) -> Chat:
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    return Chat(
        messages=tuple(_message(message) for message in body.messages),
        sampling=Sampling(
            temperature=body.temperature,
            top_p=body.top_p,
            presence_penalty=body.presence_penalty or 0.0,
            frequency_penalty=body.frequency_penalty or 0.0,
            seed=body.seed,
        ),
        max_tokens=body.max_completion_tokens or body.max_tokens,
        stop=tuple(text for text in stop if text),
    )


def _message(message: _Message) -> Message:
    role = "system" if message.role == "developer" else message.role
    content = message.content
    if isinstance(content, list):
        content = "".join(part.text or part.refusal or "" for part in content)
    return Message(role=role, content=content or "")


class ChatWriter:
    """Writes the answer of a target that does not speak this dialect itself.

    ``id`` is the answer's id, ``model`` what the app asked for, ``created`` seconds since 1970.
    """

    def __init__(self, *, id: str, model: str, created: int, include_usage: bool) -> None:
        self._head = {"id": id, "created": created, "model": model, "system_fingerprint": None}
        self._include_usage = include_usage
        self._text: list[str] = []
        self._usage: Usage | None = None
        self._begun = False

    def piece(self, text: str) -> bytes:
        """The chunk of a stream that carries ``text``; the first one carries the role as well."""
        delta: dict[str, Any] = {"content": text}
        if not self._begun:
            self._begun = True
            delta = {"role": "assistant", "content": text}
        return self._chunk([_choice(delta, None)])

    def keep(self, text: str) -> None:
        """Collect ``text`` for an answer that is not streamed."""
        self._text.append(text)

    def count(self, usage: Usage) -> None:
        self._usage = usage

    def end(self, reason: FinishReason | None) -> bytes:
        """The last chunks of a stream: the finish, the usage where it was asked for, ``[DONE]``."""
        opening = b"" if self._begun else self.piece("")
        last = self._chunk([_choice({}, reason or FinishReason.STOP)])
        usage = b""
        if self._include_usage and self._usage is not None:
            usage = self._chunk([], usage=_usage(self._usage))
        return opening + last + usage + b"data: [DONE]\n\n"

    def whole(self, reason: FinishReason | None) -> bytes:
        """The body of an answer that is not streamed."""
        message = {"role": "assistant", "content": "".join(self._text), "refusal": None}
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": reason or FinishReason.STOP,
        }
        body = {**self._head, "object": "chat.completion", "choices": [choice]}
        if self._usage is not None:
            body["usage"] = _usage(self._usage)
        return msgspec.json.encode(body)

    def _chunk(self, choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> bytes:
        body = {**self._head, "object": "chat.completion.chunk", "choices": choices}
        if self._include_usage:
            body["usage"] = usage
        return b"data: " + msgspec.json.encode(body) + b"\n\n"


def _choice(delta: dict[str, Any], reason: FinishReason | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.total,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
    }
