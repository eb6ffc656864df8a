"""Which operator asks: by a key, by the credential of this machine, or by a session of either."""

from __future__ import annotations

import hmac
import re
from datetime import datetime

from gateway.access.keyring import Keyring
from gateway.access.keys import Key
from gateway.access.operators import Actor, OperatorRole
from gateway.access.sessions import Session, Sessions
from gateway.errors import Unauthenticated

LOCAL = "local"
_USER = re.compile(r"[a-z_][a-z0-9_.-]{0,31}\Z", re.IGNORECASE)


class Entrance:
    """``keyring`` has the operators' keys, ``token`` is the credential of this machine; ``owner``
    is the user whose file that is.
    """

    def __init__(self, keyring: Keyring, token: str, sessions: Sessions, owner: str) -> None:
        self._keyring = keyring
        self._token = token.encode()
        self._owner = owner
        self.sessions = sessions

    def made(self) -> bool:
        """Whether an operator's key was ever made."""
        return len(self._keyring) > 0

    def by_key(self, presented: str, user: str | None, now: datetime) -> Actor:
        """Who presents this. ``user`` is who, by their own words, uses the credential of this
        machine: it is one for all who can read it. Raises ``Unauthenticated``.
        """
        if self._is_local(presented):
            return self._local(user)
        return _of(self._keyring.find(presented, now))

    def login(self, presented: str, now: datetime) -> tuple[Actor, Session]:
        """A session for whoever presents this. Raises ``Unauthenticated``."""
        if self._is_local(presented):
            return self._local(None), self.sessions.begin(LOCAL, now)
        key = self._keyring.find(presented, now)
        return _of(key), self.sessions.begin(key.id, now)

    def by_cookie(self, cookie: str, now: datetime) -> tuple[Actor, Session]:
        """Whose session this is. Raises ``Unauthenticated`` where it is over, or its key."""
        session = self.sessions.read(cookie, now)
        if session.key == LOCAL:
            return self._local(None), session
        key = self._keyring.good(session.key, now)
        if key is None:
            raise Unauthenticated(
                "The key of this session is good no more: log in with another.", code="session_over"
            )
        return _of(key), session

    def _is_local(self, presented: str) -> bool:
        return hmac.compare_digest(presented.encode("utf-8", "surrogatepass"), self._token)

    def _local(self, user: str | None) -> Actor:
        name = user if user is not None and _USER.match(user) else self._owner
        return Actor(f"{LOCAL}:{name}", name, OperatorRole.ADMIN)


def _of(key: Key) -> Actor:
    if key.role is None:
        raise Unauthenticated("This key is not an operator's.", code="invalid_api_key")
    return Actor(f"operator:{key.id}", key.name, key.role)
