"""Bodies of requests and answers, encrypted so that only who has the private key can read them: the
gateway that wrote them cannot, nor who takes its disk or its memory later.

A file is ``MAGIC``, the public key of a pair made for it alone (X25519, 32 bytes), and what
ChaCha20-Poly1305 makes of the content (RFC 8439; its nonce is zero, as the key is used once). The
key is HKDF-SHA256 (RFC 5869, without salt) of the pairs' shared secret, with ``INFO`` and both
public keys; what stands before the ciphertext is authenticated with it. The content is a line of
JSON (``Header``), then the request's body, then the answer's.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from gateway.errors import StateError
from gateway.files import write_atomically

MAGIC = b"SGWC1\n"
INFO = b"sovereign-gateway audit content 1"
ALGORITHM = "x25519"
SUFFIX = ".sealed"
_KEY = 32
_NONCE = bytes(12)
_PROBE = bytes(4096)


class Header(msgspec.Struct, frozen=True):
    """What a file is of; ``request`` and ``answer`` are how many bytes of each follow."""

    id: str
    at: datetime
    request: int
    answer: int


@dataclass(frozen=True, slots=True)
class Content:
    header: Header
    request: bytes
    answer: bytes


class Contents:
    """Files ``<day>/<id>.sealed`` under ``folder``, for who has the private key of
    ``recipient``.
    """

    def __init__(self, folder: Path, recipient: X25519PublicKey) -> None:
        self._folder = folder
        self._recipient = recipient

    def keep(self, id: str, at: datetime, request: bytes, answer: Iterable[bytes]) -> str:
        """The sha256 of the file that it is written to. Raises ``OSError``."""
        body = b"".join(answer)
        header = Header(id, at, len(request), len(body))
        content = msgspec.json.encode(header) + b"\n" + request + body
        sealed = seal(self._recipient, content)
        write_atomically(self._day(f"{at:%Y-%m-%d}") / f"{id}{SUFFIX}", sealed)
        return hashlib.sha256(sealed).hexdigest()

    def probe(self) -> None:
        """Raises ``OSError`` where nothing can be written."""
        path = self._folder / f".probe-{os.getpid()}"
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            write_atomically(path, _PROBE)
        finally:
            path.unlink(missing_ok=True)

    def _day(self, name: str) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        day = self._folder / name
        day.mkdir(exist_ok=True, mode=0o700)
        return day


def recipient(word: str, folder: Path) -> X25519PublicKey:
    """The public key that is written ``x25519:`` and the base64 of its 32 bytes, or that the file
    ``file:PATH``, relative to ``folder``, has in that way or as PEM. Raises ``StateError``.
    """
    text = word
    if word.startswith("file:"):
        path = folder / Path(word.removeprefix("file:")).expanduser()
        try:
            text = path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise StateError(f"the recipient's key {path} cannot be read: {error}") from None
    algorithm, _, encoded = text.partition(":")
    try:
        if algorithm == ALGORITHM:
            return X25519PublicKey.from_public_bytes(base64.b64decode(encoded, validate=True))
        key = load_pem_public_key(text.encode())
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, X25519PublicKey):
        raise StateError(
            "audit.content.recipient is no public key: expected x25519:<base64 of 32 bytes>, or "
            "file:PATH of one as `openssl pkey -pubout` writes it"
        )
    return key


def generate() -> tuple[bytes, str]:
    """A new private key as PEM (PKCS 8, not encrypted), and its public key as it is written."""
    key = X25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    raw = key.public_key().public_bytes_raw()
    return pem, f"{ALGORITHM}:{base64.b64encode(raw).decode()}"


def private_key(pem: bytes) -> X25519PrivateKey:
    """Raises ``StateError`` where it is none."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, X25519PrivateKey):
        raise StateError("this is no private key for content: expected the PEM of an X25519 key")
    return key


def seal(recipient: X25519PublicKey, content: bytes) -> bytes:
    """The bytes of a file."""
    once = X25519PrivateKey.generate()
    public = once.public_key().public_bytes_raw()
    key = _key(once.exchange(recipient), public, recipient.public_bytes_raw())
    front = MAGIC + public
    return front + ChaCha20Poly1305(key).encrypt(_NONCE, content, front)


def unseal(key: X25519PrivateKey, sealed: bytes) -> Content:
    """What a file holds. Raises ``ValueError`` where it is no such file, was altered, or is for
    another key.
    """
    front, secret = sealed[: len(MAGIC) + _KEY], sealed[len(MAGIC) + _KEY :]
    if len(front) < len(MAGIC) + _KEY or not front.startswith(MAGIC):
        raise ValueError("this is no file of sealed content")
    public = front[len(MAGIC) :]
    shared = key.exchange(X25519PublicKey.from_public_bytes(public))
    used = _key(shared, public, key.public_key().public_bytes_raw())
    try:
        content = ChaCha20Poly1305(used).decrypt(_NONCE, secret, front)
    except InvalidTag:
        raise ValueError("this content is for another key, or was altered") from None
    line, _, bodies = content.partition(b"\n")
    header = msgspec.json.decode(line, type=Header)
    return Content(header, bodies[: header.request], bodies[header.request :])


def _key(shared: bytes, once: bytes, recipient: bytes) -> bytes:
    return HKDF(SHA256(), length=_KEY, salt=None, info=INFO + once + recipient).derive(shared)
