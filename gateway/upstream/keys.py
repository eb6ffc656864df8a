"""The keys of one channel: whose turn it is, which of them rest, and which are out.

A key that is answered 429 rests for that model as long as the vendor says; limits are by model with
most vendors. One that is answered 401 is out, and one that is answered 403 is out for that model,
until the gateway is started with another configuration. Keys are told by their number, from 1 in
the order of the configuration, and never by themselves. With a single key nothing is remembered:
then key and target are one, and the target's own health says it all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

import structlog

from gateway.domain.events import Failed, FailureKind

REST_DEFAULT = 5.0
"""Seconds that a key rests after a 429 that does not say for how long."""
REST_MOST = 3600.0


class Keys:
    """``number`` keys of a channel, counted from 0. Times are those of a monotonic clock, in
    seconds.
    """

    def __init__(self, channel: str, number: int) -> None:
        self._channel = channel
        self._number = number
        self._turn = 0
        self._rests: dict[tuple[int, str], float] = {}
        self._out: set[tuple[int, str | None]] = set()

    @property
    def several(self) -> bool:
        return self._number > 1

    def choose(
        self, model: str, now: float, tried: Collection[int] = (), session: str | None = None
    ) -> int | None:
        """The key for the next request, ``None`` where none is left: in turns, or for a ``session``
        the same one as long as it can be used, so that the vendor finds what it has cached.
        """
        if self._number == 1:
            return None if tried else 0
        usable = [
            key
            for key in range(self._number)
            if key not in tried and not self._is_out(key, model) and not self._rest(key, model, now)
        ]
        if not usable:
            return None
        if session is not None:
            return max(usable, key=lambda key: _weight(session, key))
        chosen = next((key for key in usable if key >= self._turn), usable[0])
        self._turn = chosen + 1
        return chosen

    def refused(self, key: int, model: str, failed: Failed, now: float) -> bool:
        """The vendor refused a request with this key; whether that was about the key, so that
        another one may do.
        """
        if failed.kind is FailureKind.RATE_LIMITED:
            wait = REST_DEFAULT if failed.retry_after is None else failed.retry_after
            until = now + min(wait, REST_MOST)
            # A shorter rest never replaces a longer one that is still running.
            self._rests[key, model] = max(until, self._rests.get((key, model), until))
            return True
        if failed.kind is FailureKind.UNAUTHORIZED:
            if not self._is_out(key, model):
                self._put_out(key, model if failed.status == 403 else None, failed)
            return True
        return False

    def exhausted(self, model: str, now: float) -> Failed:
        """What it is for a target that no key is left."""
        waits = [
            self._rest(key, model, now)
            for key in range(self._number)
            if not self._is_out(key, model)
        ]
        if not waits:
            return Failed(FailureKind.UNAUTHORIZED, "the vendor accepts none of the channel's keys")
        message = "the vendor limits the rate of each of the channel's keys"
        return Failed(FailureKind.RATE_LIMITED, message, retry_after=min(waits))

    def _is_out(self, key: int, model: str) -> bool:
        return (key, None) in self._out or (key, model) in self._out

    def _rest(self, key: int, model: str, now: float) -> float:
        """Seconds for which a key still rests."""
        return max(0.0, self._rests.get((key, model), now) - now)

    def _put_out(self, key: int, model: str | None, failed: Failed) -> None:
        self._out.add((key, model))
        structlog.get_logger().error(
            "key_refused",
            channel=self._channel,
            key=key + 1,
            of=self._number,
            status=failed.status,
            model=model or "any",
            detail="it is not used again until the gateway is started anew",
        )


def _weight(session: str, key: int) -> bytes:
    """A session's liking for a key: the other keys keep their sessions when one goes."""
    return hashlib.blake2b(f"{key} {session}".encode(), digest_size=8).digest()
