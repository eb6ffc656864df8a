"""Tokens of an issuer at a running gateway: its keys come from a server, or from a file."""

from __future__ import annotations

import time
from pathlib import Path

import openai
import pytest

from tests.access.issuers import AUDIENCE, NAME, Issuer, Publishing
from tests.end_to_end.keyed import ask, made
from tests.end_to_end.raw_http import Answered, chat
from tests.end_to_end.running import RunningGateway, configuration
from tests.waiting import until

MODELS = """\
  mine: {targets: [local/smollm2]}
  other: {targets: [local/smollm2]}
"""


def settings(jwks: str, *more: str) -> str:
    lines = [
        f"issuer: {NAME}",
        f"audience: {AUDIENCE}",
        f"jwks: {jwks}",
        "labels: {team: team}",
        "models: models",
        *more,
    ]
    oidc = "\n    ".join(lines)
    return configuration(models=MODELS, extra=f"access:\n  oidc:\n    {oidc}\n")


def with_token(gateway: RunningGateway, token: str, model: str = "mine") -> Answered:
    return ask(gateway, chat(model=model), [f"authorization: Bearer {token}"])


def test_an_issuer_that_publishes_its_keys(tmp_path: Path) -> None:
    """They are asked for in the background, however many requests there are; while its server is
    gone the last good ones stay, and a key that is new is found without a restart.
    """
    issuer, later = Issuer("ES256", "EdDSA"), Issuer("RS256")
    token = issuer.token("EdDSA", team="red", models=["mine"])
    with Publishing(issuer.jwks) as server:
        server.status = 500
        with RunningGateway(tmp_path, settings(f"{server.url}/keys/jwks"), key=None) as gateway:
            got = with_token(gateway, token)
            assert (got.status, got.json["error"]["code"]) == (503, "issuer_unavailable")
            assert got.headers["x-should-retry"] == "true"
            server.status = 200
            until(lambda: with_token(gateway, token).status == 200)
            record = gateway.last_record()
            assert (record["key"], record["labels"]["team"]) == ("oidc:ann", "red")
            asked = len(server.asked)
            assert set(server.asked) == {"/keys/jwks"}
            for _ in range(20):
                assert with_token(gateway, token).status == 200
            for number in range(20):
                stranger = later.token("RS256", {"kid": f"made-up-{number}"})
                got = with_token(gateway, stranger)
                assert (got.status, got.json["error"]["code"]) == (401, "invalid_token")
            assert len(server.asked) <= asked + 1
            server.status = 503
            assert with_token(gateway, token).status == 200
            with_token(gateway, token, "other")
            assert with_token(gateway, token, "other").status == 404
            assert ask(gateway, chat(model="mine")).status == 401
            key = made(gateway, "beside")
            assert ask(gateway, chat(model="other"), [f"x-api-key: {key}"]).status == 200


def test_keys_in_a_file_are_followed(tmp_path: Path) -> None:
    """The token of a key that is taken out is good no more, within a second; a file that is wrong
    leaves what there was, and is told.
    """
    before, after = Issuer("RS256"), Issuer("ES256")
    file = tmp_path / "jwks.json"
    file.write_bytes(before.jwks)
    old, new = (
        issuer.token(name, team="red", models="mine")
        for issuer, name in ((before, "RS256"), (after, "ES256"))
    )
    with RunningGateway(tmp_path, settings("file:jwks.json"), key=None) as gateway:
        assert (with_token(gateway, old).status, with_token(gateway, new).status) == (200, 401)
        file.write_bytes(b'{"keys": []}')
        until(lambda: gateway.get("/readyz")[1]["status"] == "degraded")
        assert "holds no key" in gateway.get("/readyz")[1]["configuration"]["problem"]
        assert with_token(gateway, old).status == 200
        file.write_bytes(after.jwks)
        until(lambda: with_token(gateway, new).status == 200)
        assert with_token(gateway, old).status == 401
        lacking = with_token(gateway, after.token("ES256", models="mine"))
        assert (lacking.status, lacking.json["error"]["code"]) == (403, "claim_missing")
        with (
            openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=old, max_retries=0) as sdk,
            pytest.raises(openai.AuthenticationError, match="unknown key"),
        ):
            sdk.models.list()


def test_each_who_shows_a_token_has_limits_of_its_own(tmp_path: Path) -> None:
    """Whichever of its tokens it shows."""
    issuer = Issuer("ES256")
    (tmp_path / "jwks.json").write_bytes(issuer.jwks)
    text = settings("file:jwks.json", "limits: {requests_per_minute: 2}")
    with RunningGateway(tmp_path, text, key=None) as gateway:
        ann = [issuer.token(team="red", models="mine", jti=str(number)) for number in range(3)]
        assert [with_token(gateway, one).status for one in ann] == [200, 200, 429]
        bob = issuer.token(team="red", models="mine", sub="bob")
        assert with_token(gateway, bob).status == 200


@pytest.mark.parametrize(("locality", "reached"), [("cloud", False), ("sovereign", True)])
def test_offline_an_issuer_is_asked_only_inside_our_own_boundary(
    tmp_path: Path, locality: str, reached: bool
) -> None:
    issuer = Issuer("ES256")
    token = issuer.token(team="red", models="mine")
    with Publishing(issuer.jwks) as server:
        text = settings(f"{server.url}/jwks", f"locality: {locality}")
        with RunningGateway(tmp_path, f"offline: true\n{text}", key=None) as gateway:
            if reached:
                until(lambda: with_token(gateway, token).status == 200)
            else:
                time.sleep(2.5)
                assert with_token(gateway, token).status == 503
                assert "offline: true forbids channel access/oidc" in gateway.output.read_text()
        assert bool(server.asked) is reached


def test_a_start_over_a_file_without_keys_says_where(tmp_path: Path) -> None:
    (tmp_path / "jwks.json").write_text('{"keys": [{"kty": "oct", "kid": "a", "k": "c2VjcmV0"}]}')
    gateway = RunningGateway(tmp_path, settings("file:jwks.json"), key=None)
    done = gateway.run("doctor")
    assert done.returncode == 1
    assert "jwks: file:jwks.json" in done.stdout
    assert "holds no key with a kid for" in done.stdout
    assert "c2VjcmV0" not in done.stdout
