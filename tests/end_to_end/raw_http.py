"""One connection to a gateway, byte by byte."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

HOST = b"host: localhost\r\n"


@dataclass(frozen=True)
class Answered:
    """One answer as it came; headers by their lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def allow(self) -> set[str]:
        return {word.strip() for word in self.headers.get("allow", "").split(",")} - {""}

    @property
    def last(self) -> bool:
        """Whether it said that the connection ends."""
        return self.headers.get("connection", "").lower() == "close"


class Connection:
    """``with Connection(port) as connection``; closed at the end."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection((address, port), timeout=30)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Iterable[str] = ()
    ) -> Answered:
        """A request with its length, and its answer."""
        self.send(request(method, path, body, headers))
        return self.answer(method)

    def answer(self, method: str = "POST") -> Answered:
        """The next answer. Raises ``EOFError`` where the connection ends instead."""
        status = self._line().split(b" ")[1]
        headers: dict[str, str] = {}
        while line := self._line():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        body = b""
        if status.startswith(b"1") or status == b"204" or method == "HEAD":
            pass
        elif headers.get("transfer-encoding") == "chunked":
            body = b"".join(iter(self._chunk, b""))
        else:
            body = self._file.read(int(headers["content-length"]))
        return Answered(int(status), headers, body)

    def ended(self) -> bool:
        """Whether the gateway closed it, with nothing more to say."""
        return self._file.read(1) == b""

    def _line(self) -> bytes:
        line = self._file.readline()
        if not line:
            raise EOFError("the connection ended")
        return line.rstrip(b"\r\n")

    def _chunk(self) -> bytes:
        chunk = self._file.read(int(self._line(), 16))
        assert self._file.read(2) == b"\r\n"
        return chunk


def request(
    method: str, path: str, body: bytes | None = None, headers: Iterable[str] = ()
) -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1\r\n".encode(), HOST]
    lines += [f"{header}\r\n".encode() for header in headers]
    if body is not None:
        lines.append(f"content-length: {len(body)}\r\n".encode())
    return b"".join([*lines, b"\r\n", body or b""])


def chat(**fields: object) -> bytes:
    """The body of a chat completion of a few tokens."""
    question = [{"role": "user", "content": "In which country is the city of Paris?"}]
    body = {"model": "gpt-4o", "messages": question, "max_tokens": 4, "temperature": 0}
    return json.dumps(body | fields).encode()
