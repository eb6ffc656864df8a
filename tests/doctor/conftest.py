"""What all tests of the doctor share."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import NoReturn

import pytest

from tests.doctor.checkout import Checkout


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """A configuration in which nothing is wrong; no name is looked up and nobody is dialled."""
    for name in ("connect", "connect_ex", "sendto", "sendmsg"):
        monkeypatch.setattr(socket.socket, name, _never)
    monkeypatch.setattr(socket, "getaddrinfo", _never)
    return Checkout.made(tmp_path)


def _never(*arguments: object) -> NoReturn:
    raise AssertionError(f"somebody was dialled or looked up: {arguments}")
