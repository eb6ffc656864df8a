"""Only what a trusted key signed comes into force, and whatever is wrong is said."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.config.policy_files import PolicyLoader
from gateway.config.reload import PolicyStore
from gateway.config.shipped import load_catalog
from gateway.config.signing import SIGNATURE, PublicKey, Signer, generate, verify
from gateway.config.sources import Sources
from gateway.config.toggles import TOGGLES, Toggles
from gateway.errors import SignatureError
from gateway.policy.compile import Policy
from tests.config.by_name import resolver
from tests.config.test_toggles import NOW


def signer_in(folder: Path, name: str = "policy.key") -> Signer:
    private, _ = generate()
    (folder / name).write_bytes(private)
    return Signer(folder / name)


class House:
    """A policy folder that must be signed, its key, and what loads it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sources = Sources(folder, folder.parent / "designations")
        self.signer = signer_in(folder.parent)
        keys = [self.signer.public]
        self.loader = PolicyLoader(load_catalog(), resolver, keys, signed=True)

    def sign(self) -> Policy:
        policy = self.loader.tested(self.sources, self.sources.read())
        (self.folder / SIGNATURE).write_bytes(self.signer.sign(policy))
        return policy

    def load(self) -> Policy:
        return self.loader.load(self.sources, self.sources.read())

    def refused(self) -> str:
        with pytest.raises(SignatureError) as caught:
            self.load()
        return caught.value.message

    def store(self) -> PolicyStore:
        return PolicyStore(self.sources, self.folder.parent / "var", self.loader.load)


@pytest.fixture
def house(policies: Path) -> House:
    return House(policies)


def test_a_signed_policy_loads_and_the_signature_is_plain_ed25519(house: House) -> None:
    """Anybody can check it with the public key and the canonical form, without our code."""
    policy = house.sign()
    assert house.load().revision == policy.revision
    content = json.loads((house.folder / SIGNATURE).read_bytes())
    raw = base64.b64decode(house.signer.public.text.removeprefix("ed25519:"))
    key = Ed25519PublicKey.from_public_bytes(raw)
    key.verify(base64.b64decode(content["signature"]), policy.canonical)


def changed(house: House, **fields: Any) -> None:
    path = house.folder / SIGNATURE
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **fields}))


def test_what_is_wrong_with_a_signature_is_said(house: House, tmp_path: Path) -> None:
    """Missing, no signature at all, another key's, of another revision, forged."""
    assert "the policy is not signed: there is no policy.sig" in house.refused()
    policy = house.sign()
    (house.folder / SIGNATURE).write_text("garbage")
    assert "is no signature of a policy" in house.refused()
    (house.folder / SIGNATURE).write_bytes(signer_in(tmp_path, "other.key").sign(policy))
    text = house.refused()
    assert "which is not trusted" in text
    assert house.signer.public.id in text
    house.sign()
    changed(house, algorithm="none")
    assert "is not made by ed25519" in house.refused()
    house.sign()
    (house.folder / "20.yaml").write_text("version: 1\nvendors: {mistral: deny}\n")
    assert "it was changed after it was signed" in house.refused()
    now = house.loader.tested(house.sources, house.sources.read())
    changed(house, revision=now.revision)
    assert f"key {house.signer.public.id} did not sign this policy" in house.refused()
    house.sign()
    assert house.load().revision == now.revision


def test_a_comment_needs_no_new_signature(house: House) -> None:
    """What decides is signed, not the bytes of the files."""
    house.sign()
    path = house.folder / "10-vendors.yaml"
    path.write_text(f"# a comment\n{path.read_text()}")
    house.load()


def test_a_changed_fact_needs_one(house: House) -> None:
    """A designation decides through the rules that refer to it."""
    house.sign()
    house.sources.designations.mkdir()
    (house.sources.designations / "a.yaml").write_text(
        "version: 1\ndesignations:\n  - {id: d, vendor: openai, authority: an agency, "
        "scope: [federal], status: in_force, effective: 2026-01-01, "
        'source_url: "https://example.org/", retrieved: 2026-01-02}\n'
    )
    assert "changed after it was signed" in house.refused()


def test_an_unsigned_change_leaves_the_old_policy_in_force_and_outlives_no_restart(
    house: House,
) -> None:
    """The store says why; the last known good one is verified again when it is taken."""
    signed = house.sign()
    store = house.store()
    store.start()
    (house.folder / "20.yaml").write_text("version: 1\nvendors: {mistral: deny}\n")
    assert not store.reload()
    assert store.current.revision == signed.revision
    assert "changed after it was signed" in str(store.problem)
    again = house.store()
    again.start()
    assert again.current.revision == signed.revision
    stranger = PolicyLoader(
        load_catalog(), resolver, [signer_in(house.folder.parent, "new").public], signed=True
    )
    with pytest.raises(SignatureError, match="not trusted"):
        PolicyStore(house.sources, house.folder.parent / "var", stranger.load).start()


def test_a_ban_is_signed_with_the_key_and_refused_without(house: House) -> None:
    """Without it nothing is written, and the message says how to give it."""
    house.sign()
    catalog = load_catalog()
    with pytest.raises(
        SignatureError, match=r"--key FILE or GATEWAY_POLICY_KEY=FILE\. Nothing was"
    ):
        Toggles(house.sources, catalog, house.loader).ban("openai", reason="drill", now=NOW)
    assert not (house.folder / TOGGLES).exists()
    toggles = Toggles(house.sources, catalog, house.loader, house.signer)
    banned = toggles.ban("openai", reason="drill", now=NOW)
    assert house.load().revision == banned.revision
    assert "ban-openai" in {rule.id for rule in banned.rules}
    lifted = toggles.unban("openai")
    assert house.load().revision == lifted.revision != banned.revision


def test_a_ban_with_a_key_that_is_not_trusted_changes_nothing(house: House) -> None:
    house.sign()
    before = house.sources.read()
    stranger = signer_in(house.folder.parent, "other.key")
    with pytest.raises(SignatureError, match="not trusted"):
        Toggles(house.sources, load_catalog(), house.loader, stranger).ban(
            "openai", reason="drill", now=NOW
        )
    assert house.sources.read() == before


@pytest.mark.parametrize(
    "text", ["", "ed25519:", "ed25519:AAAA", "rsa:AAAA", "ed25519:" + "!" * 44, "sk-planted"]
)
def test_what_is_no_public_key_is_said_so_and_not_repeated(text: str) -> None:
    """Somebody may have put the private one there."""
    with pytest.raises(SignatureError, match="this is no public key") as caught:
        PublicKey.parse(text)
    assert "planted" not in caught.value.message


def test_what_is_no_private_key_is_said_so_and_not_repeated(tmp_path: Path) -> None:
    """A missing file, any text, and a key of another kind."""
    path = tmp_path / "policy.key"
    with pytest.raises(SignatureError, match="cannot be read: No such file"):
        Signer(path)
    rsa = generate_private_key(65537, 2048)
    pem = rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for content in (b"planted", pem):
        path.write_bytes(content)
        with pytest.raises(SignatureError, match="is no private key for policies") as caught:
            Signer(path)
        assert "planted" not in caught.value.message
    private, public = generate()
    path.write_bytes(private)
    assert Signer(path).public == PublicKey.parse(f"{public.text}\n")


def test_no_key_verifies_nothing(house: House) -> None:
    """An empty list of keys is no leave."""
    policy = house.sign()
    content = (house.folder / SIGNATURE).read_bytes()
    with pytest.raises(SignatureError, match=r"policy\.public_keys has: none"):
        verify(content, policy, [])
