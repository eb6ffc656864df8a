"""Errors of the Responses API: those of the OpenAI dialect, with this API's names of parameters
where a target was asked by those of a chat.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from gateway.errors import GatewayError
from gateway.wire.openai_errors import members

_NAMES: Mapping[str, str] = {
    "messages": "input",
    "response_format": "text.format",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
    "logprobs": "include",
}
_WORD = re.compile(r"\w+")


def envelope(error: GatewayError) -> bytes:
    """The JSON body of an error."""
    return msgspec.json.encode({"error": {**members(error), "param": named(error.param)}})


def named(param: str | None) -> str | None:
    """A parameter of a chat as this API calls it; one of its own as it is. What stands within a
    message has no place that is known here: turns and items are not counted alike.
    """
    first = _WORD.match(param or "")
    if param is None or first is None:
        return param
    return _NAMES.get(first[0]) or param.replace(".function.", ".")
