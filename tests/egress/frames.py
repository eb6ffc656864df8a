"""What a captured Ethernet frame is: to whom, by which protocol, and what a DNS question asks."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

_TCP, _UDP, _ICMP6 = 6, 17, 58
_NAMES = {1: "ICMP", 2: "IGMP", _TCP: "TCP", _UDP: "UDP", _ICMP6: "ICMPv6"}
_TYPES = {1: "A", 28: "AAAA", 12: "PTR", 33: "SRV", 65: "HTTPS"}
_HOP_BY_HOP = 0
SYN, ACK = 0x02, 0x10


@dataclass(frozen=True, slots=True)
class Packet:
    """``to`` is an address, or a MAC where the frame is of no protocol known here; ``port`` and
    ``payload`` (bytes) are for TCP and UDP; ``opens`` is the SYN of a new connection; ``asks`` the
    name and type of a DNS question.
    """

    at: float
    protocol: str
    to: str
    port: int = 0
    payload: int = 0
    opens: bool = False
    asks: tuple[str, str] | None = None


def read(at: float, frame: bytes) -> Packet:
    """The packet in an Ethernet frame that was captured ``at`` (seconds since 1970)."""
    (kind,) = struct.unpack_from("!H", frame, 12)
    body = frame[14:]
    if kind == 0x0800:
        length = (body[0] & 0x0F) * 4
        (total,) = struct.unpack_from("!H", body, 2)
        to = str(ipaddress.IPv4Address(body[16:20]))
        return _transport(at, to, body[9], body[length:total])
    if kind == 0x86DD:
        to = str(ipaddress.IPv6Address(body[24:40]))
        protocol, rest = body[6], body[40 : 40 + struct.unpack_from("!H", body, 4)[0]]
        if protocol == _HOP_BY_HOP:
            protocol, rest = rest[0], rest[(rest[1] + 1) * 8 :]
        return _transport(at, to, protocol, rest)
    if kind == 0x0806:
        return Packet(at, "ARP", str(ipaddress.IPv4Address(body[24:28])))
    return Packet(at, f"ethertype {kind:#06x}", frame[:6].hex(":"))


def _transport(at: float, to: str, protocol: int, body: bytes) -> Packet:
    name = _NAMES.get(protocol, f"protocol {protocol}")
    if protocol == _TCP:
        _, port, _, _, offset, flags = struct.unpack_from("!HHIIBB", body)
        payload = len(body) - (offset >> 4) * 4
        return Packet(at, name, to, port, payload, opens=flags & (SYN | ACK) == SYN)
    if protocol == _UDP:
        _, port = struct.unpack_from("!HH", body)
        asks = question(body[8:]) if port == 53 else None
        return Packet(at, name, to, port, len(body) - 8, asks=asks)
    if protocol == _ICMP6:
        return Packet(at, f"{name} type {body[0]}", to)
    return Packet(at, name, to)


def question(message: bytes) -> tuple[str, str]:
    """The name and the type that the first question of a DNS message asks for."""
    labels, at = [], 12
    while size := message[at]:
        labels.append(message[at + 1 : at + 1 + size].decode("ascii", "replace"))
        at += 1 + size
    (kind,) = struct.unpack_from("!H", message, at + 1)
    return ".".join(labels).lower(), _TYPES.get(kind, f"type {kind}")
