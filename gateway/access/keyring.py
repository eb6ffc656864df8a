"""The keys that are in force, in memory: what a request is looked up in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from gateway.access.keys import Key, id_of, opens
from gateway.errors import Unauthenticated

_NOBODY = "0" * 64
"""The digest of no key: what one of an unknown id is compared with, so that it takes as long."""


class Keyring:
    """Those of apps, or with ``operators`` theirs: the others are never in it. ``keys`` may be
    replaced at any time, by all that there are then: by another mapping (``keys``, by their ids).
    """

    def __init__(self, keys: Iterable[Key] = (), *, operators: bool = False) -> None:
        self._operators = operators
        self.keys: Mapping[str, Key] = {}
        self.replace(keys)

    def __len__(self) -> int:
        return len(self.keys)

    def replace(self, keys: Iterable[Key]) -> None:
        """All keys, those that are good no more too: they are told why."""
        self.keys = {key.id: key for key in keys if (key.role is not None) is self._operators}

    def good(self, id: str, now: datetime) -> Key | None:
        """The key of that id, as long as it is good."""
        key = self.keys.get(id)
        return key if key is not None and key.good(now) else None

    def find(self, written: str, now: datetime) -> Key:
        """The key that is written so. Raises ``Unauthenticated``, which tells nobody but the owner
        of a key whether it was ever one.
        """
        id = id_of(written)
        key = self.keys.get(id or "")
        if key is None:
            opens(_DUMMY, written)
            raise self._incorrect()
        if not opens(key, written):
            raise self._incorrect()
        if not key.good(now):
            what = (
                "was revoked" if key.revoked is not None and key.revoked <= now else "has expired"
            )
            raise Unauthenticated(
                f"This key ({key.id}) {what}: ask the operator of this gateway for another.",
                code="invalid_api_key",
            )
        return key

    def _incorrect(self) -> Unauthenticated:
        command = f"gateway {'operators' if self._operators else 'keys'} create"
        return Unauthenticated(
            f"Incorrect API key provided. Keys of this gateway are made with `{command}`.",
            code="invalid_api_key",
        )


class Keyrings:
    """Both kinds, filled together."""

    def __init__(self) -> None:
        self.apps = Keyring()
        self.operators = Keyring(operators=True)

    def replace(self, keys: Iterable[Key]) -> None:
        keys = tuple(keys)
        self.apps.replace(keys)
        self.operators.replace(keys)


_DUMMY = Key(id="", name="", digest=_NOBODY, created=datetime.min.replace(tzinfo=UTC))
