"""A configured endpoint as the relay needs it: parsed once, with the head of its requests ready."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from gateway import __version__
from gateway.domain.call import Api, Call, Dialect, Passing
from gateway.upstream.proxy import Proxy
from gateway.wire.multipart import content_type

_NAME = re.compile(r"[A-Za-z0-9._-]+")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
ANTHROPIC_VERSION = "2023-06-01"
_LENGTH = b"Content-Length: "
_RESPONSES = frozenset({Api.RESPONSES, Api.INPUT_TOKENS})
_JSON = b"Content-Type: application/json\r\n"
_SOUND = frozenset({Api.SPEECH, Api.TRANSCRIPTIONS, Api.TRANSLATIONS})
"""APIs whose answers may be of any type."""


@dataclass(frozen=True, slots=True)
class Channel:
    """``literal`` is the address where ``base_url`` writes one out instead of a name; times are in
    seconds. ``heads`` has for each API of the dialect, and each key in the order of ``api_keys``
    (once where there is none), the head of a request up to the value of ``content-length``;
    ``listing`` is the whole request for the list of models, or for what stands in its place. With
    ``responses`` it has the API of that name. ``trust`` is what checks certificates and shows our
    own, ``None`` for what all channels have; ``proxy`` is on the way to all of it.
    """

    name: str
    dialect: Dialect
    host: str
    port: int
    tls: bool
    cloud: bool
    allow_private: bool
    literal: Address | None
    connect_timeout: float
    first_token_timeout: float
    answer_timeout: float
    idle_timeout: float
    api_keys: tuple[str, ...] = field(repr=False)
    heads: Mapping[Api, tuple[bytes, ...]] = field(repr=False)
    listing: bytes = field(repr=False)
    responses: bool = False
    trust: ssl.SSLContext | None = None
    proxy: Proxy | None = None

    @classmethod
    def parse(
        cls,
        name: str,
        base_url: str,
        *,
        dialect: Dialect = Dialect.OPENAI,
        api_keys: Sequence[str],
        locality: str,
        allow_private: bool,
        organization: str | None,
        connect_timeout: float,
        first_token_timeout: float,
        answer_timeout: float,
        idle_timeout: float,
        responses: bool = False,
        trust: ssl.SSLContext | None = None,
        proxy: Proxy | None = None,
        lists: str = "/models",
    ) -> Self:
        """``lists`` is where below ``base_url`` its list is. Raises ``ValueError`` for what is no
        base URL or cannot stand in a header.
        """
        url = urlsplit(base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"channel {name}: base_url must be http(s)://host[:port]/path")
        if url.username is not None or url.query or url.fragment:
            raise ValueError(f"channel {name}: base_url must hold no user, query or fragment")
        tls = url.scheme == "https"
        literal = _literal(url.hostname)
        host = url.hostname if literal else url.hostname.encode("idna").decode("ascii")
        if literal is None and not _NAME.fullmatch(host):
            raise ValueError(f"channel {name}: base_url holds no name of a host")
        bracketed = f"[{host}]" if ":" in host else host
        authority = bracketed if url.port is None else f"{bracketed}:{url.port}"
        path = url.path.rstrip("/")
        variants = [_lines(authority, dialect, key, organization) for key in api_keys or (None,)]
        if dialect is Dialect.ANTHROPIC:
            # This dialect's base URLs are written without the version, and now and then with it.
            path = path.removesuffix("/v1") + "/v1"
        heads = {
            api: tuple(_post(name, path, api, lines) for lines in variants)
            for api in Api
            if api.dialect is dialect
        }
        return cls(
            name=name,
            dialect=dialect,
            host=host,
            port=url.port or (443 if tls else 80),
            tls=tls,
            cloud=locality == "cloud",
            allow_private=allow_private,
            literal=literal,
            connect_timeout=connect_timeout,
            first_token_timeout=first_token_timeout,
            answer_timeout=answer_timeout,
            idle_timeout=idle_timeout,
            api_keys=tuple(api_keys),
            heads=heads,
            listing=_head(
                name, f"GET {path}{lists} HTTP/1.1", *variants[0], "Accept: application/json"
            )
            + b"\r\n",
            responses=responses,
            trust=trust,
            proxy=proxy,
        )

    def asked(self, api: Api) -> Api | None:
        """The API in which a call of ``api`` is put to this channel; ``None`` where none can."""
        if api.dialect is not self.dialect:
            return Api.CHAT if self.dialect is Dialect.OPENAI else None
        if self.responses or api not in _RESPONSES:
            return api
        return Api.CHAT if api is Api.RESPONSES else None

    def heads_for(self, call: Call, api: Api) -> tuple[bytes, ...]:
        """The head of a call's request for each key, up to the value of ``content-length``, where
        the channel is asked in ``api``.
        """
        heads = self.heads[api]
        if type(call.asked) is Passing and call.asked.boundary is not None:
            form = b"Content-Type: %b\r\n" % content_type(call.asked.boundary)
            return tuple(head.replace(_JSON, form) for head in heads)
        if not call.betas or api is not call.api:
            return heads
        betas = ",".join(call.betas).encode("ascii")
        return tuple(
            b"%bAnthropic-Beta: %b\r\n%b" % (head.removesuffix(_LENGTH), betas, _LENGTH)
            for head in heads
        )


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _lines(
    authority: str, dialect: Dialect, api_key: str | None, organization: str | None
) -> list[str]:
    """The header lines of every request."""
    lines = [
        f"Host: {authority}",
        f"User-Agent: sovereign-gateway/{__version__}",
        "Accept-Encoding: identity",
    ]
    if dialect is Dialect.ANTHROPIC:
        lines.append(f"Anthropic-Version: {ANTHROPIC_VERSION}")
    if api_key is not None and dialect is Dialect.ANTHROPIC:
        lines.append(f"X-Api-Key: {api_key}")
    elif api_key is not None:
        lines.append(f"Authorization: Bearer {api_key}")
    if organization is not None:
        lines.append(f"OpenAI-Organization: {organization}")
    return lines


def _post(name: str, path: str, api: Api, lines: Sequence[str]) -> bytes:
    accept = "*/*" if api in _SOUND else "application/json, text/event-stream"
    head = _head(name, f"POST {path}/{api} HTTP/1.1", *lines, f"Accept: {accept}")
    return head + _JSON + _LENGTH


def _head(name: str, request: str, *lines: str) -> bytes:
    """A request's line and its headers, each with its end."""
    if request.count(" ") != 2:
        raise ValueError(f"channel {name}: base_url holds a space")
    for line in (request, *lines):
        if not (line.isascii() and line.isprintable()):
            # Which line is said by its first word only: the rest may be the key.
            raise ValueError(f"channel {name}: {line.split()[0]} cannot stand in a header")
    return "".join(f"{line}\r\n" for line in (request, *lines)).encode("ascii")
