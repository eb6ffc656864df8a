"""Tokens of an issuer (OpenID Connect, OAuth 2.0) in place of a key: what of them is believed, and
what whoever shows one may do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.access.keys import WORD, Key, Limits
from gateway.access.tokens import Issued, KeySet, UnknownKey, claims, refused
from gateway.domain.decision import Labels
from gateway.errors import Forbidden, Unavailable

MOST_KNOWN = 4096
"""Tokens that are remembered as good: checking one costs more than all else that a request does."""
LONGEST = 16 * 1024
"""Characters of a token."""
_SOON = 2.0
_NEVER = 1 << 40


@dataclass(frozen=True, slots=True)
class Rules:
    """``labels`` names the claim that each label is read from, ``models`` the one with the models
    that may be asked for; ``may_set`` are the labels that a request may set itself, and ``limits``
    those of each who shows a token.
    """

    issued: Issued
    labels: Mapping[str, str] = field(default_factory=dict)
    models: str | None = None
    may_set: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)


def is_token(presented: str) -> bool:
    """Whether it is written like one, and like no key of ours."""
    return presented.startswith("eyJ") and presented.count(".") == 2


class Tokens:
    """``keys`` are those of the issuer, ``None`` as long as they are not known. ``missed`` is
    called when a token names a key that is not among them: it may be a new one.
    """

    def __init__(
        self, rules: Rules, keys: KeySet | None = None, missed: Callable[[], None] = lambda: None
    ) -> None:
        self.rules = rules
        self.missed = missed
        self._keys = keys
        self._known: dict[bytes, tuple[float, Key]] = {}

    def trust(self, keys: KeySet) -> None:
        """From now on these keys are the issuer's, and no others."""
        if keys != self._keys:
            self._keys = keys
            self._known.clear()

    def find(self, written: str, now: datetime) -> Key:
        """Who shows a token, as if it were a key. Raises ``Unauthenticated``, ``Forbidden`` where
        it lacks what it must say, and ``Unavailable`` where nobody can tell yet.
        """
        digest = hashlib.sha256(written.encode("utf-8", "surrogatepass")).digest()
        known = self._known.get(digest)
        if known is not None and now.timestamp() < known[0]:
            return known[1]
        if self._keys is None:
            self.missed()
            raise Unavailable(
                "The keys of the issuer of this token are not known yet.",
                code="issuer_unavailable",
                retry_after=_SOON,
            )
        if len(written) > LONGEST or not written.isascii():
            raise refused("is none, or is too long")
        try:
            found = claims(written, self._keys, self.rules.issued)
        except UnknownKey:
            self.missed()
            raise refused("is signed with an unknown key (kid)") from None
        key = caller(found, self.rules, now)
        until = min(int(found["exp"]), _NEVER) + self.rules.issued.leeway
        self._remember(digest, until, key, now)
        return key

    def _remember(self, digest: bytes, until: float, key: Key, now: datetime) -> None:
        if len(self._known) >= MOST_KNOWN:
            at = now.timestamp()
            self._known = {one: good for one, good in self._known.items() if good[0] > at}
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[digest] = (until, key)


def caller(found: Mapping[str, Any], rules: Rules, now: datetime) -> Key:
    """What the claims of a token make of whoever shows it. A claim that is configured and not there
    is no label less but a refusal: what is not said could be what policy asks for.
    """
    subject = str(found["sub"])
    labels: dict[str, Any] = {}
    for label, claim in rules.labels.items():
        words = _words(found, claim)
        if label == "tags":
            labels[label] = frozenset(words)
        elif len(words) == 1:
            labels[label] = words[0]
        else:
            raise _lacks(claim)
    models: tuple[str, ...] = ()
    if rules.models is not None:
        models = tuple(_texts(found, rules.models))
        if not models:
            raise Forbidden("This token is for no model.", code="claim_missing")
    return Key(
        id=_id(subject),
        name=subject[:100],
        digest="",
        created=now,
        labels=Labels(**labels),
        may_set=rules.may_set,
        models=models,
        limits=rules.limits,
    )


def _id(subject: str) -> str:
    """What records and what is kept name the caller by: none that a key could have."""
    if WORD.match(subject):
        return f"oidc:{subject}"
    return f"oidc#{hashlib.sha256(subject.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def _words(found: Mapping[str, Any], claim: str) -> list[str]:
    words = _texts(found, claim)
    if not all(map(WORD.match, words)):
        raise Forbidden(
            f"The claim {claim!r} of this token holds what no label can be: up to 100 of A-Z, a-z, "
            "0-9 and . _ : / @ -.",
            code="claim_invalid",
        )
    return words


def _texts(found: Mapping[str, Any], claim: str) -> list[str]:
    """The texts of a claim: one, or a list of them."""
    value = _claim(found, claim)
    several = [value] if isinstance(value, str) else value
    if not isinstance(several, list) or not all(isinstance(one, str) for one in several):
        raise _lacks(claim)
    return several


def _claim(found: Mapping[str, Any], claim: str) -> Any:
    """A claim by its name or, where there is none of that name, by a path through objects."""
    if claim in found:
        return found[claim]
    inner: Any = found
    for word in claim.split("."):
        inner = inner.get(word) if isinstance(inner, dict) else None
    return inner


def _lacks(claim: str) -> Forbidden:
    return Forbidden(
        f"This token lacks the claim {claim!r}, or it is no text: ask whoever issues it.",
        code="claim_missing",
    )
