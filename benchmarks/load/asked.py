"""What is asked: a request as bytes, made once and sent again and again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

PATH = "/v1/chat/completions"
PIECE = 4_000
"""Characters of a message; longer prompts are conversations, as agents send them."""
PARAGRAPH = (
    'The function `read(path)` raises "FileNotFoundError" where the file isn\'t there:\n'
    "\tdef read(path):\n\t\treturn open(path).read()\n"
    'Mind naïve callers in C:\\temp – they pass {"path": null} and expect a café menu.\n'
)
"""With what real prompts have in them: lines, quotes, backslashes, JSON, letters beyond ASCII."""


class Unusable(ValueError):
    """What was given cannot be used; the message says what to give."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the gateway listens."""

    host: str
    port: int
    tls: bool
    path: str = PATH

    @property
    def here(self) -> bool:
        """Whether it is this machine itself."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


def address(url: str) -> Address:
    """Of a gateway's URL, with or without the ``/v1`` of an SDK's base URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Unusable(f"--url {url}: give it as http://127.0.0.1:8080")
    if parts.username is not None or parts.query:
        raise Unusable("--url: a key belongs in a file, see --key-file")
    tls = parts.scheme == "https"
    before = parts.path.rstrip("/").removesuffix("/v1")
    return Address(parts.hostname, parts.port or (443 if tls else 80), tls, f"{before}{PATH}")


def read_key(path: Path) -> str:
    """The key in a file: its first line."""
    try:
        key = path.read_text().partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"--key-file {path}: {error}") from None
    if not key.isascii() or not key.isprintable() or " " in key or not key:
        raise Unusable(f"--key-file {path}: its first line is to be the key and nothing else")
    return key


def prompt(kilobytes: float) -> list[dict[str, str]]:
    """Messages of together about so many thousand bytes, the same each time."""
    whole = int(kilobytes * 1_000)
    text = (PARAGRAPH * (whole // len(PARAGRAPH) + 1))[: max(whole, 1)]
    pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
    # Whoever begins, the last is the user's.
    return [
        {"role": ("user", "assistant")[(len(pieces) - 1 - at) % 2], "content": piece}
        for at, piece in enumerate(pieces)
    ]


def body(model: str, kilobytes: float, *, stream: bool, max_tokens: int | None = None) -> bytes:
    """A chat completion's request."""
    fields: dict[str, object] = {"model": model, "messages": prompt(kilobytes)}
    if stream:
        fields |= {"stream": True, "stream_options": {"include_usage": True}}
    if max_tokens is not None:
        fields["max_tokens"] = max_tokens
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def request(address: Address, body: bytes, headers: dict[str, str]) -> bytes:
    """HTTP/1.1, with the body."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    lines = [
        f"POST {address.path} HTTP/1.1",
        f"host: {host}:{address.port}",
        "content-type: application/json",
        *(f"{name}: {value}" for name, value in headers.items()),
        f"content-length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body
