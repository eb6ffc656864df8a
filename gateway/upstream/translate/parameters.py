"""What of a body can be translated, and by which words. Pure.

Closed: litellm takes its own settings (where to send what, with which key) as further parameters
of the same call, so an app's word is passed on only if it is known to be none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.domain.events import FailureKind
from gateway.upstream.fault import AttemptFault

TRANSLATED = frozenset(
    {
        *("messages", "temperature", "top_p", "top_k", "n", "stop", "seed"),
        *("max_tokens", "max_completion_tokens", "presence_penalty", "frequency_penalty"),
        *("logit_bias", "logprobs", "top_logprobs", "tools", "tool_choice", "parallel_tool_calls"),
        *("functions", "function_call", "response_format", "reasoning_effort", "thinking"),
    }
)
HINTS = frozenset(
    {
        *("user", "metadata", "store", "safety_identifier", "service_tier", "prediction"),
        *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
    }
)
"""They change nothing in an answer, and are not passed on."""
MOST_NAME = 100
"""Characters of a parameter's name that are told."""
OURS = frozenset({"model", "stream", "stream_options"})
EMBEDDED = frozenset({"dimensions"})
NOT_EMBEDDED = frozenset({"model", "input", "encoding_format", "user"})
"""How vectors are written is for us to do, and a user changes nothing in them."""
FILES = ("data:", "files/", "gs://", "https://generativelanguage.googleapis.com/")
"""What litellm takes for a file, and not for a text, in some of the APIs."""
SAYS_NOTHING: Mapping[str, tuple[object, ...]] = {
    "n": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "parallel_tool_calls": (True,),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "tools": ([],),
    "stop": ([],),
}
"""Values that are the same as none, which some apps write out all the same."""


class Wanted(msgspec.Struct, frozen=True):
    """``parameters`` are named as in the dialect; ``usage`` says that a stream ends with it."""

    parameters: dict[str, Any]
    stream: bool
    usage: bool


def read(body: bytes) -> Wanted:
    """Raises ``AttemptFault`` that names a parameter that cannot be translated."""
    given: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
    options = given.get("stream_options") or {}
    parameters = {}
    for name, value in given.items():
        if name in HINTS or name in OURS or value is None or value in SAYS_NOTHING.get(name, ()):
            continue
        if name not in TRANSLATED:
            raise Untranslatable(name)
        parameters[name] = value
    _narrow(parameters)
    return Wanted(parameters, given.get("stream") is True, options.get("include_usage") is True)


def read_embedding(body: bytes) -> dict[str, Any]:
    """The parameters of a request for embeddings. Raises ``AttemptFault`` that names one that
    cannot be translated.
    """
    given: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
    texts = given["input"] if isinstance(given["input"], list) else [given["input"]]
    if any(not isinstance(one, str) or one.startswith(FILES) for one in texts):
        raise Untranslatable("input")
    parameters = {"input": texts}
    for name, value in given.items():
        if name in EMBEDDED and value is not None:
            parameters[name] = value
        elif name not in NOT_EMBEDDED and value is not None:
            raise Untranslatable(name)
    return parameters


def _narrow(parameters: dict[str, Any]) -> None:
    """Where only some of the tools may be called, the others are not told: other APIs have no word
    for that.
    """
    choice, tools = parameters.get("tool_choice"), parameters.get("tools")
    if not isinstance(choice, dict) or choice.get("type") != "allowed_tools" or not tools:
        return
    allowed = choice["allowed_tools"]
    names = set(map(_name, allowed["tools"]))
    parameters["tools"] = [tool for tool in tools if _name(tool) in names]
    parameters["tool_choice"] = allowed["mode"]


def _name(tool: Mapping[str, Any]) -> str | None:
    function = tool.get("function") or {}
    name: str | None = function.get("name")
    return name


class Untranslatable(AttemptFault):
    """A parameter that this channel's API has nothing for."""

    kind = FailureKind.INCAPABLE

    def __init__(self, param: str) -> None:
        param = param[:MOST_NAME]
        super().__init__(
            f"'{param}' cannot be translated to what this channel's API takes", param=param
        )
