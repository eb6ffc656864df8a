"""Checkpoints: lines that vouch, by an Ed25519 signature (RFC 8032), for all lines before them.

The private key need not be kept from whoever reads the log, but from whoever might alter it: best
it is given by a file of its own (``audit.signing_key``). Without one it is made in the log's
folder, which shows damage and accidents but not an attacker who can write there, except up to the
last checkpoint that was copied elsewhere.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from gateway.audit.chain import Head, Kind, line, signed_part
from gateway.errors import StateError
from gateway.files import write_atomically

KEYS = "keys"
"""The folder, inside that of the log, of the public keys and of the private one that was made."""
PRIVATE = "signing.pem"


class Signature(msgspec.Struct, frozen=True):
    """What of a checkpoint's line is its own: the id of the key, and base64."""

    key: str
    signature: str


class Signer:
    """A private key: its ``id`` is the first 16 hex digits of the sha256 of the public one (32
    bytes), as with the keys of policies. Raises ``StateError`` where the file has no such key.
    """

    def __init__(self, path: Path) -> None:
        try:
            key = load_pem_private_key(path.read_bytes(), password=None)
        except OSError as error:
            raise StateError(
                f"the audit log's key {path} cannot be read: {error.strerror or error}"
            ) from None
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise StateError(
                f"{path} is no key for the audit log: expected the PEM file of an Ed25519 key "
                "without a password, as `gateway policy keygen` writes it"
            )
        self._key = key
        self.public = key.public_key()
        self.id = key_id(self.public)

    def line(self, head: Head, at: str) -> tuple[bytes, Head]:
        """The checkpoint behind ``head``, without its newline, and the head that it makes."""
        fields = {"at": at, "key": self.id}
        part, _ = line(head, Kind.CHECKPOINT, fields)
        signature = base64.b64encode(self._key.sign(part)).decode()
        return line(head, Kind.CHECKPOINT, {**fields, "signature": signature})

    def show(self, folder: Path) -> None:
        """Put the public key among those of the log, if it is not there. Raises ``OSError``."""
        path = folder / KEYS / f"{self.id}.pub"
        if not path.exists():
            path.parent.mkdir(exist_ok=True, mode=0o700)
            write_atomically(path, self.pem)

    @property
    def pem(self) -> bytes:
        """The public key."""
        return self.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def made(folder: Path) -> Signer:
    """The log's own key, made where there is none yet: for one process at a time. Raises
    ``OSError``, and ``StateError`` where there is something else in its place.
    """
    path = folder / KEYS / PRIVATE
    if not path.exists():
        pem = Ed25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        path.parent.mkdir(exist_ok=True, mode=0o700)
        write_atomically(path, pem)
    return Signer(path)


def key_id(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def public_key(pem: bytes) -> Ed25519PublicKey:
    """Raises ``ValueError`` where it is none."""
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("expected the PEM of an Ed25519 public key")
    return key


def vouches(key: Ed25519PublicKey, checkpoint: bytes) -> bool:
    """Whether a checkpoint's line was signed by a key, as it stands."""
    try:
        found = msgspec.json.decode(checkpoint, type=Signature)
        signature = base64.b64decode(found.signature, validate=True)
        key.verify(signature, signed_part(checkpoint))
    except (ValueError, binascii.Error, InvalidSignature):
        return False
    return found.key == key_id(key)
