"""Requests as a server hands them to the app."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.types import Message, Scope


def asked(
    method: str = "POST",
    path: str = "/v1/chat/completions",
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> Scope:
    """The scope of a request from this machine, to a host of it unless the headers name another."""
    given = [*headers]
    if not any(name == b"host" for name, _ in given):
        given.insert(0, (b"host", b"localhost:8080"))
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": given,
        "client": ("127.0.0.1", 1),
    }


class Arriving:
    """A body that comes in pieces of ``size`` bytes; ``taken`` counts those that were asked for."""

    def __init__(self, body: bytes, size: int = 65536) -> None:
        self._pieces = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
        self.taken = 0

    async def __call__(self) -> Message:
        piece = self._pieces[self.taken]
        self.taken += 1
        return {
            "type": "http.request",
            "body": piece,
            "more_body": self.taken < len(self._pieces),
        }
