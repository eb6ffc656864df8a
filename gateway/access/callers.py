"""Who asks, and what may be said of that: from a key and what a request says of itself."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from gateway.access.keyring import Keyring
from gateway.access.keys import LABELS, WORD, Key
from gateway.access.oidc import Tokens, is_token
from gateway.domain.decision import Labels
from gateway.errors import Forbidden, InvalidRequest, Unauthenticated

HEADER = "x-gateway-"
MOST_TAGS = 64
"""That a request may say of itself: each rule looks at them, and each record has them."""


def header_of(label: str) -> str:
    """The (lower-case) name of the header by which a request says a label of itself."""
    return HEADER + label.replace("_", "-")


@dataclass(frozen=True, slots=True)
class Caller:
    """``key`` is ``None`` where none are configured. ``owner`` is whose an answer is that is kept:
    nobody else's key finds it, but the one that a key was rotated to.
    """

    key: Key | None
    labels: Labels
    owner: str

    def may_ask(self, model: str) -> bool:
        return self.key is None or self.key.may_ask(model)


class Access:
    """Says who asks: by a key, or by a token of an issuer where one is trusted (``tokens``). Where
    there is no such issuer and no key was ever made, everybody on this machine may, and nobody
    else.
    """

    def __init__(self, keyring: Keyring, tokens: Tokens | None = None) -> None:
        self.keyring = keyring
        self.tokens = tokens

    @property
    def unguarded(self) -> bool:
        """Whether there is nothing that anybody could show."""
        return not self.keyring and self.tokens is None

    def caller(
        self, presented: str | None, said: Mapping[str, str], *, near: bool, now: datetime
    ) -> Caller:
        """Who presents this key or token, from this machine (``near``) or another; ``said`` is what
        the request says of itself, by label. Raises ``Unauthenticated``, ``Forbidden``,
        ``InvalidRequest`` and, where a token cannot be judged yet, ``Unavailable``.
        """
        if self.unguarded:
            if not near:
                raise Unauthenticated(
                    "This gateway has no keys, and so answers nobody from another machine. Its "
                    "operator makes one with `gateway keys create`.",
                    code="no_keys",
                )
            owner = hashlib.sha256((presented or "").encode("utf-8", "surrogatepass"))
            return Caller(None, claiming(Labels(), said, LABELS), owner.hexdigest())
        if presented is None:
            raise Unauthenticated(
                "You didn't provide an API key. Send it as Authorization: Bearer, or x-api-key.",
                code="missing_api_key",
            )
        if self.tokens is not None and is_token(presented):
            key = self.tokens.find(presented, now)
        else:
            key = self.keyring.find(presented, now)
        return Caller(key, claiming(key.labels, said, key.may_set), key.accounted)


def claiming(labels: Labels, said: Mapping[str, str], may_set: tuple[str, ...]) -> Labels:
    """Labels with what a request says of itself beside them. Policy is asked for both, and the
    stricter counts: so what is said can take something away, and never give it. Raises
    ``Forbidden`` and ``InvalidRequest``.
    """
    if not said:
        return labels
    claimed: dict[str, Any] = {}
    for label, value in said.items():
        header = header_of(label)
        if label not in may_set:
            raise Forbidden(
                f"This key may not set {header}: leave it out, or ask the operator for a key that "
                "may.",
                param=header,
                code="label_not_permitted",
            )
        words = [word.strip() for word in value.split(",")] if label == "tags" else [value.strip()]
        if not all(map(WORD.match, words)):
            raise InvalidRequest(
                f"{header}: expected up to 100 of A-Z, a-z, 0-9 and . _ : / @ -.", param=header
            )
        if len(words) > MOST_TAGS:
            raise InvalidRequest(f"{header}: expected {MOST_TAGS} at the most.", param=header)
        claimed[label] = labels.tags | frozenset(words) if label == "tags" else words[0]
    return replace(labels, claimed=replace(labels, **claimed))
