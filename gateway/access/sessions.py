"""Sessions of operators in a browser: what stands in the cookie, and when it is good no more.

A session holds no key, only whose it is, signed with a secret that the serving processes share. It
ends ``LONGEST`` after it began, ``IDLE`` after it was last used, when its operator leaves, with the
operator's key, and with the secret, which is another one after each start of the gateway.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from gateway.errors import StateError, Unauthenticated

LONGEST = timedelta(hours=8)
IDLE = timedelta(hours=1)
RENEWED_AFTER = timedelta(minutes=1)
"""A session that was used so long after its cookie was written gets another."""
_MOST = 1024
"""Characters of a cookie: no more is looked at."""


class Session(msgspec.Struct, frozen=True):
    """``key`` is the id of the operator's key; ``began`` and ``seen`` are seconds since 1970."""

    id: str
    key: str
    began: int
    seen: int

    @property
    def ends(self) -> datetime:
        """When it ends, unless it is used before."""
        return min(_moment(self.began) + LONGEST, _moment(self.seen) + IDLE)


class Ended:
    """The sessions that operators left, in a file that all serving processes append to; whoever
    looks reads on from where it was.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ids: set[str] = set()
        self._read = 0

    def add(self, id: str) -> None:
        """Raises StateError."""
        try:
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(handle, f"{id}\n".encode())
            finally:
                os.close(handle)
        except OSError as error:
            raise StateError(f"{self._path} cannot be written: {error.strerror}") from None

    def __contains__(self, id: str) -> bool:
        """Raises StateError: a session of which this is not known is not good."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                new = file.read()
        except FileNotFoundError:
            new = b""
        except OSError as error:
            raise StateError(f"{self._path} cannot be read: {error.strerror}") from None
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        self._ids.update(whole.decode("ascii", "replace").split())
        return id in self._ids


class Sessions:
    """``secret`` is the serving processes' own."""

    def __init__(self, secret: bytes, ended: Ended) -> None:
        self._secret = secret
        self._ended = ended

    def begin(self, key: str, now: datetime) -> Session:
        seconds = int(now.timestamp())
        return Session(secrets.token_urlsafe(16), key, seconds, seconds)

    def written(self, session: Session) -> str:
        """What the cookie holds."""
        body = base64.urlsafe_b64encode(msgspec.json.encode(session)).decode().rstrip("=")
        return f"{body}.{self._signature('session', body)}"

    def read(self, cookie: str, now: datetime) -> Session:
        """The session of a cookie. Raises ``Unauthenticated`` where there is none that is good."""
        body, _, signature = cookie[:_MOST].partition(".")
        right = self._signature("session", body)
        if not hmac.compare_digest(right.encode(), signature.encode("utf-8", "surrogatepass")):
            raise _over()
        try:
            padded = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
            session = msgspec.json.decode(padded, type=Session)
        except (binascii.Error, msgspec.DecodeError, ValueError):
            raise _over() from None
        if now >= session.ends or session.id in self._ended:
            raise _over()
        return session

    def renewed(self, session: Session, now: datetime) -> Session | None:
        """The session as it is to be written now that it was used; ``None`` where that was written
        a moment ago.
        """
        if now - _moment(session.seen) < RENEWED_AFTER:
            return None
        return msgspec.structs.replace(session, seen=int(now.timestamp()))

    def end(self, session: Session) -> None:
        """Nobody has it any more. Raises StateError."""
        self._ended.add(session.id)

    def token(self, session: Session) -> str:
        """What whoever changes something shows beside the cookie, which a browser sends by itself
        whichever page asks it to.
        """
        return self._signature("csrf", session.id)

    def is_token(self, session: Session, token: str) -> bool:
        right = self.token(session).encode()
        return hmac.compare_digest(right, token.encode("utf-8", "surrogatepass"))

    def _signature(self, purpose: str, text: str) -> str:
        message = f"{purpose}:{text}".encode("utf-8", "surrogatepass")
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _over() -> Unauthenticated:
    return Unauthenticated("This session is over: log in again.", code="session_over")
