"""Signatures of a policy: Ed25519 (RFC 8032) over its canonical form, in a file beside it.

The file says which key signed which revision, so that a refusal can say what is wrong; only the
signature itself is trusted. A public key is written ``ed25519:`` and the base64 of its 32 bytes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from gateway.errors import SignatureError
from gateway.policy.compile import Policy

SIGNATURE = "policy.sig"
"""The name of the file in the policy folder."""
ALGORITHM = "ed25519"


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file holds. ``key`` is the id of a public key, ``signature`` base64."""

    algorithm: str
    key: str
    revision: str
    signature: str


@dataclass(frozen=True, slots=True)
class PublicKey:
    """``text`` is how it is written, ``id`` the first 16 hex digits of the sha256 of its bytes."""

    text: str
    id: str
    key: Ed25519PublicKey

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Raises ``SignatureError`` where it is no public key."""
        algorithm, _, encoded = text.strip().partition(":")
        try:
            raw = base64.b64decode(encoded, validate=True)
            key = Ed25519PublicKey.from_public_bytes(raw)
        except (binascii.Error, ValueError):
            key = None
        if algorithm != ALGORITHM or key is None:
            raise SignatureError(
                "this is no public key: expected ed25519:<base64 of 32 bytes>, "
                "as `gateway policy keygen` prints it"
            )
        return cls(text.strip(), hashlib.sha256(raw).hexdigest()[:16], key)

    @classmethod
    def named(cls, word: str, folder: Path) -> PublicKey:
        """A key of the configuration: written out, or ``file:PATH`` relative to ``folder``."""
        if not word.startswith("file:"):
            return cls.parse(word)
        path = folder / Path(word.removeprefix("file:")).expanduser()
        try:
            return cls.parse(path.read_text(encoding="ascii"))
        except (OSError, UnicodeDecodeError) as error:
            raise SignatureError(f"the public key {path} cannot be read: {error}") from None

    @classmethod
    def of(cls, key: Ed25519PublicKey) -> PublicKey:
        return cls.parse(f"{ALGORITHM}:{base64.b64encode(key.public_bytes_raw()).decode()}")


def generate() -> tuple[bytes, PublicKey]:
    """A new private key as PEM (PKCS 8, not encrypted), and its public key."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem, PublicKey.of(key.public_key())


class Signer:
    """A private key, read from its file. Neither the key nor the file's text is ever repeated."""

    def __init__(self, path: Path) -> None:
        try:
            key = load_pem_private_key(path.read_bytes(), password=None)
        except OSError as error:
            raise SignatureError(
                f"the key {path} cannot be read: {error.strerror or error}"
            ) from None
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise SignatureError(
                f"{path} is no private key for policies: expected the PEM file of an Ed25519 key "
                "without a password, as `gateway policy keygen` writes it"
            )
        self._key = key
        self.public = PublicKey.of(key.public_key())

    def sign(self, policy: Policy) -> bytes:
        """The content of the signature's file."""
        signature = base64.b64encode(self._key.sign(policy.canonical)).decode()
        content = Signature(ALGORITHM, self.public.id, policy.revision, signature)
        return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"


def verify(content: bytes | None, policy: Policy, keys: Sequence[PublicKey]) -> PublicKey:
    """The key that signed this policy. ``content`` is that of the file, ``None`` where there is
    none. Raises ``SignatureError`` that says what is wrong and what to do.
    """
    if content is None:
        raise SignatureError(f"the policy is not signed: there is no {SIGNATURE}. {_SIGN}")
    try:
        read = msgspec.json.decode(content, type=Signature)
        raw = base64.b64decode(read.signature, validate=True)
    except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error, ValueError):
        raise SignatureError(f"{SIGNATURE} is no signature of a policy. {_SIGN}") from None
    if read.algorithm != ALGORITHM:
        raise SignatureError(f"{SIGNATURE} is not made by {ALGORITHM}. {_SIGN}")
    key = next((key for key in keys if key.id == read.key), None)
    if key is None:
        known = ", ".join(key.id for key in keys) or "none"
        raise SignatureError(
            f"{SIGNATURE} was made by the key {read.key[:64]!r}, which is not trusted "
            f"(policy.public_keys has: {known})"
        )
    if read.revision != policy.revision:
        raise SignatureError(
            f"{SIGNATURE} is of revision {read.revision[:12]!r}, and this policy is "
            f"{policy.revision[:12]!r}: it was changed after it was signed. {_SIGN}"
        )
    try:
        key.key.verify(raw, policy.canonical)
    except InvalidSignature:
        raise SignatureError(
            f"{SIGNATURE} does not fit: key {key.id} did not sign this policy. {_SIGN}"
        ) from None
    return key


_SIGN = "Whoever may decide signs it: gateway policy sign --key FILE"
