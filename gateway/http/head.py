"""The head of a request: what is to be known of its headers, found in one walk over them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from starlette.types import Scope

from gateway.access.callers import HEADER

Header = tuple[bytes, bytes]
Names = Mapping[bytes, bytes]
"""What an app calls its request: the headers in which it says so."""

CLIENT = b"x-client-request-id"
REQUEST = b"x-request-id"
"""Ours in answers of the OpenAI dialect, whose SDKs read it; an app's own stands in its place."""

NAMELESS: Names = {}
_OURS = HEADER.encode()
_TRACEPARENT = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z")
_WELL_FORMED = re.compile(rb"[A-Za-z0-9._-]{1,128}\Z")


class Head:
    """``headers`` have names in lower case; ``peer`` is the host that the request came from, empty
    where it has none, and ``version`` that of HTTP. Found in them are the ``credentials`` that it
    shows, what it says of itself in headers of ours (``said``), those of its ``names`` that are
    well formed and the ``traceparent`` (W3C Trace Context, version 00), the ``encodings`` of its
    body, and whether it ``expects`` to be told to send that, of ``length`` bytes as far as it says.
    """

    __slots__ = (
        "credentials",
        "encodings",
        "expects",
        "headers",
        "length",
        "names",
        "origin",
        "peer",
        "said",
        "traceparent",
        "version",
    )

    def __init__(self, headers: Sequence[Header], peer: str, version: str) -> None:
        self.headers = headers
        self.peer = peer
        self.version = version
        self.credentials: tuple[bytes, ...] = ()
        self.said: tuple[Header, ...] = ()
        self.encodings: tuple[bytes, ...] = ()
        self.names: Names = NAMELESS
        self.traceparent: str | None = None
        self.origin: bytes | None = None
        self.expects = False
        self.length = 0
        for header in headers:
            name, value = header
            if name in _READ:
                self._read(name, value)
            elif name.startswith(_OURS):
                self.said += (header,)

    @classmethod
    def of(cls, scope: Scope) -> Head:
        """Of a request as ASGI has it."""
        return cls(scope["headers"], peer(scope), scope.get("http_version", "1.1"))

    def first(self, name: bytes) -> bytes | None:
        """The first header of that (lower-case) name."""
        return _first(self.headers, name)

    @property
    def client_id(self) -> str | None:
        """The app's name of its request that is written down."""
        if not self.names:
            return None
        value = self.names.get(CLIENT) or self.names.get(REQUEST)
        return None if value is None else value.decode("ascii")

    def _read(self, name: bytes, value: bytes) -> None:
        if name == b"authorization" or name == b"x-api-key":
            self.credentials += (value,)
        elif name == b"content-length":
            self.length = int(value) if value.isdigit() else 0
        elif name == b"content-encoding":
            self.encodings += (value,)
        elif name == b"expect":
            # One of HTTP/1.0 waits for nothing (RFC 9110, 10.1.1).
            self.expects = value.lower() == b"100-continue" and self.version != "1.0"
        elif name == b"origin":
            self.origin = value
        elif name == b"traceparent":
            if self.traceparent is None and _TRACEPARENT.match(value):
                self.traceparent = value.decode("ascii")
        elif _WELL_FORMED.match(value):
            self.names = {**self.names, name: value}


_READ = frozenset(
    (
        *(b"authorization", b"x-api-key", b"content-length", b"content-encoding", b"expect"),
        *(b"origin", b"traceparent", CLIENT, REQUEST),
    )
)


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header of that (lower-case) name."""
    return _first(scope["headers"], name)


def peer(scope: Scope) -> str:
    """The address that a request comes from; empty where it has none."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def _first(headers: Sequence[Header], name: bytes) -> bytes | None:
    for key, value in headers:
        if key == name:
            return bytes(value)
    return None
