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
from litellm.caching.llm_caching_handler import LLMClientCache
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


_EMBEDDING: Mapping[str, Mapping[str, Any]] = {
    "cohere": {"encoding_format": "float", "api_base": "https://api.cohere.com/v2/embed"}
}
"""What litellm must be told of embeddings: that they are to come as numbers, and where the API is
that it has another address for.
"""
_PARAMETER = re.compile(r"(?:parameters: \[|\{)'(\w+)'")
"""Where the message of an ``UnsupportedParamsError`` names the first of them."""


class _OneClient(LLMClientCache):  # type: ignore[misc] # untyped here
    """What litellm keeps its clients in: whichever it looks for, there is this one."""

    def __init__(self, client: AsyncHTTPHandler) -> None:
        super().__init__()
        self._client = client

    def get_cache(self, key: str, **options: Any) -> Any:
        if key.startswith("async_httpx_client"):
            return self._client
        return super().get_cache(key, **options)


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
        client = AsyncHTTPHandler(
            transport=Transport(trusted, begin.connect), follow_redirects=False
        )
        self._provider = begin.provider
        self._fixed = {
            **_NO_RETRIES,
            **begin.parameters,
            **begin.credentials,
            "custom_llm_provider": begin.provider,
            "client": client,
        }
        # Where litellm does not hand a client on, it looks for its own, which has no way out.
        litellm.in_memory_llm_clients_cache = _OneClient(client)
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

    async def embed(self, model: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Vectors. Raises as ``plain`` does."""
        asked = {**parameters, **_EMBEDDING.get(self._provider, {}), **self._fixed}
        answer = await litellm.aembedding(model=model, **asked)
        dumped: Mapping[str, Any] = answer.model_dump()
        return dumped

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
