"""litellm, with all of it turned off but the translation. The only file that imports it.

What it must not do at all is set in the environment of the process (``spawning.ENVIRONMENT``),
since part of it happens while it is imported.
"""

from __future__ import annotations

import logging
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any

import litellm
from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

from gateway.domain.events import FailureKind
from gateway.upstream.fault import AttemptFault
from gateway.upstream.translate.parameters import Untranslatable
from gateway.upstream.translate.protocol import Begin
from gateway.upstream.translate.transport import Transport

MOST_MESSAGE = 500
_NO_RETRIES: Mapping[str, Any] = {
    "num_retries": 0,
    "max_retries": 0,
    "drop_params": False,
    "caching": False,
    "no-log": True,
}


_PARAMETER = re.compile(r"(?:parameters: \[|\{)'(\w+)'")
"""Where the message of an ``UnsupportedParamsError`` names the first of them."""


class Translator:
    """Asks one channel's API."""

    def __init__(self, begin: Begin) -> None:
        logging.disable(logging.CRITICAL)  # what litellm logs holds prompts
        litellm.suppress_debug_info = True
        litellm.drop_params = False
        litellm.modify_params = False
        litellm.num_retries = 0
        litellm.turn_off_message_logging = True
        litellm.disable_streaming_logging = True
        litellm.disable_hf_tokenizer_download = True
        litellm.disable_aiohttp_transport = True
        trusted = ssl.create_default_context()
        if begin.authorities is not None:
            trusted.load_verify_locations(cadata=begin.authorities)
        self._provider = begin.provider
        self._fixed = {
            **_NO_RETRIES,
            **begin.parameters,
            **begin.credentials,
            "custom_llm_provider": begin.provider,
            "client": AsyncHTTPHandler(
                transport=Transport(trusted, begin.connect), follow_redirects=False
            ),
        }
        if begin.api_base is not None:
            self._fixed["api_base"] = begin.api_base

    async def plain(self, model: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """A whole answer. Raises ``AttemptFault``, or whatever litellm makes of what failed."""
        answer = await self._ask(model, parameters)
        dumped: Mapping[str, Any] = answer.model_dump()
        return dumped

    async def stream(
        self, model: str, parameters: Mapping[str, Any]
    ) -> AsyncIterator[Mapping[str, Any]]:
        """The chunks of an answer. Raises as ``plain`` does."""
        options = {"stream": True, "stream_options": {"include_usage": True}}
        chunks = await self._ask(model, {**parameters, **options})
        async for chunk in chunks:
            yield chunk.model_dump()

    async def _ask(self, model: str, parameters: Mapping[str, Any]) -> Any:
        return await litellm.acompletion(model=model, **{**parameters, **self._fixed})


def fault(error: Exception) -> AttemptFault:
    """What litellm's own refusal of a request means, for one that the vendor has not answered."""
    message = str(getattr(error, "message", error))
    if isinstance(error, litellm.UnsupportedParamsError):
        named = _PARAMETER.search(message)
        if named is not None:
            return Untranslatable(named.group(1))
    if isinstance(error, litellm.ContextWindowExceededError):
        return AttemptFault(_worded(message), FailureKind.CONTEXT_OVERFLOW)
    if isinstance(error, litellm.AuthenticationError | litellm.PermissionDeniedError):
        return AttemptFault("the credentials are not accepted", FailureKind.UNAUTHORIZED)
    if isinstance(error, litellm.BadRequestError | litellm.UnprocessableEntityError):
        return AttemptFault(_worded(message), FailureKind.INCAPABLE)
    return AttemptFault(
        f"the request could not be translated ({type(error).__name__})", FailureKind.SERVER_ERROR
    )


def _worded(message: str) -> str:
    """litellm's words without its own names before them."""
    text = message.removeprefix("litellm.").partition(": ")[2] or message
    return " ".join(text.split())[:MOST_MESSAGE]
