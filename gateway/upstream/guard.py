"""The egress guard: asked where sockets are made, at the instant of dialling."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence

from gateway.upstream.channel import Address, Channel
from gateway.upstream.fault import EgressRefused

__all__ = ["EgressGuard", "EgressRefused", "Resolve"]

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""A name and a port to addresses as text. Raises ``OSError`` where the name has none."""

# Metadata services that do not stand in the link-local ranges: AWS (IPv6), Alibaba, Azure, Oracle.
_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


async def resolve_name(host: str, port: int) -> Sequence[str]:
    """The system's resolver. Raises ``OSError``."""
    rows = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(row[4][0]) for row in rows]


class EgressGuard:
    """``may_dial`` says whether policy lets a channel be used at this instant."""

    def __init__(self, may_dial: Callable[[str], bool], resolve: Resolve = resolve_name) -> None:
        self._may_dial = may_dial
        self._resolve = resolve

    def permit(self, channel: Channel) -> None:
        """Raises ``EgressRefused`` where policy denies the channel. Does no I/O."""
        if not self._may_dial(channel.name):
            raise EgressRefused(f"policy does not let channel {channel.name} be dialled")

    async def check(self, channel: Channel) -> list[tuple[str, int]]:
        """The socket addresses that may be dialled for a channel, in the resolver's order.

        Raises ``EgressRefused``, or ``OSError`` where the name does not resolve.
        """
        self.permit(channel)
        if channel.literal is not None:
            if _never(channel.literal):
                raise EgressRefused(f"the address of channel {channel.name} is never dialled")
            return [(str(channel.literal), channel.port)]
        found = [
            ipaddress.ip_address(text.partition("%")[0])
            for text in await self._resolve(channel.host, channel.port)
        ]
        if not found:
            raise OSError("the name has no address")
        inward = channel.allow_private or not channel.cloud
        allowed = [a for a in found if not _never(a) and (inward or _embedded(a).is_global)]
        if not allowed:
            raise EgressRefused(
                f"the name of channel {channel.name} resolves to addresses that it may not use: "
                "link-local, or private without allow_private"
            )
        # Resolving took time in which policy may have changed.
        self.permit(channel)
        return [(str(address), channel.port) for address in dict.fromkeys(allowed)]


def _embedded(address: Address) -> Address:
    """The IPv4 address that an IPv6 one carries, else the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return inner or address
    return address


def _never(address: Address) -> bool:
    inner = _embedded(address)
    return any(
        a.is_link_local or a.is_multicast or a.is_unspecified or a in _METADATA
        for a in (address, inner)
    )
