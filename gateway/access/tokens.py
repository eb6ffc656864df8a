"""Signed tokens (JWT, RFC 7519) and the public keys that they are signed for (JWKS, RFC 7517): the
one file that knows PyJWT.

A token names the key that it is signed with (``kid``) and the algorithm. Neither is believed: the
key is looked for among those that the operator trusts, and each of those is bound to the algorithms
that are configured and that it is for. Whatever else a header brings along (``jku``, ``x5u``,
``jwk``, ``x5c``) is not looked at.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jwt

from gateway.errors import Unauthenticated

_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_OF: Mapping[tuple[str, str | None], tuple[str, ...]] = {
    ("RSA", None): _RSA,
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
"""What a key can sign with, by its type and curve."""
ALGORITHMS = tuple(dict.fromkeys(name for names in _OF.values() for name in names))
"""Those with a key pair: of a shared secret, whoever can check a token could make one."""
MOST_KEYS = 100
_ISSUED = ("exp", "iss", "aud", "sub")


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys of an issuer. ``text`` tells one set from another."""

    text: bytes
    keys: Mapping[tuple[str, str], jwt.PyJWK] = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: bytes, algorithms: Collection[str]) -> KeySet:
        """Those of a JWKS that sign with one of ``algorithms``; the others in it are passed over.
        Raises ``ValueError`` for what is no JWKS, has none of them, or is no public one.
        """
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError("it is no JSON") from None
        listed = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
            raise ValueError('it is no JWKS: expected {"keys": [...]}')
        if len(listed) > MOST_KEYS:
            raise ValueError(f"it holds more than {MOST_KEYS} keys")
        found: dict[tuple[str, str], jwt.PyJWK] = {}
        for one in listed:
            for kid, algorithm in _names(one, algorithms):
                found[kid, algorithm] = _key(one, kid, algorithm)
        if not found:
            raise ValueError(f"it holds no key with a kid for {', '.join(sorted(algorithms))}")
        return cls(text, found)


@dataclass(frozen=True, slots=True)
class Issued:
    """Whose tokens are taken, and for whom they must be made. ``leeway`` is in seconds: how far
    the clocks may be apart.
    """

    issuer: str
    audiences: Sequence[str]
    algorithms: Sequence[str]
    leeway: float


class UnknownKey(Exception):
    """A token names a key that is not among those of its issuer, as far as is known."""


def claims(written: str, keys: KeySet, issued: Issued) -> Mapping[str, Any]:
    """What a token says, once it is known that its issuer says it, now and to us. Raises
    ``Unauthenticated``, which tells who has a token that is genuine what else is wrong with it, and
    ``UnknownKey``.
    """
    try:
        header = jwt.get_unverified_header(written)
        kid, algorithm = header.get("kid"), str(header.get("alg"))
        if algorithm not in issued.algorithms:
            raise refused("is signed in a way that is not configured (alg)")
        key = keys.keys.get((str(kid), algorithm))
        if kid is None or key is None:
            raise UnknownKey
        found: Mapping[str, Any] = jwt.decode(
            written,
            key,
            algorithms=[algorithm],
            audience=issued.audiences,
            issuer=issued.issuer,
            leeway=issued.leeway,
            options={"require": list(_ISSUED)},
        )
    except jwt.PyJWTError as error:
        raise refused(_why(error)) from None
    except RecursionError:
        # Its header is read before anybody has signed it.
        raise refused("is not well formed") from None
    return found


_WHY: Mapping[type[jwt.PyJWTError], str] = {
    jwt.ExpiredSignatureError: "has expired (exp)",
    jwt.ImmatureSignatureError: "is not good yet (nbf, iat)",
    jwt.InvalidAudienceError: "is made for somebody else (aud)",
    jwt.InvalidIssuerError: "is of another issuer (iss)",
    jwt.InvalidSignatureError: "is not signed with the key that it names",
}


def _why(error: jwt.PyJWTError) -> str:
    if isinstance(error, jwt.MissingRequiredClaimError):
        return f"lacks the claim {error.claim!r}"
    return _WHY.get(type(error), "is not well formed")


def refused(why: str) -> Unauthenticated:
    """What is said of a token that is not taken."""
    return Unauthenticated(
        f"This token {why}: get another from its issuer, or use a key of this gateway.",
        code="invalid_token",
    )


def _names(key: Mapping[str, Any], algorithms: Collection[str]) -> Iterator[tuple[str, str]]:
    """Under which id and for which algorithms a key is used, if it is."""
    kid, kind = key.get("kid"), key.get("kty")
    if kind != "oct" and "d" in key:
        raise ValueError(f"it holds the private key {str(kid)[:64]!r}: give public ones only")
    curve = None if kind == "RSA" else key.get("crv")
    if not isinstance(kid, str) or not isinstance(kind, str) or not isinstance(curve, str | None):
        return
    if key.get("use", "sig") != "sig" or "verify" not in key.get("key_ops", ("verify",)):
        return
    for algorithm in _OF.get((kind, curve), ()):
        if algorithm in algorithms and key.get("alg", algorithm) == algorithm:
            yield kid, algorithm


def _key(key: dict[str, Any], kid: str, algorithm: str) -> jwt.PyJWK:
    try:
        made = jwt.PyJWK(key, algorithm)
        problem = made.Algorithm.check_key_length(made.key)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        problem = "it is not well formed"
    if problem is not None:
        raise ValueError(f"its key {kid[:64]!r} cannot be used: {problem}")
    return made
