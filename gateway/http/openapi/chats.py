"""Conversations, in both dialects."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.http.openapi import parameters
from gateway.http.openapi.operation import (
    ANTHROPIC,
    EVENTS,
    JSON,
    OF_ANTHROPIC,
    OF_OPENAI,
    OPENAI,
    Body,
    Operation,
)
from gateway.http.openapi.schemas import INTEGER, Schema, event, ref
from gateway.wire import anthropic_messages, openai_chat

_QUESTION: Schema = {"role": "user", "content": "What is the capital of France?"}
DONE = (
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

CHATS: tuple[Operation, ...] = (
    Operation(
        method="post",
        path="/v1/chat/completions",
        id="createChatCompletion",
        summary="Answer a conversation, in the OpenAI dialect",
        text="Parameters that are not listed are passed on to vendors that speak the dialect, and "
        "are ignored by others. " + DONE.format(chunk="ChatCompletionChunk"),
        answers={
            JSON: ref("ChatCompletion"),
            EVENTS: event(ref("ChatCompletionChunk"), ref("OpenAIError")),
        },
        dialect=OPENAI,
        statuses=OF_OPENAI,
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
        statuses=OF_ANTHROPIC,
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
        statuses=OF_ANTHROPIC,
        body=_COUNT,
    ),
)
