"""Keeps the keys of an issuer as it publishes them, never while a request waits."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog

from gateway.access.oidc import Tokens
from gateway.access.tokens import KeySet

LEAST = 10.0
"""Seconds between two look-ups, at the least: whoever makes up the ids of keys causes no more."""
WHILE_UNKNOWN = 1.0
"""The same as long as there are no keys at all."""
JITTER = 0.2


class Unread(Exception):
    """The keys could not be had; the message says why."""


class Issuer:
    """``fetch`` gets the JWKS and raises ``Unread``; it is called every ``interval`` seconds, ±20
    %, and earlier when a token names a key that is not known.
    """

    def __init__(
        self, tokens: Tokens, fetch: Callable[[], Awaitable[bytes]], interval: float
    ) -> None:
        self._tokens = tokens
        self._fetch = fetch
        self._interval = interval
        self._missed = asyncio.Event()
        self._log = structlog.get_logger("gateway.access")
        self._problem: str | None = None

    @property
    def problem(self) -> str | None:
        """Why the keys may not be the newest."""
        return self._problem

    async def run(self) -> None:
        """Until cancelled. What cannot be read leaves the keys as they were, and is told."""
        self._tokens.missed = self._missed.set
        known = False
        while True:
            try:
                await self._read()
                known = True
                self._problem = None
            except Unread as error:
                self._tell(str(error))
            await asyncio.sleep(LEAST if known else WHILE_UNKNOWN)
            spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - jitter, no secret
            wait = self._interval * spread - LEAST
            if known and wait > 0:
                await self._until_missed(wait)
            self._missed.clear()

    async def _read(self) -> None:
        text = await self._fetch()
        try:
            keys = KeySet.parse(text, self._tokens.rules.issued.algorithms)
        except ValueError as error:
            raise Unread(str(error)) from None
        self._tokens.trust(keys)

    async def _until_missed(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._missed.wait()
        except TimeoutError:
            return

    def _tell(self, problem: str) -> None:
        if problem != self._problem:
            self._log.error("issuer_not_read", problem=problem)
        self._problem = problem
