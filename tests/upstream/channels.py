"""Channels for tests of what is below the relay."""

from __future__ import annotations

import ssl

from gateway.upstream.channel import Channel
from gateway.upstream.proxy import Proxy


def channel(
    url: str,
    *,
    name: str = "vendor",
    api_key: str | None = None,
    api_keys: tuple[str, ...] = (),
    organization: str | None = None,
    locality: str = "cloud",
    allow_private: bool = False,
    connect: float = 1,
    wait: float = 1,
    trust: ssl.SSLContext | None = None,
    proxy: Proxy | None = None,
) -> Channel:
    """A channel at ``url``; ``connect`` and ``wait`` are its time-outs in seconds."""
    return Channel.parse(
        name,
        url,
        api_keys=api_keys or ((api_key,) if api_key is not None else ()),
        locality=locality,
        allow_private=allow_private,
        organization=organization,
        connect_timeout=connect,
        first_token_timeout=wait,
        answer_timeout=wait,
        idle_timeout=wait,
        trust=trust,
        proxy=proxy,
    )
