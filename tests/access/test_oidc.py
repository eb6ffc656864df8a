"""Tokens of an issuer: what of them is believed, and what they open."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.access import issuer as issuing
from gateway.access import oidc
from gateway.access.callers import Access
from gateway.access.issuer import Unread
from gateway.access.keyring import Keyring
from gateway.access.keys import Limits, make
from gateway.access.oidc import Rules, Tokens, is_token
from gateway.access.tokens import ALGORITHMS, Issued, KeySet, claims
from gateway.domain.decision import Labels
from gateway.errors import Forbidden, Unauthenticated, Unavailable
from tests.access.issuers import AUDIENCE, NAME, Issuer, Publishing, jwk, private_key

ISSUER = Issuer("RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA")
ALLOWED = ("RS256", "ES256", "EdDSA")


def rules(**fields: Any) -> Rules:
    return Rules(Issued(NAME, (AUDIENCE, "other"), ALLOWED, 5.0), **fields)


def tokens(**fields: Any) -> Tokens:
    return Tokens(rules(**fields), KeySet.parse(ISSUER.jwks, ALLOWED))


def now() -> datetime:
    return datetime.now(UTC)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_with_a_key_pair_can_be_configured(algorithm: str) -> None:
    own = Issuer(algorithm)
    issued = Issued(NAME, (AUDIENCE,), (algorithm,), 0.0)
    found = Tokens(Rules(issued), KeySet.parse(own.jwks, (algorithm,)))
    assert found.find(own.token(algorithm), now()).id == "oidc:ann"


@pytest.mark.parametrize("algorithm", ["PS256", "ES384", "ES512"])
def test_what_is_not_configured_is_not_taken(algorithm: str) -> None:
    """Although the issuer has such a key and signed the token with it."""
    with pytest.raises(Unauthenticated, match=r"\(alg\)"):
        tokens().find(ISSUER.token(algorithm), now())


def _part(value: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_no_signature_is_none() -> None:
    """In whatever letters it is called so."""
    for word in ("none", "None", "NONE", "", None):
        for signature in ("", "AAAA"):
            head = _part({"alg": word, "kid": "RS256", "typ": "JWT"})
            body = _part({"iss": NAME, "aud": AUDIENCE, "sub": "x", "exp": time.time() + 99})
            with pytest.raises(Unauthenticated, match=r"\(alg\)"):
                tokens().find(f"{head}.{body}.{signature}", now())


def test_a_public_key_is_no_shared_secret() -> None:
    """The old trick: an HMAC with the published key, which everybody knows."""
    public = ISSUER.keys["RS256"].public_key()
    for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER):
        secret = public.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
        head, body, _ = ISSUER.token("RS256").split(".")
        signed = f"{_part({'alg': 'HS256', 'kid': 'RS256'})}.{body}"
        mac = jwt.get_algorithm_by_name("HS256").sign(signed.encode(), secret)
        forged = f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
        with pytest.raises(Unauthenticated, match=r"\(alg\)"):
            tokens().find(forged, now())
        assert head


def test_a_key_is_for_its_own_algorithm() -> None:
    """A token that names the RSA key and says that it is of another kind finds no key."""
    with pytest.raises(Unauthenticated, match=r"\(kid\)"):
        tokens().find(ISSUER.token("ES256", {"kid": "RS256"}), now())


@pytest.mark.parametrize("header", [{"kid": "ES256"}, {"kid": "unknown"}, {"kid": ""}])
def test_what_a_header_brings_along_is_not_looked_at(header: dict[str, Any]) -> None:
    """A key within the token, or where it says that there is one: nobody is asked, and nothing of
    it is believed.
    """
    stranger = Issuer("ES256")
    with Publishing(stranger.jwks) as server:
        for word, value in (
            ("jku", f"{server.url}/jwks"),
            ("x5u", f"{server.url}/chain"),
            ("jwk", jwk(stranger.keys["ES256"].public_key(), "ES256")),
            ("x5c", ["AAAA"]),
        ):
            found = tokens()
            with pytest.raises(Unauthenticated, match=r"\(kid\)|not signed with the key"):
                found.find(stranger.token("ES256", {**header, word: value}), now())
            # Of the issuer's own token they take nothing away either.
            assert found.find(ISSUER.token("ES256", {word: value}), now()).id == "oidc:ann"
        assert server.asked == []


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"iss": "https://issuer.example/"}, "another issuer"),
        ({"iss": None}, "lacks the claim 'iss'"),
        ({"aud": "somebody"}, "somebody else"),
        ({"aud": []}, "lacks the claim 'aud'"),
        ({"aud": ["a", "b"]}, "somebody else"),
        ({"aud": None}, "lacks the claim 'aud'"),
        ({"sub": None}, "lacks the claim 'sub'"),
        ({"exp": None}, "lacks the claim 'exp'"),
        ({"exp": -60}, "has expired"),
        ({"exp": "soon"}, "not well formed"),
        ({"nbf": 600}, "not good yet"),
        ({"iat": 600}, "not good yet"),
    ],
)
def test_what_a_token_must_say(claims: dict[str, Any], why: str) -> None:
    """Numbers are seconds from now."""
    at = int(time.time())
    claims = {
        name: value + at if isinstance(value, int) else value for name, value in claims.items()
    }
    with pytest.raises(Unauthenticated, match=why) as refused:
        tokens().find(ISSUER.token(**claims), now())
    assert refused.value.code == "invalid_token"


def test_clocks_may_be_a_little_apart() -> None:
    soon = int(time.time()) + 3
    assert tokens().find(ISSUER.token(nbf=soon, iat=soon, exp=soon - 5), now())


@pytest.mark.parametrize(
    "written",
    [
        "eyJ",
        "eyJ..",
        "eyJhbGciOiJFUzI1NiJ9.e30.AA",
        "eyJ" + "A" * 20_000 + ".e30.AA",
        "eyJ.\ud800.",
        f"eyJhIjp{'W1tb' * 3500}.e30.AA",
    ],
)
def test_what_is_no_token_opens_nothing(written: str) -> None:
    with pytest.raises(Unauthenticated):
        tokens().find(written, now())


def test_an_altered_token_opens_nothing() -> None:
    head, body, signature = ISSUER.token("RS256").split(".")
    other = _part({"iss": NAME, "aud": AUDIENCE, "sub": "root", "exp": int(time.time()) + 99})
    for written in (f"{head}.{other}.{signature}", f"{head}.{body}.{signature[:-8]}AAAAAAAA"):
        with pytest.raises(Unauthenticated, match="not signed with the key"):
            tokens().find(written, now())


def test_critical_headers_that_nobody_knows_are_refused() -> None:
    with pytest.raises(Unauthenticated, match="not well formed"):
        tokens().find(ISSUER.token("ES256", {"crit": ["exp2"], "exp2": 1}), now())


def test_claims_become_labels_and_models() -> None:
    said: dict[str, Any] = {"https://example/team": "red", "azp": "shop"}
    said |= {"realm": {"roles": ["eu", "night"]}, "models": ["gpt-*"]}
    found = tokens(
        labels={"team": "https://example/team", "app": "azp", "tags": "realm.roles"},
        models="models",
        may_set=("data_class",),
        limits=Limits(requests_per_minute=60),
    ).find(ISSUER.token(**said), now())
    assert found.labels == Labels("red", "shop", tags=frozenset({"eu", "night"}))
    assert (found.may_ask("gpt-4o"), found.may_ask("claude")) == (True, False)
    assert (found.may_set, found.limits.requests_per_minute) == (("data_class",), 60)


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"models": ["m"]}, "claim_missing"),
        ({"models": ["m"], "team": ["red", "blue"]}, "claim_missing"),
        ({"models": ["m"], "team": 7}, "claim_missing"),
        ({"models": ["m"], "team": "red blue"}, "claim_invalid"),
        ({"team": "red"}, "claim_missing"),
        ({"team": "red", "models": []}, "claim_missing"),
        ({"team": "red", "models": ["m", 1]}, "claim_missing"),
    ],
)
def test_a_claim_that_is_not_there_is_no_less_strict(claims: dict[str, Any], code: str) -> None:
    """A missing team could be the one that policy denies, and no list of models is not all."""
    with pytest.raises(Forbidden) as refused:
        tokens(labels={"team": "team"}, models="models").find(ISSUER.token(**claims), now())
    assert refused.value.code == code


@pytest.mark.parametrize("subject", ["a b", "x" * 101, "", "ünder", "#1"])
def test_any_subject_has_an_id_that_can_be_written_down(subject: str) -> None:
    """And nobody else's."""
    found = tokens().find(ISSUER.token(sub=subject), now())
    assert found.id.startswith("oidc#")
    assert len(found.id) == 37
    assert found.id != tokens().find(ISSUER.token(sub=f"{subject}2"), now()).id


def test_a_token_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it expires, or the issuer has other keys."""
    checks: list[str] = []

    def counted(written: str, *rest: Any) -> Any:
        checks.append(written)
        return claims(written, *rest)

    monkeypatch.setattr(oidc, "claims", counted)
    found, written = tokens(), ISSUER.token(exp=int(time.time()) + 60)
    assert found.find(written, now()) is found.find(written, now())
    assert len(checks) == 1
    found.find(written, now() + timedelta(seconds=66))
    assert len(checks) == 2
    found.trust(KeySet.parse(ISSUER.jwks, ALLOWED))
    found.find(written, now())
    assert len(checks) == 2
    found.trust(KeySet.parse(Issuer("ES256").jwks, ALLOWED))
    with pytest.raises(Unauthenticated, match="not signed with the key"):
        found.find(written, now())


def test_what_is_remembered_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oidc, "MOST_KNOWN", 3)
    found = tokens()
    for number in range(8):
        found.find(ISSUER.token(jti=str(number)), now())
    assert len(found._known) <= 3


def test_the_keys_of_an_issuer() -> None:
    """What is for something else is passed over; what is wrong is said."""
    mine = json.loads(ISSUER.jwks)["keys"]
    es = next(one for one in mine if one["kid"] == "ES256")
    for useless in (
        {**es, "use": "enc"},
        {**es, "alg": "ES384"},
        {**es, "key_ops": ["encrypt"]},
        {**es, "crv": "secp256k1"},
        {k: v for k, v in es.items() if k != "kid"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "ES256"},
        {"kty": "new", "kid": "ES256"},
    ):
        with pytest.raises(ValueError, match="no key with a kid"):
            KeySet.parse(json.dumps({"keys": [useless]}).encode(), ALLOWED)
    short = jwk(rsa.generate_private_key(65537, 1024).public_key(), "a")
    private = jwk(private_key("ES256"), "a")
    for wrong, why in (
        (b"<html>", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "no JWKS"),
        (b'{"keys": [1]}', "no JWKS"),
        (json.dumps({"keys": [private]}).encode(), "private key 'a'"),
        (json.dumps({"keys": [short]}).encode(), "cannot be used"),
        (json.dumps({"keys": [{**es, "x": "AAAA"}]}).encode(), "not well formed"),
        (json.dumps({"keys": [es] * 101}).encode(), "more than 100"),
    ):
        with pytest.raises(ValueError, match=why):
            KeySet.parse(wrong, ALLOWED)


def test_a_gateway_with_an_issuer_is_not_without_keys() -> None:
    """Nobody is answered for being near; keys go on beside tokens, and each is told from the
    other.
    """
    written, key = make("shop", now())
    access = Access(Keyring(), tokens(labels={"team": "team"}))
    with pytest.raises(Unauthenticated, match="didn't provide"):
        access.caller(None, {}, near=True, now=now())
    both = Access(Keyring([key]), access.tokens)
    assert both.caller(written, {}, near=False, now=now()).owner == key.id
    caller = both.caller(ISSUER.token(team="red"), {}, near=False, now=now())
    assert (caller.owner, caller.labels.team) == ("oidc:ann", "red")
    for neither in ("sk-other", "eyJ.e.e"):
        with pytest.raises(Unauthenticated):
            both.caller(neither, {}, near=True, now=now())
    with pytest.raises(Forbidden, match="x-gateway-app"):
        both.caller(ISSUER.token(team="red"), {"app": "x"}, near=True, now=now())
    assert not is_token(written)


def test_without_its_keys_a_token_is_neither_good_nor_bad() -> None:
    """The app is told to come again, and not to throw its token away."""
    missed: list[bool] = []
    found = Tokens(rules(), None, lambda: missed.append(True))
    with pytest.raises(Unavailable) as refused:
        found.find(ISSUER.token(), now())
    assert (refused.value.code, refused.value.again, missed) == ("issuer_unavailable", True, [True])


async def test_the_keys_are_followed_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last good ones stay; a token with an unknown key hurries the next look-up, and however
    many there are, they cause no more.
    """
    monkeypatch.setattr(issuing, "LEAST", 0.05)
    monkeypatch.setattr(issuing, "WHILE_UNKNOWN", 0.01)
    answers: list[bytes | Unread] = [Unread("refused"), b"<html>", ISSUER.jwks]
    fetched: list[float] = []

    async def fetch() -> bytes:
        fetched.append(time.monotonic())
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Unread):
            raise answer
        return answer

    trusted = asyncio.Event()

    class Told(Tokens):
        def trust(self, keys: KeySet) -> None:
            super().trust(keys)
            trusted.set()

    found = Told(rules())
    following = issuing.Issuer(found, fetch, 600)
    task = asyncio.create_task(following.run())
    written = ISSUER.token()
    async with asyncio.timeout(60):
        await trusted.wait()
        assert found.find(written, now()).id == "oidc:ann"
        assert following.problem is None
        await asyncio.sleep(0.2)
        assert len(fetched) == 3
        asked = fetched[-1]
        answers[:] = [Unread("gone")]
        tried = 0
        while len(fetched) < 3 + 4 or tried < 100:
            with pytest.raises(Unauthenticated, match=r"\(kid\)"):
                found.find(ISSUER.token(header={"kid": str(tried)}), now())
            tried += 1
            await asyncio.sleep(0.001)
        # Each is 0.05 s after the one before, and so no more than that are due.
        due = (time.monotonic() - asked) / 0.05 + 1
        assert len(fetched) - 3 <= due
        assert following.problem == "gone"
        assert found.find(written, now()).id == "oidc:ann"
    task.cancel()
