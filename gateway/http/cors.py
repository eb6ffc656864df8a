"""Cross-origin requests (CORS): which web pages a browser lets call the data plane. Nothing of this
is in the way of a request unless it is configured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.http.straight import Route, Straight

DATA_PLANE = "/v1/"
"""The paths that pages may call; never those for operators."""

METHODS = ("DELETE", "GET", "HEAD", "POST")

SENT = (
    "accept-encoding",
    "anthropic-beta",
    "anthropic-dangerous-direct-browser-access",
    "anthropic-version",
    "authorization",
    "content-encoding",
    "content-type",
    "idempotency-key",
    "openai-beta",
    "openai-organization",
    "openai-project",
    "user-agent",
    "x-api-key",
    "x-client-request-id",
    "x-gateway-app",
    "x-gateway-data-class",
    "x-gateway-environment",
    "x-gateway-tags",
    "x-gateway-team",
    "x-request-id",
    "x-stainless-arch",
    "x-stainless-async",
    "x-stainless-custom-event-handler",
    "x-stainless-custom-poll-interval",
    "x-stainless-helper",
    "x-stainless-helper-method",
    "x-stainless-lang",
    "x-stainless-os",
    "x-stainless-package-version",
    "x-stainless-poll-helper",
    "x-stainless-raw-response",
    "x-stainless-read-timeout",
    "x-stainless-retry-count",
    "x-stainless-runtime",
    "x-stainless-runtime-version",
    "x-stainless-stream-helper",
    "x-stainless-timeout",
)
"""What the SDKs send, and what a request says of itself. Spelled out: ``*`` would not cover
``authorization`` (Fetch standard).
"""

READ = (
    "anthropic-ratelimit-requests-limit",
    "anthropic-ratelimit-requests-remaining",
    "anthropic-ratelimit-requests-reset",
    "anthropic-ratelimit-tokens-limit",
    "anthropic-ratelimit-tokens-remaining",
    "anthropic-ratelimit-tokens-reset",
    "request-id",
    "retry-after",
    "warning",
    "www-authenticate",
    "x-client-request-id",
    "x-gateway-failover",
    "x-gateway-locality",
    "x-gateway-policy",
    "x-gateway-request-id",
    "x-gateway-served-by",
    "x-ratelimit-limit-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
    "x-request-id",
)
"""What a page may read of an answer."""


@dataclass(frozen=True, slots=True)
class Pages:
    """Which pages may call, by origin; ``*`` alone is any. They may send ``headers`` beside those
    of the SDKs, and remember that they may for ``max_age`` seconds.
    """

    origins: tuple[str, ...]
    headers: tuple[str, ...]
    max_age: int


class CrossOrigin:
    """An app whose data plane pages may call. They send keys in headers and never cookies, so
    browsers are never told to send credentials of their own.
    """

    def __init__(self, app: ASGIApp, pages: Pages) -> None:
        self._app = app
        self._open = CORSMiddleware(
            app,
            allow_origins=pages.origins,
            allow_methods=METHODS,
            allow_headers=(*SENT, *(header.lower() for header in pages.headers)),
            expose_headers=READ,
            max_age=pages.max_age,
            # A page that the operator names may reach a gateway on the user's own machine.
            allow_private_network="*" not in pages.origins,
        )

    def straight(self, port: int | None) -> Mapping[bytes, Route]:
        """Those of the app: what no page asks needs nothing of this."""
        return self._app.straight(port) if isinstance(self._app, Straight) else {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        data_plane = scope["type"] == "http" and scope["path"].startswith(DATA_PLANE)
        await (self._open if data_plane else self._app)(scope, receive, send)
