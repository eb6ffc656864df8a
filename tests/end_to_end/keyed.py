"""Requests with keys, and with exactly the headers that are named, at a gateway that runs."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Sequence

import pytest

from tests.end_to_end.raw_http import Answered, Connection
from tests.end_to_end.running import RunningGateway

CHAT = "/v1/chat/completions"


def elsewhere() -> str:
    """An address of this machine that is not its loopback: who comes from there is no neighbour.
    Nothing is sent to find it.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but its loopback")
        address: str = probe.getsockname()[0]
    return address


def made(gateway: RunningGateway, *arguments: str) -> str:
    """A new key, as it is written, once the gateway knows it."""
    done = gateway.run("keys", "create", *arguments, policy=False)
    assert done.returncode == 0, done.stderr
    written = done.stdout.strip()
    until = time.monotonic() + 2
    while [_models(gateway), _models(gateway, f"x-api-key: {written}")] != [401, 200]:
        assert time.monotonic() < until, "the key is not known"
        time.sleep(0.02)
    return written


def ask(
    gateway: RunningGateway,
    body: bytes | None = None,
    headers: Sequence[str] = (),
    *,
    path: str = CHAT,
    method: str = "POST",
    host: Iterable[str] = ("localhost",),
    address: str = "127.0.0.1",
) -> Answered:
    """A request with exactly these headers, over a connection of its own."""
    lines = [f"{method} {path} HTTP/1.1", *(f"host: {one}" for one in host), *headers]
    lines.append(f"content-length: {len(body or b'')}")
    with Connection(gateway.port, address) as connection:
        connection.send("\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b""))
        return connection.answer(method)


def _models(gateway: RunningGateway, *headers: str) -> int:
    return ask(gateway, None, headers, path="/v1/models", method="GET").status
