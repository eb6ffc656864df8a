"""Answers beside those of models: what probes, lists, refusals and operators' paths share."""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.types import Message, Scope, Send

from gateway.access.callers import Caller
from gateway.errors import GatewayError
from gateway.http.admin.manners import AdminManners, of_operators
from gateway.http.anthropic import AnthropicManners, speaks_anthropic
from gateway.http.asgi import send_error
from gateway.http.exchange import Manners
from gateway.http.head import Header
from gateway.http.openai import OpenAIManners

ID = "gateway.request_id"
"""Where the scope of a request holds its id."""
_CALLER = "gateway.caller"

_SLASHES = re.compile(r"//+")
_VERSIONED = ("/v1/", "/admin", "/console")
_PROBES = frozenset(("/livez", "/readyz"))
_OPERATORS = frozenset(("metrics", "admin", "console"))
"""The first words of paths that ask for credentials of their own."""


def open_to_all(path: str) -> bool:
    """Whether a path is asked without the key of an app."""
    # The path of ``OPTIONS *`` has no slash.
    return path in _PROBES or path.removeprefix("/").partition("/")[0] in _OPERATORS


def asked_by(scope: Scope, caller: Caller) -> Scope:
    """A request of whom the door knows."""
    return {**scope, _CALLER: caller}


def caller_of(scope: Scope) -> Caller:
    """Who asks a path that is not open to all."""
    caller: Caller = scope[_CALLER]
    return caller


def tidied(path: str) -> str:
    """Without doubled slashes and without one at the end: what comes of a base URL with a slash too
    many.
    """
    return _SLASHES.sub("/", path).rstrip("/") or "/"


def manners_of(scope: Scope) -> Manners:
    """The dialect of whoever asks a path that all share: only SDKs of one of them send a header.
    Operators' paths have a way of their own.
    """
    if of_operators(scope["path"]):
        return AdminManners()
    return AnthropicManners() if speaks_anthropic(scope) else OpenAIManners()


def unknown(method: str, path: str) -> str:
    """What is said of a path that is not there, and of the base URL that may be the reason."""
    said = f"Unknown request URL: {method[:32]} {path[:200]}."
    if path.startswith("/v1/v1/"):
        return f"{said} The base URL of this SDK ends without /v1."
    if not path.startswith(_VERSIONED):
        return f"{said} The paths of models begin with /v1: OpenAI's SDKs want it in the base URL."
    return said


class Answer:
    """Sends an answer with the headers that tell its ids. Without ``body`` only its head goes out
    (RFC 9110, 9.3.2). It is the ``last`` of its connection where what follows it may be a body that
    nobody reads, or the next request.
    """

    def __init__(self, send: Send, ids: Iterable[Header], *, body: bool, last: bool) -> None:
        self._send = send
        self._ids = [*ids]
        self._body = body
        if last:
            self._ids.append((b"connection", b"close"))

    def add(self, header: Header) -> None:
        """A header that the answer has besides."""
        self._ids.append(header)

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *self._ids]}
        elif not self._body:
            message = {**message, "body": b""}
        await self._send(message)

    async def error(
        self, scope: Scope, error: GatewayError, headers: Iterable[Header] = ()
    ) -> None:
        await send_error(self, manners_of(scope), error, scope[ID], headers)

    async def nothing(self, headers: Iterable[Header]) -> None:
        """204."""
        await self({"type": "http.response.start", "status": 204, "headers": [*headers]})
        await self({"type": "http.response.body", "body": b""})
