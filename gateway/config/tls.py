"""The files that a channel's TLS is made of: read at start, so that a wrong one is told with its
place in the configuration.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from gateway.config.documents import Steps
from gateway.config.schema import Closed, Finding
from gateway.errors import StateError


class TlsSection(Closed):
    """Whom to trust and who we are, as PEM files. ``ca`` stands in place of the system's trust
    store; ``certificate`` and its ``key`` are shown to a server that asks for them.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise PydanticCustomError("tls_pair", "certificate and key belong together")
        return self

    def context(self) -> ssl.SSLContext:
        """Names are checked, TLS 1.2 is the least. Raises ``StateError`` where ``findings`` would
        have something to say.
        """
        for finding in self.findings(()):
            raise StateError(f"tls: {finding.message}")
        return self._load()

    def findings(self, path: Steps) -> Iterator[Finding]:
        """What is wrong with the files of the section at ``path``."""
        for word in ("ca", "certificate", "key"):
            file: Path | None = getattr(self, word)
            why = None if file is None else _unreadable(file)
            if why is not None:
                yield Finding((*path, word), why)
                return
        try:
            _trust(self.ca)
        except ssl.SSLError:
            yield Finding((*path, "ca"), f"{self.ca} holds no certificate in PEM form")
            return
        try:
            self._load()
        except _Encrypted:
            yield Finding((*path, "key"), f"{self.key} is encrypted: give a key without a password")
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                message = f"{self.key} is not the key of the certificate {self.certificate}"
                yield Finding((*path, "key"), message)
            elif _holds(self.certificate, b"CERTIFICATE"):
                yield Finding((*path, "key"), f"{self.key} holds no private key in PEM form")
            else:
                message = f"{self.certificate} holds no certificate in PEM form"
                yield Finding((*path, "certificate"), message)

    def _load(self) -> ssl.SSLContext:
        context = _trust(self.ca)
        if self.certificate is not None and self.key is not None:
            # Without a function of our own, OpenSSL asks for a password on the terminal.
            context.load_cert_chain(self.certificate, self.key, _no_password)
        return context


class _Encrypted(Exception):
    """A private key has a password."""


def _no_password() -> str:
    raise _Encrypted


def _trust(ca: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _unreadable(file: Path) -> str | None:
    try:
        with file.open("rb") as opened:
            opened.read(1)
    except OSError as error:
        return f"{file} cannot be read: {error.strerror}"
    return None


def _holds(file: Path | None, what: bytes) -> bool:
    return file is not None and b"-----BEGIN %b-----" % what in file.read_bytes()
