"""Who asks, by the headers of a request and where it comes from."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from functools import lru_cache

import msgspec
from starlette.types import Scope

from gateway.access.callers import Access, Caller, header_of
from gateway.access.keys import LABELS, Key
from gateway.errors import InvalidRequest
from gateway.http.head import Head, peer

Headers = Iterable[tuple[bytes, bytes]]

_SAID = {header_of(label).encode(): label for label in LABELS}
_PROXIED = frozenset(
    (
        *(b"forwarded", b"via", b"x-real-ip", b"x-client-ip", b"x-cluster-client-ip"),
        *(b"cf-connecting-ip", b"true-client-ip", b"fly-client-ip", b"x-original-host"),
    )
)
"""Headers by which a proxy says for whom it asks; there are others that begin with x-forwarded."""
_HERE = re.compile(
    rb"(?:localhost|127(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}|\[::1\])(?::\d{1,5})?\Z", re.IGNORECASE
)
ANY = "*"
MOST_KNOWN = 4096
"""Ways of showing a key that are remembered: who shows it, and what is said beside it."""


class _Known(msgspec.Struct, frozen=True, gc=False):
    """``ring`` are the keys that were in force."""

    ring: Mapping[str, Key]
    key: Key
    caller: Caller


class Door:
    """Every request passes here, on whichever path it came. The web pages of ``origins`` may ask a
    gateway on the machine of their user, any with ``*``.
    """

    def __init__(self, access: Access, origins: Collection[str] = ()) -> None:
        self._access = access
        self._origins = frozenset(origin.encode() for origin in origins)
        self._known: dict[bytes, _Known] = {}

    def who(self, head: Head, now: datetime) -> Caller:
        """Raises ``Unauthenticated``, ``Forbidden`` and ``InvalidRequest``, and ``Unavailable``
        where that cannot be told yet.
        """
        mark, keyring = _mark(head), self._access.keyring
        known = self._known.get(mark)
        # A key that is changed or revoked is in another ring, and one ends at an instant.
        if known is not None and known.ring is keyring.keys and known.key.good(now):
            return known.caller
        caller = self._asked(head, now)
        if caller.key is not None and keyring.keys.get(caller.key.id) is caller.key:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[mark] = _Known(keyring.keys, caller.key, caller)
        return caller

    def _asked(self, head: Head, now: datetime) -> Caller:
        shown: str | None = None
        for value in head.credentials:
            one = _credential(value)
            if one and shown is not None and one != shown:
                raise InvalidRequest(
                    "This request shows two different keys (Authorization and x-api-key): "
                    "send one of them.",
                    code="ambiguous_credentials",
                )
            shown = one or shown
        said: dict[str, str] = {}
        for name, value in head.said:
            _note(said, name, value)
        here = self._access.unguarded and self._is_near(head.peer, head.version, head.headers)
        return self._access.caller(shown, said, near=here, now=now)

    def near(self, scope: Scope) -> bool:
        """Whether a request comes from a program on this machine, and for nobody else: a reverse
        proxy is here as well, and so is a browser, with the pages that it shows.
        """
        return self._is_near(peer(scope), scope.get("http_version"), scope["headers"])

    def _is_near(self, peer: str, version: str | None, headers: Headers) -> bool:
        # nginx, unless it is told otherwise, asks in HTTP/1.0, by a host of this machine, and says
        # nothing of whom it asks for.
        return _is_loopback(peer) and version != "1.0" and _for_itself(headers, self._origins)


def is_here(scope: Scope) -> bool:
    """Whether what a request comes from is on this machine: a program, or what passes it on."""
    return _is_loopback(peer(scope))


@lru_cache(maxsize=1024)
def _is_loopback(peer: str) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _mark(head: Head) -> bytes:
    """Tells what a request shows and says from what any other does, and tells nobody a key."""
    shown, said = head.credentials, head.said
    if len(shown) == 1 and not said:
        # What most requests do. No header has the line that all others begin with.
        return hashlib.sha256(shown[0]).digest()
    parts = [b"%d" % len(shown), *shown]
    for header in said:
        parts += header
    return hashlib.sha256(b"\n".join(parts)).digest()


def _credential(value: bytes) -> str:
    """What opens, in the way of either dialect; empty where there is none."""
    kind, _, token = value.partition(b" ")
    return (token if kind.lower() == b"bearer" else value).strip().decode("latin-1")


def _note(said: dict[str, str], name: bytes, value: bytes) -> None:
    """A header that says something of the request. One that is misspelt is not passed over: it may
    be what makes a prompt confidential.
    """
    label = _SAID.get(name)
    header = name.decode("latin-1")[:100]
    if label is None:
        raise InvalidRequest(
            f"{header} is no header of this gateway: a request can set "
            f"{', '.join(word.decode() for word in _SAID)}.",
            param=header,
        )
    text = value.decode("latin-1")
    if label not in said:
        said[label] = text
    elif label == "tags":
        said[label] = f"{said[label]},{text}"
    elif said[label] != text:
        raise InvalidRequest(f"{header} says two different things.", param=header)


def _for_itself(headers: Headers, origins: Collection[bytes]) -> bool:
    """Whether nothing in a request says that it is for anybody but who sends it: that it is passed
    on, that it is meant for another host, or that a web page of another origin is behind it.
    """
    host: bytes | None = None
    origin: bytes | None = None
    site = b"none"
    for name, value in headers:
        if name == b"host":
            if host is not None:
                return False
            host = value
        elif name == b"origin":
            origin = value
        elif name == b"sec-fetch-site":
            site = value
        elif name in _PROXIED or name.startswith(b"x-forwarded"):
            return False
    if host is None or not _HERE.match(host):
        return False
    if origin is None:
        return site in (b"none", b"same-origin")
    known = origin in origins or ANY.encode() in origins
    return known or origin.lower() in (b"http://" + host.lower(), b"https://" + host.lower())
