"""Images as apps send them: made here where the format is simple, written out where it is not."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDACgcHiMeGSgjISMtKygwPGRBPDc3PHtYXUlkkYCZlo+AjIqgtObDoKrarYqM"
    "yP/L2u71////m8H////6/+b9//j/2wBDASstLTw1PHZBQXb4pYyl+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4"
    "+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj/wgARCAAIABADASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAL/xAAVAQEB"
    "AAAAAAAAAAAAAAAAAAABAv/aAAwDAQACEAMQAAABiwn/xAAVEAEBAAAAAAAAAAAAAAAAAAAAEv/aAAgBAQABBQKUv//E"
    "ABYRAQEBAAAAAAAAAAAAAAAAAAIAAf/aAAgBAwEBPwELb//EABURAQEAAAAAAAAAAAAAAAAAAAEA/9oACAECAQE/AVb/"
    "xAAUEAEAAAAAAAAAAAAAAAAAAAAQ/9oACAEBAAY/Aj//xAAVEAEBAAAAAAAAAAAAAAAAAAAAAf/aAAgBAQABPyGMf//a"
    "AAwDAQACAAMAAAAQd//EABQRAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQMBAT8QD//EABQRAQAAAAAAAAAAAAAAAAAAAAD/"
    "2gAIAQIBAT8QL//EABUQAQEAAAAAAAAAAAAAAAAAAABh/9oACAEBAAE/EJpv/9k="
)
"""16 by 8 pixels, progressive."""
GIF = base64.b64decode(
    "R0lGODdhEAAIAIEAAHjAgHhwgLAggDAggCwAAAAAEAAIAAAILQAHCBw4QIDBgwcJDkTIUOGAABAZGiQIsWJFhAItarQo"
    "AIDHjyBDihxJsuTHgAA7"
)
"""16 by 8 pixels."""
WEBP = base64.b64decode(
    "UklGRjQAAABXRUJQVlA4ICgAAACwAQCdASoQAAgADMDOJbACdAEOuDHYAP52yLzZiN9KklbIHTDZwFoA"
)


def png(width: int, height: int, seed: int = 0) -> bytes:
    """Noise, other noise for another ``seed``."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    return png_header(width, height) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def png_header(width: int, height: int, bits: int = 8) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(
        b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    )


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bmp(width: int, height: int) -> bytes:
    """Grey; a height below zero has its rows from the top."""
    rows = bytes([128]) * ((width * 3 + -width * 3 % 4) * abs(height))
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(rows), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(rows), 0, 0, 54) + info + rows


def data_url(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
