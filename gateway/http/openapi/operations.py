"""The operations of the data plane: what each takes, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from gateway.http.openapi import parameters
from gateway.http.openapi.schemas import INTEGER, STRING, Schema, event, ref
from gateway.wire import anthropic_messages, openai_chat

JSON = "application/json"
EVENTS = "text/event-stream"
OPENAI = "openai"
ANTHROPIC = "anthropic"
EITHER = "either"

Range = tuple[str, float, float]


@dataclass(frozen=True, slots=True)
class Body:
    """A JSON body: the struct that reads it, whose schemas are called ``name`` and more; what its
    parameters mean, the bounds of numbers, and what is looked at behind the struct: parameters that
    must be there, and of what form they are.
    """

    name: str
    struct: type[msgspec.Struct]
    means: Mapping[str, str]
    ranges: Sequence[Range]
    examples: Mapping[str, Schema]
    required: Mapping[str, Schema]


@dataclass(frozen=True, slots=True)
class Operation:
    """``answers`` are those with 200, by their media types; ``dialect`` is that of the errors, one
    for each of ``statuses``. ``parameters`` are as in OpenAPI.
    """

    method: str
    path: str
    id: str
    summary: str
    text: str
    answers: Mapping[str, Schema]
    dialect: str
    statuses: tuple[int, ...]
    body: Body | None = None
    parameters: Sequence[Schema] = field(default_factory=list)

    @property
    def generates(self) -> bool:
        """Whether a target answers, which the headers then tell of."""
        return self.body is not None


_OF_OPENAI = (400, 404, 413, 415, 422, 451, 500, 503)
_OF_ANTHROPIC = (400, 404, 413, 415, 422, 451, 500, 529)
_QUESTION: Schema = {"role": "user", "content": "What is the capital of France?"}
_DONE = (
    "With `stream` the answer is events: each `data:` line holds a `{chunk}`, the last one is "
    "`[DONE]`. A stream that fails ends in an event with `error`."
)
_SOME: Mapping[str, Schema] = {"model": {"minLength": 1}, "messages": {"minItems": 1}}

_CHAT = Body(
    name="ChatCompletionRequest",
    struct=openai_chat.BODY,
    means=parameters.CHAT,
    ranges=openai_chat.BOUNDS,
    examples={
        "plain": {"model": "gpt-4o", "messages": [_QUESTION], "max_tokens": 16},
        "streamed": {
            "model": "gpt-4o",
            "messages": [{"role": "system", "content": "Be brief."}, _QUESTION],
            "max_tokens": 16,
            "stream": True,
            "stream_options": {"include_usage": True},
        },
    },
    required=_SOME,
)

_MESSAGES = Body(
    name="MessageRequest",
    struct=anthropic_messages.BODY,
    means=parameters.MESSAGES,
    ranges=anthropic_messages.BOUNDS,
    examples={
        "plain": {"model": "claude-sonnet-4-5", "messages": [_QUESTION], "max_tokens": 16},
        "streamed": {
            "model": "claude-sonnet-4-5",
            "system": "Be brief.",
            "messages": [_QUESTION],
            "max_tokens": 16,
            "stream": True,
        },
    },
    required={**_SOME, "max_tokens": INTEGER},
)

_COUNT = Body(
    name="CountTokensRequest",
    struct=anthropic_messages.BODY,
    means=parameters.MESSAGES,
    ranges=anthropic_messages.BOUNDS,
    examples={"plain": {"model": "claude-sonnet-4-5", "messages": [_QUESTION]}},
    required=_SOME,
)

_MODEL: Schema = {
    "name": "model",
    "in": "path",
    "required": True,
    "description": "A configured name; it may hold slashes.",
    "schema": {"type": "string", "minLength": 1},
    "example": "gpt-4o",
}
_VERSION: Schema = {
    "name": "anthropic-version",
    "in": "header",
    "required": False,
    "description": "Where it is there, the answer and its errors are in the Anthropic dialect.",
    "schema": STRING,
}


def _query(name: str, text: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "required": False, "description": text, "schema": schema}


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="post",
        path="/v1/chat/completions",
        id="createChatCompletion",
        summary="Answer a conversation, in the OpenAI dialect",
        text="Parameters that are not listed are passed on to vendors that speak the dialect, and "
        "are ignored by others. " + _DONE.format(chunk="ChatCompletionChunk"),
        answers={
            JSON: ref("ChatCompletion"),
            EVENTS: event(ref("ChatCompletionChunk"), ref("OpenAIError")),
        },
        dialect=OPENAI,
        statuses=_OF_OPENAI,
        body=_CHAT,
    ),
    Operation(
        method="post",
        path="/v1/messages",
        id="createMessage",
        summary="Answer a conversation, in the Anthropic dialect",
        text="With `stream` the answer is events from `message_start` to `message_stop`; a stream "
        "that fails ends in an event `error`.",
        answers={JSON: ref("Message"), EVENTS: event(ref("MessageEvent"), named=True)},
        dialect=ANTHROPIC,
        statuses=_OF_ANTHROPIC,
        body=_MESSAGES,
    ),
    Operation(
        method="post",
        path="/v1/messages/count_tokens",
        id="countTokens",
        summary="Count the tokens of a conversation, in the Anthropic dialect",
        text="By an Anthropic channel or, exactly for its own tokens, by the local model that "
        "would answer.",
        answers={JSON: ref("TokenCount")},
        dialect=ANTHROPIC,
        statuses=_OF_ANTHROPIC,
        body=_COUNT,
    ),
    Operation(
        method="get",
        path="/v1/models",
        id="listModels",
        summary="What may be asked for, and what would answer now",
        text="Configured names; patterns are left out. Only the Anthropic dialect has pages.",
        answers={JSON: {"anyOf": [ref("ModelList"), ref("AnthropicModelPage")]}},
        dialect=EITHER,
        statuses=(400, 500),
        parameters=(
            _VERSION,
            _query(
                "limit",
                "How many names a page has.",
                {"type": "integer", "minimum": 1, "maximum": 1000, "default": 20},
            ),
            _query("after_id", "The name in front of the page.", STRING),
            _query("before_id", "The name behind the page.", STRING),
        ),
    ),
    Operation(
        method="get",
        path="/v1/models/{model}",
        id="retrieveModel",
        summary="What would answer for a model now",
        text="",
        answers={JSON: {"anyOf": [ref("Model"), ref("AnthropicModel")]}},
        dialect=EITHER,
        statuses=(404, 500),
        parameters=(_MODEL, _VERSION),
    ),
)
