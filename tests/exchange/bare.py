"""What an app is made of, where nothing of it is asked before a request comes."""

from __future__ import annotations

from typing import Any, cast

from gateway.access.callers import Access
from gateway.access.keyring import Keyring
from gateway.http.app import Services


class _Bare:
    def __init__(self, **parts: Any) -> None:
        usual = {"max_body": 10, "deadline": 1, "access": Access(Keyring())}
        self.__dict__.update(usual, **parts)

    def __getattr__(self, name: str) -> None:
        """Any other part is none."""


def bare(**parts: Any) -> Services:
    """Without any key, unless there is other ``access``."""
    return cast(Services, _Bare(**parts))
