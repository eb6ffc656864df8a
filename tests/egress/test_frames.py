"""The decoder of frames, on frames that were put together by hand."""

from __future__ import annotations

import ipaddress
import struct

import pytest

from tests.egress.frames import Packet, read

V4, V6 = "198.51.100.7", "2606:4700::1111"
ASKS = (
    struct.pack("!HHHHHH", 1, 0x0100, 1, 0, 0, 0)
    + b"\x03api\x06Vendor\x04test\x00"
    + struct.pack("!HH", 28, 1)
)


def ethernet(kind: int, body: bytes) -> bytes:
    return bytes.fromhex("020000000001020000000002") + struct.pack("!H", kind) + body


def ipv4(protocol: int, body: bytes, options: bytes = b"") -> bytes:
    words = 5 + len(options) // 4
    head = struct.pack("!BBHHHBBH", 0x40 | words, 0, words * 4 + len(body), 0, 0, 64, protocol, 0)
    near = ipaddress.IPv4Address("192.0.2.2").packed
    # Ethernet pads short frames: what is behind the length does not count.
    return ethernet(0x0800, head + near + ipaddress.IPv4Address(V4).packed + options + body + b"..")


def ipv6(protocol: int, body: bytes) -> bytes:
    head = struct.pack("!IHBB", 6 << 28, len(body), protocol, 64)
    near = ipaddress.IPv6Address("2001:db8::2").packed
    return ethernet(0x86DD, head + near + ipaddress.IPv6Address(V6).packed + body)


def tcp(flags: int, payload: bytes = b"") -> bytes:
    return struct.pack("!HHIIBBHHH", 40000, 443, 1, 1, 6 << 4, flags, 0, 0, 0) + b"opts" + payload


def udp(port: int, payload: bytes) -> bytes:
    return struct.pack("!HHHH", 40000, port, 8 + len(payload), 0) + payload


@pytest.mark.parametrize(
    ("frame", "packet"),
    [
        (ipv4(6, tcp(0x02)), Packet(1.5, "TCP", V4, 443, 0, opens=True)),
        (ipv4(6, tcp(0x12)), Packet(1.5, "TCP", V4, 443, 0)),
        (ipv4(6, tcp(0x18, b"hello"), b"abcd"), Packet(1.5, "TCP", V4, 443, 5)),
        (ipv6(6, tcp(0x02)), Packet(1.5, "TCP", V6, 443, 0, opens=True)),
        (ipv4(17, udp(123, b"xy")), Packet(1.5, "UDP", V4, 123, 2)),
        (
            ipv4(17, udp(53, ASKS)),
            Packet(1.5, "UDP", V4, 53, len(ASKS), asks=("api.vendor.test", "AAAA")),
        ),
        (ipv4(1, b"\x08\0\0\0"), Packet(1.5, "ICMP", V4)),
        (ipv4(47, b""), Packet(1.5, "protocol 47", V4)),
        (ipv6(58, b"\x85\0\0\0"), Packet(1.5, "ICMPv6 type 133", V6)),
        (ipv6(0, b"\x3a\0\x05\x02\0\0\x01\0\x8f\0\0\0"), Packet(1.5, "ICMPv6 type 143", V6)),
        (
            ethernet(0x0806, bytes(24) + ipaddress.IPv4Address(V4).packed),
            Packet(1.5, "ARP", V4),
        ),
        (ethernet(0x88CC, b"lldp"), Packet(1.5, "ethertype 0x88cc", "02:00:00:00:00:01")),
    ],
)
def test_each_kind_of_frame(frame: bytes, packet: Packet) -> None:
    assert read(1.5, frame) == packet
