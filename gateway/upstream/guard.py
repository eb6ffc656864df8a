"""The egress guard: asked where sockets are made, at the instant of dialling."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence

from gateway.upstream.channel import Address, Channel
from gateway.upstream.fault import EgressRefused
from gateway.upstream.proxy import Proxy

__all__ = ["EgressGuard", "EgressRefused", "Resolve"]

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""A name and a port to addresses as text. Raises ``OSError`` where the name has none."""

# Metadata services outside the link-local ranges: AWS, Google, Oracle, Scaleway, Linode, Alibaba,
# Azure.
_METADATA = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("fd00:ec2::/32", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "192.0.0.192", "fd00:42::42"),
        *("fd00:a9fe:a9fe::1", "fd00:100::100:200", "100.100.100.200", "168.63.129.16"),
    )
)
# IPv6 that carries an IPv4 address in its last 32 bits: mapped, compatible, translated, NAT64.
_CARRIERS = tuple(
    ipaddress.IPv6Network(text)
    for text in ("::ffff:0:0/96", "::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")
)
_UNICAST = ipaddress.IPv6Network("2000::/3")


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
        allowed = [a for a in found if not _never(a) and (inward or _outward(a))]
        if not allowed:
            raise EgressRefused(
                f"the name of channel {channel.name} resolves to addresses that it may not use: "
                "link-local, or private without allow_private"
            )
        # Resolving took time in which policy may have changed.
        self.permit(channel)
        return [(str(address), channel.port) for address in dict.fromkeys(allowed)]

    async def check_proxy(self, channel: Channel, proxy: Proxy) -> list[tuple[str, int]]:
        """The socket addresses of the proxy that leads to a channel: the operator wrote it, so it
        may be anywhere but where nobody is dialled. The channel's own name is not looked up.

        Raises as ``check`` does.
        """
        self.permit(channel)
        if channel.literal is not None and _never(channel.literal):
            raise EgressRefused(f"the address of channel {channel.name} is never dialled")
        found = [
            ipaddress.ip_address(text.partition("%")[0])
            for text in await self._resolve(proxy.host, proxy.port)
        ]
        if not found:
            raise OSError("the name has no address")
        allowed = [address for address in found if not _never(address)]
        if not allowed:
            raise EgressRefused(f"the address of channel {channel.name}'s proxy is never dialled")
        # Resolving took time in which policy may have changed.
        self.permit(channel)
        return [(str(address), proxy.port) for address in dict.fromkeys(allowed)]


def _embedded(address: Address) -> Address:
    """The IPv4 address that an IPv6 one carries, else the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if any(address in carrier for carrier in _CARRIERS):
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return address.sixtofour or address
    return address


def _outward(address: Address) -> bool:
    """Whether an address leads out to the Internet, as a cloud channel's name must."""
    inner = _embedded(address)
    # Python takes what is in no registry (site-local, for one) for global: only 2000::/3 is.
    return inner.is_global and (inner.version == 4 or inner in _UNICAST)


def _never(address: Address) -> bool:
    inner = _embedded(address)
    return any(
        a.is_link_local or a.is_multicast or a.is_unspecified or any(a in net for net in _METADATA)
        for a in (address, inner)
    )
