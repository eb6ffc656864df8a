"""Who is let in, by the configuration and the files of keys, put together: apps and operators."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from gateway.access.callers import Access
from gateway.access.entrance import Entrance
from gateway.access.following import Following
from gateway.access.issuer import Issuer
from gateway.access.keyring import Keyring, Keyrings
from gateway.access.repository import FILE, SqliteKeys
from gateway.access.sessions import Ended, Sessions
from gateway.background import Background
from gateway.config.credential import ENDED, credential, owner
from gateway.config.presence import run_dir
from gateway.config.settings import Settings
from gateway.configured import Configured
from gateway.http.admin.gate import Names
from gateway.trusted import published
from gateway.upstream.pool import Pool


class Admitting:
    """``settings`` are those that the process was started with, ``first`` is the configuration in
    force then. Raises ``StateError`` where the keys, or the credential of this machine, cannot be
    read.
    """

    def __init__(
        self, settings: Settings, first: Configured, pool: Pool, background: Background
    ) -> None:
        self._background = background
        keyrings = Keyrings()
        self._following = Following(SqliteKeys(settings.state.dir / FILE), keyrings)
        self._following.read()
        self._pool = pool
        self._asking: asyncio.Task[None] | None = None
        self.access = Access(keyrings.apps, first.tokens)
        self.entrance = _entrance(run_dir(settings), keyrings.operators)
        self.names = _names(settings)

    async def run(self) -> None:
        """Follow the keys until cancelled, and with them the issuer of tokens."""
        try:
            await self._background.keep("keys", self._following.run)
        finally:
            self._leave()

    def trust(self, version: Configured) -> None:
        """The tokens of the issuer of this version, whose keys are asked for from now on, and of
        the one before no more.
        """
        self._leave()
        self.access.tokens = version.tokens
        found = version.trusted
        if found is not None and found.channel is not None:
            fetch = partial(published, found.channel, self._pool)
            issuer = Issuer(found.tokens, fetch, found.interval)
            self._asking = asyncio.create_task(self._background.keep("issuer", issuer.run))

    def _leave(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None


def _entrance(run: Path, keyring: Keyring) -> Entrance:
    """For operators: by their keys, and by the credential that the main process has written."""
    here = credential(run)
    sessions = Sessions(bytes.fromhex(here.secret), Ended(run / ENDED))
    return Entrance(keyring, here.token, sessions, owner())


def _names(settings: Settings) -> Names:
    """By which operators come: those that are configured, and the address that is listened on."""
    admin = settings.admin
    host = admin.host if admin.port is not None else settings.server.host
    own = f"[{host}]" if ":" in host else host
    return Names(frozenset({*admin.hosts, own} - {"0.0.0.0", "[::]"}), admin.https)  # noqa: S104
