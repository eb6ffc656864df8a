"""``access`` of the configuration: what is taken, what is refused, and what is made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.access.keys import Limits
from gateway.config.references import referred, referred_by_access
from gateway.config.settings import Settings, load_settings
from gateway.dialled import issuer_channel
from gateway.errors import DocumentError
from gateway.trusted import trusted
from gateway.upstream.fault import EgressRefused
from gateway.upstream.guard import EgressGuard
from tests.access.issuers import Issuer

OIDC: dict[str, Any] = {
    "issuer": "https://issuer.example",
    "audience": "gateway",
    "jwks": "https://issuer.example/keys/jwks",
}


def load(folder: Path, **fields: Any) -> Settings:
    file = folder / "gateway.yaml"
    file.write_text(yaml.safe_dump({"access": {"oidc": {**OIDC, **fields}}}))
    return load_settings(file, {}, {})


def test_without_a_section_no_token_is_taken(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("offline: true\n")
    settings = load_settings(tmp_path / "gateway.yaml", {}, {})
    assert (trusted(settings), issuer_channel(settings)) == (None, None)


def test_what_is_made_of_a_section(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        audience=["gateway", "other"],
        labels={"team": "team", "tags": "roles"},
        models="models",
        may_set=["data_class"],
        limits={"requests_per_minute": 60, "budget": 12.5},
    ).access.oidc
    assert found is not None
    rules = found.rules()
    assert rules.issued.audiences == ("gateway", "other")
    assert rules.issued.algorithms == ("RS256", "ES256", "EdDSA")
    assert (rules.labels, rules.models) == ({"team": "team", "tags": "roles"}, "models")
    assert rules.limits == Limits(requests_per_minute=60, budget=12_500_000)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"algorithms": ["HS256"]}, "expected an algorithm with a key pair"),
        ({"algorithms": ["none"]}, "expected an algorithm with a key pair"),
        ({"algorithms": []}, "must not be empty"),
        ({"audience": []}, "must not be empty"),
        ({"jwks": "http://issuer.example/jwks"}, "expected file:PATH or https://"),
        ({"jwks": "https://issuer.example"}, "expected file:PATH or https://"),
        ({"jwks": "https:///jwks"}, "expected file:PATH or https://"),
        ({"jwks": "file:"}, "expected file:PATH or https://"),
        ({"jwks": "https://a:b@issuer.example/jwks"}, "without a user"),
        ({"jwks": "https://issuer.example/jwks?tenant=a"}, "without a user, query"),
        ({"jwks": "https://issuer.example/jw ks"}, "in ASCII without blanks"),
        ({"jwks": "http://127.0.0.1/jwks", "tls": {}}, "tls needs a jwks of https://"),
        ({"labels": {"colour": "x"}}, "expected a label"),
        ({"may_set": ["colour"]}, "expected a label"),
        ({"leeway": 301}, "less than or equal to 300"),
        ({"refresh": 1}, "greater than or equal to 10"),
        ({"limits": {"concurrent": 0}}, "greater than or equal to 1"),
        ({"proxy_auth": "${P}"}, "need a proxy"),
        ({"jku": "x"}, "unknown key 'jku'"),
        ({"jwks": "file:none.json"}, "cannot be used"),
    ],
)
def test_what_is_refused(tmp_path: Path, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(DocumentError, match=r"gateway\.yaml:") as refused:
        load(tmp_path, **fields)
    assert words in refused.value.message


@pytest.mark.parametrize(
    "jwks", ["http://127.0.0.1:9/jwks", "http://localhost:9/jwks", "http://[::1]:9/jwks"]
)
def test_on_this_machine_nobody_is_on_the_way(tmp_path: Path, jwks: str) -> None:
    assert load(tmp_path, jwks=jwks).access.oidc


def test_the_keys_of_a_file_are_there_at_once_and_followed(tmp_path: Path) -> None:
    issuer, other = Issuer("ES256"), Issuer("ES256")
    file = tmp_path / "jwks.json"
    file.write_bytes(issuer.jwks)
    settings = load(tmp_path, jwks="file:jwks.json")
    assert referred_by_access(settings) == {file}
    assert file in referred(settings)
    assert issuer_channel(settings) is None
    first, same = trusted(settings), trusted(settings)
    assert first is not None
    assert same is not None
    assert same.after(first) is first
    file.write_bytes(other.jwks)
    changed = trusted(settings)
    assert changed is not None
    assert changed.after(first) is changed


async def test_where_they_are_looked_up(tmp_path: Path) -> None:
    """By a channel that no configured one can be taken for, through the same guard."""
    channel = issuer_channel(load(tmp_path))
    assert channel is not None
    assert channel.listing.startswith(b"GET /keys/jwks HTTP/1.1\r\nHost: issuer.example\r\n")
    assert b"Authorization" not in channel.listing
    assert (channel.cloud, channel.tls, channel.api_keys) == (True, True, ())
    file = tmp_path / "gateway.yaml"
    section = {"vendor": "openai", "kind": "openai", "base_url": "https://a.example"}
    file.write_text(yaml.safe_dump({"channels": {channel.name: section}}))
    with pytest.raises(DocumentError, match="expected a name"):
        load_settings(file, {}, {})
    with pytest.raises(EgressRefused, match="offline"):
        EgressGuard(offline=True).ask(channel, lambda: True)
    metadata = issuer_channel(load(tmp_path, jwks="https://169.254.169.254/latest"))
    assert metadata is not None
    with pytest.raises(EgressRefused, match="never dialled"):
        await EgressGuard().check(metadata, lambda: True)

    async def inside(host: str, port: int) -> list[str]:
        return ["10.0.0.5"]

    with pytest.raises(EgressRefused, match="private"):
        await EgressGuard(inside).check(channel, lambda: True)
    ours = issuer_channel(load(tmp_path, locality="sovereign"))
    assert ours is not None
    assert await EgressGuard(inside, offline=True).check(ours, lambda: True) == [("10.0.0.5", 443)]
