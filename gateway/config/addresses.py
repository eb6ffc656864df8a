"""Addresses in a configuration: what one may hold, and which are this machine's."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from pydantic_core import PydanticCustomError


def base_address(value: str) -> str:
    """The address without a slash at its end; what it may not hold is never repeated."""
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise PydanticCustomError("base_url", "expected a URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise PydanticCustomError("base_url", "expected an http:// or https:// URL")
    if parts.username is not None or parts.password is not None:
        raise PydanticCustomError(
            "secret_literal",
            "credentials in a URL are not allowed: use ${NAME}",
        )
    if parts.query or parts.fragment or value.endswith(("?", "#")):
        raise PydanticCustomError("secret_literal", "expected a URL without a query or fragment")
    if re.search(r"[\x00-\x20\x7f-\U0010ffff\\]", value):
        raise PydanticCustomError("base_url", "expected a URL in ASCII without blanks")
    return value.rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine by its very text, without a look-up."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
