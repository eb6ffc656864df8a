"""Where a proxy is configured: for all channels, and for one."""

from __future__ import annotations

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, model_validator
from pydantic_core import PydanticCustomError

from gateway.config.schema import Closed, Text
from gateway.config.secrets import Secret
from gateway.config.tls import TlsSection

DIRECT = "direct"
"""What a channel says that is to use no proxy although all others do."""


def _proxy(value: str) -> str:
    """What a proxy's address may not hold is never repeated."""
    if value == DIRECT:
        return value
    expected = PydanticCustomError(
        "proxy", "expected http://host:port, https://host:port or direct"
    )
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise expected from None
    if parts.username is not None or parts.password is not None:
        raise PydanticCustomError(
            "secret_literal", "credentials in a URL are not allowed: use proxy_auth: ${NAME}"
        )
    plain = host is not None and host.isascii() and host.isprintable() and " " not in host
    extra = parts.path.rstrip("/") or parts.query or parts.fragment
    if parts.scheme not in ("http", "https") or not plain or port is None or extra:
        raise expected
    return value


class ProxySection(Closed):
    """The part of a section that names a proxy. ``proxy_auth`` is ``user:password``; ``proxy_tls``
    is for an ``https://`` proxy.
    """

    proxy: Annotated[Text, AfterValidator(_proxy)] | None = None
    proxy_auth: Secret | None = None
    proxy_tls: TlsSection | None = None

    @model_validator(mode="after")
    def _with_proxy(self) -> Self:
        if self.proxy in (None, DIRECT) and (self.proxy_auth or self.proxy_tls):
            raise PydanticCustomError("proxy", "proxy_auth and proxy_tls need a proxy beside them")
        return self
