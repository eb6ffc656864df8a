"""The egress guard: asked where sockets are made, at the instant of dialling.

Whoever wants a connection brings a ``Permit``: whether policy allows, at this instant, the very
target and labels that it is for. It is asked before a name is looked up, before each address is
dialled, and once the connection is there.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeAlias

from gateway.upstream.channel import Address, Channel
from gateway.upstream.fault import EgressRefused, Outdated
from gateway.upstream.proxy import Proxy

__all__ = ["EgressGuard", "EgressRefused", "Permit", "Resolve"]

Permit: TypeAlias = Callable[[], bool]
"""Whether policy allows it now. Does no I/O."""

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""A name and a port to addresses as text. Raises ``OSError`` where the name has none."""

# What is dialled for nobody: "this network" (Linux takes it for loopback), broadcast, and metadata
# services outside the link-local ranges: AWS, Google, Oracle, Scaleway, Linode, Alibaba, Azure.
_NEVER = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("0.0.0.0/8", "255.255.255.255"),
        *("fd00:ec2::/32", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "192.0.0.192", "fd00:42::42"),
        *("fd00:a9fe:a9fe::1", "fd00:100::100:200", "100.100.100.200", "168.63.129.16"),
    )
)
# IPv6 that carries an IPv4 address in its last 32 bits: mapped, compatible, translated, NAT64.
_CARRIERS = tuple(
    ipaddress.IPv6Network(text)
    for text in ("::ffff:0:0/96", "::/96", "::ffff:0:0:0/96", "64:ff9b::/96")
)
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
"""For use inside of one network (RFC 8215), which chooses the length of its prefixes."""
_ISATAP = (0x00005EFE, 0x02005EFE)
_UNICAST = ipaddress.IPv6Network("2000::/3")
_LOW = 0xFFFFFFFF


async def resolve_name(host: str, port: int) -> Sequence[str]:
    """The system's resolver. Raises ``OSError``."""
    rows = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(row[4][0]) for row in rows]


class EgressGuard:
    """``offline`` forbids whatever is not declared sovereign, whoever has a permit; ``current``
    says whether a channel is still configured in this very way.
    """

    def __init__(
        self,
        resolve: Resolve = resolve_name,
        *,
        offline: bool = False,
        current: Callable[[Channel], bool] = lambda _: True,
    ) -> None:
        self._resolve = resolve
        self._current = current
        self.offline = offline

    def ask(self, channel: Channel, permit: Permit) -> None:
        """Raises ``EgressRefused`` where the channel may not be dialled, or used, now, and
        ``Outdated`` where it is another by now, or gone. Does no I/O.
        """
        if self.offline and channel.cloud:
            raise EgressRefused(f"offline: true forbids channel {channel.name}, which is cloud")
        if not self._current(channel):
            raise Outdated(f"channel {channel.name} was configured otherwise in the meantime")
        if not permit():
            raise EgressRefused(f"policy does not let channel {channel.name} be dialled")

    async def check(self, channel: Channel, permit: Permit) -> list[tuple[str, int]]:
        """The socket addresses that may be dialled for a channel, in the resolver's order: where it
        has a proxy, those of the proxy.

        Raises ``EgressRefused``, or ``OSError`` where the name does not resolve.
        """
        self.ask(channel, permit)
        if channel.proxy is not None:
            return await self._check_proxy(channel, permit, channel.proxy)
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
        # Resolving took time in which policy may have changed.
        self.ask(channel, permit)
        allowed = [address for address in found if self._may_lead(channel, address)]
        if not allowed:
            raise EgressRefused(self._why_none(channel))
        return [(str(address), channel.port) for address in dict.fromkeys(allowed)]

    async def _check_proxy(
        self, channel: Channel, permit: Permit, proxy: Proxy
    ) -> list[tuple[str, int]]:
        """The socket addresses of the proxy that leads to a channel: the operator wrote it, so it
        may be anywhere but where nobody is dialled. The channel's own name is not looked up.
        """
        if channel.literal is not None and _never(channel.literal):
            raise EgressRefused(f"the address of channel {channel.name} is never dialled")
        if channel.literal is None and self.offline:
            raise EgressRefused(
                f"where the name of channel {channel.name} leads is not known behind a proxy, and "
                "offline: true stands (write its address out)"
            )
        found = [
            ipaddress.ip_address(text.partition("%")[0])
            for text in await self._resolve(proxy.host, proxy.port)
        ]
        if not found:
            raise OSError("the name has no address")
        # Resolving took time in which policy may have changed.
        self.ask(channel, permit)
        allowed = [address for address in found if not _never(address)]
        if not allowed:
            raise EgressRefused(f"the address of channel {channel.name}'s proxy is never dialled")
        return [(str(address), proxy.port) for address in dict.fromkeys(allowed)]

    def _may_lead(self, channel: Channel, address: Address) -> bool:
        """Whether a channel's name may lead to an address."""
        if _never(address):
            return False
        if channel.cloud:
            return channel.allow_private or _outward(address)
        return not (self.offline and _outward(address))

    def _why_none(self, channel: Channel) -> str:
        if channel.cloud:
            why = "link-local, or private without allow_private"
        elif self.offline:
            why = "link-local, or out in the Internet while offline: true stands (write it out)"
        else:
            why = "link-local or metadata"
        return (
            f"the name of channel {channel.name} resolves to addresses that it may not use: {why}"
        )


def _carried(address: Address) -> Iterator[ipaddress.IPv4Address]:
    """The IPv4 addresses to which an IPv6 one may lead in the end."""
    if isinstance(address, ipaddress.IPv4Address) or address.is_loopback:
        return
    bits = int(address)
    if address in _LOCAL_NAT64:
        # RFC 6052, 2.2: in the last 32 bits, or around bits 64 to 71 after shorter prefixes.
        forms = (
            bits & _LOW,
            (bits >> 64 & 0xFFFF) << 16 | bits >> 40 & 0xFFFF,
            (bits >> 64 & 0xFF) << 24 | bits >> 32 & 0xFFFFFF,
            bits >> 24 & _LOW,
        )
        yield from (ipaddress.IPv4Address(form) for form in forms if form >> 24)
    elif any(address in carrier for carrier in _CARRIERS) or bits >> 32 & _LOW in _ISATAP:
        yield ipaddress.IPv4Address(bits & _LOW)
    elif address.sixtofour is not None:
        yield address.sixtofour
    elif address.teredo is not None:
        yield from address.teredo


def _outward(address: Address) -> bool:
    """Whether an address leads out to the Internet, as a cloud channel's name must."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global
    inner = tuple(_carried(address))
    if not all(one.is_global for one in inner):
        return False
    if address.sixtofour is not None or (inner and any(address in net for net in _CARRIERS)):
        return True
    # Python takes what is in no registry (site-local, for one) for global: only 2000::/3 is.
    return address.is_global and address in _UNICAST


def _never(address: Address) -> bool:
    return any(
        a.is_link_local or a.is_multicast or a.is_unspecified or any(a in net for net in _NEVER)
        for a in (address, *_carried(address))
    )
