"""Answers of the OpenAI dialect. Those that are relayed may hold more than is said here."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.http.openapi.schemas import (
    ANYTHING,
    BOOLEAN,
    COUNT,
    INTEGER,
    NUMBER,
    STRING,
    TEXT_OR_NULL,
    Schema,
    listed,
    maybe,
    record,
    ref,
    word,
)

_FUNCTION = record({"name": STRING, "arguments": STRING})
_TOKEN = {"token": STRING, "logprob": NUMBER, "bytes": maybe(listed(INTEGER))}
_LOGPROBS = record(
    {
        "content": maybe(listed(record({**_TOKEN, "top_logprobs": listed(record(_TOKEN))}))),
        "refusal": ANYTHING,
    },
    optional=("refusal",),
)
_FINISH = word("stop", "length", "tool_calls", "content_filter", "function_call")
_HEAD: Mapping[str, Schema] = {
    "id": STRING,
    "created": INTEGER,
    "model": STRING,
    "system_fingerprint": TEXT_OR_NULL,
}
_STANDING: Mapping[str, Schema] = {
    "owned_by": {"type": "string", "description": "Who made what would answer now."},
    "locality": {
        **maybe(word("local", "sovereign", "cloud")),
        "description": "Where it would answer; null where nothing would.",
    },
    "served_by": {**TEXT_OR_NULL, "description": "The target that would answer now."},
    "first_choice": {**BOOLEAN, "description": "Whether that is the first of its targets."},
}

SCHEMAS: Mapping[str, Schema] = {
    "OpenAIError": record(
        {
            "error": record(
                {"message": STRING, "type": STRING, "param": TEXT_OR_NULL, "code": TEXT_OR_NULL}
            )
        }
    ),
    "OperatorsError": record(
        {
            "error": record(
                {
                    "type": STRING,
                    "code": TEXT_OR_NULL,
                    "message": STRING,
                    "param": TEXT_OR_NULL,
                    "request_id": STRING,
                }
            )
        }
    ),
    "CompletionUsage": record(
        {
            "prompt_tokens": COUNT,
            "completion_tokens": COUNT,
            "total_tokens": COUNT,
            "prompt_tokens_details": ANYTHING,
            "completion_tokens_details": ANYTHING,
        },
        optional=("prompt_tokens_details", "completion_tokens_details"),
    ),
    "ChatCompletion": record(
        {
            **_HEAD,
            "object": word("chat.completion"),
            "choices": listed(
                record(
                    {
                        "index": COUNT,
                        "message": ref("ChatCompletionMessage"),
                        "logprobs": maybe(_LOGPROBS),
                        "finish_reason": _FINISH,
                    },
                    optional=("logprobs",),
                )
            ),
            "usage": ref("CompletionUsage"),
        },
        optional=("system_fingerprint", "usage"),
    ),
    "ChatCompletionMessage": record(
        {
            "role": word("assistant"),
            "content": TEXT_OR_NULL,
            "refusal": TEXT_OR_NULL,
            "reasoning_content": TEXT_OR_NULL,
            "tool_calls": listed(
                record({"id": STRING, "type": STRING, "function": _FUNCTION}, ("function",))
            ),
            "function_call": maybe(_FUNCTION),
        },
        optional=("refusal", "reasoning_content", "tool_calls", "function_call"),
    ),
    "ChatCompletionChunk": record(
        {
            **_HEAD,
            "object": word("chat.completion.chunk"),
            "choices": listed(
                record(
                    {
                        "index": COUNT,
                        "delta": {"type": "object"},
                        "logprobs": maybe(_LOGPROBS),
                        "finish_reason": maybe(_FINISH),
                    },
                    optional=("logprobs",),
                )
            ),
            "usage": maybe(ref("CompletionUsage")),
        },
        optional=("system_fingerprint", "usage"),
    ),
    "Completion": record(
        {
            **_HEAD,
            "object": word("text_completion"),
            "choices": listed(
                record(
                    {
                        "index": COUNT,
                        "text": STRING,
                        "logprobs": ANYTHING,
                        "finish_reason": maybe(_FINISH),
                    },
                    optional=("logprobs",),
                )
            ),
            "usage": maybe(ref("CompletionUsage")),
        },
        optional=("system_fingerprint", "usage"),
    ),
    "EmbeddingList": record(
        {
            "object": word("list"),
            "data": listed(
                record(
                    {
                        "object": word("embedding"),
                        "index": COUNT,
                        "embedding": {"anyOf": [listed(NUMBER), STRING]},
                    }
                )
            ),
            "model": STRING,
            "usage": record({"prompt_tokens": COUNT, "total_tokens": COUNT}),
        }
    ),
    "Response": record(
        {
            "id": STRING,
            "object": word("response"),
            "created_at": NUMBER,
            "status": STRING,
            "model": STRING,
            "output": listed(record({"type": STRING})),
            "usage": ANYTHING,
            "error": ANYTHING,
            "incomplete_details": ANYTHING,
        },
        optional=("status", "usage", "error", "incomplete_details"),
    ),
    "ItemList": record(
        {
            "object": word("list"),
            "data": listed(record({"type": STRING})),
            "first_id": TEXT_OR_NULL,
            "last_id": TEXT_OR_NULL,
            "has_more": BOOLEAN,
        }
    ),
    "InputTokens": record({"object": word("response.input_tokens"), "input_tokens": COUNT}),
    "ResponseEvent": record({"type": STRING, "sequence_number": COUNT}),
    "Model": record(
        {"id": STRING, "object": word("model"), "created": INTEGER, **_STANDING},
    ),
    "ModelList": record({"object": word("list"), "data": listed(ref("Model"))}),
    "AnthropicModel": record(
        {
            "type": word("model"),
            "id": STRING,
            "display_name": STRING,
            "created_at": {"type": "string", "format": "date-time"},
            "lifecycle": STRING,
            **_STANDING,
        },
    ),
    "AnthropicModelPage": record(
        {
            "data": listed(ref("AnthropicModel")),
            "first_id": TEXT_OR_NULL,
            "last_id": TEXT_OR_NULL,
            "has_more": BOOLEAN,
        }
    ),
    "AnthropicError": record(
        {
            "type": word("error"),
            "error": record({"type": STRING, "message": STRING}),
            "request_id": STRING,
        }
    ),
    "MessageUsage": record(
        {
            "input_tokens": COUNT,
            "output_tokens": COUNT,
            "cache_creation_input_tokens": maybe(COUNT),
            "cache_read_input_tokens": maybe(COUNT),
        },
        optional=("cache_creation_input_tokens", "cache_read_input_tokens"),
    ),
    "ContentBlock": {
        **record({"type": STRING}),
        "description": "`text`, `thinking`, `tool_use`, and what a vendor has beside them.",
    },
    "Message": record(
        {
            "id": STRING,
            "type": word("message"),
            "role": word("assistant"),
            "model": STRING,
            "content": listed(ref("ContentBlock")),
            "stop_reason": TEXT_OR_NULL,
            "stop_sequence": TEXT_OR_NULL,
            "usage": ref("MessageUsage"),
        }
    ),
    "MessageEvent": {
        **record({"type": STRING}),
        "description": "`message_start`, `content_block_start`, `content_block_delta`, "
        "`content_block_stop`, `message_delta`, `message_stop`, `ping` or `error`.",
    },
    "TokenCount": record({"input_tokens": COUNT}),
}
