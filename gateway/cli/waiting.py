"""What a person sees of a command that takes a while."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

import click

QUIET = 1.0
"""Seconds before anything is said."""
_EVERY = 0.2


class Bytes:
    """How much of a known size was read, on standard error, where that is a terminal and it takes
    longer than a second.
    """

    def __init__(self, doing: str, size: int) -> None:
        self._doing = doing
        self._size = max(1, size)
        self._read = 0
        self._next = time.monotonic() + QUIET
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._shown:
            click.echo("\r\x1b[K", nl=False, err=True)

    def more(self, count: int) -> None:
        """So many bytes were read since the last time."""
        self._read += count
        if time.monotonic() < self._next or not sys.stderr.isatty():
            return
        self._next = time.monotonic() + _EVERY
        self._shown = True
        click.echo(f"\r{self._doing} {self._read / self._size:4.0%}", nl=False, err=True)
