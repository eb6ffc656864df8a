"""Ports that nobody else is given, though nobody listens there yet, or for a while."""

from __future__ import annotations

import socket


def reserved() -> socket.socket:
    """Bound to a port of 127.0.0.1, and deaf. The kernel gives that port to nobody who asks for any
    port; who names it may have it and listen, as all servers do that set ``SO_REUSEADDR``.
    """
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taken.bind(("127.0.0.1", 0))
    return taken


def free_port() -> int:
    """A port that is kept from others for as long as this process lives."""
    taken = reserved()
    port: int = taken.getsockname()[1]
    taken.detach()
    return port
