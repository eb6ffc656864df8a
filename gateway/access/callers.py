"""Who asks, and what may be said of that: from a key and what a request says of itself."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from gateway.access.keyring import Keyring
from gateway.access.keys import LABELS, Key
from gateway.domain.decision import Labels
from gateway.errors import Forbidden, InvalidRequest, Unauthenticated

_VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,99}\Z")
"""What a label may be: it stands in records and is compared with words of the policy."""
HEADER = "x-gateway-"


def header_of(label: str) -> str:
    """The (lower-case) name of the header by which a request says a label of itself."""
    return HEADER + label.replace("_", "-")


@dataclass(frozen=True, slots=True)
class Caller:
    """``key`` is ``None`` where none are configured. ``owner`` is whose an answer is that is kept:
    nobody else's key finds it.
    """

    key: Key | None
    labels: Labels
    owner: str

    def may_ask(self, model: str) -> bool:
        return self.key is None or self.key.may_ask(model)


class Access:
    """Says who asks. Where no key was ever made, everybody on this machine may, and nobody else."""

    def __init__(self, keyring: Keyring) -> None:
        self.keyring = keyring

    def caller(
        self, presented: str | None, said: Mapping[str, str], *, near: bool, now: datetime
    ) -> Caller:
        """Who presents this key, from this machine (``near``) or another; ``said`` is what the
        request says of itself, by label. Raises ``Unauthenticated``, ``Forbidden`` and
        ``InvalidRequest``.
        """
        if not self.keyring:
            if not near:
                raise Unauthenticated(
                    "This gateway has no keys, and so answers nobody from another machine. Its "
                    "operator makes one with `gateway keys create`.",
                    code="no_keys",
                )
            owner = hashlib.sha256((presented or "").encode("utf-8", "surrogatepass"))
            return Caller(None, _claiming(Labels(), said, LABELS), owner.hexdigest())
        if presented is None:
            raise Unauthenticated(
                "You didn't provide an API key. Send it as Authorization: Bearer, or x-api-key.",
                code="missing_api_key",
            )
        key = self.keyring.find(presented, now)
        return Caller(key, _claiming(key.labels, said, key.may_set), key.id)


def _claiming(labels: Labels, said: Mapping[str, str], may_set: tuple[str, ...]) -> Labels:
    """Labels with what a request says of itself beside them. Policy is asked for both, and the
    stricter counts: so what is said can take something away, and never give it.
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
        if not all(map(_VALUE.match, words)):
            raise InvalidRequest(
                f"{header}: expected up to 100 of A-Z, a-z, 0-9 and . _ : / @ -.", param=header
            )
        claimed[label] = labels.tags | frozenset(words) if label == "tags" else words[0]
    return replace(labels, claimed=replace(labels, **claimed))
