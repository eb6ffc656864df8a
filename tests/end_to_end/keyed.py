"""Requests with keys, and with exactly the headers that are named, at a gateway that runs."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pytest

from gateway.config.presence import RUN, running
from tests.end_to_end.raw_http import Answered, Connection
from tests.end_to_end.running import ID, RunningGateway
from tests.waiting import until

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
    known(gateway, written)
    return written


def known(gateway: RunningGateway, written: str) -> None:
    """Until every serving process knows a key, and so nobody who has none: one after the other, as
    they happen to answer.
    """
    left = {one.pid for one in running(gateway.folder / "state" / RUN)}

    def all_know() -> bool:
        with Connection(gateway.port) as connection:
            pid = connection.ask("GET", "/readyz").json["pid"]
            headers = ((), (f"x-api-key: {written}",))
            got = [connection.ask("GET", "/v1/models", None, one).status for one in headers]
        if got == [401, 200]:
            left.discard(pid)
        return not left

    until(all_know)


@contextmanager
def to_each(gateway: RunningGateway, processes: int) -> Iterator[dict[int, Connection]]:
    """A connection to each of so many serving processes, by their ids."""
    reached: dict[int, Connection] = {}
    with ExitStack() as stack:

        def all_answer() -> bool:
            connection = stack.enter_context(Connection(gateway.port))
            reached.setdefault(connection.ask("GET", "/readyz").json["pid"], connection)
            return len(reached) == processes

        until(all_answer)
        yield reached


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
        got = connection.answer(method)
    if method == "POST":
        gateway.answered = got.headers.get(ID)
    return got
