"""Channels for tests of what is below the relay."""

from __future__ import annotations

from gateway.upstream.channel import Channel


def channel(
    url: str,
    *,
    name: str = "vendor",
    api_key: str | None = None,
    organization: str | None = None,
    locality: str = "cloud",
    allow_private: bool = False,
    connect: float = 1,
    wait: float = 1,
) -> Channel:
    """A channel at ``url``; ``connect`` and ``wait`` are its time-outs in seconds."""
    return Channel.parse(
        name,
        url,
        api_key=api_key,
        locality=locality,
        allow_private=allow_private,
        organization=organization,
        connect_timeout=connect,
        first_token_timeout=wait,
        answer_timeout=wait,
        idle_timeout=wait,
    )
