"""The keys that are in force, in memory: what a request is looked up in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from gateway.access.keys import Key, id_of, opens
from gateway.errors import Unauthenticated

_NOBODY = "0" * 64
"""The digest of no key: what one of an unknown id is compared with, so that it takes as long."""


class Keyring:
    """``keys`` may be replaced at any time, by all that there are then."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._keys: Mapping[str, Key] = {}
        self.replace(keys)

    def __len__(self) -> int:
        return len(self._keys)

    def replace(self, keys: Iterable[Key]) -> None:
        """All keys, those that are good no more too: they are told why."""
        self._keys = {key.id: key for key in keys}

    def find(self, written: str, now: datetime) -> Key:
        """The key that is written so. Raises ``Unauthenticated``, which tells nobody but the owner
        of a key whether it was ever one.
        """
        id = id_of(written)
        key = self._keys.get(id or "")
        if key is None:
            opens(_DUMMY, written)
            raise _incorrect()
        if not opens(key, written):
            raise _incorrect()
        if not key.good(now):
            what = (
                "was revoked" if key.revoked is not None and key.revoked <= now else "has expired"
            )
            raise Unauthenticated(
                f"This key ({key.id}) {what}: ask the operator of this gateway for another.",
                code="invalid_api_key",
            )
        return key


_DUMMY = Key(id="", name="", digest=_NOBODY, created=datetime.min.replace(tzinfo=UTC))


def _incorrect() -> Unauthenticated:
    return Unauthenticated(
        "Incorrect API key provided. Keys of this gateway are made with `gateway keys create`.",
        code="invalid_api_key",
    )
