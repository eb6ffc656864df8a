"""Keys: what a key is, how it is written, and how it is told from a guess.

An app's key is ``sgw_<id>_<secret>``, an operator's ``sgo_<id>_<secret>``. The id names it, in
lists and records, and is no secret; the secret has 256 random bits, of which only the digest is
ever kept: so many that a plain sha256 is as good as a slow one. It is of the key as it is written,
so that one of an app is never one of an operator.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import datetime
from fnmatch import fnmatchcase

import msgspec

from gateway.access.operators import OperatorRole
from gateway.domain.decision import Labels

PREFIX = "sgw"
OPERATOR_PREFIX = "sgo"
_ID = "abcdefghijkmnpqrstuvwxyz23456789"
"""No letter that is taken for another when it is read out."""
_ID_LENGTH = 10
_SECRET_BYTES = 32
_WRITTEN = re.compile(
    rf"(?:{PREFIX}|{OPERATOR_PREFIX})_([{_ID}]{{{_ID_LENGTH}}})_([A-Za-z0-9_-]{{43}})\Z"
)
LABELS = ("team", "app", "environment", "data_class", "tags")
"""What a request may be allowed to say of itself."""
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,99}\Z")
"""What a label may be: it stands in records and is compared with words of the policy."""


class Limits(msgspec.Struct, frozen=True, omit_defaults=True, cache_hash=True):
    """How much a key may use; ``None`` means no limit. ``budget`` is for a calendar month (UTC), in
    millionths of the currency of the price table.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None
    budget: int | None = None


class Key(msgspec.Struct, frozen=True, omit_defaults=True):
    """One key. ``digest`` is the sha256 of it as it is written, in hex. ``labels`` are who asks
    with it; ``may_set`` names those that a request may set itself. ``models`` are names and
    patterns of what may be asked for, empty for all. It is good until it ``expires`` or is
    ``revoked``; with ``until`` it was rotated and its successor is ``heir``. With a ``role`` it is
    an operator's, and of all that the rest says nothing.
    """

    id: str
    name: str
    digest: str
    created: datetime
    labels: Labels = Labels()
    may_set: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    limits: Limits = Limits()
    account: str | None = None
    expires: datetime | None = None
    revoked: datetime | None = None
    heir: str | None = None
    role: OperatorRole | None = None

    @property
    def accounted(self) -> str:
        """Whose limits and spending it shares: those of the first key that it was rotated from."""
        return self.account or self.id

    def good(self, now: datetime) -> bool:
        """Whether it opens anything at that instant."""
        expires, revoked = self.expires, self.revoked
        return (expires is None or now < expires) and (revoked is None or now < revoked)

    def may_ask(self, model: str) -> bool:
        """Whether it is for a model of that name, as an app would ask for it."""
        return not self.models or any(fnmatchcase(model, pattern) for pattern in self.models)


def make(
    name: str, now: datetime, *, role: OperatorRole | None = None, **fields: object
) -> tuple[str, Key]:
    """A new key as it is written, which is nowhere kept, and what is kept of it."""
    id = "".join(secrets.choice(_ID) for _ in range(_ID_LENGTH))
    prefix = PREFIX if role is None else OPERATOR_PREFIX
    written = f"{prefix}_{id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    plain = Key(id=id, name=name, digest=_digest(written), created=now, role=role)
    return written, msgspec.structs.replace(plain, **fields)


def id_of(written: str) -> str | None:
    """The id within a key; ``None`` for what is not written like one."""
    match = _WRITTEN.match(written)
    return None if match is None else match[1]


def opens(key: Key, written: str) -> bool:
    """Whether this is the key, in a time that tells nothing of how nearly."""
    return hmac.compare_digest(_digest(written), key.digest)


def _digest(written: str) -> str:
    return hashlib.sha256(written.encode("utf-8", "surrogatepass")).hexdigest()
